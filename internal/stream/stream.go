// Package stream is the harness: the only place that polls, decodes, traces, retries, dead-letters, produces and commits.
//
// Stages, folds and sinks are functions; they are bound to the plan of package topology and know neither Kafka nor their neighbours. The
// order of every lane is: poll, decode, work with no transaction open, then begin, produce, commit offsets, end. What a reader sees is
// read-committed, so an event exists exactly when its input is done.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"docstream/internal/pause"
	"docstream/internal/proof"
	"docstream/internal/topology"
	"docstream/internal/turn"
	"docstream/schemas"
)

// Config bounds what a worker does at once.
type Config struct {
	Slots       int           `koanf:"slots"`        // tasks worked on at once, over all lanes; one more where it is of a heavier lane than all others
	Batch       int           `koanf:"batch"`        // records a lane takes in one transaction
	FoldBatch   int           `koanf:"fold_batch"`   // facts the fold takes in one transaction
	SinkBatch   int           `koanf:"sink_batch"`   // records a sink writes at once
	SinkLinger  time.Duration `koanf:"sink_linger"`  // how long a sink waits to fill a batch
	Task        time.Duration `koanf:"task"`         // a stage works no longer on one record; its page or document then fails
	Tick        time.Duration `koanf:"tick"`         // how often a fold looks whether a time has come that a state waits for
	MaxAttempts int           `koanf:"max_attempts"` // of a sink at a batch whose failure nobody can place; stages go by topics.delays
	Backoff     time.Duration `koanf:"backoff"`      // before asking again for what cannot be reached; doubles, at most 30 s
	StopAfter   int           `koanf:"stop_after"`   // jobs with dead letters nobody can place, of the last stop_window records, that stop a stage; 0: never
	StopWindow  int           `koanf:"stop_window"`

	WeightHigh   int `koanf:"weight_high"` // shares of the slots while every lane has work
	WeightNormal int `koanf:"weight_normal"`
	WeightLow    int `koanf:"weight_low"`

	SessionTimeout     time.Duration `koanf:"session_timeout"`     // a dead worker's lanes move on after this
	RebalanceTimeout   time.Duration `koanf:"rebalance_timeout"`   // a batch must be done in a third of this
	TransactionTimeout time.Duration `koanf:"transaction_timeout"` // a stopped writer blocks readers no longer than this
}

// DefaultConfig suits one machine.
func DefaultConfig() Config {
	return Config{
		Slots: 2, Batch: 8, FoldBatch: 1000, SinkBatch: 5000, SinkLinger: 2 * time.Second, Task: time.Hour, Tick: 5 * time.Second,
		MaxAttempts: 4, Backoff: 500 * time.Millisecond, StopAfter: 25, StopWindow: 30,
		WeightHigh: 16, WeightNormal: 4, WeightLow: 1,
		SessionTimeout: 6 * time.Second, RebalanceTimeout: 60 * time.Second, TransactionTimeout: 10 * time.Second,
	}
}

// Validate refuses settings under which the promises do not hold.
func (c Config) Validate() error {
	switch {
	case c.Slots < 1 || c.Batch < 1 || c.FoldBatch < 1 || c.SinkBatch < 1:
		return errors.New("stream: slots and batches must be at least 1")
	case c.Task < time.Second:
		return errors.New("stream: task must be at least 1 s")
	case c.Tick < 10*time.Millisecond:
		return errors.New("stream: tick must be at least 10 ms")
	case c.MaxAttempts < 1:
		return errors.New("stream: max_attempts must be at least 1")
	case c.StopAfter < 0 || c.StopWindow < c.StopAfter:
		return errors.New("stream: stop_after must not be negative, nor above stop_window")
	case c.WeightHigh < 1 || c.WeightNormal < 1 || c.WeightLow < 1:
		return errors.New("stream: every lane needs a weight of at least 1, or it would starve")
	case c.SessionTimeout < 6*time.Second:
		return errors.New("stream: brokers refuse a session_timeout below 6 s")
	case c.RebalanceTimeout < c.SessionTimeout:
		return errors.New("stream: rebalance_timeout must not be below session_timeout")
	case c.TransactionTimeout < time.Second:
		return errors.New("stream: transaction_timeout must be at least 1 s")
	}
	return nil
}

// Weights are the shares of the lanes, by their priority.
func (c Config) Weights() map[string]int {
	return map[string]int{"high": c.WeightHigh, "normal": c.WeightNormal, "low": c.WeightLow}
}

// Harness runs whatever is added to it in one process.
type Harness struct {
	conn    Connection
	plan    topology.Config
	cfg     Config
	codec   *schemas.Codec
	key     schemas.SigningKey
	proof   *proof.Verifier
	log     *slog.Logger
	metrics *metrics
	slots   *turn.Queue // the tasks worked on at once
	runners []func(context.Context) error
	lanes   []observed
	fuses   []*fuse
	stops   *stops
	returns bool // the sessions of the delay topics are among the runners
}

// Stopped says why stages of this worker have stopped themselves; nil while all of them work.
func (h *Harness) Stopped() error {
	var errs []error
	for _, f := range h.fuses {
		errs = append(errs, f.err())
	}
	return errors.Join(errs...)
}

// New returns an inert harness. key is the house key, with which the submissions of gateways and continuations are signed.
func New(conn Connection, plan topology.Config, cfg Config, codec *schemas.Codec, key schemas.SigningKey, log *slog.Logger, reg prometheus.Registerer) *Harness {
	h := &Harness{conn: conn, plan: plan, cfg: cfg, codec: codec, key: key, log: log, metrics: newMetrics(reg)}
	h.proof = proof.New(proof.DefaultConfig(), key, plan, log)
	h.slots = turn.New(cfg.Slots, cfg.Weights()).Spare(1)
	return h
}

// Believe says who proves the writers of records in lanes that are open to others; until then it is the house alone.
func (h *Harness) Believe(v *proof.Verifier) { h.proof = v }

// Run registers the schemas, then runs every lane until ctx ends, which is no error. Work in flight is handed back then: nothing of it is
// committed, and whoever reads its partitions next finds the same records. Only a transaction that has begun is ended before Run returns. The
// first error of a lane stops all.
func (h *Harness) Run(ctx context.Context) error {
	if len(h.runners) == 0 {
		return errors.New("stream: nothing to run")
	}
	if !h.register(ctx) {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, run := range h.runners {
		g.Go(func() error { return run(ctx) })
	}
	g.Go(func() error { return h.observe(ctx) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// register waits for the registry: a worker that starts before it is no failure. It reports false when ctx ended first.
func (h *Harness) register(ctx context.Context) bool {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := Register(ctx, h.codec, h.plan)
		if err == nil {
			return true
		}
		h.log.Warn("waiting for the schema registry", "error", err)
		if !pause.For(ctx, wait) {
			return false
		}
	}
}

// undeclared is the error of a stage that emits what its plan does not name.
func undeclared(stage, kind string) error {
	return fmt.Errorf("%s does not declare that it emits %s", stage, kind)
}
