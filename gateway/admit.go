package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"docstream/schemas"
)

// admissions remembers what this replica has let in and its view does not show yet, so that two submissions at once do not both take the
// last place. Other replicas' are seen by waiting for the view.
type admissions struct {
	mu sync.Mutex
	of map[string]map[string]time.Time // tenant → job → when
}

// outstanding bounds how long a submission whose outcome nobody knows takes a place.
const outstanding = time.Minute

// unseen counts a tenant's jobs that the view does not show yet, and forgets the others.
func (a *admissions) unseen(tenant string, shown func(job string) bool, now time.Time) int {
	for job, at := range a.of[tenant] {
		if shown(job) || now.Sub(at) > outstanding {
			delete(a.of[tenant], job)
		}
	}
	if len(a.of[tenant]) == 0 {
		delete(a.of, tenant)
	}
	return len(a.of[tenant])
}

func (a *admissions) add(tenant, job string, now time.Time) {
	if a.of == nil {
		a.of = map[string]map[string]time.Time{}
	}
	if a.of[tenant] == nil {
		a.of[tenant] = map[string]time.Time{}
	}
	a.of[tenant][job] = now
}

// drop gives a place back: the submission was not made.
func (a *admissions) drop(tenant, job string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of[tenant], job)
	if len(a.of[tenant]) == 0 {
		delete(a.of, tenant)
	}
}

// maxFile is the size of the largest file a tenant may send.
func (g *Gateway) maxFile(tenant string) int64 {
	if p := g.plan(tenant); p.MaxFileBytes > 0 {
		return min(p.MaxFileBytes, g.cfg.MaxUploadBytes)
	}
	return g.cfg.MaxUploadBytes
}

// room refuses what could not be admitted anyhow, before a byte of the body is read: first what the service cannot take now, then what the
// tenant may not.
func (g *Gateway) room(ctx context.Context, tenant string) error {
	if err := g.overloaded(); err != nil {
		return err
	}
	p := g.plan(tenant)
	if err := g.seen(ctx, p); err != nil {
		return err
	}
	g.admitted.mu.Lock()
	defer g.admitted.mu.Unlock()
	_, err := g.place(tenant, p, time.Now())
	return err
}

// admit is the one gate every submission passes before its event is written, by whatever way it came. What a plan allows is decided here,
// at accept, and never after: an accepted job is worked to its end.
//
// Of the last free places each replica gives away its share, and at least one: where all are taken at once at several replicas, there may
// be as many jobs too many as there are other replicas.
func (g *Gateway) admit(ctx context.Context, e *schemas.DocumentSubmitted) error {
	p := g.plan(e.Tenant)
	switch {
	case len(p.Priorities) > 0 && !slices.Contains(p.Priorities, e.Priority):
		return refuse(schemas.Forbidden, "The plan does not allow this priority.").with("allowed", p.Priorities).with("plan", p.Name)
	case p.MaxFileBytes > 0 && e.Source.Size > p.MaxFileBytes:
		return refuse(schemas.FileTooLarge, "").with("max_bytes", p.MaxFileBytes).with("plan", p.Name)
	}
	if err := g.seen(ctx, p); err != nil {
		return err
	}
	if _, again := g.view.Job(e.Tenant, e.JobID); again {
		return nil // it was let in before, and is only said once more
	}
	now := time.Now()
	g.admitted.mu.Lock()
	defer g.admitted.mu.Unlock()
	unseen, err := g.place(e.Tenant, p, now)
	if err != nil {
		return err
	}
	if p.ConcurrentJobs > 0 {
		jobs, _ := g.view.Live(e.Tenant)
		if share := max(1, (p.ConcurrentJobs-jobs)/g.view.Replicas()); unseen >= share {
			return g.tooMany(p, jobs+unseen)
		}
	}
	if limitsJobs(p) {
		g.admitted.add(e.Tenant, e.JobID, now)
	}
	return nil
}

func limitsJobs(p Plan) bool { return p.ConcurrentJobs > 0 || p.PagesPerDay > 0 || p.PagesPerMonth > 0 }

// seen waits for what other replicas have let in, where a limit depends on it.
func (g *Gateway) seen(ctx context.Context, p Plan) error {
	if !limitsJobs(p) {
		return nil
	}
	return g.fresh(ctx)
}

// place says whether there is room for one more job of a tenant, and how many were let in that the view does not show yet.
func (g *Gateway) place(tenant string, p Plan, now time.Time) (unseen int, err error) {
	if !limitsJobs(p) {
		return 0, nil
	}
	unseen = g.admitted.unseen(tenant, func(job string) bool { _, ok := g.view.Job(tenant, job); return ok }, now)
	jobs, pages := g.view.Live(tenant)
	if p.ConcurrentJobs > 0 && jobs+unseen >= p.ConcurrentJobs {
		return unseen, g.tooMany(p, jobs+unseen)
	}
	day, month, err := g.used(tenant, now)
	if err != nil {
		return unseen, err
	}
	pages += int64(unseen)
	for _, q := range []struct {
		name        string
		used, limit int64
		until       time.Time
	}{{"day", day, p.PagesPerDay, nextDay(now)}, {"month", month, p.PagesPerMonth, nextMonth(now)}} {
		if q.limit > 0 && q.used+pages >= q.limit {
			r := refuse(schemas.QuotaExceeded, "").with("period", q.name).with("limit", q.limit).with("used", q.used).with("under_way", pages).with("plan", p.Name)
			r.after = q.until.Sub(now)
			if q.used < q.limit { // what is under way may fail and not be counted
				r.after = min(r.after, max(time.Second, g.view.Drain()))
			}
			return unseen, r
		}
	}
	return unseen, nil
}

// tooMany refuses one job more; the time to wait is how long it takes lately until a job ends.
func (g *Gateway) tooMany(p Plan, jobs int) error {
	r := refuse(schemas.TooManyJobs, "").with("limit", p.ConcurrentJobs).with("under_way", jobs).with("plan", p.Name)
	r.after = max(time.Second, g.view.Drain())
	return r
}

// used returns the pages a tenant has used in the day and the month of now.
func (g *Gateway) used(tenant string, now time.Time) (day, month int64, err error) {
	today := now.UTC().Format(time.DateOnly)
	all, err := g.view.Usage(tenant, today[:8]+"01", today)
	if err != nil {
		return 0, 0, refuse(schemas.ServiceUnavailable, "").because(err)
	}
	for _, u := range all {
		month += u.Pages
		if u.Day == today {
			day += u.Pages
		}
	}
	return day, month, nil
}

func nextDay(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func nextMonth(now time.Time) time.Time {
	y, m, _ := now.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}
