package gateway

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// Prices is what work costs, in nano-dollars: an amount in it is exact.
type Prices struct {
	Document  int64 `koanf:"document"`   // one that was opened
	Page      int64 `koanf:"page"`       // one with a result
	CPUSecond int64 `koanf:"cpu_second"` // of processor time
	GPUSecond int64 `koanf:"gpu_second"` // of time on a GPU
	StoredGB  int64 `koanf:"stored_gb"`  // 10^9 bytes of source and results, for as long as they are kept
}

// Validate refuses prices below nothing.
func (p Prices) Validate() error {
	if p.Document < 0 || p.Page < 0 || p.CPUSecond < 0 || p.GPUSecond < 0 || p.StoredGB < 0 {
		return fmt.Errorf("gateway: a price is negative")
	}
	return nil
}

// cost of a line of usage. A page is charged where it is counted, in the first stage; time where it was spent.
func (p Prices) cost(l schemas.UsageLine) int64 {
	n := l.CPUMicros * p.CPUSecond / 1_000_000
	if l.Device != "cpu" {
		n += l.WallMicros * p.GPUSecond / 1_000_000
	}
	if l.Stage == countingStage {
		n += l.Documents*p.Document + l.Pages*p.Page
	}
	return n
}

// stored is what so many bytes cost. The product has 128 bits: no size of a document makes it overflow.
func (p Prices) stored(bytes int64) int64 {
	const gb = 1_000_000_000
	high, low := bits.Mul64(uint64(max(0, bytes)), uint64(p.StoredGB))
	if high >= gb {
		return math.MaxInt64
	}
	n, _ := bits.Div64(high, low, gb)
	return int64(min(n, math.MaxInt64))
}

// countingStage is the one every page goes through once.
const countingStage = "prepare"

// usageBody is what a tenant used, and what it may use.
type usageBody struct {
	Tenant   string     `json:"tenant"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Plan     planBody   `json:"plan"`
	Day      quotaBody  `json:"day"`
	Month    quotaBody  `json:"month"`
	Jobs     int        `json:"jobs_under_way"`
	Currency string     `json:"currency"`
	Pages    int64      `json:"pages"`
	Cost     int64      `json:"cost_nano_dollars"`
	Days     []usageDay `json:"days"`
}

type quotaBody struct {
	Pages int64  `json:"pages"`
	Limit int64  `json:"limit"` // 0: none
	Until string `json:"until"`
}

type usageDay struct {
	Day   string      `json:"day"`
	Pages int64       `json:"pages"`
	Cost  int64       `json:"cost_nano_dollars"`
	Lines []usageLine `json:"lines"`
}

type usageLine struct {
	APIKeyID    string  `json:"api_key_id"`
	Stage       string  `json:"stage"`
	Device      string  `json:"device"`
	Documents   int64   `json:"documents"`
	Pages       int64   `json:"pages"`
	CPUSeconds  float64 `json:"cpu_seconds"`
	WallSeconds float64 `json:"wall_seconds"`
	Cost        int64   `json:"cost_nano_dollars"`
}

// planBody is a plan as the API shows it; 0 means no limit.
type planBody struct {
	Name              string   `json:"name"`
	RequestsPerSecond int      `json:"requests_per_second"`
	ConcurrentJobs    int      `json:"concurrent_jobs"`
	PagesPerDay       int64    `json:"pages_per_day"`
	PagesPerMonth     int64    `json:"pages_per_month"`
	MaxFileBytes      int64    `json:"max_file_bytes"`
	Priorities        []string `json:"priorities"`
}

func (g *Gateway) showPlan(tenant string) planBody {
	p := g.plan(tenant)
	b := planBody{p.Name, p.RequestsPerSecond, p.ConcurrentJobs, p.PagesPerDay, p.PagesPerMonth, g.maxFile(tenant), p.Priorities}
	if len(b.Priorities) == 0 {
		b.Priorities = []string{"high", "normal", "low"}
	}
	return b
}

// maxDays bounds one report.
const maxDays = 400

// usage answers what the tenant used, by day, API key and stage. It covers this month where no days are named.
func (g *Gateway) usage(c *gin.Context) error {
	now := time.Now().UTC()
	from, to := c.DefaultQuery("from", now.Format("2006-01")+"-01"), c.DefaultQuery("to", now.Format(time.DateOnly))
	first, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return invalid("from", "A day reads like 2026-01-31.")
	}
	last, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return invalid("to", "A day reads like 2026-01-31.")
	}
	if last.Before(first) || last.Sub(first) > maxDays*24*time.Hour {
		return invalid("to", fmt.Sprintf("The days are in order and at most %d.", maxDays))
	}
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Usage(who, from, to)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	b := usageBody{Tenant: who, From: from, To: to, Plan: g.showPlan(who), Currency: "USD", Days: g.days(all)}
	for _, d := range b.Days {
		b.Pages += d.Pages
		b.Cost += d.Cost
	}
	b.Jobs, _ = g.view.Live(who)
	b.Day.Limit, b.Month.Limit, b.Day.Until, b.Month.Until = b.Plan.PagesPerDay, b.Plan.PagesPerMonth, timestamp(nextDay(now)), timestamp(nextMonth(now))
	if b.Day.Pages, b.Month.Pages, err = g.used(who, now); err != nil {
		return err
	}
	g.json(c, http.StatusOK, b)
	return nil
}

// days merges what was summed in different partitions and prices it.
func (g *Gateway) days(all []*schemas.UsageSummed) []usageDay {
	out := []usageDay{}
	for _, u := range all {
		i := slices.IndexFunc(out, func(d usageDay) bool { return d.Day == u.Day })
		if i < 0 {
			i, out = len(out), append(out, usageDay{Day: u.Day, Lines: []usageLine{}})
		}
		d := &out[i]
		d.Pages += u.Pages
		for _, l := range u.Lines {
			cost := g.cfg.Prices.cost(l)
			d.Cost += cost
			d.Lines = append(d.Lines, usageLine{l.APIKeyID, l.Stage, l.Device, l.Documents, l.Pages, float64(l.CPUMicros) / 1e6, float64(l.WallMicros) / 1e6, cost})
		}
	}
	slices.SortFunc(out, func(a, b usageDay) int { return cmp.Compare(a.Day, b.Day) })
	return out
}
