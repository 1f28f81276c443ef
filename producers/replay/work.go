package replay

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"docstream/schemas"
)

// work is one replay being worked on. e is how it stands: what is durable and what has been done since.
type work struct {
	x     *Executor
	log   *slog.Logger
	e     *schemas.ReplayChanged
	sel   selection
	plan  *plan
	limit *rate.Limiter
	batch int

	caught   string    // every request up to this key was folded
	looked   time.Time // when that was found out
	unsaved  bool
	lastSave time.Time
}

// errStopped ends a replay that was cancelled.
var errStopped = errors.New("cancelled")

// maxBatch bounds the jobs that are asked about between two saves.
const maxBatch = 500

func (x *Executor) work(e *schemas.ReplayChanged, log *slog.Logger) (*work, error) {
	own := *e
	batch := min(max(1, int(math.Ceil(e.Rate))), maxBatch)
	p, err := newPlan(x.Dir)
	if err != nil {
		return nil, err
	}
	return &work{x: x, log: log, e: &own, sel: selection{e.Selection}, plan: p, limit: rate.NewLimiter(rate.Limit(e.Rate), batch), batch: batch}, nil
}

// run plans, asks and waits for the ends, from wherever the replay stands.
func (w *work) run(ctx context.Context) error {
	defer w.plan.close()
	counts, err := w.gather(ctx)
	if err != nil {
		return err
	}
	if w.e.Status == Pending {
		w.count(counts)
		w.e.Status = Running
		if w.e.Mode == Dry {
			w.end(Completed)
		}
		if err := w.save(ctx); err != nil || w.e.Mode == Dry {
			return w.stopped(err)
		}
	}
	for _, step := range []func(context.Context) error{w.ask, w.settle} {
		if err := step(ctx); err != nil {
			return w.stopped(err)
		}
	}
	w.end(Completed)
	return w.stopped(w.save(ctx))
}

// stopped turns a cancellation into an end.
func (w *work) stopped(err error) error {
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (w *work) end(status string) {
	w.e.Status, w.e.EndedAt = status, time.Now().UTC().Truncate(time.Microsecond)
}

// count takes over what was counted.
func (w *work) count(counts map[string]*schemas.StatusCount) {
	w.e.Counts, w.e.JobsTotal, w.e.PagesTotal = nil, 0, 0
	for _, c := range counts {
		w.e.Counts = append(w.e.Counts, *c)
		w.e.JobsTotal += c.Jobs
		w.e.PagesTotal += c.Pages
	}
	slices.SortFunc(w.e.Counts, func(a, b schemas.StatusCount) int { return strings.Compare(a.Status, b.Status) })
}

// save makes durable how the replay stands. One that was cancelled meanwhile is written as that, with the counts as they are, and
// errStopped comes back.
func (w *work) save(ctx context.Context) error {
	if now, ok := w.x.Jobs.Replay(w.e.Tenant, w.e.ReplayID); ok && now.Status == Cancelled {
		w.e.Version, w.e.Status, w.e.EndedAt = now.Version, Cancelled, now.EndedAt
	}
	stamp(w.e, time.Now())
	own := *w.e // an event that is being written is not written on
	if err := w.x.Publisher.PublishAll(ctx, []schemas.Event{&own}, ""); err != nil {
		return err
	}
	w.unsaved, w.lastSave = false, time.Now()
	if w.e.Status == Cancelled {
		return errStopped
	}
	return nil
}

// gather makes the plan: every selected job once, whichever lane and however often the lanes hold it. A job that this replay has asked for
// already belongs to it, however it stands now.
func (w *work) gather(ctx context.Context) (map[string]*schemas.StatusCount, error) {
	if err := w.x.Jobs.Fresh(ctx); err != nil {
		return nil, err
	}
	counts := map[string]*schemas.StatusCount{}
	to := w.e.Selection.To
	if to.IsZero() || to.After(w.e.CreatedAt) {
		to = w.e.CreatedAt
	}
	return counts, w.x.Source(ctx, w.e.Selection.From, to, func(r Record) error {
		d, err := w.submission(ctx, r)
		if err != nil || d == nil || !w.sel.submitted(w.e.Tenant, d, w.e.CreatedAt) {
			return err
		}
		job := w.job(d.Tenant, d.JobID)
		if _, _, ours := names(job, w.e.ReplayID); !ours && !w.sel.stands(d, job) {
			return nil
		}
		fresh, err := w.plan.add(planKey(d), r.Value)
		if err != nil || !fresh {
			return err
		}
		status := "unknown"
		if job != nil {
			status = job.Status
		}
		c := counts[status]
		if c == nil {
			c = &schemas.StatusCount{Status: status}
			counts[status] = c
		}
		c.Jobs++
		c.Pages += pages(job)
		return nil
	})
}

// submission reads a record of a lane; nil where it is none that can be believed (P8).
func (w *work) submission(ctx context.Context, r Record) (*schemas.DocumentSubmitted, error) {
	who, err := w.x.Proof.Prove(ctx, r)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil
	}
	e, err := w.x.Codec.Decode(ctx, r.Value)
	if errors.Is(err, schemas.ErrUndecodable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, refused := who.Admit(e)
	if refused != nil {
		return nil, nil
	}
	return d, nil
}

// job returns how a job stands; nil for one that was laid to rest.
func (w *work) job(tenant, job string) *schemas.JobSnapshot {
	s, _ := w.x.Jobs.Job(tenant, job)
	return s
}

// settle waits until every run that was asked for has ended, and counts how.
func (w *work) settle(ctx context.Context) error {
	for {
		if err := w.advance(ctx); err != nil {
			return err
		}
		if w.unsaved {
			if err := w.save(ctx); err != nil {
				return err
			}
		}
		if w.e.Settled == w.e.Cursor {
			return nil
		}
		if now, ok := w.x.Jobs.Replay(w.e.Tenant, w.e.ReplayID); ok && now.Status == Cancelled {
			return w.save(ctx)
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// advance moves on over the jobs whose runs have ended, as far as they have. A job that no run of ours is known of was not asked for, once
// every request up to it has been folded; before that nobody can tell.
func (w *work) advance(ctx context.Context) error {
	if w.caught < w.e.Cursor {
		upTo := w.e.Cursor
		if err := w.x.Jobs.Caught(ctx); err != nil {
			return err
		}
		w.caught = upTo
	}
	w.looked = time.Now()
	for {
		entries, err := w.plan.after(w.e.Settled, maxBatch)
		if err != nil {
			return err
		}
		for _, n := range entries {
			if n.key > w.caught {
				w.e.Settled = max(w.e.Settled, w.caught) // the job at the cursor may be in the plan no more
				return nil
			}
			tenant, job, _ := strings.Cut(n.key, "/")
			status, code, ours := names(w.job(tenant, job), w.e.ReplayID)
			if ours && !schemas.Terminal(status) {
				return nil
			}
			if ours {
				w.tally(status, code)
			}
			w.e.Settled, w.unsaved = n.key, true
		}
		if len(entries) == 0 {
			w.e.Settled = max(w.e.Settled, w.caught)
			return nil
		}
	}
}

// tally counts a run that has ended. A source that went between the question and the run is a source that expired.
func (w *work) tally(status, code string) {
	switch {
	case status == schemas.Completed:
		w.e.Completed++
	case status == schemas.Partial:
		w.e.Partial++
	case status == schemas.Failed && code == string(schemas.SourceMissing):
		w.e.SourceExpired++
		w.seen("source_expired", 1)
	case status == schemas.Failed:
		w.e.Failed++
	default:
		w.e.Cancelled++
	}
}

func (w *work) seen(outcome string, n int) {
	if w.x.asked != nil && n > 0 {
		w.x.asked.WithLabelValues(outcome).Add(float64(n))
	}
}
