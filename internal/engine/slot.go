package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"docstream/internal/fault"
	"docstream/internal/turn"
	"docstream/schemas"
)

// Slot is the exclusive use of one place of a pool, from [Pool.Lease] to [Slot.Release]. It is for one goroutine at a time.
type Slot struct {
	pool       *Pool
	place      *turn.Place
	seat       *seat     // nil while the place is given up, and after the release
	last       *seat     // that was given up
	ends       time.Time // deadline of the document
	generation int       // of the child that answered the last call; -1 before
}

// buffers hold a request and an answer. They are pooled: a page image is as large as the requests get, and no call needs them longer.
type buffers struct{ req, res bytes.Buffer }

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// memoryInterval is how often the memory of a working child is looked at.
const memoryInterval = 250 * time.Millisecond

// Fresh reports that the next call goes to a child that has seen no call of this lease: what earlier calls left in the child, such as
// an open document, is not there.
func (s *Slot) Fresh() bool {
	return s.seat == nil || s.seat.child == nil || s.seat.child.dead() || s.generation != s.seat.generation
}

// Generation numbers the children of this place: it grows with each new one.
func (s *Slot) Generation() int {
	if s.seat == nil {
		return 0
	}
	return s.seat.generation
}

// Call asks the child and waits for its answer. req and res are gob-encodable; res is a pointer or nil.
//
// Errors are faults: what the handler returned, with its kind, code, message and the text of its cause; ENGINE_CRASHED, ENGINE_TIMEOUT
// or ENGINE_OUT_OF_MEMORY (nobody can tell whose fault; the child is gone, the next call starts another); ENGINE_UNAVAILABLE where no
// child can be started. A cancelled ctx ends the child and is returned as it is. A child that died between two calls of one lease costs
// the next call an ENGINE_CRASHED, once, because what the first left in it is lost.
func (s *Slot) Call(ctx context.Context, method string, req, res any) (Usage, error) {
	if s.seat == nil {
		return Usage{}, errors.New("engine: call on a released slot")
	}
	u, err := s.call(ctx, method, req, res)
	s.pool.metrics.observe(method, u, err)
	return u, err
}

func (s *Slot) call(ctx context.Context, method string, req, res any) (Usage, error) {
	seat := s.seat
	if seat.child != nil && seat.child.dead() && s.generation == seat.generation {
		c := seat.child
		s.pool.discard(seat, "died idle")
		return Usage{CPU: c.unreported()}, broken(schemas.EngineCrashed, c, errors.New("the child ended between two calls"))
	}
	if err := s.pool.ensure(ctx, seat); err != nil {
		return Usage{}, err
	}
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	if err := encode(&b.req, req); err != nil {
		return Usage{}, fmt.Errorf("engine: encode request of %s: %w", method, err)
	}
	if n := int64(b.req.Len()); n > s.pool.cfg.MaxFrame {
		return Usage{}, tooLarge(errTooLarge{n, s.pool.cfg.MaxFrame})
	}
	a, u, err := s.exchange(ctx, method, b)
	if err != nil {
		return u, err
	}
	if a.Fault != nil {
		return u, a.Fault.fault()
	}
	if err := decode(b.res.Bytes(), res); err != nil {
		return u, fmt.Errorf("engine: decode result of %s: %w", method, err)
	}
	return u, nil
}

// exchange performs the call while watching the clock, the caller and the child's memory.
func (s *Slot) exchange(ctx context.Context, method string, b *buffers) (answer, Usage, error) {
	c, start := s.seat.child, time.Now()
	s.yield(c)
	s.generation = s.seat.generation
	deadline := s.deadline(ctx, start)
	c.calls++
	c.methods[method] = true
	c.tail.begin()
	type outcome struct {
		a   answer
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		a, err := c.exchange(call{method, time.Until(deadline)}, b.req.Bytes(), &b.res)
		done <- outcome{a, err}
	}()
	clock := time.NewTimer(time.Until(deadline))
	defer clock.Stop()
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		var reason string
		var err error
		select {
		case o := <-done:
			u := Usage{CPU: o.a.CPU, Wall: time.Since(start)}
			if o.err == nil {
				c.reported += u.CPU
				s.measure(c)
				return o.a, u, nil
			}
			s.pool.discard(s.seat, "crash")
			u.CPU = c.unreported()
			if s.pool.isClosed() {
				return answer{}, u, stopping().Because(o.err)
			}
			if c.starved() {
				return answer{}, u, broken(schemas.EngineOutOfMemory, c, o.err)
			}
			return answer{}, u, broken(schemas.EngineCrashed, c, o.err)
		case <-ticker.C:
			rss := s.measure(c)
			if rss <= s.pool.cfg.MemoryLimit {
				continue
			}
			reason = "memory limit"
			err = fmt.Errorf("%d bytes are over the limit of %d", rss, s.pool.cfg.MemoryLimit)
		case <-clock.C:
			reason, err = "deadline", fmt.Errorf("the call took longer than %s", deadline.Sub(start).Round(time.Millisecond))
		case <-ctx.Done():
			reason, err = "cancelled", ctx.Err()
		case <-s.pool.closed:
			reason, err = "closed", errors.New("the pool was closed")
		}
		s.pool.discard(s.seat, reason)
		<-done // the buffers are ours again
		u := Usage{CPU: c.unreported(), Wall: time.Since(start)}
		return answer{}, u, ended(reason, c, err)
	}
}

// yield gives a child the niceness of the lane it works for. Where it cannot, a page is only slower.
func (s *Slot) yield(c *child) {
	nice := s.pool.cfg.niceness(s.place.Claim().Lane)
	if s.pool.nicer && nice != c.nice && renice(c.pid, nice) == nil {
		c.nice = nice
	}
}

// ended is the error of a call whose child was killed by the parent.
func ended(reason string, c *child, cause error) error {
	switch {
	case reason == "memory limit":
		return broken(schemas.EngineOutOfMemory, c, cause)
	case reason == "deadline", errors.Is(cause, context.DeadlineExceeded):
		return broken(schemas.EngineTimeout, c, cause)
	case reason == "closed":
		return stopping().Because(cause)
	}
	return cause
}

// broken is the fault of a call that lost its child.
func broken(code schemas.Code, c *child, cause error) *fault.Error {
	cause = fmt.Errorf("%w (pid %d, %v)", cause, c.pid, c.state)
	if said := c.tail.String(); said != "" {
		cause = fmt.Errorf("%w; its last words: %s", cause, said)
	}
	return fault.Puzzle(code, "%s", schemas.Codes[code].Meaning).Because(cause)
}

// deadline is the soonest of the page's, the document's and the caller's.
func (s *Slot) deadline(ctx context.Context, start time.Time) time.Time {
	d := start.Add(s.pool.cfg.PageDeadline)
	if s.ends.Before(d) {
		d = s.ends
	}
	if t, ok := ctx.Deadline(); ok && t.Before(d) {
		d = t
	}
	return d
}

func (s *Slot) measure(c *child) int64 {
	rss := residentSize(c.pid)
	s.pool.metrics.rss.WithLabelValues(label(s.seat.number)).Set(float64(rss))
	return rss
}

// Release gives the place back and counts the document of the lease, once for a child however many leases it takes: a document that nobody named
// is another one each time. A child that has done its share, or has grown above its memory mark, is replaced at the end of the first lease
// at which a successor is ready, and never between two calls of one, so that no open document is lost. A second Release does nothing.
func (s *Slot) Release() {
	seat := s.seat
	if seat == nil {
		return
	}
	if c := seat.child; c != nil {
		c.served.count(s.place.Claim())
		if reason := s.pool.worn(c); reason != "" {
			s.pool.relieve(seat, reason)
		}
	}
	s.pool.metrics.busy.Dec()
	s.giveUp()
}

// take waits for a place, and sits down where the lease sat before if that is free: its document may be open there still.
func (s *Slot) take(ctx context.Context) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // nobody waits for a pool that closes
		select {
		case <-s.pool.closed:
			cancel()
		case <-waiting.Done():
		}
	}()
	if s.pool.isClosed() { // also where a place is free
		return stopping()
	}
	var err error
	if s.place == nil {
		s.place, err = s.pool.places.Enter(waiting)
	} else {
		err = s.place.Return(waiting)
	}
	if err != nil {
		if ctx.Err() == nil {
			return stopping()
		}
		return ctx.Err()
	}
	s.seat = s.pool.sit(s.last)
	s.pool.metrics.busy.Inc()
	return nil
}

// giveUp gives seat and place back.
func (s *Slot) giveUp() {
	s.last, s.seat = s.seat, nil
	s.pool.stand(s.last)
	s.place.Leave()
}

// Between is called between two pages of a task. Where somebody waits who goes first, for this place or for the slot of the task's worker, the task
// gives up both, waits for its turn and takes them again; its clock and the document's deadline stand meanwhile. The child may be another one
// then, or have another document open: a call after it has to say all that it needs. After an error the slot is released.
func (s *Slot) Between(ctx context.Context) error {
	task := turn.Of(ctx)
	if s.seat == nil || s.place.Keep() && task.Keep() {
		return nil
	}
	left := time.Now()
	err := task.Aside(ctx, func() {
		s.pool.metrics.busy.Dec()
		s.giveUp()
	}, s.take)
	s.generation = -1
	s.ends = s.ends.Add(time.Since(left))
	return err
}

// worn says why a child should be replaced, or nothing. One that has died is replaced by whoever needs it.
func (p *Pool) worn(c *child) string {
	switch {
	case c.dead():
		return ""
	case c.served.number() >= p.cfg.MaxDocuments:
		return "documents"
	case c.calls >= p.cfg.MaxPages:
		return "pages"
	case residentSize(c.pid) > p.cfg.MemoryMark:
		return "memory mark"
	}
	return ""
}
