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
func (v *View) Fresh(ctx context.Context) error {
	began := time.Now()
	defer func() { v.metrics.wait.Observe(time.Since(began).Seconds()) }()
	select {
	case <-v.readied:
	case <-v.stopped:
		return fmt.Errorf("%w: it has stopped", ErrStale)
	case <-ctx.Done():
		return fmt.Errorf("%w: it is not ready yet", ErrStale)
	}
	for {
		ends, err := v.fresh.ends(ctx, v.stopped)
		if err == nil {
			if v.reach.wait(ctx, ends) != nil {
				return fmt.Errorf("%w: it has not read to the end", ErrStale)
			}
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) || v.over() {
			return fmt.Errorf("%w: the ends of the log are not known: %w", ErrStale, err)
		}
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
	done chan struct{}
	ends map[place]int64
	err  error
}

func newLookups() *lookups { return &lookups{kick: make(chan struct{}, 1)} }

// lookupTimeout bounds one look-up.
const lookupTimeout = 5 * time.Second

// ends returns the ends of the log as of some moment after the call.
func (l *lookups) ends(ctx context.Context, stopped <-chan struct{}) (map[place]int64, error) {
	l.mu.Lock()
	if l.next == nil {
		l.next = &lookup{done: make(chan struct{})}
	}
	mine := l.next
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
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run answers look-ups until ctx ends.
func (l *lookups) run(ctx context.Context, ask func(context.Context) (map[place]int64, error)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.kick:
		}
		l.mu.Lock()
		now := l.next
		l.next = nil
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
