package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"docstream/ops"
)

func (p *program) lagCommand() *cobra.Command {
	var most int64
	var over time.Duration
	c := &cobra.Command{Use: "lag", Short: "Say how far each stage is behind on each lane", Args: cobra.NoArgs,
		Long: "Print, for every stage and every lane it reads: what is committed, where the lane ends, and the records between.\n" +
			"PAGES is known where a record is a page. SECONDS is the time to work the lane off at the pace seen during --over; - where\n" +
			"nothing moved. With --max the exit code is 1 when a lane has more records than that.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.cluster()
			if err != nil {
				return err
			}
			if over < 0 {
				return fail(exitUsage, "--over must not be negative")
			}
			lags, err := ops.Lags(c.Context(), cfg.Kafka, cfg.Topics, over)
			if err != nil {
				return remote(err)
			}
			if err := p.printLags(lags); err != nil {
				return err
			}
			if !c.Flags().Changed("max") {
				return nil
			}
			return above(lags, most)
		}}
	c.Flags().Int64Var(&most, "max", 0, "records a lane may have; more is exit code 1")
	c.Flags().DurationVar(&over, "over", 2*time.Second, "time to watch the pace for; 0 looks once")
	return c
}

func (p *program) printLags(lags []ops.Lag) error {
	if p.json {
		return p.print(lags)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STAGE\tLANE\tREADERS\tCOMMITTED\tEND\tRECORDS\tPAGES\tSECONDS")
	for _, l := range lags {
		pages, seconds := "-", "-"
		if l.Pages != nil {
			pages = fmt.Sprint(*l.Pages)
		}
		if l.Seconds != nil {
			seconds = fmt.Sprintf("%.0f", *l.Seconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", l.Stage, l.Lane, l.Readers, l.Committed, l.End, l.Records, pages, seconds)
	}
	return w.Flush()
}

// above is an error where a lane has more than the most records.
func above(lags []ops.Lag, most int64) error {
	var over []string
	for _, l := range lags {
		if l.Records > most {
			over = append(over, fmt.Sprintf("%s on %s (%d)", l.Stage, l.Lane, l.Records))
		}
	}
	if len(over) == 0 {
		return nil
	}
	return fail(exitFailed, "more than %d records: %s", most, strings.Join(over, ", "))
}
