package replay_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/producers/replay"
	"docstream/schemas"
	archive "docstream/sinks/s3"
)

// BenchmarkCount measures how many archived submissions a second a dry run counts, from being asked for to being done.
func BenchmarkCount(b *testing.B) {
	const n = 100_000
	w := newWorld(b)
	store, err := blob.Open(testenv.S3(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	from := time.Now().UTC().Add(-240 * time.Hour).Truncate(24 * time.Hour)
	topic := w.lay(store, from, n)
	kept := archive.NewReader(store)
	w.source = func(ctx context.Context, from, to time.Time, yield func(replay.Record) error) error {
		return kept.Read(ctx, []string{topic}, from, to, func(r schemas.Record) error {
			return yield(replay.Record{Topic: w.plan.Name(r.Topic), Partition: r.Partition, Offset: r.Offset, At: r.Timestamp,
				Signature: r.Header(schemas.HeaderSignature), Value: r.Value})
		})
	}
	w.executor(w.publisher())
	took := time.Duration(0)
	for i := 0; b.Loop(); i++ {
		id, _ := w.say(replay.Request{Dry: true, Selection: schemas.Selection{From: from, Label: fmt.Sprint(i)}})
		e := w.ended("", id)
		if e.JobsTotal != n {
			b.Fatalf("%d jobs of %d", e.JobsTotal, n)
		}
		took += e.EndedAt.Sub(e.CreatedAt)
	}
	b.ReportMetric(float64(n)*float64(b.N)/took.Seconds(), "events/s")
}

// lay archives submissions of acme, a millisecond apart, and returns the topic they were written to.
func (w *world) lay(store *blob.S3, from time.Time, n int) (topic string) {
	w.t.Helper()
	sink := archive.New(archive.DefaultConfig(), store, slog.New(slog.DiscardHandler), nil)
	for i := range n {
		at := from.Add(time.Duration(i) * time.Millisecond)
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: acme, JobID: schemas.NewJobID(at), At: at, SubmittedAt: at}, RequestID: schemas.NewRequestID(at),
			FromPage: 1, Class: "cpu", Priority: "low", Source: schemas.Source{Key: schemas.SourceKey(acme, fmt.Sprint(i%1000)), Size: 60, MediaType: "text/plain", Filename: "a.txt"},
			Options: schemas.Options{OCR: "auto", OutputFormats: []string{"text"}}, Metadata: map[string]string{"a": "b"}}
		e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
		r := w.record(e)
		rec := schemas.Record{Topic: r.Topic[len(w.plan.Prefix):], Offset: int64(i), Timestamp: at, Key: r.Key, Value: r.Value, Event: e}
		var err error
		if rec.SchemaID, rec.Schema, err = w.codec.Schema(w.t.Context(), r.Value); err != nil {
			w.t.Fatal(err)
		}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, schemas.RecordHeader{Key: h.Key, Value: h.Value})
		}
		if i == 0 {
			topic = rec.Topic
			_, err = sink.Open(w.t.Context(), schemas.Partition{Topic: topic, TopicID: "id"})
		}
		if err == nil {
			err = sink.Append(rec)
		}
		if err == nil && sink.Full() {
			_, err = sink.Store(w.t.Context(), false)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := sink.Store(w.t.Context(), true); err != nil {
		w.t.Fatal(err)
	}
	return topic
}
