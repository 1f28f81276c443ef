package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"docstream/internal/pause"
)

// ErrStale says that the view could not be made as new as the request in the time given: the answer is "try again", never "not found".
var ErrStale = errors.New("view: not up to date in time")

// Fresh waits until the view holds everything that was durable when it was called (P4): an answer given after it is never older than one
// any replica gave before. ctx bounds the wait; the error is then ErrStale.
func (v *View) Fresh(ctx context.Context) error { return v.freshen(ctx, time.Time{}) }

// FreshWithin is Fresh that waits no longer than d; that ctx has ended it may notice only when the wait is over. Every look-up asks for it, so
// whoever waits costs neither a context nor a timer of his own.
func (v *View) FreshWithin(ctx context.Context, d time.Duration) error {
	return v.freshen(ctx, time.Now().Add(d))
}

// freshen waits until ctx ends or, unless it is zero, some moment has come.
func (v *View) freshen(ctx context.Context, until time.Time) error {
	began := time.Now()
	defer func() { v.metrics.wait.Observe(time.Since(began).Seconds()) }()
	if err := v.begun(ctx, until); err != nil {
		return err
	}
	for {
		ends, err := v.fresh.ends(ctx, until)
		if err == nil {
			return v.reached(ctx, until, ends)
		}
		if !v.again(ctx, until) {
			return fmt.Errorf("%w: the ends of the log are not known: %w", ErrStale, err)
		}
	}
}

// bounded is ctx, ended at some moment too unless that is zero.
func bounded(ctx context.Context, until time.Time) (context.Context, context.CancelFunc) {
	if until.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, until)
}

// begun waits until the view holds what was there before it.
func (v *View) begun(ctx context.Context, until time.Time) error {
	select {
	case <-v.readied: // nearly always
		return nil
	default:
	}
	ctx, cancel := bounded(ctx, until)
	defer cancel()
	select {
	case <-v.readied:
		return nil
	case <-v.stopped:
		return fmt.Errorf("%w: it has stopped", ErrStale)
	case <-ctx.Done():
		return fmt.Errorf("%w: it is not ready yet", ErrStale)
	}
}

// reached waits until the view has read to the ends.
func (v *View) reached(ctx context.Context, until time.Time, ends map[place]int64) error {
	if len(ends) == 0 { // nearly always
		return nil
	}
	ctx, cancel := bounded(ctx, until)
	defer cancel()
	if v.reach.wait(ctx, ends) != nil {
		return fmt.Errorf("%w: it has not read to the end", ErrStale)
	}
	return nil
}

// again reports, after a moment, whether there is time for another look-up.
func (v *View) again(ctx context.Context, until time.Time) bool {
	ctx, cancel := bounded(ctx, until)
	defer cancel()
	return pause.For(ctx, 50*time.Millisecond) && !v.over()
}

func (v *View) over() bool {
	select {
	case <-v.stopped:
		return true
	default:
		return false
	}
}
