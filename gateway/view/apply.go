package view

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// apply takes one record into the store. An error is ctx's or the store's own; a record that is not worth having is passed over.
func (r *reader) apply(ctx context.Context, rec *kgo.Record, polled time.Time) error {
	v := r.v
	topic := strings.TrimPrefix(rec.Topic, v.plan.Prefix)
	v.metrics.records.WithLabelValues(topic).Inc()
	switch topic {
	case topology.Jobs.Spec.Name:
		return r.job(ctx, rec, topic)
	case topology.Settings.Spec.Name:
		return r.setting(ctx, rec, topic)
	case topology.UsageDays.Spec.Name, topology.Webhooks.Spec.Name, topology.Audit.Spec.Name:
		return r.owned(ctx, rec, topic)
	}
	return r.submission(ctx, rec, topic, polled)
}

// decode reads an event, waiting for a registry that does not answer: a record that is skipped would be a false 404. nil means that the
// bytes are no event.
func (r *reader) decode(ctx context.Context, rec *kgo.Record, topic string) (schemas.Event, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		e, err := r.v.codec.Decode(ctx, rec.Value)
		if err == nil {
			return e, nil
		}
		if errors.Is(err, schemas.ErrUndecodable) {
			r.ignore(topic, "undecodable")
			return nil, nil
		}
		r.v.log.WarnContext(ctx, "the view waits for the schema registry", "topic", rec.Topic, "error", err)
		if !pause.For(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

func (r *reader) ignore(topic, reason string) {
	r.v.metrics.ignored.WithLabelValues(topic, reason).Inc()
}

// job takes a snapshot if it is newer than what is known.
func (r *reader) job(ctx context.Context, rec *kgo.Record, topic string) error {
	if len(rec.Value) == 0 {
		tenant, job, _ := strings.Cut(string(rec.Key), "/")
		return r.forget(tenant, job)
	}
	e, err := r.decode(ctx, rec, topic)
	if err != nil || e == nil {
		return err
	}
	s, ok := e.(*schemas.JobSnapshot)
	if !ok || !schemas.ValidTenant(s.Tenant) || !schemas.ValidJobID(s.JobID) {
		r.ignore(topic, "misplaced")
		return nil
	}
	return r.keep(s.Tenant, s.JobID, row{snapshot: true, run: uint32(s.Run), version: uint64(s.Version), submitted: s.SubmittedAt, status: s.Status, pages: remaining(s), lane: laneOf(s.Class, s.Priority), wire: rec.Value}, s)
}

// submission takes a signed DocumentSubmitted as version 0 of its job, unless something newer is known. Nothing in a lane is believed
// before its signature is: the lane is open to others (P8).
func (r *reader) submission(ctx context.Context, rec *kgo.Record, topic string, polled time.Time) error {
	claim := stream.Claim(rec)
	claim.Seen = polled
	who, err := r.v.proof.Prove(ctx, claim)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.ignore(topic, "unsigned")
		return nil
	}
	e, err := r.decode(ctx, rec, topic)
	if err != nil || e == nil {
		return err
	}
	s, refused := who.Admit(e)
	if refused != nil {
		r.ignore(topic, "misplaced")
		return nil
	}
	return r.keep(s.Tenant, s.JobID, row{submitted: s.SubmittedAt, status: schemas.Pending, pages: 1, lane: laneOf(s.Class, s.Priority), wire: rec.Value}, nil)
}

// keep writes a row if it is newer than the one there.
func (r *reader) keep(tenant, job string, next row, s *schemas.JobSnapshot) error {
	v := r.v
	r.mu.Lock() // the two clients may bring the same job at once
	defer r.mu.Unlock()
	at := rowKey(tenant, job)
	b, err := v.store.get(at)
	if err != nil {
		return err
	}
	var old *row
	if b != nil {
		o := readRow(b)
		if !next.newer(o) {
			return nil
		}
		old = &o
	} else {
		v.metrics.jobs.Inc()
	}
	if err := v.decoded.change(at, func() error { return v.store.put(tenant, job, next, old) }); err != nil {
		return err
	}
	if err := v.note(s); err != nil {
		return err
	}
	v.pace.moved(old, next, s, v.ready.Load())
	v.live.moved(tenant, old, &next)
	v.queue.moved(old, &next)
	v.watch.changed(string(at))
	return nil
}

// forget drops a job that the fold has laid to rest: its job.json answers from there on.
func (r *reader) forget(tenant, job string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := rowKey(tenant, job)
	b, err := r.v.store.get(at)
	if err != nil || b == nil {
		return err
	}
	old := readRow(b)
	if err := r.v.unnote(at, job); err != nil {
		return err
	}
	if r.v.letGo != nil {
		r.v.letGo(tenant + "/" + job) // until the row is gone whoever looks finds it here
	}
	r.v.pace.gone(old)
	r.v.live.moved(tenant, &old, nil)
	r.v.queue.moved(&old, nil)
	r.v.metrics.jobs.Dec()
	return r.v.decoded.change(at, func() error { return r.v.store.remove(tenant, job, old) })
}

// setting takes an API key, a replay or a batch; what it does not know, such as the settings of a newer build, it passes over. The newest record of a key is
// the last one in the log.
func (r *reader) setting(ctx context.Context, rec *kgo.Record, topic string) error {
	if len(rec.Value) == 0 {
		parts := strings.Split(string(rec.Key), "/")
		switch {
		case len(parts) == 3 && parts[1] == "key":
			return errors.Join(r.v.unset(keyKey(parts[2])), r.v.unset(ownKey(ownKeys, parts[0], parts[2])))
		case len(parts) == 3 && parts[1] == "replay":
			return replays.drop(r.v, parts[0], parts[2])
		case len(parts) == 3 && parts[1] == "batch":
			return batches.drop(r.v, parts[0], parts[2])
		}
		return nil
	}
	e, err := r.decode(ctx, rec, topic)
	if err != nil || e == nil {
		return err
	}
	if e, ok := e.(*schemas.ReplayChanged); ok {
		return replays.put(r.v, e, rec.Value)
	}
	if e, ok := e.(*schemas.BatchChanged); ok {
		return batches.put(r.v, e, rec.Value)
	}
	if _, ok := e.(*schemas.ProducerKeyChanged); ok {
		return nil // the verifier's own reader takes it, and never later than a record it proves
	}
	if own := settingKey(e); own != nil {
		return r.v.set(own, rec.Value)
	}
	k, ok := e.(*schemas.APIKeyChanged)
	if !ok || k.KeyID == "" || !schemas.ValidTenant(k.Tenant) {
		r.ignore(topic, "misplaced")
		return nil
	}
	return errors.Join(r.v.set(keyKey(k.KeyID), rec.Value), r.v.set(ownKey(ownKeys, k.Tenant, k.KeyID), rec.Value))
}

// set and unset write a value that event reads.
func (v *View) set(key, value []byte) error {
	return v.decoded.change(key, func() error { return v.store.db.Set(key, value, pebble.NoSync) })
}

func (v *View) unset(key []byte) error {
	return v.decoded.change(key, func() error { return v.store.db.Delete(key, pebble.NoSync) })
}
