package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/ops"
)

func (p *program) topicsCommand() *cobra.Command {
	c := &cobra.Command{Use: "topics", Short: "Create and list the topics of the plan", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say topics apply or topics list") }}
	c.AddCommand(
		&cobra.Command{Use: "apply", Short: "Create missing topics, correct settings, register the schemas", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				cfg, err := p.cluster()
				if err != nil {
					return err
				}
				report, err := applyTopics(c.Context(), cfg)
				if err != nil {
					return remote(err)
				}
				return p.printReport(report)
			}},
		&cobra.Command{Use: "list", Short: "List the topics of the plan as the brokers have them", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				cfg, err := p.cluster()
				if err != nil {
					return err
				}
				return p.listTopics(c.Context(), cfg)
			}},
	)
	return c
}

// applyTopics brings brokers and registry to the plan.
func applyTopics(ctx context.Context, cfg Config) (ops.Report, error) {
	client, err := cfg.Kafka.Client()
	if err != nil {
		return ops.Report{}, err
	}
	defer client.Close()
	report, err := ops.Apply(ctx, client, cfg.Topics)
	if err != nil {
		return report, err
	}
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		return report, err
	}
	return report, stream.Register(ctx, codec, cfg.Topics)
}

func (p *program) listTopics(ctx context.Context, cfg Config) error {
	client, err := cfg.Kafka.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := ops.List(ctx, client, cfg.Topics)
	if err != nil {
		return remote(err)
	}
	if p.json {
		return p.print(topics)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\tREPLICAS\tKEEPS\tRECORDS\tDIFFERS FROM THE PLAN")
	for _, t := range topics {
		keeps := "for ever"
		switch {
		case t.Compact:
			keeps = "newest by key"
		case t.Retention > 0:
			keeps = t.Retention.String()
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%s\n", t.Name, t.Partitions, t.Replicas, keeps, t.Records, strings.Join(t.Drift, ", "))
	}
	return w.Flush()
}

func (p *program) printReport(r ops.Report) error {
	if p.json {
		return p.print(r)
	}
	for _, part := range []struct {
		what   string
		topics []string
	}{{"created", r.Created}, {"got more partitions:", r.Grown}, {"settings corrected:", r.Altered}, {"warning:", r.Warnings}} {
		for _, t := range part.topics {
			fmt.Fprintln(p.stdout, part.what, t)
		}
	}
	if !r.Changed() {
		fmt.Fprintln(p.stdout, "the topics are as the plan has them")
	}
	return nil
}

// remote gives an error of the world the exit code that says so.
func remote(err error) error {
	if err != nil && fault.KindOf(err) == fault.Unavailable {
		return exit{exitUnreachable, err.Error()}
	}
	return err
}

// cluster is the configuration with which to reach Kafka and the stores: a running one-machine service's where --data names one, or where nothing else
// was configured; else the configured one.
func (p *program) cluster() (Config, error) {
	cfg, err := p.config()
	if err != nil {
		return cfg, err
	}
	usual := defaults()
	configured := cfg.Kafka.Registry != usual.Kafka.Registry || cfg.Kafka.Brokers[0] != usual.Kafka.Brokers[0] || cfg.HouseKey.Secret != ""
	if p.data == "" && configured {
		return cfg, nil
	}
	d, err := p.service()
	if err != nil {
		return cfg, err
	}
	var s secrets
	if err := readJSON(filepath.Join(d.Data, "secrets"), &s); err != nil {
		return cfg, err
	}
	cfg.Kafka.Brokers, cfg.Kafka.Registry, cfg.Topics.Prefix = strings.Split(d.Kafka, ","), d.Registry, d.TopicsPrefix
	cfg.HouseKey.Secret = s.HouseKey
	cfg.Objects.Endpoint, cfg.Objects.PathStyle, cfg.Objects.Bucket = d.S3, true, d.S3Bucket
	cfg.Objects.AccessKey, cfg.Objects.SecretKey = d.S3AccessKey, d.S3SecretKey
	if d.ClickHouse != "" {
		cfg.ClickHouse.DSN = d.ClickHouse
	}
	return cfg, nil
}
