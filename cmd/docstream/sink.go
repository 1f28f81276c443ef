package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/fault"
	"docstream/internal/retention"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
	"docstream/sinks/jobs"
	"docstream/sinks/s3"
)

// stores are what a sink writes to, as --to has them.
var stores = []string{topology.ClickHouse.Name, topology.S3.Name, topology.Ended.Name}

func (p *program) sinkCommand() *cobra.Command {
	var to []string
	c := &cobra.Command{Use: "sink", Short: "Write the stream into ClickHouse, or archive it and its jobs in S3", Args: cobra.NoArgs,
		Long: "Write the stream where it is kept. --to clickhouse: every fact as a row. --to s3: the log itself, lanes, facts, job events and usage,\n" +
			"as Avro files below archive/. --to jobs: how every run ended, as job.json below jobs/: without it jobs are kept in the log for ever.\n" +
			"All may run in one process: --to clickhouse,s3,jobs.\n" +
			"A sink also sees to it that objects expire (retention.*): by rules of the bucket where it takes them, else by sweeping it.",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, name := range to {
				if err := oneOf("--to", name, stores); err != nil {
					return err
				}
			}
			w, err := p.wire("sink")
			if err != nil {
				return err
			}
			ctx, cancel := p.alive(c.Context())
			defer cancel()
			h := stream.New(w.cfg.Kafka, w.cfg.Topics, w.cfg.Stream, w.codec, w.key, w.log, w.reg)
			run := []func(context.Context) error{h.Run, retention.New(w.cfg.Retention, w.objects, w.log, w.reg).Run}
			if slices.Contains(to, topology.S3.Name) {
				stream.AddLog(h, topology.S3, s3.New(w.cfg.Archive, w.objects, w.log, w.reg))
			}
			if slices.Contains(to, topology.Ended.Name) {
				end, err := addEnded(h, w)
				if err != nil {
					return err
				}
				defer end()
			}
			if slices.Contains(to, topology.ClickHouse.Name) {
				rows := &rowSink{opened: make(chan struct{})}
				stream.AddSink(h, topology.ClickHouse, rows.write)
				w.ready = rows.ready
				run = append(run, func(ctx context.Context) error { return rows.open(ctx, w) })
				defer rows.close()
			}
			return w.serve(ctx, run...)
		}}
	c.Flags().StringSliceVar(&to, "to", []string{topology.ClickHouse.Name}, "where to write: "+strings.Join(stores, ", "))
	return c
}

// addEnded binds the sink of ended jobs to the plan; end closes what it opened, after the harness has ended.
func addEnded(h *stream.Harness, w *wiring) (end func(), err error) {
	client, err := w.cfg.Kafka.Client()
	if err != nil {
		return nil, err
	}
	p := producers.New(client, stream.NewWriter(w.cfg.Topics, w.codec, topology.Ended.Name, w.key))
	s := jobs.New(w.objects, jobs.Around{Encode: p.Encode, Publish: func(ctx context.Context, events ...schemas.Event) error {
		return p.PublishAll(ctx, events, schemas.NewRequestID(time.Now()))
	}}, w.reg)
	stream.AddSink(h, topology.Ended, s.Write)
	return client.Close, nil
}

// rowSink is the sink of rows before and after ClickHouse answers: batches wait until it does, and nobody else's do.
type rowSink struct {
	sink   atomic.Pointer[clickhouse.Sink]
	opened chan struct{}
}

func (r *rowSink) open(ctx context.Context, w *wiring) error {
	s, err := openSink(ctx, w)
	if err != nil {
		return err
	}
	r.sink.Store(s)
	close(r.opened)
	return nil
}

func (r *rowSink) write(ctx context.Context, b schemas.Batch) error {
	select {
	case <-r.opened:
		return r.sink.Load().Write(ctx, b)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *rowSink) ready() error {
	if r.sink.Load() == nil {
		return errors.New("ClickHouse does not answer")
	}
	return nil
}

func (r *rowSink) close() {
	if s := r.sink.Load(); s != nil {
		_ = s.Close() // the process ends
	}
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
