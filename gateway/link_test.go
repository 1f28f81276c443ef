package gateway_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// TestAResultIsFetchedFromTheStoreItself: with links a whole output never passes through the gateway, and its address opens nothing else.
func TestAResultIsFetchedFromTheStoreItself(t *testing.T) {
	w := newWorld(t)
	cfg := testenv.S3(t)
	cfg.Public = strings.Replace(cfg.Endpoint, "127.0.0.1", "localhost", 1) // clients know it by another name
	store, err := blob.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := w.replicaOn(store, func(c *gateway.Config) { c.ResultLinks = time.Minute })
	r.gateway.LinkResults(store)
	token := w.key("acme")
	job, gone := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "markdown", "# Title", "json", `{"pages":[]}`)
	for _, o := range s.Outputs {
		if err := store.Put(t.Context(), o.Key, w.store.body(o.Key), blob.Options{MediaType: o.MediaType}); err != nil {
			t.Fatal(err)
		}
	}
	w.publish(s, w.finished("acme", gone, "markdown", "never there"))
	path := "/api/v1/jobs/" + job + "/result"
	once := &http.Client{Transport: w.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string, headers ...string) answer {
		req, err := http.NewRequest(method, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := once.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return answer{res, b}
	}
	a := ask(http.MethodGet, path+"?format=md")
	at := a.Header.Get("Location")
	if a.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(at, cfg.Public+"/") || a.Header.Get("Cache-Control") != "no-store" || len(a.body) > 0 {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	fetch := func(method, at string) (*http.Response, string) {
		req, err := http.NewRequest(method, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res, string(b)
	}
	res, body := fetch(http.MethodGet, at)
	if res.StatusCode != http.StatusOK || body != "# Title" || res.Header.Get("Content-Type") != "text/markdown; charset=utf-8" ||
		res.Header.Get("Content-Disposition") != `attachment; filename="a b.md"` {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
	other, _ := url.Parse(at)
	other.Path = strings.Replace(other.Path, "document.markdown", "document.json", 1)
	for method, at := range map[string]string{http.MethodGet: other.String(), http.MethodDelete: at} {
		if res, body := fetch(method, at); res.StatusCode != http.StatusForbidden {
			t.Errorf("the link opens %s %s: %d %s", method, at, res.StatusCode, body)
		}
	}
	if a := ask(http.MethodGet, path+"?format=md", "If-None-Match", a.Header.Get("ETag")); a.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged, yet %d", a.StatusCode)
	}
	if a := ask(http.MethodGet, path+"?format=md&through=1"); a.StatusCode != http.StatusOK || string(a.body) != "# Title" {
		t.Errorf("through: %d %s", a.StatusCode, a.body)
	}
	if a := ask(http.MethodHead, path+"?format=md"); a.StatusCode != http.StatusOK || a.ContentLength != 7 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	if a := ask(http.MethodGet, path+"?format=zip"); a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/zip" {
		t.Errorf("zip: %d", a.StatusCode)
	}
	if a := ask(http.MethodGet, "/api/v1/jobs/"+gone+"/result"); a.code(t) != schemas.ResultExpired {
		t.Errorf("gone: %d %s", a.StatusCode, a.body)
	}
	token = w.key("rival")
	if a := ask(http.MethodGet, path); a.code(t) != schemas.JobNotFound || a.Header.Get("Location") != "" {
		t.Errorf("P8: %d %v", a.StatusCode, a.Header)
	}
}
