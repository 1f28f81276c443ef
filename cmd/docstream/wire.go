package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// wiring is what every role is built from. Making it calls nothing outside the process.
type wiring struct {
	cfg     Config
	role    string
	version string
	key     schemas.SigningKey
	codec   *schemas.Codec
	objects *blob.S3
	log     *slog.Logger
	reg     *prometheus.Registry

	// ready says whether the role can do its work; nil means that it always can.
	ready func() error
}

// wire makes the parts that all roles share.
func (p *program) wire(role string, more ...string) (*wiring, error) {
	cfg, err := p.config(more...)
	if err != nil {
		return nil, err
	}
	w := &wiring{cfg: cfg, role: role, version: p.Version, log: telemetry.NewLogger(p.stderr, cfg.Telemetry.Level, slog.String("role", role)),
		reg: telemetry.NewRegistry(role)}
	if w.key, err = cfg.HouseKey.signing(); err != nil {
		return nil, err
	}
	if w.codec, err = cfg.Kafka.Codec(); err != nil {
		return nil, err
	}
	if w.objects, err = blob.Open(cfg.Objects, w.reg); err != nil {
		return nil, err
	}
	return w, nil
}

// verifier is what proves the writers of the documents lanes, and what it must be followed with: the settings hold the producer keys.
func (w *wiring) verifier() (*proof.Verifier, func(context.Context) error, error) {
	v := proof.New(w.cfg.Proof, w.key, w.cfg.Topics, w.log)
	s, err := stream.OpenSettings(w.cfg.Kafka, w.cfg.Topics, w.codec, w.log, v.Take)
	if err != nil {
		return nil, nil, err
	}
	v.Fresh(s.Fresh)
	return v, func(ctx context.Context) error {
		defer s.Close()
		return s.Run(ctx)
	}, nil
}

// serve runs a role until ctx ends, with its metrics and traces around it: they start first and close last, so that the end of the work
// is seen too.
func (w *wiring) serve(ctx context.Context, run ...func(context.Context) error) error {
	flush, err := telemetry.Tracing(ctx, w.cfg.Telemetry, attribute.String("docstream.role", w.role))
	if err != nil {
		return err
	}
	watched, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	closed := func() error { return nil }
	if addr := w.cfg.Telemetry.Metrics; addr != "" {
		at, wait, err := telemetry.ServeMetrics(watched, addr, w.reg, w.ready)
		if err != nil {
			return err
		}
		closed = wait
		w.log.Info("metrics are served", "addr", at)
	}
	w.log.Info("starting", "version", w.version)
	g, gctx := errgroup.WithContext(ctx)
	for _, f := range run {
		g.Go(func() error { return f(gctx) })
	}
	err = g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	w.log.Info("stopped", "error", err)
	unwatch()
	return errors.Join(err, closed(), flush(context.WithoutCancel(ctx)))
}

// untilDone tries until try is done, fails or ctx ends, waiting longer each time.
func untilDone(ctx context.Context, try func() (bool, error)) error {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if done, err := try(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
