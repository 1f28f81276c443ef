package main

import (
	"github.com/spf13/cobra"
)

func (p *program) topologyCommand() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "topology", Short: "Print the graph of topics, stages, folds and sinks", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if p.json {
				format = "json"
			}
			if err := oneOf("--format", format, []string{"text", "mermaid", "json"}); err != nil {
				return err
			}
			cfg, err := p.config()
			if err != nil {
				return err
			}
			return cfg.Topics.Describe(p.stdout, format)
		}}
	c.Flags().StringVar(&format, "format", "text", "text, mermaid or json")
	return c
}
