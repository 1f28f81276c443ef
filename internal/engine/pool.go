package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Pool is a fixed number of places for children.
type Pool struct {
	cfg     Config
	command []string
	env     []string
	log     *slog.Logger
	metrics *metrics

	free   chan *seat
	closed chan struct{}

	mu       sync.Mutex
	children map[*child]bool // live ones; none is added after closed was closed
	spawning sync.WaitGroup
}

// seat is one place: it outlives its children.
type seat struct {
	number     int
	child      *child // nil before the first call and after an end
	generation int    // children this seat has had
}

// NewPool makes a pool that is inert until the first [Pool.Start] or call. command is the program of a child with its arguments; env is
// its whole environment, nil for that of this process. reg may be nil.
func NewPool(cfg Config, command []string, env []string, log *slog.Logger, reg prometheus.Registerer) *Pool {
	if env == nil {
		env = os.Environ()
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := cfg.slots()
	p := &Pool{cfg: cfg, command: command, env: env, log: log, metrics: newMetrics(reg),
		free: make(chan *seat, n), closed: make(chan struct{}), children: make(map[*child]bool)}
	for i := range n {
		p.free <- &seat{number: i}
	}
	return p
}

// Start starts the children of all free places, so that the first calls need not wait. It returns the first error; a later call tries
// again by itself.
func (p *Pool) Start(ctx context.Context) error {
	var taken []*seat
	defer func() {
		for _, s := range taken {
			p.free <- s
		}
	}()
	for {
		select {
		case s := <-p.free:
			taken = append(taken, s)
			if err := p.ensure(ctx, s); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// Lease waits for a free place and takes it. The caller must release it.
func (p *Pool) Lease(ctx context.Context) (*Slot, error) {
	select { // a closed pool answers before a free place does
	case <-p.closed:
		return nil, stopping()
	default:
	}
	select {
	case s := <-p.free:
		p.metrics.busy.Inc()
		return &Slot{pool: p, seat: s, ends: time.Now().Add(p.cfg.DocumentDeadline), generation: -1}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, stopping()
	}
}

// Close ends all children and waits for them. Calls under way fail as the world's: somebody is shutting down.
func (p *Pool) Close() {
	p.mu.Lock()
	select {
	case <-p.closed:
		p.mu.Unlock()
		return
	default:
	}
	close(p.closed)
	p.mu.Unlock()
	p.spawning.Wait()
	p.mu.Lock()
	children := make([]*child, 0, len(p.children))
	for c := range p.children {
		children = append(children, c)
	}
	clear(p.children)
	p.mu.Unlock()
	var all sync.WaitGroup
	for _, c := range children {
		all.Go(func() { c.stop(time.Second) })
	}
	all.Wait()
}

// PIDs lists the live children, sorted.
func (p *Pool) PIDs() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for c := range p.children {
		if !c.dead() {
			pids = append(pids, c.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// ensure gives the seat a child. A start that fails is the world's fault: the harness waits and tries again.
func (p *Pool) ensure(ctx context.Context, s *seat) error {
	if s.child != nil && !s.child.dead() {
		return nil
	}
	if s.child != nil {
		p.discard(s, "died idle")
	}
	p.mu.Lock()
	select {
	case <-p.closed:
		p.mu.Unlock()
		return stopping()
	default:
	}
	p.spawning.Add(1)
	p.mu.Unlock()
	defer p.spawning.Done()

	started, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a pool that closes waits for no start
		select {
		case <-p.closed:
			cancel()
		case <-started.Done():
		}
	}()
	c, err := spawn(started, p.command, p.env, p.cfg, p.log.With("slot", s.number))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if started.Err() != nil {
			return stopping()
		}
		p.metrics.restarts.WithLabelValues("not started").Inc()
		return fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).Because(err)
	}
	s.child = c
	s.generation++
	p.mu.Lock()
	p.children[c] = true
	p.mu.Unlock()
	return nil
}

// discard forgets the seat's child, which must be dead or is killed.
func (p *Pool) discard(s *seat, reason string) {
	c := s.child
	if c == nil {
		return
	}
	c.kill()
	s.child = nil
	p.mu.Lock()
	delete(p.children, c)
	p.mu.Unlock()
	p.metrics.restarts.WithLabelValues(reason).Inc()
	p.metrics.rss.DeleteLabelValues(label(s.number))
	p.log.Info("engine child ended", "slot", s.number, "pid", c.pid, "reason", reason, "calls", c.calls, "state", fmt.Sprint(c.state))
}

func stopping() *fault.Error {
	return fault.World(schemas.EngineUnavailable, "The service is stopping.")
}
