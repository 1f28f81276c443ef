package view

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/internal/topology"
	"docstream/schemas"
)

// The places of a replay: itself, in the list of its tenant by time, and among those that have not ended. An operator's replay of all
// tenants has no tenant: no look-up of a tenant reaches it (P8).
func replayKey(tenant, id string) []byte { return []byte("r" + tenant + "/" + id) }
func liveKey(tenant, id string) []byte   { return []byte("a" + tenant + "/" + id) }

func replayListKey(tenant string, created time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("t"+tenant+"/"), micros(created)), id...)
}

// replay takes a replay's state, unless a greater version is known: somebody who was replaced may still write.
func (r *reader) replay(e *schemas.ReplayChanged, wire []byte) error {
	s := r.v.store
	if !schemas.ValidReplayID(e.ReplayID) || e.Tenant != "" && !schemas.ValidTenant(e.Tenant) {
		return nil
	}
	if old, ok := r.v.replay(replayKey(e.Tenant, e.ReplayID)); ok && old.Version > e.Version {
		return nil
	}
	b := s.db.NewBatch()
	defer b.Close()
	place := b.Set
	if !e.EndedAt.IsZero() {
		place = func(key, _ []byte, o *pebble.WriteOptions) error { return b.Delete(key, o) }
	}
	return errors.Join(
		b.Set(replayKey(e.Tenant, e.ReplayID), wire, nil),
		b.Set(replayListKey(e.Tenant, e.CreatedAt, e.ReplayID), nil, nil),
		place(liveKey(e.Tenant, e.ReplayID), nil, nil),
		b.Commit(pebble.NoSync))
}

// dropReplay forgets a replay whose record was deleted.
func (r *reader) dropReplay(tenant, id string) error {
	db := r.v.store.db
	old, ok := r.v.replay(replayKey(tenant, id))
	if !ok {
		return nil
	}
	return errors.Join(db.Delete(replayKey(tenant, id), pebble.NoSync), db.Delete(liveKey(tenant, id), pebble.NoSync),
		db.Delete(replayListKey(tenant, old.CreatedAt, id), pebble.NoSync))
}

// Replay returns a tenant's replay as of now. Call [View.Fresh] first.
func (v *View) Replay(tenant, id string) (*schemas.ReplayChanged, bool) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || !schemas.ValidReplayID(id) || strings.Contains(tenant, "/") {
		return nil, false
	}
	return v.replay(replayKey(tenant, id))
}

// Replays returns a tenant's newest replays, newest first.
func (v *View) Replays(tenant string, limit int) ([]*schemas.ReplayChanged, error) {
	prefix := []byte("t" + tenant + "/")
	return v.scan(prefix, true, limit, func(key []byte) []byte { return replayKey(tenant, string(key[len(prefix)+8:])) })
}

// LiveReplays returns every tenant's replays that have not ended.
func (v *View) LiveReplays() ([]*schemas.ReplayChanged, error) {
	return v.scan([]byte("a"), false, 0, func(key []byte) []byte { return append([]byte("r"), key[1:]...) })
}

// scan reads the replays that an index names, at most limit of them where it is above 0.
func (v *View) scan(prefix []byte, newest bool, limit int, at func(key []byte) []byte) (out []*schemas.ReplayChanged, err error) {
	err = v.each(prefix, newest, func(key, _ []byte) (bool, error) {
		if e, ok := v.replay(at(key)); ok {
			out = append(out, e)
		}
		return limit == 0 || len(out) < limit, nil
	})
	return out, err
}

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

func (v *View) replay(key []byte) (*schemas.ReplayChanged, bool) {
	b, err := v.store.get(key)
	if err != nil || b == nil {
		v.broken(err)
		return nil, false
	}
	e, err := v.codec.Decode(context.Background(), b) // the schema is known since the record was taken
	v.broken(err)
	r, ok := e.(*schemas.ReplayChanged)
	return r, ok
}

// Caught waits until track has worked off every fact that was written before the call, and the view holds what came of it. Track's offset can
// be seen before the marker that commits its snapshot, so this waits for the high watermark of the jobs.
func (v *View) Caught(ctx context.Context) error {
	r, err := v.reader()
	if err != nil {
		return err
	}
	defer r.close()
	facts := v.plan.Name(topology.Facts.Spec.Name)
	counts, err := r.ask.partitions(ctx, []string{facts})
	if err != nil {
		return err
	}
	ends, err := r.ask.offsets(ctx, places(counts, facts), latest, uncommitted)
	if err != nil {
		return err
	}
	if err := r.passed(ctx, ends); err != nil {
		return err
	}
	if err := v.Fresh(ctx); err != nil {
		return err
	}
	return v.Covered(ctx)
}
