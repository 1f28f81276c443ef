package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/schemas"
)

// recorded reads a request as a client of another service sends it; the key and the task are put in.
func (r *replica) recorded(name, token, task string) *http.Request {
	r.w.t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "doors", name+".http"))
	if err != nil {
		r.w.t.Fatal(err)
	}
	head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	head = []byte(strings.NewReplacer("KEY", token, "TASK", task).Replace(string(head)))
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(append(head, "\r\n\r\n"...), body...))))
	if err != nil {
		r.w.t.Fatal(err)
	}
	out, err := http.NewRequest(req.Method, r.url+req.RequestURI, bytes.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	out.Header = req.Header
	return out
}

// worked sends a request that waits for its job, and ends the job meanwhile.
func (r *replica) worked(token string, req *http.Request, end func(job string) *schemas.JobSnapshot) (a answer, job map[string]any) {
	r.w.t.Helper()
	said := make(chan answer, 1)
	go func() { said <- r.do(req) }()
	eventually(r.w.t, "the job is there", func() bool {
		var page struct{ Jobs []map[string]any }
		r.get(token, "/api/v1/jobs?status=pending").into(r.w.t, &page)
		if len(page.Jobs) == 0 {
			return false
		}
		job = page.Jobs[0]
		return true
	})
	r.w.publish(end(job["job_id"].(string)))
	return <-said, job
}

const ours = `{"format":"docstream.document/1","pages_total":1,"pages":[{"number":1,"width":612,"height":792,"unit":"pt","source":"text","confidence":1,"blocks":[` +
	`{"kind":"heading","level":2,"box":[72,72,300,90],"confidence":1,"text":"Gauges"},{"kind":"paragraph","box":[72,100,540,130],"confidence":1,"text":"Rivers \"rise\"."},` +
	`{"kind":"table","box":[72,140,540,300],"confidence":1,"table":{"rows":2,"columns":2,"cells":[{"row":0,"column":0,"column_span":2,"header":true,"text":"Level","box":[72,140,540,200],"confidence":1}]}}]}]}`

func TestDocStrangesClientsAreServed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	const content = "# Title \"quoted\" \\ ü \u2028\n\tA line.\x01\n"
	for name, c := range map[string]struct{ format, said, mode string }{
		"docstrange-page":     {"markdown", "markdown", "cpu"},
		"docstrange-requests": {"json", "flat-json", "cpu"},
	} {
		t.Run(name, func(t *testing.T) {
			a, job := r.worked(token, r.recorded(name, token, ""), func(job string) *schemas.JobSnapshot { return w.finished("acme", job, c.format, content) })
			var b struct {
				Success  bool
				Content  string
				Metadata struct {
					FileType string  `json:"file_type"`
					FileName string  `json:"file_name"`
					FileSize int     `json:"file_size"`
					Pages    int     `json:"pages_processed"`
					Seconds  float64 `json:"processing_time"`
					Format   string  `json:"output_format"`
					Mode     string  `json:"processing_mode"`
				}
			}
			a.into(t, &b)
			m := b.Metadata
			if a.StatusCode != http.StatusOK || !b.Success || b.Content != content || m.FileType != ".pdf" || m.FileName != "a b.pdf" || m.FileSize != 5 || m.Pages != 4 ||
				m.Seconds != 2 || m.Format != c.said || m.Mode != c.mode {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if got := job["options"].(map[string]any)["output_formats"].([]any); len(got) != 1 || got[0] != c.format {
				t.Errorf("the job was asked for %v", got)
			}
		})
	}
	flat := func(a answer) string {
		var b map[string]string
		a.into(t, &b)
		if len(b) != 1 {
			t.Errorf("not flat: %s", a.body)
		}
		return b["error"]
	}
	for name, c := range map[string]struct {
		status int
		code   schemas.Code
	}{"docstrange-no-file": {400, schemas.MissingFile}, "docstrange-no-key": {401, schemas.Unauthenticated}} {
		if a := r.do(r.recorded(name, token, "")); a.StatusCode != c.status || !strings.Contains(flat(a), string(c.code)) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	a, _ := r.worked(token, r.recorded("docstrange-page", token, ""), func(job string) *schemas.JobSnapshot {
		s := snapshot("acme", job, 9, schemas.Failed)
		s.Code, s.Message = string(schemas.DocumentCorrupt), "The document is damaged."
		return s
	})
	if a.StatusCode != http.StatusUnprocessableEntity || flat(a) != "The document is damaged. (DOCUMENT_CORRUPT)" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestADoorWaitsSoLongAndThenNamesTheJob(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.DoorWait = 50 * time.Millisecond })
	token := w.key("acme")
	for name, status := range map[string]int{"docstrange-page": 202, "docling-curl": 504, "tika-curl-upload": 503} {
		req := r.recorded(name, token, "")
		req.Header.Set("Idempotency-Key", name)
		a := r.do(req)
		if a.StatusCode != status || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Header.Get("Location"), "job_") {
			t.Errorf("%s: %d %v %s", name, a.StatusCode, a.Header, a.body)
		}
		again := r.recorded(name, token, "")
		again.Header.Set("Idempotency-Key", name)
		if b := r.do(again); b.Header.Get("Location") != a.Header.Get("Location") {
			t.Errorf("%s: the same key made another job", name)
		}
	}
}

func TestDoclingsClientsAreServed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, theirs := w.key("acme"), w.key("acme-2")
	type task struct {
		ID     string `json:"task_id"`
		Type   string `json:"task_type"`
		Status string `json:"task_status"`
	}
	var made, polled task
	a := r.do(r.recorded("docling-client-async", token, ""))
	if a.into(t, &made); a.StatusCode != 200 || !schemas.ValidJobID(made.ID) || made.Type != "convert" || made.Status != "pending" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, name := range []string{"docling-client-poll", "docling-client-result"} {
		if a := r.do(r.recorded(name, theirs, made.ID)); a.StatusCode != 404 || !strings.Contains(string(a.body), "JOB_NOT_FOUND") {
			t.Errorf("%s of another tenant: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := r.do(r.recorded("docling-client-result", token, made.ID)); a.StatusCode != 404 || !strings.Contains(string(a.body), "Please wait") {
		t.Errorf("a result before the end: %d %s", a.StatusCode, a.body)
	}
	w.publish(w.finished("acme", made.ID, "markdown", "## Gauges", "json", ours))
	if r.do(r.recorded("docling-client-poll", token, made.ID)).into(t, &polled); polled.Status != "success" || polled.ID != made.ID {
		t.Errorf("%+v", polled)
	}
	var c conversion
	r.do(r.recorded("docling-client-result", token, made.ID)).into(t, &c)
	d := c.Document.JSON
	if c.Status != "success" || *c.Document.MD != "## Gauges" || c.Document.HTML != nil || len(d.Texts) != 2 || len(d.Tables) != 1 || len(d.Body.Children) != 3 {
		t.Fatalf("%+v", c)
	}
	if d.Schema != "DoclingDocument" || d.Texts[0].Label != "section_header" || d.Texts[0].Level != 2 || d.Texts[1].Text != `Rivers "rise".` || d.Body.Children[2]["$ref"] != "#/tables/0" ||
		d.Texts[1].Prov[0].Page != 1 || d.Tables[0].Data.Cells[0]["end_col_offset_idx"] != 2.0 || d.Tables[0].Data.Cells[0]["column_header"] != true || d.Pages["1"] == nil {
		t.Errorf("%+v", d)
	}

	a, job := r.worked(token, r.recorded("docling-curl", token, ""), func(job string) *schemas.JobSnapshot {
		return w.finished("acme", job, "html", "<p>Hi</p>", "text", "Hi")
	})
	if a.into(t, &c); a.StatusCode != 200 || *c.Document.HTML != "<p>Hi</p>" || *c.Document.Text != "Hi" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if o := job["options"].(map[string]any); o["ocr"] != "off" || o["pages"] != "2-5" {
		t.Errorf("the job was asked for %v", o)
	}
	a, _ = r.worked(token, r.recorded("docling-curl", token, ""), func(job string) *schemas.JobSnapshot {
		s := snapshot("acme", job, 9, schemas.Failed)
		s.Code, s.Message = string(schemas.DocumentCorrupt), "The document is damaged."
		return s
	})
	if a.into(t, &c); a.StatusCode != 200 || c.Status != "failure" || len(c.Errors) != 1 || c.Errors[0]["module_name"] != "DOCUMENT_CORRUPT" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	gone := w.finished("acme", made.ID, "markdown", "## Gauges", "json", ours)
	_ = w.store.Delete(t.Context(), gone.Outputs[1].Key)
	if a := r.do(r.recorded("docling-client-result", token, made.ID)); a.StatusCode != http.StatusGone || !strings.Contains(string(a.body), "RESULT_EXPIRED") {
		t.Errorf("a result that has expired: %d %s", a.StatusCode, a.body)
	}
	for name, code := range map[string]schemas.Code{"docling-doctags": schemas.OptionNotAvailable, "docling-two-files": schemas.InvalidRequest} {
		if a := r.do(r.recorded(name, token, "")); name != "docling-two-files" && a.StatusCode != 400 || !strings.Contains(string(a.body), string(code)) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := r.get(token, "/api/v1/jobs", "Authorization", "", "X-Api-Key", token); a.code(t) != schemas.Unauthenticated {
		t.Errorf("X-Api-Key opens the front: %d", a.StatusCode)
	}
}

// conversion is docling's answer.
type conversion struct {
	Document struct {
		MD   *string `json:"md_content"`
		HTML *string `json:"html_content"`
		Text *string `json:"text_content"`
		JSON struct {
			Schema string `json:"schema_name"`
			Body   struct{ Children []map[string]string }
			Texts  []struct {
				Label, Text string
				Level       int
				Prov        []struct {
					Page int `json:"page_no"`
				}
			}
			Tables []struct {
				Data struct {
					Cells []map[string]any `json:"table_cells"`
				}
			}
			Pages map[string]any
		} `json:"json_content"`
	}
	Status string
	Errors []map[string]string
}

func TestTikasClientsAreServed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for name, c := range map[string]struct{ format, kind, ocr string }{
		"tika-curl-upload": {"text", "text/plain; charset=utf-8", "auto"},
		"tika-curl-data":   {"html", "text/html; charset=utf-8", "auto"},
		"tika-python":      {"html", "application/json", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			a, job := r.worked(token, r.recorded(name, token, ""), func(job string) *schemas.JobSnapshot { return w.finished("acme", job, c.format, "<i>content</i>") })
			content := string(a.body)
			if c.kind == "application/json" {
				var b map[string]string
				a.into(t, &b)
				content = b["X-TIKA:content"]
				if b["Content-Type"] != "text/plain" || b["xmpTPg:NPages"] != "4" {
					t.Errorf("%v", b)
				}
			}
			if a.StatusCode != 200 || a.Header.Get("Content-Type") != c.kind || content != "<i>content</i>" {
				t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
			if got := job["options"].(map[string]any)["ocr"]; got != c.ocr {
				t.Errorf("ocr is %v", got)
			}
		})
	}
	if a := r.do(r.recorded("tika-xml", token, "")); a.StatusCode != 406 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	var none struct{ Jobs []json.RawMessage }
	if r.get(token, "/api/v1/jobs?status=pending").into(t, &none); len(none.Jobs) != 0 {
		t.Errorf("a refused request made a job: %s", none.Jobs)
	}
}
