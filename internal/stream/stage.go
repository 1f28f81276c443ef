package stream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/internal/turn"
	"docstream/schemas"
)

// Work is what a stage is: a function from one event to events. It may be called again for the same event, so what it writes elsewhere
// must be write-once or equal.
type Work[I schemas.Event] func(context.Context, I, schemas.Delivery) ([]schemas.Event, error)

// AddStage binds a function to a stage of the plan: one transactional session a lane, all lanes sharing the worker's slots by weight.
func AddStage[I schemas.Event](h *Harness, spec topology.Stage[I], class string, work Work[I]) {
	h.addReturns()
	h.addStops()
	fuse := newFuse(spec.Name, h.cfg.StopAfter, h.cfg.StopWindow, h.log)
	h.fuses = append(h.fuses, fuse)
	all := &shares{seen: map[string]time.Time{}}
	for _, lane := range spec.Lanes(class) {
		l := &laneRunner[I]{
			h: h, spec: spec, lane: lane, work: work, pace: &pace{}, fuse: fuse,
			session: h.session(spec.Name, lane.Topic, lane.Topic),
			writer:  NewWriter(h.plan, h.codec, spec.Name, h.key), shares: all,
		}
		if lane.Signed {
			l.session.ahead = l.ahead
		}
		h.lanes = append(h.lanes, observed{stage: spec.Name, lane: lane.Topic, topic: l.session.topic, group: l.session.group, pace: l.pace})
		h.runners = append(h.runners, func(ctx context.Context) error {
			if err := h.stops.wait(ctx); err != nil {
				return err
			}
			return fuse.run(ctx, func(ctx context.Context) error { return l.session.run(ctx, h.cfg.Batch, l.batch) })
		})
	}
}

// laneRunner works one lane of one stage.
type laneRunner[I schemas.Event] struct {
	h       *Harness
	spec    topology.Stage[I]
	lane    topology.Lane
	work    Work[I]
	pace    *pace
	fuse    *fuse
	session *session
	writer  *Writer
	shares  *shares
	window  window // of a documents lane
}

// batch works every record, several at a time, and returns what is to be produced in the records' order. It fails only when ctx ends:
// records whose work was not finished then stay uncommitted and come again.
func (l *laneRunner[I]) batch(ctx context.Context, records []*kgo.Record) ([]*kgo.Record, error) {
	beyond := l.window.beyond
	l.window = window{}
	outs := make([][]*kgo.Record, len(records))
	g, gctx := errgroup.WithContext(ctx)
	for i, r := range records {
		g.Go(func() (err error) {
			if e, over := beyond[r]; over {
				outs[i], err = l.giveWay(gctx, r, e)
				return err
			}
			outs[i], err = l.one(gctx, r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(outs...), nil
}

// one ends a record in one of three ways: output, filtered on purpose, or a dead letter (P3); or it waits for its next attempt.
func (l *laneRunner[I]) one(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
	if l.lane.Signed {
		if refused, out, err := l.door(ctx, r); refused {
			return out, err
		}
	}
	e, err := l.decode(ctx, r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return l.dead(ctx, r, nil, fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(err), 0)
	}
	ctx, span := l.h.trace(ctx, r, l.spec.Name, e)
	defer span.End()
	ctx = turn.With(ctx, turn.Claim{Lane: l.lane.Priority, Tenant: e.Envelope().Tenant, Job: e.Envelope().JobID})

	made := l.h.made(r)
	out, err := l.attempt(ctx, r, e, made)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		span.RecordError(err)
		f := fault.Of(err)
		if f.Kind == fault.Unknown && made < len(l.h.plan.Delays) {
			return l.later(ctx, r, e, f, made)
		}
		if f.Kind == fault.Unknown {
			l.fuse.badly(e.Envelope().Tenant+"/"+e.Envelope().JobID, string(f.Code))
		} else {
			l.fuse.well()
		}
		return l.dead(ctx, r, e, f, made+1)
	}
	l.fuse.well()
	outcome := "done"
	switch {
	case len(out) > 0:
	case l.h.stops.has(e):
		outcome = "stopped"
	default:
		outcome = "filtered"
	}
	l.h.metrics.records.WithLabelValues(l.spec.Name, l.lane.Topic, outcome).Inc()
	return out, nil
}

// decode waits for a registry that does not answer; only the bytes' own fault is returned.
func (l *laneRunner[I]) decode(ctx context.Context, r *kgo.Record) (I, error) {
	var none I
	e, err := l.h.decode(ctx, r)
	if err != nil {
		return none, err
	}
	typed, ok := e.(I)
	if !ok {
		return none, errors.New("the record is a " + e.Kind())
	}
	return typed, nil
}

// attempt calls the stage. The world's fault uses up no attempt and waits, with the slot free; any other is for the caller to judge.
func (l *laneRunner[I]) attempt(ctx context.Context, r *kgo.Record, e I, made int) ([]*kgo.Record, error) {
	wait, again := l.h.cfg.Backoff, l.session.again(r)
	for first := true; ; first = false {
		slot, err := l.h.slots.Enter(ctx)
		if err != nil {
			return nil, err
		}
		if first {
			l.h.metrics.wait.WithLabelValues(l.spec.Name, l.lane.Topic).Observe(lag(r, time.Now()).Seconds())
		}
		out, err := l.once(ctx, slot, r, e, schemas.Delivery{Attempt: made, Again: again || made > 0, Wire: r.Value,
			Stopped: func() bool { return l.h.stops.has(e) }})
		if err == nil || ctx.Err() != nil {
			return out, err
		}
		if l.h.stops.has(e) {
			return nil, nil // what failed is needed by nobody
		}
		f := fault.Of(err)
		if f.Kind != fault.Unavailable {
			return nil, err
		}
		again = true // it may have failed after it wrote
		l.h.metrics.retries.WithLabelValues(l.spec.Name, f.Kind.String()).Inc()
		l.h.log.WarnContext(ctx, "attempt failed", "stage", l.spec.Name, "attempt", made, "class", f.Kind.String(), "code", f.Code, "error", err, "wait", wait.String())
		if !pause.For(ctx, wait) {
			return nil, ctx.Err()
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// once does the work in a slot, gives that back and turns the events into records. An event the plan does not let the stage emit is refused.
// Work of a run that was stopped is filtered: a cancelled job keeps no slot longer than for what it holds now.
func (l *laneRunner[I]) once(ctx context.Context, slot *turn.Place, r *kgo.Record, e I, d schemas.Delivery) (out []*kgo.Record, err error) {
	if d.Over() {
		slot.Leave()
		return nil, nil
	}
	began := time.Now()
	inner, task := turn.Begin(ctx, slot, l.h.cfg.Task)
	events, err := l.guarded(ctx, inner, e, d)
	task.End()
	slot.Leave()
	l.pace.add(task.Worked())
	l.h.metrics.work.WithLabelValues(l.spec.Name, l.lane.Topic).Observe(time.Since(began).Seconds())
	if err != nil {
		return nil, err
	}
	request := Header(r, schemas.HeaderRequestID)
	for _, ev := range events {
		if !slices.Contains(l.spec.Emits, ev.Kind()) {
			return nil, undeclared(l.spec.Name, ev.Kind())
		}
		rec, err := l.writer.Record(ctx, ev, request)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// guarded turns a panic of the stage, and work that does not come to an end, into an error: a document can hurt only itself (P7). What took
// too long once is not tried again. A refusal that came late stays one, and so does a part that cannot be reached: that is nobody's document.
func (l *laneRunner[I]) guarded(outer, ctx context.Context, e I, d schemas.Delivery) (out []schemas.Event, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil && outer.Err() == nil && fault.KindOf(err) == fault.Unknown {
			err = fault.Document(schemas.EngineTimeout, "%s", schemas.Codes[schemas.EngineTimeout].Meaning).Because(err)
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return l.work(ctx, e, d)
}

// dead sets a record aside with its original bytes and tells the fold, in the transaction that commits its offset.
func (l *laneRunner[I]) dead(ctx context.Context, r *kgo.Record, e schemas.Event, f *fault.Error, attempts int) ([]*kgo.Record, error) {
	out := []*kgo.Record{l.h.bury(ctx, l.spec.Name, r, f, attempts)}
	l.h.metrics.records.WithLabelValues(l.spec.Name, l.lane.Topic, "dead").Inc()
	if e == nil {
		return out, nil // it names no job that could be believed
	}
	facts := []schemas.Event{deadLettered(l.spec.Name, r, e, f, attempts)}
	if l.spec.Close != nil {
		close := topology.Failure{Code: f.Code, Message: f.Message, Submission: r.Value}
		if c := l.spec.Close(e.(I), close); c != nil {
			facts = append(facts, c)
		}
	}
	for _, fact := range facts {
		rec, err := l.writer.Record(ctx, fact, Header(r, schemas.HeaderRequestID))
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// deadLettered is the fact of a dead letter.
func deadLettered(stage string, r *kgo.Record, e schemas.Event, f *fault.Error, attempts int) *schemas.DeadLettered {
	h := *e.Envelope()
	d := &schemas.DeadLettered{Stage: stage, Class: f.Kind.String(), Code: string(f.Code), Message: f.Message, Attempts: attempts,
		Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset}
	d.Page, d.FromPage, d.Submission = subject(r, e)
	h.EventID = schemas.EventIDFor(h.JobID, h.Run, stage, max(d.Page, d.FromPage), d.Kind(), int64(attempts))
	h.At = time.Now().UTC()
	d.Head = h
	return d
}

// jobOf puts what identifies an event into the context of its logs.
func jobOf(stage string, r *kgo.Record, e schemas.Event) telemetry.Job {
	h := e.Envelope()
	return telemetry.Job{RequestID: Header(r, schemas.HeaderRequestID), JobID: h.JobID, Tenant: h.Tenant, Stage: stage}
}
