package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/connectors/s3"
)

// Connectors has a section for each system documents come from.
type Connectors struct {
	S3 s3.Config `koanf:"s3"`
}

func (p *program) connectorCommand() *cobra.Command {
	c := &cobra.Command{Use: "connector", Short: "Take documents in from other systems", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say connector s3") }}
	c.AddCommand(p.connectorS3Command())
	return c
}

func (p *program) connectorS3Command() *cobra.Command {
	var from string
	c := &cobra.Command{Use: "s3", Short: "Turn notifications of S3 buckets into jobs", Args: cobra.NoArgs,
		Long: "Read notifications of S3 buckets from an SQS queue or a Kafka topic; each version of an object becomes one job, read where it lies.\n" +
			"connectors.s3 of the configuration names the queue or topic and the rules, prepare.buckets the buckets a tenant may read.",
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" {
				return fail(exitUsage, "--from is missing: sqs or kafka")
			}
			if err := oneOf("--from", from, []string{"sqs", "kafka"}); err != nil {
				return err
			}
			w, err := p.wire("connector")
			if err != nil {
				return err
			}
			if err := hasSource(w.cfg.Connectors.S3, from); err != nil {
				return err
			}
			ctx, cancel := p.alive(c.Context())
			defer cancel()
			client, connector, err := newConnector(w)
			if err != nil {
				return err
			}
			defer client.Close()
			w.ready = connector.Ready
			return w.serve(ctx, func(ctx context.Context) error {
				if err := registerSchemas(ctx, w); err != nil {
					return err
				}
				if from == "sqs" {
					return connector.FromSQS(ctx)
				}
				return connector.FromKafka(ctx)
			})
		}}
	c.Flags().StringVar(&from, "from", "", "where the notifications are: sqs or kafka")
	c.AddCommand(p.connectorS3ScanCommand())
	return c
}

// hasSource says in one line what the configuration lacks.
func hasSource(c s3.Config, from string) error {
	switch {
	case len(c.Rules) == 0:
		return fail(exitUsage, "connectors.s3.rules is empty: no object would become a job")
	case from == "sqs" && c.Queue == "":
		return fail(exitUsage, "connectors.s3.queue is not set: name the URL of the queue")
	case from == "kafka" && c.Topic == "":
		return fail(exitUsage, "connectors.s3.topic is not set: name the topic of the notifications")
	}
	return nil
}

// newConnector builds the connector and the client it writes with.
func newConnector(w *wiring) (*kgo.Client, *s3.Connector, error) {
	client, err := w.cfg.Kafka.Client()
	if err != nil {
		return nil, nil, err
	}
	return client, s3.New(w.cfg.Connectors.S3, w.cfg.Kafka, w.cfg.Topics, w.codec, w.key, client, w.objects, w.log, w.reg), nil
}

func (p *program) connectorS3ScanCommand() *cobra.Command {
	var o s3.ScanOptions
	var since time.Duration
	c := &cobra.Command{Use: "scan", Short: "Submit what no notification announced", Args: cobra.NoArgs,
		Long: "List the buckets of the rules and submit every object whose job nobody has heard of. The ids are those that notifications give,\n" +
			"so that a scan may run beside the connector, and again, and nothing is read twice.",
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := p.wire("connector", "telemetry.metrics=")
			if err != nil {
				return err
			}
			if len(w.cfg.Connectors.S3.Rules) == 0 {
				return fail(exitUsage, "connectors.s3.rules is empty: no bucket to scan")
			}
			if since < 0 {
				return fail(exitUsage, "--since must not be negative")
			}
			if since > 0 {
				o.Since = time.Now().Add(-since)
			}
			ctx, cancel := p.alive(c.Context())
			defer cancel()
			return p.scan(ctx, w, o)
		}}
	c.Flags().StringSliceVar(&o.Buckets, "bucket", nil, "scan only this bucket of the rules; may be repeated")
	c.Flags().DurationVar(&since, "since", 0, "only objects written in this last while, such as 48h; all by default")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "count what is missing and submit nothing")
	return c
}

// scan runs one scan and prints what it found; progress goes to a terminal only.
func (p *program) scan(ctx context.Context, w *wiring, o s3.ScanOptions) error {
	client, connector, err := newConnector(w)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := registerSchemas(ctx, w); err != nil {
		return err
	}
	if terminal(p.stderr) {
		o.Report = func(s s3.ScanSummary) {
			fmt.Fprintf(p.stderr, "\r%d objects, %d known, %d missing, %d submitted", s.Listed, s.Known, s.Missing, s.Submitted)
		}
	}
	sum, err := connector.Scan(ctx, func(bucket string) s3.Listing { return w.objects.In(bucket) }, o)
	if o.Report != nil {
		fmt.Fprintln(p.stderr)
	}
	if err != nil {
		return remote(err)
	}
	if p.json {
		return p.print(sum)
	}
	verb := "submitted"
	if sum.DryRun {
		verb = "would submit"
		sum.Submitted = sum.Missing
	}
	fmt.Fprintf(p.stdout, "%d objects: %d known, %d missing (%d bytes), %s %d%s, in %.1f s\n", sum.Listed, sum.Known, sum.Missing, sum.Bytes, verb, sum.Submitted,
		passedOver(sum.Filtered), sum.Seconds)
	return nil
}

// passedOver says why objects were filtered, in a fixed order.
func passedOver(filtered map[string]int) string {
	var parts []string
	for reason, n := range filtered {
		parts = append(parts, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return "; passed over: " + strings.Join(parts, ", ")
}
