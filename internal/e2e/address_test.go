package e2e_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"docstream/schemas"
)

// TestADocumentIsTakenFromAnAddress: a worker asks the address, once; what gives no document ends the job with its code.
func TestADocumentIsTakenFromAnAddress(t *testing.T) {
	var asked atomic.Int32
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/note.txt":
			asked.Add(1)
			_, _ = io.WriteString(w, "Hello from an address.\n")
		case "/moved":
			http.Redirect(w, r, "/note.txt", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		case "/program":
			_, _ = io.WriteString(w, "\x7fELF\x02\x01\x01")
		default:
			http.NotFound(w, r)
		}
	}))
	defer stranger.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(stranger.URL, "http://"), ":")
	p := start(t, "--set", "fetch.outbound.networks=127.0.0.0/8", "--set", "fetch.outbound.ports=80,443,"+port)
	send := func(path string) string {
		body, err := json.Marshal(map[string]string{"url": stranger.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.request(http.MethodPost, "/api/v1/documents", strings.NewReader(string(body)), "application/json")
		if err != nil || a.status != http.StatusAccepted {
			t.Fatalf("POST of %s: %d %s %v", path, a.status, a.body, err)
		}
		var j job
		a.json(t, &j)
		return j.JobID
	}
	want := map[string]string{"/note.txt": "", "/moved": "", "/inside": string(schemas.URLBlocked), "/program": string(schemas.UnsupportedMediaType), "/none": string(schemas.URLRefused)}
	jobs := map[string]string{}
	for path := range want {
		jobs[path] = send(path)
	}
	for path, code := range want {
		j := p.wait(jobs[path], 2*time.Minute)
		if code != "" {
			if j.Status != string(schemas.Failed) || j.Error == nil || string(j.Error.Code) != code {
				t.Errorf("%s ended as %+v, error %+v, want %s", path, j, j.Error, code)
			}
			continue
		}
		if got := p.result(jobs[path], "text"); j.Status != string(schemas.Completed) || !strings.Contains(got, "Hello from an address.") {
			t.Errorf("%s ended as %+v with %q", path, j, got)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the address was asked %d times for two jobs", n)
	}
	p.verify(slices.Collect(maps.Values(jobs)))
}
