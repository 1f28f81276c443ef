package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"docstream/internal/blob"
)

// memoryStore is an object store without a server: what the bare engine is measured with. Safe for concurrent use.
type memoryStore struct {
	mu      sync.Mutex
	objects map[string]kept
}

type kept struct {
	body []byte
	blob.Object
}

// newMemory returns an empty store.
func newMemory() *memoryStore { return &memoryStore{objects: map[string]kept{}} }

// Put keeps an object.
func (m *memoryStore) Put(_ context.Context, key string, body []byte, o blob.Options) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok && o.Once {
		return blob.ErrExists
	}
	m.objects[key] = kept{bytes.Clone(body), blob.Object{Key: key, Size: int64(len(body)), MediaType: o.MediaType, Meta: o.Meta}}
	return nil
}

// Get reads a range; length 0 reads to the end.
func (m *memoryStore) Get(_ context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, blob.Object{}, blob.ErrNotFound
	}
	b := o.body[min(offset, o.Size):]
	if length > 0 && length < int64(len(b)) {
		b = b[:length]
	}
	return io.NopCloser(bytes.NewReader(b)), o.Object, nil
}

// GetFrom reads an object whole; there is no bucket but the store's own.
func (m *memoryStore) GetFrom(ctx context.Context, p blob.Place) (io.ReadCloser, blob.Object, error) {
	if p.Bucket != "" || p.Version != "" {
		return nil, blob.Object{}, blob.ErrNotFound
	}
	return m.Get(ctx, p.Key, 0, 0)
}

// Head describes an object.
func (m *memoryStore) Head(_ context.Context, key string) (blob.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return blob.Object{}, blob.ErrNotFound
	}
	return o.Object, nil
}

// List calls f for the objects under a prefix in key order, until it returns false.
func (m *memoryStore) List(_ context.Context, prefix string, f func(blob.Object) bool) error {
	m.mu.Lock()
	keys := slices.Sorted(maps.Keys(m.objects))
	found := make([]blob.Object, 0, len(keys))
	for _, k := range keys {
		if strings.HasPrefix(k, prefix) {
			found = append(found, m.objects[k].Object)
		}
	}
	m.mu.Unlock()
	for _, o := range found {
		if !f(o) {
			return nil
		}
	}
	return nil
}

// Delete forgets an object.
func (m *memoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}
