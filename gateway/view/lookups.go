package view

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lookups shares one look-up of the ends among all who wait: while one is under way, everybody who comes waits for the next, which begins
// after the last of them arrived. However many ask, the brokers see one question at a time, and one timer wakes all who would wait too long.
type lookups struct {
	mu   sync.Mutex
	next *lookup
	over bool // nobody answers any more
	kick chan struct{}

	expected int           // who wait once all are back who waited last
	complete chan struct{} // they are
}

// lookup is one question and, once done is closed, its answer.
type lookup struct {
	done    chan struct{}
	ends    map[place]int64 // empty where everything is held already
	err     error
	waiting int // who wait for it

	soon  chan struct{} // closed with done, or once the first of them has waited long enough
	woken bool          // soon is closed
	until time.Time     // when that is
	alarm *time.Timer   // nil: none of them minds
}

func newLookups() *lookups {
	return &lookups{kick: make(chan struct{}, 1), complete: make(chan struct{}, 1)}
}

// lookupTimeout bounds one look-up.
const lookupTimeout = 5 * time.Second

var errStopped = errors.New("the view has stopped")

// ends returns the ends of the log as of some moment after the call, none where all of them had been reached by then. It waits until ctx
// ends or, unless it is zero, some moment has come. With a moment it first waits for one thing alone, which costs the least, and looks at ctx
// afterwards.
func (l *lookups) ends(ctx context.Context, until time.Time) (map[place]int64, error) {
	mine := l.join(until)
	if mine == nil {
		return nil, errStopped
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
	if !until.IsZero() {
		<-mine.soon
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case <-mine.done: // nearly always
			return mine.ends, mine.err
		default:
		}
	}
	limited, cancel := bounded(ctx, until)
	defer cancel()
	select {
	case <-mine.done:
		if err := ctx.Err(); err != nil { // both at once: who has gone is told so, here as above
			return nil, err
		}
		return mine.ends, mine.err
	case <-limited.Done():
		return nil, limited.Err()
	}
}

// join adds one who waits to the next look-up; nil: there is none any more.
func (l *lookups) join(until time.Time) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	if l.next == nil {
		l.next = &lookup{done: make(chan struct{}), soon: make(chan struct{})}
	}
	mine := l.next
	if mine.waiting++; mine.waiting == l.expected {
		select {
		case l.complete <- struct{}{}:
		default:
		}
	}
	switch {
	case until.IsZero():
	case mine.alarm == nil:
		mine.until, mine.alarm = until, time.AfterFunc(time.Until(until), func() { l.wake(mine) })
	case until.Before(mine.until):
		mine.until = until
		mine.alarm.Reset(time.Until(until))
	}
	return mine
}

// wake lets those who wait for a look-up see to their time.
func (l *lookups) wake(who *lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !who.woken {
		who.woken = true
		close(who.soon)
	}
}

// give answers a look-up that was taken.
func (l *lookups) give(to *lookup, ends map[place]int64, err error) {
	l.expect(to.waiting)
	to.ends, to.err = ends, err
	close(to.done)
	l.wake(to)
	if to.alarm != nil {
		to.alarm.Stop()
	}
}

// take is the look-up that is to be made now; nil: nobody waits.
func (l *lookups) take() *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.next
	l.next = nil
	return now
}

// expect notes how many there are to be if those who are answered come back to those who wait already.
func (l *lookups) expect(answered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = answered
	if l.next != nil {
		l.expected += l.next.waiting
	}
	select {
	case <-l.complete: // as many as were expected before
	default:
	}
}

// end sends away who waits and whoever comes.
func (l *lookups) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	if left := l.take(); left != nil {
		l.give(left, nil, errStopped)
	}
}

// Where many ask, a look-up waits a moment for more of them: one question then answers a crowd, and the processors are left to the answers. It
// does not wait once all are there who were there before.
const (
	crowd     = 8
	gathering = 2 * time.Millisecond
)

// run answers look-ups until ctx ends.
func (l *lookups) run(ctx context.Context, ask func(context.Context) (map[place]int64, error)) error {
	defer l.end()
	for crowded := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.kick:
		}
		if crowded {
			l.gather(ctx)
		}
		now := l.take()
		if now == nil {
			continue // the kick was for the look-up before
		}
		crowded = now.waiting >= crowd
		bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
		ends, err := ask(bounded)
		cancel()
		l.give(now, ends, err)
	}
}

// gather waits for a crowd.
func (l *lookups) gather(ctx context.Context) {
	t := time.NewTimer(gathering)
	defer t.Stop()
	select {
	case <-l.complete:
	case <-t.C:
	case <-ctx.Done():
	}
}
