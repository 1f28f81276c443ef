package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/blob"
	"docstream/internal/telemetry"
	"docstream/ops/verify"
	"docstream/sinks/clickhouse"
)

// verifyFlags are what a verification is told.
type verifyFlags struct {
	wait     time.Duration
	accepted string
	tenant   string
	noAPI    bool
}

func (p *program) verifyCommand() *cobra.Command {
	var o verifyFlags
	c := &cobra.Command{Use: "verify", Short: "Hold what a service left behind to its promises", Args: cobra.NoArgs,
		Long: "Read the log, the object store, the analytics and the API of a service that is at rest, and check that they tell the same story of every job:\n" +
			"nothing accepted is lost, every run ended once with one result set and one usage row a stage and page, versions only grow, the same document\n" +
			"gives the same result, and nothing of one tenant lies at another's. Prints each promise that is not kept and exits 1.",
		RunE: func(c *cobra.Command, _ []string) error { return p.verify(c.Context(), o) }}
	f := c.Flags()
	f.DurationVar(&o.wait, "wait", 0, "look again until nothing is amiss, for so long: sinks come a little later")
	f.StringVar(&o.accepted, "accepted", "", "file that names what was accepted, a line each: TENANT/JOB")
	f.BoolVar(&o.noAPI, "no-api", false, "do not ask the API")
	f.StringVar(&o.tenant, "tenant", "default", "tenant of the API key: the API must show its jobs and no other")
	return c
}

func (p *program) verify(ctx context.Context, o verifyFlags) error {
	for deadline := time.Now().Add(o.wait); ; {
		e, err := p.evidence(ctx, o)
		if err != nil {
			return remote(err)
		}
		broken := verify.Check(e)
		if len(broken) > 0 && time.Now().Before(deadline) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Second):
			}
			continue
		}
		if p.json {
			if broken == nil {
				broken = []verify.Violation{}
			}
			if err := p.print(broken); err != nil {
				return err
			}
		} else {
			for _, v := range broken {
				fmt.Fprintln(p.stdout, v)
			}
		}
		said := fmt.Sprintf("%d jobs, %d changes, %d usage rows, %d objects, %d answers", len(e.States), len(e.Changes), len(e.Usage), len(e.Objects), len(e.API))
		if len(broken) > 0 {
			return fail(exitFailed, "%d promises are broken (%s)", len(broken), said)
		}
		fmt.Fprintf(p.stderr, "every promise is kept: %s\n", said)
		return nil
	}
}

// evidence reads everything once.
func (p *program) evidence(ctx context.Context, o verifyFlags) (e verify.Evidence, err error) {
	cfg, err := p.cluster()
	if err != nil {
		return e, err
	}
	key, err := cfg.HouseKey.signing()
	if err != nil {
		return e, err
	}
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		return e, err
	}
	if e.Accepted, err = acceptedIn(o.accepted); err != nil {
		return e, err
	}
	if err := e.Log(ctx, cfg.Kafka, cfg.Topics, codec, key); err != nil {
		return e, err
	}
	objects, err := blob.Open(cfg.Objects, nil)
	if err != nil {
		return e, err
	}
	e.Objects = map[string]int64{}
	for _, prefix := range []string{"sources/", "work/", "results/"} {
		if err := objects.List(ctx, prefix, func(o blob.Object) bool { e.Objects[o.Key] = o.Size; return true }); err != nil {
			return e, err
		}
	}
	if cfg.ClickHouse.DSN != "" {
		if err := p.tables(ctx, cfg.ClickHouse, &e); err != nil {
			return e, err
		}
	}
	if o.noAPI {
		return e, nil
	}
	return e, p.answers(ctx, o, &e)
}

// acceptedIn reads what was accepted.
func acceptedIn(path string) (out []verify.Job, err error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.FieldsSeq(string(b)) {
		tenant, id, ok := strings.Cut(line, "/")
		if !ok {
			return nil, fail(exitUsage, "%s: %s is not TENANT/JOB", path, line)
		}
		out = append(out, verify.Job{Tenant: tenant, ID: id})
	}
	return out, nil
}

// tables reads the runs and the usage that the analytics have.
func (p *program) tables(ctx context.Context, cfg clickhouse.Config, e *verify.Evidence) error {
	s, err := clickhouse.Connect(cfg, telemetry.NewLogger(p.stderr, "error"), nil)
	if err != nil {
		return err
	}
	defer s.Close()
	type row struct {
		Tenant, Status, Stage string
		JobID                 string `json:"job_id"`
		Run, Page, N          int
	}
	ask := func(query string, each func(row)) error {
		var b bytes.Buffer
		if err := s.Query(ctx, query, &b, "json"); err != nil {
			return err
		}
		for d := json.NewDecoder(&b); ; {
			var r row
			if err := d.Decode(&r); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("the analytics answer: %w", err)
			}
			each(r)
		}
	}
	e.Tables, e.Rows, e.Charged = true, map[verify.Run]string{}, map[verify.Work]int{}
	run := func(r row) verify.Run {
		return verify.Run{Job: verify.Job{Tenant: r.Tenant, ID: r.JobID}, Number: r.Run}
	}
	if err := ask("SELECT tenant, job_id, run, status FROM runs", func(r row) { e.Rows[run(r)] = r.Status }); err != nil {
		return err
	}
	return ask("SELECT tenant, job_id, run, stage, page, toUInt32(count()) AS n FROM usage GROUP BY ALL", func(r row) {
		e.Charged[verify.Work{Run: run(r), Stage: r.Stage, Page: r.Page}] = r.N
	})
}

// answers asks the API about every job: those of the key's tenant it must show, and no other (P8).
func (p *program) answers(ctx context.Context, o verifyFlags, e *verify.Evidence) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	e.API = map[verify.Job]verify.Answer{}
	for j := range e.States {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1/jobs/"+j.ID, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+c.key)
		res, err := c.http.Do(req)
		if err != nil {
			return exit{exitUnreachable, err.Error()}
		}
		var b struct {
			Status   string
			Run      int
			Version  int64
			Progress struct {
				Done   int `json:"pages_done"`
				Failed int `json:"pages_failed"`
			}
		}
		err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&b)
		res.Body.Close()
		switch {
		case err != nil:
			return fmt.Errorf("the API answers about %s: %w", j.ID, err)
		case res.StatusCode == http.StatusNotFound && j.Tenant != o.tenant:
			continue // the key's tenant does not own it
		case res.StatusCode == http.StatusOK && j.Tenant != o.tenant:
			return fmt.Errorf("the API shows job %s of tenant %s to tenant %s (P8)", j.ID, j.Tenant, o.tenant)
		}
		e.API[j] = verify.Answer{Status: b.Status, Run: b.Run, Version: b.Version, Done: b.Progress.Done, Failed: b.Progress.Failed}
	}
	return nil
}
