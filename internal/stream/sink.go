package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Write puts a batch into a store. It is called again for records that were written before: writing twice must equal writing once.
type Write func(context.Context, schemas.Batch) error

// AddSink binds a function to a sink of the plan. Offsets are committed after the store has the batch: at least once here, and once in the
// store by its own means.
func AddSink(h *Harness, spec topology.Sink, write Write) {
	for _, topic := range spec.Reads {
		s := &sinkRunner{h: h, spec: spec, topic: topic, write: write, pace: &pace{}}
		h.lanes = append(h.lanes, observed{stage: spec.Name, lane: topic.Name, topic: h.plan.Name(topic.Name), group: h.plan.Group(spec.Name, topic.Name), pace: s.pace})
		h.runners = append(h.runners, s.run)
	}
}

type sinkRunner struct {
	h     *Harness
	spec  topology.Sink
	topic topology.Spec
	write Write
	pace  *pace
}

func (s *sinkRunner) run(ctx context.Context) error {
	c := s.h.cfg
	cl, err := s.h.conn.Client(
		kgo.ConsumerGroup(s.h.plan.Group(s.spec.Name, s.topic.Name)), kgo.ConsumeTopics(s.h.plan.Name(s.topic.Name)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(c.SessionTimeout/3), kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.DisableAutoCommit(), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxWait(2*time.Second))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for {
		records, err := s.collect(ctx, cl)
		if err != nil {
			return err
		}
		if err := s.all(ctx, cl, records); err != nil {
			return err
		}
		if err := s.commit(cl, records); err != nil {
			s.h.log.Warn("offsets not committed; the batch comes again", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
		}
	}
}

// collect waits for a first record, then polls until the batch is full or has lingered.
func (s *sinkRunner) collect(ctx context.Context, cl *kgo.Client) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for len(records) == 0 {
		f := cl.PollRecords(ctx, s.h.cfg.SinkBatch)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		records = f.Records()
		if err := f.Err(); err != nil && len(records) == 0 {
			s.h.log.Warn("a sink cannot read now", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
			if !sleep(ctx, time.Second) {
				return nil, ctx.Err()
			}
		}
	}
	linger, cancel := context.WithTimeout(ctx, s.h.cfg.SinkLinger)
	defer cancel()
	for len(records) < s.h.cfg.SinkBatch && linger.Err() == nil {
		records = append(records, cl.PollRecords(linger, s.h.cfg.SinkBatch-len(records)).Records()...)
	}
	return records, ctx.Err()
}

// all writes the records, one batch a partition.
func (s *sinkRunner) all(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	batches := map[int32]*schemas.Batch{}
	kept := map[int32][]*kgo.Record{}
	var order []int32
	var dead []*kgo.Record
	for _, r := range records {
		e, err := s.h.decode(ctx, r)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			dead = append(dead, s.h.bury(ctx, s.spec.Name, r, fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(err), 1))
			continue
		}
		b, ok := batches[r.Partition]
		if !ok {
			b = &schemas.Batch{Topic: s.topic.Name, Partition: r.Partition, First: r.Offset}
			batches[r.Partition] = b
			order = append(order, r.Partition)
		}
		b.Last, b.Events = r.Offset, append(b.Events, e)
		kept[r.Partition] = append(kept[r.Partition], r)
	}
	for _, p := range order {
		d, err := s.one(ctx, *batches[p], kept[p])
		if err != nil {
			return err
		}
		dead = append(dead, d...)
	}
	if len(dead) == 0 {
		return nil
	}
	return cl.ProduceSync(ctx, dead...).FirstErr()
}

// one writes a batch. A store that is away is waited for; a batch that the store refuses is halved until the record at fault stands
// alone and can be set aside.
func (s *sinkRunner) one(ctx context.Context, b schemas.Batch, records []*kgo.Record) (dead []*kgo.Record, err error) {
	wait := s.h.cfg.Backoff
	for attempt := 1; ; wait = min(2*wait, 30*time.Second) {
		began := time.Now()
		err := s.guarded(ctx, b)
		if err == nil {
			failpoint.At(s.spec.Name + failpoint.Written)
			s.pace.add(time.Since(began) / time.Duration(len(records)))
			s.h.metrics.records.WithLabelValues(s.spec.Name, s.topic.Name, "done").Add(float64(len(records)))
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f := fault.Of(err)
		s.h.metrics.retries.WithLabelValues(s.spec.Name, f.Kind.String()).Inc()
		s.h.log.WarnContext(ctx, "a batch was not written", "stage", s.spec.Name, "topic", b.Topic, "partition", b.Partition, "first", b.First, "last", b.Last, "class", f.Kind.String(), "error", err)
		if f.Kind != fault.Unavailable {
			if attempt++; f.Kind == fault.Permanent || attempt > s.h.cfg.MaxAttempts {
				return s.halve(ctx, b, records, f)
			}
		}
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

func (s *sinkRunner) halve(ctx context.Context, b schemas.Batch, records []*kgo.Record, f *fault.Error) ([]*kgo.Record, error) {
	if len(records) == 1 {
		s.h.metrics.records.WithLabelValues(s.spec.Name, s.topic.Name, "dead").Inc()
		return []*kgo.Record{s.h.bury(ctx, s.spec.Name, records[0], f, s.h.cfg.MaxAttempts)}, nil
	}
	m := len(records) / 2
	var dead []*kgo.Record
	for _, half := range []struct{ from, to int }{{0, m}, {m, len(records)}} {
		part := schemas.Batch{Topic: b.Topic, Partition: b.Partition, First: records[half.from].Offset, Last: records[half.to-1].Offset, Events: b.Events[half.from:half.to]}
		d, err := s.one(ctx, part, records[half.from:half.to])
		if err != nil {
			return nil, err
		}
		dead = append(dead, d...)
	}
	return dead, nil
}

func (s *sinkRunner) guarded(ctx context.Context, b schemas.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return s.write(ctx, b)
}

// commit does not end with the worker: what is written is committed.
func (s *sinkRunner) commit(cl *kgo.Client, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.cfg.TransactionTimeout)
	defer cancel()
	if err := cl.CommitRecords(ctx, records...); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
