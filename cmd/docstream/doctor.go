package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/blob"
	"docstream/internal/telemetry"
	"docstream/ops/doctor"
	"docstream/sinks/clickhouse"
)

func (p *program) doctorCommand() *cobra.Command {
	var limit, stuck time.Duration
	var only []string
	c := &cobra.Command{Use: "doctor", Short: "Look at every part and say what is wrong, what it means and what to do", Args: cobra.NoArgs,
		Long: "Ask every part the service needs: brokers, topics, access, registry, groups, dead letters, object store, models, disk, clock,\n" +
			"ClickHouse, jobs. A probe object is written and deleted; nothing else is changed. Run it where the configuration of a role is.\n" +
			"Exit code: 0 all is well, 8 something should be looked at, 1 something fails.",
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < time.Second || stuck <= 0 {
				return fail(exitUsage, "--limit is at least 1s and --stuck above 0")
			}
			cfg, err := p.cluster()
			if err != nil {
				return err
			}
			h, closing, err := p.patient(cfg, stuck)
			if err != nil {
				return err
			}
			defer closing()
			checks, err := chosen(h.Checks(), only)
			if err != nil {
				return err
			}
			return p.diagnose(c.Context(), checks, limit)
		}}
	c.Flags().DurationVar(&limit, "limit", 15*time.Second, "longest a part may take to answer")
	c.Flags().DurationVar(&stuck, "stuck", time.Hour, "a job that has not changed for so long is stuck")
	c.Flags().StringSliceVar(&only, "only", nil, "names of checks to run; all where it is left out")
	return c
}

// patient is the house as its configuration describes it.
func (p *program) patient(cfg Config, stuck time.Duration) (h doctor.House, closing func(), err error) {
	h = doctor.House{Kafka: cfg.Kafka, Plan: cfg.Topics, Principals: cfg.Principals, Models: cfg.Models, Stuck: stuck}
	closing = func() {}
	one := cfg.Objects
	one.Attempts = 1 // the doctor tells of the first failure
	objects, err := blob.Open(one, nil)
	if err != nil {
		return h, closing, err
	}
	h.Objects = objects
	if cfg.ClickHouse.DSN == "" {
		h.NoAnalysis = "libchdb is missing"
	} else {
		sink, err := clickhouse.Connect(cfg.ClickHouse, telemetry.NewLogger(p.stderr, "error"), nil)
		if err != nil {
			return h, closing, err
		}
		h.Analytics, closing = sink, func() { _ = sink.Close() } // it was only read from
	}
	h.Folders = []doctor.Folder{{Name: "prepare.source_dir", Path: cfg.Prepare.SourceDir, Need: cfg.Prepare.SourceBytes}, {Name: "TMPDIR", Path: os.TempDir()}}
	if cfg.View.Dir != "" {
		h.Folders = append(h.Folders, doctor.Folder{Name: "view.dir", Path: cfg.View.Dir})
	}
	return h, closing, nil
}

// chosen keeps the named checks.
func chosen(checks []doctor.Check, only []string) ([]doctor.Check, error) {
	if len(only) == 0 {
		return checks, nil
	}
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
	}
	for _, n := range only {
		if err := oneOf("--only", n, names); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(checks, func(c doctor.Check) bool { return !slices.Contains(only, c.Name) }), nil
}

func (p *program) diagnose(ctx context.Context, checks []doctor.Check, limit time.Duration) error {
	findings := doctor.Run(ctx, checks, limit)
	for i := range findings { // an error of a part may repeat what it was given
		f := &findings[i]
		f.Found = telemetry.Redact(f.Found)
	}
	if p.json {
		if err := p.print(findings); err != nil {
			return err
		}
	} else {
		p.printFindings(findings)
	}
	switch doctor.Worst(findings) {
	case doctor.Fail:
		return exit{exitFailed, ""}
	case doctor.Warn:
		return exit{exitWarned, ""}
	}
	return nil
}

func (p *program) printFindings(findings []doctor.Finding) {
	for _, f := range findings {
		fmt.Fprintf(p.stdout, "%-4s  %-12s  %s\n", strings.ToUpper(string(f.Level)), f.Check, strings.Join(strings.Fields(f.Found), " "))
		if f.Means != "" {
			fmt.Fprintf(p.stdout, "%20smeans: %s\n", "", f.Means)
		}
		if f.Do != "" {
			fmt.Fprintf(p.stdout, "%20sdo:    %s\n", "", f.Do)
		}
	}
}
