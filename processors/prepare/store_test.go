package prepare_test

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

// store keeps objects in memory and remembers what was asked of it.
type store struct {
	mu      sync.Mutex
	bodies  map[string][]byte
	options map[string]blob.Options
	puts    []string
	gets    []string
	fail    func(op, key string) error
}

func newStore() *store {
	return &store{bodies: map[string][]byte{}, options: map[string]blob.Options{}}
}

func (s *store) try(op, key string) error {
	if s.fail != nil {
		return s.fail(op, key)
	}
	return nil
}

func (s *store) Put(_ context.Context, key string, body []byte, o blob.Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.try("put", key); err != nil {
		return err
	}
	if _, ok := s.bodies[key]; ok && o.Once {
		return blob.ErrExists
	}
	s.bodies[key], s.options[key], s.puts = bytes.Clone(body), o, append(s.puts, key)
	return nil
}

func (s *store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	s.mu.Lock()
	s.gets = append(s.gets, key)
	err := s.try("get", key)
	s.mu.Unlock()
	if err != nil {
		return nil, blob.Object{}, err
	}
	o, err := s.Head(ctx, key)
	if err != nil {
		return nil, o, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bodies[key][offset:]
	if length > 0 {
		b = b[:length]
	}
	return io.NopCloser(bytes.NewReader(b)), o, nil
}

func (s *store) GetFrom(ctx context.Context, p blob.Place) (io.ReadCloser, blob.Object, error) {
	return s.Get(ctx, place(p.Bucket, p.Key), 0, 0)
}

// place is where the store keeps an object of a foreign bucket.
func place(bucket, key string) string {
	if bucket == "" {
		return key
	}
	return "s3://" + bucket + "/" + key
}

func (s *store) Head(_ context.Context, key string) (blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bodies[key]
	if !ok {
		return blob.Object{}, blob.ErrNotFound
	}
	return blob.Object{Key: key, Size: int64(len(b)), MediaType: s.options[key].MediaType, Meta: s.options[key].Meta}, nil
}

func (s *store) List(_ context.Context, prefix string, f func(blob.Object) bool) error {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.bodies))
	s.mu.Unlock()
	for _, k := range keys {
		if strings.HasPrefix(k, prefix) && !f(blob.Object{Key: k, Size: int64(len(s.bodies[k]))}) {
			break
		}
	}
	return nil
}

// under returns the keys below a prefix.
func (s *store) under(prefix string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(s.bodies)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	return out
}
