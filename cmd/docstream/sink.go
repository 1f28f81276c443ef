package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/spf13/cobra"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/sinks/clickhouse"
)

func (p *program) sinkCommand() *cobra.Command {
	return &cobra.Command{Use: "sink", Short: "Write the stream's facts into ClickHouse", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := p.wire("sink")
			if err != nil {
				return err
			}
			ctx, cancel := p.alive(c.Context())
			defer cancel()
			var open atomic.Bool
			w.ready = func() error {
				if !open.Load() {
					return errors.New("ClickHouse does not answer")
				}
				return nil
			}
			return w.serve(ctx, func(ctx context.Context) error {
				s, err := openSink(ctx, w)
				if err != nil {
					return err
				}
				defer s.Close()
				open.Store(true)
				h := stream.New(w.cfg.Kafka, w.cfg.Topics, w.cfg.Stream, w.codec, w.key, w.log, w.reg)
				stream.AddSink(h, topology.ClickHouse, s.Write)
				return h.Run(ctx)
			})
		}}
}

// openSink waits for ClickHouse, brings it to the newest migration and connects: a sink that starts before it is no failure.
func openSink(ctx context.Context, w *wiring) (sink *clickhouse.Sink, err error) {
	err = untilDone(ctx, func() (bool, error) {
		s, err := clickhouse.Open(ctx, w.cfg.ClickHouse, w.log, nil)
		if err != nil && fault.KindOf(err) == fault.Unavailable {
			w.log.Warn("waiting for ClickHouse", "error", err)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, s.Close()
	})
	if err != nil {
		return nil, err
	}
	return clickhouse.Connect(w.cfg.ClickHouse, w.log, w.reg)
}
