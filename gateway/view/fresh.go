package view

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrStale says that the view could not be made as new as the request in the time given: the answer is "try again", never "not found".
var ErrStale = errors.New("view: not up to date in time")

// Fresh waits until the view holds everything that was durable when it was called (P4): an answer given after it is never older than one
// any replica gave before. ctx bounds the wait; the error is then ErrStale.
func (v *View) Fresh(ctx context.Context) error { return v.freshen(ctx, nil) }

// FreshWithin is Fresh that waits no longer than d. Every look-up asks for it, so it costs no context of its own.
func (v *View) FreshWithin(ctx context.Context, d time.Duration) error {
	t := bounds.Get().(*time.Timer)
	t.Reset(d)
	defer bounds.Put(t)
	defer t.Stop()
	return v.freshen(ctx, t.C)
}

// bounds are timers for reuse.
var bounds = sync.Pool{New: func() any { return time.NewTimer(time.Hour) }}

// errLate says that the time given is over.
var errLate = errors.New("the time is over")

func (v *View) freshen(ctx context.Context, late <-chan time.Time) error {
	began := time.Now()
	defer func() { v.metrics.wait.Observe(time.Since(began).Seconds()) }()
	if err := v.begun(ctx, late); err != nil {
		return err
	}
	for {
		ends, err := v.fresh.ends(ctx, late, v.stopped)
		if err == nil {
			if len(ends) > 0 && v.reach.wait(ctx, late, ends) != nil {
				return fmt.Errorf("%w: it has not read to the end", ErrStale)
			}
			return nil
		}
		if errors.Is(err, errLate) || !pause(ctx, late, 50*time.Millisecond) || v.over() {
			return fmt.Errorf("%w: the ends of the log are not known: %w", ErrStale, err)
		}
	}
}

// begun waits until the view holds what was there before it.
func (v *View) begun(ctx context.Context, late <-chan time.Time) error {
	select {
	case <-v.readied: // nearly always
		return nil
	default:
	}
	select {
	case <-v.readied:
		return nil
	case <-v.stopped:
		return fmt.Errorf("%w: it has stopped", ErrStale)
	case <-ctx.Done():
	case <-late:
	}
	return fmt.Errorf("%w: it is not ready yet", ErrStale)
}

// pause waits and reports false when ctx or the time given ended first.
func pause(ctx context.Context, late <-chan time.Time, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-late:
		return false
	case <-t.C:
		return true
	}
}

func (v *View) over() bool {
	select {
	case <-v.stopped:
		return true
	default:
		return false
	}
}

// lookups shares one look-up of the ends among all who wait: while one is under way, everybody who comes waits for the next, which begins
// after the last of them arrived. However many ask, the brokers see one question at a time.
type lookups struct {
	mu   sync.Mutex
	next *lookup
	kick chan struct{}
}

// lookup is one question and, once done is closed, its answer.
type lookup struct {
	done    chan struct{}
	ends    map[place]int64 // empty where everything is held already
	err     error
	waiting int // who wait for it
}

func newLookups() *lookups { return &lookups{kick: make(chan struct{}, 1)} }

// lookupTimeout bounds one look-up.
const lookupTimeout = 5 * time.Second

// ends returns the ends of the log as of some moment after the call, none where all of them had been reached by then.
func (l *lookups) ends(ctx context.Context, late <-chan time.Time, stopped <-chan struct{}) (map[place]int64, error) {
	l.mu.Lock()
	if l.next == nil {
		l.next = &lookup{done: make(chan struct{})}
	}
	mine := l.next
	mine.waiting++
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default:
	}
	select {
	case <-mine.done:
		return mine.ends, mine.err
	case <-stopped:
		return nil, errors.New("the view has stopped")
	case <-late:
		return nil, errLate
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Where many ask, a look-up waits a moment for more of them: one question then answers a crowd, and the processors are left to the answers.
const (
	crowd  = 8
	gather = 2 * time.Millisecond
)

// run answers look-ups until ctx ends.
func (l *lookups) run(ctx context.Context, ask func(context.Context) (map[place]int64, error)) error {
	for crowded := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.kick:
		}
		if crowded {
			sleep(ctx, gather)
		}
		l.mu.Lock()
		now := l.next
		l.next = nil
		if now != nil {
			crowded = now.waiting >= crowd
		}
		l.mu.Unlock()
		if now == nil {
			continue // the kick was for the look-up before
		}
		bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
		now.ends, now.err = ask(bounded)
		cancel()
		close(now.done)
	}
}
