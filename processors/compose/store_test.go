package compose_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"docstream/internal/blob"
)

// store keeps objects in memory.
type store struct {
	mu      sync.Mutex
	bodies  map[string][]byte
	options map[string]blob.Options
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

func (s *store) Get(_ context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets = append(s.gets, key)
	if err := s.try("get", key); err != nil {
		return nil, blob.Object{}, err
	}
	b, ok := s.bodies[key]
	if !ok {
		return nil, blob.Object{}, blob.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b[offset:])), blob.Object{Key: key, Size: int64(len(b))}, nil
}

func (s *store) Upload(_ context.Context, key string, body io.Reader, o blob.Options) error {
	if err := s.try("upload", key); err != nil {
		return err
	}
	s.mu.Lock()
	_, there := s.bodies[key]
	s.mu.Unlock()
	if there && o.Once {
		_, _ = io.CopyN(io.Discard, body, 10) // a store can find out late
		return blob.ErrExists
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return errors.New("upload of " + key + ": " + err.Error()) // a store need not keep the chain
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[key], s.options[key] = b, o
	return nil
}
