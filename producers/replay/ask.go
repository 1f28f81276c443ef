package replay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/producers"
	"docstream/schemas"
)

// answer is what a job's turn comes to.
type answer struct {
	outcome string
	pages   int64
	request *schemas.RunRequested // nil where there is nothing to say
}

// The outcomes of a job's turn.
const (
	asked   = "asked"
	expired = "source_expired"
	skipped = "skipped"
)

// lookEvery is how often the ends of runs are counted while others are still being asked for.
const lookEvery = 3 * time.Second

// ask comes to every job behind the cursor in turn. The requests of a batch are durable before the cursor that says so: after a crash
// between the two the batch is asked for again, and the fold drops what it has. It reports whether nothing is left to ask for: a pause
// ends it before that.
func (w *work) ask(ctx context.Context) (all bool, err error) {
	for w.e.Left == 0 {
		if w.heed(); w.e.Status == Paused {
			return false, w.save(ctx)
		}
		entries, err := w.plan.after(w.e.Cursor, w.batch)
		if err != nil {
			return false, err
		}
		if len(entries) == 0 {
			return true, nil
		}
		answers, err := w.answers(ctx, entries)
		if err != nil {
			return false, err
		}
		if err := w.turn(ctx, entries, answers); err != nil {
			return false, err
		}
		if time.Since(w.looked) > lookEvery { // it waits for the fold, too: a replay does not run away from it
			if err := w.advance(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// answers finds out about several jobs at once, most of which is asking the object store.
func (w *work) answers(ctx context.Context, entries []entry) ([]answer, error) {
	out := make([]answer, len(entries))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, n := range entries {
		g.Go(func() (err error) {
			out[i], err = w.answer(ctx, n)
			return err
		})
	}
	return out, g.Wait()
}

// turn says what is to be said, up to the bound of pages, and moves the cursor. A replay that is cancelled or paused by then says nothing
// and stays where it is.
func (w *work) turn(ctx context.Context, entries []entry, answers []answer) error {
	next := *w.e
	var events []schemas.Event
	n := map[string]int{}
	for i, a := range answers {
		if a.outcome == asked && next.MaxPages > 0 && next.PagesAsked+a.pages > next.MaxPages {
			left, err := w.plan.count(next.Cursor)
			if err != nil {
				return err
			}
			next.Left = left
			break
		}
		switch a.outcome {
		case asked:
			next.JobsAsked++
			next.PagesAsked += a.pages
		case expired:
			next.SourceExpired++
		case skipped:
			next.Skipped++
		}
		if a.request != nil {
			events = append(events, a.request)
		}
		n[a.outcome]++
		next.Cursor = entries[i].key
	}
	if len(events) > 0 {
		if err := w.limit.WaitN(ctx, len(events)); err != nil {
			return err
		}
	}
	if w.heed(); w.e.Status != Running { // the wait for the rate was the longest part of it
		return w.save(ctx)
	}
	if len(events) > 0 {
		if err := w.x.Publisher.PublishAll(ctx, events, ""); err != nil {
			return err
		}
	}
	next.Version = w.e.Version
	w.e = &next
	for outcome, k := range n {
		w.seen(outcome, k)
	}
	return w.save(ctx)
}

// answer decides about one job, as it stands now. One whose source is gone is left as it is.
func (w *work) answer(ctx context.Context, n entry) (answer, error) {
	e, err := w.x.Codec.Decode(ctx, n.wire)
	if errors.Is(err, schemas.ErrUndecodable) { // its outline could be read
		return answer{outcome: skipped}, nil
	}
	if err != nil {
		return answer{}, err
	}
	d, ok := e.(*schemas.DocumentSubmitted)
	if !ok {
		return answer{}, errors.New("the plan holds a " + e.Kind())
	}
	job, err := w.known(ctx, d.Tenant, d.JobID)
	if err != nil {
		return answer{}, err
	}
	if _, _, ours := names(job, w.e.ReplayID); ours { // asked for before a crash
		return answer{outcome: asked, pages: pages(job)}, nil
	}
	if job != nil && !schemas.Terminal(job.Status) || !w.sel.stands(d.Source.MediaType, job) {
		return answer{outcome: skipped}, nil
	}
	if d.Source.Key == "" && d.Source.URL != "" { // what was fetched once is never fetched again
		d.Source.Key = schemas.FetchedKey(d.Tenant, d.JobID)
	}
	gone, err := w.gone(ctx, d.Source)
	if err != nil {
		return answer{}, err
	}
	if gone {
		return answer{outcome: expired}, nil
	}
	after, err := w.newest(ctx, d, job)
	if err != nil {
		return answer{}, err
	}
	r, err := w.request(d, after, job)
	return answer{asked, pages(job), r}, err
}

// gone reports whether the source is not there any more, or not the one that was submitted.
func (w *work) gone(ctx context.Context, s schemas.Source) (bool, error) {
	head := w.x.Objects.Head
	if s.Bucket != "" {
		head = w.x.Objects.In(s.Bucket).Head
	}
	o, err := head(ctx, s.Key)
	switch {
	case err == nil:
		return s.Size > 0 && o.Size != s.Size, nil
	case errors.Is(err, blob.ErrNotFound), fault.KindOf(err) == fault.Permanent:
		return true, nil
	}
	return false, err
}

// newest is the job's newest run. Where nobody has kept how it ended the results say so: the greatest run that has any.
func (w *work) newest(ctx context.Context, d *schemas.DocumentSubmitted, job *schemas.JobSnapshot) (run int, err error) {
	if job != nil {
		return job.Run, nil
	}
	prefix := strings.TrimSuffix(schemas.ResultKey(d.Tenant, d.JobID, 0, ""), "0/")
	err = w.x.Objects.List(ctx, prefix, func(o blob.Object) bool {
		number, _, _ := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		if n, err := strconv.Atoi(number); err == nil {
			run = max(run, n)
		}
		return true
	})
	return run, err
}

// request is the fact that asks: the submission as it was, at low priority, after the run that is the newest now, of which it says what the
// fold may have let go. A replay from a stage lets it take over what that run has made; what a cancelled run has read is never served, and
// where nobody has kept how the job ended nobody knows.
func (w *work) request(d *schemas.DocumentSubmitted, after int, job *schemas.JobSnapshot) (*schemas.RunRequested, error) {
	low := *d
	low.Priority = "low"
	if w.e.Stage != "" && job != nil && job.Status != schemas.Cancelled {
		producers.Keep(&low, job)
		low.FromStage, low.BaseJob = w.e.Stage, ""
	}
	wire, err := w.x.Codec.Encode(&low)
	if err != nil {
		return nil, fmt.Errorf("the submission of %s: %w", d.JobID, err)
	}
	r := &schemas.RunRequested{Submission: wire, AfterRun: after, ReplayID: w.e.ReplayID}
	if job != nil {
		r.Version, r.Runs = job.Version, schemas.Lineage(job)
	}
	r.Head = schemas.Head{EventID: schemas.EventIDFor(d.JobID, after, "replay", 0, r.Kind(), 0), Tenant: d.Tenant, JobID: d.JobID, Run: after,
		At: time.Now().UTC().Truncate(time.Microsecond), SubmittedAt: d.SubmittedAt}
	return r, nil
}
