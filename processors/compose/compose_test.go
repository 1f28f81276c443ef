package compose_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/compose"
	"docstream/schemas"
	"docstream/schemas/document"
)

const (
	tenant = "acme"
	job    = "job_00000000000000000000000001"
)

func key(name string) string { return schemas.ResultKey(tenant, job, 2, name) }

// page makes a page result with these blocks.
func page(n int, source string, blocks ...document.Block) document.Page {
	if blocks == nil {
		blocks = []document.Block{}
	}
	return document.Page{Format: document.PageFormat, Number: n, Width: 612, Height: 792, Unit: "pt", Source: source, Confidence: 1, Blocks: blocks}
}

func para(s string) document.Block {
	return document.Block{Kind: document.Paragraph, Text: s, Confidence: 1}
}

// put stores pages as the stages before would have: text pages by chunk, recognised ones alone.
func (s *store) put(t testing.TB, e *schemas.DocumentFinished, pages ...document.Page) {
	t.Helper()
	for _, p := range pages {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		e.Finished = schemas.Bitmap(e.Finished).Set(p.Number)
		if p.Source != "text" {
			s.bodies[key(schemas.PageResultName(p.Number))] = b
			continue
		}
		e.Text = schemas.Bitmap(e.Text).Set(p.Number)
		k := key(schemas.TextChunkName(p.Number))
		s.bodies[k] = append(append(s.bodies[k], b...), '\n')
	}
}

func event(total int) *schemas.DocumentFinished {
	return &schemas.DocumentFinished{Head: schemas.Head{EventID: "evt_1", Tenant: tenant, JobID: job, Run: 2}, PagesTotal: total, Pipeline: "pv_1",
		Source: schemas.Source{MediaType: "application/pdf", SHA256: "abc"}, Options: schemas.Options{OCR: "auto", Pages: "1-9"}}
}

func stage(s *store) *compose.Stage {
	return compose.New(compose.DefaultConfig(), s, map[string]string{"tiny/rec": "d1"}, slog.New(slog.DiscardHandler))
}

func run(t testing.TB, s *store, e *schemas.DocumentFinished) *schemas.DocumentComposed {
	t.Helper()
	events, err := stage(s).Work(t.Context(), e, schemas.Delivery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	return events[0].(*schemas.DocumentComposed)
}

func TestPagesComeInOrderFromWhereTheyLie(t *testing.T) {
	s, e := newStore(), event(70)
	s.put(t, e, page(1, "text", para("one")), page(2, "ocr", para("two")), page(3, "text", para("three")), page(33, "text", para("thirty-three")), page(64, "ocr", para("sixty-four")))
	got := run(t, s, e)
	if want := "one\n\ntwo\n\nthree\n\nthirty-three\n\nsixty-four\n"; string(s.bodies[key("document.txt")]) != want {
		t.Errorf("text is %q", s.bodies[key("document.txt")])
	}
	reads := map[string]int{}
	for _, k := range s.gets {
		reads[k]++
	}
	if len(reads) != 4 || reads[key(schemas.TextChunkName(1))] != 1 {
		t.Errorf("read %v", reads)
	}
	if got.EventID != schemas.EventIDFor(job, 2, "compose", 0, "DocumentComposed", 0) || got.Costs[0].Stage != "compose" {
		t.Errorf("event %+v", got)
	}
}

func TestTheReportIsOfWhatIsStored(t *testing.T) {
	s, e := newStore(), event(1)
	s.put(t, e, page(1, "text", para("one")))
	got := run(t, s, e)
	check := func(c *schemas.DocumentComposed) {
		t.Helper()
		for _, o := range c.Outputs {
			b := s.bodies[o.Key]
			sum := sha256.Sum256(b)
			if o.Size != int64(len(b)) || o.SHA256 != hex.EncodeToString(sum[:]) || o.MediaType != s.options[o.Key].MediaType || !s.options[o.Key].Once {
				t.Errorf("%+v does not describe %q", o, b)
			}
		}
	}
	check(got)
	again := run(t, s, e)
	check(again)
	if !slices.Equal(got.Outputs, again.Outputs) {
		t.Error("the second report differs")
	}
	s.bodies[key("document.md")] = []byte("what another build stored first\n")
	check(run(t, s, e))
}

func TestOnlyWhatWasAskedForIsWritten(t *testing.T) {
	for asked, want := range map[string]string{
		"":                            "json markdown html csv text",
		"json":                        "json",
		"markdown":                    "json markdown",
		"text csv":                    "json csv text",
		"markdown json html csv text": "json markdown html csv text",
	} {
		s, e := newStore(), event(1)
		s.put(t, e, page(1, "text"))
		e.Options.OutputFormats = strings.Fields(asked)
		var names []string
		for _, o := range run(t, s, e).Outputs {
			names = append(names, o.Format)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q gives %q, want %q", asked, got, want)
		}
	}
}

func TestJSONIsTheDocumentModel(t *testing.T) {
	s, e := newStore(), event(3)
	p := page(1, "ocr", document.Block{Kind: document.Paragraph, Text: "a < b", Confidence: .987, Box: document.NewBox(1, 2, 3, 4),
		Lines: []document.Line{{Text: "a < b", Confidence: .987, Model: "tiny/rec", Words: []document.Word{{Text: "a", Confidence: .5}}}}})
	s.put(t, e, p, page(3, "text"))
	e.Failures = []schemas.PageFailure{{Page: 2, Stage: "ocr", Code: "OCR_FAILED", Message: "It failed."}}
	run(t, s, e)
	var d document.Document
	dec := json.NewDecoder(bytes.NewReader(s.bodies[key("document.json")]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	p.Format = ""
	want := document.Document{Head: document.Head{Format: "docstream.document/1", MediaType: "application/pdf", SHA256: "abc", Pipeline: "pv_1",
		Options: document.Options{OCR: "auto", Pages: "1-9"}, Models: map[string]string{"tiny/rec": "d1"}, PagesTotal: 3,
		Failures: []document.Failure{{Page: 2, Stage: "ocr", Code: "OCR_FAILED", Message: "It failed."}}},
		Pages: []document.Page{p, {Number: 3, Width: 612, Height: 792, Unit: "pt", Source: "text", Confidence: 1, Blocks: []document.Block{}}}, Confidence: 1}
	a, _ := json.Marshal(d)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestNoPageAtAllIsStillADocument(t *testing.T) {
	s, e := newStore(), event(2)
	run(t, s, e)
	var d document.Document
	if err := json.Unmarshal(s.bodies[key("document.json")], &d); err != nil || d.Pages == nil || len(d.Pages) != 0 {
		t.Errorf("%s: %v", s.bodies[key("document.json")], err)
	}
}

func TestTheOrderOfFailuresDoesNotMatter(t *testing.T) {
	var first []byte
	for _, order := range [][]int{{2, 3}, {3, 2}} {
		s, e := newStore(), event(3)
		s.put(t, e, page(1, "text", para("one")))
		for _, n := range order {
			e.Failures = append(e.Failures, schemas.PageFailure{Page: n, Code: "OCR_FAILED"})
		}
		run(t, s, e)
		if b := s.bodies[key("document.json")]; first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Error("the outputs differ")
		}
	}
}

func TestAPageThatIsNotThereFailsTheComposition(t *testing.T) {
	for name, spoil := range map[string]func(*store, *schemas.DocumentFinished){
		"recognised page missing": func(s *store, _ *schemas.DocumentFinished) { delete(s.bodies, key(schemas.PageResultName(2))) },
		"text object missing":     func(s *store, _ *schemas.DocumentFinished) { delete(s.bodies, key(schemas.TextChunkName(1))) },
		"line missing": func(_ *store, e *schemas.DocumentFinished) {
			e.Text, e.Finished = schemas.Bitmap(e.Text).Set(9), schemas.Bitmap(e.Finished).Set(9)
		},
		"a line between missing": func(_ *store, e *schemas.DocumentFinished) { e.Text = schemas.Bitmap(e.Text).Set(2) },
		"another page in its place": func(s *store, _ *schemas.DocumentFinished) {
			s.bodies[key(schemas.PageResultName(2))] = []byte(`{"format":"docstream.page/1","number":7}`)
		},
		"not JSON": func(s *store, _ *schemas.DocumentFinished) {
			s.bodies[key(schemas.PageResultName(2))] = []byte(`{"format":`)
		},
		"another format": func(s *store, _ *schemas.DocumentFinished) {
			s.bodies[key(schemas.PageResultName(2))] = []byte(`{"format":"x/2","number":2}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := newStore(), event(9)
			s.put(t, e, page(1, "text", para("one")), page(2, "ocr", para("two")), page(3, "text", para("three")))
			spoil(s, e)
			_, err := stage(s).Work(t.Context(), e, schemas.Delivery{})
			if f := fault.Of(err); err == nil || f.Code != schemas.ComposeFailed || f.Kind != fault.Unknown {
				t.Errorf("got %v", err)
			}
			for k := range s.bodies {
				if strings.Contains(k, "/document.") {
					t.Errorf("%s was written", k)
				}
			}
		})
	}
}

func TestAStoreThatCannotBeReachedIsTheWorldsFault(t *testing.T) {
	down := fault.World(schemas.ServiceUnavailable, "down").Because(errors.New("refused"))
	for _, at := range []string{"get " + key("pages/"), "upload " + key("document.csv"), "upload " + key("document.json")} {
		s, e := newStore(), event(2)
		s.put(t, e, page(1, "text", para(strings.Repeat("long ", 100_000))), page(2, "ocr", para("two")))
		s.fail = func(op, key string) error {
			if strings.HasPrefix(op+" "+key, at) {
				return down
			}
			return nil
		}
		if _, err := stage(s).Work(t.Context(), e, schemas.Delivery{}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

func TestAnUnknownFormatIsRefused(t *testing.T) {
	s, e := newStore(), event(0)
	e.Options.OutputFormats = []string{"pdf"}
	if _, err := stage(s).Work(t.Context(), e, schemas.Delivery{}); fault.Of(err).Code != schemas.InvalidOption {
		t.Errorf("got %v", err)
	}
}

func TestALongDocumentIsStreamed(t *testing.T) {
	s, e := newStore(), event(3000)
	for n := 1; n <= 3000; n++ {
		s.put(t, e, page(n, "text", para(fmt.Sprintf("page %d %s", n, strings.Repeat("harbour ", 50)))))
	}
	if got := run(t, s, e); got.Outputs[1].Size < 3000*400 {
		t.Errorf("outputs %+v", got.Outputs)
	}
	if n := strings.Count(string(s.bodies[key("document.md")]), "page "); n != 3000 {
		t.Errorf("%d pages in Markdown", n)
	}
	if len(s.gets) != 94 {
		t.Errorf("%d reads", len(s.gets))
	}
}
