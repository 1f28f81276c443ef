package stream_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

func stopped(n, run int) *schemas.RunStopped {
	return &schemas.RunStopped{Head: schemas.Head{EventID: schemas.EventIDFor(job(n), run, "track", 0, "RunStopped", 0), Tenant: "acme", JobID: job(n), Run: run,
		At: time.Now()}, Status: schemas.Cancelled}
}

func TestWhatWasStoppedBeforeAWorkerStartsIsNotWorkedOn(t *testing.T) {
	w := newWorld(t)
	foreign := prepared(1, 3)
	foreign.Tenant = "other"
	again := prepared(1, 4)
	again.Run = 1
	w.publish(stopped(1, 0), prepared(1, 1), prepared(1, 2), foreign, again, prepared(2, 5))
	h := w.harness(nil)
	var worked [8]atomic.Int32
	stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		worked[e.Page].Add(1)
		return laidOut(e), nil
	})
	stop := w.start(h)
	w.read("layouts.cpu.normal", 3)
	w.drained("layout", "pages.cpu.normal")
	stop()
	for page, want := range []int32{0, 0, 0, 1, 1, 1} { // another tenant's job of that name, a later run, another job
		if got := worked[page].Load(); got != want {
			t.Errorf("page %d was worked on %d times, want %d", page, got, want)
		}
	}
}

func TestARunningWorkerDropsAStoppedRunWithinOnePage(t *testing.T) {
	w := newWorld(t)
	h := w.harness(func(c *stream.Config) { c.Slots = 1 })
	var worked atomic.Int32
	stream.AddStage(h, topology.Layout, "cpu", func(ctx context.Context, e *schemas.PagePrepared, d schemas.Delivery) ([]schemas.Event, error) {
		if e.JobID == job(2) {
			return laidOut(e), nil
		}
		if worked.Add(1) == 1 {
			w.publish(stopped(1, 0))
		}
		for !d.Over() { // a page that goes on and on until its job is cancelled
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		return nil, nil
	})
	for page := range 6 {
		w.publish(prepared(1, page+1))
	}
	w.publish(prepared(2, 1))
	stop := w.start(h)
	w.read("layouts.cpu.normal", 1)
	w.drained("layout", "pages.cpu.normal")
	stop()
	if got := worked.Load(); got != 1 {
		t.Errorf("%d pages of the cancelled job were worked on, want the one that was being worked on", got)
	}
}

// drained waits until a stage has committed all of a topic.
func (w *world) drained(stage, topic string) {
	w.t.Helper()
	adm, full := kadm.NewClient(w.cl), w.plan.Name(topic)
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	for {
		lags, err := adm.Lag(ctx, w.plan.Group(stage, topic))
		if err != nil {
			w.t.Fatalf("%s has not done %s: %v", stage, topic, err)
		}
		if left := lags[w.plan.Group(stage, topic)].Lag.TotalByTopic()[full].Lag; left == 0 {
			return
		}
	}
}
