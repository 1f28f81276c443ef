package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/producers/replay"
	"docstream/schemas"
)

// replayFlags are what a replay is described with.
type replayFlags struct {
	tenant, from, to, label, rate, stage    string
	all, dry, detach                        bool
	jobs, media, statuses, codes, pipelines []string
	maxPages                                int64
}

func (p *program) replayCommand() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{Use: "replay", Short: "Run documents again that were submitted before", Args: cobra.NoArgs,
		Long: "Ask for a new run of every job that meets all criteria, at low priority. Nothing is uploaded again, and the results of earlier\n" +
			"runs stay. The jobs come from the documents lanes, as far back as these are kept, and from the archive. The same replay said twice\n" +
			"does nothing twice; --label makes it another one. A gateway does the work: this command asks, and shows how far it is; ending it stops nothing.\n\n" +
			"Times read like 2026-11-25, 2026-11-25T08:00:00Z or 24h (ago).",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := o.request(time.Now())
			if err != nil {
				return exit{exitUsage, fault.Of(err).Message}
			}
			return p.replay(c.Context(), r, o.detach)
		}}
	f := c.Flags()
	f.StringVar(&o.tenant, "tenant", "default", "owner of the jobs")
	f.BoolVar(&o.all, "all-tenants", false, "the jobs of every tenant")
	f.StringVar(&o.from, "from", "", "only jobs accepted at or after this time")
	f.StringVar(&o.to, "to", "", "only jobs accepted before this time")
	f.StringSliceVar(&o.jobs, "job", nil, "only these jobs")
	f.StringSliceVar(&o.media, "media-type", nil, "only these media types, such as application/pdf or image/*")
	f.StringSliceVar(&o.statuses, "status", nil, "only jobs whose newest run ended so: completed, partial, failed, cancelled, expired")
	f.StringSliceVar(&o.codes, "code", nil, "only jobs that failed with, or have a page that failed with, one of these error codes")
	f.StringSliceVar(&o.pipelines, "pipeline", nil, "only jobs whose newest run had one of these pipeline versions")
	f.StringVar(&o.label, "label", "", "tells apart two replays of the same selection")
	f.StringVar(&o.stage, "from-stage", "", "first stage that works again: "+strings.Join(schemas.FromStages, ", ")+"; what those before it made is taken over where it is still there and their versions are the same (default all)")
	f.StringVar(&o.rate, "rate", fmt.Sprintf("%d/s", replay.DefaultRate), "runs asked for, at most: 20/s, 600/m or 10000/h")
	f.Int64Var(&o.maxPages, "max-pages", 0, "pages asked for in all, at most; 0: any number")
	f.BoolVar(&o.dry, "dry-run", false, "only count jobs and pages")
	f.BoolVar(&o.detach, "detach", false, "do not wait for the end")
	c.MarkFlagsMutuallyExclusive("tenant", "all-tenants")
	status := p.replayOneCommand("status ID", "Show how far a replay is", p.showReplay)
	status.Aliases = []string{"show"}
	c.AddCommand(p.replayListCommand(), status,
		p.replayOneCommand("pause ID", "Let a replay rest until it is resumed; the runs it asked for go on", p.changeReplay(replay.Pause)),
		p.replayOneCommand("resume ID", "Let a paused replay go on where it stands", p.changeReplay(replay.Resume)),
		p.replayOneCommand("cancel ID", "Stop a replay; the runs it asked for go on", p.cancelReplay))
	return c
}

func (p *program) replayListCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the replays of every tenant", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withReplays(c.Context(), func(l *replayLog) error { return p.listReplays(l) })
		}}
}

func (p *program) replayOneCommand(use, short string, do func(context.Context, *replayLog, *schemas.ReplayChanged) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withReplays(c.Context(), func(l *replayLog) error {
				e, ok := l.newest[args[0]]
				if !ok {
					return fail(exitNotFound, "there is no replay %s", args[0])
				}
				return do(c.Context(), l, e)
			})
		}}
}

// request reads the flags.
func (o replayFlags) request(now time.Time) (replay.Request, error) {
	r := replay.Request{Tenant: o.tenant, Dry: o.dry, MaxPages: o.maxPages, Stage: o.stage, By: "operator", Selection: schemas.Selection{
		Jobs: o.jobs, MediaTypes: o.media, Statuses: o.statuses, Codes: o.codes, Pipelines: o.pipelines, Label: o.label}}
	var err error
	switch {
	case o.all:
		r.Tenant = ""
	case !schemas.ValidTenant(o.tenant):
		return r, fault.Document(schemas.InvalidSelection, "a tenant is 1 to 40 of a-z, 0-9 and -")
	}
	if r.Selection.From, err = moment(o.from, now); err != nil {
		return r, err
	}
	if r.Selection.To, err = moment(o.to, now); err != nil {
		return r, err
	}
	if r.Rate, err = replay.ParseRate(o.rate); err != nil {
		return r, err
	}
	return r, r.Validate()
}

// moment reads a date, a time, or how long ago it was; to the minute, so that the same words a few seconds later mean the same.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d).UTC().Truncate(time.Minute), nil
	}
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.Document(schemas.InvalidSelection, "a time reads like 2026-11-25, 2026-11-25T08:00:00Z or 24h, not %q", text)
}

// replayLog is the replays as the settings have them, and where to write to.
type replayLog struct {
	cfg    Config
	log    *stream.Settings
	newest map[string]*schemas.ReplayChanged
}

// withReplays reads every replay, then does something.
func (p *program) withReplays(ctx context.Context, do func(*replayLog) error) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	l := &replayLog{cfg: cfg, newest: map[string]*schemas.ReplayChanged{}}
	if l.log, err = openSettings(cfg, l.take); err != nil {
		return err
	}
	defer l.log.Close()
	if err := readSettings(ctx, l.log); err != nil {
		return remote(err)
	}
	return do(l)
}

func (l *replayLog) take(_ string, e schemas.Event) {
	r, ok := e.(*schemas.ReplayChanged)
	if ok && (l.newest[r.ReplayID] == nil || l.newest[r.ReplayID].Version <= r.Version) {
		l.newest[r.ReplayID] = r
	}
}

// replay says a replay and follows it.
func (p *program) replay(ctx context.Context, r replay.Request, detach bool) error {
	return p.withReplays(ctx, func(l *replayLog) error {
		id := r.ID()
		e := r.Say(l.newest[id], time.Now())
		if e == nil {
			e = l.newest[id]
			fmt.Fprintf(p.stderr, "nothing new: replay %s was said at %s and is %s\n", id, e.CreatedAt.Format(time.DateTime), e.Status)
		} else if err := publish(ctx, l.cfg, e); err != nil {
			return remote(err)
		}
		l.newest[id] = e
		if detach {
			return p.printReplay(replay.NewReport(e))
		}
		last, err := p.followReplay(ctx, l, id)
		if err != nil {
			return err
		}
		if err := p.printReplay(last); err != nil {
			return err
		}
		return replayed(last)
	})
}

// followReplay shows the progress until the replay has ended.
func (p *program) followReplay(ctx context.Context, l *replayLog, id string) (replay.Report, error) {
	show := p.replayProgress()
	for {
		r := replay.NewReport(l.newest[id])
		show(r)
		if r.Ended() {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
		if err := readSettings(ctx, l.log); err != nil {
			return r, remote(err)
		}
	}
}

// replayed is the error of a replay that did not bring every job its new result.
func replayed(r replay.Report) error {
	g := r.Progress
	switch {
	case r.Status == replay.Cancelled:
		return fail(exitFailed, "replay %s was cancelled", r.ReplayID)
	case g.Partial+g.Failed+g.Cancelled+g.SourceExpired > 0:
		return fail(exitPartial, "replay %s: %d partial, %d failed, %d cancelled, %d whose source is gone", r.ReplayID, g.Partial, g.Failed, g.Cancelled, g.SourceExpired)
	}
	return nil
}

// replayProgress returns what shows a replay's way on a terminal; on anything else it shows nothing.
func (p *program) replayProgress() func(replay.Report) {
	if !terminal(p.stderr) || p.json {
		return func(replay.Report) {}
	}
	return func(r replay.Report) {
		fmt.Fprintf(p.stderr, "\r%-79s", replayBar(r))
		if r.Ended() {
			fmt.Fprintln(p.stderr)
		}
	}
}

// replayBar draws the jobs of a replay.
func replayBar(r replay.Report) string {
	g := r.Progress
	if r.Status == replay.Pending {
		return "waiting for a gateway to count the jobs"
	}
	done := g.Completed + g.Partial + g.Failed + g.Cancelled + g.SourceExpired + g.Skipped
	full := int(barWidth * g.Percent / 100)
	return fmt.Sprintf("[%s%s] %d/%d %s, %d asked", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, r.Jobs, r.Status, g.Asked)
}

func (p *program) showReplay(_ context.Context, _ *replayLog, e *schemas.ReplayChanged) error {
	return p.printReplay(replay.NewReport(e))
}

// changeReplay says something of a replay that has not ended; whoever works on it follows. Where there is nothing new to say it shows how the
// replay stands.
func (p *program) changeReplay(say func(*schemas.ReplayChanged, time.Time) *schemas.ReplayChanged) func(context.Context, *replayLog, *schemas.ReplayChanged) error {
	return func(ctx context.Context, l *replayLog, e *schemas.ReplayChanged) error {
		if !e.EndedAt.IsZero() {
			return fail(exitFailed, "replay %s has ended: it is %s", e.ReplayID, e.Status)
		}
		next := say(e, time.Now())
		if next == nil {
			return p.printReplay(replay.NewReport(e))
		}
		if err := publish(ctx, l.cfg, next); err != nil {
			return remote(err)
		}
		return p.printReplay(replay.NewReport(next))
	}
}

func (p *program) cancelReplay(ctx context.Context, l *replayLog, e *schemas.ReplayChanged) error {
	next := replay.Cancel(e, time.Now())
	if next == nil {
		return p.printReplay(replay.NewReport(e))
	}
	if err := publish(ctx, l.cfg, next); err != nil {
		return remote(err)
	}
	return p.printReplay(replay.NewReport(next))
}

func (p *program) listReplays(l *replayLog) error {
	all := slices.SortedFunc(maps.Values(l.newest), func(a, b *schemas.ReplayChanged) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if p.json {
		out := make([]replay.Report, 0, len(all))
		for _, e := range all {
			out = append(out, replay.NewReport(e))
		}
		return p.print(out)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTENANT\tCREATED\tSTATUS\tJOBS\tASKED\tPERCENT")
	for _, e := range all {
		r, tenant := replay.NewReport(e), e.Tenant
		if tenant == "" {
			tenant = "(all)"
		}
		status := r.Status
		if r.DryRun {
			status += " (dry run)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%g\n", r.ReplayID, tenant, e.CreatedAt.Format(time.DateTime), status, r.Jobs, r.Progress.Asked, r.Progress.Percent)
	}
	return w.Flush()
}

// printReplay prints the counts.
func (p *program) printReplay(r replay.Report) error {
	if p.json {
		return p.print(r)
	}
	kind := "replay"
	if r.DryRun {
		kind = "dry run of replay"
	}
	fmt.Fprintf(p.stdout, "%s %s: %s, %d jobs, %d pages\n", kind, r.ReplayID, r.Status, r.Jobs, r.Pages)
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, status := range slices.Sorted(maps.Keys(r.ByStatus)) {
		fmt.Fprintf(w, "  %s before\t%d jobs\t%d pages\n", status, r.ByStatus[status].Jobs, r.ByStatus[status].Pages)
	}
	if r.Whole != nil {
		fmt.Fprintf(w, "  to start from, for %s\t%d jobs whole\t%d pages\n", r.Stage, r.Whole.Jobs, r.Whole.Pages)
	}
	if g := r.Progress; !r.DryRun {
		for _, line := range []struct {
			what string
			n    int64
		}{{"asked", g.Asked}, {"completed", g.Completed}, {"partial", g.Partial}, {"failed", g.Failed}, {"cancelled", g.Cancelled},
			{"source expired", g.SourceExpired}, {"skipped", g.Skipped}, {"left", g.Left}} {
			if line.n > 0 || line.what == "asked" {
				fmt.Fprintf(w, "  %s\t%d jobs\n", line.what, line.n)
			}
		}
		if g.Pace > 0 {
			fmt.Fprintf(w, "  pace\t%g jobs/s of at most %g\t%s left\n", g.Pace, r.Rate, time.Duration(g.ETA)*time.Second)
		}
	}
	return w.Flush()
}
