package gateway

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/topology"
	"docstream/schemas"
)

// Plan is what a tenant may use. 0 means no limit. The limits hold for all replicas together.
type Plan struct {
	Name              string   `koanf:"name"`
	RequestsPerSecond int      `koanf:"requests_per_second"`
	ConcurrentJobs    int      `koanf:"concurrent_jobs"`
	PagesPerDay       int64    `koanf:"pages_per_day"`   // days of UTC
	PagesPerMonth     int64    `koanf:"pages_per_month"` // months of UTC
	MaxFileBytes      int64    `koanf:"max_file_bytes"`
	Priorities        []string `koanf:"priorities"` // that may be asked for; none: all
}

// DefaultPlans are three that differ enough to be useful.
func DefaultPlans() []Plan {
	return []Plan{
		{Name: "free", RequestsPerSecond: 5, ConcurrentJobs: 5, PagesPerDay: 100, PagesPerMonth: 1000, MaxFileBytes: 10 << 20, Priorities: []string{"normal", "low"}},
		{Name: "standard", RequestsPerSecond: 50, ConcurrentJobs: 200, PagesPerDay: 10_000, PagesPerMonth: 200_000, MaxFileBytes: 100 << 20},
		{Name: "enterprise"},
	}
}

// Validate refuses a plan that cannot work.
func (p Plan) Validate() error {
	switch {
	case p.Name == "" || len(p.Name) > 40:
		return fmt.Errorf("gateway: the name of a plan has 1 to 40 bytes")
	case p.RequestsPerSecond < 0 || p.ConcurrentJobs < 0 || p.PagesPerDay < 0 || p.PagesPerMonth < 0 || p.MaxFileBytes < 0:
		return fmt.Errorf("gateway: plan %s has a negative limit", p.Name)
	}
	for _, priority := range p.Priorities {
		if !slices.Contains(topology.Priorities, priority) {
			return fmt.Errorf("gateway: plan %s allows priority %q, which there is not", p.Name, priority)
		}
	}
	return nil
}

// plan returns a tenant's plan: the one it was given, else that of the issuer its tokens come from, else the default one. One that the
// configuration no longer knows is the default too.
func (g *Gateway) plan(tenant string) Plan {
	name := g.view.Plan(tenant)
	if name == "" {
		name = g.cfg.Tokens.Plan(tenant)
	}
	var usual Plan
	for _, p := range g.cfg.Plans {
		if p.Name == name {
			return p
		}
		if p.Name == g.cfg.DefaultPlan {
			usual = p
		}
	}
	return usual
}

// rates counts the requests of each tenant on this replica. Every replica gives a tenant its share of the limit, so that all of them
// together keep to it.
type rates struct {
	mu sync.Mutex
	of map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
	limit  float64
}

// maxBuckets bounds the memory for tenants that were seen lately (P6).
const maxBuckets = 10_000

// take counts one request against a limit per second. It says how many more may come now and, where this one may not, when one may.
func (r *rates) take(tenant string, limit float64, now time.Time) (left int, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := math.Max(1, limit) // a second's worth at once
	b := r.of[tenant]
	if b == nil {
		if r.of == nil || len(r.of) >= maxBuckets {
			r.sweep(now)
		}
		b = &bucket{tokens: most, at: now}
		r.of[tenant] = b
	}
	b.tokens = math.Min(most, b.tokens+limit*max(0, now.Sub(b.at).Seconds()))
	b.at, b.limit = now, limit
	if b.tokens < 1 {
		return 0, time.Duration((1 - b.tokens) / limit * float64(time.Second))
	}
	b.tokens--
	return int(b.tokens), 0
}

// sweep forgets the tenants whose buckets are full again; where none is, all: a limit may then be passed once, memory never.
func (r *rates) sweep(now time.Time) {
	kept := map[string]*bucket{}
	for t, b := range r.of {
		if b.tokens+b.limit*now.Sub(b.at).Seconds() < math.Max(1, b.limit) {
			kept[t] = b
		}
	}
	if len(kept) >= maxBuckets {
		clear(kept)
	}
	r.of = kept
}

// limited counts a request against the rate of its tenant's plan and says in the headers how the tenant stands.
func (g *Gateway) limited(c *gin.Context) error {
	p := g.plan(tenant(c))
	if p.RequestsPerSecond == 0 {
		return nil
	}
	left, wait := g.rates.take(tenant(c), float64(p.RequestsPerSecond)/float64(g.view.Replicas()), time.Now())
	c.Header("RateLimit-Policy", `"requests";q=`+strconv.Itoa(p.RequestsPerSecond)+";w=1")
	c.Header("RateLimit", `"requests";r=`+strconv.Itoa(left)+";t="+seconds(wait))
	if wait == 0 {
		return nil
	}
	r := refuse(schemas.RateLimited, "").with("requests_per_second", p.RequestsPerSecond).with("plan", p.Name)
	r.after = wait
	return r
}
