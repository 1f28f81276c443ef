package view_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/internal/stream"
	"docstream/schemas"
)

// manyJobs is how many jobs the view holds; DOCSTREAM_TEST_VIEW_JOBS says another number.
func manyJobs(t testing.TB) int {
	t.Helper()
	text := os.Getenv("DOCSTREAM_TEST_VIEW_JOBS")
	if text == "" {
		return 3000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 {
		t.Fatalf("DOCSTREAM_TEST_VIEW_JOBS is %q", text)
	}
	return n
}

// produceJobs writes n jobs that have ended and returns some of their ids.
func (w *world) produceJobs(n int) (some []string) {
	w.t.Helper()
	cl, err := w.conn.Client(kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	out := stream.NewWriter(w.plan, w.codec, "test", house)
	failed := make(chan error, 1)
	for i := range n {
		s := snapshot("acme", newJob(), 0, 9, schemas.Completed)
		for _, f := range []string{"markdown", "json", "html", "csv", "text"} {
			s.Outputs = append(s.Outputs, schemas.Output{Format: f, Key: "results/acme/" + s.JobID + "/0/document." + f, Size: int64(i), SHA256: s.JobID})
		}
		if i%max(1, n/1000) == 0 {
			some = append(some, s.JobID)
		}
		rec, err := out.Record(w.t.Context(), s, "req_test")
		if err != nil {
			w.t.Fatal(err)
		}
		cl.Produce(w.t.Context(), rec, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	select {
	case err := <-failed:
		w.t.Fatal(err)
	default:
	}
	return some
}

// lookUps looks jobs up as a request does, and returns the median and the 99th percentile.
func (r *running) lookUps(t testing.TB, jobs []string, n int) (p50, p99 time.Duration) {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := r.Fresh(ctx)
		cancel()
		s, ok := r.Job("acme", jobs[rand.IntN(len(jobs))])
		if took[i] = time.Since(began); err != nil || !ok || s.Version != 9 || len(s.Outputs) != 5 {
			t.Fatalf("%v %t %+v", err, ok, s)
		}
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100]
}

// memory says what the test's process holds: the heap, and all of it, the store's cache included.
func memory() string {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	resident := "?"
	status, _ := os.ReadFile("/proc/self/status") // another system has none
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			resident = strings.TrimSpace(rest)
		}
	}
	return fmt.Sprintf("heap %d kB, resident %s", m.HeapAlloc>>10, resident)
}

// A view of many jobs finds one as a small one does, and goes on after a restart without reading them again. What it took is printed: `make
// bench-view` has a million on Apache Kafka.
func TestManyJobsAreHeldAsFewAre(t *testing.T) {
	n := manyJobs(t)
	w := newWorld(t)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	few := w.produceJobs(100)
	v := w.viewWith(cfg, w.conn)
	v.fresh(t)
	p50, p99 := v.lookUps(t, few, 1000)
	t.Logf("100 jobs: a look-up takes p50 %s, p99 %s", p50, p99)

	t.Logf("before: %s", memory())
	began := time.Now()
	jobs := w.produceJobs(n)
	for ; v.metric(t, "docstream_view_jobs", "") < n+100; time.Sleep(10 * time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatal("it does not read to the end")
		}
	}
	t.Logf("%d jobs written and read in %s", n, time.Since(began).Round(time.Millisecond))
	p50, p99 = v.lookUps(t, jobs, 1000)
	t.Logf("%d jobs: a look-up takes p50 %s, p99 %s; %s", n, p50, p99, memory())

	v.stop()
	began = time.Now()
	again := w.viewWith(cfg, w.conn)
	for ; !again.Ready(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Minute {
			t.Fatalf("it is not ready\n%s", again.log)
		}
	}
	t.Logf("ready %s after a restart; %s", time.Since(began).Round(time.Millisecond), memory())
	if read := again.read(t, "jobs"); read != 0 {
		t.Errorf("it read %d jobs again", read)
	}
	if held := again.metric(t, "docstream_view_jobs", ""); held != n+100 {
		t.Errorf("it holds %d jobs", held)
	}
	p50, p99 = again.lookUps(t, jobs, 1000)
	t.Logf("then a look-up takes p50 %s, p99 %s", p50, p99)
}
