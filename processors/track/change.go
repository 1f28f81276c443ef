package track

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"docstream/schemas"
)

// The stages a job can be seen in.
const (
	StagePrepare = "prepare" // waiting to be opened
	stageFetch   = "fetch"   // of a retry alone: the job waits to be opened
	StagePages   = "pages"   // pages are being read
	StageCompose = "compose" // every page is closed; the outputs are being written
	StageDone    = "done"    // terminal
)

// maxFailures bounds the failures a state names; the counts and the bitmap know all of them.
const maxFailures = 100

// change is one fact being folded into one state.
type change struct {
	track *Track
	s     *schemas.JobSnapshot
	at    time.Time
	out   []schemas.Event
}

// close makes of a changed state its next version.
func (c *change) close() {
	s := c.s
	s.Retries = slices.DeleteFunc(s.Retries, c.over)
	s.Version++
	s.At = c.at
	s.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, s.Kind(), s.Version)
}

// fold reports whether the fact changed the state.
func (c *change) fold(ctx context.Context, f schemas.Event) (bool, error) {
	switch f := f.(type) {
	case *schemas.DocumentOpened:
		return c.opened(ctx, f)
	case *schemas.DocumentSplit:
		return c.split(f.PagesTotal, f.PageRanges), nil
	case *schemas.DocumentRefused:
		return c.refused(ctx, f)
	case *schemas.PageFinished:
		return c.finished(f), nil
	case *schemas.PageFailed:
		return c.failed(f), nil
	case *schemas.RetryScheduled:
		return c.retried(ctx, f)
	case *schemas.DeadLettered:
		return c.dead(f), nil
	case *schemas.DocumentComposed:
		return c.composed(f), nil
	case *schemas.DeadlineSet:
		return c.announced(ctx, f.Submission)
	case *schemas.DocumentDeferred:
		return c.announced(ctx, f.Submission)
	case *schemas.FetchScheduled:
		return c.announced(ctx, f.Submission)
	case *schemas.CancelRequested:
		return c.end(schemas.Cancelled, "", ""), nil
	}
	return false, nil
}

// opened learns what the job is and, where it is known yet, how many pages it has. Only the first opening of a run counts.
func (c *change) opened(ctx context.Context, f *schemas.DocumentOpened) (bool, error) {
	if !c.s.OpenedAt.IsZero() {
		return false, nil
	}
	sub, err := c.track.submission(ctx, f.Submission)
	if err != nil {
		return false, err
	}
	describe(c.s, sub)
	c.s.OpenedAt, c.s.Status, c.s.Pipeline = f.At, schemas.Processing, f.Pipeline
	if f.MediaType != "" {
		c.s.Source.MediaType = f.MediaType
	}
	c.s.Stage = StagePages
	c.use(0, f.Costs, 0)
	if due := c.s.Deadline; !due.IsZero() && !f.At.Before(due) {
		return c.expire(), nil // of a job nobody told the fold of before, no tick could
	}
	if !c.split(f.PagesTotal, f.PageRanges) {
		c.settle() // a DocumentSplit may have come before
	}
	return true, nil
}

// split learns the pages of the document, once.
func (c *change) split(total int, ranges string) bool {
	if c.s.PageRanges != "" {
		return false
	}
	set, _ := schemas.ParseRanges(ranges)
	if set.Count() == 0 {
		return false // written by a stage of ours; a deadline, not the fold, ends such a job
	}
	c.s.PagesTotal, c.s.PageRanges, c.s.PagesExpected = total, set.String(), set.Count()
	c.settle()
	return true
}

func (c *change) refused(ctx context.Context, f *schemas.DocumentRefused) (bool, error) {
	if f.Stage == schemas.Door && c.s.Version > 0 {
		return false, nil // its record may name any job of the tenant
	}
	if c.s.OpenedAt.IsZero() && len(f.Submission) > 0 {
		sub, err := c.track.submission(ctx, f.Submission)
		if err != nil {
			return false, err
		}
		describe(c.s, sub)
	}
	return c.end(schemas.Failed, f.Code, f.Message), nil
}

// finished closes a page with a result. A page only grows, pending < failed < finished, and only until its results are being composed.
func (c *change) finished(f *schemas.PageFinished) bool {
	if c.s.Stage == StageCompose || f.Page < 1 || schemas.Bitmap(c.s.Finished).Has(f.Page) {
		return false
	}
	if schemas.Bitmap(c.s.Failed).Has(f.Page) {
		c.s.Failed = schemas.Bitmap(c.s.Failed).Clear(f.Page)
		c.s.PagesFailed--
		c.s.Failures = slices.DeleteFunc(c.s.Failures, func(x schemas.PageFailure) bool { return x.Page == f.Page })
	} else {
		units := 1
		if f.Kept != 0 {
			units = 0
			c.s.PagesKept++
		}
		c.use(f.Page, f.Costs, units)
	}
	c.s.Finished = schemas.Bitmap(c.s.Finished).Set(f.Page)
	if f.How == "text" {
		c.s.Text = schemas.Bitmap(c.s.Text).Set(f.Page)
	}
	c.s.PagesDone++
	c.s.Words += int64(f.Words)
	c.settle()
	return true
}

// failed closes a page without a result.
func (c *change) failed(f *schemas.PageFailed) bool {
	if c.s.Stage == StageCompose || f.Page < 1 || !c.fail(f.Page, schemas.PageFailure{Page: f.Page, Stage: f.Stage, Code: f.Code, Message: f.Message}) {
		return false
	}
	c.use(f.Page, f.Costs, 0)
	c.settle()
	return true
}

func (c *change) fail(page int, why schemas.PageFailure) bool {
	if schemas.Bitmap(c.s.Finished).Has(page) || schemas.Bitmap(c.s.Failed).Has(page) {
		return false
	}
	c.s.Failed = schemas.Bitmap(c.s.Failed).Set(page)
	c.s.PagesFailed++
	// kept in page order, the lowest hundred: the same whatever order they arrive in
	at, _ := slices.BinarySearchFunc(c.s.Failures, page, func(x schemas.PageFailure, n int) int { return x.Page - n })
	c.s.Failures = slices.Insert(c.s.Failures, at, why)
	if len(c.s.Failures) > maxFailures {
		c.s.Failures = c.s.Failures[:maxFailures]
	}
	return true
}

// dead ends what no fact of a stage ends: a continuation nobody could split, and a composition nobody could write.
func (c *change) dead(f *schemas.DeadLettered) bool {
	switch {
	case f.Stage == "compose":
		return c.end(schemas.Failed, f.Code, f.Message)
	case f.Stage != "prepare" || f.FromPage <= 1 || c.s.Stage == StageCompose:
		return false
	}
	set, _ := schemas.ParseRanges(c.s.PageRanges)
	if set.Count() == 0 {
		return c.end(schemas.Failed, f.Code, f.Message)
	}
	moved := false
	for page := range set.All() {
		if page >= f.FromPage {
			moved = c.fail(page, schemas.PageFailure{Page: page, Stage: f.Stage, Code: f.Code, Message: f.Message}) || moved
		}
	}
	c.settle()
	return moved
}

// settle asks for the outputs once every page is closed; a document none of whose pages has a result has failed.
func (c *change) settle() {
	s := c.s
	if s.OpenedAt.IsZero() || s.PagesExpected == 0 || s.PagesDone+s.PagesFailed < s.PagesExpected {
		return
	}
	if s.PagesDone == 0 {
		first := s.Failures[0]
		c.end(schemas.Failed, first.Code, first.Message)
		return
	}
	s.Stage = StageCompose
	d := &schemas.DocumentFinished{
		RequestID: s.RequestID, Class: s.Class, Priority: s.Priority, Source: s.Source, Options: s.Options, Pipeline: s.Pipeline,
		PagesTotal: s.PagesTotal, PageRanges: s.PageRanges, Finished: slices.Clone(s.Finished), Text: slices.Clone(s.Text), Failures: slices.Clone(s.Failures),
	}
	d.Head = c.head(0, d.Kind())
	c.out = append(c.out, d)
}

func (c *change) composed(f *schemas.DocumentComposed) bool {
	if c.s.Stage != StageCompose {
		return false
	}
	c.use(0, f.Costs, 0)
	c.s.Outputs = f.Outputs
	if c.s.PagesFailed > 0 {
		return c.end(schemas.Partial, "", "")
	}
	return c.end(schemas.Completed, "", "")
}

// end is the one terminal transition of a run.
func (c *change) end(status schemas.Status, code, message string) bool {
	c.s.Status, c.s.Stage, c.s.Code, c.s.Message, c.s.EndedAt = status, StageDone, code, message, c.at
	return true
}

// use writes one usage row for each stage that worked on the page. It is called once for each page: by its first closing fact.
func (c *change) use(page int, costs []schemas.StageCost, units int) {
	for _, k := range costs {
		u := &schemas.UsageRecorded{Page: page, APIKeyID: c.s.APIKeyID, Stage: k.Stage, Device: k.Device, Units: units, CPUMicros: k.CPUMicros, WallMicros: k.WallMicros}
		u.Head = c.head(page, u.Kind())
		u.EventID = schemas.EventIDFor(c.s.JobID, c.s.Run, k.Stage, page, u.Kind(), 0)
		c.out = append(c.out, u)
		c.s.CPUMicros += k.CPUMicros
		c.spend(u)
	}
}

// spend adds a usage row to what the state says was spent: the same rows make the same state, in whatever order they come.
func (c *change) spend(u *schemas.UsageRecorded) {
	at, found := slices.BinarySearchFunc(c.s.Spent, u, func(l schemas.UsageLine, u *schemas.UsageRecorded) int {
		return cmp.Or(strings.Compare(l.Stage, u.Stage), strings.Compare(l.Device, u.Device))
	})
	if !found {
		c.s.Spent = slices.Insert(c.s.Spent, at, schemas.UsageLine{Stage: u.Stage, Device: u.Device})
	}
	l := &c.s.Spent[at]
	l.CPUMicros += u.CPUMicros
	l.WallMicros += u.WallMicros
	l.Pages += int64(u.Units)
	if u.Stage == StagePrepare && u.Page == 0 {
		l.Documents++
	}
}

func (c *change) head(page int, kind string) schemas.Head {
	return schemas.Head{EventID: schemas.EventIDFor(c.s.JobID, c.s.Run, "track", page, kind, 0), Tenant: c.s.Tenant, JobID: c.s.JobID, Run: c.s.Run,
		At: c.at, SubmittedAt: c.s.SubmittedAt}
}
