package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/schemas"
)

// restored reads the state of a partition back from its topic, once after each assignment. It waits for a broker that does not answer.
func (r *foldRunner[F, S]) restored(ctx context.Context, partition int32) error {
	if _, ok := r.states[partition]; ok {
		return nil
	}
	began := time.Now()
	for wait := r.h.cfg.Backoff; ; wait = min(2*wait, 30*time.Second) {
		m, err := r.restore(ctx, partition)
		if err == nil {
			r.states[partition] = m
			r.h.metrics.restores.WithLabelValues(r.spec.Name).Observe(time.Since(began).Seconds())
			r.h.log.InfoContext(ctx, "state restored", "stage", r.spec.Name, "partition", partition, "keys", len(m), "seconds", time.Since(began).Seconds())
			return nil
		}
		r.h.log.WarnContext(ctx, "state cannot be restored yet", "stage", r.spec.Name, "partition", partition, "error", err)
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// restore reads a partition of the state topic, read-committed, to the high watermark. The watermark is taken after the group handed out
// the stable offset of the facts, which it did before the record that led here was polled: so every transaction that moved that offset
// lies below the watermark. Not the last stable offset: an open transaction of a stopped predecessor would hide what it committed before.
// Control records are kept, because the last record below the watermark usually is one.
func (r *foldRunner[F, S]) restore(ctx context.Context, partition int32) (map[string]S, error) {
	topic := r.h.plan.Name(r.spec.State.Spec.Name)
	cl, err := r.h.conn.Client(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, end, err := bounds(ctx, adm, topic, partition)
	if err != nil {
		return nil, err
	}
	states, newest := map[string]S{}, ""
	for next := start; next < end; {
		f := cl.PollRecords(ctx, 10_000)
		if err := f.Err(); err != nil {
			return nil, err
		}
		for _, rec := range f.Records() {
			next = rec.Offset + 1
			if rec.Attrs.IsControl() || rec.Offset >= end {
				continue
			}
			if len(rec.Value) == 0 {
				delete(states, string(rec.Key))
				continue
			}
			s, err := r.state(ctx, rec)
			if err != nil {
				return nil, err
			}
			states[r.fold.StateKey(s)], newest = r.fold.Rest(s), Header(rec, schemas.HeaderCounted)
		}
	}
	if r.spec.Adds {
		return states, r.counted.restore(ctx, adm, r.h.plan.Name(r.spec.Reads.Spec.Name), partition, newest)
	}
	return states, nil
}

// state decodes one state; a state of ours that cannot be read must stop the fold rather than be lost.
func (r *foldRunner[F, S]) state(ctx context.Context, rec *kgo.Record) (S, error) {
	var none S
	e, err := r.h.codec.Decode(ctx, rec.Value)
	if err != nil {
		return none, fmt.Errorf("reading the state at %s: %w", position(rec), err)
	}
	s, ok := e.(S)
	if !ok {
		return none, fmt.Errorf("reading the state at %s: it is a %s", position(rec), e.Kind())
	}
	return s, nil
}

func bounds(ctx context.Context, adm *kadm.Client, topic string, partition int32) (start, end int64, err error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	s, ok := starts.Lookup(topic, partition)
	e, ok2 := ends.Lookup(topic, partition)
	switch {
	case !ok || !ok2:
		return 0, 0, fmt.Errorf("%s has no partition %d", topic, partition)
	case s.Err != nil:
		return 0, 0, s.Err
	case e.Err != nil:
		return 0, 0, e.Err
	}
	return s.Offset, e.Offset, nil
}
