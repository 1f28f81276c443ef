package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// store is the local disk: rows of jobs by (tenant, job), an index of them by time, and keys by id. What it holds can be read again from
// the log, so nothing is logged ahead or synced but what is flushed, see [store.checkpoint].
type store struct {
	db   *pebble.DB
	lock *pebble.Lock
	drop string // folder to remove at the end; empty: keep it
}

// openStore opens the folder as it was left; one that cannot be opened is wiped. Only a folder of our own name is, whatever the configuration
// says, and never one that another process holds.
func openStore(cfg Config, log *slog.Logger) (*store, error) {
	s := &store{}
	dir := cfg.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "docstream-view-")
		if err != nil {
			return nil, err
		}
		dir, s.drop = tmp, tmp
	}
	dir = filepath.Join(dir, "gateway-view")
	err := s.open(dir, cfg.CacheBytes)
	if err != nil && !errors.Is(err, errHeld) {
		log.Warn("the store of the view cannot be opened and is begun anew", "error", err)
		if err = os.RemoveAll(dir); err == nil {
			err = s.open(dir, cfg.CacheBytes)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

var errHeld = errors.New("another process holds the folder")

func (s *store) open(dir string, cacheBytes int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return fmt.Errorf("%w: %w", errHeld, err)
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	s.db, err = pebble.Open(dir, &pebble.Options{
		Cache: cache, MemTableSize: 8 << 20, MaxOpenFiles: 256, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}, Lock: lock,
	})
	s.lock = lock
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	return nil
}

func (s *store) close() error {
	err := errors.Join(s.db.Close(), s.lock.Close())
	if s.drop != "" {
		err = errors.Join(err, os.RemoveAll(s.drop))
	}
	return err
}

// silent keeps pebble from writing to the standard logger. What matters comes back as an error.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, _ ...any) {
	panic("view: the store failed: " + format)
}

// row is one job as it lies in the store: enough to compare it without decoding, and the record it came from.
type row struct {
	snapshot  bool // a JobSnapshot; else the DocumentSubmitted itself
	run       uint32
	version   uint64
	submitted time.Time
	status    string
	pages     uint32 // of a live job: those that are still to be done, as far as is known
	lane      lane
	wire      []byte
}

const rowHead = 1 + 4 + 8 + 8 + 4 + 1 + 1 // kind, run, version, submitted, pages, lane, length of the status

func (r row) bytes() []byte {
	b := make([]byte, 0, rowHead+len(r.status)+len(r.wire))
	kind := byte(0)
	if r.snapshot {
		kind = 1
	}
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, r.run)
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, micros(r.submitted))
	b = binary.BigEndian.AppendUint32(b, r.pages)
	b = append(b, byte(r.lane), byte(len(r.status)))
	b = append(b, r.status...)
	return append(b, r.wire...)
}

// readRow reads what bytes wrote; the wire form still lies in b.
func readRow(b []byte) row {
	n := int(b[rowHead-1])
	return row{
		snapshot: b[0] == 1, run: binary.BigEndian.Uint32(b[1:]), version: binary.BigEndian.Uint64(b[5:]),
		submitted: time.UnixMicro(int64(binary.BigEndian.Uint64(b[13:]))).UTC(),
		pages:     binary.BigEndian.Uint32(b[21:]), lane: lane(b[25]),
		status: string(b[rowHead : rowHead+n]), wire: b[rowHead+n:],
	}
}

// newer reports whether r may replace old: a job never goes back, not to an earlier run and not to an earlier version of one (P4).
func (r row) newer(old row) bool {
	if r.run != old.run {
		return r.run > old.run
	}
	return r.version > old.version
}

// rowKey is where a job lies. Tenants hold no slash, so no tenant's key can reach into another's (P8).
func rowKey(tenant, job string) []byte {
	return append(append(append(append(make([]byte, 0, keyRoom), jobsPrefix...), tenant...), '/'), job...)
}

// keyRoom is what nearly every key of a row, an API key or a setting has room in: small and known, so that a key that is only looked up needs none
// of the heap.
const keyRoom = 96

const jobsPrefix = "j"

// listKey sorts a tenant's jobs by the time they were accepted, then by id.
func listKey(tenant string, submitted time.Time, job string) []byte {
	b := append(listPrefix(tenant), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint64(b[len(b)-8:], micros(submitted))
	return append(b, job...)
}

// micros is a time as it sorts; a writer that named none comes first.
func micros(t time.Time) uint64 { return uint64(max(0, t.UnixMicro())) }

func listPrefix(tenant string) []byte { return []byte("l" + tenant + "/") }

// listEnd is the first key after all of a tenant's.
func listEnd(tenant string) []byte { return []byte("l" + tenant + "0") } // '0' follows '/'

func keyKey(id string) []byte { return append(append(make([]byte, 0, keyRoom), 'k'), id...) }

// What a tenant owns beside jobs (and the index of what was read, under h), each under a letter of its own: its keys, its plan, its endpoints, its days of usage, its webhooks and
// what was done in its name.
const (
	ownKeys      = 'i'
	ownPlan      = 'p'
	ownEndpoints = 'e'
	ownDays      = 'u'
	ownWebhooks  = 'w'
	ownAudit     = 'x'
)

func ownKey(what byte, tenant, name string) []byte {
	return append(append(append(append(make([]byte, 0, keyRoom), what), tenant...), '/'), name...)
}

// get returns a copy of a value, nil where there is none.
func (s *store) get(key []byte) ([]byte, error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(b)
	return out, closer.Close()
}

// put writes a job's row and its place in the list at once, replacing the one of old where there was one.
func (s *store) put(tenant, job string, r row, old *row) error {
	b := s.db.NewBatch()
	defer b.Close()
	if old != nil && micros(old.submitted) != micros(r.submitted) {
		if err := b.Delete(listKey(tenant, old.submitted, job), nil); err != nil {
			return err
		}
	}
	if err := b.Set(rowKey(tenant, job), r.bytes(), nil); err != nil {
		return err
	}
	if err := b.Set(listKey(tenant, r.submitted, job), []byte(r.status), nil); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

// remove drops a job.
func (s *store) remove(tenant, job string, r row) error {
	b := s.db.NewBatch()
	defer b.Close()
	if err := b.Delete(rowKey(tenant, job), nil); err != nil {
		return err
	}
	if err := b.Delete(listKey(tenant, r.submitted, job), nil); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}
