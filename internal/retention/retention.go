// Package retention removes objects that have been kept long enough: by the bucket's own lifecycle rules where the store takes them, else by
// a sweep of ours. It goes by age alone, never by "nobody knows this object": a job is not asked, and stays as it ended.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"docstream/internal/blob"
	"docstream/internal/pause"
)

// Who removes objects.
const (
	Auto   = "auto"   // the bucket where it takes rules, else a sweep
	Bucket = "bucket" // the bucket; rules that somebody else has set count
	Sweep  = "sweep"
	None   = "none"
)

// Config says how long objects are kept. 0: for ever.
type Config struct {
	By       string        `koanf:"by"`       // auto, bucket, sweep or none
	Sources  time.Duration `koanf:"sources"`  // documents, and what was promised under an Idempotency-Key, which lives as long as its document
	Results  time.Duration `koanf:"results"`  // outputs and page results
	Work     time.Duration `koanf:"work"`     // images of pages and the like, on their way from stage to stage
	Archive  time.Duration `koanf:"archive"`  // the log itself
	Jobs     time.Duration `koanf:"jobs"`     // how jobs ended; they are not known any more after that
	Every    time.Duration `koanf:"every"`    // how often a sweep looks at all there is
	Rate     int           `koanf:"rate"`     // objects a sweep removes in a second
	Parallel int           `koanf:"parallel"` // removals of a sweep at once
}

// DefaultConfig keeps documents and results for 30 days, the archive and how jobs ended for ever.
func DefaultConfig() Config {
	const day = 24 * time.Hour
	return Config{By: Auto, Sources: 30 * day, Results: 30 * day, Work: 4 * day, Every: time.Hour, Rate: 200, Parallel: 4}
}

// Validate refuses what would remove objects that are being written.
func (c Config) Validate() error {
	switch {
	case !slices.Contains([]string{Auto, Bucket, Sweep, None}, c.By):
		return fmt.Errorf("retention: by is auto, bucket, sweep or none, not %q", c.By)
	case min(c.Sources, c.Results, c.Work, c.Archive, c.Jobs) < 0:
		return errors.New("retention: nothing can be kept for less than no time; 0 keeps it for ever")
	case c.Jobs > 0 && (c.Results == 0 || c.Jobs <= c.Results):
		return errors.New("retention: jobs is not above results: a job would be forgotten before its result")
	case c.By != Sweep && slices.ContainsFunc(c.Rules(), func(r blob.Rule) bool { return r.After < 24*time.Hour }):
		return errors.New("retention: buckets count in days; less than one needs retention.by=sweep")
	case c.Every < time.Second:
		return errors.New("retention: every is at least 1 s")
	case c.Rate < 1 || c.Parallel < 1:
		return errors.New("retention: rate and parallel are at least 1")
	}
	return nil
}

// Rules lists what is kept for how long, by prefix.
func (c Config) Rules() []blob.Rule {
	all := []blob.Rule{{Prefix: "sources/", After: c.Sources}, {Prefix: "announced/", After: c.Sources}, {Prefix: "batches/", After: c.Sources},
		{Prefix: "idem/", After: c.Sources},
		{Prefix: "results/", After: c.Results},
		{Prefix: "work/", After: c.Work}, {Prefix: "archive/", After: c.Archive}, {Prefix: "jobs/", After: c.Jobs}}
	return slices.DeleteFunc(all, func(r blob.Rule) bool { return r.After == 0 })
}

// Objects is the part of the store that is needed here.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
	Delete(ctx context.Context, key string) error
	Expire(ctx context.Context, rules []blob.Rule) error
	// DropStale ends the uploads in parts below a prefix that were begun before a time.
	DropStale(ctx context.Context, prefix string, before time.Time) error
}

// Keeper removes what was kept long enough. Any number of them on one bucket do it once.
type Keeper struct {
	cfg     Config
	objects Objects
	log     *slog.Logger
	removed *prometheus.CounterVec
	sweeps  *prometheus.CounterVec
}

// New returns an inert keeper; reg may be nil.
func New(cfg Config, objects Objects, log *slog.Logger, reg prometheus.Registerer) *Keeper {
	k := &Keeper{cfg: cfg, objects: objects, log: log,
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_retention_objects_total",
			Help: "Objects that a sweep removed because they were kept long enough, by prefix."}, []string{"prefix"}),
		sweeps: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_retention_sweeps_total",
			Help: "Sweeps of the bucket by outcome: done, failed, or left to the worker that began first."}, []string{"outcome"}),
	}
	if reg != nil {
		reg.MustRegister(k.removed, k.sweeps)
	}
	return k
}

// Run sets the rules of the bucket and is done, or sweeps until ctx ends. A store that does not answer is asked again.
func (k *Keeper) Run(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, k.cfg.Every) {
		by, err := k.Apply(ctx)
		switch {
		case err == nil && by == Sweep:
			return k.sweep(ctx)
		case err == nil:
			k.log.InfoContext(ctx, "objects expire", "by", by)
			return nil
		case errors.Is(err, blob.ErrNoLifecycle):
			k.log.ErrorContext(ctx, "no object expires: retention.by=sweep removes them without rules of the bucket", "error", err)
			return nil
		}
		k.log.WarnContext(ctx, "the bucket's rules cannot be looked at now", "error", err)
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// Apply sets the rules of the bucket where that is how objects are removed, and says who removes them from now on.
func (k *Keeper) Apply(ctx context.Context) (by string, err error) {
	if k.cfg.By == None || k.cfg.By == Sweep {
		return k.cfg.By, nil
	}
	err = k.objects.Expire(ctx, k.cfg.Rules())
	if errors.Is(err, blob.ErrNoLifecycle) && k.cfg.By == Auto {
		return Sweep, nil
	}
	return Bucket, err
}

func (k *Keeper) sweep(ctx context.Context) error {
	k.log.InfoContext(ctx, "objects expire", "by", Sweep, "every", k.cfg.Every.String())
	for {
		turn := time.Now().UTC().Truncate(k.cfg.Every)
		outcome, err := k.Once(ctx, turn)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.sweeps.WithLabelValues(outcome).Inc()
		if err != nil {
			k.log.WarnContext(ctx, "a sweep of the bucket broke off; the next one goes on", "error", err)
		}
		if !pause.For(ctx, time.Until(turn.Add(k.cfg.Every))) {
			return ctx.Err()
		}
	}
}

// turns is where the marker of each sweep lies, which says that somebody has begun it. They are kept for days, so that a clock that is
// behind does not sweep again, and are then swept themselves.
const (
	turns     = "sweep/"
	turnsKept = 4 * 24 * time.Hour
)

// partsKept is how long an upload in parts may go on, as in the rules of a bucket.
const partsKept = 7 * 24 * time.Hour

// Once does the sweep of one turn, unless another worker has begun it: outcome is done, failed or left. Of a sweep that broke off the next
// turn does the rest, for what was removed is gone.
func (k *Keeper) Once(ctx context.Context, turn time.Time) (outcome string, err error) {
	err = k.objects.Put(ctx, turns+turn.UTC().Format("20060102T150405Z"), nil, blob.Options{Once: true})
	if errors.Is(err, blob.ErrExists) {
		return "left", nil
	}
	if err != nil {
		return "failed", err
	}
	within, cancel := context.WithDeadline(ctx, time.Now().Add(k.cfg.Every)) // the next turn is somebody else's
	defer cancel()
	pace := rate.NewLimiter(rate.Limit(k.cfg.Rate), k.cfg.Parallel)
	for _, r := range append(k.cfg.Rules(), blob.Rule{Prefix: turns, After: turnsKept}) {
		if err := k.clear(within, r, pace); err != nil {
			if within.Err() != nil && ctx.Err() == nil {
				k.log.WarnContext(ctx, "a sweep took its whole turn; the next one goes on", "prefix", r.Prefix, "rate", k.cfg.Rate)
			}
			return "failed", err
		}
	}
	if err := k.objects.DropStale(within, "", time.Now().Add(-partsKept)); err != nil {
		return "failed", err
	}
	return "done", nil
}

// clear removes the objects of one rule.
func (k *Keeper) clear(ctx context.Context, r blob.Rule, pace *rate.Limiter) error {
	each, within := errgroup.WithContext(ctx)
	each.SetLimit(k.cfg.Parallel)
	old := time.Now().Add(-r.After)
	name := strings.Trim(r.Prefix, "/")
	var late error
	listed := k.objects.List(within, r.Prefix, func(o blob.Object) bool {
		if !o.Modified.Before(old) {
			return within.Err() == nil
		}
		if late = pace.Wait(within); late != nil {
			return false
		}
		each.Go(func() error {
			err := k.objects.Delete(within, o.Key)
			if err == nil {
				k.removed.WithLabelValues(name).Inc()
			}
			return err
		})
		return within.Err() == nil
	})
	return errors.Join(each.Wait(), listed, late, ctx.Err())
}
