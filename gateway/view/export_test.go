package view

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Rewind makes the view believe that it has read a partition only up to the offset, as if what lies between had been removed before it
// came to it.
func (v *View) Rewind(topic string, partition int32, offset int64) {
	v.reach.mu.Lock()
	defer v.reach.mu.Unlock()
	v.reach.at[place{v.plan.Name(topic), partition}] = offset
}

// Age makes a store that nobody holds older.
func Age(dir string, by time.Duration) error {
	return change(dir, func(s *store) error { return s.whole(time.Now().Add(-by)) })
}

// Relabel makes a store that nobody holds look like one of another layout.
func Relabel(dir string) error {
	return change(dir, func(s *store) error { return s.db.Set(formatKey, []byte("another"), pebble.NoSync) })
}

func change(dir string, f func(*store) error) error {
	cfg := DefaultConfig()
	cfg.Dir = dir
	s, err := openStore(cfg, slog.Default())
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.db.Flush(), s.close())
}

// SharedLookups is the look-ups of a view with what they ask in the test's hands.
type SharedLookups struct {
	l *lookups
}

// Shared runs look-ups until ctx ends.
func Shared(ctx context.Context, ask func() error) *SharedLookups {
	s := &SharedLookups{l: newLookups()}
	go func() { _ = s.l.run(ctx, func(context.Context) (map[place]int64, error) { return nil, ask() }) }()
	return s
}

// Wait waits as one request does.
func (s *SharedLookups) Wait(ctx context.Context) error {
	_, err := s.l.ends(ctx, time.Time{})
	return err
}

// WaitUntil waits as one request does that has only so much time.
func (s *SharedLookups) WaitUntil(ctx context.Context, until time.Time) error {
	_, err := s.l.ends(ctx, until)
	return err
}

// Waiting is how many wait for the next look-up.
func (s *SharedLookups) Waiting() int {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.next == nil {
		return 0
	}
	return s.l.next.waiting
}
