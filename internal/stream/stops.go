package stream

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

const (
	maxStops  = 100_000          // runs remembered; the oldest are forgotten first (P6)
	stopsLate = 10 * time.Second // work does not wait longer than this for stops that cannot be read
)

// stops knows the runs that were cancelled or expired, so that workers drop what is left of them. It is best effort: the fold has decided
// already, and drops whatever is worked on all the same.
type stops struct {
	ready chan struct{} // closed when what was stopped before the start is known

	mu    sync.Mutex
	runs  map[string]int // tenant/job → the newest run that was stopped
	order []string       // keys as they came, a ring
	next  int
}

func newStops() *stops { return &stops{ready: make(chan struct{}), runs: map[string]int{}} }

// add notes that a run and those before it are over.
func (s *stops) add(e *schemas.RunStopped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := topology.JobKey(e.Tenant, e.JobID)
	run, known := s.runs[key]
	s.runs[key] = max(run, e.Run)
	switch {
	case known:
	case len(s.order) < maxStops:
		s.order = append(s.order, key)
	default:
		delete(s.runs, s.order[s.next])
		s.order[s.next] = key
		s.next = (s.next + 1) % maxStops
	}
}

// has reports whether nobody needs an event any more.
func (s *stops) has(e schemas.Event) bool {
	h := e.Envelope()
	s.mu.Lock()
	defer s.mu.Unlock()
	run, ok := s.runs[topology.JobKey(h.Tenant, h.JobID)]
	return ok && h.Run <= run
}

// wait returns when what was stopped before the start is known, after a while in any case.
func (s *stops) wait(ctx context.Context) error {
	late := time.NewTimer(stopsLate)
	defer late.Stop()
	select {
	case <-s.ready:
	case <-late.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// addStops adds the reader of the stops to the runners, once a harness.
func (h *Harness) addStops() {
	if h.stops != nil {
		return
	}
	h.stops = newStops()
	h.runners = append(h.runners, func(ctx context.Context) error {
		for wait := h.cfg.Backoff; ; wait = min(2*wait, 30*time.Second) {
			if err := h.readStops(ctx); err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "cancelled jobs cannot be read now", "error", err)
			}
			if !pause.For(ctx, wait) {
				return ctx.Err()
			}
		}
	})
}

// readStops reads the stops from the first one kept, in no group, until an error or the end of ctx.
func (h *Harness) readStops(ctx context.Context) error {
	topic := h.plan.Name(topology.Cancellations.Spec.Name)
	cl, err := h.conn.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(2*time.Second),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, _, err := bounds(ctx, adm, topic, 0)
	if err != nil {
		return err
	}
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	end, _ := stable.Lookup(topic, 0)
	if end.Err != nil {
		return end.Err
	}
	for next := start; ; {
		if next >= end.Offset {
			h.stops.open()
		}
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return err
		}
		for _, r := range f.Records() {
			next = r.Offset + 1
			if r.Attrs.IsControl() || len(r.Value) == 0 {
				continue
			}
			if e, err := h.decode(ctx, r); err == nil {
				if s, ok := e.(*schemas.RunStopped); ok {
					h.stops.add(s)
				}
			}
		}
	}
}

func (s *stops) open() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}
