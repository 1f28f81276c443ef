package replay

import (
	"context"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/schemas"
)

// look finds out, for a count from a stage, what of the newest runs is still there to start from. Whether it is taken over shows only when a
// page's turn comes: it may have expired by then, and only the worker knows the versions of its stages.
func (w *work) look(ctx context.Context) error {
	w.e.WholeJobs, w.e.WholePages = 0, 0
	if w.e.Stage == "" {
		return nil
	}
	var jobs, pages atomic.Int64
	for after := ""; ; {
		entries, err := w.plan.after(after, maxBatch)
		if err != nil || len(entries) == 0 {
			w.e.WholeJobs, w.e.WholePages = jobs.Load(), pages.Load()
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(8)
		for _, n := range entries {
			g.Go(func() error {
				tenant, id, _ := strings.Cut(n.key, "/")
				job, err := w.known(gctx, tenant, id)
				if err != nil || job == nil || job.Status == schemas.Cancelled {
					return err
				}
				have, err := w.have(gctx, job)
				pages.Add(have)
				if have > 0 && have >= int64(job.PagesExpected) {
					jobs.Add(1)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		after = entries[len(entries)-1].key
	}
}

// have counts the pages of a job's newest run that a stage can start from: text pages, and page images or page results.
func (w *work) have(ctx context.Context, job *schemas.JobSnapshot) (n int64, err error) {
	prefix, ending := schemas.WorkKey(job.Tenant, job.JobID, job.Run, "pages/"), ".png"
	if w.e.Stage == schemas.FromCompose {
		prefix, ending = schemas.ResultKey(job.Tenant, job.JobID, job.Run, "pages/"), ".json"
	}
	err = w.x.Objects.List(ctx, prefix, func(o blob.Object) bool {
		if name := strings.TrimPrefix(o.Key, prefix); strings.HasSuffix(name, ending) && !strings.HasSuffix(name, ".text.json") {
			n++
		}
		return true
	})
	return n + int64(schemas.Bitmap(job.Text).Count()), err
}
