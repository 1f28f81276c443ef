package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/failpoint"
	"docstream/internal/pause"
)

// session is one transactional consumer group member: what it polls, what it produces and its offsets end together or not at all.
//
// A session that fails is closed and opened anew; the broker then gives it the last committed offsets.
type session struct {
	h          *Harness
	stage      string
	lane       string // for metrics
	topic      string // full name
	group      string
	log        *slog.Logger
	onLost     func(partitions []int32)                 // may be nil; called from the client's own goroutine
	onAssigned func(partitions []int32)                 // likewise
	ahead      func(context.Context, []*kgo.Record) int // may be nil; how many records that are there now a batch may have besides
	pinned     string                                   // topic whose records carry their partition; full name, or empty
	current    *kgo.GroupTransactSession

	mu sync.Mutex
	// seen counts the records of each partition that were committed since it was assigned. Until a whole batch was, a record may be one
	// that somebody worked on before and died.
	seen map[int32]int
}

func (h *Harness) session(stage, lane, topic string) *session {
	return &session{h: h, stage: stage, lane: lane, topic: h.plan.Name(topic), group: h.plan.Group(stage, topic),
		log: h.log.With("stage", stage, "lane", lane), seen: map[int32]int{}}
}

func (s *session) open() error {
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.lost(m[s.topic]) }
	assigned := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		if s.onAssigned != nil {
			s.onAssigned(m[s.topic])
		}
	}
	o, err := s.h.conn.options()
	if err != nil {
		return err
	}
	c := s.h.cfg
	o = append(o,
		kgo.TransactionalID(s.group+"."+rand.Text()),
		kgo.TransactionTimeout(c.TransactionTimeout),
		kgo.ConsumerGroup(s.group),
		kgo.ConsumeTopics(s.topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(c.SessionTimeout/3),
		kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxWait(2*time.Second),
		kgo.MaxConcurrentFetches(2),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
		kgo.RecordPartitioner(pinning{s.pinned, kgo.StickyKeyPartitioner(nil)}),
	)
	s.current, err = kgo.NewGroupTransactSession(o...)
	return err
}

// lost forgets what is known of partitions; nil means all of them.
func (s *session) lost(partitions []int32) {
	s.mu.Lock()
	if partitions == nil {
		clear(s.seen)
	}
	for _, p := range partitions {
		delete(s.seen, p)
	}
	s.mu.Unlock()
	if s.onLost != nil {
		s.onLost(partitions)
	}
}

// again reports whether somebody may have worked on a record before.
func (s *session) again(r *kgo.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[r.Partition] < s.h.cfg.Batch
}

func (s *session) committed(records []*kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		s.seen[r.Partition]++
	}
}

// pinning keeps the partition a record names in one topic and goes by key in all others.
type pinning struct {
	topic string
	kgo.Partitioner
}

func (p pinning) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.topic {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return p.Partitioner.ForTopic(topic)
}

// run opens the session and hands it batches until ctx ends; a failed session is replaced. each returns the records to produce.
func (s *session) run(ctx context.Context, max int, each func(context.Context, []*kgo.Record) ([]*kgo.Record, error)) error {
	defer s.close()
	for {
		if s.current == nil {
			if err := s.open(); err != nil {
				return fmt.Errorf("%s: opening a session on %s: %w", s.stage, s.topic, err)
			}
		}
		records, err := s.poll(ctx, max)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if !s.reopen(ctx, err) {
				return ctx.Err()
			}
			continue
		}
		if len(records) == 0 {
			continue
		}
		records = s.more(ctx, records)
		out, err := each(ctx, records)
		if err != nil {
			return err // the lane is stopping; nothing was begun, so whoever comes next finds the same records
		}
		failpoint.At(s.stage + failpoint.Worked)
		if err := s.commit(records, out); err != nil && !s.reopen(ctx, err) {
			return ctx.Err()
		}
	}
}

func (s *session) poll(ctx context.Context, max int) ([]*kgo.Record, error) {
	f := s.current.PollRecords(ctx, max)
	for _, e := range f.Errors() {
		if errors.Is(e.Err, context.Canceled) {
			continue
		}
		// A member that lost its group could commit nothing: what came beside the loss is read again by whoever is assigned next.
		var lost *kgo.ErrGroupSession
		if f.NumRecords() == 0 || errors.As(e.Err, &lost) {
			return nil, e.Err
		}
		s.log.Warn("a partition cannot be read now", "partition", e.Partition, "error", e.Err)
	}
	return f.Records(), nil
}

// more adds to a batch what may be added and is there now.
func (s *session) more(ctx context.Context, records []*kgo.Record) []*kgo.Record {
	if s.ahead == nil {
		return records
	}
	var now context.Context // none: what is not there is not waited for
	for n := s.ahead(ctx, records); n > 0; n = s.ahead(ctx, records) {
		next := s.current.PollRecords(now, n).Records()
		if len(next) == 0 {
			break
		}
		records = append(records, next...)
	}
	return records
}

// commit spans produce and commit alone: all work was done before it, so a writer that stops here blocks readers for one transaction
// timeout at most. The shutdown context does not reach it: work that is finished is committed.
func (s *session) commit(in, out []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.cfg.TransactionTimeout)
	defer cancel()
	began := time.Now()
	if err := s.current.Begin(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	p := kgo.AbortingFirstErrPromise(s.current.Client())
	for _, r := range out {
		s.current.Produce(ctx, r, p.Promise())
	}
	produced := p.Err()
	failpoint.At(s.stage + failpoint.Produced)
	committed, err := s.current.End(ctx, kgo.TransactionEndTry(produced == nil))
	failpoint.At(s.stage + failpoint.Committed)
	s.h.metrics.commit.WithLabelValues(s.stage).Observe(time.Since(began).Seconds())
	outcome := "committed"
	if !committed {
		outcome = "aborted"
	}
	s.h.metrics.transactions.WithLabelValues(s.stage, s.lane, outcome).Inc()
	if err != nil {
		return fmt.Errorf("ending a transaction: %w", err)
	}
	if !committed {
		s.lost(nil)
		s.log.Warn("transaction aborted; its records come again", "records", len(in), "error", produced)
		return errAborted
	}
	s.committed(in)
	return nil
}

// errAborted says that a transaction ended without effect although the session is sound.
var errAborted = errors.New("transaction aborted")

// reopen drops the session after an error and waits a moment; false means that ctx ended. A sound session that only aborted is kept: the
// client has gone back to the committed offsets by itself.
func (s *session) reopen(ctx context.Context, err error) bool {
	if errors.Is(err, errAborted) {
		return ctx.Err() == nil
	}
	s.log.Warn("session failed; opening another", "error", err)
	s.close()
	return pause.For(ctx, time.Second)
}

func (s *session) close() {
	if s.current != nil {
		s.current.Close()
		s.current = nil
	}
	s.lost(nil)
}
