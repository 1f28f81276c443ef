package track

import (
	"context"
	"slices"

	"docstream/schemas"
)

// maxRetries bounds the waiting work a state names.
const maxRetries = 100

// retried notes work that failed and waits for its next attempt. Of one page the latest stage and attempt counts, and only until the page is
// closed: so neither duplicates nor the order of pages change what is shown. It can be the first fact of a job.
func (c *change) retried(ctx context.Context, f *schemas.RetryScheduled) (bool, error) {
	r := schemas.Retry{Page: max(f.Page, f.FromPage), Stage: f.Stage, Code: f.Code, Attempt: f.Attempt, MaxRetries: f.MaxRetries, Due: f.Due}
	if c.over(r) {
		return false, nil
	}
	at, found := slices.BinarySearchFunc(c.s.Retries, r, compareRetries)
	if (found && !later(r, c.s.Retries[at])) || at >= maxRetries {
		return false, nil
	}
	if !c.described() && len(f.Submission) > 0 {
		sub, err := c.track.submission(ctx, f.Submission)
		if err != nil {
			return false, err
		}
		describe(c.s, sub)
	}
	if found {
		c.s.Retries[at] = r
		return true, nil
	}
	c.s.Retries = slices.Insert(c.s.Retries, at, r)
	c.s.Retries = c.s.Retries[:min(len(c.s.Retries), maxRetries)]
	return true, nil
}

// compareRetries sorts by page, what prepare was asked for before what is read of the page.
func compareRetries(a, b schemas.Retry) int {
	if a.Page != b.Page {
		return a.Page - b.Page
	}
	return reading(a) - reading(b)
}

// reading is 1 of work on a page that was prepared; fetching a document and opening it are one wait.
func reading(r schemas.Retry) int { return max(0, min(1, order[r.Stage])) }

// order is how far on its way work of a stage is.
var order = map[string]int{stageFetch: -1, StagePrepare: 0, "layout": 1, "ocr": 2, StageCompose: 3}

func later(a, b schemas.Retry) bool {
	if order[a.Stage] != order[b.Stage] {
		return order[a.Stage] > order[b.Stage]
	}
	return a.Attempt > b.Attempt
}

// over reports whether nobody waits for the work any more: what it was to bring about has happened in some way.
func (c *change) over(r schemas.Retry) bool {
	s := c.s
	switch {
	case schemas.Terminal(s.Status):
		return true
	case r.Stage == StageCompose:
		return s.Stage != StageCompose
	case s.Stage == StageCompose:
		return true
	case r.Stage != StagePrepare && r.Stage != stageFetch:
		return r.Page < 1 || c.closed(r.Page)
	case r.Page <= 1:
		return !s.OpenedAt.IsZero()
	}
	for page := r.Page; page < r.Page+schemas.ChunkPages; page++ { // all pages of a chunk are told of together
		if c.closed(page) {
			return true
		}
	}
	return false
}

func (c *change) closed(page int) bool {
	return schemas.Bitmap(c.s.Finished).Has(page) || schemas.Bitmap(c.s.Failed).Has(page)
}
