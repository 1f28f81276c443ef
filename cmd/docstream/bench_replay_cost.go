package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/ops/bench"
	"docstream/ops/bench/bare"
	"docstream/ops/bench/refold"
	"docstream/producers"
	"docstream/producers/replay"
	"docstream/schemas"
)

// archiveCost is what bench replay --events prints.
type archiveCost struct {
	Events   int         `json:"events"`
	Readings []reading   `json:"readings"`
	Ratio    float64     `json:"events_per_second_over_bare"` // medians
	Uploads  int         `json:"uploads"`                     // objects below sources/ that came with the replay; live documents' are not counted
	Equal    bool        `json:"dry_run_equals_run"`
	RunsPer  float64     `json:"runs_per_second"` // from asked for to ended
	Live     *replayCost `json:"live,omitempty"`
	Before   refold.Sum  `json:"states_before"` // what the fold wrote
	After    refold.Sum  `json:"states_after"`  // the same, folded again from the facts
	Refolded float64     `json:"facts_refolded_per_second"`
}

// benchArchive lays an archive, counts it beside a plain reader, replays all of it beside live documents, and folds the facts again.
func (p *program) benchArchive(ctx context.Context, o replayBench, rate float64) (err error) {
	d, err := p.localService()
	if err != nil {
		return err
	}
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	a, err := p.newLaidArchive(cfg, o.events)
	if err != nil {
		return err
	}
	b := &replayMeasure{program: p, replayBench: o, client: newClient(d.API, d.APIKey), pids: d.PIDs}
	fmt.Fprintf(b.stderr, "docstream: laying %d events\n", o.events)
	plain, err := a.lay(ctx)
	defer func() { err = errors.Join(err, a.remove(context.WithoutCancel(ctx))) }()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Remove(context.WithoutCancel(ctx))) }()
	out := archiveCost{Events: o.events}
	if out.Readings, err = b.readings(ctx, a, plain); err != nil {
		return err
	}
	out.Ratio = perSecond(out.Readings, "dry run") / perSecond(out.Readings, "bare")
	if !o.count {
		if err := b.runAll(ctx, a, rate, &out); err != nil {
			return err
		}
	}
	if err := b.refold(ctx, a, &out); err != nil {
		return err
	}
	return p.printArchiveCost(out)
}

// runAll replays everything beside live documents.
func (b *replayMeasure) runAll(ctx context.Context, a *laidArchive, rate float64, out *archiveCost) (err error) {
	if b.dir, err = os.MkdirTemp("", "docstream-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	before, err := a.sourcesNow(ctx)
	if err != nil {
		return err
	}
	r := replay.Request{Tenant: "default", Rate: rate, By: "operator", Selection: a.selection("bench " + a.label)}
	if out.Live, err = b.beside(ctx, r); err != nil {
		return err
	}
	after, err := a.sourcesNow(ctx)
	if err != nil {
		return err
	}
	out.Uploads = after - before
	for _, t := range out.Live.Rounds {
		out.Uploads -= t.Count
	}
	last := out.Live.Replay
	dry := out.Readings[slices.IndexFunc(out.Readings, func(r reading) bool { return r.Who == "dry run" })]
	out.Equal = last.Jobs == dry.Jobs && last.Pages == dry.Pages && last.Progress.Asked == dry.Jobs && last.Progress.Completed == dry.Jobs
	began, err := time.Parse(time.RFC3339Nano, last.CreatedAt)
	if err != nil {
		return err
	}
	ended, err := time.Parse(time.RFC3339Nano, last.FinishedAt)
	out.RunsPer = float64(last.Progress.Completed) / ended.Sub(began).Seconds()
	return err
}

// refold sums up the states as the fold has written them and as its facts give them once more. Ticks and ends of runs may come in between: it
// is tried until the log has stood still for as long.
func (b *replayMeasure) refold(ctx context.Context, a *laidArchive, out *archiveCost) (err error) {
	log, fold := a.folded()
	for range 5 {
		if out.Before, err = log.States(ctx); err != nil {
			return err
		}
		began := time.Now()
		if out.After, err = log.Again(ctx, fold); err != nil {
			return err
		}
		out.Refolded = float64(out.After.Read) / time.Since(began).Seconds()
		if out.Before.Hash == out.After.Hash {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
	return nil // what differs is printed
}

// perSecond is the median of one reader.
func perSecond(all []reading, who string) float64 {
	var rates []float64
	for _, r := range all {
		if r.Who == who {
			rates = append(rates, r.PerSec)
		}
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

func (p *program) printArchiveCost(c archiveCost) error {
	if p.json {
		return p.print(c)
	}
	w := p.stdout
	for _, r := range c.Readings {
		fmt.Fprintf(w, "%-8s %7d events %8.0f ms %9.0f a second %6.2f CPU s, %6.2f with all that serves it", r.Who, c.Events,
			float64(r.Took.Microseconds())/1000, r.PerSec, r.CPU.Seconds(), r.CPUAll.Seconds())
		if r.Who != "bare" {
			fmt.Fprintf(w, "  %d jobs, %d pages", r.Jobs, r.Pages)
		}
		fmt.Fprintf(w, "  load %s\n", r.LoadAvg)
	}
	fmt.Fprintf(w, "events a second over a bare reader's: %.2f (medians)\n", c.Ratio)
	if c.Live != nil {
		if err := p.printReplayCost(*c.Live); err != nil {
			return err
		}
		fmt.Fprintf(w, "uploads %d; dry run and run are equal: %t; %.1f runs a second\n", c.Uploads, c.Equal, c.RunsPer)
	}
	_, err := fmt.Fprintf(w, "states of %d jobs %.16s, folded again from %d facts %d jobs %.16s: same %t, %.0f facts a second\n",
		c.Before.Jobs, c.Before.Hash, c.After.Read, c.After.Jobs, c.After.Hash, c.Before.Hash == c.After.Hash, c.Refolded)
	return err
}

// reading is one pass over the same events.
type reading struct {
	Who     string        `json:"who"` // dry run or bare
	Took    time.Duration `json:"took"`
	PerSec  float64       `json:"events_per_second"`
	CPU     time.Duration `json:"cpu"`     // of the process that reads: the gateway, or this one
	CPUAll  time.Duration `json:"cpu_all"` // of that, of the processes that serve it, and of all others of the service
	Jobs    int64         `json:"jobs,omitempty"`
	Pages   int64         `json:"pages,omitempty"`
	LoadAvg string        `json:"loadavg"`
}

// readings counts the jobs with dry runs and reads the same records with the plain client, in turn. A dry run is timed by the service: from
// being asked for to being done.
func (b *replayMeasure) readings(ctx context.Context, a *laidArchive, plain *bare.Log) (all []reading, err error) {
	count := func(l *replayLog) (r reading, err error) {
		e, err := b.sayReplay(ctx, l, replay.Request{Tenant: "default", Dry: true, By: "operator", Selection: a.selection("bench " + a.label)})
		if err == nil {
			_, err = b.followReplay(ctx, l, e.ReplayID)
		}
		if err != nil {
			return r, err
		}
		last := l.newest[e.ReplayID]
		return reading{Who: "dry run", Took: last.EndedAt.Sub(e.CreatedAt), Jobs: last.JobsTotal, Pages: last.PagesTotal}, nil
	}
	read := func(*replayLog) (reading, error) {
		took, err := plain.Read(ctx)
		return reading{Who: "bare", Took: took}, err
	}
	err = b.saying(ctx, func(l *replayLog) error {
		for range b.rounds {
			for _, one := range []func(*replayLog) (reading, error){count, read} {
				before, err := b.spent()
				if err != nil {
					return err
				}
				r, err := one(l)
				if err != nil {
					return err
				}
				after, err := b.spent()
				if err != nil {
					return err
				}
				r.PerSec, r.LoadAvg = float64(a.n)/r.Took.Seconds(), loadAverage()
				r.CPU = after[r.Who] - before[r.Who]
				for name := range after {
					r.CPUAll += after[name] - before[name]
				}
				all = append(all, r)
				fmt.Fprintf(b.stderr, "docstream: %s: %.0f events a second\n", r.Who, r.PerSec)
			}
		}
		return nil
	})
	return all, err
}

// spent is the CPU time so far of every process of the service and of this one, under the name of the reader where it is one.
func (b *replayMeasure) spent() (map[string]time.Duration, error) {
	all, err := times(b.pids)
	if err != nil {
		return nil, err
	}
	all["dry run"] = all["gateway"]
	delete(all, "gateway")
	all["bare"], err = bench.Tree(os.Getpid())
	return all, err
}

// saying lends the replays and what says them, so that no connection is made while anything is timed.
func (b *replayMeasure) saying(ctx context.Context, do func(*replayLog) error) error {
	return b.withReplays(ctx, func(l *replayLog) error {
		return writing(ctx, l.cfg, func(_ *kgo.Client, _ *schemas.Codec, out *producers.Producer) error {
			b.out = out
			return do(l)
		})
	})
}

// sayReplay says a replay and returns it.
func (b *replayMeasure) sayReplay(ctx context.Context, l *replayLog, r replay.Request) (*schemas.ReplayChanged, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	e := r.Say(l.newest[r.ID()], time.Now())
	if e == nil {
		return nil, fail(exitFailed, "replay %s was said before", r.ID())
	}
	return e, b.say(ctx, l, e)
}
