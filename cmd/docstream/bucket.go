package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"docstream/internal/blob"
	"docstream/internal/retention"
)

func (p *program) bucketCommand() *cobra.Command {
	c := &cobra.Command{Use: "bucket", Short: "Create the bucket of the object store", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say bucket apply") }}
	c.AddCommand(&cobra.Command{Use: "apply", Short: "Create the bucket where it is missing, and have it expire objects", Args: cobra.NoArgs,
		Long: "Create the bucket where it is missing, and set its lifecycle rules (retention.*). Rules of others stay. Where the store takes none, the sinks sweep.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			objects, err := blob.Open(cfg.Objects, prometheus.NewRegistry())
			if err != nil {
				return exit{exitUsage, err.Error()}
			}
			if err := objects.EnsureBucket(c.Context()); err != nil {
				return remote(err)
			}
			by, err := retention.New(cfg.Retention, objects, slog.New(slog.DiscardHandler), nil).Apply(c.Context())
			if err != nil {
				return remote(err)
			}
			_, err = fmt.Fprintf(p.stdout, "the bucket %s is there; objects expire by: %s\n", cfg.Objects.Bucket, by)
			return err
		}})
	return c
}
