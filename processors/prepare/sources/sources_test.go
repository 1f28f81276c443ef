package sources_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/processors/prepare/sources"
	"docstream/schemas"
)

// objects serves bodies and counts how often.
type objects struct {
	mu     sync.Mutex
	bodies map[string][]byte
	gets   map[string]int
	gate   chan struct{} // where set, a read waits for it
	err    error
	tag    string // entity tag of every object
	cut    int    // bytes the body ends early
}

func (o *objects) GetFrom(ctx context.Context, p blob.Place) (io.ReadCloser, blob.Object, error) {
	key := p.Key
	if p.Bucket != "" {
		key = p.Bucket + "/" + p.Key + "@" + p.Version
	}
	if o.gate != nil {
		select {
		case <-o.gate:
		case <-ctx.Done():
			return nil, blob.Object{}, ctx.Err()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets[key]++
	if o.err != nil {
		return nil, blob.Object{}, o.err
	}
	b, ok := o.bodies[key]
	if !ok {
		return nil, blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b[:len(b)-o.cut])), blob.Object{Key: key, Size: int64(len(b)), ETag: `"` + o.tag + `"`}, nil
}

func (o *objects) add(key string, size int) schemas.Source {
	b := bytes.Repeat([]byte(key), size/len(key)+1)[:size]
	o.bodies[key] = b
	sum := sha256.Sum256(b)
	return schemas.Source{Key: key, Size: int64(size), SHA256: hex.EncodeToString(sum[:])}
}

func setUp(t *testing.T, bound int64) (*sources.Cache, *objects, string) {
	t.Helper()
	o := &objects{bodies: map[string][]byte{}, gets: map[string]int{}}
	dir := t.TempDir()
	return sources.New(o, dir, bound), o, dir
}

func onDisk(t *testing.T, dir string) int64 {
	t.Helper()
	n := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestASourceIsFetchedOnce(t *testing.T) {
	c, o, _ := setUp(t, 1000)
	s := o.add("a", 100)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			f, err := c.Fetch(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Release()
			if b, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(b, o.bodies["a"]) || f.Size != 100 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	wait.Wait()
	if o.gets["a"] != 1 {
		t.Errorf("fetched %d times", o.gets["a"])
	}
}

func TestTheOldestUnusedFilesMakeRoom(t *testing.T) {
	c, o, dir := setUp(t, 250)
	fetch := func(key string) *sources.File {
		t.Helper()
		f, err := c.Fetch(t.Context(), o.add(key, 100))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	fetch("a").Release()
	fetch("b").Release()
	fetch("a").Release() // b is the older one now
	held := fetch("c")
	fetch("a").Release()
	fetch("b").Release() // pushes a out: c is in use
	if n := onDisk(t, dir); n > 250 {
		t.Errorf("%d bytes on disk", n)
	}
	if _, err := os.Stat(held.Path); err != nil {
		t.Error("a file in use is gone")
	}
	held.Release()
	if o.gets["a"] != 1 || o.gets["b"] != 2 || o.gets["c"] != 1 {
		t.Errorf("fetched %v", o.gets)
	}
}

func TestAFetchWaitsForRoom(t *testing.T) {
	c, o, _ := setUp(t, 150)
	a, err := c.Fetch(t.Context(), o.add("a", 100))
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b := o.add("b", 100)
	if _, err := c.Fetch(short, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	done := make(chan error)
	go func() {
		f, err := c.Fetch(t.Context(), b)
		if err == nil {
			f.Release()
		}
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	a.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotTheSubmittedDocumentIsRefused(t *testing.T) {
	down := fault.World(schemas.ServiceUnavailable, "down")
	for name, c := range map[string]struct {
		spoil func(*objects, *schemas.Source)
		kind  fault.Kind
		code  schemas.Code
	}{
		"gone":         {func(o *objects, _ *schemas.Source) { delete(o.bodies, "a") }, fault.Permanent, schemas.SourceMissing},
		"size":         {func(_ *objects, s *schemas.Source) { s.Size = 99 }, fault.Permanent, schemas.SourceChanged},
		"entity tag":   {func(o *objects, s *schemas.Source) { o.tag, s.ETag = "new", "old" }, fault.Permanent, schemas.SourceChanged},
		"old version":  {func(_ *objects, s *schemas.Source) { s.Bucket, s.Version = "theirs", "v1" }, fault.Permanent, schemas.SourceMissing},
		"digest":       {func(_ *objects, s *schemas.Source) { s.SHA256 = strings.Repeat("0", 64) }, fault.Permanent, schemas.SourceChanged},
		"too large":    {func(o *objects, s *schemas.Source) { *s = o.add("a", 2000) }, fault.Permanent, schemas.FileTooLarge},
		"broken off":   {func(o *objects, _ *schemas.Source) { o.cut = 10 }, fault.Unavailable, schemas.ServiceUnavailable},
		"no connexion": {func(o *objects, _ *schemas.Source) { o.err = down }, fault.Unavailable, schemas.ServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			cache, o, dir := setUp(t, 1000)
			s := o.add("a", 100)
			c.spoil(o, &s)
			_, err := cache.Fetch(t.Context(), s)
			if f := fault.Of(err); err == nil || f.Kind != c.kind || f.Code != c.code {
				t.Errorf("got %v", err)
			}
			if n := onDisk(t, dir); n != 0 {
				t.Errorf("%d bytes stay on disk", n)
			}
			f, err := cache.Fetch(t.Context(), func() schemas.Source { o.err, o.cut = nil, 0; return o.add("b", 900) }())
			if err != nil {
				t.Fatalf("the failure holds room: %v", err)
			}
			f.Release()
		})
	}
}

func TestASourceWithoutDigestIsTaken(t *testing.T) {
	c, o, _ := setUp(t, 1000)
	o.add("a", 100)
	o.tag = "x"
	f, err := c.Fetch(t.Context(), schemas.Source{Key: "a", ETag: "x"})
	if err != nil || f.Size != 100 {
		t.Fatalf("got %+v, %v", f, err)
	}
	o.tag = "y"
	g, err := c.Fetch(t.Context(), schemas.Source{Key: "a", ETag: "y"})
	if err != nil || g.Path == f.Path {
		t.Errorf("another version is the same file: %+v, %v", g, err)
	}
}

func TestOneCallersEndIsNotAnothers(t *testing.T) {
	c, o, _ := setUp(t, 1000)
	o.gate = make(chan struct{})
	s := o.add("a", 100)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := c.Fetch(ctx, s); first <- err }()
	time.Sleep(5 * time.Millisecond)
	second := make(chan error)
	go func() { _, err := c.Fetch(t.Context(), s); second <- err }()
	time.Sleep(5 * time.Millisecond)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(o.gate)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestWhatADeadProcessLeftIsRemovedAndALivingOneIsLeftAlone(t *testing.T) {
	first, o, dir := setUp(t, 1000)
	old, other := filepath.Join(dir, "0", "source-abc.part"), filepath.Join(dir, "keep.txt")
	if err := os.Mkdir(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{old, other} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src := o.add("a", 10)
	f, err := first.Fetch(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("the old file is there")
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a file of somebody else is gone")
	}
	second := sources.New(o, dir, 1000) // as another worker of this machine
	g, err := second.Fetch(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Release()
	if f.Path == g.Path {
		t.Error("two workers share a file")
	}
	if _, err := os.Stat(f.Path); err != nil {
		t.Errorf("the first worker's file is gone: %v", err)
	}
}

func TestASourceIsReadWhereItLies(t *testing.T) {
	c, o, _ := setUp(t, 1000)
	for _, where := range []string{"theirs/a@v1", "theirs/a@v2", "others/a@v1", "theirs/a@"} {
		o.add(where, 50)
		bucket, rest, _ := strings.Cut(where, "/")
		key, version, _ := strings.Cut(rest, "@")
		f, err := c.Fetch(t.Context(), schemas.Source{Bucket: bucket, Key: key, Version: version, Size: 50})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if b, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(b, o.bodies[where]) {
			t.Errorf("%s: %q, %v", where, b, err)
		}
		f.Release()
	}
}
