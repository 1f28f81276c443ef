package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
	"docstream/sinks/s3"
)

// origins are where a rebuild takes the records from.
var origins = []string{"archive", "topics"}

type rebuildOptions struct {
	from         string
	since, until string
	into         string
	empty        bool

	begin, end time.Time
}

func (p *program) rebuildCommand() *cobra.Command {
	var o rebuildOptions
	c := &cobra.Command{Use: "rebuild", Short: "Write what a store should hold once more", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say rebuild clickhouse") }}
	rows := &cobra.Command{Use: "clickhouse", Short: "Write every row again, from the archive or the topics", Args: cobra.NoArgs,
		Long: "Write every row of ClickHouse again. Rows that are there stay as they are, so it also repairs what was lost; --empty removes all of\n" +
			"them first, --into fills another database, which is created where it is missing. The sink may run meanwhile.\n" +
			"--from archive reads the archive, then the topics from where it ends; with --until the archive alone. --from topics reads what the\n" +
			"topics still hold. --since and --until are times of the log, such as 2026-11-25 or 2026-11-25T08:30:00Z.\n" +
			"It exits with 5 where something was missing in the archive or did not fit its table; every such thing is named.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.parse(); err != nil {
				return err
			}
			cfg, err := p.cluster()
			if err != nil {
				return err
			}
			return p.rebuild(c.Context(), cfg, o)
		}}
	f := rows.Flags()
	f.StringVar(&o.from, "from", origins[0], "where to read: "+strings.Join(origins, ", "))
	f.StringVar(&o.since, "since", "", "records from this time on")
	f.StringVar(&o.until, "until", "", "records before this time")
	f.StringVar(&o.into, "into", "", "database to fill; the configured one where it is not said")
	f.BoolVar(&o.empty, "empty", false, "remove all rows first")
	c.AddCommand(rows)
	return c
}

func (o *rebuildOptions) parse() (err error) {
	if err := oneOf("--from", o.from, origins); err != nil {
		return err
	}
	if o.empty && (o.since != "" || o.until != "") {
		return fail(exitUsage, "--empty removes all rows, and --since and --until would write only some of them again")
	}
	now := time.Now()
	if o.begin, err = moment(o.since, now); err != nil {
		return fail(exitUsage, "--since: %s", fault.Of(err).Message)
	}
	if o.end, err = moment(o.until, now); err != nil {
		return fail(exitUsage, "--until: %s", fault.Of(err).Message)
	}
	return nil
}

// rebuilt is what a rebuild did.
type rebuilt struct {
	Records  int64    `json:"records"` // read and written, or known to be no row
	Refused  int64    `json:"refused"` // that no table takes
	Unread   int64    `json:"unread"`  // values that say nothing that can be read
	Missing  []string `json:"missing"` // what should have been there
	Seconds  float64  `json:"seconds"`
	Database string   `json:"database"`
}

// rebuild reads every topic that ClickHouse has rows of, and writes them.
func (p *program) rebuild(ctx context.Context, cfg Config, o rebuildOptions) error {
	if o.into != "" {
		cfg.ClickHouse.Database = o.into
	}
	if err := cfg.Validate(); err != nil {
		return exit{exitUsage, err.Error()}
	}
	log := telemetry.NewLogger(p.stderr, cfg.Telemetry.Level, slog.String("role", "rebuild"))
	sink, err := clickhouse.Open(ctx, cfg.ClickHouse, log, nil)
	if err != nil {
		return remote(err)
	}
	defer sink.Close()
	began := time.Now()
	b := &rebuilder{cfg: cfg, o: o, log: log, sink: sink, done: rebuilt{Missing: []string{}, Database: cfg.ClickHouse.Database}}
	if o.empty {
		if err := sink.Empty(ctx); err != nil {
			return remote(err)
		}
	}
	for _, spec := range topology.ClickHouse.Reads {
		if err := b.topic(ctx, spec.Name); err != nil {
			return remote(err)
		}
	}
	b.done.Seconds = time.Since(began).Seconds()
	return p.printRebuilt(b.done)
}

func (p *program) printRebuilt(r rebuilt) error {
	if p.json {
		if err := p.print(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "%d records into %s in %.1f s; %d refused, %d unreadable\n", r.Records, r.Database, r.Seconds, r.Refused, r.Unread)
		for _, m := range r.Missing {
			fmt.Fprintln(p.stdout, "missing:", m)
		}
	}
	if len(r.Missing) > 0 || r.Refused > 0 {
		return exit{code: exitPartial}
	}
	return nil
}

// rebuilder writes batches as a sink would: of consecutive records of one partition.
type rebuilder struct {
	cfg   Config
	o     rebuildOptions
	log   *slog.Logger
	sink  *clickhouse.Sink
	texts schemas.Archived
	held  map[int32]*schemas.Batch
	done  rebuilt
}

// topic reads a topic from the archive and then from the broker, or from the broker alone.
func (b *rebuilder) topic(ctx context.Context, topic string) error {
	b.held = map[int32]*schemas.Batch{}
	var ends []schemas.Progress
	if b.o.from == "archive" {
		var err error
		if ends, err = b.archive(ctx, topic); err != nil {
			return err
		}
	}
	if b.o.from == "topics" || b.o.end.IsZero() {
		if err := b.topics(ctx, topic, ends); err != nil {
			return err
		}
	}
	for _, held := range b.held {
		if err := b.write(ctx, *held); err != nil {
			return err
		}
	}
	return nil
}

// archive reads what is archived of a topic and returns up to where that is.
func (b *rebuilder) archive(ctx context.Context, topic string) ([]schemas.Progress, error) {
	objects, err := blob.Open(b.cfg.Objects, nil)
	if err != nil {
		return nil, err
	}
	r := s3.NewReader(objects)
	r.Damaged = func(d *s3.Damage) error {
		b.log.Error("the archive is damaged", "file", d.File, "error", d)
		b.done.Missing = append(b.done.Missing, d.Error())
		return nil
	}
	ends, err := r.Ends(ctx, topic) // before it is read: what is archived meanwhile is read twice rather than not at all
	if err != nil {
		return nil, err
	}
	return ends, r.Read(ctx, []string{topic}, b.o.begin, b.o.end, func(rec schemas.Record) error {
		rec.Event, _ = b.texts.Decode(rec) // nil where nobody can read it
		return b.take(ctx, rec)
	})
}

// topics reads what the broker holds of a topic from given ends on.
func (b *rebuilder) topics(ctx context.Context, topic string, from []schemas.Progress) error {
	codec, err := b.cfg.Kafka.Codec()
	if err != nil {
		return err
	}
	return stream.Scan{Conn: b.cfg.Kafka, Plan: b.cfg.Topics, Codec: codec, From: from,
		Gap: func(partition int32, first, next int64) {
			b.done.Missing = append(b.done.Missing, fmt.Sprintf("%s/%d: offsets %d to %d are neither archived nor in the topic any more", topic, partition, first, next-1))
		},
		Yield: func(r schemas.Record) error {
			if r.Timestamp.Before(b.o.begin) || !b.o.end.IsZero() && !r.Timestamp.Before(b.o.end) {
				return nil
			}
			return b.take(ctx, r)
		}}.Read(ctx, topic)
}

// take adds a record to its batch and writes that when it is full.
func (b *rebuilder) take(ctx context.Context, r schemas.Record) error {
	if r.Event == nil {
		b.done.Unread++
		return nil
	}
	held, ok := b.held[r.Partition]
	if !ok {
		held = &schemas.Batch{Topic: r.Topic, Partition: r.Partition, First: r.Offset}
		b.held[r.Partition] = held
	}
	held.Last, held.Events = r.Offset, append(held.Events, r.Event)
	if len(held.Events) < b.cfg.Stream.SinkBatch {
		return nil
	}
	delete(b.held, r.Partition)
	return b.write(ctx, *held)
}

// write waits for a store that is away, and halves a batch that is refused until the record at fault stands alone.
func (b *rebuilder) write(ctx context.Context, batch schemas.Batch) error {
	var refused error
	err := untilDone(ctx, func() (bool, error) {
		err := b.sink.Write(ctx, batch)
		switch {
		case err != nil && ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil && fault.KindOf(err) == fault.Unavailable:
			b.log.Warn("waiting for ClickHouse", "error", err)
			return false, nil
		}
		refused = err
		return true, nil
	})
	if err != nil {
		return err
	}
	n := len(batch.Events)
	switch {
	case refused == nil:
		b.done.Records += int64(n)
		return nil
	case n == 1:
		b.log.Error("a record does not fit its table", "topic", batch.Topic, "partition", batch.Partition, "offset", batch.First, "error", refused)
		b.done.Refused++
		return nil
	}
	m := n / 2
	return errors.Join(b.write(ctx, schemas.Batch{Topic: batch.Topic, Partition: batch.Partition, First: batch.First, Last: batch.Last, Events: batch.Events[:m]}),
		b.write(ctx, schemas.Batch{Topic: batch.Topic, Partition: batch.Partition, First: batch.First, Last: batch.Last, Events: batch.Events[m:]}))
}
