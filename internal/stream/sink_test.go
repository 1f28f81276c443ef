package stream_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// store is a sink's store in memory, keyed by event id as a real one is.
type store struct {
	mu     sync.Mutex
	rows   map[int]int // page → times written
	refuse func(schemas.Batch) error
}

func (s *store) write(_ context.Context, b schemas.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		if err := s.refuse(b); err != nil {
			return err
		}
	}
	for _, e := range b.Events {
		if f, ok := e.(*schemas.PageFinished); ok {
			s.rows[f.Page]++
		}
	}
	return nil
}

func (s *store) count() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.rows) }

func page(n int) *schemas.PageFinished {
	return &schemas.PageFinished{Head: schemas.Head{EventID: schemas.EventIDFor(job(1), 0, "ocr", n, "PageFinished", 0), Tenant: "acme", JobID: job(1), At: time.Now()}, Page: n}
}

func TestASinkWritesEveryEventOnceWhereNothingFails(t *testing.T) {
	w := newWorld(t)
	s := &store{rows: map[int]int{}}
	h := w.harness(nil)
	stream.AddSink(h, topology.ClickHouse, s.write)
	stop := w.start(h)
	for n := range 50 {
		w.publish(page(n + 1))
	}
	waitFor(t, func() bool { return s.count() == 50 })
	stop()
	h = w.harness(nil)
	stream.AddSink(h, topology.ClickHouse, s.write)
	w.start(h)
	w.publish(page(51))
	waitFor(t, func() bool { return s.count() == 51 })
	for p, n := range s.rows {
		if n != 1 {
			t.Errorf("page %d was written %d times", p, n)
		}
	}
}

func TestASinkWaitsForAStoreThatIsAway(t *testing.T) {
	w := newWorld(t)
	refusals := 0
	s := &store{rows: map[int]int{}, refuse: func(schemas.Batch) error {
		if refusals++; refusals < 8 {
			return fault.World(schemas.ServiceUnavailable, "The store is away.")
		}
		return nil
	}}
	h := w.harness(nil)
	stream.AddSink(h, topology.ClickHouse, s.write)
	w.start(h)
	w.publish(page(1))
	waitFor(t, func() bool { return s.count() == 1 })
}

func TestOneBadRecordIsSetAsideAndItsNeighboursAreWritten(t *testing.T) {
	w := newWorld(t)
	bad := func(e schemas.Event) bool { return e.(*schemas.PageFinished).Page == 13 }
	s := &store{rows: map[int]int{}, refuse: func(b schemas.Batch) error {
		if slices.ContainsFunc(b.Events, bad) {
			return errors.New("a value out of range")
		}
		return nil
	}}
	h := w.harness(func(c *stream.Config) { c.MaxAttempts = 2 })
	stream.AddSink(h, topology.ClickHouse, s.write)
	for n := range 20 {
		w.publish(page(n + 1))
	}
	w.start(h)
	waitFor(t, func() bool { return s.count() == 19 })
	dead := w.read("dlq.clickhouse", 1)[0]
	if got := w.decode(dead).(*schemas.PageFinished).Page; got != 13 {
		t.Errorf("page %d was set aside", got)
	}
}

// TestABatchThatWasBegunComesAgainAsItWas ends a sink after its store has taken a batch and before the sink hears of it. Whoever goes on,
// with more records at hand and a larger batch, gives the store the same batch first.
func TestABatchThatWasBegunComesAgainAsItWas(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var seen []schemas.Batch
	away := true
	s := &store{rows: map[int]int{}, refuse: func(b schemas.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, b); away {
			return fault.World(schemas.ServiceUnavailable, "It took the batch and did not say so.")
		}
		return nil
	}}
	batches := func() []schemas.Batch { mu.Lock(); defer mu.Unlock(); return slices.Clone(seen) }
	for n := range 25 {
		w.publish(page(n + 1))
	}
	h := w.harness(func(c *stream.Config) { c.SinkBatch = 10 })
	stream.AddSink(h, topology.ClickHouse, s.write)
	stop := w.start(h)
	waitFor(t, func() bool { return len(batches()) > 0 })
	stop()
	begun := batches()[0]
	if len(begun.Events) != 10 {
		t.Fatalf("the first batch holds %d events", len(begun.Events))
	}
	mu.Lock()
	seen, away = nil, false
	mu.Unlock()
	for n := range 25 {
		w.publish(page(n + 26))
	}
	h = w.harness(func(c *stream.Config) { c.SinkBatch = 1000 })
	stream.AddSink(h, topology.ClickHouse, s.write)
	w.start(h)
	waitFor(t, func() bool { return s.count() == 50 })
	got := batches()
	if got[0].First != begun.First || got[0].Last != begun.Last || len(got[0].Events) != 10 {
		t.Errorf("the batch %d-%d came again as %d-%d of %d events", begun.First, begun.Last, got[0].First, got[0].Last, len(got[0].Events))
	}
	if got[1].First <= begun.Last {
		t.Errorf("the next batch begins at %d", got[1].First)
	}
	for p, n := range s.rows {
		if n != 1 {
			t.Errorf("page %d was written %d times", p, n)
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it did not happen")
}
