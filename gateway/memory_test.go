package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
)

// memory is an object store that can be told to fail.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	types   map[string]string
	deleted []string
	down    bool // every call fails as a store does that cannot be reached
	uploads int
	puts    int

	forgetful bool // writes are not kept
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}, types: map[string]string{}} }

func (m *memory) set(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for k := range m.objects {
		out = append(out, k)
	}
	return out
}

func (m *memory) body(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[key]
}

func (m *memory) reach(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return fault.World(schemas.ServiceUnavailable, "The object store does not answer; try again.").Because(errors.New("dial tcp 10.0.0.1:9000: refused"))
	}
	return ctx.Err()
}

func (m *memory) Put(ctx context.Context, key string, body []byte, o blob.Options) error {
	if err := m.reach(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[key]; there && o.Once {
		return blob.ErrExists
	}
	m.puts++
	if !m.forgetful {
		m.objects[key], m.types[key] = bytes.Clone(body), o.MediaType
	}
	return nil
}

// Upload keeps what came even where the body breaks off: a store that is less careful than ours.
func (m *memory) Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	if err := m.reach(ctx); err != nil {
		return err
	}
	b, err := io.ReadAll(body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key], m.types[key] = b, o.MediaType
	m.uploads++
	return err
}

func (m *memory) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	if err := m.reach(ctx); err != nil {
		return nil, blob.Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	if !ok {
		return nil, blob.Object{}, blob.ErrNotFound
	}
	part := b[offset:]
	if length > 0 {
		part = part[:min(length, int64(len(part)))]
	}
	return io.NopCloser(bytes.NewReader(part)), blob.Object{Key: key, Size: int64(len(b)), MediaType: m.types[key]}, nil
}

func (m *memory) Head(ctx context.Context, key string) (blob.Object, error) {
	_, o, err := m.Get(ctx, key, 0, 0)
	return o, err
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.reach(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	m.deleted = append(m.deleted, key)
	return nil
}

func (m *memory) List(ctx context.Context, prefix string, f func(blob.Object) bool) error {
	if err := m.reach(ctx); err != nil {
		return err
	}
	names := m.keys()
	slices.Sort(names)
	for _, k := range names {
		if strings.HasPrefix(k, prefix) && !f(blob.Object{Key: k, Size: int64(len(m.body(k)))}) {
			return nil
		}
	}
	return nil
}

// HeadFrom finds objects of foreign buckets where they were put under bucket and key.
func (m *memory) HeadFrom(ctx context.Context, p blob.Place) (blob.Object, error) {
	o, err := m.Head(ctx, "s3://"+p.Bucket+"/"+p.Key)
	o.Version = p.Version
	o.ETag = `"tag"`
	return o, err
}

// PutLink, and what follows, is a store whose links nobody follows: tests of the bytes use a real one.
func (m *memory) PutLink(_ context.Context, in blob.Incoming) (blob.Request, error) {
	return blob.Request{URL: "http://store.invalid/" + in.Key, Headers: map[string]string{}}, nil
}

func (m *memory) BeginParts(context.Context, blob.Incoming) (string, error) { return "parts", nil }

func (m *memory) PartLink(ctx context.Context, in blob.Incoming, _ string, _ int) (blob.Request, error) {
	return m.PutLink(ctx, in)
}

func (m *memory) JoinParts(context.Context, string, string, int) error { return blob.ErrParts }

func (m *memory) DropParts(context.Context, string, string) error { return nil }

func (m *memory) Sum(context.Context, string) (string, error) { return "", nil }

// ListFrom lists objects of foreign buckets as HeadFrom finds them.
func (m *memory) ListFrom(ctx context.Context, bucket, prefix string, f func(blob.Object) bool) error {
	root := "s3://" + bucket + "/"
	return m.List(ctx, root+prefix, func(o blob.Object) bool {
		o.Key = strings.TrimPrefix(o.Key, root)
		return f(o)
	})
}
