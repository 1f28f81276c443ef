package view

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/schemas"
)

// settingKey is where a setting of a tenant lies; nil for one that has a place of its own or is unknown.
func settingKey(e schemas.Event) []byte {
	tenant := e.Envelope().Tenant
	if !schemas.ValidTenant(tenant) {
		return nil
	}
	switch e := e.(type) {
	case *schemas.TenantChanged:
		return ownKey(ownPlan, tenant, "")
	case *schemas.EndpointChanged:
		return ownKey(ownEndpoints, tenant, e.EndpointID)
	}
	return nil
}

// owned takes a day of usage, a webhook or an entry of the audit log. The newest record of a key is the last one of its partition.
func (r *reader) owned(ctx context.Context, rec *kgo.Record, topic string) error {
	if len(rec.Value) == 0 {
		return nil // it grows old where it lies
	}
	e, err := r.decode(ctx, rec, topic)
	if err != nil || e == nil {
		return err
	}
	tenant, db := e.Envelope().Tenant, r.v.store.db
	if !schemas.ValidTenant(tenant) {
		r.ignore(topic, "misplaced")
		return nil
	}
	switch e := e.(type) {
	case *schemas.UsageSummed: // a tenant changes its partition where their number grows: what is summed in each counts
		return db.Set(ownKey(ownDays, tenant, fmt.Sprintf("%s/%06d", e.Day, rec.Partition)), rec.Value, pebble.NoSync)
	case *schemas.WebhookDue:
		if e.DeliveryID == "" {
			return nil
		}
		return db.Set(ownKey(ownWebhooks, tenant, timed(e.FirstAt, e.DeliveryID)), rec.Value, pebble.NoSync)
	case *schemas.AuditRecorded:
		return db.Set(ownKey(ownAudit, tenant, timed(e.At, e.EventID)), rec.Value, pebble.NoSync)
	}
	r.ignore(topic, "misplaced")
	return nil
}

// timed is a name that sorts by time.
func timed(at time.Time, id string) string {
	return string(binary.BigEndian.AppendUint64(nil, micros(at))) + id
}

// own reads what a tenant owns of one kind, in order or newest first; keep may drop some. At most limit where it is above 0.
func own[E schemas.Event](v *View, what byte, tenant string, newest bool, limit int, keep func(E) bool) (out []E, err error) {
	if !schemas.ValidTenant(tenant) {
		return nil, errors.New("view: it is not running")
	}
	err = v.each(ownKey(what, tenant, ""), newest, func(_, value []byte) (bool, error) {
		e, err := v.codec.Decode(context.Background(), bytes.Clone(value)) // the schema is known since the record was taken
		if err != nil {
			return false, err
		}
		if typed, ok := e.(E); ok && (keep == nil || keep(typed)) {
			out = append(out, typed)
		}
		return limit == 0 || len(out) < limit, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Keys returns a tenant's API keys, revoked and expired ones too.
func (v *View) Keys(tenant string) ([]*schemas.APIKeyChanged, error) {
	return own[*schemas.APIKeyChanged](v, ownKeys, tenant, false, 0, nil)
}

// Plan returns the name of a tenant's plan; empty where none was given.
func (v *View) Plan(tenant string) string {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || !schemas.ValidTenant(tenant) {
		return ""
	}
	if t, ok := v.event(ownKey(ownPlan, tenant, ""), nil).(*schemas.TenantChanged); ok {
		return t.Plan
	}
	return ""
}

// Endpoints returns a tenant's webhook endpoints that were not removed.
func (v *View) Endpoints(tenant string) ([]*schemas.EndpointChanged, error) {
	return own(v, ownEndpoints, tenant, false, 0, func(e *schemas.EndpointChanged) bool { return e.RemovedAt.IsZero() })
}

// Webhooks returns a tenant's newest webhooks, newest first, that keep wants.
func (v *View) Webhooks(tenant string, limit int, keep func(*schemas.WebhookDue) bool) ([]*schemas.WebhookDue, error) {
	return own(v, ownWebhooks, tenant, true, limit, keep)
}

// AuditLog returns what was last done in a tenant's name, newest first.
func (v *View) AuditLog(tenant string, limit int) ([]*schemas.AuditRecorded, error) {
	return own[*schemas.AuditRecorded](v, ownAudit, tenant, true, limit, nil)
}

// Usage returns what a tenant used on the days from one to another, both included: days as in 2026-01-31. A day may come several times.
func (v *View) Usage(tenant, from, to string) ([]*schemas.UsageSummed, error) {
	return own(v, ownDays, tenant, false, 0, func(u *schemas.UsageSummed) bool { return u.Day >= from && u.Day <= to })
}

// Current reports whether everything that was durable so long ago is known to be held: a key that was revoked before is known as such.
func (v *View) Current(within time.Duration) bool {
	return time.Since(time.Unix(0, v.known.Load())) <= within
}

// remaining is how many pages of a live job are still to be done; one that nobody has counted yet has at least one.
func remaining(s *schemas.JobSnapshot) uint32 {
	if schemas.Terminal(s.Status) {
		return 0
	}
	return uint32(max(1, s.PagesExpected-s.PagesDone-s.PagesFailed))
}

// live counts the jobs under way and their pages, by tenant.
type live struct {
	mu sync.Mutex
	of map[string]liveCount
}

type liveCount struct {
	jobs  int
	pages int64
}

// moved notes that a job's row changed from old to next; either may be nil.
func (l *live) moved(tenant string, old, next *row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]liveCount{}
	}
	c := l.of[tenant]
	if old != nil && !schemas.Terminal(old.status) {
		c.jobs--
		c.pages -= int64(old.pages)
	}
	if next != nil && !schemas.Terminal(next.status) {
		c.jobs++
		c.pages += int64(next.pages)
	}
	if c == (liveCount{}) {
		delete(l.of, tenant)
	} else {
		l.of[tenant] = c
	}
}

// Live returns how many jobs of a tenant are under way, and how many pages of them are still to be done as far as that is known.
func (v *View) Live(tenant string) (jobs int, pages int64) {
	v.live.mu.Lock()
	defer v.live.mu.Unlock()
	c := v.live.of[tenant]
	return c.jobs, c.pages
}

// Backlog returns how many jobs of all tenants are under way and how long they will take at the pace of the last ones.
func (v *View) Backlog() (jobs int, drain time.Duration) {
	p := &v.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live, time.Duration(float64(p.live) * p.drain.value * float64(time.Second))
}

// Drain returns how long it takes, at the pace of the last ones, until a job ends.
func (v *View) Drain() time.Duration {
	p := &v.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.drain.value * float64(time.Second))
}
