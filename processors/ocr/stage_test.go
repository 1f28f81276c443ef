package ocr_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/processors/ocr"
	"docstream/schemas"
	"docstream/schemas/document"
)

// TestMain makes the test binary its own engine: started with the word engine it is a child, with "scripted" answers or real models.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		build := scripted
		if len(os.Args) > 2 && os.Args[2] == "models" {
			build = func(m *engine.Mux) error {
				models, err := engine.DefaultModelSet().Open()
				if err == nil {
					ocr.Register(m, models)
				}
				return err
			}
		}
		if err := engine.Main(context.Background(), build); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// scripted reads what the image's bytes say.
func scripted(m *engine.Mux) error {
	engine.Handle(m, ocr.Method, func(_ context.Context, req ocr.Request) (ocr.Result, error) {
		switch string(req.Image) {
		case "crash":
			os.Exit(1)
		case "bad":
			return ocr.Result{}, fault.Document(schemas.PageCorrupt, "No.")
		}
		p := document.Page{Format: document.PageFormat, Number: req.Number, Unit: "pt", Source: "ocr", Confidence: .5, Blocks: []document.Block{
			{Kind: document.Paragraph, Text: string(req.Image), Lines: []document.Line{{Text: string(req.Image), Words: make([]document.Word, 2)}}}}}
		b, err := json.Marshal(p)
		return ocr.Result{JSON: b, Lines: 1, Words: 2, Confidence: .5}, err
	})
	return nil
}

// shelf is an object store in memory.
type shelf struct {
	mu      sync.Mutex
	objects map[string][]byte
	meta    map[string]map[string]string
	gets    int
	failing error
	before  func() // called once before a Put looks
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, meta: map[string]map[string]string{}}
}

func (s *shelf) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.failing != nil {
		return nil, blob.Object{}, s.failing
	}
	b, ok := s.objects[key]
	if !ok {
		return nil, blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), blob.Object{Key: key, Size: int64(len(b)), Meta: s.meta[key]}, nil
}

func (s *shelf) Put(_ context.Context, key string, body []byte, o blob.Options) error {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok && o.Once {
		return fmt.Errorf("%s: %w", key, blob.ErrExists)
	}
	s.objects[key], s.meta[key] = bytes.Clone(body), o.Meta
	return nil
}

func newEngine(t testing.TB, args ...string) *engine.Pool {
	c := engine.DefaultConfig()
	c.Slots = 1
	p := engine.NewPool(c, append([]string{os.Args[0], "engine"}, args...), nil, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	t.Cleanup(p.Close)
	return p
}

func event() *schemas.PageLaidOut {
	return &schemas.PageLaidOut{
		Head: schemas.Head{EventID: "evt_x", Tenant: "acme", JobID: "job_01", Run: 2, SubmittedAt: time.UnixMilli(5).UTC()},
		Page: 7, Image: schemas.Image{Key: "work/acme/job_01/2/pages/000007.png", DPI: 150},
		Costs: []schemas.StageCost{{Stage: "prepare", Device: "cpu", CPUMicros: 3, WallMicros: 4}, {Stage: "layout", Device: "cpu", CPUMicros: 5, WallMicros: 6}},
	}
}

const resultKey = "results/acme/job_01/2/pages/000007.json"

func work(t *testing.T, s *ocr.Stage, d schemas.Delivery) *schemas.PageFinished {
	t.Helper()
	out, err := s.Work(t.Context(), event(), d)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Fatalf("%d events", len(out))
	}
	return out[0].(*schemas.PageFinished)
}

func TestAPageBecomesOneResultObjectAndOneEvent(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("hello world")
	got := work(t, ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()), schemas.Delivery{})
	body := s.objects[resultKey]
	sum := sha256.Sum256(body)
	if want := (schemas.ObjectRef{Key: resultKey, Length: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}); got.Result != want {
		t.Errorf("result %+v, want %+v", got.Result, want)
	}
	if got.EventID != schemas.EventIDFor("job_01", 2, "ocr", 7, "PageFinished", 0) || got.Tenant != "acme" || got.How != "ocr" ||
		got.Page != 7 || got.Lines != 1 || got.Words != 2 || got.Confidence != .5 || !got.SubmittedAt.Equal(event().SubmittedAt) || got.At.IsZero() {
		t.Errorf("event %+v", got)
	}
	if len(got.Costs) != 3 || got.Costs[2].Stage != "ocr" || got.Costs[2].Device != "cpu" || got.Costs[2].WallMicros == 0 {
		t.Errorf("costs %+v", got.Costs)
	}
	if s.gets != 1 {
		t.Errorf("%d reads: a first attempt looks for no earlier result", s.gets)
	}
}

func TestWhoeverComesSecondReportsTheStoredResult(t *testing.T) {
	for name, again := range map[string]bool{"looks first": true, "loses the race": false} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.objects[event().Image.Key] = []byte("hello world")
			stage := ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default())
			first := work(t, stage, schemas.Delivery{})
			s.objects[event().Image.Key] = []byte("another text, as if a model had changed")
			second := work(t, stage, schemas.Delivery{Attempt: 1, Again: again})
			second.At = first.At
			if !reflect.DeepEqual(first, second) {
				t.Errorf("first  %+v\nsecond %+v", first, second)
			}
		})
	}
}

func TestAgainWithoutAStoredResultWorks(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("hello world")
	if got := work(t, ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()), schemas.Delivery{Again: true}); got.Lines != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFaultsSayWhose(t *testing.T) {
	away := fault.World(schemas.ServiceUnavailable, "Storage is away.")
	small := ocr.DefaultConfig()
	small.MaxImageBytes = 3
	for name, tc := range map[string]struct {
		image   string
		failing error
		cfg     ocr.Config
		kind    fault.Kind
		code    schemas.Code
	}{
		"missing image":  {"", nil, ocr.DefaultConfig(), fault.Permanent, schemas.PageCorrupt},
		"damaged image":  {"bad", nil, ocr.DefaultConfig(), fault.Permanent, schemas.PageCorrupt},
		"image too big":  {"four", nil, small, fault.Permanent, schemas.PageTooLarge},
		"engine crashes": {"crash", nil, ocr.DefaultConfig(), fault.Unknown, schemas.EngineCrashed},
		"store is away":  {"x", away, ocr.DefaultConfig(), fault.Unavailable, schemas.ServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			if tc.image != "" {
				s.objects[event().Image.Key] = []byte(tc.image)
			}
			s.failing = tc.failing
			_, err := ocr.New(tc.cfg, s, newEngine(t), slog.Default()).Work(t.Context(), event(), schemas.Delivery{})
			if f := fault.Of(err); f.Kind != tc.kind || f.Code != tc.code {
				t.Errorf("got %v", err)
			}
			if len(s.objects[resultKey]) > 0 {
				t.Error("a failed page left a result")
			}
		})
	}
}

func TestACancelledPageIsNobodysFault(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()).Work(ctx, event(), schemas.Delivery{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := ocr.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (ocr.Config{Device: "tpu", Reading: ""}).Validate(); err == nil {
		t.Error("nothing was named")
	}
}
