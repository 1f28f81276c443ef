package view

import (
	"context"
	"maps"
	"sync"
)

// place is one partition.
type place struct {
	topic     string // full name
	partition int32
}

// reach is how far the view has read: of each partition, the offset of the first record it does not hold yet.
type reach struct {
	mu      sync.Mutex
	at      map[place]int64
	changed chan struct{} // closed and replaced whenever an offset moves
}

func newReach() *reach { return &reach{at: map[place]int64{}, changed: make(chan struct{})} }

// advance moves offsets forward, never back.
func (r *reach) advance(to map[place]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	moved := false
	for p, o := range to {
		if at, ok := r.at[p]; !ok || o > at {
			r.at[p], moved = o, true
		}
	}
	if moved {
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// now returns a copy of the offsets.
func (r *reach) now() map[place]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.at)
}

// partitions is how many there are.
func (r *reach) partitions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.at)
}

// short lists the partitions that are not read to the ends, and what to wait for.
func (r *reach) short(ends map[place]int64) ([]place, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []place
	for p, end := range ends {
		if r.at[p] < end {
			out = append(out, p)
		}
	}
	return out, r.changed
}

// wait returns once everything below the ends is held, or with ctx's error.
func (r *reach) wait(ctx context.Context, ends map[place]int64) error {
	for {
		short, changed := r.short(ends)
		if len(short) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
