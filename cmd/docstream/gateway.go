package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"docstream/gateway"
	"docstream/gateway/view"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/processors/compose"
	"docstream/producers"
	"docstream/producers/deadletters"
	"docstream/producers/holder"
)

func (p *program) gatewayCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{Use: "gateway", Short: "Serve the API", Args: cobra.NoArgs,
		Long: "Serve the API: submit documents, follow jobs, fetch results. Any number of gateways give the same answers.",
		RunE: func(c *cobra.Command, _ []string) error {
			more := []string{"telemetry.metrics="} // the gateway serves its metrics itself
			if listen != "" {
				more = append(more, "gateway.listen="+listen)
			}
			w, err := p.wire("gateway", more...)
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(gatewayGarbage)
			}
			ctx, cancel := p.alive(c.Context())
			defer cancel()
			return w.serve(ctx, func(ctx context.Context) error { return serveGateway(ctx, w) })
		}}
	c.Flags().StringVar(&listen, "listen", "", "address to serve at, host:port")
	return c
}

// gatewayGarbage is the garbage a gateway lets lie, in percent of what lives: with Go's own 100 a heap of some ten megabytes is collected
// several times a second, and those who submit wait for it. GOGC in the environment takes its place.
const gatewayGarbage = 400

// serveGateway runs view and gateway; the view ends last, because the gateway answers from it.
func serveGateway(ctx context.Context, w *wiring) error {
	client, err := w.cfg.Kafka.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := registerSchemas(ctx, w); err != nil {
		return err
	}
	v := view.New(w.cfg.View, w.cfg.Kafka, w.cfg.Topics, w.codec, w.key, w.log, w.reg)
	verifier, follow, err := w.verifier()
	if err != nil {
		return err
	}
	v.Believe(verifier)
	p := producers.New(client, stream.NewWriter(w.cfg.Topics, w.codec, "gateway", w.key))
	_, revision := telemetry.Build()
	x := w.replays(v, p, verifier)
	g := gateway.New(w.cfg.Gateway, v, p, w.objects, w.key, gateway.Info{Version: w.version, Revision: revision}, w.log, w.reg)
	g.Buckets(w.cfg.Prepare.Registered, w.objects)
	g.LinkResults(w.objects)
	g.TakeUploads(w.objects)
	g.ServePages(compose.NewReader(w.cfg.Compose, w.objects))
	g.ServeDeadLetters(deadletters.Box{Conn: w.cfg.Kafka, Plan: w.cfg.Topics, Codec: w.codec, Client: client})
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	viewing, stopViewing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopViewing()
	followed := make(chan error, 1)
	go func() { followed <- follow(viewing) }() // as long as the view, which asks it
	seen := make(chan error, 1)
	go func() {
		seen <- v.Run(viewing)
		stopServing() // a gateway without a view has nothing to say
	}()
	replayed, batched := make(chan error, 1), make(chan error, 1)
	go func() { replayed <- x.Run(serving) }()
	go func() { batched <- w.batches(g).Run(serving) }()
	err = errors.Join(g.Run(serving), stopped(stopServing, replayed), stopped(stopServing, batched))
	stopViewing()
	if viewErr := errors.Join(<-seen, <-followed); viewErr != nil {
		return viewErr
	}
	return err
}

// batches is the feeding of the batches: every gateway stands for election.
func (w *wiring) batches(g *gateway.Gateway) holder.Work {
	topic := w.cfg.Topics.Name(topology.Settings.Spec.Name)
	return holder.Work{Conn: w.cfg.Kafka, Group: w.cfg.Topics.Group(topology.Batches, topic), Topic: topic, Name: "batches", Log: w.log, Hold: g.FeedBatches}
}

// stopped ends what else is served and waits for it.
func stopped(stop func(), done <-chan error) error {
	stop()
	return <-done
}

// registerSchemas waits for the registry: a gateway that starts before it is no failure.
func registerSchemas(ctx context.Context, w *wiring) error {
	return untilDone(ctx, func() (bool, error) {
		err := stream.Register(ctx, w.codec, w.cfg.Topics)
		if err != nil {
			w.log.Warn("waiting for the schema registry", "error", err)
		}
		return err == nil, nil
	})
}
