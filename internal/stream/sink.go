package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Write puts a batch into a store. It is called again for records that were written before: writing twice must equal writing once.
type Write func(context.Context, schemas.Batch) error

// AddSink binds a function to a sink of the plan. Offsets are committed after the store has the batch: at least once here, in the same
// batches after a crash as before it, and once in the store by its own means.
func AddSink(h *Harness, spec topology.Sink, write Write) {
	for _, topic := range spec.Reads {
		s := &sinkRunner{h: h, spec: spec, topic: topic, write: write, pace: &pace{}, pending: pending{last: map[int32]int64{}}}
		h.lanes = append(h.lanes, observed{stage: spec.Name, lane: topic.Name, topic: h.plan.Name(topic.Name), group: h.plan.Group(spec.Name, topic.Name), pace: s.pace})
		h.runners = append(h.runners, s.run)
	}
}

// A broker answers a sink once so much is there, or so late: a sink waits for a batch anyway, and where documents come one by one, an answer
// for each of their records costs the broker and the sink more than the records themselves.
var fillBytes, fillWait = kgo.FetchMinBytes(256 << 10), kgo.FetchMaxWait(500 * time.Millisecond)

type sinkRunner struct {
	h     *Harness
	spec  topology.Sink
	topic topology.Spec
	write Write
	pace  *pace

	pending pending
	held    []*kgo.Record // read beyond a batch that was begun in an earlier life
}

func (s *sinkRunner) run(ctx context.Context) error {
	c := s.h.cfg
	group := s.h.plan.Group(s.spec.Name, s.topic.Name)
	cl, err := s.h.conn.Client(
		kgo.ConsumerGroup(group), kgo.OnPartitionsAssigned(s.assigned(group)), kgo.ConsumeTopics(s.h.plan.Name(s.topic.Name)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(c.SessionTimeout/3), kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.DisableAutoCommit(), kgo.FetchMaxBytes(16<<20), fillBytes, fillWait)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for {
		records, err := s.collect(ctx, cl)
		if err != nil {
			return err
		}
		if err := s.announce(ctx, cl, records); err != nil {
			s.h.log.Warn("a batch is written unannounced", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
		}
		if err := s.all(ctx, cl, records); err != nil {
			return err
		}
		s.pending.written(records)
		if err := s.commit(cl, records); err != nil {
			s.h.log.Warn("offsets not committed; the batch comes again", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
		}
	}
}

// assigned is called when partitions are given to this member, before it reads them.
func (s *sinkRunner) assigned(group string) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(ctx context.Context, cl *kgo.Client, given map[string][]int32) {
		ctx, cancel := context.WithTimeout(ctx, s.h.cfg.SessionTimeout/2)
		defer cancel()
		topic := s.h.plan.Name(s.topic.Name)
		if err := s.pending.assigned(ctx, cl, group, topic, given[topic]); err != nil {
			s.h.log.Warn("which batches were begun is not known; they may come again with other bounds", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
		}
	}
}

// collect waits for a first record, then polls until the batch is full or has lingered, and longer where a batch that was begun before is
// not all there.
func (s *sinkRunner) collect(ctx context.Context, cl *kgo.Client) ([]*kgo.Record, error) {
	records := s.held
	s.held = nil
	for len(records) == 0 {
		f := cl.PollRecords(ctx, s.h.cfg.SinkBatch)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		records = f.Records()
		if err := f.Err(); err != nil && len(records) == 0 {
			s.h.log.Warn("a sink cannot read now", "stage", s.spec.Name, "topic", s.topic.Name, "error", err)
			if !pause.For(ctx, time.Second) {
				return nil, ctx.Err()
			}
		}
	}
	linger, cancel := context.WithTimeout(ctx, s.h.cfg.SinkLinger)
	defer cancel()
	for len(records) < s.h.cfg.SinkBatch && linger.Err() == nil {
		records = append(records, cl.PollRecords(linger, s.h.cfg.SinkBatch-len(records)).Records()...)
	}
	now, later, short := s.pending.split(records)
	for end := time.Now().Add(s.h.cfg.SessionTimeout); short && time.Now().Before(end) && ctx.Err() == nil; now, later, short = s.pending.split(records) {
		more, cancel := context.WithTimeout(ctx, time.Second)
		records = append(records, cl.PollRecords(more, s.h.cfg.SinkBatch).Records()...)
		cancel()
	}
	s.held = later
	return now, ctx.Err()
}

// announce says in the group's offsets how far the batches go that are about to be written.
func (s *sinkRunner) announce(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.SessionTimeout)
	defer cancel()
	return s.pending.announce(ctx, cl, records)
}

// all writes the records, one batch a partition.
func (s *sinkRunner) all(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	batches := map[int32]*schemas.Batch{}
	kept := map[int32][]*kgo.Record{}
	var order []int32
	var dead []*kgo.Record
	for _, r := range records {
		if s.topic.Compact && len(r.Value) == 0 {
			continue // a tombstone: the key is gone, and what a store has of it stays
		}
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
		if !pause.For(ctx, wait) {
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

// commitOffsets commits offsets and reports the first error of any partition.
func commitOffsets(ctx context.Context, cl *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) (err error) {
	cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failed error) {
		if err = failed; err != nil || resp == nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err == nil {
					err = kerr.ErrorForCode(p.ErrorCode)
				}
			}
		}
	})
	return err
}
