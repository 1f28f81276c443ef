package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/schemas"
)

func TestAnAcceptedDocumentIsDurableAndSeen(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.PublicURL = "https://docs.example.com/" })
	token := w.key("acme")
	a := r.post(token, field{name: "priority", value: "high"}, field{"file", "hello", `C:\tmp\..\no` + "\u202e" + "te.md", ""},
		field{name: "output_formats", value: "json, markdown"}, field{name: "output_formats", value: "csv,json"},
		field{name: "ocr", value: "off"}, field{name: "pages", value: "7,1-3,2"}, field{name: "metadata", value: `{"invoice":"4711"}`})
	var b struct {
		JobID     string `json:"job_id"`
		Status    string `json:"status"`
		Estimate  int64  `json:"estimated_time_ms"`
		StatusURL string `json:"status_url"`
		ResultURL string `json:"result_url"`
	}
	a.into(t, &b)
	base := "https://docs.example.com/api/v1/jobs/" + b.JobID
	if a.StatusCode != http.StatusAccepted || b.Status != "pending" || b.Estimate < 1 || b.StatusURL != base || b.ResultURL != base+"/result" ||
		a.Header.Get("Location") != base || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}

	keys := w.store.keys()
	if len(keys) != 1 || !strings.HasPrefix(keys[0], "sources/acme/") || string(w.store.body(keys[0])) != "hello" {
		t.Fatalf("stored: %v", keys)
	}
	rec := w.read("documents.cpu.high", 1)[0]
	e, err := w.codec.Decode(t.Context(), rec.Value)
	if err != nil {
		t.Fatal(err)
	}
	sub := e.(*schemas.DocumentSubmitted)
	want := schemas.DocumentSubmitted{
		Head: sub.Head, RequestID: a.Header.Get("X-Request-Id"), APIKeyID: sub.APIKeyID, FromPage: 1, Class: "cpu", Priority: "high",
		Source: schemas.Source{Key: keys[0], Size: 5, SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
			MediaType: "text/markdown", Filename: "note.md"},
		Options:  schemas.Options{OCR: "off", Pages: "1-3,7", OutputFormats: []string{"markdown", "json", "csv"}},
		Metadata: map[string]string{"invoice": "4711"},
	}
	if fmt.Sprint(*sub) != fmt.Sprint(want) || sub.Tenant != "acme" || sub.JobID != b.JobID ||
		sub.EventID != schemas.EventIDFor(b.JobID, 0, "gateway", 0, "DocumentSubmitted", 0) {
		t.Errorf("submitted:\n%+v\nwant:\n%+v", *sub, want)
	}

	got := r.get(token, "/api/v1/jobs/"+b.JobID)
	var j struct {
		Version int64
		Status  string
		Source  struct{ Filename string }
	}
	got.into(t, &j)
	if got.StatusCode != http.StatusOK || j.Version != 0 || j.Status != "pending" || j.Source.Filename != "note.md" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestMediaTypesThatAreTaken(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for name, c := range map[string]struct {
		f           field
		media, lane string
	}{
		"PDF":                     {field{"file", "%PDF-1.4\n%x", "a.pdf", "application/pdf"}, "application/pdf", "documents.cpu.normal"},
		"PDF behind a line":       {field{"file", "\x01\x02@PJL\n%PDF-1.4\n%x", "a.pdf", ""}, "application/pdf", "documents.cpu.normal"},
		"PNG":                     {field{"file", png, "a.png", "image/png"}, "image/png", "documents.gpu.normal"},
		"JPEG by its other name":  {field{"file", "\xff\xd8\xff\xe0\x00\x10JFIF", "a.jpg", "image/jpg"}, "image/jpeg", "documents.gpu.normal"},
		"TIFF":                    {field{"file", "II*\x00\x08\x00\x00\x00", "a", "application/octet-stream"}, "image/tiff", "documents.gpu.normal"},
		"WebP":                    {field{"file", "RIFF\x24\x00\x00\x00WEBPVP8 ", "a", ""}, "image/webp", "documents.gpu.normal"},
		"BMP":                     {field{"file", "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "a", "image/x-ms-bmp"}, "image/bmp", "documents.gpu.normal"},
		"GIF":                     {field{"file", "GIF89a\x01\x00\x01\x00", "a", ""}, "image/gif", "documents.gpu.normal"},
		"text":                    {field{"file", "plain words", "a.txt", "text/plain; charset=utf-8"}, "text/plain", "documents.cpu.normal"},
		"Markdown by its name":    {field{"file", "# Title", "a.MD", "application/octet-stream"}, "text/markdown", "documents.cpu.normal"},
		"CSV":                     {field{"file", "a,b\n1,2\n3,4\n", "a.csv", "text/csv"}, "text/csv", "documents.cpu.normal"},
		"HTML called text":        {field{"file", "<!DOCTYPE html><html></html>", "a.txt", "text/plain"}, "text/plain", "documents.cpu.normal"},
		"text with a mark in it":  {field{"file", "Document A2345678901GPAT\n", "a.txt", "text/plain"}, "text/plain", "documents.cpu.normal"},
		"CSV as Windows calls it": {field{"file", "a,b\n1,2\n", "a.csv", "application/vnd.ms-excel"}, "text/csv", "documents.cpu.normal"},
		"HTML by its bytes":       {field{"file", "<!DOCTYPE html><html></html>", "a", ""}, "text/html", "documents.cpu.normal"},
		"JSON by its name":        {field{"file", "{}", "a.json", ""}, "application/json", "documents.cpu.normal"},
		"a message":               {field{"file", "Received: from a\r\nSubject: b\r\n\r\nc", "a", ""}, "message/rfc822", "documents.cpu.normal"},
		"Word by its first names": {field{"file", "PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00\x21\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x13\x00\x00\x00[Content_Types].xmlPK\x03\x04word/document.xml", "a", ""},
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "documents.cpu.normal"},
		"an old Word document": {field{"file", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "a.doc", "application/msword"}, "application/msword", "documents.cpu.normal"},
		"no file name":         {field{"file", "plain words", "", ""}, "text/plain", "documents.cpu.normal"},
	} {
		t.Run(name, func(t *testing.T) {
			job := r.submit(token, c.f)
			var j struct {
				Source struct {
					MediaType string `json:"media_type"`
				}
			}
			r.get(token, "/api/v1/jobs/"+job).into(t, &j)
			if j.Source.MediaType != c.media {
				t.Errorf("taken as %s", j.Source.MediaType)
			}
			if !slices.ContainsFunc(w.all(c.lane), func(k string) bool { return k == job }) {
				t.Errorf("it is not in %s", c.lane)
			}
		})
	}
}

func TestAJobIsShownAsTrackKnowsIt(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	s := snapshot("acme", job, 7, schemas.Processing)
	s.PagesFailed, s.Failures = 1, []schemas.PageFailure{{Page: 2, Stage: "ocr", Code: "OCR_FAILED", Message: "The text of the page could not be recognised."}}
	w.publish(s)
	a := r.get(token, "/api/v1/jobs/"+job)
	var got map[string]any
	a.into(t, &got)
	want := map[string]any{}
	_ = json.Unmarshal([]byte(`{"job_id":"`+job+`","status":"processing","stage":"pages","run":0,"version":7,"priority":"normal",
		"progress":{"pages_total":4,"pages_done":2,"pages_failed":1,"percent":75},
		"stages":[{"name":"prepare","status":"done"},{"name":"pages","status":"running","done":3,"total":4},{"name":"compose","status":"waiting"}],
		"timings":{"queued_ms":1000,"cpu_ms":0},"cost":{"currency":"USD","cost_nano_dollars":0,"stored_bytes":5,"stored_cost_nano_dollars":0},
		"created_at":"2026-05-01T12:00:00.000Z","started_at":"2026-05-01T12:00:01.000Z",
		"source":{"filename":"a b.pdf","media_type":"text/plain","size":5,"sha256":"00","pages":4},
		"options":{"ocr":"auto","output_formats":["markdown","json","html","csv","text"]},
		"status_url":"/api/v1/jobs/`+job+`",
		"failures":[{"page":2,"stage":"ocr","code":"OCR_FAILED","message":"The text of the page could not be recognised."}]}`), &want)
	if fmt.Sprint(got) != fmt.Sprint(want) || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s", a.body)
	}
	if again := r.get(token, "/api/v1/jobs/"+job, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || len(again.body) != 0 {
		t.Errorf("unchanged, yet %d", again.StatusCode)
	}

	s = snapshot("acme", job, 8, schemas.Failed)
	s.Code, s.Message = "OCR_FAILED", "The text of the pages could not be recognised."
	w.publish(s)
	a = r.get(token, "/api/v1/jobs/"+job, "If-None-Match", a.Header.Get("ETag"))
	var b struct {
		Error     *struct{ Code, Message string }
		ResultURL string `json:"result_url"`
		Finished  string `json:"finished_at"`
	}
	a.into(t, &b)
	if b.Error == nil || b.Error.Code != "OCR_FAILED" || b.Error.Message != s.Message || b.ResultURL != "" || b.Finished != "2026-05-01T12:00:03.000Z" {
		t.Errorf("%s", a.body)
	}
}

func TestAJobNobodySubmittedIsNotFound(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for _, id := range []string{schemas.NewJobID(time.Now()), "job_x", "..%2f..%2fkeys", strings.Repeat("a", 500)} {
		for _, path := range []string{"/api/v1/jobs/" + id, "/api/v1/jobs/" + id + "/result"} {
			if a := r.get(token, path); a.code(t) != schemas.JobNotFound && a.code(t) != schemas.RouteNotFound {
				t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
			}
		}
	}
}

func TestNothingOfAnotherTenantIsReadable(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	mine, theirs := w.key("acme"), w.key("acme-2")
	job := r.submit(mine, file("mine"))
	done := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", done, "text", "secret of acme"))
	tried := 0
	for _, route := range gateway.Routes() {
		if !strings.Contains(route[1], ":job_id") {
			continue
		}
		tried++
		for _, id := range []string{job, done} {
			req, _ := http.NewRequest(route[0], r.url+strings.ReplaceAll(route[1], ":job_id", id), nil)
			req.Header.Set("Authorization", "Bearer "+theirs)
			if a := r.do(req); a.code(t) != schemas.JobNotFound {
				t.Errorf("%s %s of another tenant: %d %s", route[0], route[1], a.StatusCode, a.body)
			}
		}
	}
	if tried < 2 {
		t.Errorf("only %d routes name a job", tried)
	}
	var page struct {
		Jobs   []struct{ JobID string }
		Cursor string `json:"next_cursor"`
	}
	r.get(mine, "/api/v1/jobs?limit=1").into(t, &page)
	if len(page.Jobs) != 1 || page.Cursor == "" {
		t.Fatalf("my own: %+v", page)
	}
	a := r.get(theirs, "/api/v1/jobs?cursor="+url.QueryEscape(page.Cursor))
	if strings.Contains(string(a.body), "job_") {
		t.Errorf("another tenant's cursor shows %s", a.body)
	}
}

func TestTheListPagesNewestFirst(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	var want []string
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for i := range 23 {
		job := schemas.NewJobID(base.Add(time.Duration(i) * time.Second))
		s := snapshot("acme", job, 1, schemas.Processing)
		s.SubmittedAt = base.Add(time.Duration(i/2) * time.Minute) // two at a time
		if i%5 == 0 {
			s.Status, s.Stage, s.EndedAt = schemas.Failed, "done", s.SubmittedAt.Add(time.Second)
		}
		w.publish(s)
		want = append(want, job)
	}
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(b, a) })
	list := func(query string) (out []string) {
		for cursor := ""; ; {
			var page struct {
				Jobs []struct {
					JobID string `json:"job_id"`
				}
				Next string `json:"next_cursor"`
			}
			r.get(token, "/api/v1/jobs?"+query+"&cursor="+url.QueryEscape(cursor)).into(t, &page)
			for _, j := range page.Jobs {
				out = append(out, j.JobID)
			}
			if cursor = page.Next; cursor == "" {
				return out
			}
		}
	}
	for _, query := range []string{"limit=1", "limit=7", "limit=23", "limit=100", ""} {
		if got := list(query); !slices.Equal(got, want) {
			t.Errorf("%s:\n%v\nwant\n%v", query, got, want)
		}
	}
	if got := list("status=failed&limit=2"); len(got) != 5 {
		t.Errorf("failed: %v", got)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "status=lost", "cursor=%21", "cursor=AAAA"} {
		if a := r.get(token, "/api/v1/jobs?"+query); a.code(t) != schemas.InvalidOption {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
}
