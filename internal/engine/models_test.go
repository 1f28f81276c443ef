package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/schemas"
)

// models opens a set; without its files the test fails in CI and is skipped elsewhere.
func models(t testing.TB, size string) (engine.ModelSet, *engine.Models) {
	t.Helper()
	set := engine.DefaultModelSet()
	set.Recognition = size
	if err := set.Check(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m, err := set.Open()
	if err != nil {
		t.Fatal(err)
	}
	return set, m
}

func TestDigestsNameEveryModelThatCanTakePart(t *testing.T) {
	both, tiny, small := engine.DefaultModelSet(), engine.DefaultModelSet(), engine.DefaultModelSet()
	tiny.Recognition, small.Recognition = engine.Tiny, engine.Small
	for _, tc := range []struct {
		set  engine.ModelSet
		name string
	}{{tiny, "ppocrv6-tiny-rec"}, {tiny, "ppocrv6-tiny-det"}, {tiny, "ppocrv6-tiny-dict"}, {tiny, "layout-cdla"}, {tiny, "orientation"},
		{small, "ppocrv6-small-rec"}, {small, "ppocrv6-small-det"}, {small, "ppocrv6-dict"},
		{both, "ppocrv6-tiny-rec"}, {both, "ppocrv6-small-rec"}, {both, "ppocrv6-tiny-dict"}, {both, "ppocrv6-dict"}} {
		if d := tc.set.Digests()[tc.name]; len(d) != 64 {
			t.Errorf("%s of %s: %q", tc.name, tc.set.Recognition, d)
		}
	}
	if len(tiny.Digests()) != 5 || len(small.Digests()) != 5 || len(both.Digests()) != 7 {
		t.Errorf("%v, %v", tiny.Digests(), small.Digests())
	}
}

func TestAModelWithAnotherDigestIsRefusedAndNamed(t *testing.T) {
	real, _ := models(t, engine.Tiny)
	set := real
	set.Dir, set.Library = t.TempDir(), real.LibraryPath()
	if err := os.WriteFile(filepath.Join(set.Dir, "layout-cdla.onnx"), []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	ms, err := set.Open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = ms.Layout()
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Code != schemas.EngineUnavailable ||
		!strings.Contains(err.Error(), "layout-cdla.onnx") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if _, err = ms.Detection(); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing model: %v", err)
	}
	if err := set.Check(); err == nil || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "ppocrv6-tiny-rec.onnx") {
		t.Errorf("check: %v", err)
	}
}

func TestASetOfUnknownWordsIsRefused(t *testing.T) {
	if _, err := (engine.ModelSet{Device: "tpu", Profile: "slow", Recognition: "huge", Doubt: 2, Side: 5, Width: 9,
		Files: engine.Files{Quick: "model.onnx"}}).Open(); true {
		for _, word := range []string{"tpu", "slow", "huge", "doubt", "side", "width", "files.quick", "together"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not name %s", err, word)
			}
		}
	}
}

func TestADeviceThatIsNotThereIsNamedNotReplaced(t *testing.T) {
	set, _ := models(t, engine.Tiny)
	if _, err := os.Stat("/dev/nvidia0"); err == nil {
		t.Skip("this machine has a GPU")
	}
	_, err := engine.OpenRuntime(set.LibraryPath(), "cuda")
	if err == nil {
		t.Fatal("cuda without a GPU")
	}
	if !strings.Contains(err.Error(), "already runs") { // another test may have opened the library
		for _, missing := range []string{"libonnxruntime_providers_cuda.so", "/dev/nvidia0", "libcudart", "libcudnn"} {
			if !strings.Contains(err.Error(), missing) {
				t.Errorf("%v does not name %s", err, missing)
			}
		}
	}
	if _, err := engine.OpenRuntime("/no/such/library.so", "abacus"); err == nil {
		t.Error("an unknown device")
	}
}

// TestTheAppendedSearchEqualsAPlainOne runs both recognition models with and without the appended nodes.
func TestTheAppendedSearchEqualsAPlainOne(t *testing.T) {
	for _, size := range []string{engine.Tiny, engine.Small} {
		t.Run(size, func(t *testing.T) {
			set, ms := models(t, size)
			plainBytes, err := os.ReadFile(filepath.Join(set.Folder(), "ppocrv6-"+size+"-rec.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			rt, err := engine.OpenRuntime(set.LibraryPath(), set.Device)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := rt.Load(plainBytes)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			recognisers, err := ms.Recognisers()
			if err != nil || len(recognisers) != 1 {
				t.Fatal(len(recognisers), err)
			}
			searched := recognisers[0]
			shape := []int64{2, 3, 48, 160}
			in := make([]float32, 2*3*48*160)
			for i := range in {
				in[i] = float32((i*7919)%255)/127 - 1
			}
			var classes []int64
			var scores []float32
			err = plain.Run(shape, in, func(out []engine.Tensor) error {
				n := int(out[0].Shape[2])
				for row := range slices.Chunk(out[0].Float, n) {
					best := 0
					for c, v := range row {
						if v > row[best] {
							best = c
						}
					}
					classes, scores = append(classes, int64(best)), append(scores, row[best])
				}
				if have := len(searched.Dictionary); have+1 != n {
					t.Errorf("%d classes for %d characters and the blank", n, have)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = searched.Run(shape, in, func(out []engine.Tensor) error {
				if !slices.Equal(out[0].Int, classes) || !slices.Equal(out[1].Float, scores) {
					t.Errorf("classes %v, want %v; scores %v, want %v", out[0].Int, classes, out[1].Float, scores)
				}
				if len(out) != 2 || !slices.Equal(out[0].Shape, out[1].Shape) || out[0].Shape[0] != 2 {
					t.Errorf("shapes %v", out)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMetadataAndOutputsAreKnownBeforeLoading(t *testing.T) {
	_, ms := models(t, engine.Tiny)
	l, err := ms.Layout()
	if err != nil {
		t.Fatal(err)
	}
	if c := strings.Split(l.Metadata("character"), "\n"); len(c) != 10 || c[1] != "title" {
		t.Errorf("classes %q", c)
	}
	if l.Metadata("no such key") != "" {
		t.Error("a value of nothing")
	}
}

func TestBytesThatAreNoModelAreRefused(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("hello"), {0x3a, 0xff}, {0x3a, 0x02, 0x0a, 0x00}} {
		if _, err := engine.AppendArgMax(b); err == nil {
			t.Errorf("%v was taken for a model", b)
		}
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := engine.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := engine.Config{Slots: -1, Nice: 40, MemoryMark: 2, MemoryLimit: 1, MaxFrame: 2 << 30}.Validate()
	for _, name := range []string{"slots", "nice", "memory_limit", "max_frame", "max_documents", "max_pages", "page_deadline", "start_deadline"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestAProfileIsWhatItsKeysLeaveOpen(t *testing.T) {
	slow, own := engine.DefaultModelSet(), engine.DefaultModelSet()
	slow.Profile = engine.Accurate
	own.Recognition, own.Side = engine.Tiny, 960
	a, f, o := slow.Reading(), engine.DefaultModelSet().Reading(), own.Reading()
	if a.Recognition != engine.Cascade || f.Recognition != engine.Cascade || f.Doubt >= a.Doubt || f.String() == a.String() {
		t.Errorf("accurate %v, fast %v", a, f)
	}
	if o.Recognition != engine.Tiny || o.Side != 960 || o.Doubt != 0 || o.Width != a.Width {
		t.Errorf("own settings give %v", o)
	}
}

// TestModelsAreExchangedByConfiguration reads with the pinned files under other names and from another folder.
func TestModelsAreExchangedByConfiguration(t *testing.T) {
	set, _ := models(t, engine.Tiny)
	dir := t.TempDir()
	copied := func(name, as string) string {
		b, err := os.ReadFile(filepath.Join(set.Folder(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, as), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, as) + "@" + set.Digests()[strings.TrimSuffix(strings.TrimSuffix(name, ".onnx"), ".txt")]
	}
	set.Files.Quick, set.Files.QuickDictionary = copied("ppocrv6-tiny-rec.onnx", "mine.onnx"), copied("ppocrv6-tiny-dict.txt", "mine-words.txt")
	if d := set.Digests(); d["mine"] == "" || d["mine-words"] == "" || d["ppocrv6-tiny-rec"] != "" {
		t.Errorf("digests %v", d)
	}
	ms, err := set.Open()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ms.Recognisers()
	if err != nil || len(r) != 1 || r[0].Name != "mine" || len(r[0].Dictionary) < 1000 {
		t.Fatalf("%d recognisers, %v", len(r), err)
	}
	set.Files.Quick = strings.Repeat("0", 3) + set.Files.Quick[:len(set.Files.Quick)-3] + "000"
	if err := set.Check(); err == nil {
		t.Error("another file was taken for the pinned one")
	}
}
