package gateway

import (
	"context"
	"sync"
	"time"

	"docstream/producers/ended"
	"docstream/schemas"
)

// cold keeps what was looked up lately of jobs that the view has let go, also that there is no such job: look-ups by chance cost the object
// store one listing. What the view lets go is looked up anew, and nothing else can change: a job that runs again, or is deleted, is in the view
// until then.
type cold struct {
	mu       sync.Mutex
	kept     halves[string, *schemas.JobSnapshot]
	lettings int64 // how often the view has let a job go
}

// maxCold bounds the bytes of the young half, about.
const maxCold = 8 << 20

func (c *cold) find(key string) (s *schemas.JobSnapshot, ok bool, lettings int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok = c.kept.find(key)
	return s, ok, c.lettings
}

// keep takes the outcome of a look-up that began when so many jobs had been let go; one that another was let go meanwhile of is not kept.
func (c *cold) keep(key string, s *schemas.JobSnapshot, lettings int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lettings == lettings {
		c.add(key, s)
	}
}

func (c *cold) add(key string, s *schemas.JobSnapshot) {
	size := 128 + len(key)
	if s != nil {
		size += 2<<10 + len(s.Finished) + len(s.Text) + len(s.Failed) + 256*len(s.Failures) + 256*len(s.Outputs) + 128*len(s.Metadata)
	}
	c.kept.most = maxCold
	c.kept.add(key, s, size)
}

// drop forgets what is known of a job.
func (c *cold) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lettings++
	c.kept.drop(key)
}

// Ended returns how the newest run of a tenant's job ended, for jobs the view has let go: nil where there is no such job. Ask the view first,
// fresh: what it does not hold any more lies in the object store since before. An error is the store's: the job may exist (P4).
func (g *Gateway) Ended(ctx context.Context, tenant, job string) (*schemas.JobSnapshot, error) {
	if !schemas.ValidTenant(tenant) || !schemas.ValidJobID(job) {
		return nil, nil
	}
	key := tenant + "/" + job
	s, ok, lettings := g.cold.find(key)
	if ok {
		g.metrics.cold.WithLabelValues("remembered").Inc()
		return s, nil
	}
	began := time.Now()
	s, err := ended.Job(ctx, g.objects, tenant, job)
	g.metrics.coldSeconds.Observe(time.Since(began).Seconds())
	switch {
	case err != nil:
		g.metrics.cold.WithLabelValues("failed").Inc()
		return nil, err
	case s == nil:
		g.metrics.cold.WithLabelValues("missing").Inc()
	default:
		g.metrics.cold.WithLabelValues("found").Inc()
	}
	g.cold.keep(key, s, lettings)
	return s, nil
}

// lookFor returns a job of a tenant, wherever it is known; nil: nowhere. The view must be fresh.
func (g *Gateway) lookFor(ctx context.Context, tenant, job string) (*schemas.JobSnapshot, error) {
	if s, ok := g.view.Job(tenant, job); ok {
		return s, nil
	}
	if !g.view.Ready() { // it is ending: what it does not find may exist
		return nil, refuse(schemas.ServiceUnavailable, "")
	}
	return g.Ended(ctx, tenant, job)
}
