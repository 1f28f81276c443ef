package turn

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Task is a piece of work that holds a place and may take no longer than its limit. The time in which it waits for others is not counted.
type Task struct {
	place *Place
	limit time.Duration
	end   context.CancelCauseFunc

	mu     sync.Mutex
	timer  *time.Timer
	since  time.Time // the clock runs since; zero: it stands
	worked time.Duration
}

type taskKey struct{}

// Begin starts the clock of a task at a place that is held. The context it returns carries the task, and ends as one whose deadline passed once the
// clock has run for the limit. [Task.End] must be called.
func Begin(ctx context.Context, p *Place, limit time.Duration) (context.Context, *Task) {
	t := &Task{place: p, limit: limit}
	inner, end := context.WithCancelCause(context.WithValue(ctx, taskKey{}, t))
	t.end = end
	out := timed{inner, make(chan struct{})}
	context.AfterFunc(inner, func() { close(out.done) })
	t.start()
	return out, t
}

// timed is a context that says of its end what one with a deadline says, and so do the contexts below it: they would take the word of the
// inner one where they find its channel.
type timed struct {
	context.Context
	done chan struct{}
}

// Done is a channel of its own.
func (c timed) Done() <-chan struct{} { return c.done }

// AfterFunc spares the contexts below it a goroutine each.
func (c timed) AfterFunc(f func()) func() bool { return context.AfterFunc(c.Context, f) }

// Err tells an end by the clock from others.
func (c timed) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// Of is the task of a context; nil where there is none: the methods of nil do what they can without one.
func Of(ctx context.Context) *Task {
	t, _ := ctx.Value(taskKey{}).(*Task)
	return t
}

// End stops the clock for good.
func (t *Task) End() {
	t.stop()
	t.end(nil)
}

// Worked is the time that was counted.
func (t *Task) Worked() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return t.worked
	}
	return t.worked + time.Since(t.since)
}

// Keep asks whether the task may go on with another unit.
func (t *Task) Keep() bool { return t == nil || t.place.Keep() }

// Aside gives the place of the task up and takes it again when its turn has come. What the task holds besides is given up before, by give, and
// taken again after, by take: nobody waits for a place holding what others at a place need. The clock stands meanwhile. After an error the
// task holds nothing.
func (t *Task) Aside(ctx context.Context, give func(), take func(context.Context) error) error {
	if t == nil {
		give()
		return take(ctx)
	}
	return t.Wait(func() error {
		give()
		t.place.Leave()
		if err := t.place.Return(ctx); err != nil {
			return err
		}
		return take(ctx)
	})
}

// Wait calls f with the clock standing.
func (t *Task) Wait(f func() error) error {
	if t == nil {
		return f()
	}
	t.stop()
	defer t.start()
	return f()
}

// Between is called between two units by a task that holds nothing but its place: where somebody goes first, it waits.
func Between(ctx context.Context) error {
	t := Of(ctx)
	if t.Keep() {
		return nil
	}
	return t.Aside(ctx, func() {}, func(context.Context) error { return nil })
}

func (t *Task) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = time.Now()
	t.timer = time.AfterFunc(t.limit-t.worked, func() { t.end(context.DeadlineExceeded) })
}

func (t *Task) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return
	}
	t.timer.Stop()
	t.worked += time.Since(t.since)
	t.since = time.Time{}
}
