package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// made returns how many attempts at a record were made before this one. What a foreign writer says of it is bounded by the plan.
func (h *Harness) made(r *kgo.Record) int {
	n, err := strconv.Atoi(Header(r, schemas.HeaderAttempt))
	if err != nil {
		return 0
	}
	return min(max(n, 0), len(h.plan.Delays))
}

// later sets a record aside for its next attempt: the record with its original bytes in a delay topic, and the fact that says so. Both end
// in the transaction that commits the record's offset, so the lane goes on (P3, P9).
func (l *laneRunner[I]) later(ctx context.Context, r *kgo.Record, e schemas.Event, f *fault.Error, made int) ([]*kgo.Record, error) {
	wait := l.h.plan.Delays[made]
	now := time.Now().UTC()
	d := &kgo.Record{Topic: l.h.plan.Name(topology.Delay(wait)), Key: r.Key, Value: r.Value,
		Headers: without(r.Headers, schemas.HeaderAttempt, schemas.HeaderOrigin)}
	d.Headers = append(d.Headers, kgo.RecordHeader{Key: schemas.HeaderAttempt, Value: []byte(strconv.Itoa(made + 1))},
		kgo.RecordHeader{Key: schemas.HeaderOrigin, Value: []byte(l.lane.Topic)})
	fact := &schemas.RetryScheduled{Head: *e.Envelope(), Stage: l.spec.Name, Code: string(f.Code), Message: f.Message, Attempt: made + 1,
		MaxRetries: len(l.h.plan.Delays), Due: now.Add(wait)}
	fact.Page, fact.FromPage, fact.Submission = subject(r, e)
	fact.EventID = schemas.EventIDFor(fact.JobID, fact.Run, l.spec.Name, max(fact.Page, fact.FromPage), fact.Kind(), int64(fact.Attempt))
	fact.At = now
	said, err := l.writer.Record(ctx, fact, Header(r, schemas.HeaderRequestID))
	if err != nil {
		return nil, err
	}
	l.h.metrics.retries.WithLabelValues(l.spec.Name, f.Kind.String()).Inc()
	l.h.metrics.records.WithLabelValues(l.spec.Name, l.lane.Topic, "delayed").Inc()
	l.h.log.WarnContext(ctx, "attempt failed; the record waits", "stage", l.spec.Name, "record", position(r), "attempt", made+1,
		"code", f.Code, "error", f, "wait", wait.String())
	return []*kgo.Record{d, said}, nil
}

// subject names what a record is about: a page, or the pages from one on with the submission that asked for them.
func subject(r *kgo.Record, e schemas.Event) (page, from int, submission []byte) {
	switch e := e.(type) {
	case *schemas.DocumentSubmitted:
		return 0, e.FromPage, r.Value
	case *schemas.PagePrepared:
		return e.Page, 0, nil
	case *schemas.PageLaidOut:
		return e.Page, 0, nil
	}
	return 0, 0, nil
}

func without(headers []kgo.RecordHeader, names ...string) []kgo.RecordHeader {
	return slices.DeleteFunc(slices.Clone(headers), func(h kgo.RecordHeader) bool { return slices.Contains(names, h.Key) })
}

// returning is the work of the delay topics: each has one partition, so its records come in the order in which they are due.
type returning struct {
	h    *Harness
	wait time.Duration
}

// addReturns adds a session for each delay topic, once a harness.
func (h *Harness) addReturns() {
	if h.returns {
		return
	}
	h.returns = true
	for _, d := range slices.Compact(slices.Clone(h.plan.Delays)) {
		r := &returning{h: h, wait: d}
		s := h.session(topology.Delays, topology.Delay(d), topology.Delay(d))
		// One record a transaction: what was polled is committed together, and the next one may be due much later.
		h.runners = append(h.runners, func(ctx context.Context) error { return s.run(ctx, 1, r.batch) })
	}
}

// batch waits until its records are due, then returns each to its lane. A record that names no lane of the plan is set aside.
func (r *returning) batch(ctx context.Context, records []*kgo.Record) ([]*kgo.Record, error) {
	out := make([]*kgo.Record, 0, len(records))
	for _, rec := range records {
		if left := r.wait - time.Since(rec.Timestamp); left > 0 && !pause.For(ctx, min(left, r.wait)) {
			return nil, ctx.Err()
		}
		origin := Header(rec, schemas.HeaderOrigin)
		if !topology.Origin(origin) {
			f := fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).
				Because(fmt.Errorf("%q is no lane that records return to", origin))
			out = append(out, r.h.bury(ctx, topology.Delays, rec, f, r.h.made(rec)))
			continue
		}
		out = append(out, &kgo.Record{Topic: r.h.plan.Name(origin), Key: rec.Key, Value: rec.Value, Headers: without(rec.Headers, schemas.HeaderOrigin)})
	}
	return out, nil
}

// errStopped ends the lanes of a stage that stopped itself.
var errStopped = errors.New("the stage has stopped")
