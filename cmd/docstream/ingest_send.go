package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/pause"
	"docstream/schemas"
)

// windowJobs is how many jobs are under way at most: what one request looks up.
const windowJobs = 1000

// ingestion is one run of the command.
type ingestion struct {
	*client
	flags  ingestFlags
	tenant string
	tally  *counts

	window chan struct{} // one for each job under way

	mu   sync.Mutex
	next time.Time           // when one more submission may be made
	way  map[string][]string // jobs under way, and the documents they are of: one may be named twice
}

// ask finds out in whose name the client speaks, and what a page has cost lately, in nano-dollars; -1: nobody can say.
func (c *client) ask(ctx context.Context) (tenant string, page float64, err error) {
	var used struct {
		Tenant string
		Pages  int64
		Cost   int64 `json:"cost_nano_dollars"`
	}
	month := time.Now().UTC().AddDate(0, 0, -30).Format(time.DateOnly)
	err = c.do(ctx, c.get(ctx, "/api/v1/usage", map[string][]string{"from": {month}}), func(r io.Reader) error { return json.NewDecoder(r).Decode(&used) })
	if page = -1; used.Pages > 0 {
		page = float64(used.Cost) / float64(used.Pages)
	}
	return used.Tenant, page, err
}

// run submits what each names and, unless it is detached, follows it to its end. It stops at the first error that is not one document's.
func (i *ingestion) run(ctx context.Context, each func(context.Context, func(item) error) error) error {
	items := make(chan item)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(items)
		return each(ctx, func(it item) error {
			select {
			case items <- it:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	workers, sent := sync.WaitGroup{}, make(chan struct{})
	for range i.flags.parallel {
		workers.Add(1)
		g.Go(func() error {
			defer workers.Done()
			for it := range items {
				if err := i.take(ctx, it); err != nil {
					return err
				}
			}
			return nil
		})
	}
	go func() { workers.Wait(); close(sent) }()
	if !i.flags.detach && !i.flags.dry {
		g.Go(func() error { return i.follow(ctx, sent) })
	}
	return g.Wait()
}

// turn waits until one more submission may be made.
func (i *ingestion) turn(ctx context.Context) bool {
	if i.flags.perSecond <= 0 {
		return ctx.Err() == nil
	}
	i.mu.Lock()
	wait := max(0, time.Until(i.next))
	i.next = time.Now().Add(wait + time.Duration(float64(time.Second)/i.flags.perSecond))
	i.mu.Unlock()
	return pause.For(ctx, wait)
}

// take submits one document unless its job is known.
func (i *ingestion) take(ctx context.Context, it item) error {
	s, err := i.submission(it)
	if err != nil {
		return i.tally.refuse(it.name, err)
	}
	if i.flags.dry {
		return i.foresee(ctx, it, s)
	}
	id := schemas.JobIDFor("idempotency", i.tenant, s.once)
	j, err := i.job(ctx, id)
	var said refused
	switch {
	case err == nil:
		i.tally.know()
	case errors.As(err, &said) && said.status == http.StatusGone:
		i.tally.know()
		i.tally.end(it.name, job{Status: "deleted"})
		return nil
	case errors.As(err, &said) && said.status == http.StatusNotFound:
	default:
		return err
	}
	if err == nil && ended(j.Status) {
		i.tally.end(it.name, j)
		return nil
	}
	select {
	case i.window <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		if j, err = i.send(ctx, it, s); err != nil {
			<-i.window
			return i.tally.refuse(it.name, err)
		}
		i.tally.sent()
	}
	if i.flags.detach {
		<-i.window
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.way[j.JobID]) > 0 {
		<-i.window
	}
	i.way[j.JobID] = append(i.way[j.JobID], it.name)
	return nil
}

// submission is how a document is asked for.
func (i *ingestion) submission(it item) (submission, error) {
	s := i.flags.submission
	tags := maps.Clone(it.metadata)
	if it.customID != "" {
		if tags == nil {
			tags = map[string]string{}
		}
		tags["custom_id"] = it.customID
	}
	if len(tags) > 0 {
		b, err := json.Marshal(tags)
		if err != nil {
			return s, err
		}
		s.metadata = string(b)
	}
	if i.flags.dry {
		s.dry = "true"
		return s, nil
	}
	var err error
	s.once, err = it.key(s, i.flags.label)
	return s, err
}

// send submits one document at the rate that is allowed.
func (i *ingestion) send(ctx context.Context, it item, s submission) (job, error) {
	if !i.turn(ctx) {
		return job{}, ctx.Err()
	}
	if it.path != "" {
		s.filename = it.filename
		return i.submit(ctx, it.path, s)
	}
	fields := map[string]any{}
	for name, v := range map[string]string{"url": it.url, "filename": it.filename, "priority": s.priority, "output_formats": s.formats, "ocr": s.ocr, "pages": s.pages, "dry_run": s.dry} {
		if v != "" {
			fields[name] = v
		}
	}
	if it.object != nil {
		fields["s3"] = it.object
	}
	if s.metadata != "" {
		fields["metadata"] = json.RawMessage(s.metadata)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return job{}, err
	}
	var j job
	return j, i.do(ctx, i.post(ctx, "/api/v1/documents", b, s.once), j.read)
}

func (c *client) post(ctx context.Context, path string, body []byte, once string) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		if once != "" {
			r.Header.Set("Idempotency-Key", once)
		}
		return r, nil
	}
}

// foresee asks what would become of a document. What lies at an address is known when it was fetched.
func (i *ingestion) foresee(ctx context.Context, it item, s submission) error {
	if it.url != "" {
		i.tally.foreseen(0, nil)
		return nil
	}
	j, err := i.send(ctx, it, s)
	if err != nil {
		return i.tally.refuse(it.name, err)
	}
	var f struct {
		Size  int64
		Pages *int
	}
	if err := json.Unmarshal(j.raw, &f); err != nil {
		return err
	}
	i.tally.foreseen(f.Size, f.Pages)
	return nil
}

// follow looks after the jobs under way until all were sent and have ended.
func (i *ingestion) follow(ctx context.Context, sent <-chan struct{}) error {
	for last := false; ; {
		select {
		case <-sent:
			last = true
		default:
		}
		i.mu.Lock()
		ids := slices.Collect(maps.Keys(i.way))
		i.mu.Unlock()
		if len(ids) == 0 && last {
			return nil
		}
		if len(ids) > 0 {
			if err := i.look(ctx, ids); err != nil {
				return err
			}
		}
		if !pause.For(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// look asks once for all jobs and lets those go that have ended.
func (i *ingestion) look(ctx context.Context, ids []string) error {
	b, err := json.Marshal(map[string][]string{"job_ids": ids})
	if err != nil {
		return err
	}
	var bulk struct {
		Jobs             []job
		Missing, Deleted []string
	}
	if err := i.do(ctx, i.post(ctx, "/api/v1/jobs/status", b, ""), func(r io.Reader) error { return json.NewDecoder(r).Decode(&bulk) }); err != nil {
		return err
	}
	for _, id := range bulk.Deleted {
		bulk.Jobs = append(bulk.Jobs, job{JobID: id, Status: "deleted"})
	}
	for _, id := range bulk.Missing { // it ended more than a day ago, by the clock of the service
		j, err := i.job(ctx, id)
		if err != nil {
			return err
		}
		bulk.Jobs = append(bulk.Jobs, j)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, j := range bulk.Jobs {
		names := i.way[j.JobID]
		if len(names) == 0 || !ended(j.Status) && j.Status != "deleted" {
			continue
		}
		delete(i.way, j.JobID)
		<-i.window
		for _, name := range names {
			i.tally.end(name, j)
		}
	}
	return nil
}
