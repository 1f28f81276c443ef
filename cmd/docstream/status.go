package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{Use: "status JOB", Short: "Say how far a job is", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := p.client()
			if err != nil {
				return err
			}
			j, err := cl.job(c.Context(), args[0])
			if err != nil {
				return err
			}
			return p.show(j, j.line())
		}}
}

// line describes a job in one line.
func (j job) line() string {
	text := fmt.Sprintf("%s  %s", j.JobID, j.Status)
	if j.Progress.PagesTotal > 0 {
		text += fmt.Sprintf("  %d of %d pages", j.Progress.PagesDone, j.Progress.PagesTotal)
	}
	if j.Progress.PagesFailed > 0 {
		text += fmt.Sprintf(", %d failed", j.Progress.PagesFailed)
	}
	if j.Error != nil {
		text += "  " + j.Error.Message + " (" + j.Error.Code + ")"
	}
	return text
}
