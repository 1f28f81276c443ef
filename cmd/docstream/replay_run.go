package main

import (
	"context"
	"time"

	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/internal/proof"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/producers/replay"
	"docstream/schemas"
	archive "docstream/sinks/s3"
)

// replays is the executor of the replays: every gateway stands for election, with its own view of the jobs.
func (w *wiring) replays(v *view.View, p *producers.Producer, verifier *proof.Verifier) *replay.Executor {
	x := &replay.Executor{Conn: w.cfg.Kafka, Plan: w.cfg.Topics, Codec: w.codec, Jobs: v, Objects: places{w.objects}, Publisher: p,
		Source: w.submissions(), Dir: w.cfg.View.Dir, Log: w.log,
		Proof: verifier}
	x.Register(w.reg)
	return x
}

// submissions are those that the lanes still hold, then those that the archive keeps: it goes further back. One that stands in both is
// yielded twice, which its reader expects. What the archive has lost is told and does not end a replay of all the rest.
func (w *wiring) submissions() replay.Source {
	lanes, kept := replay.Lanes(w.cfg.Kafka, w.cfg.Topics), archive.NewReader(w.objects)
	kept.Damaged = func(d *archive.Damage) error {
		w.log.Error("a replay passes over what the archive has lost", "file", d.File, "error", d.Err)
		return nil
	}
	var topics []string
	for _, l := range topology.Documents.All() {
		topics = append(topics, l.Topic)
	}
	return func(ctx context.Context, from, to time.Time, yield func(replay.Record) error) error {
		if err := lanes(ctx, from, to, yield); err != nil {
			return err
		}
		if !from.IsZero() {
			from = from.Add(-replay.Slack)
		}
		return kept.Read(ctx, topics, from, to.Add(replay.Slack), func(r schemas.Record) error {
			return yield(replay.Record{Topic: w.cfg.Topics.Name(r.Topic), Partition: r.Partition, Offset: r.Offset, At: r.Timestamp,
				Signature: r.Header(schemas.HeaderSignature), Value: r.Value})
		})
	}
}

// places reaches every bucket in which a source may lie.
type places struct{ *blob.S3 }

// In is the same store on another bucket.
func (p places) In(bucket string) blob.Store { return p.S3.In(bucket) }
