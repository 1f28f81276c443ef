package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/outbound"
	"docstream/processors/fetch"
	"docstream/schemas"
)

const job = "job_0123456789abcdefghjkmnpqrs"

// store keeps objects in memory.
type store struct {
	mu     sync.Mutex
	bodies map[string][]byte
	of     map[string]blob.Options
	before func() // called before an upload is decided
}

func newStore() *store { return &store{bodies: map[string][]byte{}, of: map[string]blob.Options{}} }

func (s *store) Upload(_ context.Context, key string, from io.Reader, o blob.Options) error {
	b, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.bodies[key]; there && o.Once {
		return blob.ErrExists
	}
	s.bodies[key], s.of[key] = b, o
	return nil
}

func (s *store) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bodies[key]
	if !ok {
		return nil, blob.Object{}, blob.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), blob.Object{Key: key, Size: int64(len(b)), MediaType: s.of[key].MediaType, Meta: s.of[key].Meta}, nil
}

// web is a server that example.test resolves to, and a stage that may reach it and nothing else.
type web struct {
	*httptest.Server
	store *store
	stage *fetch.Stage
	asked atomic.Int32
}

func serve(t *testing.T, change func(*fetch.Config), h http.HandlerFunc) *web {
	t.Helper()
	w := &web{store: newStore()}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.asked.Add(1); h(rw, r) }))
	t.Cleanup(w.Close)
	cfg := fetch.DefaultConfig()
	u, _ := url.Parse(w.URL)
	port, _ := strconv.Atoi(u.Port())
	cfg.Outbound.Ports, cfg.Outbound.Networks = append(cfg.Outbound.Ports, port), []string{"127.0.0.1/32"}
	if change != nil {
		change(&cfg)
	}
	guard, err := outbound.New(cfg.Outbound, func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "example.test":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		case "inside.test":
			return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil
		case "mapped.test":
			return []netip.Addr{netip.MustParseAddr("::ffff:169.254.169.254")}, nil
		}
		return nil, fmt.Errorf("no such host")
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stage = fetch.New(cfg, guard, w.store)
	return w
}

// at is the address of a path on the server under a name.
func (w *web) at(host, path string) string {
	u, _ := url.Parse(w.URL)
	return "http://" + host + ":" + u.Port() + path
}

func submission(address string) *schemas.DocumentSubmitted {
	return &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "acme", JobID: job}, Class: "cpu", Priority: "normal", Source: schemas.Source{URL: address}}
}

func (w *web) work(t *testing.T, address string, attempt int) (*schemas.DocumentSubmitted, error) {
	t.Helper()
	events, err := w.stage.Work(t.Context(), submission(address), schemas.Delivery{Attempt: attempt})
	if err != nil {
		return nil, err
	}
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	return events[0].(*schemas.DocumentSubmitted), nil
}

func TestWhatIsFetchedIsTheSourceFromThereOn(t *testing.T) {
	body := strings.Repeat("hello ", 2000)
	w := serve(t, nil, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			http.Redirect(rw, r, "/files/b.txt", http.StatusFound)
			return
		}
		_, _ = io.WriteString(rw, body)
	})
	address := w.at("example.test", "/a")
	first, err := w.work(t, address, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := first.Source
	if first.FromPage != 1 || s.Key != schemas.FetchedKey("acme", job) || s.Size != int64(len(body)) || len(s.SHA256) != 64 || s.MediaType != "text/plain" || s.Filename != "b.txt" || s.URL != address {
		t.Errorf("%+v", first)
	}
	if string(w.store.bodies[s.Key]) != body {
		t.Error("what is stored is not what was given")
	}
	asked := w.asked.Load()
	body = "something else"
	again, err := w.work(t, address, 1)
	if err != nil || again.Source != s || w.asked.Load() != asked {
		t.Errorf("P5: the address was asked again: %+v, %v", again, err)
	}
}

func TestOfTwoWorkersTheFirstDecides(t *testing.T) {
	w := serve(t, nil, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "second") })
	w.store.before = func() {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.bodies[schemas.FetchedKey("acme", job)] = []byte("first one")
		w.store.of[schemas.FetchedKey("acme", job)] = blob.Options{MediaType: "text/plain"}
	}
	e, err := w.work(t, w.at("example.test", "/"), 0)
	if err != nil || e.Source.Size != 9 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestAnAddressThatGivesNothingFailsByWhoseFaultItIs(t *testing.T) {
	var w *web
	answer := func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(rw, r)
		case "/down":
			rw.WriteHeader(http.StatusBadGateway)
		case "/busy":
			rw.WriteHeader(http.StatusTooManyRequests)
		case "/slow", "/stalls":
			if r.URL.Path == "/stalls" {
				_, _ = io.WriteString(rw, strings.Repeat("begun ", 1000))
				rw.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		case "/huge":
			rw.Header().Set("Content-Length", strconv.Itoa(2<<20))
			_, _ = rw.Write(make([]byte, 2<<20))
		case "/endless":
			for range 3 << 10 {
				if _, err := rw.Write(bytes.Repeat([]byte("text "), 200)); err != nil {
					return
				}
			}
		case "/cut":
			rw.Header().Set("Content-Length", "9000")
			_, _ = io.WriteString(rw, strings.Repeat("text ", 900))
		case "/packed":
			rw.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(rw, "x")
		case "/empty":
		case "/program":
			_, _ = rw.Write(append([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0}, make([]byte, 5000)...))
		case "/inside":
			http.Redirect(rw, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		case "/named":
			http.Redirect(rw, r, w.at("inside.test", "/"), http.StatusFound)
		case "/around":
			http.Redirect(rw, r, "/around", http.StatusFound)
		}
	}
	within := func(d time.Duration) *web {
		return serve(t, func(c *fetch.Config) { c.Outbound.MaxBytes, c.Outbound.Timeout = 1<<20, d }, answer)
	}
	w, hurried := within(time.Minute), within(200*time.Millisecond) // only who is to be late has little time: the machine may be slow
	for name, c := range map[string]struct {
		address string
		code    schemas.Code
		retried bool // until the last attempt
	}{
		"an answer of none":         {w.at("example.test", "/missing"), schemas.URLRefused, false},
		"a server that fails":       {w.at("example.test", "/down"), schemas.URLUnreachable, true},
		"a server that is busy":     {w.at("example.test", "/busy"), schemas.URLUnreachable, true},
		"a name that is nobody's":   {"http://nobody.test/", schemas.URLUnreachable, true},
		"no answer in time":         {hurried.at("example.test", "/slow"), schemas.URLTimeout, true},
		"an answer that stalls":     {hurried.at("example.test", "/stalls"), schemas.URLTimeout, true},
		"an answer that is cut":     {w.at("example.test", "/cut"), schemas.URLUnreachable, true},
		"too many bytes, said so":   {w.at("example.test", "/huge"), schemas.URLTooLarge, false},
		"too many bytes, not said":  {w.at("example.test", "/endless"), schemas.URLTooLarge, false},
		"a packed answer":           {w.at("example.test", "/packed"), schemas.URLRefused, false},
		"nothing":                   {w.at("example.test", "/empty"), schemas.EmptyFile, false},
		"a program":                 {w.at("example.test", "/program"), schemas.UnsupportedMediaType, false},
		"a redirect inside":         {w.at("example.test", "/inside"), schemas.URLBlocked, false},
		"a redirect to a name":      {w.at("example.test", "/named"), schemas.URLBlocked, false},
		"redirects without end":     {w.at("example.test", "/around"), schemas.URLBlocked, false},
		"a name that leads inside":  {w.at("inside.test", "/"), schemas.URLBlocked, false},
		"a name mapped to metadata": {"http://mapped.test/", schemas.URLBlocked, false},
		"an address in decimal":     {"http://2130706433/", schemas.URLBlocked, false},
		"a closed port":             {"http://example.test:22/", schemas.URLBlocked, false},
		"no address":                {"", schemas.SubmissionInvalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			for attempt, want := range map[int]fault.Kind{0: map[bool]fault.Kind{true: fault.Unknown, false: fault.Permanent}[c.retried], 3: fault.Permanent} {
				by := w
				if c.code == schemas.URLTimeout {
					by = hurried
				}
				_, err := by.work(t, c.address, attempt)
				var f *fault.Error
				if !errors.As(err, &f) || f.Code != c.code || f.Kind != want {
					t.Errorf("attempt %d: %v, want %s, %s", attempt, err, c.code, want)
				}
			}
		})
	}
	if n := len(w.store.bodies) + len(hurried.store.bodies); n > 0 {
		t.Errorf("%d objects were left behind", n)
	}
}

func TestAnAddressIsInNoError(t *testing.T) {
	w := serve(t, nil, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
	for _, address := range []string{w.at("example.test", "/?sig=canary"), "http://nobody.test/canary", "http://inside.test/canary", "ftp://example.test/canary"} {
		if _, err := w.work(t, address, 0); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("P8: %v", err)
		}
	}
}

// broken is a store that cannot be reached.
type broken struct{ *store }

func (broken) Upload(context.Context, string, io.Reader, blob.Options) error {
	return fault.World(schemas.ServiceUnavailable, "The store does not answer.")
}

func TestAStoreThatFailsIsTheWorlds(t *testing.T) {
	w := serve(t, nil, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello") })
	cfg := fetch.DefaultConfig()
	u, _ := url.Parse(w.URL)
	port, _ := strconv.Atoi(u.Port())
	cfg.Outbound.Ports, cfg.Outbound.Networks = []int{port}, []string{"127.0.0.1/32"}
	guard, err := outbound.New(cfg.Outbound, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fetch.New(cfg, guard, broken{w.store}).Work(t.Context(), submission(w.URL), schemas.Delivery{Attempt: 3})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}
