package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/schemas"
)

// finished is a completed job whose outputs are in the store: format and text by turns.
func (w *world) finished(tenant, job string, outputs ...string) *schemas.JobSnapshot {
	w.t.Helper()
	s := snapshot(tenant, job, 9, schemas.Completed)
	types := map[string]string{"markdown": "text/markdown", "json": "application/json", "html": "text/html", "csv": "text/csv", "text": "text/plain; charset=utf-8"}
	for i := 0; i+1 < len(outputs); i += 2 {
		format, text := outputs[i], outputs[i+1]
		sum := sha256.Sum256([]byte(text))
		o := schemas.Output{Format: format, Key: schemas.ResultKey(tenant, job, 0, "document."+format), Size: int64(len(text)),
			SHA256: hex.EncodeToString(sum[:]), MediaType: types[format]}
		if err := w.store.Put(w.t.Context(), o.Key, []byte(text), blob.Options{MediaType: o.MediaType}); err != nil {
			w.t.Fatal(err)
		}
		s.Outputs = append(s.Outputs, o)
	}
	return s
}

func TestAResultIsServedInTheFormatAskedFor(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "json", `{"pages":[]}`, "markdown", "# Title", "text", "Title", "csv", ""))
	path := "/api/v1/jobs/" + job + "/result"
	for name, c := range map[string]struct {
		query, accept, kind, body string
	}{
		"nothing said":             {"", "", "text/markdown; charset=utf-8", "# Title"},
		"anything":                 {"", "*/*", "text/markdown; charset=utf-8", "# Title"},
		"format":                   {"?format=json", "", "application/json", `{"pages":[]}`},
		"format wins over Accept":  {"?format=json", "text/plain", "application/json", `{"pages":[]}`},
		"Accept":                   {"", "text/plain", "text/plain; charset=utf-8", "Title"},
		"the better wish":          {"", "text/plain;q=0.2, application/json;q=0.9", "application/json", `{"pages":[]}`},
		"one wish cannot be":       {"", "text/html, text/plain;q=0.5", "text/plain; charset=utf-8", "Title"},
		"a family, one member not": {"", "text/*, text/markdown;q=0", "text/csv; charset=utf-8", ""},
		"an empty output":          {"?format=csv", "", "text/csv; charset=utf-8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.get(token, path+c.query, "Accept", c.accept)
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != c.kind || string(a.body) != c.body || a.ContentLength != int64(len(c.body)) {
				t.Errorf("%d %s %q", a.StatusCode, a.Header.Get("Content-Type"), a.body)
			}
			if a.Header.Get("Content-Disposition") != "" || a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("headers: %v", a.Header)
			}
			again := r.get(token, path+c.query, "Accept", c.accept, "If-None-Match", `"x", `+a.Header.Get("ETag"))
			if again.StatusCode != http.StatusNotModified || len(again.body) > 0 {
				t.Errorf("unchanged, yet %d", again.StatusCode)
			}
		})
	}
	for query, want := range map[string]schemas.Code{"?format=html": schemas.FormatNotComposed, "?format=docx": schemas.InvalidOption} {
		if a := r.get(token, path+query); a.code(t) != want {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	if a := r.get(token, path, "Accept", "image/png"); a.code(t) != schemas.FormatNotComposed || !strings.Contains(string(a.body), `"composed":["json","markdown","text","csv"]`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestADownloadIsNamedSafely(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for filename, want := range map[string]string{
		"a b.pdf":           `attachment; filename="a b.md"`,
		"":                  `attachment; filename="JOB.md"`,
		`x";y=".pdf`:        `attachment; filename="x__y=_.md"; filename*=UTF-8''x%22%3By%3D%22.md`,
		"Rechnung März.pdf": `attachment; filename="Rechnung M_rz.md"; filename*=UTF-8''Rechnung%20M%C3%A4rz.md`,
	} {
		job := schemas.NewJobID(time.Now())
		s := w.finished("acme", job, "markdown", "# Title")
		s.Source.Filename = filename
		w.publish(s)
		a := r.get(token, "/api/v1/jobs/"+job+"/result?download=1")
		if got := strings.ReplaceAll(a.Header.Get("Content-Disposition"), job, "JOB"); got != want {
			t.Errorf("%q: %s", filename, got)
		}
	}
}

func TestAJobWithoutAResultSaysWhy(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for status, want := range map[schemas.Status]schemas.Code{
		schemas.Pending: schemas.ResultNotReady, schemas.Processing: schemas.ResultNotReady,
		schemas.Failed: schemas.ResultNotAvailable, schemas.Cancelled: schemas.ResultNotAvailable, schemas.Expired: schemas.ResultNotAvailable,
	} {
		job := schemas.NewJobID(time.Now())
		s := w.finished("acme", job, "markdown", "# Title") // outputs there or not: what was cancelled is never served
		s.Status, s.Code = status, "OCR_FAILED"
		w.publish(s)
		a := r.get(token, "/api/v1/jobs/"+job+"/result")
		if a.code(t) != want {
			t.Errorf("%s: %d %s", status, a.StatusCode, a.body)
		}
		if want == schemas.ResultNotReady && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", status)
		}
		if want == schemas.ResultNotAvailable && !strings.Contains(string(a.body), `"code":"OCR_FAILED"`) {
			t.Errorf("%s: the job's code is missing: %s", status, a.body)
		}
	}
}

func TestAResultThatIsGoneOrChanged(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	gone, changed := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	s := w.finished("acme", gone, "text", "words")
	w.publish(s, w.finished("acme", changed, "text", "words"))
	_ = w.store.Delete(t.Context(), s.Outputs[0].Key)
	_ = w.store.Put(t.Context(), schemas.ResultKey("acme", changed, 0, "document.text"), []byte("other words"), blob.Options{})
	if a := r.get(token, "/api/v1/jobs/"+gone+"/result"); a.code(t) != schemas.ResultExpired {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(token, "/api/v1/jobs/"+changed+"/result"); a.code(t) != schemas.Internal || strings.Contains(string(a.body), "bytes") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	for _, path := range []string{"/healthz", "/api/v1/jobs/" + job, "/api/v1/jobs/" + job + "/result"} {
		req, _ := http.NewRequest(http.MethodHead, r.url+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ContentLength <= 0 {
			t.Errorf("%s: %d, %d bytes", path, res.StatusCode, res.ContentLength)
		}
	}
}
