package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/gateway"
	docstream "docstream/gateway/clients/go"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// seen is one request a client made, and what it was answered.
type seen struct {
	at     time.Time
	header http.Header
	status int
	after  int // seconds of Retry-After
}

// wireless is the way from a client to a gateway: it remembers what passed, and breaks off an answer where cut says after how many bytes.
type wireless struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
	cut  func(n int, r *http.Request) (after int64, cut bool) // n counts from 1; nil: never
}

func newWireless(t *testing.T, to string, cut func(int, *http.Request) (int64, bool)) *wireless {
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	w := &wireless{cut: cut}
	w.Server = httptest.NewServer(&httputil.ReverseProxy{
		ErrorLog:  log.New(io.Discard, "", 0), // what breaks off is meant to
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: testenv.Described(t).Transport(t, nil),
		ModifyResponse: func(res *http.Response) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			after, _ := strconv.Atoi(res.Header.Get("Retry-After")) // 0 where it says nothing
			w.seen = append(w.seen, seen{time.Now(), res.Request.Header.Clone(), res.StatusCode, after})
			if w.cut != nil {
				if n, cut := w.cut(len(w.seen), res.Request); cut {
					res.Body = io.NopCloser(io.MultiReader(io.LimitReader(res.Body, n), tear{}))
				}
			}
			return nil
		},
	})
	t.Cleanup(w.Close)
	return w
}

func (w *wireless) all() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seen(nil), w.seen...)
}

// clients are ours, each as what it does with one line of instruction: job ID (three times), submit TEXT, result ID, batch LINES or upload FILE. It returns what came,
// or the code of the error.
var clients = map[string]func(t *testing.T, server, key, what, with string) string{
	"Go": func(t *testing.T, server, key, what, with string) string {
		c := docstream.New(server, key)
		var j docstream.Job
		var out bytes.Buffer
		var err error
		switch what {
		case "job":
			for range 3 {
				if j, err = c.Job(t.Context(), with, 0); err != nil {
					break
				}
			}
		case "submit":
			j, err = c.Submit(t.Context(), docstream.Document{Body: strings.NewReader(with), Size: int64(len(with)), Filename: "a.txt"})
		case "result":
			err = c.Result(t.Context(), with, "text", &out)
		case "batch":
			err = batchWith(t, c, with, &out)
		case "upload":
			j, err = uploadWith(t, c, with)
		}
		var e *docstream.Error
		if errors.As(err, &e) {
			return e.Code
		} else if err != nil {
			t.Fatal(err)
		}
		return j.ID + out.String()
	},
	"Python": func(t *testing.T, server, key, what, with string) string {
		cmd := exec.Command("python3", filepath.Join("testdata", "client.py"), what, with)
		cmd.Env = append(os.Environ(), "DOCSTREAM_SERVER="+server, "DOCSTREAM_API_KEY="+key, "PYTHONPATH="+filepath.Join("clients", "python"), "PYTHONDONTWRITEBYTECODE=1")
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var said string
		if err := json.Unmarshal(out, &said); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return said
	},
}

// TestClientsComeAgainNoSoonerThanTheyAreTold: a rate that is used up is waited for, as long as Retry-After says; a quota that is used up for
// the month is an error at once.
func TestClientsComeAgainNoSoonerThanTheyAreTold(t *testing.T) {
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.replica(small(func(p *gateway.Plan) { p.RequestsPerSecond, p.PagesPerMonth = 1, 10 }))
			token, job := w.key("acme"), schemas.NewJobID(time.Now())
			w.publish(snapshot("acme", job, 3, schemas.Completed))
			way := newWireless(t, r.url, nil)
			if got := ask(t, way.URL, token, "job", job); got != job {
				t.Errorf("it is told %q", got)
			}
			limited := 0
			all := way.all()
			for i, one := range all {
				if one.status != http.StatusTooManyRequests {
					continue
				}
				limited++
				if wait := all[i+1].at.Sub(one.at); one.after < 1 || wait < time.Duration(one.after)*time.Second {
					t.Errorf("told to wait %d s, it came again after %s", one.after, wait)
				}
			}
			if limited == 0 || len(all) != 3+limited {
				t.Errorf("%d requests, %d of them too many", len(all), limited)
			}
			w.used("globex", time.Now().UTC(), "k", 10)
			if got := ask(t, way.URL, w.key("globex"), "submit", "hello"); got != "QUOTA_EXCEEDED" || len(way.all()) != len(all)+1 {
				t.Errorf("it is told %q after %d requests", got, len(way.all())-len(all))
			}
		})
	}
}

// TestASubmissionWhoseAnswerIsLostIsMadeAgainAsOne: the gateway accepted, the client never heard it.
func TestASubmissionWhoseAnswerIsLostIsMadeAgainAsOne(t *testing.T) {
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.replica(nil)
			way := newWireless(t, r.url, func(n int, _ *http.Request) (int64, bool) { return int64(n), n < 3 })
			job := ask(t, way.URL, w.key("acme"), "submit", "hello")
			all, ids := way.all(), map[string]bool{}
			for _, k := range w.all("documents.cpu.normal") {
				ids[k] = true
			}
			if len(all) != 3 || !ids[job] || len(ids) != 1 {
				t.Errorf("%d requests made the jobs %v; it has %q", len(all), ids, job)
			}
			for _, one := range all {
				if key := one.header.Get("Idempotency-Key"); key == "" || key != all[0].header.Get("Idempotency-Key") {
					t.Errorf("under the key %q", key)
				}
			}
		})
	}
}

// TestAResultThatBreaksOffIsGoneOnWith: by range, and only while it is the same.
func TestAResultThatBreaksOffIsGoneOnWith(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 20_000)
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.replica(nil)
			token, job := w.key("acme"), schemas.NewJobID(time.Now())
			w.publish(w.finished("acme", job, "text", text))
			way := newWireless(t, r.url, func(n int, _ *http.Request) (int64, bool) { return 100_000, n < 4 })
			if got := ask(t, way.URL, token, "result", job); got != text {
				t.Errorf("%d bytes came of %d", len(got), len(text))
			}
			all := way.all()
			if len(all) != 4 {
				t.Fatalf("%d requests", len(all))
			}
			for i, one := range all[1:] {
				if one.status != http.StatusPartialContent || !strings.HasPrefix(one.header.Get("Range"), "bytes=") || one.header.Get("If-Range") == "" {
					t.Errorf("request %d: %d %v", i+2, one.status, one.header)
				}
			}
		})
	}
}

// TestAnErrorIsTheClientsAtOnce: what the same again would get again is not asked again.
func TestAnErrorIsTheClientsAtOnce(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for name, ask := range clients {
		way := newWireless(t, r.url, nil)
		unknown := ask(t, way.URL, token, "job", schemas.JobIDFor("nowhere"))
		stranger := ask(t, way.URL, token+"x", "job", schemas.JobIDFor("nowhere"))
		empty := ask(t, way.URL, token, "submit", "")
		if unknown != "JOB_NOT_FOUND" || stranger != "UNAUTHENTICATED" || empty != "EMPTY_FILE" || len(way.all()) != 3 {
			t.Errorf("%s: %q %q %q after %d requests", name, unknown, stranger, empty, len(way.all()))
		}
	}
}
