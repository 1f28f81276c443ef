package view

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/internal/topology"
	"docstream/schemas"
)

// A store that is kept outlives its process. It names, of every partition that holds state, the offset it was read to, written after what
// was read. Nothing of it is logged ahead: what a kill leaves is what had been flushed, which is all that was written up to some moment and
// nothing after it, so the offsets never claim more than the rows hold. From there the log is read again, and reading twice changes nothing.
//
// Where of the lanes it stood is not kept: they are read from where prepare stands, as by a new view.

// format is the layout of the store; a store of another layout is read anew.
const format = "docstream view 2\n"

// maxAge is how old a store may be: half the time for which a compacted topic keeps deletions. An older one may never hear of some.
const maxAge = 24 * time.Hour

var (
	formatKey = []byte("mformat")
	wholeKey  = []byte("mwhole") // when everything durable was last held
	paceKey   = []byte("mpace")
)

// topicID tells a topic from one of the same name that was made after it.
type topicID [16]byte

func offsetKey(p place) []byte {
	return binary.BigEndian.AppendUint32([]byte("o"+p.topic+"/"), uint32(p.partition))
}

// reached notes how far partitions were read. Call it after what was read is written.
func (s *store) reached(next map[place]int64, ids map[string]topicID) error {
	b := s.db.NewBatch()
	defer b.Close()
	for p, o := range next {
		id, kept := ids[p.topic]
		if !kept {
			continue
		}
		if err := b.Set(offsetKey(p), append(binary.BigEndian.AppendUint64(nil, uint64(o)), id[:]...), nil); err != nil {
			return err
		}
	}
	if b.Empty() {
		return nil
	}
	return b.Commit(pebble.NoSync)
}

// whole notes that at a moment everything durable was held.
func (s *store) whole(at time.Time) error {
	return errors.Join(s.db.Set(formatKey, []byte(format), pebble.NoSync),
		s.db.Set(wholeKey, binary.BigEndian.AppendUint64(nil, micros(at)), pebble.NoSync))
}

// clear drops everything and begins a store that holds nothing yet.
func (s *store) clear() error {
	return errors.Join(s.db.DeleteRange([]byte{0}, []byte{0xff}, pebble.NoSync), s.whole(time.Now()))
}

// checkpoint returns how far each partition was read; false where the store is of another layout, or too old to be gone on with.
func (s *store) checkpoint(ids map[string]topicID, now time.Time) (map[place]int64, bool) {
	layout, err := s.get(formatKey)
	at, err2 := s.get(wholeKey)
	if err != nil || err2 != nil || string(layout) != format || len(at) != 8 {
		return nil, false
	}
	if age := now.Sub(time.UnixMicro(int64(binary.BigEndian.Uint64(at)))); age < 0 || age > maxAge {
		return nil, false
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte("o"), UpperBound: []byte("p")})
	if err != nil {
		return nil, false
	}
	defer it.Close()
	out := map[place]int64{}
	for ok := it.First(); ok; ok = it.Next() {
		k, b := it.Key(), it.Value()
		slash := bytes.LastIndexByte(k[:len(k)-4], '/')
		p := place{string(k[1:slash]), int32(binary.BigEndian.Uint32(k[len(k)-4:]))}
		id, followed := ids[p.topic]
		if !followed || !bytes.Equal(id[:], b[8:]) {
			return nil, false // another plan, or a topic that was made anew
		}
		out[p] = int64(binary.BigEndian.Uint64(b))
	}
	return out, it.Error() == nil
}

// resume moves the places of the state on to where the store stands. It begins the store anew where the log does not go on from there: what
// is missing in between might have been a deletion.
func (r *reader) resume(at, ends map[place]int64, ids map[string]topicID) error {
	kept, ok := r.v.store.checkpoint(ids, time.Now())
	compact := compacted(r.v.plan)
	for p, o := range kept {
		first, there := at[p]
		ok = ok && there && o <= ends[p] && (o >= first || !compact[p.topic])
	}
	if !ok {
		defer r.v.decoded.forget()
		return r.v.store.clear()
	}
	for p, o := range kept {
		at[p] = max(at[p], o)
	}
	r.v.log.Info("the view goes on from its store", "partitions", len(kept))
	return nil
}

// compacted names the topics whose log only ever loses what a later record of the same key replaced.
func compacted(plan topology.Config) map[string]bool {
	out := map[string]bool{}
	for _, s := range plan.Specs() {
		out[plan.Name(s.Name)] = s.Compact && s.Retention == 0
	}
	return out
}

// recount counts anew what is kept in memory of the rows: how many there are, and those under way.
func (r *reader) recount() error {
	v := r.v
	it, err := v.store.db.NewIter(&pebble.IterOptions{LowerBound: []byte("l"), UpperBound: []byte("m")})
	if err != nil {
		return err
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
		if schemas.Terminal(string(it.Value())) {
			continue
		}
		tenant, rest, _ := strings.Cut(string(it.Key()[1:]), "/")
		b, err := v.store.get(rowKey(tenant, rest[8:]))
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		next := readRow(b)
		v.pace.moved(nil, next, nil, false)
		v.live.moved(tenant, nil, &next)
		v.queue.moved(nil, &next)
	}
	v.metrics.jobs.Set(float64(n))
	return errors.Join(it.Error(), v.pace.restore(v.store))
}

// keptPace is what the pace has learned, as the store keeps it.
type keptPace struct {
	Service map[string][sizes]keptAverage
	Drain   keptAverage
	Ended   time.Time
}

type keptAverage struct {
	Value float64
	N     int
}

func (p *pace) save(s *store) error {
	p.mu.Lock()
	k := keptPace{Service: map[string][sizes]keptAverage{}, Drain: keptAverage{p.drain.value, p.drain.n}, Ended: p.ended}
	for class, all := range p.service {
		var own [sizes]keptAverage
		for i, a := range all {
			own[i] = keptAverage{a.value, a.n}
		}
		k.Service[class] = own
	}
	p.mu.Unlock()
	b, err := json.Marshal(k)
	return errors.Join(err, s.db.Set(paceKey, b, pebble.NoSync))
}

func (p *pace) restore(s *store) error {
	b, err := s.get(paceKey)
	if err != nil || b == nil {
		return err
	}
	var k keptPace
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drain, p.ended, p.service = average{k.Drain.Value, k.Drain.N}, k.Ended, map[string][sizes]average{}
	for class, all := range k.Service {
		var own [sizes]average
		for i, a := range all {
			own[i] = average{a.Value, a.N}
		}
		p.service[class] = own
	}
	return nil
}

// flushEvery is how often what was read lately goes to disk: what a kill costs the next start to read again.
const flushEvery = 20 * time.Second

// save brings everything to disk.
func (v *View) save() error {
	return errors.Join(v.pace.save(v.store), v.store.db.Flush())
}

// aged lists what grows old where it lies, and for how long it is kept; nobody deletes it one by one.
func aged(plan topology.Config) map[byte]time.Duration {
	out := map[byte]time.Duration{}
	for _, s := range plan.Specs() {
		switch s.Name {
		case topology.Webhooks.Spec.Name:
			out[ownWebhooks] = s.Retention
		case topology.Audit.Spec.Name:
			out[ownAudit] = s.Retention
		}
	}
	return out
}

// sweep drops what has outlived the topic it came from, so that the disk is bounded by what the log keeps (P6).
func (s *store) sweep(what byte, before time.Time) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{what}, UpperBound: []byte{what + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; {
		tenant, _, _ := bytes.Cut(slices.Clone(it.Key()[1:]), []byte("/"))
		from := ownKey(what, string(tenant), "")
		to := binary.BigEndian.AppendUint64(slices.Clone(from), micros(before))
		if bytes.Compare(it.Key(), to) < 0 {
			if err := s.db.DeleteRange(from, to, pebble.NoSync); err != nil {
				return err
			}
		}
		ok = it.SeekGE(append([]byte{what}, append(tenant, '0')...)) // '0' follows '/'
	}
	return it.Error()
}
