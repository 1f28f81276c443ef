package stream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Folder is a fold: it takes facts in partition order and keeps one state a key. It does no input or output, reads no clock and never
// keeps a state it was given for longer than the call.
type Folder[F, S schemas.Event] interface {
	// Key names the state a fact belongs to.
	Key(F) string
	// StateKey names a state read back from its topic; equal to Key of the facts it came from.
	StateKey(S) string
	// Apply returns the next state and events; a state equal to the one given (same pointer, unchanged) means that the fact changed
	// nothing. given is the zero S for a key nobody has heard of, and a zero S answered then means: filtered on purpose; one that is said to
	// have changed lays the key to rest, as in Timed. An error that is the fact's own fault makes it a dead letter.
	Apply(ctx context.Context, given S, fact F) (next S, changed bool, out []schemas.Event, err error)
	// Changed returns the events that tell the world of a state that changed: called once for each key and transaction.
	Changed(S) []schemas.Event
	// Rest returns what must stay in memory of a state; it may be smaller than the state, never the state itself.
	Rest(S) S
}

// Timed is a fold whose states wait for times. Time enters as Tick facts alone, which whoever owns a partition writes to it: so the same facts
// give the same states whenever they are read.
type Timed[S schemas.Event] interface {
	// Due is the time a state waits for; zero: none.
	Due(S) time.Time
	// Elapsed returns what becomes of a state, which may be changed in place, when a tick at or after its time is read, and events. What it
	// returns waits for no time that has passed. The zero S lays the state to rest: it leaves memory, and a tombstone takes it out of its topic.
	Elapsed(given S, now time.Time) (next S, out []schemas.Event)
}

// AddFold binds a fold to the plan: state, events and offsets end in one transaction; the state is restored from its own compacted topic
// when a partition is assigned, and thrown away and restored when a transaction aborts.
func AddFold[F, S schemas.Event](h *Harness, spec topology.Fold[F, S], f Folder[F, S]) {
	r := &foldRunner[F, S]{
		h: h, spec: spec, fold: f, states: map[int32]map[string]S{},
		session: h.session(spec.Name, spec.Reads.Spec.Name, spec.Reads.Spec.Name),
		writer:  NewWriter(h.plan, h.codec, spec.Name, h.key), counted: counted{offsets: map[int32]int64{}},
	}
	r.session.onLost, r.session.pinned = r.forget, h.plan.Name(spec.State.Spec.Name)
	if r.timed, _ = any(f).(Timed[S]); r.timed != nil {
		r.clock = &clock{h: h, topic: r.session.topic, writer: r.writer, owned: map[int32]appointment{}}
		r.session.onAssigned = r.clock.own
		h.runners = append(h.runners, r.clock.run)
	}
	h.lanes = append(h.lanes, observed{stage: spec.Name, lane: spec.Reads.Spec.Name, topic: r.session.topic, group: r.session.group, pace: &pace{}})
	h.runners = append(h.runners, func(ctx context.Context) error { return r.session.run(ctx, h.cfg.FoldBatch, r.batch) })
}

type foldRunner[F, S schemas.Event] struct {
	h       *Harness
	spec    topology.Fold[F, S]
	fold    Folder[F, S]
	session *session
	writer  *Writer

	states  map[int32]map[string]S // by partition; only the batch goroutine touches it, and counted
	counted counted                // of a fold that adds up

	timed Timed[S] // nil where no state waits for a time
	clock *clock

	mu   sync.Mutex
	lost map[int32]bool // partitions whose state must not be used any more
	all  bool
}

// forget marks partitions as lost; none means all. It runs in the client's goroutine, the state is dropped before the next batch.
func (r *foldRunner[F, S]) forget(partitions []int32) {
	if r.clock != nil {
		r.clock.disown(partitions)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if partitions == nil {
		r.all = true
	}
	if r.lost == nil {
		r.lost = map[int32]bool{}
	}
	for _, p := range partitions {
		r.lost[p] = true
	}
}

func (r *foldRunner[F, S]) dropLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all {
		clear(r.states)
	}
	for p := range r.lost {
		delete(r.states, p)
	}
	r.lost, r.all = nil, false
}

// touched is a state that changed in this batch.
type touched[S any] struct {
	state     S
	partition int32
	request   string
}

// batch folds records in order. Memory is changed only together with the transaction: when it aborts, every
// state is dropped and read back from the topic.
func (r *foldRunner[F, S]) batch(ctx context.Context, records []*kgo.Record) ([]*kgo.Record, error) {
	r.dropLost()
	var out []*kgo.Record
	changed := map[string]*touched[S]{}
	var order []string
	for _, rec := range records {
		if err := r.restored(ctx, rec.Partition); err != nil {
			return nil, err
		}
		if r.spec.Adds && r.counted.has(rec) {
			r.h.metrics.records.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name, "filtered").Inc()
			continue
		}
		r.counted.offsets[rec.Partition] = rec.Offset
		more, err := r.one(ctx, rec, changed, &order)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	for _, key := range order {
		t := changed[key]
		more, err := r.publish(ctx, key, t)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
		if none(t.state) {
			delete(r.states[t.partition], key)
			continue
		}
		if r.timed != nil {
			r.clock.await(t.partition, r.timed.Due(t.state))
		}
		r.states[t.partition][key] = r.fold.Rest(t.state)
	}
	n := 0
	for _, m := range r.states {
		n += len(m)
	}
	r.h.metrics.keys.WithLabelValues(r.spec.Name).Set(float64(n))
	return out, nil
}

// touch notes a state that changed in this batch.
func touch[S any](changed map[string]*touched[S], order *[]string, key string, next S, partition int32, request string) {
	t, ok := changed[key]
	if !ok {
		t = &touched[S]{partition: partition}
		changed[key] = t
		*order = append(*order, key)
	}
	t.state, t.request = next, request
}

// one folds a single record.
func (r *foldRunner[F, S]) one(ctx context.Context, rec *kgo.Record, changed map[string]*touched[S], order *[]string) ([]*kgo.Record, error) {
	if r.timed != nil && Header(rec, schemas.HeaderType) == tickType {
		return r.tick(ctx, rec, changed, order)
	}
	began := time.Now()
	fact, key, next, moved, events, err := r.apply(ctx, rec, changed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.h.metrics.work.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name).Observe(time.Since(began).Seconds())
	if err != nil {
		r.h.metrics.records.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name, "dead").Inc()
		return []*kgo.Record{r.h.bury(ctx, r.spec.Name, rec, fault.Of(err), 1)}, nil
	}
	outcome := "filtered"
	request := Header(rec, schemas.HeaderRequestID)
	if moved {
		outcome = "done"
		touch(changed, order, key, next, rec.Partition, request)
	}
	r.h.metrics.records.WithLabelValues(r.spec.Name, r.spec.Reads.Spec.Name, outcome).Inc()
	fctx, span := r.h.trace(ctx, rec, r.spec.Name, fact)
	defer span.End()
	return r.records(fctx, events, request)
}

// apply decodes a record and folds it. The error is the fact's own fault.
func (r *foldRunner[F, S]) apply(ctx context.Context, rec *kgo.Record, changed map[string]*touched[S]) (fact F, key string, next S, moved bool, out []schemas.Event, err error) {
	e, err := r.h.decode(ctx, rec)
	if err != nil {
		err = fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(err)
		return
	}
	fact, ok := e.(F)
	if !ok {
		err = fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(fmt.Errorf("the record is a %s", e.Kind()))
		return
	}
	key = r.fold.Key(fact)
	given := r.states[rec.Partition][key]
	if t, ok := changed[key]; ok {
		given = t.state
	}
	for wait := r.h.cfg.Backoff; ; wait = min(2*wait, 30*time.Second) {
		next, moved, out, err = r.fold.Apply(ctx, given, fact)
		if err == nil || fault.KindOf(err) != fault.Unavailable {
			return
		}
		r.h.log.WarnContext(ctx, "waiting to fold", "stage", r.spec.Name, "record", position(rec), "error", err)
		if !pause.For(ctx, wait) {
			return
		}
	}
}

// none reports whether there is no state.
func none[S schemas.Event](s S) bool {
	var zero S
	return any(s) == any(zero)
}

// publish returns the records of a changed state: the state itself, into the partition its facts came from, then what tells the world.
func (r *foldRunner[F, S]) publish(ctx context.Context, key string, t *touched[S]) ([]*kgo.Record, error) {
	if none(t.state) {
		return []*kgo.Record{{Topic: r.h.plan.Name(r.spec.State.Spec.Name), Key: []byte(key), Partition: t.partition}}, nil
	}
	state, err := r.writer.Record(ctx, t.state, t.request)
	if err != nil {
		return nil, err
	}
	state.Key = []byte(key)
	state.Partition = t.partition
	if r.spec.Adds {
		state.Headers = append(state.Headers, r.counted.header(t.partition))
	}
	more, err := r.records(ctx, r.fold.Changed(t.state), t.request)
	return append([]*kgo.Record{state}, more...), err
}

func (r *foldRunner[F, S]) records(ctx context.Context, events []schemas.Event, request string) ([]*kgo.Record, error) {
	var out []*kgo.Record
	for _, e := range events {
		rec, err := r.writer.Record(ctx, e, request)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}
