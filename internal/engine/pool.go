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
	"docstream/internal/turn"
	"docstream/schemas"
)

// Pool is a fixed number of places for children.
type Pool struct {
	cfg     Config
	command []string
	env     []string
	log     *slog.Logger
	metrics *metrics

	device *Device // that all children share; nil: each computes by itself

	places  *turn.Queue
	nicer   bool // a child's niceness may be changed from call to call
	closed  chan struct{}
	reliefs chan struct{} // one successor starts at a time: so many children more than places are in memory

	mu       sync.Mutex
	free     []*seat         // as many as places are free, and more only for a moment
	children map[*child]bool // live ones; none is added after closed was closed
	spawning sync.WaitGroup
}

// seat is one place: it outlives its children.
type seat struct {
	number     int
	child      *child // nil before the first call and after an end
	generation int    // children this seat has had
	worn       string // why a successor is on its way; the pool's mutex guards it and the successor
	successor  *child // that is ready to take over
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
		places: turn.New(n, cfg.Weights), nicer: len(cfg.Weights) > 0 && mayRenice(),
		closed: make(chan struct{}), reliefs: make(chan struct{}, 1), children: make(map[*child]bool)}
	for i := range n {
		p.free = append(p.free, &seat{number: i})
	}
	return p
}

// Share makes a pool whose children compute on one device process, which command starts in the same environment. It must be called before
// [Pool.Start].
func (p *Pool) Share(command []string, reg prometheus.Registerer) error {
	d, err := newDevice(p.cfg, command, p.env, p.log.With("device", "shared"), reg)
	if err != nil {
		return err
	}
	p.device = d
	p.env = append(append([]string{}, p.env...), d.variable())
	return nil
}

// StartDevice starts the device process of a pool that shares one and returns what it lacks. A pool without one has nothing to start.
func (p *Pool) StartDevice(ctx context.Context) error {
	if p.device == nil {
		return nil
	}
	return p.device.ensure(ctx)
}

// Start starts the children of all free places, so that the first calls need not wait. It returns the first error; a later call tries
// again by itself.
func (p *Pool) Start(ctx context.Context) error {
	var taken []*Slot
	defer func() {
		for _, s := range taken {
			s.giveUp()
		}
	}()
	for place := p.places.Try(ctx); place != nil; place = p.places.Try(ctx) {
		s := &Slot{pool: p, place: place, seat: p.sit(nil)}
		taken = append(taken, s)
		if err := p.ensure(ctx, s.seat); err != nil {
			return err
		}
	}
	return nil
}

// Lease waits for a place and takes it, each lane by its weight and each tenant in its turn, as ctx claims; the clock of a task stands meanwhile.
// The caller must release it, and call [Slot.Between] between two pages.
func (p *Pool) Lease(ctx context.Context) (*Slot, error) {
	s := &Slot{pool: p, generation: -1}
	if err := turn.Of(ctx).Wait(func() error { return s.take(ctx) }); err != nil {
		return nil, err
	}
	s.ends = time.Now().Add(p.cfg.DocumentDeadline)
	return s, nil
}

// sit takes a free seat for a place that was taken: the one asked for where it is free.
func (p *Pool) sit(wanted *seat) *seat {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := max(0, slices.Index(p.free, wanted))
	s := p.free[i]
	p.free = slices.Delete(p.free, i, i+1)
	return s
}

// stand gives a seat back, before its place is. Here no document is open in its child, so a successor takes over.
func (p *Pool) stand(s *seat) {
	p.mu.Lock()
	old, reason := p.takeOver(s)
	p.free = append(p.free, s)
	p.mu.Unlock()
	p.end(s, old, reason)
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
	if p.device != nil {
		p.device.close()
	}
}

// DevicePIDs is the process of the device that the children share, while it lives.
func (p *Pool) DevicePIDs() []int {
	if p.device == nil {
		return nil
	}
	return p.device.pool.PIDs()
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
	if err := p.StartDevice(ctx); err != nil {
		return err
	}
	for {
		if s.child == nil {
			p.mu.Lock()
			p.takeOver(s)
			p.mu.Unlock()
		}
		if s.child == nil {
			break
		}
		if !s.child.dead() {
			return nil
		}
		p.discard(s, "died idle")
	}
	c, err := p.start(ctx, s.number)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.child = c
	s.generation++
	return nil
}

// start starts a child for a seat. One that a closing pool no longer wants is not left running.
func (p *Pool) start(ctx context.Context, number int) (*child, error) {
	p.mu.Lock()
	if p.isClosed() {
		p.mu.Unlock()
		return nil, stopping()
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
	c, err := spawn(started, p.command, p.env, p.cfg, p.log.With("slot", number))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if started.Err() != nil {
			return nil, stopping()
		}
		p.metrics.restarts.WithLabelValues("not started").Inc()
		return nil, fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).Because(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children[c] = true
	return c, nil
}

// discard forgets the seat's child, which must be dead or is killed.
func (p *Pool) discard(s *seat, reason string) {
	c := s.child
	s.child = nil
	p.metrics.rss.DeleteLabelValues(label(s.number))
	p.end(s, c, reason)
}

// end ends a child that the seat has no more, if there is one.
func (p *Pool) end(s *seat, c *child, reason string) {
	if c == nil {
		return
	}
	c.kill()
	p.mu.Lock()
	delete(p.children, c)
	p.mu.Unlock()
	p.metrics.restarts.WithLabelValues(reason).Inc()
	p.log.Info("engine child ended", "slot", s.number, "pid", c.pid, "reason", reason, "calls", c.calls, "state", fmt.Sprint(c.state))
}

func (p *Pool) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

func stopping() *fault.Error {
	return fault.World(schemas.EngineUnavailable, "The service is stopping.")
}
