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

	"docstream/internal/pause"
	"docstream/producers/ended"
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
	marks    []mark // of the last minute
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

// run plans, asks and waits for the ends, from wherever the replay stands, until it has ended or rests.
func (w *work) run(ctx context.Context) error {
	defer w.plan.close()
	if w.e.Status == Paused && w.e.Settled == w.e.Cursor {
		return w.stopped(w.save(ctx)) // once more: what the log's compaction leaves is the last record, not the one that counts
	}
	counts, err := w.gather(ctx)
	if err != nil {
		return err
	}
	if w.e.Status == Pending {
		w.count(counts)
		w.e.Status = Running
		if w.e.Mode == Dry {
			if err := w.look(ctx); err != nil {
				return err
			}
			w.end(Completed)
		}
		if err := w.save(ctx); err != nil || w.e.Mode == Dry {
			return w.stopped(err)
		}
	}
	for {
		all, err := w.ask(ctx)
		if err == nil {
			err = w.settle(ctx)
		}
		if err != nil {
			return w.stopped(err)
		}
		switch w.heed(); {
		case w.e.Status == Paused: // nobody needs to hold it while it rests
			return w.stopped(w.save(ctx))
		case all && w.e.Settled == w.e.Cursor:
			w.end(Completed)
			return w.stopped(w.save(ctx))
		}
	}
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

// heed takes over what somebody else has said of the replay meanwhile, wherever that was: pause, resume or cancel. It reports whether
// there was anything. What has ended stays so, unless it was cancelled.
func (w *work) heed() bool {
	now, ok := w.x.Jobs.Replay(w.e.Tenant, w.e.ReplayID)
	if !ok || now.Version <= w.e.Version {
		return false
	}
	w.e.Version = now.Version
	switch {
	case now.Status == Cancelled:
		w.e.Status, w.e.EndedAt = Cancelled, now.EndedAt
	case !w.e.EndedAt.IsZero():
	case now.Status == Paused:
		w.e.Status = Paused
	case w.e.Status == Paused:
		w.e.Status = Running
	}
	return true
}

// save makes durable how the replay stands. One that was cancelled meanwhile is written as that, with the counts as they are, and
// errStopped comes back.
func (w *work) save(ctx context.Context) error {
	w.heed()
	w.e.Pace = w.pace(time.Now())
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

// mark is how many jobs were done at a time.
type mark struct {
	at   time.Time
	done int64
}

// paceOver is the time the pace is taken over.
const paceOver = time.Minute

// pace is how many jobs have come to an end in a second of late; 0 where none are asked for.
func (w *work) pace(now time.Time) float64 {
	if w.e.Status != Running {
		w.marks = nil
		return 0
	}
	w.marks = append(w.marks, mark{now, done(w.e)})
	for len(w.marks) > 2 && now.Sub(w.marks[1].at) > paceOver {
		w.marks = w.marks[1:]
	}
	first := w.marks[0]
	took := now.Sub(first.at).Seconds()
	if took < 1 {
		return 0
	}
	return math.Round(1000*float64(done(w.e)-first.done)/took) / 1000
}

// job returns how a job stands; nil for one that was let go.
func (w *work) job(tenant, job string) *schemas.JobSnapshot {
	s, _ := w.x.Jobs.Job(tenant, job)
	return s
}

// known returns how a job stands, or how it ended where it was let go; nil where nobody has kept that. It costs a look into the object store.
func (w *work) known(ctx context.Context, tenant, job string) (*schemas.JobSnapshot, error) {
	if s := w.job(tenant, job); s != nil {
		return s, nil
	}
	return ended.Job(ctx, w.x.Objects, tenant, job)
}

// settle waits until every run that was asked for has ended, and counts how; a replay that is resumed meanwhile has more to ask for first.
func (w *work) settle(ctx context.Context) error {
	for {
		if err := w.advance(ctx); err != nil {
			return err
		}
		paused := w.e.Status == Paused
		if w.heed() || w.unsaved {
			if err := w.save(ctx); err != nil {
				return err
			}
		}
		if w.e.Settled == w.e.Cursor || paused && w.e.Status != Paused {
			return nil
		}
		if !pause.For(ctx, time.Second) {
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
