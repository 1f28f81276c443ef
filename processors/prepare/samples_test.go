package prepare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // kinds of figures
	_ "image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/internal/media"
	"docstream/schemas"
	"docstream/schemas/document"
)

// sample reads a file of the sample folder: DOCSTREAM_SAMPLES, or shared/samples beside the repository. Without either the test is skipped.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("DOCSTREAM_SAMPLES")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "shared", "samples")
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if os.IsNotExist(err) {
		t.Skipf("no samples in %s", filepath.Base(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// count counts the kinds of events.
func count(events []schemas.Event) map[string]int {
	out := map[string]int{}
	for _, e := range events {
		out[e.Kind()]++
	}
	return out
}

func TestSamplesAreReadAsWhatTheyAre(t *testing.T) {
	p := pool(t, nil)
	for name, c := range map[string]struct {
		media string
		want  string
	}{
		"federal-register-15p.pdf":    {pdfType, "opened 15 1-15 application/pdf; " + pages("text", 1, 7) + "; " + pages("image", 8, 11) + "; text 12; " + pages("image", 13, 14) + "; text 15"},
		"background-checks-table.pdf": {pdfType, "opened 1 1 application/pdf; text 1"},
		"report-scan-3p.pdf":          {pdfType, "opened 3 1-3 application/pdf; " + pages("image", 1, 3)},
		"retail-receipt.pdf":          {pdfType, "opened 1 1 application/pdf; text 1"},
		"repair-estimate-3p.pdf":      {pdfType, "opened 3 1-3 application/pdf; " + pages("text", 1, 3)},
		"invoice.pdf":                 {pdfType, "opened 1 1 application/pdf; text 1"},
		"latin-languages.tif":         {"image/tiff", "opened 1 1 image/tiff; image 1"},
		"skewed-10-degrees.png":       {"image/png", "opened 1 1 image/png; image 1"},
		"chinese-poster.jpg":          {"image/jpeg", "opened 1 1 image/jpeg; image 1"},
		"chinese-two-lines.jpg":       {"image/jpeg", "opened 1 1 image/jpeg; image 1"},
		"expected/poems.md":           {"text/markdown", "opened 1 1 text/markdown; text 1"},
		"word-tables.docx":            {media.Word, "opened 1 1 " + media.Word + "; text 1"},
		"numbered-lists.docx":         {media.Word, "opened 3 1-3 " + media.Word + "; " + pages("text", 1, 3)},
		"cell-formats.xlsx":           {media.Excel, "opened 1 1 " + media.Excel + "; text 1"},
		"slides.pptx":                 {media.Slides, "opened 4 1-4 " + media.Slides + "; " + pages("text", 1, 4)},
		"poems.epub":                  {media.EPUB, "opened 5 1-5 " + media.EPUB + "; " + pages("text", 1, 5)},
		"rich-tables.html":            {media.HTML, "opened 1 1 text/html; text 1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			if got := outline(b.work(t, b.submit(c.media, sample(t, name)), schemas.Delivery{})); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBadSamplesEndWell(t *testing.T) {
	p := pool(t, nil)
	for name, c := range map[string]struct {
		media string
		code  schemas.Code // none: best effort, every page has its event
	}{
		"fuzzed-poppler-90.pdf":  {pdfType, ""},
		"fuzzed-pdfbox-4352.pdf": {pdfType, schemas.PageCorrupt},
		"broken-issue-101.pdf":   {pdfType, schemas.DocumentCorrupt},
		"broken-37.pdf":          {pdfType, ""},
		"password-r4.pdf":        {pdfType, schemas.DocumentEncrypted},
		"fuzzed.docx":            {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", schemas.DocumentCorrupt},
		"fuzzed.xlsx":            {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", schemas.DocumentCorrupt},
		"password.docx":          {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", schemas.DocumentEncrypted},
		"crash.tif":              {"image/tiff", schemas.DocumentUnsupported},
		"row-overflow.bmp":       {"image/bmp", schemas.DocumentUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			events, err := b.stage.Work(t.Context(), b.submit(c.media, sample(t, "bad/"+name)), schemas.Delivery{})
			if c.code != "" {
				if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
					t.Errorf("got %s, %v; want %s", outline(events), err, c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if opened := events[0].(*schemas.DocumentOpened); len(events) != 1+opened.PagesTotal {
				t.Errorf("%d pages gave %s", opened.PagesTotal, outline(events))
			}
		})
	}
}

// TestFiguresOfSamplesLieBesideTheirPages asks for pictures: each that a page names is there, and is the picture it says.
func TestFiguresOfSamplesLieBesideTheirPages(t *testing.T) {
	p := pool(t, nil)
	for name, kind := range map[string]string{"federal-register-15p.pdf": pdfType, "retail-receipt.pdf": pdfType, "slides.pptx": media.Slides,
		"word-tables.docx": media.Word, "numbered-lists.docx": media.Word, "poems.epub": media.EPUB, "rich-tables.html": "text/html"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(kind, sample(t, name))
			e.Options.Figures = schemas.On
			b.work(t, e, schemas.Delivery{})
			var texts [][]byte
			stored := 0
			for key, body := range b.bodies {
				switch {
				case strings.Contains(key, "/figures/"):
					stored++
				case strings.HasSuffix(key, ".jsonl"), strings.HasSuffix(key, ".text.json"):
					texts = append(texts, bytes.Split(bytes.TrimSpace(body), []byte("\n"))...)
				}
			}
			figures, named := 0, 0
			for _, text := range texts {
				var page document.Page
				if err := json.Unmarshal(text, &page); err != nil {
					t.Fatal(err)
				}
				for _, k := range page.Blocks {
					if k.Kind == document.Figure {
						figures++
					}
					if k.Image == nil {
						continue
					}
					named++
					c, _, err := image.DecodeConfig(bytes.NewReader(b.bodies[schemas.ResultKey(tenant, job, 0, k.Image.Name)]))
					if err != nil || c.Width != k.Image.Width || c.Height != k.Image.Height {
						t.Errorf("%s is %+v, %v; the page says %+v", k.Image.Name, c, err, k.Image)
					}
				}
			}
			if named != stored {
				t.Errorf("%d figures are named, %d lie there", named, stored)
			}
			t.Logf("%d figures, %d with a picture", figures, named)
		})
	}
}

// TestALongDocumentIsReadInBoundedMemory follows the continuations of 400 pages and looks at the child's memory.
func TestALongDocumentIsReadInBoundedMemory(t *testing.T) {
	file := sample(t, "tax-manual-400p.pdf")
	b := newBench(t, pool(t, func(c *engine.Config) { c.MaxDocuments = 1000 }), nil)
	e := b.submit(pdfType, file)
	total, chunks, events := map[string]int{}, 0, []schemas.Event(nil)
	var cpu, opening int64
	for e != nil {
		events = b.work(t, e, schemas.Delivery{})
		chunks++
		e = nil
		for kind, n := range count(events) {
			total[kind] += n
		}
		for _, ev := range events {
			switch ev := ev.(type) {
			case *schemas.DocumentSubmitted:
				e = ev
			case *schemas.PageFinished:
				cpu += ev.Costs[0].CPUMicros
			case *schemas.DocumentOpened:
				opening = ev.Costs[0].CPUMicros
			}
		}
	}
	if chunks != 13 || total["PageFinished"]+total["PagePrepared"] != 400 || total["PageFailed"] != 0 || total["DocumentOpened"] != 1 {
		t.Errorf("%d chunks: %v", chunks, total)
	}
	if n := len(b.under("results/")); n != 13 {
		t.Errorf("%d text objects", n)
	}
	if gets := len(b.gets); gets != 1 {
		t.Errorf("the source was fetched %d times", gets)
	}
	t.Logf("%v; %.2f ms CPU a text page, %.0f ms to open; child at most %s", total, float64(cpu)/1000/float64(total["PageFinished"]), float64(opening)/1000, childPeak(t))
}

// childPeak reads the peak memory of this process's only child.
func childPeak(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if err != nil || len(files) == 0 {
		return "unknown"
	}
	peak := "unknown"
	for _, f := range files {
		pids, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for pid := range strings.FieldsSeq(string(pids)) {
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil {
				continue
			}
			for l := range strings.Lines(string(status)) {
				if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
					peak = strings.TrimSpace(v)
					var kb int64
					if _, err := fmt.Sscan(peak, &kb); err == nil && kb > 512<<10 {
						t.Errorf("the child took %s", peak)
					}
				}
			}
		}
	}
	return peak
}
