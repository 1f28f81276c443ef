package main

import (
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) resultCommand() *cobra.Command {
	var format, table, to string
	c := &cobra.Command{Use: "result JOB", Short: "Print the result of a job", Args: cobra.ExactArgs(1), Long: "Print the result of a job that has ended.\n" + exitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			if p.json && !c.Flags().Changed("output") {
				format = "json"
			}
			if table != "" && !c.Flags().Changed("output") {
				format = "csv"
			}
			for f := range strings.SplitSeq(format, ",") {
				if err := oneOf("-o", f, slices.Concat(outputs, []string{"zip"})); err != nil {
					return err
				}
			}
			query := url.Values{"format": {format}}
			if table != "" {
				query.Set("table", table)
			}
			cl, err := p.client()
			if err != nil {
				return err
			}
			if to == "" {
				return cl.result(c.Context(), args[0], query, p.stdout)
			}
			return writeFile(to, func(w io.Writer) error { return cl.result(c.Context(), args[0], query, w) })
		}}
	c.Flags().StringVarP(&format, "output", "o", "markdown", "format: "+strings.Join(outputs, ", ")+"; several parted by commas, or zip for all, are a zip")
	c.Flags().StringVar(&table, "table", "", "one table as CSV, from 1, or all as a zip")
	c.Flags().StringVar(&to, "to", "", "file to write instead of standard output")
	return c
}
