package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"docstream/gateway/keys"
	"docstream/ops/bench"
	"docstream/ops/sample"
)

// isolationBench are the flags of bench isolation.
type isolationBench struct {
	backlog, jobs int
	large, small  int
	text          bool
	only          []string
	limit         time.Duration
	raw           string
}

// isolations are the conditions, in the order in which they are measured.
var isolations = []string{"priority", "tenant", "large"}

func (p *program) benchIsolationCommand() *cobra.Command {
	var o isolationBench
	c := &cobra.Command{Use: "isolation", Short: "Measure what a large job costs small ones", Args: cobra.NoArgs,
		Long: "Measure how long a document of one page takes from accepted to ended on the running one-machine service: with nothing else to do, and\n" +
			"  priority  of high priority, behind the pages of a document of low priority\n" +
			"  tenant    of the same priority, behind the pages of another tenant's document\n" +
			"  large     many small ones and one large document, submitted together\n" +
			"and print the 95th percentiles, their ratio, and how long a page of the backlog is in work: what is in work is not taken back; and\n" +
			"for each stage how long the records of the small documents' priority waited and were in work. The pages hold a line or two. A backlog is cancelled once it was measured against. The other tenant's key is good for two hours.",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.backlog < 10 || o.backlog > sample.MaxPages || o.large < 10 || o.large > sample.MaxPages || o.jobs < 1 || o.jobs > 1000 || o.small < 1 || o.small > 1000 ||
				o.limit < time.Second || o.limit > time.Hour {
				return fail(exitUsage, "--backlog and --large are 10 to %d pages, --jobs and --small 1 to 1000 documents, --limit up to 1h", sample.MaxPages)
			}
			for _, name := range o.only {
				if err := oneOf("--only", name, isolations); err != nil {
					return err
				}
			}
			return p.benchIsolation(c.Context(), o)
		}}
	f := c.Flags()
	f.IntVar(&o.backlog, "backlog", 1000, "pages of the document that small ones are behind")
	f.IntVar(&o.jobs, "jobs", 40, "small documents, one after the other, in each condition")
	f.IntVar(&o.large, "large", 3000, "pages of the large document that is submitted together with small ones")
	f.IntVar(&o.small, "small", 300, "small documents submitted together with it")
	f.BoolVar(&o.text, "text-layer", false, "pages with a text layer instead of scans")
	f.StringSliceVar(&o.only, "only", isolations, "conditions: priority, tenant, large")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "how long one condition may take")
	f.StringVar(&o.raw, "raw", "", "folder for every single measurement, as JSON lines")
	return c
}

// isolation is one condition against the service with nothing else to do.
type isolation struct {
	Condition string        `json:"condition"`
	Idle      liveTimes     `json:"idle"`
	Busy      liveTimes     `json:"busy"`
	IdleAt    []stageTimes  `json:"idle_stages"` // of the lanes of the small documents' priority
	BusyAt    []stageTimes  `json:"busy_stages"` // pages of the backlog among them where they have the same
	Ratio     float64       `json:"ratio"`       // of the 95th percentiles
	InWork    time.Duration `json:"in_work"`     // of a page of the backlog; 0: not known
	Bound     time.Duration `json:"bound"`       // what the 95th percentile is to be at most
	Backlog   int           `json:"pages"`       // of the backlog
	Done      int           `json:"done"`        // of them when the last small document had ended
}

// isolationMeasure is a measurement under way.
type isolationMeasure struct {
	*program
	isolationBench
	mine, other *client
	workers     int
	dir         string
	seed        uint64
}

func (p *program) benchIsolation(ctx context.Context, o isolationBench) error {
	d, err := p.localService()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "docstream-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &isolationMeasure{program: p, isolationBench: o, mine: newClient(d.API, d.APIKey), dir: dir, seed: uint64(time.Now().UnixNano())}
	if m.raw != "" {
		if err := os.MkdirAll(m.raw, 0o755); err != nil {
			return err
		}
	}
	if m.other, err = m.stranger(ctx, d.API); err != nil {
		return err
	}
	if _, err := m.oneByOne(ctx, "warm", "normal", 4); err != nil {
		return err
	}
	var all []isolation
	for _, name := range o.only {
		bounded, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("%s took longer than --limit %s", name, o.limit))
		one, err := map[string]func(context.Context) (isolation, error){"priority": m.priority, "tenant": m.tenant, "large": m.together}[name](bounded)
		if err != nil {
			err = errors.Join(err, context.Cause(bounded))
		}
		cancel()
		if err != nil {
			return err
		}
		all = append(all, one)
		if !p.json {
			m.show(one)
		}
	}
	if p.json {
		return p.print(all)
	}
	return nil
}

// stranger is a client of another tenant.
func (m *isolationMeasure) stranger(ctx context.Context, base string) (*client, error) {
	cfg, err := m.cluster()
	if err != nil {
		return nil, err
	}
	house, err := cfg.HouseKey.signing()
	if err != nil {
		return nil, err
	}
	token, event, err := keys.New(house, "bench-other", "made by docstream bench isolation", []string{keys.Documents}, time.Now().Add(2*time.Hour))
	if err != nil {
		return nil, err
	}
	return newClient(base, token), publish(ctx, cfg, event)
}

// document makes one that no other equals.
func (m *isolationMeasure) document(pages int) (string, error) {
	m.seed++
	path := filepath.Join(m.dir, fmt.Sprintf("%d-%d.pdf", pages, m.seed))
	o := sample.Options{Pages: pages, DPI: 72, Text: m.text, Brief: true, Seed: m.seed}
	return path, writeFile(path, func(w io.Writer) error { return sample.Write(w, o) })
}

// send makes and submits a document.
func (m *isolationMeasure) send(ctx context.Context, c *client, pages int, priority string) (string, error) {
	path, err := m.document(pages)
	if err != nil {
		return "", err
	}
	defer os.Remove(path)
	j, err := c.submit(ctx, path, submission{priority: priority, formats: "text", cache: "false"})
	return j.JobID, err
}

// priority: small documents of high priority behind a backlog of low.
func (m *isolationMeasure) priority(ctx context.Context) (isolation, error) {
	return m.behind(ctx, "priority", "high", m.mine, "low")
}

// tenant: small documents behind another tenant's, of the same priority.
func (m *isolationMeasure) tenant(ctx context.Context) (isolation, error) {
	return m.behind(ctx, "tenant", "normal", m.other, "normal")
}

// behind measures small documents alone, then with a backlog, which is cancelled after it.
func (m *isolationMeasure) behind(ctx context.Context, name, priority string, whose *client, theirs string) (out isolation, err error) {
	out = isolation{Condition: name, Backlog: m.backlog}
	small := func(when string) (liveTimes, []stageTimes, error) {
		return m.during(ctx, priority, func() (liveTimes, error) { return m.oneByOne(ctx, name+"-"+when, priority, m.jobs) })
	}
	if out.Idle, out.IdleAt, err = small("idle"); err != nil {
		return out, err
	}
	id, err := m.send(ctx, whose, m.backlog, theirs)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, cancelJob(context.WithoutCancel(ctx), whose, id)) }()
	began, first, err := m.underWay(ctx, whose, id)
	if err != nil {
		return out, err
	}
	if out.Busy, out.BusyAt, err = small("busy"); err != nil {
		return out, err
	}
	j, err := whose.job(ctx, id)
	if err != nil {
		return out, err
	}
	if out.Done = j.Progress.PagesDone; out.Done >= m.backlog {
		return out, fmt.Errorf("%s: the backlog of %d pages had ended before the small documents: say a larger --backlog or fewer --jobs", name, m.backlog)
	}
	out.Ratio = float64(out.Busy.P95) / float64(out.Idle.P95)
	if n := out.Done - first; n > 0 {
		out.InWork = time.Since(began) * time.Duration(max(1, m.workers)) / time.Duration(n)
	}
	out.Bound = out.Idle.P95*13/10 + out.InWork
	return out, nil
}

// underWay waits until pages of a backlog come out, and says when and how many that were.
func (m *isolationMeasure) underWay(ctx context.Context, c *client, id string) (time.Time, int, error) {
	d, err := m.service()
	if err != nil {
		return time.Time{}, 0, err
	}
	m.workers = len(bench.Children(d.PIDs["ocr"]))
	for {
		j, err := c.job(ctx, id)
		if err != nil {
			return time.Time{}, 0, err
		}
		if ended(j.Status) {
			return time.Time{}, 0, fmt.Errorf("the backlog has %s already: say a larger one", j.Status)
		}
		if n := j.Progress.PagesDone; n >= 10 {
			return time.Now(), n, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// cancelJob takes back what is left of a backlog; one that has ended meanwhile is none.
func cancelJob(ctx context.Context, c *client, id string) error {
	j, err := c.job(ctx, id)
	if err != nil || ended(j.Status) {
		return err
	}
	return c.do(ctx, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/jobs/"+id+"/cancel", nil)
	}, func(io.Reader) error { return nil })
}

// together submits a large document and small ones at once: what the small ones take is to be at most twice what they take by themselves,
// as many at once.
func (m *isolationMeasure) together(ctx context.Context) (out isolation, err error) {
	out = isolation{Condition: "large", Backlog: m.large}
	if out.Idle, err = m.atOnce(ctx, "large-idle"); err != nil {
		return out, err
	}
	id, err := m.send(ctx, m.mine, m.large, "normal")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, cancelJob(context.WithoutCancel(ctx), m.mine, id)) }()
	if out.Busy, err = m.atOnce(ctx, "large-busy"); err != nil {
		return out, err
	}
	j, err := m.mine.job(ctx, id)
	out.Done = j.Progress.PagesDone
	out.Ratio, out.Bound = float64(out.Busy.P95)/float64(out.Idle.P95), 2*out.Idle.P95
	return out, err
}

// oneByOne submits small documents, each when the one before has ended.
func (m *isolationMeasure) oneByOne(ctx context.Context, name, priority string, n int) (liveTimes, error) {
	times := make([]time.Duration, n)
	for i := range times {
		id, err := m.send(ctx, m.mine, 1, priority)
		if err != nil {
			return liveTimes{}, err
		}
		if times[i], err = took(ctx, m.mine, id); err != nil {
			return liveTimes{}, err
		}
	}
	return m.keep(name, times)
}

// atOnce submits small documents as fast as they are accepted, then waits for all of them.
func (m *isolationMeasure) atOnce(ctx context.Context, name string) (liveTimes, error) {
	paths := make([]string, m.small)
	for i := range paths {
		var err error
		if paths[i], err = m.document(1); err != nil {
			return liveTimes{}, err
		}
	}
	times, ids := make([]time.Duration, m.small), make([]string, m.small)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, path := range paths {
		g.Go(func() error {
			j, err := m.mine.submit(gctx, path, submission{priority: "normal", formats: "text", cache: "false"})
			ids[i] = j.JobID
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return liveTimes{}, err
	}
	for i, id := range ids {
		var err error
		if times[i], err = took(ctx, m.mine, id); err != nil {
			return liveTimes{}, err
		}
	}
	return m.keep(name, times)
}

// keep sums up what was measured, and writes each single time where --raw says.
func (m *isolationMeasure) keep(name string, times []time.Duration) (liveTimes, error) {
	if m.raw != "" {
		err := writeFile(filepath.Join(m.raw, name+".jsonl"), func(w io.Writer) error {
			out := json.NewEncoder(w)
			for _, t := range times {
				if err := out.Encode(map[string]int64{"micros": t.Microseconds()}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return liveTimes{}, err
		}
	}
	return sumUp(name, times), nil
}

// show prints a condition for a person.
func (m *isolationMeasure) show(i isolation) {
	for _, t := range []liveTimes{i.Idle, i.Busy} {
		fmt.Fprintf(m.stdout, "%-14s %4d documents  p50 %6d ms  p95 %6d ms  max %6d ms\n", t.Condition, t.Count, t.P50.Milliseconds(), t.P95.Milliseconds(), t.Max.Milliseconds())
	}
	fmt.Fprintf(m.stdout, "%-14s p95 ratio %.2f; p95 at most %d ms wanted, a page is in work for %d ms; %d of %d pages of the backlog were done\n",
		i.Condition, i.Ratio, i.Bound.Milliseconds(), i.InWork.Milliseconds(), i.Done, i.Backlog)
	m.showStages("idle", i.IdleAt)
	m.showStages("busy", i.BusyAt)
}
