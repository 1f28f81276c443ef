package main

import (
	"context"
	"time"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/processors/deliver"
	"docstream/producers"
	"docstream/schemas"
)

// addDeliver binds deliver to the plan. What it returns runs beside the harness; end closes what it opened, after all have ended.
func addDeliver(h *stream.Harness, w *wiring) (runs []func(context.Context) error, end func(), err error) {
	client, err := w.cfg.Kafka.Client()
	if err != nil {
		return nil, nil, err
	}
	endpoints := deliver.NewEndpoints(w.key)
	settings, err := stream.OpenSettings(w.cfg.Kafka, w.cfg.Topics, w.codec, w.log, endpoints.Take)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	p := producers.New(client, stream.NewWriter(w.cfg.Topics, w.codec, "deliver", w.key))
	d, err := deliver.New(w.cfg.Deliver, endpoints, deliver.Around{
		Publish: func(ctx context.Context, events ...schemas.Event) error {
			return p.PublishAll(ctx, events, schemas.NewRequestID(time.Now()))
		},
		End: stream.Ends(w.cfg.Kafka, w.cfg.Topics), Fresh: settings.Fresh, Objects: w.objects,
	}, w.log, w.reg)
	if err != nil {
		settings.Close()
		client.Close()
		return nil, nil, err
	}
	stream.AddLog(h, topology.Deliver, d)
	return []func(context.Context) error{settings.Run, d.Run}, func() { settings.Close(); client.Close() }, nil
}
