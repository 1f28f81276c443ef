package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops/sample"
	"docstream/schemas/document"
)

// made returns a generated document and its truth.
func made(t testing.TB, o sample.Options) (pdf []byte, truth string) {
	t.Helper()
	var b, w bytes.Buffer
	if err := sample.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	if err := sample.WriteTruth(&w, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.String()
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The documents of this test share one platform: they are also each other's neighbours.
func TestDocumentsWalkTheWholeStream(t *testing.T) {
	p := start(t)
	in := func(t *testing.T) *platform { q := *p; q.t = t; return &q }

	t.Run("the bundled scan is read", func(t *testing.T) {
		p := in(t)
		pdf, truth := made(t, sample.Default())
		id := p.submit("sample.pdf", pdf, map[string]string{"priority": "high", "metadata": `{"customer":"4711"}`})
		if j := p.wait(id, 3*time.Minute); j.Status != "completed" || j.Progress.Total != 3 || j.Progress.Done != 3 || j.Progress.Percent != 100 {
			t.Fatalf("the job ended as %+v", j)
		}
		if f1 := wordF1(p.result(id, "markdown"), truth); f1 < 0.95 {
			t.Errorf("word F1 of the Markdown is %.4f, want at least 0.95", f1)
		} else {
			t.Logf("word F1 of the bundled scan: %.4f", f1)
		}
		p.everyFormat(id, truth)
		p.takesOver(id, pdf)
		p.sql(fmt.Sprintf("SELECT count(), countIf(status='finished') FROM pages WHERE job_id='%s'", id), "3\t3")
		p.sql(fmt.Sprintf("SELECT status, pages_done FROM jobs WHERE job_id='%s'", id), "completed\t3")
		p.sql(fmt.Sprintf("SELECT stage, count(), count(DISTINCT page) FROM usage WHERE job_id='%s' AND page>0 GROUP BY stage ORDER BY stage", id), "layout\t3\t3\nocr\t3\t3\nprepare\t3\t3")
	})

	t.Run("a text layer needs no recognition, pictures of text beside it do", func(t *testing.T) {
		p := in(t)
		id := p.submit("federal-register.pdf", file(t, "federal-register-15p.pdf"), nil)
		if j := p.wait(id, 2*time.Minute); j.Status != "completed" || j.Progress.Done != 15 {
			t.Fatalf("the job ended as %+v", j)
		}
		p.sql(fmt.Sprintf("SELECT count(), countIf(how='ocr') FROM pages WHERE job_id='%s'", id), "15\t6")
		p.sql(fmt.Sprintf("SELECT countIf(stage IN ('layout','ocr')) FROM usage WHERE job_id='%s'", id), "12")
		if text := p.result(id, "text"); !strings.Contains(text, "Federal Register") {
			t.Errorf("the text lacks the words of the document: %.200s", text)
		}
	})

	t.Run("every kind of sample ends as it should", func(t *testing.T) { everySample(t, in) })
	t.Run("bad input hurts only itself", func(t *testing.T) { badInput(t, in) })
	t.Run("a large document has bounded memory", func(t *testing.T) { largeDocument(t, in(t)) })
	t.Run("the metrics of every role are served", func(t *testing.T) {
		a := in(t).get(p.dev.Metrics)
		for _, name := range []string{"docstream_http_requests_total", "docstream_lane_records_total", "docstream_engine_calls_total", "docstream_sink_rows_total", "docstream_lane_backlog_seconds"} {
			if !bytes.Contains(a.body, []byte(name)) {
				t.Errorf("%s is not among the metrics", name)
			}
		}
	})
}

// takesOver submits the document of a job again: its pages are taken over, cost nothing, and make the same result.
func (p *platform) takesOver(id string, pdf []byte) {
	p.t.Helper()
	again := p.submit("again.pdf", pdf, map[string]string{"cache": "true"})
	if j := p.wait(again, time.Minute); j.Status != "completed" || j.Progress.Done != 3 {
		p.t.Fatalf("the document again ended as %+v", j)
	}
	var shown struct {
		From string `json:"cached_from"`
		Kept int    `json:"pages_kept"`
	}
	a := p.get("/api/v1/jobs/" + again)
	if a.json(p.t, &shown); shown.From != id || shown.Kept != 3 {
		p.t.Errorf("the document again took over %+v", shown)
	}
	for _, format := range []string{"json", "markdown", "text"} {
		if p.result(again, format) != p.result(id, format) {
			p.t.Errorf("the %s of the document again is another", format)
		}
	}
	p.sql(fmt.Sprintf("SELECT sum(units), countIf(stage IN ('layout', 'ocr')) FROM usage WHERE job_id='%s' AND page>0", again), "0\t0")
}

// everyFormat reads a result in each of its formats.
func (p *platform) everyFormat(id, truth string) {
	p.t.Helper()
	for format, want := range map[string]string{"text": "text/plain", "html": "text/html", "csv": "text/csv", "markdown": "text/markdown", "json": "application/json"} {
		a := p.get("/api/v1/jobs/" + id + "/result?format=" + format)
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), want) {
			p.t.Errorf("%s: status %d, type %s", format, a.status, a.header.Get("Content-Type"))
		}
	}
	var d document.Document
	if err := json.Unmarshal([]byte(p.result(id, "json")), &d); err != nil {
		p.t.Fatal(err)
	}
	if d.Format != document.DocumentFormat || len(d.Pages) != 3 || len(d.Models) == 0 || d.Pipeline == "" || d.SHA256 == "" {
		p.t.Errorf("the JSON lacks something: %+v", d.Head)
	}
	for _, page := range d.Pages {
		if page.Width < 100 || page.Confidence < 0.5 || len(page.Blocks) == 0 {
			p.t.Errorf("page %d is %g wide with %d blocks, confidence %g", page.Number, page.Width, len(page.Blocks), page.Confidence)
		}
		for _, b := range page.Blocks {
			if b.Box[0] < -1 || b.Box[2] > page.Width+1 || b.Box[3] > page.Height+1 {
				p.t.Errorf("page %d: a box %v outside %gx%g", page.Number, b.Box, page.Width, page.Height)
			}
		}
	}
	if f1 := wordF1(p.result(id, "text"), truth); f1 < 0.95 {
		p.t.Errorf("word F1 of the text is %.4f", f1)
	}
}

func everySample(t *testing.T, in func(*testing.T) *platform) {
	expected := func(name string) string { return string(file(t, "expected/"+name)) }
	for _, c := range []struct {
		name   string
		refuse string  // code of a refusal, or
		pages  int     // pages, and
		truth  string  // text, and
		f1     float64 // how near it must come
		plain  bool    // the truth is unmarked, and
		cells  string  // Markdown with tables that have to come out the same
		has    []string
	}{
		{name: "latin-languages.tif", pages: 1, truth: expected("latin-languages.txt"), f1: 0.85},
		{name: "chinese-two-lines.jpg", pages: 1},
		{name: "chinese-poster.jpg", pages: 1},
		{name: "skewed-10-degrees.png", pages: 1},
		{name: "old-book-scan-6p.pdf", pages: 6},
		{name: "report-scan-3p.pdf", pages: 3},
		{name: "invoice.pdf", pages: 1, has: []string{"INV/2023/03/0008"}},
		{name: "retail-receipt.pdf", pages: 1, truth: expected("retail-receipt.md"), f1: 0.85},
		{name: "repair-estimate-3p.pdf", pages: 3},
		{name: "background-checks-table.pdf", pages: 1, has: []string{"Alabama", "Wyoming"}},
		{name: "word-tables.docx", pages: 1, cells: expected("word-tables.md"), has: []string{"Test with tables", "Merged Cell 1.1 1.2"}},
		{name: "cell-formats.xlsx", pages: 1, has: []string{"1,599.99", "2.50%"}},
		{name: "slides.pptx", pages: 4, has: []string{"This is the first content slide"}},
		{name: "rich-tables.html", pages: 1, cells: expected("rich-tables.md"), has: []string{"White-headed duck"}},
		{name: "poems.epub", pages: 5, truth: unmarked(expected("poems.md")), f1: 0.96, plain: true, has: []string{"The Grave of the Slave"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := in(t)
			a := p.post(c.name, file(t, c.name), nil)
			if c.refuse != "" {
				if a.status/100 != 4 || code(a) != c.refuse {
					t.Errorf("status %d, code %s; want a refusal with %s", a.status, code(a), c.refuse)
				}
				return
			}
			var j job
			a.json(t, &j)
			if j = p.wait(j.JobID, 4*time.Minute); j.Status != "completed" {
				t.Fatalf("the job ended as %+v", j)
			}
			if c.pages > 0 && j.Progress.Done != c.pages {
				t.Errorf("%d pages, want %d", j.Progress.Done, c.pages)
			}
			text := p.result(j.JobID, "text")
			if c.plain {
				text = unmarked(text)
			}
			if c.truth != "" {
				if f1 := wordF1(text, c.truth); f1 < c.f1 {
					t.Errorf("word F1 %.4f, want at least %.2f", f1, c.f1)
				}
			}
			if c.cells != "" {
				markdown := p.result(j.JobID, "markdown")
				if f1 := cellF1(markdown, c.cells); f1 < 0.99 {
					t.Errorf("cell F1 %.4f", f1)
				}
				if f1 := wordF1(unmarked(markdown), unmarked(c.cells)); f1 < 0.86 { // the truth leaves out the captions of tables
					t.Errorf("word F1 %.4f", f1)
				}
			}
			for _, w := range c.has {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not in the text", w)
				}
			}
			p.sql(fmt.Sprintf("SELECT count(DISTINCT page) = %d FROM pages WHERE job_id='%s'", j.Progress.Done, j.JobID), "1")
		})
	}
}

// code returns the error code of an answer.
func code(a answer) string {
	var e struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(a.body, &e)
	return e.Error.Code
}

func badInput(t *testing.T, in func(*testing.T) *platform) {
	type bad struct {
		name string
		body []byte
	}
	var inputs []bad
	entries, err := os.ReadDir(filepath.Join(testenv.Samples(t), "bad"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		inputs = append(inputs, bad{e.Name(), file(t, "bad/"+e.Name())})
	}
	pdf, _ := made(t, sample.Options{Pages: 1, DPI: 100, Seed: 1})
	png := file(t, "skewed-10-degrees.png")
	inputs = append(inputs, bad{"empty.pdf", nil}, bad{"truncated.pdf", pdf[:len(pdf)/2]}, bad{"truncated.png", png[:len(png)/3]},
		bad{"wrong-type.pdf", []byte("\x7fELF\x02\x01\x01 no document at all")}, bad{"header-only.png", png[:24]})
	codes := codesOf(t)
	for _, b := range inputs {
		t.Run(b.name, func(t *testing.T) {
			p := in(t)
			a := p.post(b.name, b.body, nil)
			switch {
			case a.status/100 == 4:
				if !codes[code(a)] {
					t.Errorf("status %d with the code %q, which is not in the table", a.status, code(a))
				}
				return
			case a.status != http.StatusAccepted:
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			var j job
			a.json(t, &j)
			j = p.wait(j.JobID, 3*time.Minute)
			if j.Status == "failed" && (j.Error == nil || !codes[j.Error.Code] || j.Error.Message == "" || strings.Contains(j.Error.Message, "/")) {
				t.Errorf("the job failed with %+v", j.Error)
			}
			t.Logf("%s: %s %+v", b.name, j.Status, j.Error)
		})
	}
	t.Run("the next document is unaffected", func(t *testing.T) {
		p := in(t)
		id := p.submit("after.txt", []byte("A plain text.\n\nWith two paragraphs."), nil)
		if j := p.wait(id, time.Minute); j.Status != "completed" {
			t.Errorf("the job ended as %+v", j)
		}
	})
}

func largeDocument(t *testing.T, p *platform) {
	id := p.submit("tax-manual.pdf", file(t, "tax-manual-400p.pdf"), map[string]string{"priority": "low", "ocr": "off"})
	if j := p.wait(id, 10*time.Minute); j.Status != "completed" || j.Progress.Done != 400 {
		t.Fatalf("the job ended as %+v", j)
	}
	p.sql(fmt.Sprintf("SELECT count(), count(DISTINCT page) FROM pages WHERE job_id='%s'", id), "400\t400")
	if err := p.reload(); err != nil {
		t.Fatal(err)
	}
	for role, pid := range p.dev.PIDs {
		for i, member := range tree(pid) {
			if (role == "dev" || role == "cluster") && i > 0 {
				break // its children are the other roles
			}
			mb, err := peak(member)
			if err != nil {
				continue // an engine child that was just replaced
			}
			name := role
			if i > 0 {
				name += "'s child"
			}
			t.Logf("peak memory of %s: %d MB", name, mb)
			if mb > 1500 {
				t.Errorf("%s took %d MB", name, mb)
			}
		}
	}
}
