package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/ops/bench/bare"
	"docstream/ops/bench/refold"
	"docstream/processors/track"
	"docstream/schemas"
	archive "docstream/sinks/s3"
)

const (
	laidSources   = 1000                // objects that the events of a laid archive share
	laidPartition = 1000                // no partition of the lane: nobody writes there
	laidAge       = 10 * 24 * time.Hour // older than what the lanes keep, younger than the sources are
)

// laidArchive is an archive of submissions that nobody works on before they are replayed.
type laidArchive struct {
	cfg      Config
	objects  *blob.S3
	codec    *schemas.Codec
	n        int
	from, to time.Time // when they were accepted
	topic    string    // without prefix
	sources  []schemas.Source
	label    string
}

func (p *program) newLaidArchive(cfg Config, n int) (*laidArchive, error) {
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		return nil, err
	}
	objects, err := blob.Open(cfg.Objects, nil)
	if err != nil {
		return nil, err
	}
	from := time.Now().Add(-laidAge).UTC().Truncate(time.Millisecond)
	a := &laidArchive{cfg: cfg, objects: objects, codec: codec, n: n, from: from, to: from.Add(time.Duration(n) * time.Millisecond), label: rand.Text()}
	for _, l := range topology.Documents.All() {
		if l.Class == "cpu" && l.Priority == "low" {
			a.topic = l.Topic
		}
	}
	return a, nil
}

// selection is all of it and nothing else.
func (a *laidArchive) selection(label string) schemas.Selection {
	return schemas.Selection{From: a.from, To: a.to, Label: label}
}

// each makes the records, the same ones each time but for their ids: signed as the gateway signs, with the headers it writes.
func (a *laidArchive) each(ctx context.Context, yield func(int, *schemas.DocumentSubmitted, *kgo.Record) error) error {
	key, err := a.cfg.HouseKey.signing()
	if err != nil {
		return err
	}
	w := stream.NewWriter(a.cfg.Topics, a.codec, "gateway", key)
	for i := range a.n {
		at := a.from.Add(time.Duration(i) * time.Millisecond)
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "default", JobID: schemas.NewJobID(at), At: at, SubmittedAt: at}, RequestID: schemas.NewRequestID(at),
			FromPage: 1, Class: "cpu", Priority: "low", Source: a.sources[i%len(a.sources)],
			Options: schemas.Options{OCR: "auto", OutputFormats: []string{"text"}}, Metadata: map[string]string{"bench": a.label}}
		e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
		r, err := w.Record(ctx, e, e.RequestID)
		if err != nil {
			return err
		}
		if err := errors.Join(yield(i, e, r), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// lay writes the sources, then the archive as its sink does, and the same records into a topic for the plain reader.
func (a *laidArchive) lay(ctx context.Context) (*bare.Log, error) {
	if err := a.laySources(ctx); err != nil {
		return nil, err
	}
	if err := stream.Register(ctx, a.codec, a.cfg.Topics); err != nil {
		return nil, err
	}
	sink := archive.New(a.cfg.Archive, a.objects, slog.New(slog.DiscardHandler), nil)
	next, err := sink.Open(ctx, schemas.Partition{Topic: a.topic, TopicID: "bench " + a.label, Number: laidPartition})
	if err != nil {
		return nil, err
	}
	if next > 0 {
		return nil, fail(exitFailed, "the archive holds what an earlier measurement left: remove archive/%s/dt=*/p=%d", a.topic, laidPartition)
	}
	l, err := bare.Lay(ctx, a.cfg.Kafka, a.cfg.Topics.Prefix, func(add func(*kgo.Record)) error {
		return a.each(ctx, func(i int, e *schemas.DocumentSubmitted, r *kgo.Record) error {
			rec := schemas.Record{Topic: a.topic, Partition: laidPartition, Offset: int64(i), Timestamp: e.At, Key: r.Key, Value: r.Value, Event: e}
			var err error
			if rec.SchemaID, rec.Schema, err = a.codec.Schema(ctx, r.Value); err != nil {
				return err
			}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, schemas.RecordHeader{Key: h.Key, Value: h.Value})
			}
			if add(r); sink.Full() {
				if _, err := sink.Store(ctx, false); err != nil {
					return err
				}
			}
			return sink.Append(rec)
		})
	})
	if err != nil {
		return nil, err
	}
	_, err = sink.Store(ctx, true)
	return l, err
}

// laySources writes the few documents that the events name: no upload of a client's.
func (a *laidArchive) laySources(ctx context.Context) error {
	for i := range min(a.n, laidSources) {
		body := fmt.Appendf(nil, "This document measures a replay. It is number %d.\n", i)
		key := schemas.SourceKey("default", fmt.Sprintf("bench-%s-%d", strings.ToLower(a.label), i))
		if err := a.objects.Put(ctx, key, body, blob.Options{MediaType: "text/plain"}); err != nil {
			return err
		}
		a.sources = append(a.sources, schemas.Source{Key: key, Size: int64(len(body)), MediaType: "text/plain", Filename: "bench.txt"})
	}
	return nil
}

// remove takes the archive away again; the jobs that were run stay.
func (a *laidArchive) remove(ctx context.Context) error {
	var keys []string
	err := a.objects.List(ctx, "archive/"+a.topic+"/", func(o blob.Object) bool {
		if strings.Contains(o.Key, fmt.Sprintf("/p=%d/", laidPartition)) {
			keys = append(keys, o.Key)
		}
		return true
	})
	keys = append(keys, fmt.Sprintf("archive/_positions/%s/p=%d.json", a.topic, laidPartition))
	for _, k := range keys {
		err = errors.Join(err, a.objects.Delete(ctx, k))
	}
	return err
}

// sourcesNow counts the objects that uploads have made.
func (a *laidArchive) sourcesNow(ctx context.Context) (n int, err error) {
	return n, a.objects.List(ctx, "sources/", func(blob.Object) bool { n++; return true })
}

// folded is the fold that is measured against what it wrote.
func (a *laidArchive) folded() (refold.Log, refold.Fold) {
	return refold.Log{Conn: a.cfg.Kafka, Plan: a.cfg.Topics, Codec: a.codec}, track.New(a.cfg.Track, a.codec.Decode)
}
