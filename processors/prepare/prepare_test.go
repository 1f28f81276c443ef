package prepare_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/processors/prepare"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
	"docstream/schemas/document"
)

const childVariable = "DOCSTREAM_TEST_CHILD"

// TestMain makes this very program the child of the engines that the tests start.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		err := engine.Main(context.Background(), func(m *engine.Mux) error {
			prepare.Register(m, prepare.Config{CompileDir: os.Getenv(childVariable)}, nil)
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func compileDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "docstream", "compiled")
}

// pool starts one child; change alters its bounds.
func pool(t testing.TB, change func(*engine.Config)) *engine.Pool {
	t.Helper()
	c := engine.DefaultConfig()
	c.Slots, c.Nice = 1, 0
	if change != nil {
		change(&c)
	}
	p := engine.NewPool(c, []string{os.Args[0], "-test.run=^$"}, append(os.Environ(), childVariable+"="+compileDir()), slog.New(slog.DiscardHandler), nil)
	t.Cleanup(func() { p.Close() })
	return p
}

func config(t testing.TB) prepare.Config {
	c := prepare.DefaultConfig()
	c.SourceDir = t.TempDir()
	c.CompileDir = compileDir()
	return c
}

// bench is a stage with everything around it.
type bench struct {
	*store
	stage *prepare.Stage
}

func newBench(t testing.TB, e prepare.Engine, change func(*prepare.Config)) *bench {
	t.Helper()
	c := config(t)
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s := newStore()
	return &bench{s, prepare.New(c, s, e, map[string]string{"tiny": "abc"}, slog.New(slog.DiscardHandler))}
}

const (
	tenant = "acme"
	job    = "job_00000000000000000000000001"
)

// submit puts a file into the store and returns the event that submits it.
func (b *bench) submit(media string, file []byte) *schemas.DocumentSubmitted {
	sum := sha256.Sum256(file)
	key := schemas.SourceKey(tenant, hex.EncodeToString(sum[:8]))
	b.bodies[key] = file
	return &schemas.DocumentSubmitted{
		Head:     schemas.Head{EventID: "evt_1", Tenant: tenant, JobID: job, SubmittedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		FromPage: 1, RequestID: "req_1", Class: "cpu", Priority: "high",
		Source:  schemas.Source{Key: key, Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), MediaType: media},
		Options: schemas.Options{OCR: "auto"},
	}
}

const pdfType = "application/pdf"

func textPage(n int) pdftest.Page {
	return pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, fmt.Sprintf("This is page %d of the harbour book.", n))}
}

func scanPage() pdftest.Page {
	img := &pdftest.Image{Width: 50, Height: 50, Pixels: bytes.Repeat([]byte{0, 80, 200}, 50*50/3+1)[:50*50]}
	return pdftest.Page{Content: pdftest.Picture(0, 0, 612, 792), Image: img}
}

func book(pages int) []byte {
	var ps []pdftest.Page
	for n := range pages {
		ps = append(ps, textPage(n+1))
	}
	return pdftest.Write(ps...)
}

// outline writes events so that a test can say what it expects of them.
func outline(events []schemas.Event) string {
	var out []string
	for _, e := range events {
		switch e := e.(type) {
		case *schemas.DocumentOpened:
			out = append(out, fmt.Sprintf("opened %d %s %s", e.PagesTotal, e.PageRanges, e.MediaType))
		case *schemas.PageFinished:
			out = append(out, fmt.Sprintf("text %d", e.Page))
		case *schemas.PagePrepared:
			out = append(out, fmt.Sprintf("image %d", e.Page))
		case *schemas.PageFailed:
			out = append(out, fmt.Sprintf("failed %d %s", e.Page, e.Code))
		case *schemas.DocumentSubmitted:
			out = append(out, fmt.Sprintf("continue %d %s %s", e.FromPage, e.Class, e.Priority))
		default:
			out = append(out, e.Kind())
		}
	}
	return strings.Join(out, "; ")
}

func (b *bench) work(t testing.TB, e *schemas.DocumentSubmitted, d schemas.Delivery) []schemas.Event {
	t.Helper()
	events, err := b.stage.Work(t.Context(), e, d)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestEachPageBecomesOneEvent(t *testing.T) {
	p := pool(t, nil)
	mixed := pdftest.Write(textPage(1), scanPage(), textPage(3))
	for name, c := range map[string]struct {
		file   []byte
		change func(*schemas.DocumentSubmitted)
		want   string
	}{
		"text and scans":           {file: mixed, want: "opened 3 1-3 application/pdf; text 1; image 2; text 3"},
		"forced":                   {mixed, func(e *schemas.DocumentSubmitted) { e.Options.OCR = "force" }, "opened 3 1-3 application/pdf; image 1; image 2; image 3"},
		"off":                      {mixed, func(e *schemas.DocumentSubmitted) { e.Options.OCR = "off" }, "opened 3 1-3 application/pdf; text 1; text 2; text 3"},
		"a selection":              {mixed, func(e *schemas.DocumentSubmitted) { e.Options.Pages = "3,1,9-" }, "opened 3 1,3 application/pdf; text 1; text 3"},
		"exactly a chunk":          {file: book(32), want: "opened 32 1-32 application/pdf; " + pages("text", 1, 32)},
		"a page more than a chunk": {file: book(33), want: "opened 33 1-33 application/pdf; " + pages("text", 1, 32) + "; continue 33 cpu normal"},
		"the continuation":         {book(33), func(e *schemas.DocumentSubmitted) { e.FromPage, e.Priority = 33, "normal" }, "text 33"},
		"the middle chunk":         {book(70), func(e *schemas.DocumentSubmitted) { e.FromPage, e.Priority = 33, "low" }, pages("text", 33, 64) + "; continue 65 cpu low"},
		"a selection that skips chunks": {book(100), func(e *schemas.DocumentSubmitted) { e.Options.Pages = "2,99-" },
			"opened 100 2,99-100 application/pdf; text 2; continue 97 cpu normal"},
		"a selection that skips the first chunk": {book(40), func(e *schemas.DocumentSubmitted) { e.Options.Pages = "40" }, "opened 40 40 application/pdf; continue 33 cpu normal"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(pdfType, c.file)
			if c.change != nil {
				c.change(e)
			}
			if got := outline(b.work(t, e, schemas.Delivery{})); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func pages(word string, first, last int) string {
	var out []string
	for n := first; n <= last; n++ {
		out = append(out, fmt.Sprintf("%s %d", word, n))
	}
	return strings.Join(out, "; ")
}

func TestEventsCarryWhatTheNextStageNeeds(t *testing.T) {
	b := newBench(t, pool(t, nil), nil)
	e := b.submit(pdfType, pdftest.Write(textPage(1), scanPage()))
	e.Run = 4
	events := b.work(t, e, schemas.Delivery{})
	opened, finished, prepared := events[0].(*schemas.DocumentOpened), events[1].(*schemas.PageFinished), events[2].(*schemas.PagePrepared)
	for i, ev := range events {
		h := ev.Envelope()
		if h.EventID != schemas.EventIDFor(job, 4, "prepare", []int{0, 1, 2}[i], ev.Kind(), 0) {
			t.Errorf("%s has the id %s", ev.Kind(), h.EventID)
		}
		if h.Tenant != tenant || h.JobID != job || h.Run != 4 || !h.SubmittedAt.Equal(e.SubmittedAt) || h.At.IsZero() {
			t.Errorf("%s has the head %+v", ev.Kind(), h)
		}
	}
	if opened.Pipeline == "" || opened.Pipeline != prepared.Pipeline || len(opened.Costs) != 1 || opened.Costs[0].Stage != "prepare" {
		t.Errorf("opened: %+v", opened)
	}
	line := b.bodies[finished.Result.Key][finished.Result.Offset:][:finished.Result.Length]
	if sum := sha256.Sum256(line); finished.Result.SHA256 != hex.EncodeToString(sum[:]) {
		t.Error("the digest of the page is not that of its range")
	}
	var page document.Page
	if err := json.Unmarshal(line, &page); err != nil {
		t.Fatal(err)
	}
	if page.Format != document.PageFormat || page.Number != 1 || page.Source != "text" || page.Blocks[0].Text != "This is page 1 of the harbour book." {
		t.Errorf("page: %+v", page)
	}
	if finished.How != "text" || finished.Lines != 1 || finished.Words != 8 || finished.Confidence != 1 {
		t.Errorf("finished: %+v", finished)
	}
	img := prepared.Image
	c, err := png.DecodeConfig(bytes.NewReader(b.bodies[img.Key]))
	if err != nil || c.Width != img.Width || c.Height != img.Height || img.Bytes != int64(len(b.bodies[img.Key])) || img.DPI != 150 || img.Width != 1275 {
		t.Errorf("image %+v, decoded %+v, %v", img, c, err)
	}
	if prepared.Class != "gpu" || prepared.Priority != "high" || prepared.RequestID != "req_1" || prepared.Options.OCR != "auto" {
		t.Errorf("prepared: %+v", prepared)
	}
}

func TestTheSameDocumentGivesTheSameObjects(t *testing.T) {
	p := pool(t, nil)
	file := pdftest.Write(textPage(1), scanPage(), textPage(3))
	var first *bench
	for range 2 {
		b := newBench(t, p, nil)
		b.work(t, b.submit(pdfType, file), schemas.Delivery{})
		if first == nil {
			first = b
			continue
		}
		for key, body := range first.bodies {
			if !bytes.Equal(body, b.bodies[key]) {
				t.Errorf("%s differs", key)
			}
		}
	}
}

func TestASecondAttemptFindsWhatTheFirstDid(t *testing.T) {
	b := newBench(t, pool(t, nil), nil)
	e := b.submit(pdfType, pdftest.Write(textPage(1), scanPage(), scanPage()))
	first := b.work(t, e, schemas.Delivery{})
	delete(b.bodies, first[3].(*schemas.PagePrepared).Image.Key) // the first attempt did not come so far
	b.puts = nil
	second := b.work(t, e, schemas.Delivery{Attempt: 1, Again: true})
	if len(b.puts) != 1 || b.puts[0] != first[3].(*schemas.PagePrepared).Image.Key {
		t.Errorf("wrote %v", b.puts)
	}
	for i := range first {
		if first[i].Envelope().EventID != second[i].Envelope().EventID {
			t.Errorf("event %d has another id", i)
		}
	}
	if a, z := first[1].(*schemas.PageFinished).Result, second[1].(*schemas.PageFinished).Result; a != z {
		t.Errorf("text page at %+v, then at %+v", a, z)
	}
	if a, z := first[2].(*schemas.PagePrepared).Image, second[2].(*schemas.PagePrepared).Image; a != z {
		t.Errorf("image %+v, then %+v", a, z)
	}
}

func TestAPageOfTextAndPicturesGoesOnWithBoth(t *testing.T) {
	b := newBench(t, pool(t, nil), nil)
	strokes := &pdftest.Image{Width: 400, Height: 120}
	for y := range strokes.Height {
		for x := range strokes.Width { // as even as writing
			v := byte(250)
			if y%20 < 12 && x%8 < 2 && (x/40+y/20)%5 > 0 {
				v = 10
			}
			strokes.Pixels = append(strokes.Pixels, v)
		}
	}
	content := textPage(1).Content + pdftest.Lines("F1", 12, 14, 72, 680, "The harbour was quiet when the first boat", "came in, its sails wet from the night.")
	e := b.submit(pdfType, pdftest.Write(pdftest.Page{Content: content + pdftest.Picture(72, 300, 450, 330), Image: strokes}))
	first := b.work(t, e, schemas.Delivery{})
	p, ok := first[1].(*schemas.PagePrepared)
	if !ok || p.Text != schemas.WorkKey(tenant, job, 0, "pages/000001.text.json") {
		t.Fatalf("the page became %+v", first[1])
	}
	var text document.Page
	if err := json.Unmarshal(b.bodies[p.Text], &text); err != nil || text.Number != 1 || !strings.Contains(text.Blocks[0].Text, "harbour book") || len(b.bodies[p.Image.Key]) == 0 {
		t.Errorf("%v: its text is %+v", err, text)
	}
	b.puts = nil
	if again := b.work(t, e, schemas.Delivery{Attempt: 1, Again: true}); len(b.puts) != 0 || again[1].(*schemas.PagePrepared).Text != p.Text || again[1].(*schemas.PagePrepared).Image != p.Image {
		t.Errorf("again: wrote %v, %+v", b.puts, again[1])
	}
}

func TestTheStoredTextPagesDecide(t *testing.T) {
	b := newBench(t, pool(t, nil), nil)
	e := b.submit(pdfType, book(3))
	first := b.work(t, e, schemas.Delivery{})
	key := first[1].(*schemas.PageFinished).Result.Key
	lines := bytes.SplitAfter(b.bodies[key], []byte("\n"))
	b.bodies[key] = slices.Concat(lines[0], lines[2]) // as if page 2 had crashed on the attempt that stored them
	second := b.work(t, e, schemas.Delivery{Attempt: 1, Again: true})
	if got := outline(second); got != "opened 3 1-3 application/pdf; text 1; failed 2 PREPARE_FAILED; text 3" {
		t.Fatalf("got %s", got)
	}
	r := second[3].(*schemas.PageFinished).Result
	if got := b.bodies[key][r.Offset:][:r.Length]; !bytes.Equal(append(got, '\n'), lines[2]) {
		t.Errorf("page 3 is said to be %q", got)
	}
}

func TestThePipelineVersionNamesWhatChangesAResult(t *testing.T) {
	p := pool(t, nil)
	version := func(change func(*prepare.Config), options schemas.Options, models map[string]string) string {
		c := config(t)
		if change != nil {
			change(&c)
		}
		s := newStore()
		b := &bench{s, prepare.New(c, s, p, models, slog.New(slog.DiscardHandler))}
		e := b.submit(pdfType, book(1))
		e.Options = options
		return b.work(t, e, schemas.Delivery{})[0].(*schemas.DocumentOpened).Pipeline
	}
	models := map[string]string{"a": "1", "b": "2"}
	usual := version(nil, schemas.Options{OCR: "auto"}, models)
	if version(nil, schemas.Options{Pages: " 1- "}, models) != version(nil, schemas.Options{OCR: "auto", Pages: "1-"}, models) {
		t.Error("options that mean the same differ")
	}
	for name, other := range map[string]string{
		"a model":   version(nil, schemas.Options{OCR: "auto"}, map[string]string{"a": "1", "b": "3"}),
		"an option": version(nil, schemas.Options{OCR: "force"}, models),
		"dpi":       version(func(c *prepare.Config) { c.DPI = 200 }, schemas.Options{OCR: "auto"}, models),
		"outputs":   version(func(c *prepare.Config) { c.Composing = "compose/2" }, schemas.Options{OCR: "auto"}, models),
		"a stage":   version(func(c *prepare.Config) { c.Versions = []string{"ocr/2"} }, schemas.Options{OCR: "auto"}, models),
	} {
		if other == usual {
			t.Errorf("%s does not change the pipeline version", name)
		}
	}
}
