package stream

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Log is a store that keeps partitions whole, record by record, and knows by itself how far it has each: where to read on is asked of it.
// What the broker is told of its progress is for those who watch.
type Log interface {
	// Open begins a partition and returns the offset to read it from, -1: its first. What was held of it is forgotten.
	Open(context.Context, schemas.Partition) (int64, error)
	// Drop forgets a partition that another worker has now.
	Drop(schemas.Partition)
	// Append holds the next record of a partition. The error is the record's own fault. Calls for different partitions may run at once.
	Append(schemas.Record) error
	// Pass says that the offset after the last record holds none: a transaction ended there.
	Pass(p schemas.Partition, offset int64)
	// Store writes what should wait no longer, or all, and tells how far it came, also where it fails.
	Store(ctx context.Context, all bool) ([]schemas.Progress, error)
	// Full reports whether nothing more should be appended before Store succeeds.
	Full() bool
}

// logTick is how often a log is asked whether something should wait no longer.
const logTick = time.Second

// AddLog binds a log to a sink of the plan: one group reads all its topics, and every record goes there as it is, one that nobody can read
// as well.
func AddLog(h *Harness, spec topology.Sink, log Log) {
	l := &logRunner{h: h, spec: spec, log: log, pace: &pace{}, names: map[string]string{}, ids: map[string]string{}}
	for _, topic := range spec.Reads {
		l.names[h.plan.Name(topic.Name)] = topic.Name
		h.lanes = append(h.lanes, observed{stage: spec.Name, lane: topic.Name, topic: h.plan.Name(topic.Name), group: h.plan.Group(spec.Name, ""), pace: l.pace})
	}
	h.runners = append(h.runners, l.run)
}

type logRunner struct {
	h     *Harness
	spec  topology.Sink
	log   Log
	pace  *pace
	names map[string]string // topics without prefix, by full name

	mu  sync.Mutex
	ids map[string]string // of topics, by full name
}

func (l *logRunner) run(ctx context.Context) error {
	c := l.h.cfg
	topics := make([]string, 0, len(l.names))
	for full := range l.names {
		topics = append(topics, full)
	}
	var cl *kgo.Client
	made := make(chan struct{}) // closed when cl is set: the group may assign partitions before the call that makes the client has returned
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		for topic, numbers := range m {
			for _, n := range numbers {
				l.log.Drop(l.partition(topic, n))
			}
		}
	}
	cl, err := l.h.conn.Client(
		kgo.ConsumerGroup(l.h.plan.Group(l.spec.Name, "")), kgo.ConsumeTopics(topics...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(c.SessionTimeout/3), kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.DisableAutoCommit(), kgo.FetchMaxBytes(16<<20), fillBytes, fillWait, kgo.MaxConcurrentFetches(2),
		kgo.KeepControlRecords(), // what lies between the records is known, so that a hole is not taken for a loss
		// Records that were polled belong to the partitions as they were opened: none may change hands in between, or a stretch of the
		// log would be missing before them.
		kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, m map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-made
			return l.positions(ctx, kadm.NewClient(cl), m)
		}))
	if err != nil {
		return err
	}
	close(made)
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		if err := l.turn(ctx, cl); err != nil {
			return err
		}
	}
	last, cancel := context.WithTimeout(context.Background(), c.TransactionTimeout)
	defer cancel()
	if err := l.store(last, cl, true); err != nil {
		l.h.log.Warn("not everything was archived at the end; it is read again", "stage", l.spec.Name, "error", err)
	}
	return ctx.Err()
}

// turn reads for a while and lets the log store. While the log is full, nothing is read, but others may take partitions over.
func (l *logRunner) turn(ctx context.Context, cl *kgo.Client) error {
	defer cl.AllowRebalance()
	tick, cancel := context.WithTimeout(ctx, logTick)
	f := cl.PollRecords(tick, l.h.cfg.SinkBatch)
	cancel()
	f.EachError(func(topic string, n int32, err error) {
		if tick.Err() == nil {
			l.h.log.Warn("a sink cannot read now", "stage", l.spec.Name, "topic", topic, "partition", n, "error", err)
		}
	})
	if err := l.take(ctx, cl, f); err != nil {
		return err
	}
	for wait := l.h.cfg.Backoff; ; wait = min(2*wait, 30*time.Second) {
		err := l.store(ctx, cl, false)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		l.h.metrics.retries.WithLabelValues(l.spec.Name, fault.KindOf(err).String()).Inc()
		l.h.log.WarnContext(ctx, "the log was not stored", "stage", l.spec.Name, "class", fault.KindOf(err).String(), "error", err, "wait", wait.String())
		cl.AllowRebalance()
		if !pause.For(ctx, wait) || !l.log.Full() {
			return nil
		}
	}
}

// take appends what was polled, the partitions side by side. It fails only when ctx ends or a dead letter cannot be written.
func (l *logRunner) take(ctx context.Context, cl *kgo.Client, f kgo.Fetches) error {
	began, n := time.Now(), f.NumRecords()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	f.EachPartition(func(p kgo.FetchTopicPartition) {
		g.Go(func() error {
			for _, r := range p.Records {
				if r.Attrs.IsControl() {
					l.log.Pass(l.partition(r.Topic, r.Partition), r.Offset)
					continue
				}
				if err := l.one(gctx, cl, r); err != nil {
					return err
				}
			}
			return nil
		})
	})
	err := g.Wait()
	if n > 0 {
		l.pace.add(time.Since(began) / time.Duration(n))
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil // what was appended may be stored, what was not is read again
}

// one appends a record; one that the log cannot hold is set aside.
func (l *logRunner) one(ctx context.Context, cl *kgo.Client, r *kgo.Record) error {
	rec, err := l.record(ctx, r)
	if err != nil {
		return err
	}
	outcome := "done"
	if err := l.append(rec); err != nil {
		outcome = "dead"
		if err := cl.ProduceSync(ctx, l.h.bury(ctx, l.spec.Name, r, fault.Of(err), 1)).FirstErr(); err != nil {
			return fmt.Errorf("setting a record aside: %w", err)
		}
	}
	l.h.metrics.records.WithLabelValues(l.spec.Name, rec.Topic, outcome).Inc()
	return nil
}

func (l *logRunner) append(r schemas.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return l.log.Append(r)
}

// record is what a log gets: the bytes as they are, and what can be read of them.
func (l *logRunner) record(ctx context.Context, r *kgo.Record) (schemas.Record, error) {
	rec := bare(l.names[r.Topic], r)
	err := l.h.known(ctx, r, func() (err error) {
		rec.SchemaID, rec.Schema, err = l.h.codec.Schema(ctx, r.Value)
		return err
	})
	if err == nil {
		rec.Event, _ = l.h.decode(ctx, r) // one that nobody can read is archived as it is
	}
	return rec, ctx.Err()
}

// store lets the log store and tells the broker how far it came.
func (l *logRunner) store(ctx context.Context, cl *kgo.Client, all bool) error {
	done, failed := l.log.Store(ctx, all)
	commit := map[string]map[int32]kgo.EpochOffset{}
	moved := map[string]map[int32]kgo.EpochOffset{}
	for _, p := range done {
		put(commit, l.h.plan.Name(p.Partition.Topic), p)
		if p.Moved {
			put(moved, l.h.plan.Name(p.Partition.Topic), p)
		}
	}
	if len(moved) > 0 {
		cl.SetOffsets(moved)
	}
	if len(commit) == 0 {
		return failed
	}
	failpoint.At(l.spec.Name + failpoint.Written)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.h.cfg.TransactionTimeout)
	defer cancel()
	if err := commitOffsets(ctx, cl, commit); err != nil {
		l.h.log.Warn("offsets not committed; the lag that is shown is too large", "stage", l.spec.Name, "error", err)
	}
	return failed
}

func put(m map[string]map[int32]kgo.EpochOffset, topic string, p schemas.Progress) {
	if m[topic] == nil {
		m[topic] = map[int32]kgo.EpochOffset{}
	}
	m[topic][p.Partition.Number] = kgo.EpochOffset{Epoch: -1, Offset: p.Next}
}

// partition names a partition as the log knows it.
func (l *logRunner) partition(topic string, n int32) schemas.Partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return schemas.Partition{Topic: l.names[topic], TopicID: l.ids[topic], Number: n}
}

// opening is how many partitions are opened at once.
const opening = 16

// positions opens the partitions that were assigned and replaces the broker's offsets with the log's own.
func (l *logRunner) positions(ctx context.Context, adm *kadm.Client, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	starts, err := l.look(ctx, adm, assigned)
	if err != nil {
		l.h.log.Warn("partitions cannot be opened now", "stage", l.spec.Name, "error", err)
		return nil, err
	}
	var mu sync.Mutex
	out := make(map[string]map[int32]kgo.Offset, len(assigned))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(opening)
	for topic, numbers := range assigned {
		places := make(map[int32]kgo.Offset, len(numbers))
		out[topic] = places
		for n := range numbers {
			g.Go(func() error {
				next, err := l.log.Open(ctx, l.partition(topic, n))
				if err != nil {
					return fmt.Errorf("opening %s/%d: %w", topic, n, err)
				}
				at := kgo.NewOffset().AtStart()
				if next >= 0 {
					at = kgo.NewOffset().At(next)
				}
				if first, ok := starts.Lookup(topic, n); ok && next >= 0 && first.Offset > next {
					l.h.metrics.lost.WithLabelValues(l.spec.Name, l.names[topic]).Add(float64(first.Offset - next))
					l.h.log.Error("records were removed before they were archived", "stage", l.spec.Name, "topic", topic, "partition", n, "from", next, "to", first.Offset)
				}
				mu.Lock()
				defer mu.Unlock()
				places[n] = at
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		l.h.log.Warn("partitions cannot be opened now", "stage", l.spec.Name, "error", err)
		return nil, err
	}
	return out, nil
}

// look asks the brokers for the ids of the topics and where their partitions begin.
func (l *logRunner) look(ctx context.Context, adm *kadm.Client, assigned map[string]map[int32]kgo.Offset) (kadm.ListedOffsets, error) {
	topics := make([]string, 0, len(assigned))
	for topic := range assigned {
		topics = append(topics, topic)
	}
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	for topic, d := range details {
		if d.ID != (kadm.TopicID{}) {
			l.ids[topic] = d.ID.String()
		}
	}
	l.mu.Unlock()
	return adm.ListStartOffsets(ctx, topics...)
}
