package engine

import (
	"context"
	"maps"
	"slices"
)

// relieve starts a successor of a seat's worn child, which goes on working until that is ready: a child takes about a second to load its
// models, and a lane is not to stand still for it. A successor that cannot be started is tried again after the next document.
func (p *Pool) relieve(s *seat, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.worn != "" {
		return
	}
	s.worn = reason
	methods := slices.Sorted(maps.Keys(s.child.methods))
	go func() {
		c := p.relief(s, methods)
		p.mu.Lock()
		var old *child
		if s.successor = c; c == nil {
			s.worn = ""
		} else if slices.Contains(p.free, s) { // nobody works there who could take it over
			old, _ = p.takeOver(s)
		}
		p.mu.Unlock()
		p.end(s, old, reason)
	}()
}

// relief is a new child for a seat, ready for calls of the methods; nil: there can be none now.
func (p *Pool) relief(s *seat, methods []string) *child {
	select {
	case p.reliefs <- struct{}{}:
		defer func() { <-p.reliefs }()
	case <-p.closed:
		return nil
	}
	c, err := p.start(context.Background(), s.number)
	if err == nil {
		if err = c.warm(methods, p.cfg.StartDeadline); err == nil {
			return c
		}
	}
	if p.isClosed() { // which ends all children, this one too
		return nil
	}
	p.end(s, c, "not started")
	p.log.Warn("an engine child that has done its share goes on: its successor did not start", "slot", s.number, "error", err)
	return nil
}

// takeOver gives a seat its successor, where one is ready, and returns the child before it, which is to be ended, and why. The pool's mutex is held.
func (p *Pool) takeOver(s *seat) (old *child, reason string) {
	if s.successor == nil {
		return nil, ""
	}
	old, reason = s.child, s.worn
	s.child, s.successor, s.worn = s.successor, nil, ""
	s.generation++
	return old, reason
}
