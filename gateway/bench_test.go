package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docstream/internal/telemetry"
	"docstream/schemas"
)

// client keeps as many connections as there are clients.
func client() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 256
	return &http.Client{Transport: t}
}

// quantiles reports the times of the requests of a benchmark.
type quantiles struct {
	mu    sync.Mutex
	times []time.Duration
}

func (q *quantiles) add(d time.Duration) {
	q.mu.Lock()
	q.times = append(q.times, d)
	q.mu.Unlock()
}

func (q *quantiles) report(b *testing.B) {
	slices.Sort(q.times)
	if n := len(q.times); n > 0 {
		b.ReportMetric(float64(q.times[n/2].Microseconds())/1e3, "p50-ms")
		b.ReportMetric(float64(q.times[n*99/100].Microseconds())/1e3, "p99-ms")
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "req/s")
	}
}

// load makes requests from many clients at once.
func load(b *testing.B, want int, build func() *http.Request) {
	c, q := client(), &quantiles{}
	b.SetParallelism(50)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			began := time.Now()
			res, err := c.Do(build())
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != want {
				b.Errorf("status %d", res.StatusCode)
				return
			}
			q.add(time.Since(began))
		}
	})
	q.report(b)
}

// BenchmarkSubmit100KB is a submission of 100 KB over HTTP, with a store in memory and the embedded broker: the gateway's own share.
func BenchmarkSubmit100KB(b *testing.B) {
	w := newWorld(b)
	w.store.forgetful = true
	r := w.replica(nil)
	token := w.key("acme")
	body, kind := form(file(strings.Repeat("0123456789", 10_000)))
	b.SetBytes(int64(body.Len()))
	load(b, http.StatusAccepted, func() *http.Request {
		req, _ := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", bytes.NewReader(body.Bytes()))
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer "+token)
		return req
	})
}

// BenchmarkJobLookup is a look-up of a terminal job, with key, freshness and tenant check.
func BenchmarkJobLookup(b *testing.B) {
	w := newWorld(b)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	load(b, http.StatusOK, func() *http.Request {
		req, _ := http.NewRequest(http.MethodGet, r.url+"/api/v1/jobs/"+job, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		return req
	})
}

// BenchmarkBareLookup is a bare handler that returns the same bytes: what the look-up is held against.
func BenchmarkBareLookup(b *testing.B) {
	w := newWorld(b)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	body := r.get(token, "/api/v1/jobs/"+job).body
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	defer s.Close()
	load(b, http.StatusOK, func() *http.Request {
		req, _ := http.NewRequest(http.MethodGet, s.URL, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		return req
	})
}

// spent is the processor time of this process so far, which says more than the clock where most of the time is waited for the log.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nowhere takes an answer and keeps nothing of it but its status.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }

// SetWriteDeadline is there as with a connection: to be told that there is none costs an error.
func (w *nowhere) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkJobLookupAlone is what the gateway adds to the server it stands on: a crowd's look-ups without connections, its log thrown away.
func BenchmarkJobLookupAlone(b *testing.B) {
	w := newWorld(b)
	w.logs.forgetful.Store(true)
	stop, err := telemetry.Tracing(b.Context(), telemetry.DefaultConfig()) // nobody takes the traces, but they have ids
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = stop(context.Background()) }()
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	h := r.gateway.Handler()
	b.SetParallelism(50)
	b.ReportAllocs()
	b.ResetTimer()
	before := spent()
	b.RunParallel(func(pb *testing.PB) {
		req := httptest.NewRequest(http.MethodGet, "/api/v1/jobs/"+job, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		for pb.Next() {
			to := nowhere{header: http.Header{}}
			if h.ServeHTTP(&to, req); to.status != http.StatusOK {
				b.Errorf("status %d", to.status)
				return
			}
		}
	})
	b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
