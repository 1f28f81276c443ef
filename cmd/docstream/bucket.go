package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"docstream/internal/blob"
)

func (p *program) bucketCommand() *cobra.Command {
	c := &cobra.Command{Use: "bucket", Short: "Create the bucket of the object store", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say bucket apply") }}
	c.AddCommand(&cobra.Command{Use: "apply", Short: "Create the bucket where it is missing", Args: cobra.NoArgs,
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
			_, err = fmt.Fprintf(p.stdout, "the bucket %s is there\n", cfg.Objects.Bucket)
			return err
		}})
	return c
}
