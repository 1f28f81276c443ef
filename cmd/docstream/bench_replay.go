package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"docstream/producers"
	"docstream/producers/replay"
	"docstream/schemas"
)

// replayBench are the flags of bench replay.
type replayBench struct {
	jobs, live int
	events     int // of a laid archive; 0: documents are submitted instead
	rounds     int
	count      bool
	liveRate   float64
	rate       string
	drain      time.Duration
}

func (p *program) benchReplayCommand() *cobra.Command {
	var o replayBench
	c := &cobra.Command{Use: "replay", Short: "Measure what a replay costs live documents", Args: cobra.NoArgs,
		Long: "Submit one-page texts to the running one-machine service, then measure how long live ones take from accepted to done, at a steady\n" +
			"rate: in rounds, alone while the replay of the first rests and beside it while it goes on. Print the times of each round, those of all\n" +
			"rounds together and the ratio of their 95th percentiles. The documents stay, so the service is fuller afterwards.\n\n" +
			"--events N lays an archive of N submissions that nobody has worked on, of which small documents exist, and replays that: it prints how\n" +
			"fast a dry run reads them beside a bare consumer of the same records, in turn; whether the dry run said what the run did; what was\n" +
			"uploaded; and the sum of all jobs' states as the fold wrote them and as the same facts give them once more. The archive is removed\n" +
			"again. The service should have nothing else to do, and should be a new one: every fact it keeps is read.",
		RunE: func(c *cobra.Command, _ []string) error {
			rate, err := replay.ParseRate(o.rate)
			if err != nil || o.jobs < 1 || o.jobs > 100_000 || o.live < 20 || o.live > 10_000 || o.liveRate <= 0 || o.liveRate > 100 || rate > replay.MaxRate {
				return fail(exitUsage, "--jobs is 1 to 100000, --live 20 to 10000, --live-rate up to 100, --rate reads like 20/s")
			}
			if o.events < 0 || o.events > 1_000_000 || o.rounds < 1 || o.rounds > 20 {
				return fail(exitUsage, "--events is up to 1000000, --rounds 1 to 20")
			}
			if need := rate * float64(o.rounds*o.live) / o.liveRate; !o.count && need > float64(max(o.jobs, o.events)) {
				return fail(exitUsage, "a replay of %.0f lasts for %d rounds of %d documents at this rate", need, o.rounds, o.live)
			}
			if o.events > 0 {
				return p.benchArchive(c.Context(), o, rate)
			}
			return p.benchReplay(c.Context(), o, rate)
		}}
	f := c.Flags()
	f.IntVar(&o.jobs, "jobs", 2000, "documents to replay")
	f.IntVar(&o.live, "live", 50, "live documents in each condition of a round")
	f.Float64Var(&o.liveRate, "live-rate", 2, "live documents a second")
	f.StringVar(&o.rate, "rate", "20/s", "rate of the replay")
	f.IntVar(&o.events, "events", 0, "replay so many archived submissions instead of documents that are submitted first")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of live documents alone and beside the replay; of --events also dry runs and bare readings")
	f.BoolVar(&o.count, "count", false, "with --events: dry runs only")
	f.DurationVar(&o.drain, "drain", 15*time.Minute, "how long to wait for the documents to end")
	return c
}

// liveTimes is one condition.
type liveTimes struct {
	Condition string        `json:"condition"`
	Count     int           `json:"count"`
	P50       time.Duration `json:"p50"`
	P95       time.Duration `json:"p95"`
	Max       time.Duration `json:"max"`
}

// replayCost is what bench replay prints.
type replayCost struct {
	Rounds []liveTimes   `json:"rounds"` // alone and during in turn
	Times  []liveTimes   `json:"times"`  // of all rounds: alone, during
	Ratio  float64       `json:"ratio"`  // p95 of all rounds during the replay over alone
	Replay replay.Report `json:"replay"`
	Asked  int64         `json:"asked_during"` // runs asked for while live documents were measured
}

func (p *program) benchReplay(ctx context.Context, o replayBench, rate float64) error {
	d, err := p.localService()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "docstream-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &replayMeasure{program: p, replayBench: o, client: newClient(d.API, d.APIKey), dir: dir}
	from := time.Now().Add(-time.Second)
	if err := b.seed(ctx); err != nil {
		return err
	}
	to := time.Now()
	r := replay.Request{Tenant: "default", Rate: rate, By: "operator", Selection: schemas.Selection{From: from, To: to, Label: "bench " + rand.Text()}}
	out, err := b.beside(ctx, r)
	if err != nil {
		return err
	}
	return p.printReplayCost(*out)
}

// conditions of live documents.
var conditions = [2]string{"alone", "during the replay"}

// beside measures live documents alone and beside a replay in turn, so that what else changes on the machine falls on both; then the replay
// goes on to its end.
func (b *replayMeasure) beside(ctx context.Context, r replay.Request) (*replayCost, error) {
	out := &replayCost{}
	var all [len(conditions)][]time.Duration
	one := func(condition int) error {
		times, err := b.measure(ctx)
		if err != nil {
			return err
		}
		all[condition] = append(all[condition], times...)
		out.Rounds = append(out.Rounds, sumUp(conditions[condition], times))
		return nil
	}
	err := b.saying(ctx, func(l *replayLog) error {
		var e *schemas.ReplayChanged
		goOn := func() (err error) {
			if e == nil {
				e, err = b.sayReplay(ctx, l, r)
				return err
			}
			return b.say(ctx, l, replay.Resume(l.newest[e.ReplayID], time.Now()))
		}
		for range b.rounds {
			if err := one(0); err != nil {
				return err
			}
			if err := goOn(); err != nil {
				return err
			}
			asked, err := b.asked(ctx, l, e.ReplayID)
			if err != nil {
				return err
			}
			if err := one(1); err != nil {
				return err
			}
			if err := b.rest(ctx, l, e.ReplayID); err != nil {
				return err
			}
			out.Asked += l.newest[e.ReplayID].JobsAsked - asked
		}
		if err := goOn(); err != nil {
			return err
		}
		var err error
		out.Replay, err = b.followReplay(ctx, l, e.ReplayID)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, name := range conditions {
		out.Times = append(out.Times, sumUp(name+", all", all[i]))
	}
	out.Ratio = float64(out.Times[1].P95) / float64(out.Times[0].P95)
	return out, nil
}

// asked waits until a replay asks for runs and returns how many it has asked for.
func (b *replayMeasure) asked(ctx context.Context, l *replayLog, id string) (int64, error) {
	before := l.newest[id].JobsAsked
	err := b.until(ctx, func() (bool, error) {
		err := readSettings(ctx, l.log)
		return l.newest[id].JobsAsked > before, err
	})
	return l.newest[id].JobsAsked, err
}

// rest lets a replay rest and waits until the runs it has asked for have ended.
func (b *replayMeasure) rest(ctx context.Context, l *replayLog, id string) error {
	if err := readSettings(ctx, l.log); err != nil {
		return err
	}
	if err := b.say(ctx, l, replay.Pause(l.newest[id], time.Now())); err != nil {
		return err
	}
	return b.until(ctx, func() (bool, error) {
		err := readSettings(ctx, l.log)
		now := l.newest[id]
		return now.Status == replay.Paused && now.Settled == now.Cursor, err
	})
}

// say says how a replay is to stand.
func (b *replayMeasure) say(ctx context.Context, l *replayLog, e *schemas.ReplayChanged) error {
	if e == nil {
		return fail(exitFailed, "the replay ended before its rounds did")
	}
	l.newest[e.ReplayID] = e
	return b.out.Publish(ctx, e, schemas.NewRequestID(time.Now()))
}

// replayMeasure is a measurement under way.
type replayMeasure struct {
	*program
	replayBench
	client *client
	pids   map[string]int // of the service
	dir    string
	out    *producers.Producer // says replays
}

// note writes a text that no other has.
func (b *replayMeasure) note() (string, error) {
	path := filepath.Join(b.dir, rand.Text()+".txt")
	return path, os.WriteFile(path, []byte("This document measures what a replay costs.\n\n"+unlike()), 0o600)
}

// seed submits what is replayed and waits for it.
func (b *replayMeasure) seed(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	ids := make([]string, b.jobs)
	for i := range ids {
		g.Go(func() (err error) {
			ids[i], err = b.submit(gctx, "low")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := b.took(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (b *replayMeasure) submit(ctx context.Context, priority string) (string, error) {
	path, err := b.note()
	if err != nil {
		return "", err
	}
	defer os.Remove(path)
	j, err := b.client.submit(ctx, path, submission{priority: priority, formats: "text", cache: "false"})
	return j.JobID, err
}

// took waits for a job and returns how long it took from accepted to ended, as the service says: how often it is asked plays no part.
func took(ctx context.Context, c *client, id string) (time.Duration, error) {
	var times struct {
		Created  time.Time `json:"created_at"`
		Finished time.Time `json:"finished_at"`
	}
	j, err := c.follow(ctx, id, func(job) {})
	if err != nil {
		return 0, err
	}
	if j.Status != "completed" {
		return 0, fmt.Errorf("job %s %s: a document that is measured must complete", id, j.Status)
	}
	err = json.Unmarshal(j.raw, &times)
	return times.Finished.Sub(times.Created), err
}

// took is no longer than the drain time.
func (b *replayMeasure) took(ctx context.Context, id string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, b.drain)
	defer cancel()
	return took(ctx, b.client, id)
}

// sumUp is what the times of a condition come to.
func sumUp(condition string, times []time.Duration) liveTimes {
	times = slices.Sorted(slices.Values(times))
	return liveTimes{condition, len(times), times[len(times)/2], times[(len(times)*95+99)/100-1], times[len(times)-1]}
}

// until asks every 100 ms, no longer than the drain time.
func (b *replayMeasure) until(ctx context.Context, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, b.drain)
	defer cancel()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// measure submits live documents at the rate, whatever becomes of them, and asks how long each took once all are submitted.
func (b *replayMeasure) measure(ctx context.Context) ([]time.Duration, error) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / b.liveRate))
	defer tick.Stop()
	ids, errs := make([]string, b.live), make([]error, b.live)
	var all sync.WaitGroup
	for i := range ids {
		<-tick.C
		all.Go(func() { ids[i], errs[i] = b.submit(ctx, "normal") })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	times := make([]time.Duration, b.live)
	for i, id := range ids {
		var err error
		if times[i], err = b.took(ctx, id); err != nil {
			return nil, err
		}
	}
	return times, nil
}

func (p *program) printReplayCost(c replayCost) error {
	if p.json {
		return p.print(c)
	}
	for _, t := range append(c.Rounds, c.Times...) {
		fmt.Fprintf(p.stdout, "%-22s %4d documents  p50 %6d ms  p95 %6d ms  max %6d ms\n", t.Condition, t.Count, t.P50.Milliseconds(), t.P95.Milliseconds(), t.Max.Milliseconds())
	}
	fmt.Fprintf(p.stdout, "p95 during over alone: %.2f; %d runs asked for meanwhile\n", c.Ratio, c.Asked)
	return p.printReplay(c.Replay)
}
