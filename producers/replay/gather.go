package replay

import (
	"context"
	"errors"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"docstream/producers/ended"
	"docstream/schemas"
)

// partSize is how many records are looked at together.
const partSize = 256

// part is some of what was read, and what of it is selected.
type part struct {
	records []Record
	picked  chan struct{} // closed once jobs is known
	jobs    []entry
	counts  []schemas.StatusCount // of each job
}

// gather makes the plan: every selected job once, whichever lane and however often the lanes hold it. A job that this replay has asked for
// already belongs to it, however it stands now. It reads on while parts of what was read are looked at, one a processor, and takes them in
// their order; so what it holds is bounded (P6).
func (w *work) gather(ctx context.Context) (map[string]*schemas.StatusCount, error) {
	if err := w.x.Jobs.Fresh(ctx); err != nil {
		return nil, err
	}
	counts := map[string]*schemas.StatusCount{}
	g, ctx := errgroup.WithContext(ctx)
	parts := make(chan *part, runtime.GOMAXPROCS(0))
	g.Go(func() error {
		defer close(parts)
		return w.read(ctx, func(p *part) error {
			select {
			case parts <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
			g.Go(func() error { return w.pick(ctx, p) })
			return nil
		})
	})
	g.Go(func() error {
		for p := range parts {
			select {
			case <-p.picked:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := w.take(p, counts); err != nil {
				return err
			}
		}
		return nil
	})
	return counts, g.Wait()
}

// read hands on what the source yields, a part at a time.
func (w *work) read(ctx context.Context, hand func(*part) error) error {
	to := w.e.Selection.To
	if to.IsZero() || to.After(w.e.CreatedAt) {
		to = w.e.CreatedAt
	}
	var records []Record
	next := func() error {
		p := &part{records: records, picked: make(chan struct{})}
		records = make([]Record, 0, partSize)
		return hand(p)
	}
	err := w.x.Source(ctx, w.e.Selection.From, to, func(r Record) error {
		if records = append(records, r); len(records) < partSize {
			return nil
		}
		return next()
	})
	if err != nil || len(records) == 0 {
		return err
	}
	return next()
}

// pick looks at each record of a part. A part with an error is not picked.
func (w *work) pick(ctx context.Context, p *part) error {
	var meant []entry
	var keys, media []string
	var outline schemas.DocumentSubmitted // of one record after the other: most of a submission is not looked at
	for i := range p.records {
		r := &p.records[i]
		d, err := w.submission(ctx, r, &outline)
		if err != nil {
			return err
		}
		if d == nil || !w.sel.submitted(w.e.Tenant, d, w.e.CreatedAt) {
			continue
		}
		one := entry{key: planKey(d)}
		if w.e.Mode != Dry { // nothing is asked for of what is only counted
			one.wire = r.Value
		}
		meant, keys, media = append(meant, one), append(keys, one.key), append(media, d.Source.MediaType)
	}
	for i, job := range w.x.Jobs.Glance(keys) {
		if job == nil && w.sel.asks() {
			tenant, id, _ := strings.Cut(keys[i], "/")
			var err error
			if job, err = ended.Job(ctx, w.x.Objects, tenant, id); err != nil {
				return err
			}
		}
		if _, _, ours := names(job, w.e.ReplayID); !ours && !w.sel.stands(media[i], job) {
			continue
		}
		status := "unknown"
		if job != nil {
			status = job.Status
		}
		p.jobs = append(p.jobs, meant[i])
		p.counts = append(p.counts, schemas.StatusCount{Status: status, Jobs: 1, Pages: pages(job)})
	}
	close(p.picked)
	return nil
}

// take adds a part to the plan, and what is new of it to the counts.
func (w *work) take(p *part, counts map[string]*schemas.StatusCount) error {
	fresh, err := w.plan.add(p.jobs)
	if err != nil {
		return err
	}
	for i, one := range p.counts {
		if !fresh[i] {
			continue
		}
		c := counts[one.Status]
		if c == nil {
			c = &schemas.StatusCount{Status: one.Status}
			counts[one.Status] = c
		}
		c.Jobs += one.Jobs
		c.Pages += one.Pages
	}
	return nil
}

// submission reads of a record of a lane what a selection looks at; nil where it is no submission that can be believed (P8). What the house
// signed is not read whole: it was held to the rules before.
func (w *work) submission(ctx context.Context, r *Record, outline *schemas.DocumentSubmitted) (d *schemas.DocumentSubmitted, err error) {
	who, err := w.x.Proof.Prove(ctx, *r)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil
	}
	if d = outline; who.House() {
		err = w.x.Codec.Outline(ctx, r.Value, d)
	} else {
		d, err = w.whole(ctx, r.Value)
	}
	if errors.Is(err, schemas.ErrUndecodable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if d, refused := who.Admit(d); refused == nil {
		return d, nil
	}
	return nil, nil
}

// whole reads a submission to its last field.
func (w *work) whole(ctx context.Context, b []byte) (*schemas.DocumentSubmitted, error) {
	e, err := w.x.Codec.Decode(ctx, b)
	if err != nil {
		return nil, err
	}
	d, ok := e.(*schemas.DocumentSubmitted)
	if !ok {
		return nil, schemas.ErrUndecodable
	}
	return d, nil
}
