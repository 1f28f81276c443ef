// Package view keeps what a gateway answers from: every job, every API key, on the local disk of one replica.
//
// It reads the jobs topic, the settings and the tail of the documents lanes by itself, in no consumer group, so that every replica holds
// the same. [View.Fresh] is what makes replicas agree (P4): it waits until the view holds everything that was durable when it was called.
// What is read is bounded by the store's cache and one fetch, not by the topics (P6).
package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Config bounds the local store.
type Config struct {
	Dir        string `koanf:"dir"`         // folder of the store, which a restart goes on from; empty: a temporary one, and every start reads the whole log
	CacheBytes int64  `koanf:"cache_bytes"` // memory for what is read often; what was decoded of it takes about as much again
	FetchBytes int64  `koanf:"fetch_bytes"` // memory of one fetch from one broker; one record may be larger
}

// DefaultConfig suits one machine.
func DefaultConfig() Config { return Config{CacheBytes: 32 << 20, FetchBytes: 16 << 20} }

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.CacheBytes < 1<<20:
		return errors.New("view: cache_bytes is below 1 MiB")
	case c.FetchBytes < 1<<20 || c.FetchBytes > 1<<30:
		return errors.New("view: fetch_bytes is not between 1 MiB and 1 GiB")
	}
	return nil
}

// View is one replica's knowledge of the jobs and keys. Safe for concurrent use.
type View struct {
	cfg     Config
	conn    stream.Connection
	plan    topology.Config
	codec   *schemas.Codec
	proof   *proof.Verifier
	log     *slog.Logger
	metrics *metrics
	pace    pace
	live    live
	queue   queue
	known   atomic.Int64 // when everything durable was last known to be held, in nanoseconds
	members atomic.Int64 // gateways that live
	reach   *reach
	fresh   *lookups
	hub     *hub
	asking  atomic.Pointer[broker] // of the run; nil before it
	watch   watchers
	decoded *decoded
	letGo   func(job string) // tenant/job; nil: nobody wants to hear of it

	opened sync.RWMutex // held for reading while the store is used, for writing while it opens and closes
	store  *store

	ready   atomic.Bool
	readied chan struct{} // closed when ready
	stopped chan struct{} // closed when Run has ended
}

// New returns an inert view. key is the house key, which signs what stands in the documents lanes.
func New(cfg Config, conn stream.Connection, plan topology.Config, codec *schemas.Codec, key schemas.SigningKey, log *slog.Logger, reg prometheus.Registerer) *View {
	return &View{
		cfg: cfg, conn: conn, plan: plan, codec: codec, proof: proof.New(proof.DefaultConfig(), key, plan, log), log: log, metrics: newMetrics(reg),
		reach: newReach(), fresh: newLookups(), hub: newHub(), readied: make(chan struct{}), stopped: make(chan struct{}),
		decoded: newDecoded(cfg.CacheBytes / 8), // what is decoded takes several times its bytes, and there are two halves
	}
}

// Believe says who proves the writers of the documents lanes; until then it is the house alone.
func (v *View) Believe(p *proof.Verifier) { v.proof = p }

// LetGo says who is told of every job that the view lets go, before it does; call it before Run. job is tenant/job id.
func (v *View) LetGo(told func(job string)) { v.letGo = told }

// Run opens the store and reads until ctx ends. A view runs once.
//
// Whoever serves from the view must end first: once Run is over nothing can be looked up any more.
func (v *View) Run(ctx context.Context) error {
	defer close(v.stopped)
	if err := v.open(); err != nil {
		return err
	}
	defer v.close()
	r, err := v.reader()
	if err != nil {
		return err
	}
	defer r.close()
	v.asking.Store(r.ask)
	begun, err := r.begin(ctx)
	if err != nil {
		return quiet(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.follow(ctx, r.tail) })
	g.Go(func() error { return r.follow(ctx, r.jobs) })
	g.Go(func() error { return r.keepUp(ctx) })
	g.Go(func() error { return r.tell(ctx) })
	g.Go(func() error { return v.fresh.run(ctx, r.missing) })
	g.Go(func() error { return r.beCounted(ctx) })
	g.Go(func() error { return r.settle(ctx, begun) })
	return quiet(g.Wait())
}

func (v *View) open() error {
	v.opened.Lock()
	defer v.opened.Unlock()
	if v.store != nil {
		return errors.New("view: it runs already")
	}
	s, err := openStore(v.cfg, v.log)
	if err != nil {
		return fmt.Errorf("view: opening the store: %w", err)
	}
	v.store = s
	return nil
}

func (v *View) close() {
	v.ready.Store(false)
	v.metrics.ready.Set(0)
	v.opened.Lock()
	defer v.opened.Unlock()
	if err := errors.Join(v.save(), v.store.close()); err != nil {
		v.log.Warn("the store of the view did not close", "error", err)
	}
	v.store = nil
}

// Ready reports whether the view holds everything that was accepted before it started, and is still running.
func (v *View) Ready() bool { return v.ready.Load() }

// quiet drops the error of a context that ended: that is how a view is stopped.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
