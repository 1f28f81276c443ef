package stream_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/processors/track"
	"docstream/schemas"
)

// limited tells the fold of a job that must have ended by a time.
func (w *world) limited(n int, deadline time.Time) *schemas.DeadlineSet {
	w.t.Helper()
	h := schemas.Head{EventID: schemas.EventIDFor(job(n), 0, "gateway", 0, "DeadlineSet", 0), Tenant: "acme", JobID: job(n), At: time.Now(), SubmittedAt: time.Now()}
	wire, err := w.codec.Encode(&schemas.DocumentSubmitted{Head: h, FromPage: 1, Class: "cpu", Priority: "normal", Source: schemas.Source{Key: "sources/acme/x", Size: 1}, Deadline: deadline})
	if err != nil {
		w.t.Fatal(err)
	}
	return &schemas.DeadlineSet{Head: h, Submission: wire}
}

// folds runs track over a world's facts.
func (w *world) folds(tick time.Duration) (stop func()) {
	h := w.harness(func(c *stream.Config) { c.Tick = tick })
	stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), w.codec.Decode))
	return w.start(h)
}

// states reads the newest state of every job.
func (w *world) states() map[string]*schemas.JobSnapshot {
	w.t.Helper()
	out := map[string]*schemas.JobSnapshot{}
	err := stream.Scan{Conn: w.conn, Plan: w.plan, Codec: w.codec, Yield: func(r schemas.Record) error {
		s := r.Event.(*schemas.JobSnapshot)
		out[s.JobID] = s
		return nil
	}}.Read(w.t.Context(), topology.Jobs.Spec.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// until waits for states in which so many jobs have expired.
func (w *world) until(expired int) map[string]*schemas.JobSnapshot {
	w.t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		states := w.states()
		n := 0
		for _, s := range states {
			if s.Status == schemas.Expired {
				n++
			}
		}
		if n >= expired {
			return states
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d jobs have expired, want %d", n, expired)
		}
	}
}

// TestStatesThatWaitForATimeGoByTheTicksInTheLog: a job ends when its deadline has passed, whether the fold knew of it before, reads it late
// or finds it in a restored state; whoever folds the same facts later, with a clock that never ticks, comes to the same states.
func TestStatesThatWaitForATimeGoByTheTicksInTheLog(t *testing.T) {
	w := newWorld(t)
	w.publish(w.limited(1, time.Now().Add(-time.Hour)), w.limited(2, time.Now().Add(time.Hour)), w.limited(3, time.Now().Add(time.Second)))
	stop := w.folds(20 * time.Millisecond)
	states := w.until(2)
	if s := states[job(2)]; s == nil || s.Status != schemas.Pending {
		t.Errorf("a job whose time has not come is %+v", s)
	}
	if s := states[job(3)]; s.Code != string(schemas.DeadlineExceeded) || s.EndedAt.Before(s.Deadline) {
		t.Errorf("a job expired as %+v", s)
	}
	w.publish(w.limited(4, time.Now().Add(300*time.Millisecond))) // while the partitions wait for later, or for nothing
	w.until(3)
	stop()
	due := w.limited(5, time.Now().Add(time.Second))
	w.publish(due)
	stop = w.folds(time.Hour) // reads the fact, and is gone before the time comes
	w.drained("track", "facts")
	stop()
	if s := w.states()[job(5)]; s == nil || s.Status != schemas.Pending {
		t.Fatalf("without a tick a job is %+v", s)
	}
	stop = w.folds(20 * time.Millisecond)
	states = w.until(4)
	w.drained("track", "facts")
	stop()

	again := newWorld(t)
	var facts []*kgo.Record
	n, err := w.committed("facts")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range w.read("facts", n) {
		facts = append(facts, &kgo.Record{Topic: again.plan.Name("facts"), Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	cl, err := again.conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if err := cl.ProduceSync(t.Context(), facts...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	stop = again.folds(time.Hour)
	again.until(4)
	again.drained("track", "facts")
	stop()
	replayed := again.states()
	for _, id := range slices.Sorted(maps.Keys(states)) {
		if !reflect.DeepEqual(replayed[id], states[id]) {
			t.Errorf("the same facts make of a job\n%+v\nwant\n%+v", replayed[id], states[id])
		}
	}
	if len(replayed) != len(states) {
		t.Errorf("%d jobs, want %d", len(replayed), len(states))
	}
}
