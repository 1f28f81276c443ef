package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/ops/bench"
	"docstream/ops/sample"
)

// benchOptions are the flags of both measurements.
type benchOptions struct {
	pages int // of a generated document; 0: none
	pairs int
	slots int
	// brokers are processes of brokers that the service did not start.
	brokers []int
}

func (p *program) benchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{Use: "bench", Short: "Measure pages per CPU second", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "say bench engine, bench ocr or bench e2e")
		}}
	f := c.PersistentFlags()
	f.IntVar(&o.pages, "pages", 0, "measure a generated scan of so many pages instead of a file")
	f.IntVar(&o.slots, "slots", runtime.NumCPU(), "engine children")
	engine := &cobra.Command{Use: "engine [FILE]", Short: "Measure the bare engine: no broker, no store", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			return p.withDocuments(files, o.pages, func(files []string) error {
				run, err := p.benchEngine(c.Context(), files[0], o.slots)
				if err != nil {
					return err
				}
				if p.json {
					return p.print(run)
				}
				_, err = fmt.Fprintln(p.stdout, run)
				return err
			})
		}}
	e2e := &cobra.Command{Use: "e2e [FILE...]", Aliases: []string{"overhead"}, Short: "Measure the whole stream of a running service against the bare engine", Args: cobra.ArbitraryArgs,
		Long: "Send each document through the running one-machine service and through the bare engine, in turn, and print the ratio of their\n" +
			"pages per CPU second. The stream's CPU time is that of our own processes with their children; that of broker, S3 and ClickHouse\n" +
			"stands beside. The service should have nothing else to do.",
		RunE: func(c *cobra.Command, files []string) error {
			return p.withDocuments(files, o.pages, func(files []string) error { return p.benchStream(c.Context(), files, o) })
		}}
	e2e.Flags().IntVar(&o.pairs, "pairs", 1, "measurements of each document")
	e2e.Flags().IntSliceVar(&o.brokers, "broker-pid", nil, "process of a broker of this machine that the service did not start: its CPU time stands beside")
	c.AddCommand(engine, e2e, p.benchOCRCommand(), p.benchDocumentsCommand(), p.benchSubmitCommand(), p.benchReplayCommand(), p.benchMemoryCommand(), p.benchStructureCommand(),
		p.benchConvertCommand(), p.benchGatewayCommand(), p.benchIsolationCommand())
	return c
}

// withDocuments gives run the files, or one generated for the while.
func (p *program) withDocuments(files []string, pages int, run func([]string) error) error {
	if pages == 0 && len(files) == 0 {
		return fail(exitUsage, "name a FILE or say --pages N")
	}
	if pages == 0 {
		return run(files)
	}
	dir, err := os.MkdirTemp("", "docstream-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := sample.Default()
	o.Pages = pages
	if err := o.Validate(); err != nil {
		return exit{exitUsage, err.Error()}
	}
	path := filepath.Join(dir, fmt.Sprintf("scan-%dp.pdf", pages))
	if err := writeFile(path, func(w io.Writer) error { return sample.Write(w, o) }); err != nil {
		return err
	}
	return run(append(files, path))
}

// benchEngine measures the stages' own functions on one engine. The models are loaded before the clock starts, as they are in a worker
// that has been running.
func (p *program) benchEngine(ctx context.Context, file string, slots int) (bench.Run, error) {
	cfg, err := p.config(fmt.Sprintf("engine.slots=%d", slots))
	if err != nil {
		return bench.Run{}, err
	}
	e, err := p.bareEngines(cfg)
	if err != nil {
		return bench.Run{}, err
	}
	defer e.close()
	m := newMemory()
	s := e.stages(m)
	if err := p.warm(ctx, s, m, slots); err != nil {
		return bench.Run{}, fmt.Errorf("warming up: %w", err)
	}
	submitted, err := bareDocument(ctx, m, file)
	if err != nil {
		return bench.Run{}, err
	}
	before, err := bench.Tree(os.Getpid())
	if err != nil {
		return bench.Run{}, err
	}
	began := time.Now()
	pages, err := bareEngine(ctx, s, m, submitted, slots)
	if err != nil {
		return bench.Run{}, err
	}
	wall := time.Since(began)
	after, err := bench.Tree(os.Getpid())
	return bench.Run{Pages: pages, CPU: after - before, Wall: wall}, err
}

// warm has every child load what it needs, with a scanned page for each and some more.
func (p *program) warm(ctx context.Context, s bareStages, m *memoryStore, slots int) error {
	return p.withDocuments(nil, 4*slots, func(files []string) error {
		d, err := bareDocument(ctx, m, files[0])
		if err != nil {
			return err
		}
		_, err = bareEngine(ctx, s, m, d, slots)
		return err
	})
}

// ourRoles are the processes whose CPU time is ours; the other pids of dev.json are parts.
var ourRoles = []string{"gateway", "prepare", "fetch", "ocr", "track", "sink"}

// measurement is a pair with what stood beside it.
type measurement struct {
	bench.Pair
	Ratio float64                  `json:"ratio"`
	Roles map[string]time.Duration `json:"roles"` // CPU time by process, parts included
	Peaks map[string]int64         `json:"peaks"` // largest resident size by process since it started, in bytes
}

// benchStream measures pairs, the bare engine first and last in turn.
func (p *program) benchStream(ctx context.Context, files []string, o benchOptions) error {
	d, err := p.service()
	if err != nil {
		return err
	}
	for i, pid := range o.brokers {
		d.PIDs[fmt.Sprintf("broker %d", i+1)] = pid
	}
	c := newClient(d.API, d.APIKey)
	var all []measurement
	var pairs []bench.Pair
	if _, _, err := streamRun(ctx, c, d, files[0]); err != nil { // the workers load their models
		return err
	}
	for n := range o.pairs {
		for _, file := range files {
			one := measurement{Pair: bench.Pair{Document: filepath.Base(file)}, Peaks: peaks(d.PIDs)}
			steps := []func() error{
				func() (err error) { one.Engine, err = p.benchEngine(ctx, file, o.slots); return err },
				func() (err error) { one.Stream, one.Roles, err = streamRun(ctx, c, d, file); return err },
			}
			if n%2 == 1 {
				slices.Reverse(steps)
			}
			for _, step := range steps {
				if err := step(); err != nil {
					return err
				}
			}
			one.Ratio, one.Peaks = one.Pair.Ratio(), peaks(d.PIDs)
			all, pairs = append(all, one), append(pairs, one.Pair)
			if !p.json {
				p.printRoles(one)
			}
		}
	}
	if p.json {
		return p.print(map[string]any{"measurements": all, "median_ratio": bench.Median(pairs)})
	}
	return bench.Write(p.stdout, pairs)
}

// streamRun sends one document through the service and reads what each process spent on it.
func streamRun(ctx context.Context, c *client, d service, file string) (bench.Run, map[string]time.Duration, error) {
	before, err := times(d.PIDs)
	if err != nil {
		return bench.Run{}, nil, err
	}
	began := time.Now()
	j, err := c.submit(ctx, file, submission{cache: "false"})
	if err != nil {
		return bench.Run{}, nil, err
	}
	last, err := c.follow(ctx, j.JobID, func(job) {})
	if err != nil {
		return bench.Run{}, nil, err
	}
	if last.Status != "completed" {
		return bench.Run{}, nil, errors.Join(errors.New("a document that is measured must complete"), last.outcome())
	}
	wall := time.Since(began)
	time.Sleep(2 * time.Second) // the sink writes what it has gathered: that is part of the cost
	after, err := times(d.PIDs)
	if err != nil {
		return bench.Run{}, nil, err
	}
	run := bench.Run{Pages: last.Progress.PagesTotal, Wall: wall}
	roles := map[string]time.Duration{}
	for name, t := range after {
		roles[name] = t - before[name]
		if slices.Contains(ourRoles, name) {
			run.CPU += roles[name]
		}
	}
	return run, roles, nil
}

func times(pids map[string]int) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for name, pid := range pids {
		if name == "dev" {
			continue // the supervisor: its children are the others
		}
		t, err := bench.Tree(pid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// peaks reads the memory of every process and of its engine children.
func peaks(pids map[string]int) map[string]int64 {
	out := map[string]int64{}
	for name, pid := range pids {
		out[name] = bench.Peak(pid)
		if name == "dev" {
			continue
		}
		for i, child := range bench.Children(pid) {
			out[fmt.Sprintf("%s engine %d", name, i+1)] = bench.Peak(child)
		}
	}
	return out
}

func (p *program) printRoles(m measurement) {
	fmt.Fprintf(p.stdout, "%s\n", m.Document)
	for _, name := range slices.Sorted(maps.Keys(m.Peaks)) {
		cpu := strings.Repeat(" ", 14) // an engine child's is in its worker's
		if t, ok := m.Roles[name]; ok {
			cpu = fmt.Sprintf("%8.2f CPU s", t.Seconds())
		}
		fmt.Fprintf(p.stdout, "  %-18s %s  peak %5d MiB\n", name, cpu, m.Peaks[name]>>20)
	}
}
