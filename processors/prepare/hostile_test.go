package prepare_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/processors/prepare/hostile"
	"docstream/schemas"
)

// childCap is all the memory a child of these tests may take: what would take more ends it, and the test with it.
const childCap = 1200 << 20

// strictPool is a pool of one child that is never replaced but for the harm done to it.
func strictPool(t *testing.T) *engine.Pool {
	return pool(t, func(c *engine.Config) {
		c.MaxDocuments, c.MaxPages, c.MemoryMark, c.MemoryLimit, c.PageDeadline = 1<<30, 1<<30, childCap, childCap, 15*time.Second
	})
}

// verdict is what a document's sender is told: the code of its refusal or, where no page could be read, of its first page; nothing where
// there is a page with something on it.
func verdict(b *bench, events []schemas.Event, err error) (schemas.Code, string) {
	if err != nil {
		f := fault.Of(err)
		if f.Kind == fault.Unavailable {
			return "WORLD", err.Error()
		}
		return f.Code, err.Error()
	}
	code, said := schemas.Code("EMPTY SUCCESS"), outline(events)
	if len(said) > 300 {
		said = said[:300] + "…"
	}
	for _, e := range events {
		switch e := e.(type) {
		case *schemas.PageFinished:
			if e.Words > 0 {
				return "", said
			}
		case *schemas.PagePrepared:
			return "", said
		case *schemas.PageFailed:
			if code == "EMPTY SUCCESS" {
				code = schemas.Code(e.Code)
			}
		}
	}
	return code, said
}

// TestHostileDocumentsAreToldWhatIsWrong reads each in the engine's child under its memory cap, then a sound one in the same child.
func TestHostileDocumentsAreToldWhatIsWrong(t *testing.T) {
	p := strictPool(t)
	right, all := 0, 0
	for _, c := range hostile.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(c.Media, c.Make())
			e.Source.Filename = c.File
			forgetPeak()
			start := time.Now()
			events, err := b.stage.Work(t.Context(), e, schemas.Delivery{Attempt: 3})
			took := time.Since(start)
			code, said := verdict(b, events, err)
			t.Logf("%-24s %8d bytes, %6.2f s, child at most %4d MiB", code, e.Source.Size, took.Seconds(), peak()>>20)
			if all++; code != c.Code {
				t.Errorf("got %q, want %q: %s", code, c.Code, said)
			} else {
				right++
			}
			if got := outline(b.work(t, b.submit(pdfType, book(1)), schemas.Delivery{})); got != "opened 1 1 application/pdf; text 1" {
				t.Errorf("the next document: %s", got)
			}
		})
	}
	t.Logf("%d of %d treated rightly", right, all)
}

// TestADocumentThatEndsEarlyIsNeverAnEmptySuccess cuts a document of each kind at every tenth byte.
func TestADocumentThatEndsEarlyIsNeverAnEmptySuccess(t *testing.T) {
	p := strictPool(t)
	for _, w := range hostile.Wholes() {
		t.Run(w.Name, func(t *testing.T) {
			b := newBench(t, p, nil)
			codes := map[schemas.Code]int{}
			for n := 0; n <= len(w.Bytes); n += 10 {
				if len(w.Bytes)-n < 10 {
					n = len(w.Bytes)
				}
				e := b.submit(w.Media, w.Bytes[:n])
				e.Source.Filename = w.File
				events, err := b.stage.Work(t.Context(), e, schemas.Delivery{Attempt: 3})
				code, said := verdict(b, events, err)
				if info, known := schemas.Codes[code]; code != "" && (!known || info.HTTP >= 500 || strings.HasPrefix(string(code), "ENGINE_")) || code != "" && n == len(w.Bytes) {
					t.Errorf("cut at %d of %d: %s, %s", n, len(w.Bytes), code, said)
				}
				codes[code]++
			}
			t.Logf("%v", codes)
		})
	}
}

// children are the processes of the pools of this test.
func children() (pids []string) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}

// forgetPeak makes the kernel forget the most memory a child had.
func forgetPeak() {
	for _, pid := range children() {
		_ = os.WriteFile("/proc/"+pid+"/clear_refs", []byte("5"), 0)
	}
}

// peak is the most memory that a child had since.
func peak() (bytes int64) {
	for _, pid := range children() {
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		for l := range strings.Lines(string(status)) {
			var kb int64
			if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
				if _, err := fmt.Sscan(v, &kb); err == nil {
					bytes = max(bytes, kb<<10)
				}
			}
		}
	}
	return bytes
}
