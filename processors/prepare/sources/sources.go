// Package sources keeps the documents being worked on as files on local disk, so that the pages of one document, which arrive as many
// events, fetch it once.
//
// The bytes on disk are bounded; the files not in use that were used longest ago go first. What is handed out was compared with the
// digest and the size of the submission.
package sources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Objects is where sources come from.
type Objects interface {
	// GetFrom reads an object whole, wherever it lies.
	GetFrom(ctx context.Context, p blob.Place) (io.ReadCloser, blob.Object, error)
}

// Cache is a folder of sources, claimed at its first use below the one it was given. Safe for concurrent use.
type Cache struct {
	objects Objects
	dir     string
	bound   int64

	mu      sync.Mutex
	lock    *os.File // nil until the folder is claimed
	bytes   int64    // reserved, whether written yet or not
	clock   int64
	entries map[string]*entry
	freed   chan struct{} // closed and replaced whenever bytes may have become free
}

type entry struct {
	path  string
	size  int64
	users int
	used  int64 // on the clock
	done  chan struct{}
	err   error
}

// New returns a cache; it touches nothing yet.
func New(objects Objects, dir string, bound int64) *Cache {
	return &Cache{objects: objects, dir: dir, bound: bound, entries: map[string]*entry{}, freed: make(chan struct{})}
}

// File is a source on disk. It stays there until Release.
type File struct {
	Path string
	Size int64

	cache *Cache
	entry *entry
}

// Fetch returns the source as a file, fetched if need be. One that is gone or has changed is the document's fault, everything else the
// world's. Several callers that want the same source at the same time fetch it once.
func (c *Cache) Fetch(ctx context.Context, s schemas.Source) (*File, error) {
	key := name(s)
	for {
		c.mu.Lock()
		if err := c.prepare(); err != nil {
			c.mu.Unlock()
			return nil, local(err)
		}
		e, ok := c.entries[key]
		if !ok {
			e = &entry{path: filepath.Join(c.dir, key), done: make(chan struct{}), users: 1}
			c.entries[key] = e
			c.mu.Unlock()
			err := c.fill(ctx, e, s)
			c.finish(key, e, err)
			if err != nil {
				return nil, err
			}
			return &File{e.path, e.size, c, e}, nil
		}
		e.users++
		c.mu.Unlock()
		select {
		case <-e.done:
		case <-ctx.Done():
			c.release(e)
			return nil, ctx.Err()
		}
		if e.err == nil {
			return &File{e.path, e.size, c, e}, nil
		}
		c.release(e)
		if f := fault.Of(e.err); f.Kind == fault.Permanent {
			return nil, e.err
		}
		if err := ctx.Err(); err != nil { // the other caller's failure may have been its own; ours is a fresh try
			return nil, err
		}
	}
}

// Release says that the file is no longer needed.
func (f *File) Release() { f.cache.release(f.entry) }

func (c *Cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	c.clock++
	e.used = c.clock
	c.signal()
}

// signal wakes everybody who waits for bytes. The lock is held.
func (c *Cache) signal() {
	close(c.freed)
	c.freed = make(chan struct{})
}

// prepare claims the folder. The lock is held.
func (c *Cache) prepare() (err error) {
	if c.lock == nil {
		c.dir, c.lock, err = claim(c.dir)
	}
	return err
}

// finish makes the outcome known; a failed entry makes room for the next try.
func (c *Cache) finish(key string, e *entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	if err != nil {
		delete(c.entries, key)
		c.bytes -= e.size
		e.size = 0
		c.signal()
	}
	close(e.done)
}

// reserve waits until n bytes are free, evicting what nobody uses.
func (c *Cache) reserve(ctx context.Context, e *entry, n int64) error {
	if n > c.bound {
		return fault.Document(schemas.FileTooLarge, "The document has %d bytes; this worker takes %d.", n, c.bound)
	}
	for {
		c.mu.Lock()
		for c.bytes+n > c.bound && c.evict() {
		}
		if c.bytes+n <= c.bound {
			c.bytes += n
			e.size = n
			c.mu.Unlock()
			return nil
		}
		wait := c.freed
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// evict removes the file used longest ago by somebody who is done with it. The lock is held.
func (c *Cache) evict() bool {
	var victim string
	for key, e := range c.entries {
		if e.users == 0 && (victim == "" || e.used < c.entries[victim].used) {
			victim = key
		}
	}
	if victim == "" {
		return false
	}
	e := c.entries[victim]
	delete(c.entries, victim)
	_ = os.Remove(e.path) // a file that stays is overwritten or removed at the next start
	c.bytes -= e.size
	return true
}

// fill fetches the source, comparing while it writes. The file appears under its name only when it is whole.
func (c *Cache) fill(ctx context.Context, e *entry, s schemas.Source) error {
	body, o, err := c.objects.GetFrom(ctx, blob.Place{Bucket: s.Bucket, Key: s.Key, Version: s.Version})
	if errors.Is(err, blob.ErrNotFound) {
		return fault.Document(schemas.SourceMissing, "%s", schemas.Codes[schemas.SourceMissing].Meaning).Because(err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if s.Size > 0 && o.Size != s.Size {
		return changed(fmt.Errorf("size %d, submitted %d", o.Size, s.Size))
	}
	if tag := strings.Trim(s.ETag, `"`); tag != "" && strings.Trim(o.ETag, `"`) != tag {
		return changed(fmt.Errorf("entity tag %s, submitted %s", o.ETag, s.ETag))
	}
	if err := c.reserve(ctx, e, o.Size); err != nil {
		return err
	}
	part := e.path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return local(err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(body, o.Size+1))
	if closed := f.Close(); err == nil && closed != nil {
		err = closed
	}
	switch sum := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		err = local(err)
	case n != o.Size:
		err = fault.World(schemas.ServiceUnavailable, "The source could not be read to its end.").Because(fmt.Errorf("%d of %d bytes", n, o.Size))
	case s.SHA256 != "" && !strings.EqualFold(s.SHA256, sum):
		err = changed(fmt.Errorf("digest %s, submitted %s", sum, s.SHA256))
	default:
		if err = os.Rename(part, e.path); err == nil {
			return nil
		}
		err = local(err)
	}
	_ = os.Remove(part)
	return err
}

func changed(why error) error {
	return fault.Document(schemas.SourceChanged, "%s", schemas.Codes[schemas.SourceChanged].Meaning).Because(why)
}

// local is the fault of this machine's disk or of the way to the store: the world's. A fault keeps its own answer.
func local(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).Because(err)
}

const prefix = "source-"

// name is the file name of a source: what makes it the same bytes.
func name(s schemas.Source) string {
	h := sha256.New()
	for _, part := range []string{s.Bucket, s.Key, s.Version, s.ETag, s.SHA256, fmt.Sprint(s.Size)} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return prefix + hex.EncodeToString(h.Sum(nil))
}
