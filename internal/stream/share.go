package stream

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
	"docstream/schemas"
)

const (
	sharesFor = time.Hour // a tenant that submitted within this has a share
	readAhead = 512       // records of one batch of a documents lane, those included that only move
	behind    = "low"     // the lane of what is beyond a share
)

// shares knows the tenants that submit. While there is only one, it may have all.
type shares struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// of returns how many records of a batch a tenant may have worked on now, this tenant counted in.
func (s *shares) of(tenant string, batch int, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[tenant] = now
	for t, at := range s.seen {
		if now.Sub(at) > sharesFor {
			delete(s.seen, t)
		}
	}
	return max(1, batch/len(s.seen))
}

// window is a batch of a documents lane while it is read: whose its records are, and which of them are beyond their tenant's share.
type window struct {
	looked  int
	tenants map[string]int
	beyond  map[*kgo.Record]*schemas.DocumentSubmitted
}

// ahead looks at what was read and returns how many records more the batch may have. Where a tenant has more in it than its share, reading
// goes on past what is only to move: so nobody waits for the whole of another's flood (P9).
func (l *laneRunner[I]) ahead(ctx context.Context, records []*kgo.Record) int {
	w := &l.window
	if w.tenants == nil {
		*w = window{tenants: map[string]int{}, beyond: map[*kgo.Record]*schemas.DocumentSubmitted{}}
	}
	for _, r := range records[w.looked:] {
		w.looked++
		e := l.submission(ctx, r)
		if e == nil {
			continue
		}
		w.tenants[e.Tenant]++
		if w.tenants[e.Tenant] > l.shares.of(e.Tenant, l.h.cfg.Batch, time.Now()) {
			w.beyond[r] = e
		}
	}
	if len(w.beyond) == 0 || len(records) >= readAhead {
		return 0
	}
	return l.h.cfg.Batch - (len(records) - len(w.beyond))
}

// submission is what a record submits, once it has proved its tenant; nil for one that has to go the usual way: it is refused there, or was
// tried before.
func (l *laneRunner[I]) submission(ctx context.Context, r *kgo.Record) *schemas.DocumentSubmitted {
	if l.h.made(r) > 0 {
		return nil
	}
	who, err := l.h.proof.Prove(ctx, Claim(r))
	if err != nil {
		return nil
	}
	e, err := l.h.decode(ctx, r)
	if err != nil {
		return nil
	}
	s, refused := who.Admit(e)
	if refused != nil {
		return nil
	}
	return s
}

// giveWay puts a submission that is beyond its tenant's share, unworked, behind those of others, and tells the fold of the job: the offset of
// the lane says that it was seen to (P4).
func (l *laneRunner[I]) giveWay(ctx context.Context, r *kgo.Record, e *schemas.DocumentSubmitted) ([]*kgo.Record, error) {
	moved := *e
	moved.Priority = behind
	wire, err := l.h.codec.Encode(&moved)
	if err != nil {
		return nil, err
	}
	fact := &schemas.DocumentDeferred{Head: e.Head, Submission: wire}
	fact.EventID, fact.At = schemas.EventIDFor(e.JobID, e.Run, schemas.Door, 0, fact.Kind(), 0), time.Now().UTC()
	said, err := l.writer.Record(ctx, fact, Header(r, schemas.HeaderRequestID))
	if err != nil {
		return nil, err
	}
	l.h.metrics.records.WithLabelValues(l.spec.Name, l.lane.Topic, "deferred").Inc()
	return []*kgo.Record{{Topic: l.h.plan.Name(topology.Splits.Name("", behind)), Key: r.Key, Value: wire, Headers: without(r.Headers, schemas.HeaderSignature)}, said}, nil
}
