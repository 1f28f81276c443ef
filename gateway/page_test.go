package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/schemas"
	"docstream/schemas/document"
)

// pageText is the JSON of a page of one paragraph, as stages write it.
func pageText(n int, text string) []byte {
	b, err := json.Marshal(document.Page{Format: document.PageFormat, Number: n, Width: 100, Height: 100, Unit: "pt", Source: "ocr",
		Blocks: []document.Block{{Kind: document.Paragraph, Text: text}}})
	if err != nil {
		panic(err)
	}
	return b
}

// half is a job under way: of pages 1-4 and 7 it has read 1 (recognised) and 2 (from the text layer), and 3 has failed.
func (w *world) half(tenant, job string) *schemas.JobSnapshot {
	w.t.Helper()
	s := snapshot(tenant, job, 5, schemas.Processing)
	s.PageRanges, s.PagesTotal, s.PagesExpected, s.PagesDone, s.PagesFailed = "1-4,7", 7, 5, 2, 1
	s.Finished = schemas.Bitmap(nil).Set(1).Set(2)
	s.Text = schemas.Bitmap(nil).Set(2)
	s.Failed = schemas.Bitmap(nil).Set(3)
	s.Failures = []schemas.PageFailure{{Page: 3, Stage: "ocr", Code: "ENGINE_TIMEOUT", Message: "It took too long."}}
	for name, body := range map[string][]byte{
		schemas.PageResultName(1): pageText(1, "first words "+strings.Repeat("and more ", 200)),
		schemas.TextChunkName(2):  append(pageText(2, "second words"), '\n'),
	} {
		if err := w.store.Put(w.t.Context(), schemas.ResultKey(tenant, job, s.Run, name), body, blob.Options{}); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

func TestAPageIsReadWhileOthersAreStillBeingRead(t *testing.T) {
	w := newWorld(t)
	r, twin := w.reading(nil), w.reading(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.half("acme", job))
	path := "/api/v1/jobs/" + job + "/pages"
	for query, c := range map[string]struct{ accept, kind, has string }{
		"/1":                          {"", "text/markdown; charset=utf-8", "first words"},
		"/1?format=txt":               {"", "text/plain; charset=utf-8", "first words"},
		"/2?format=json":              {"text/html", "application/json", `"number":2`},
		"/2":                          {"text/html", "text/html; charset=utf-8", "second words"},
		"/2?format=csv":               {"", "text/csv; charset=utf-8", ""},
		"/2?format=md&download=1":     {"", "text/markdown; charset=utf-8", "second words"},
		"/2?run=0&format=text&wait=0": {"", "text/plain; charset=utf-8", "second words"},
	} {
		a := r.get(token, path+query, "Accept", c.accept)
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != c.kind || !strings.Contains(string(a.body), c.has) || a.Header.Get("ETag") == "" {
			t.Errorf("%s: %d %v %s", query, a.StatusCode, a.Header, a.body)
		}
		other := twin.get(token, path+query, "Accept", c.accept)
		if string(other.body) != string(a.body) || other.Header.Get("ETag") != a.Header.Get("ETag") {
			t.Errorf("P4: %s: another replica gives another page", query)
		}
		if again := twin.get(token, path+query, "Accept", c.accept, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: unchanged, yet %d", query, again.StatusCode)
		}
	}
	if a := r.get(token, path+"/1?download=1"); a.Header.Get("Content-Disposition") != `attachment; filename="a b-page-1.md"` {
		t.Errorf("%v", a.Header)
	}
	if a := r.get(token, path+"/1?format=text", "Range", "bytes=6-10"); a.StatusCode != http.StatusPartialContent || string(a.body) != "words" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a := r.get(token, path+"/1?format=text", "Accept-Encoding", "zstd"); a.Header.Get("Content-Encoding") != "zstd" {
		t.Errorf("%v", a.Header)
	}
	if a := r.get(token, path); string(a.body) != `{"job_id":"`+job+`","run":0,"status":"processing","asked":"1-4,7","finished":"1-2","failed":"3","page_url":"/api/v1/jobs/`+job+`/pages/{page}"}` ||
		a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	} else if again := twin.get(token, path, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged, yet %d", again.StatusCode)
	}
}

func TestAPageThatCannotBeReadSaysWhy(t *testing.T) {
	w := newWorld(t)
	r := w.reading(nil)
	token := w.key("acme")
	at := func(status schemas.Status, change func(*schemas.JobSnapshot)) string {
		job := schemas.NewJobID(time.Now())
		s := w.half("acme", job)
		if s.Status = status; change != nil {
			change(s)
		}
		w.publish(s)
		return "/api/v1/jobs/" + job + "/pages"
	}
	half := at(schemas.Processing, nil)
	fresh := at(schemas.Pending, func(s *schemas.JobSnapshot) { s.PageRanges, s.Finished, s.Failed = "", nil, nil })
	gone := at(schemas.Failed, func(s *schemas.JobSnapshot) {
		s.Code, s.Finished, s.Run = "COMPOSE_FAILED", schemas.Bitmap(nil).Set(1), 3
	}) // nothing of run 3 is kept
	cancelled := at(schemas.Cancelled, nil)
	for path, want := range map[string]schemas.Code{
		half + "/4": schemas.ResultNotReady, half + "/7": schemas.ResultNotReady, fresh + "/1": schemas.ResultNotReady,
		half + "/3": schemas.ResultNotAvailable, half + "/5": schemas.PageNotFound, half + "/8": schemas.PageNotFound,
		half + "/0": schemas.InvalidOption, half + "/x": schemas.InvalidOption, half + "/1?format=zip": schemas.InvalidOption,
		cancelled + "/1": schemas.ResultNotAvailable, gone + "/1": schemas.ResultExpired, gone + "/4": schemas.ResultNotAvailable,
		"/api/v1/jobs/" + schemas.NewJobID(time.Now()) + "/pages/1": schemas.JobNotFound,
	} {
		a := r.get(token, path)
		if a.code(t) != want {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
		if (want == schemas.ResultNotReady) != (a.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	if a := r.get(token, half+"/3"); !strings.Contains(string(a.body), `"code":"ENGINE_TIMEOUT"`) {
		t.Errorf("%s", a.body)
	}
	if a := r.get(token, half+"/1", "Accept", "image/png"); a.code(t) != schemas.FormatNotComposed {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(token, cancelled); !strings.Contains(string(a.body), `"finished":""`) {
		t.Errorf("what a cancelled run has read is shown: %s", a.body)
	}
	for _, path := range []string{half, half + "/1"} {
		if a := r.get(w.key("rival"), path); a.code(t) != schemas.JobNotFound {
			t.Errorf("P8: %d %s", a.StatusCode, a.body)
		}
	}
}
