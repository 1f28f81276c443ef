package stream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/schemas"
)

// tickType is what the headers of a tick say.
const tickType = "docstream.Tick"

// clock writes the ticks of a fold into the partitions this process owns, when a time has come that a state there waits for, and one when it
// comes to own them, for it does not know their states. A process that lost a partition and has not heard of it writes one too many, which
// changes nothing: what has elapsed has elapsed.
type clock struct {
	h      *Harness
	topic  string // full name
	writer *Writer

	mu    sync.Mutex
	owned map[int32]appointment
}

// appointment is the earliest time the states of a partition wait for.
type appointment struct {
	known bool
	at    time.Time // zero: they wait for none
}

// own takes partitions over.
func (c *clock) own(partitions []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range partitions {
		c.owned[p] = appointment{}
	}
}

// disown gives partitions up; nil means that what is known of all states is thrown away, and the partitions are kept.
func (c *clock) disown(partitions []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range partitions {
		delete(c.owned, p)
	}
	if partitions == nil {
		for p := range c.owned {
			c.owned[p] = appointment{}
		}
	}
}

// set notes the earliest time of a partition all of whose states were looked at.
func (c *clock) set(partition int32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, mine := c.owned[partition]; mine {
		c.owned[partition] = appointment{true, at}
	}
}

// await notes the time one state waits for.
func (c *clock) await(partition int32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.owned[partition]; a.known && !at.IsZero() && (a.at.IsZero() || at.Before(a.at)) {
		c.owned[partition] = appointment{true, at}
	}
}

// due lists the partitions that need a tick.
func (c *clock) due(now time.Time) (out []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, a := range c.owned {
		if !a.known || !a.at.IsZero() && !a.at.After(now) {
			out = append(out, p)
		}
	}
	return out
}

// run ticks until ctx ends. A tick that cannot be written is lost: the next one says more.
func (c *clock) run(ctx context.Context) error {
	cl, err := c.h.conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(c.h.cfg.Tick+10*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	for pause.For(ctx, c.h.cfg.Tick) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		for _, p := range c.due(now) {
			e := &schemas.Tick{Head: schemas.Head{At: now}}
			e.EventID = schemas.EventIDFor("", 0, c.writer.source, int(p), e.Kind(), now.UnixMicro())
			rec, err := c.writer.Record(ctx, e, "")
			if err != nil {
				return err
			}
			rec.Topic, rec.Partition = c.topic, p
			if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil && ctx.Err() == nil {
				c.h.log.WarnContext(ctx, "a tick could not be written", "partition", p, "error", err)
			}
		}
	}
	return ctx.Err()
}

// tick folds what a tick says into every state of its partition whose time has come, in the order of their keys.
func (r *foldRunner[F, S]) tick(ctx context.Context, rec *kgo.Record, changed map[string]*touched[S], order *[]string) (out []*kgo.Record, err error) {
	e, err := r.h.decode(ctx, rec)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	t, ok := e.(*schemas.Tick)
	if err != nil || !ok {
		r.h.metrics.records.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name, "dead").Inc()
		f := fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(fmt.Errorf("it is no tick: %w", err))
		return []*kgo.Record{r.h.bury(ctx, r.spec.Name, rec, f, 1)}, nil
	}
	state := func(key string) S {
		if c, ok := changed[key]; ok {
			return c.state
		}
		return r.states[rec.Partition][key]
	}
	due, next := r.due(rec.Partition, t.At, changed, state)
	r.clock.set(rec.Partition, next)
	for _, key := range due {
		elapsed, events := r.timed.Elapsed(state(key), t.At)
		touch(changed, order, key, elapsed, rec.Partition, "")
		more, err := r.records(ctx, events, "")
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	r.h.metrics.records.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name, "done").Inc()
	return out, nil
}

// due lists, sorted, the keys of a partition whose time has come, and says for which time the others wait.
func (r *foldRunner[F, S]) due(partition int32, now time.Time, changed map[string]*touched[S], state func(string) S) (due []string, next time.Time) {
	look := func(key string) {
		s := state(key)
		if none(s) {
			return
		}
		switch at := r.timed.Due(s); {
		case at.IsZero():
		case !at.After(now):
			due = append(due, key)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	for key := range r.states[partition] {
		look(key)
	}
	for key, c := range changed {
		if _, known := r.states[partition][key]; !known && c.partition == partition {
			look(key)
		}
	}
	slices.Sort(due)
	return due, next
}
