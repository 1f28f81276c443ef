package view

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// decoded keeps what lies in the store and was read lately, decoded; also that nothing lies there. It never answers with what has been
// replaced: whoever changes a value does so through change, which forgets it before and lets nobody keep what was read meanwhile. What it holds
// is bounded (P6): where the young half is full it becomes the old one, and the old one goes.
type decoded struct {
	mu         sync.Mutex
	young, old map[string]decodedEvent
	size, most int64 // of the bytes of the young half
	seed       maphash.Seed
	places     [256]changes // of the keys, by their hash
}

type decodedEvent struct {
	event schemas.Event // nil: nothing lies there
	size  int64
}

// changes counts those of some keys.
type changes struct {
	made  int64
	under int // way
}

// newDecoded keeps about so many bytes twice, and several times that as what was decoded of them.
func newDecoded(most int64) *decoded { return &decoded{most: most, seed: maphash.MakeSeed()} }

func (d *decoded) place(key []byte) *changes {
	return &d.places[maphash.Bytes(d.seed, key)%uint64(len(d.places))]
}

// unkept is a state of the changes that nothing is kept at.
const unkept = -1

// find returns what is known of a key; else where the changes of it stand, for keep.
func (d *decoded) find(key []byte) (e schemas.Event, known bool, made int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.young[string(key)]; ok {
		return e.event, true, 0
	}
	if e, ok := d.old[string(key)]; ok {
		d.add(string(key), e)
		return e.event, true, 0
	}
	p := d.place(key)
	if p.under > 0 {
		return nil, false, unkept
	}
	return nil, false, p.made
}

// keep takes what was read after find said where the changes stood, unless there was one since.
func (d *decoded) keep(key []byte, e schemas.Event, size int, made int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.place(key); p.under == 0 && p.made == made {
		d.add(string(key), decodedEvent{e, int64(size)})
	}
}

func (d *decoded) add(key string, e decodedEvent) {
	if d.young == nil || d.size > d.most {
		d.old, d.young, d.size = d.young, map[string]decodedEvent{}, 0
	}
	d.young[key] = e
	d.size += int64(len(key)) + e.size + 64
}

// change changes the value of a key in the store.
func (d *decoded) change(key []byte, do func() error) error {
	d.mu.Lock()
	p := d.place(key)
	p.under++
	delete(d.young, string(key))
	delete(d.old, string(key))
	d.mu.Unlock()
	err := do()
	d.mu.Lock()
	p.under--
	p.made++
	d.mu.Unlock()
	return err
}

// forget drops everything that is known, and what is being read: the store is another one.
func (d *decoded) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.young, d.old, d.size = nil, nil, 0
	for i := range d.places {
		d.places[i].made++
	}
}

// event returns what lies at a key, nil where nothing does; wire finds the event in the value. What comes back is shared: nobody may change
// it. After an error the view is out of service.
func (v *View) event(key []byte, wire func([]byte) []byte) schemas.Event {
	e, known, made := v.decoded.find(key)
	if known {
		return e
	}
	b, closer, err := v.store.db.Get(slices.Clone(key)) // its own: nearly every key is found above, and costs no memory
	if errors.Is(err, pebble.ErrNotFound) {
		v.decoded.keep(key, nil, 0, made)
		return nil
	}
	if err != nil {
		v.broken(err)
		return nil
	}
	defer closer.Close()
	w := b
	if wire != nil {
		w = wire(b)
	}
	w = slices.Clone(w)
	e, err = v.codec.Decode(context.Background(), w) // decoded before it was stored: the schema is known, or asked for once after a restart
	if err != nil {
		v.broken(err)
		return nil
	}
	v.decoded.keep(key, e, len(w), made)
	return e
}
