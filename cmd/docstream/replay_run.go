package main

import (
	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/producers"
	"docstream/producers/replay"
)

// replays is the executor of the replays: every gateway stands for election, with its own view of the jobs.
func (w *wiring) replays(v *view.View, p *producers.Producer) *replay.Executor {
	x := &replay.Executor{Conn: w.cfg.Kafka, Plan: w.cfg.Topics, Codec: w.codec, Jobs: v, Objects: places{w.objects}, Publisher: p,
		Source: replay.Lanes(w.cfg.Kafka, w.cfg.Topics), Dir: w.cfg.View.Dir, Log: w.log,
		Verify: func(topic, signature string, value []byte) bool { return w.key.Verify(signature, topic, value) }}
	x.Register(w.reg)
	return x
}

// places reaches every bucket in which a source may lie.
type places struct{ *blob.S3 }

// In is the same store on another bucket.
func (p places) In(bucket string) blob.Store { return p.S3.In(bucket) }
