package main

import (
	"strings"

	"github.com/spf13/cobra"

	"docstream/internal/telemetry"
	"docstream/sinks/clickhouse"
)

func (p *program) sqlCommand() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "sql QUERY", Short: "Ask ClickHouse", Args: cobra.ExactArgs(1),
		Long: "Run a query. The stable views are jobs, pages, stages and usage; --json prints one object a row.",
		RunE: func(c *cobra.Command, args []string) error {
			if p.json {
				format = "json"
			}
			if err := oneOf("--format", format, clickhouse.Formats); err != nil {
				return err
			}
			cfg, err := p.analytics()
			if err != nil {
				return err
			}
			s, err := clickhouse.Connect(cfg, telemetry.NewLogger(p.stderr, "error"), nil)
			if err != nil {
				return err
			}
			defer s.Close()
			return remote(s.Query(c.Context(), args[0], p.stdout, format))
		}}
	c.Flags().StringVar(&format, "format", "table", strings.Join(clickhouse.Formats, ", "))
	return c
}

// analytics finds ClickHouse: the running one-machine service's, else the configured one.
func (p *program) analytics() (clickhouse.Config, error) {
	cfg, err := p.config()
	if err != nil {
		return clickhouse.Config{}, err
	}
	if p.data == "" && cfg.ClickHouse.DSN != defaults().ClickHouse.DSN {
		return cfg.ClickHouse, nil
	}
	d, err := p.service()
	if err != nil {
		return clickhouse.Config{}, err
	}
	if d.ClickHouse == "" {
		return clickhouse.Config{}, fail(exitUnreachable, "analytics is off in %s: libchdb is missing", d.Data)
	}
	cfg.ClickHouse.DSN = d.ClickHouse
	return cfg.ClickHouse, nil
}
