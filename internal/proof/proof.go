// Package proof says who wrote a record into a documents lane, and so of which tenant it may speak. A lane is open to upstream systems:
// nothing in it is believed before its signature is (P8).
//
// The house signs what came through its own doors and may name any tenant. An upstream system signs with a producer key of one tenant. A
// lane that the operator declares trusted takes records without a signature; one that carries a signature is held to it there too.
package proof

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"docstream/internal/fault"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Config is what an operator decides about foreign submissions.
type Config struct {
	Trusted  []string `koanf:"trusted"`   // documents lanes, without prefix, whose records need no signature: who may write there is known by other means
	MaxBytes int64    `koanf:"max_bytes"` // of a document that an upstream system submits by reference
}

// DefaultConfig trusts no lane.
func DefaultConfig() Config { return Config{Trusted: []string{}, MaxBytes: 500 << 20} }

// Validate refuses a lane that does not exist.
func (c Config) Validate() error {
	if c.MaxBytes < 1 {
		return errors.New("proof: max_bytes must be positive")
	}
	for _, name := range c.Trusted {
		if !slices.ContainsFunc(topology.Documents.All(), func(l topology.Lane) bool { return l.Topic == name }) {
			return fmt.Errorf("proof: trusted: %q is no documents lane", name)
		}
	}
	return nil
}

// Record is what is asked about: a record of a documents lane as the log has it.
type Record struct {
	Topic     string // full name: part of what is signed
	Partition int32
	Offset    int64
	At        time.Time // the log's
	Signature string
	Value     []byte

	Seen time.Time // when it was fetched; a look at the settings that began later holds for it. Zero: every record gets a look of its own
}

// Verifier answers who wrote a record. Safe for concurrent use.
type Verifier struct {
	cfg   Config
	house schemas.SigningKey
	ours  *schemas.Checker // of the house key
	plan  topology.Config
	log   *slog.Logger
	lanes map[string]topology.Lane // by full name
	fresh func(context.Context) error

	mu     sync.RWMutex
	keys   map[string]key // by id
	looked time.Time      // when the last look at the settings that was answered began
}

// key is a producer key that could be opened.
type key struct {
	tenant  string
	check   *schemas.Checker
	retired bool
	ends    map[place]int64
	revoked bool
}

type place struct {
	topic     string
	partition int32
}

// New returns a verifier that knows the house key only; [Verifier.Take] teaches it the others.
func New(cfg Config, house schemas.SigningKey, plan topology.Config, log *slog.Logger) *Verifier {
	v := &Verifier{cfg: cfg, house: house, ours: house.Checker(), plan: plan, log: log, lanes: map[string]topology.Lane{}, keys: map[string]key{}}
	for _, l := range topology.Documents.All() {
		v.lanes[plan.Name(l.Topic)] = l
	}
	return v
}

// Fresh says how to wait until everything that the settings hold now was taken. A key that nobody has heard of is waited for once: its
// record may be faster than its setting. Without it an unknown key proves nothing.
func (v *Verifier) Fresh(wait func(context.Context) error) { v.fresh = wait }

// Take learns what the settings say under a key of theirs; nil means that it was deleted. Settings of other kinds are passed over.
func (v *Verifier) Take(name string, e schemas.Event) {
	if e == nil {
		if parts := strings.Split(name, "/"); len(parts) == 3 && parts[1] == "producer" {
			v.mu.Lock()
			delete(v.keys, parts[2])
			v.mu.Unlock()
		}
		return
	}
	k, ok := e.(*schemas.ProducerKeyChanged)
	if !ok || k.KeyID == v.house.ID {
		return
	}
	known := key{tenant: k.Tenant, retired: !k.RetiredAt.IsZero(), revoked: !k.RevokedAt.IsZero(), ends: map[place]int64{}}
	for _, end := range k.RetiredEnds {
		known.ends[place{end.Topic, int32(end.Partition)}] = end.Offset
	}
	secret, err := open(v.house, k)
	if err != nil {
		v.log.Error("a producer key cannot be opened; what it signed is refused", "key_id", k.KeyID, "tenant", k.Tenant, "error", err)
		known.revoked = true
	}
	known.check = schemas.SigningKey{ID: k.KeyID, Secret: secret}.Checker()
	v.mu.Lock()
	v.keys[k.KeyID] = known
	v.mu.Unlock()
}

// Prove returns who wrote a record. The error is the record's own fault, or ctx's.
func (v *Verifier) Prove(ctx context.Context, r Record) (Writer, error) {
	lane, ok := v.lanes[r.Topic]
	if !ok {
		return Writer{}, without("it lies in no documents lane")
	}
	w := Writer{lane: lane, at: r.At, most: v.cfg.MaxBytes}
	id, _, _ := strings.Cut(r.Signature, ":")
	switch {
	case r.Signature == "" && slices.Contains(v.cfg.Trusted, lane.Topic):
		w.any = true
		return w, nil
	case r.Signature == "":
		return Writer{}, without("it has no signature")
	case id == v.house.ID:
		if !v.ours.Verify(r.Signature, r.Topic, r.Value) {
			return Writer{}, without("its signature is not the house's")
		}
		w.any, w.house = true, true
		return w, nil
	}
	k, err := v.key(ctx, id, r.Seen)
	switch {
	case err != nil:
		return Writer{}, err
	case k == nil:
		return Writer{}, without("nobody knows its key")
	case k.revoked:
		return Writer{}, without("its key " + id + " was revoked")
	case !k.check.Verify(r.Signature, r.Topic, r.Value):
		return Writer{}, without("its signature is not that of key " + id)
	case k.retired && r.Offset >= k.ends[place{r.Topic, r.Partition}]:
		return Writer{}, without("its key " + id + " had retired")
	}
	w.tenant = k.tenant
	return w, nil
}

// key returns a producer key, nil where there is none. A key that is not known is looked for once in the settings as they are now; a part
// that does not answer is waited for.
func (v *Verifier) key(ctx context.Context, id string, seen time.Time) (*key, error) {
	if k := v.known(id); k != nil || v.fresh == nil || !keyForm(id) {
		return k, nil
	}
	v.mu.RLock()
	known := !seen.IsZero() && v.looked.After(seen)
	v.mu.RUnlock()
	if known {
		return v.known(id), nil
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		err := v.fresh(ctx)
		if err == nil {
			v.mu.Lock()
			v.looked = began
			v.mu.Unlock()
			return v.known(id), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		v.log.WarnContext(ctx, "waiting for the settings, which may hold a key", "key_id", id, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (v *Verifier) known(id string) *key {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if k, ok := v.keys[id]; ok {
		return &k
	}
	return nil
}

// without is the fault of a record that proves nothing. Why stands in the dead letter, for the operator.
func without(why string) error {
	return fault.Document(schemas.SignatureInvalid, "%s", schemas.Codes[schemas.SignatureInvalid].Meaning).Because(errors.New(why))
}
