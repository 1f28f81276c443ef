package view

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// The places of a batch: itself, in the list of its tenant by time, and among those that have not ended.
func batchKey(tenant, id string) []byte     { return []byte("b" + tenant + "/" + id) }
func liveBatchKey(tenant, id string) []byte { return []byte("c" + tenant + "/" + id) }

func batchListKey(tenant string, created time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("d"+tenant+"/"), micros(created)), id...)
}

// batch takes a batch's state, unless a greater version is known: whoever was replaced may still write.
func (r *reader) batch(e *schemas.BatchChanged, wire []byte) error {
	if !schemas.ValidBatchID(e.BatchID) || !schemas.ValidTenant(e.Tenant) {
		return nil
	}
	if old, ok := r.v.batch(batchKey(e.Tenant, e.BatchID)); ok && old.Version > e.Version {
		return nil
	}
	b := r.v.store.db.NewBatch()
	defer b.Close()
	live := b.Set(liveBatchKey(e.Tenant, e.BatchID), nil, nil)
	if !e.EndedAt.IsZero() {
		live = b.Delete(liveBatchKey(e.Tenant, e.BatchID), nil)
	}
	return errors.Join(live, b.Set(batchKey(e.Tenant, e.BatchID), wire, nil), b.Set(batchListKey(e.Tenant, e.CreatedAt, e.BatchID), nil, nil), b.Commit(pebble.NoSync))
}

// dropBatch forgets a batch whose record was deleted.
func (r *reader) dropBatch(tenant, id string) error {
	db := r.v.store.db
	old, ok := r.v.batch(batchKey(tenant, id))
	if !ok {
		return nil
	}
	return errors.Join(db.Delete(batchKey(tenant, id), pebble.NoSync), db.Delete(liveBatchKey(tenant, id), pebble.NoSync),
		db.Delete(batchListKey(tenant, old.CreatedAt, id), pebble.NoSync))
}

// Batch returns a tenant's batch as of now. Call [View.Fresh] first.
func (v *View) Batch(tenant, id string) (*schemas.BatchChanged, bool) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || !schemas.ValidBatchID(id) || !schemas.ValidTenant(tenant) {
		return nil, false
	}
	return v.batch(batchKey(tenant, id))
}

// Batches returns a tenant's newest batches, newest first.
func (v *View) Batches(tenant string, limit int) (out []*schemas.BatchChanged, err error) {
	prefix := []byte("d" + tenant + "/")
	err = v.each(prefix, true, func(key, _ []byte) (bool, error) {
		if e, ok := v.batch(batchKey(tenant, string(key[len(prefix)+8:]))); ok {
			out = append(out, e)
		}
		return len(out) < limit, nil
	})
	return out, err
}

// LiveBatches returns every tenant's batches that have not ended.
func (v *View) LiveBatches() (out []*schemas.BatchChanged, err error) {
	err = v.each([]byte("c"), false, func(key, _ []byte) (bool, error) {
		if e, ok := v.batch(append([]byte("b"), bytes.Clone(key[1:])...)); ok {
			out = append(out, e)
		}
		return true, nil
	})
	return out, err
}

func (v *View) batch(key []byte) (*schemas.BatchChanged, bool) {
	b, err := v.store.get(key)
	if err != nil || b == nil {
		v.broken(err)
		return nil, false
	}
	e, err := v.codec.Decode(context.Background(), b) // the schema is known since the record was taken
	v.broken(err)
	found, ok := e.(*schemas.BatchChanged)
	return found, ok
}
