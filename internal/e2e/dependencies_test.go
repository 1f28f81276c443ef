package e2e_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops/sample"
)

// door stands before a server and can keep its clients from it in different ways.
type door struct {
	url    string
	mode   atomic.Value // string
	writes atomic.Int64
	broken atomic.Int64
}

// What a door does. An open one lets everything through.
const (
	isOpen    = "open"
	isBroken  = "500"
	isBusy    = "503"
	isSlow    = "slow"
	isSilent  = "silent"
	breaksOff = "breaks off" // every second answer ends in its middle
	forgetful = "forgetful"  // every second write is done, and nobody is told
)

func newDoor(t testing.TB, behind string) *door {
	t.Helper()
	to, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	d.mode.Store(isOpen)
	through := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode := d.mode.Load().(string); mode {
		case isBroken:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case isBusy:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case isSlow:
			time.Sleep(300 * time.Millisecond)
		case isSilent:
			for d.mode.Load() == isSilent && r.Context().Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
			panic(http.ErrAbortHandler)
		case breaksOff:
			if d.broken.Add(1)%2 == 1 {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "{")
				panic(http.ErrAbortHandler)
			}
		case forgetful:
			if r.Method != http.MethodGet && r.Method != http.MethodHead && d.writes.Add(1)%2 == 1 {
				through.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
		}
		through.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() { d.mode.Store(isOpen); s.CloseClientConnections(); s.Close() })
	d.url = s.URL
	return d
}

// away is one way in which something the service stands on can be away.
type away struct {
	name    string
	begin   func()
	end     func()
	durable bool // documents can be accepted all the same
}

// outages lists what can be taken from the platform.
func (p *platform) outages(objects *door) []away {
	var out []away
	for _, o := range []struct {
		name, mode string
		durable    bool
	}{{"the object store answers 500", isBroken, false}, {"the object store answers 503", isBusy, false}, {"the object store is slow", isSlow, true},
		{"the object store says nothing", isSilent, false}, {"the object store keeps what it was given and does not say so", forgetful, true}} {
		out = append(out, away{o.name, func() { objects.mode.Store(o.mode) }, func() { objects.mode.Store(isOpen) }, o.durable})
	}
	if p.registry != nil {
		out = append(out, away{"the registry answers 503", func() { p.registry.mode.Store(isBusy) }, func() { p.registry.mode.Store(isOpen) }, true})
	}
	for name, durable := range map[string]bool{"broker": false, "clickhouse": true} {
		pid := p.dev.PIDs[name]
		if pid < 2 {
			continue // Kafka is not ours to stop
		}
		signal := func(s syscall.Signal) func() {
			return func() {
				if err := syscall.Kill(pid, s); err != nil {
					p.t.Error(err)
				}
			}
		}
		out = append(out, away{name + " stands still", signal(syscall.SIGSTOP), signal(syscall.SIGCONT), durable})
	}
	return out
}

// TestWhatIsAwayIsWaitedFor takes away, one after the other, what the service stands on, with a document on its way. Meanwhile a document is
// accepted or answered with 503 and a time to try again, and with 503 alone where nothing can be made durable; afterwards everything goes on
// by itself, and docstream verify finds nothing amiss. DOCSTREAM_TEST_OUTAGE is how long each takes.
func TestWhatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel() // it waits most of the time
	lasts := 2 * time.Second
	if text := os.Getenv("DOCSTREAM_TEST_OUTAGE"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s3 := testenv.S3(t)
	objects := newDoor(t, s3.Endpoint)
	p := startIn(t, []string{"DOCSTREAM_OBJECTS_ACCESS_KEY=" + s3.AccessKey, "DOCSTREAM_OBJECTS_SECRET_KEY=" + s3.SecretKey},
		"--s3", objects.url, "--set", "objects.stall=1s", "--set", "objects.attempts=2", "--set", "stream.backoff=100ms", "--set", "gateway.publish_timeout=2s", "--set", "topics.delays=1s,2s,3s")
	pdf, _ := made(t, sample.Options{Pages: 2, DPI: 72, Seed: 9})
	var accepted []string
	for _, o := range p.outages(objects) {
		t.Run(o.name, func(t *testing.T) {
			q := *p
			q.t = t
			ids := []string{q.submit("scan.pdf", pdf, nil)}
			o.begin()
			ended := false
			end := func() {
				if !ended {
					o.end()
				}
				ended = true
			}
			defer end()
			mine, turned := q.knock(lasts, o)
			ids = append(ids, mine...)
			if !o.durable && turned == 0 {
				t.Error("no document was turned away")
			}
			end()
			q.eventually(time.Minute, "a document to be accepted again", func() bool {
				a, err := q.try("note.txt", []byte("All is well again.\n"))
				if err != nil || a.status != http.StatusAccepted {
					return false
				}
				var j job
				a.json(t, &j)
				ids = append(ids, j.JobID)
				return true
			})
			for _, id := range ids {
				if j := q.wait(id, 2*time.Minute); j.Status != "completed" {
					t.Errorf("a job ended as %+v", j)
				}
			}
			t.Logf("%d accepted, %d turned away", len(ids), turned)
			accepted = append(accepted, ids...)
		})
	}
	p.verify(accepted)
}

// knock posts documents for a while and returns the jobs that were accepted and how many were turned away.
func (p *platform) knock(lasts time.Duration, o away) (accepted []string, turned int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for n, end := 0, time.Now().Add(lasts); n == 0 || time.Now().Before(end); n++ {
		all.Go(func() {
			a, err := p.request(p.form(fmt.Sprintf("note-%d.txt", n), fmt.Appendf(nil, "Note %d while %s.\n", n, o.name)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				p.t.Errorf("no answer: %v", err)
			case a.status == http.StatusAccepted && o.durable:
				var j job
				a.json(p.t, &j)
				accepted = append(accepted, j.JobID)
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && code(a) == "SERVICE_UNAVAILABLE":
				turned++
			default:
				p.t.Errorf("answered %d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
			}
		})
		time.Sleep(500 * time.Millisecond)
	}
	all.Wait()
	return accepted, turned
}

// TestAStartOutlivesARegistryThatBreaksOff starts a service on a registry of which the first answer ends in its middle.
func TestAStartOutlivesARegistryThatBreaksOff(t *testing.T) {
	t.Parallel()
	conn := testenv.Kafka(t)
	registry := newDoor(t, conn.Registry)
	registry.mode.Store(breaksOff)
	go func() {
		for registry.broken.Load() == 0 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		registry.mode.Store(isOpen)
	}()
	p := startOn(t, "", nil, "--kafka", strings.Join(conn.Brokers, ","), "--registry", registry.url, "--set", "topics.prefix="+testenv.Plan(t).Prefix)
	if registry.broken.Load() == 0 {
		t.Error("no answer broke off")
	}
	if j := p.wait(p.submit("note.txt", []byte("All is well.\n"), nil), time.Minute); j.Status != "completed" {
		t.Errorf("the job ended as %+v", j)
	}
}
