// Package refold folds a log again from its first fact, in memory, and sums up what comes out: the same log has the same sum, whoever folds
// it and however often. Beside it stands the sum of the states that the fold wrote when it happened.
package refold

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Fold is the fold of jobs.
type Fold interface {
	stream.Folder[schemas.Event, *schemas.JobSnapshot]
	stream.Timed[*schemas.JobSnapshot]
}

// Sum is the states of all jobs in short.
type Sum struct {
	Jobs int    `json:"jobs"`
	Read int64  `json:"read"` // records
	Hash string `json:"sha256"`
}

// Log is where the facts and the states lie.
type Log struct {
	Conn  stream.Connection
	Plan  topology.Config
	Codec *schemas.Codec
}

// States sums up the newest states that the fold has written.
func (l Log) States(ctx context.Context) (Sum, error) {
	states, n := map[string][sha256.Size]byte{}, int64(0)
	err := l.scan(ctx, topology.Jobs.Spec.Name, func(r schemas.Record) error {
		n++
		s, ok := r.Event.(*schemas.JobSnapshot)
		if !ok { // a tombstone
			delete(states, string(r.Key))
			return nil
		}
		return put(states, string(r.Key), s)
	})
	return sum(states, n), err
}

// Again folds every fact that the log keeps, and sums up the states that come out. A fact at fault changes nothing, as when it was set aside.
func (l Log) Again(ctx context.Context, fold Fold) (Sum, error) {
	states, n := map[string][sha256.Size]byte{}, int64(0)
	parts := map[int32]*part{}
	err := l.scan(ctx, topology.Facts.Spec.Name, func(r schemas.Record) error {
		n++
		p := parts[r.Partition]
		if p == nil {
			p = &part{fold: fold, held: map[string]*schemas.JobSnapshot{}, states: states}
			parts[r.Partition] = p
		}
		return p.take(ctx, r.Event)
	})
	return sum(states, n), err
}

func (l Log) scan(ctx context.Context, topic string, yield func(schemas.Record) error) error {
	return stream.Scan{Conn: l.Conn, Plan: l.Plan, Codec: l.Codec, Yield: yield}.Read(ctx, topic)
}

// part is one partition being folded: what the fold keeps in memory, and in short what it would have written.
type part struct {
	fold   Fold
	held   map[string]*schemas.JobSnapshot
	states map[string][sha256.Size]byte // of all partitions
}

func (p *part) take(ctx context.Context, e schemas.Event) error {
	switch f := e.(type) {
	case nil:
		return nil // nobody can read it
	case *schemas.Tick:
		for _, key := range slices.Sorted(maps.Keys(p.held)) {
			if due := p.fold.Due(p.held[key]); due.IsZero() || due.After(f.At) {
				continue
			}
			next, _ := p.fold.Elapsed(p.held[key], f.At)
			if err := p.write(key, next); err != nil {
				return err
			}
		}
		return nil
	}
	key := p.fold.Key(e)
	next, changed, _, err := p.fold.Apply(ctx, p.held[key], e)
	switch {
	case err != nil && fault.KindOf(err) == fault.Unavailable:
		return err
	case err != nil || !changed:
		return ctx.Err()
	}
	return p.write(key, next)
}

func (p *part) write(key string, next *schemas.JobSnapshot) error {
	if next == nil {
		delete(p.held, key)
		delete(p.states, key)
		return nil
	}
	p.held[key] = p.fold.Rest(next)
	return put(p.states, key, next)
}

func put(states map[string][sha256.Size]byte, key string, s *schemas.JobSnapshot) error {
	text, err := schemas.Text(s)
	states[key] = sha256.Sum256(text)
	return err
}

// sum is the same for the same states, whatever order they came in.
func sum(states map[string][sha256.Size]byte, read int64) Sum {
	h := sha256.New()
	for _, key := range slices.SortedFunc(maps.Keys(states), cmp.Compare[string]) {
		one := states[key]
		_, _ = h.Write(append([]byte(key+"\n"), one[:]...))
	}
	return Sum{Jobs: len(states), Read: read, Hash: hex.EncodeToString(h.Sum(nil))}
}
