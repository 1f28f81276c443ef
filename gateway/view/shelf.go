package view

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// shelf keeps one kind of long work of the tenants in three places: itself, in the list of its tenant by time, and among what has not ended.
// E is its event.
type shelf[E any] struct {
	itself, listed, live byte // first bytes of the keys
	valid                func(tenant, id string) bool
	of                   func(*E) errand
}

// errand is what a shelf needs to know of an event.
type errand struct {
	tenant, id     string
	version        int64
	created, ended time.Time
}

// The shelves of a view. An operator's replay of all tenants has no tenant: no look-up of a tenant reaches it (P8).
var (
	replays = shelf[schemas.ReplayChanged]{'r', 't', 'a',
		func(tenant, id string) bool {
			return schemas.ValidReplayID(id) && (tenant == "" || schemas.ValidTenant(tenant))
		},
		func(e *schemas.ReplayChanged) errand {
			return errand{e.Tenant, e.ReplayID, e.Version, e.CreatedAt, e.EndedAt}
		}}
	batches = shelf[schemas.BatchChanged]{'b', 'd', 'c',
		func(tenant, id string) bool { return schemas.ValidBatchID(id) && schemas.ValidTenant(tenant) },
		func(e *schemas.BatchChanged) errand {
			return errand{e.Tenant, e.BatchID, e.Version, e.CreatedAt, e.EndedAt}
		}}
)

func (s shelf[E]) key(place byte, tenant, id string) []byte {
	return []byte(string(place) + tenant + "/" + id)
}

func (s shelf[E]) listKey(w errand) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(string(s.listed)+w.tenant+"/"), micros(w.created)), w.id...)
}

// put takes a state, unless a greater version is known: whoever was replaced may still write.
func (s shelf[E]) put(v *View, e *E, wire []byte) error {
	w := s.of(e)
	if !s.valid(w.tenant, w.id) {
		return nil
	}
	if old, ok := s.read(v, s.key(s.itself, w.tenant, w.id)); ok && s.of(old).version > w.version {
		return nil
	}
	b := v.store.db.NewBatch()
	defer b.Close()
	live := s.key(s.live, w.tenant, w.id)
	err := b.Set(live, nil, nil)
	if !w.ended.IsZero() {
		err = b.Delete(live, nil)
	}
	return errors.Join(err, b.Set(s.key(s.itself, w.tenant, w.id), wire, nil), b.Set(s.listKey(w), nil, nil), b.Commit(pebble.NoSync))
}

// drop forgets what had its record deleted.
func (s shelf[E]) drop(v *View, tenant, id string) error {
	old, ok := s.read(v, s.key(s.itself, tenant, id))
	if !ok {
		return nil
	}
	db := v.store.db
	return errors.Join(db.Delete(s.key(s.itself, tenant, id), pebble.NoSync), db.Delete(s.key(s.live, tenant, id), pebble.NoSync),
		db.Delete(s.listKey(s.of(old)), pebble.NoSync))
}

// get returns one as of now.
func (s shelf[E]) get(v *View, tenant, id string) (*E, bool) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || !s.valid(tenant, id) {
		return nil, false
	}
	return s.read(v, s.key(s.itself, tenant, id))
}

// newest returns a tenant's newest, newest first, at most limit of them.
func (s shelf[E]) newest(v *View, tenant string, limit int) (out []*E, err error) {
	prefix := []byte(string(s.listed) + tenant + "/")
	err = v.each(prefix, true, func(key, _ []byte) (bool, error) {
		if e, ok := s.read(v, s.key(s.itself, tenant, string(key[len(prefix)+8:]))); ok {
			out = append(out, e)
		}
		return len(out) < limit, nil
	})
	return out, err
}

// unended returns every tenant's that have not ended.
func (s shelf[E]) unended(v *View) (out []*E, err error) {
	err = v.each([]byte{s.live}, false, func(key, _ []byte) (bool, error) {
		tenant, id, _ := strings.Cut(string(key[1:]), "/")
		if e, ok := s.read(v, s.key(s.itself, tenant, id)); ok {
			out = append(out, e)
		}
		return true, nil
	})
	return out, err
}

func (s shelf[E]) read(v *View, key []byte) (*E, bool) {
	b, err := v.store.get(key)
	if err != nil || b == nil {
		v.broken(err)
		return nil, false
	}
	e, err := v.codec.Decode(context.Background(), b) // the schema is known since the record was taken
	v.broken(err)
	found, ok := any(e).(*E)
	return found, ok
}

// Replay returns a tenant's replay as of now. Call [View.Fresh] first.
func (v *View) Replay(tenant, id string) (*schemas.ReplayChanged, bool) {
	return replays.get(v, tenant, id)
}

// Replays returns a tenant's newest replays, newest first.
func (v *View) Replays(tenant string, limit int) ([]*schemas.ReplayChanged, error) {
	return replays.newest(v, tenant, limit)
}

// LiveReplays returns every tenant's replays that have not ended.
func (v *View) LiveReplays() ([]*schemas.ReplayChanged, error) { return replays.unended(v) }

// Batch returns a tenant's batch as of now. Call [View.Fresh] first.
func (v *View) Batch(tenant, id string) (*schemas.BatchChanged, bool) {
	return batches.get(v, tenant, id)
}

// Batches returns a tenant's newest batches, newest first.
func (v *View) Batches(tenant string, limit int) ([]*schemas.BatchChanged, error) {
	return batches.newest(v, tenant, limit)
}

// LiveBatches returns every tenant's batches that have not ended.
func (v *View) LiveBatches() ([]*schemas.BatchChanged, error) { return batches.unended(v) }

// each shows what lies below a prefix, in the order of the keys or backwards, until do says false or fails. What it is shown is its own only
// for the call.
func (v *View) each(prefix []byte, newest bool, do func(key, value []byte) (bool, error)) error {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil {
		return errors.New("view: it is not running")
	}
	end := slices.Clone(prefix)
	end[len(end)-1]++
	it, err := v.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: end})
	if err != nil {
		return err
	}
	defer it.Close()
	first, next := it.First, it.Next
	if newest {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		if on, err := do(it.Key(), it.Value()); !on || err != nil {
			return err
		}
	}
	return it.Error()
}
