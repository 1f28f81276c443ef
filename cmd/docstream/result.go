package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) resultCommand() *cobra.Command {
	var format, to string
	c := &cobra.Command{Use: "result JOB", Short: "Print the result of a job", Args: cobra.ExactArgs(1), Long: "Print the result of a job that has ended.\n" + exitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			if p.json && !c.Flags().Changed("output") {
				format = "json"
			}
			if err := oneOf("-o", format, outputs); err != nil {
				return err
			}
			cl, err := p.client()
			if err != nil {
				return err
			}
			if to == "" {
				return cl.result(c.Context(), args[0], format, p.stdout)
			}
			return writeFile(to, func(w io.Writer) error { return cl.result(c.Context(), args[0], format, w) })
		}}
	c.Flags().StringVarP(&format, "output", "o", "markdown", "format: "+strings.Join(outputs, ", "))
	c.Flags().StringVar(&to, "to", "", "file to write instead of standard output")
	return c
}
