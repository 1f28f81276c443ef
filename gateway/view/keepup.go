package view

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
)

// keepUp looks after what reading alone does not see: partitions that were added, and ends that hold nothing to read.
func (r *reader) keepUp(ctx context.Context) error {
	stuck := map[place]int64{}
	var target milestone
	flushed, swept := time.Now(), time.Time{}
	for n := 0; pause.For(ctx, time.Second); n++ {
		if time.Since(flushed) > flushEvery {
			flushed = time.Now()
			if err := r.v.save(); err != nil {
				return err
			}
		}
		r.v.metrics.disk.Set(float64(r.v.store.db.Metrics().DiskSpaceUsage()))
		if time.Since(swept) > time.Hour {
			swept = time.Now()
			for what, kept := range aged(r.v.plan) {
				if err := r.v.store.sweep(what, swept.Add(-kept)); err != nil {
					return err
				}
			}
		}
		var err error
		if target, err = r.pastIt(ctx, target); err != nil {
			return err
		}
		if n%3 == 2 {
			if err := r.grow(ctx); err != nil {
				r.v.log.Warn("the view cannot look for new partitions now", "error", err)
			}
		}
		stuck = r.pass(ctx, stuck)
	}
	return ctx.Err()
}

// milestone is where the log ended at a moment.
type milestone struct {
	at   time.Time
	ends map[place]int64
}

// pastIt notes once the view holds what was durable at a moment, and sets the next such moment.
func (r *reader) pastIt(ctx context.Context, m milestone) (milestone, error) {
	if m.ends != nil {
		if short, _ := r.v.reach.short(m.ends); len(short) > 0 {
			return m, nil
		}
		if err := r.v.store.whole(m.at); err != nil {
			return m, err
		}
	}
	next := milestone{at: time.Now()}
	next.ends, _ = r.ends(ctx) // unknown: asked again
	return next, nil
}

// pass moves a partition on whose log ends in offsets that hold no record, as after retention or compaction removed what was there: no
// fetch would ever bring one that says so, and every answer would wait for it. It looks only at what has stood still since last time.
func (r *reader) pass(ctx context.Context, before map[place]int64) map[place]int64 {
	asked := time.Now()
	ends, err := r.ends(ctx)
	if err != nil {
		return nil
	}
	_, jobs := r.followed()
	committedOnly := map[place]bool{}
	for _, p := range jobs {
		committedOnly[p] = true
	}
	now, standing := r.v.reach.now(), map[place]int64{}
	short, _ := r.v.reach.short(ends)
	if !slices.ContainsFunc(short, func(p place) bool { return p.topic == r.v.plan.Name(topology.Settings.Spec.Name) }) {
		r.v.known.Store(asked.UnixNano())
	}
	starts, err := r.ask.offsets(ctx, short, earliest, uncommitted)
	if err != nil {
		return nil
	}
	for _, p := range short {
		if now[p] < starts[p] { // what it has not read is gone; a broker answers a question about it with an error
			r.v.reach.advance(map[place]int64{p: starts[p]})
			continue
		}
		at := now[p]
		standing[p] = at
		if was, ok := before[p]; !ok || was != at {
			continue
		}
		level := uncommitted
		if committedOnly[p] {
			level = committed
		}
		if _, next, kept, err := r.ask.peek(ctx, p, at, level); err == nil && kept == 0 && next > at {
			r.v.reach.advance(map[place]int64{p: next})
		}
	}
	return standing
}

// grow follows partitions that were added to a topic, from their start.
func (r *reader) grow(ctx context.Context) error {
	transactional := committedTopics(r.v.plan)[1:] // the jobs never grow
	lanes := slices.Concat(laneTopics(r.v.plan), transactional)
	counts, err := r.ask.partitions(ctx, lanes)
	if err != nil {
		return err
	}
	now, added := r.v.reach.now(), map[place]int64{}
	for _, p := range places(counts, lanes...) {
		if _, ok := now[p]; !ok {
			added[p] = 0
		}
	}
	if len(added) == 0 {
		return nil
	}
	at := assignment(added)
	for _, partitions := range at {
		for p := range partitions {
			partitions[p] = kgo.NewOffset().AtStart()
		}
	}
	state := map[string]map[int32]kgo.Offset{}
	for _, t := range transactional {
		if at[t] != nil {
			state[t] = at[t]
			delete(at, t)
		}
	}
	r.tail.AddConsumePartitions(at)
	r.jobs.AddConsumePartitions(state)
	r.v.reach.advance(added)
	r.v.log.Info("the view follows new partitions", "count", len(added))
	return nil
}
