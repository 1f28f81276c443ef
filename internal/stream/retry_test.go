package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// TestARetryWaitsBesideItsLane: a record nobody can place goes to the delay topic with its original bytes, the records behind it go on at
// once, and it comes back with its attempt counted when its time has come.
func TestARetryWaitsBesideItsLane(t *testing.T) {
	w := newWorld(t, time.Second)
	h := w.harness(nil)
	var mu sync.Mutex
	attempts := map[int][]schemas.Delivery{}
	began := map[int][]time.Time{}
	stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, d schemas.Delivery) ([]schemas.Event, error) {
		mu.Lock()
		defer mu.Unlock()
		attempts[e.Page], began[e.Page] = append(attempts[e.Page], d), append(began[e.Page], time.Now())
		if e.Page == 1 && d.Attempt == 0 {
			return nil, errors.New("strange")
		}
		return laidOut(e), nil
	})
	w.start(h)
	in := prepared(1, 1)
	w.publish(in, prepared(1, 2), prepared(1, 3))

	var order []int
	for _, r := range w.read("layouts.cpu.normal", 3) {
		order = append(order, w.decode(r).(*schemas.PageLaidOut).Page)
	}
	if order[2] != 1 {
		t.Errorf("the pages came out as %v, but a retry holds up no other page", order)
	}
	mu.Lock()
	defer mu.Unlock()
	if d := attempts[1]; len(d) != 2 || d[1].Attempt != 1 || !d[1].Again {
		t.Errorf("page 1 was delivered as %+v", d)
	}
	if waited := began[1][1].Sub(began[1][0]); waited < time.Second {
		t.Errorf("the retry came after %s", waited)
	}
	if began[2][0].After(began[1][1]) || began[3][0].After(began[1][1]) {
		t.Error("the lane waited for the retry")
	}
	delayed := w.read("delay.1s", 1)[0]
	want, _ := w.codec.Encode(in)
	if !bytes.Equal(delayed.Value, want) || stream.Header(delayed, schemas.HeaderOrigin) != "pages.cpu.normal" || stream.Header(delayed, schemas.HeaderAttempt) != "1" ||
		stream.Header(delayed, schemas.HeaderID) != in.EventID {
		t.Errorf("the delayed record is %v", delayed.Headers)
	}
	f := w.decode(w.read("facts", 1)[0]).(*schemas.RetryScheduled)
	if f.Page != 1 || f.Stage != "layout" || f.Attempt != 1 || f.MaxRetries != 1 || f.Due.Sub(f.At) != time.Second || f.Code != "STAGE_FAILED" {
		t.Errorf("the fact is %+v", f)
	}
}

func TestADelayedRecordReturnsOnlyToALane(t *testing.T) {
	w := newWorld(t, 20*time.Millisecond)
	h := w.harness(nil)
	stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		return laidOut(e), nil
	})
	w.start(h)
	for _, origin := range []string{"facts", "jobs", "settings", "dlq.layout", "delay.20ms", "nowhere", ""} {
		r := &kgo.Record{Topic: w.plan.Name("delay.20ms"), Key: []byte(origin), Value: []byte("x")}
		if origin != "" {
			r.Headers = []kgo.RecordHeader{{Key: schemas.HeaderOrigin, Value: []byte(origin)}}
		}
		if err := w.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range w.read("dlq.delay", 7) {
		if stream.Header(r, schemas.HeaderDeadCode) != "RECORD_UNDECODABLE" || stream.Header(r, schemas.HeaderOrigin) != string(r.Key) {
			t.Errorf("set aside: %v", r.Headers)
		}
	}
}

// TestAFailingStageStopsBeforeItEmptiesItsLane: so many jobs that failed for no known reason stop the stage; what is left stays in the lane
// and the other stages go on.
func TestAFailingStageStopsBeforeItEmptiesItsLane(t *testing.T) {
	const limit, records = 5, 60
	w := newWorld(t)
	h := w.harness(func(c *stream.Config) { c.StopAfter, c.StopWindow, c.Batch = limit, 8, 2 })
	stream.AddStage(h, topology.Layout, "cpu", func(context.Context, *schemas.PagePrepared, schemas.Delivery) ([]schemas.Event, error) {
		return nil, errors.New("the disk is on fire")
	})
	stream.AddStage(h, topology.OCR, "cpu", func(context.Context, *schemas.PageLaidOut, schemas.Delivery) ([]schemas.Event, error) {
		return nil, nil
	})
	w.start(h)
	for n := range records {
		w.publish(prepared(n, 1))
	}
	deadline := time.Now().Add(20 * time.Second)
	for h.Stopped() == nil && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	err := h.Stopped()
	if err == nil || !strings.Contains(err.Error(), "stage layout stopped: 5 of its last") || !strings.Contains(err.Error(), "STAGE_FAILED 5 times") {
		t.Fatalf("stopped: %v", err)
	}
	time.Sleep(500 * time.Millisecond)
	n, err := w.committed("dlq.layout")
	if err != nil || n >= records/2 {
		t.Errorf("%d dead letters: %v", n, err)
	}
}

// TestDocumentsThatFailByThemselvesStopNobody: refusals are the stage at work, and the pages of one document count once (P7).
func TestDocumentsThatFailByThemselvesStopNobody(t *testing.T) {
	for name, c := range map[string]struct {
		job func(n int) int
		err error
	}{
		"one document with many bad pages": {func(int) int { return 1 }, errors.New("strange")},
		"many refused documents":           {func(n int) int { return n }, errRefusal},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := w.harness(func(c *stream.Config) { c.StopAfter, c.StopWindow = 3, 5 })
			stream.AddStage(h, topology.Layout, "cpu", func(context.Context, *schemas.PagePrepared, schemas.Delivery) ([]schemas.Event, error) {
				return nil, c.err
			})
			w.start(h)
			for n := range 12 {
				w.publish(prepared(c.job(n), n+1))
			}
			w.read("dlq.layout", 12)
			if err := h.Stopped(); err != nil {
				t.Error(err)
			}
		})
	}
}

var errRefusal error = fmt.Errorf("wrapped: %w", damaged)

// TestATaskThatDoesNotEndFailsAlone: it is given up at the deadline of a task, not tried again, and the records behind it are worked on.
func TestATaskThatDoesNotEndFailsAlone(t *testing.T) {
	w := newWorld(t, 20*time.Millisecond)
	h := w.harness(func(c *stream.Config) { c.Slots, c.Task = 1, time.Second })
	stream.AddStage(h, topology.Layout, "cpu", func(ctx context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		switch e.Page {
		case 1:
			<-ctx.Done()
			return nil, ctx.Err()
		case 2: // a refusal that came late
			<-ctx.Done()
			return nil, errRefusal
		}
		return laidOut(e), nil
	})
	w.start(h)
	w.publish(prepared(1, 1), prepared(1, 2), prepared(1, 3))
	if e := w.decode(w.read("layouts.cpu.normal", 1)[0]).(*schemas.PageLaidOut); e.Page != 3 {
		t.Errorf("page %d came out", e.Page)
	}
	codes := map[int]string{}
	for _, r := range w.read("facts", 4) { // each with what closes the page
		if f, ok := w.decode(r).(*schemas.DeadLettered); ok {
			if f.Attempts != 1 {
				t.Errorf("page %d was tried %d times", f.Page, f.Attempts)
			}
			codes[f.Page] = f.Code
		}
	}
	if codes[1] != string(schemas.EngineTimeout) || codes[2] != string(fault.Of(errRefusal).Code) {
		t.Errorf("the pages failed with %v", codes)
	}
	if n, err := w.committed("delay.20ms"); err != nil || n != 0 {
		t.Errorf("%d tasks were to be tried again: %v", n, err)
	}
}
