package replay

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// plan is the selected jobs in the order of their keys, each with its submission where runs are asked for, on local disk: what it holds in
// memory is bounded whatever the selection (P6). It can be made again from the log, so nothing is synced.
type plan struct {
	db   *pebble.DB
	dir  string
	seen seen
}

// planPrefix begins the name of every plan's folder.
const planPrefix = "docstream-replay-"

// sweep removes the plans that a process which was killed left in its folder. Nobody else's lie there.
func sweep(dir string) {
	if dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(dir, planPrefix+"*"))
	for _, l := range left {
		_ = os.RemoveAll(l) // what stays takes room and does no harm
	}
}

func newPlan(dir string) (*plan, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(dir, planPrefix)
	if err != nil {
		return nil, err
	}
	cache := pebble.NewCache(4 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{Cache: cache, MemTableSize: 8 << 20, MaxOpenFiles: 64, DisableWAL: true,
		FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return &plan{db, dir, newSeen()}, nil
}

func (p *plan) close() {
	_ = p.db.Close() // it is thrown away
	_ = os.RemoveAll(p.dir)
}

// planKey orders the jobs: tenant, then id. No tenant holds a slash.
func planKey(e *schemas.DocumentSubmitted) string { return e.Tenant + "/" + e.JobID }

// add takes jobs and reports which of them are new to the plan: of those that stand twice among them, the first is.
func (p *plan) add(jobs []entry) ([]bool, error) {
	fresh := make([]bool, len(jobs))
	b := p.db.NewBatch()
	defer b.Close()
	for i, n := range jobs {
		if p.seen.add(n.key) {
			has, err := p.has(n.key)
			if err != nil {
				return nil, err
			}
			if has || slices.ContainsFunc(jobs[:i], func(o entry) bool { return o.key == n.key }) {
				continue
			}
		}
		fresh[i] = true
		if err := b.Set([]byte(n.key), n.wire, nil); err != nil {
			return nil, err
		}
	}
	return fresh, b.Commit(pebble.NoSync)
}

func (p *plan) has(key string) (bool, error) {
	_, closer, err := p.db.Get([]byte(key))
	if err == pebble.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

// seen tells a key that was never given from one that perhaps was. Most jobs are new to a plan, and asking it costs more than all the rest
// that is done with one.
type seen struct {
	seed maphash.Seed
	bits []uint64
}

// seenBits are 2 MiB: of a million new keys the last are taken for perhaps given one time in eighty.
const seenBits = 1 << 24

func newSeen() seen { return seen{maphash.MakeSeed(), make([]uint64, seenBits/64)} }

// add gives a key and reports whether it perhaps was given before: all its bits are set.
func (s seen) add(key string) bool {
	h, before := maphash.String(s.seed, key), true
	for _, at := range [2]uint64{h % seenBits, (h >> 32) % seenBits} {
		word, bit := &s.bits[at/64], uint64(1)<<(at%64)
		before = before && *word&bit != 0
		*word |= bit
	}
	return before
}

// entry is one job of a plan.
type entry struct {
	key  string
	wire []byte
}

// after returns the jobs behind a key, at most n of them.
func (p *plan) after(key string, n int) (out []entry, err error) {
	from := []byte(key)
	if key != "" {
		from = append(from, 0)
	}
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: from})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok && len(out) < n; ok = it.Next() {
		out = append(out, entry{string(it.Key()), append([]byte{}, it.Value()...)})
	}
	return out, it.Error()
}

// count returns how many jobs lie behind a key.
func (p *plan) count(key string) (n int64, err error) {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: append([]byte(key), 0)})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, it.Error()
}

// silent keeps pebble from writing to the standard logger. What matters comes back as an error.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, _ ...any) {
	panic("replay: the plan failed: " + format)
}
