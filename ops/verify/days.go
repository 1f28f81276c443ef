package verify

import (
	"time"

	"docstream/schemas"
)

// Day names a tenant's day in UTC, such as 2026-01-31.
type Day struct{ Tenant, Day string }

// String writes a day after its tenant.
func (d Day) String() string { return d.Tenant + "/" + d.Day }

// sum is what a day comes to; documents and pages as quotas and invoices count them, times in microseconds.
type sum struct{ documents, pages, cpu, wall int64 }

// kind is what a sum is of: keys of the API are left out, since a day with very many of them keeps the rest under no name.
type kind struct{ stage, device string }

// days: P2, quotas and the usage report read sums that come to what the rows of the log come to, each row counted once.
func (c *check) days() {
	if c.e.Days == nil {
		return
	}
	want := map[Day]map[kind]sum{}
	for _, u := range c.e.Usage {
		d, k := Day{u.Tenant, u.At.UTC().Format(time.DateOnly)}, kind{u.Stage, u.Device}
		if want[d] == nil {
			want[d] = map[kind]sum{}
		}
		s := want[d][k]
		s.pages, s.cpu, s.wall = s.pages+int64(u.Units), s.cpu+u.CPUMicros, s.wall+u.WallMicros
		if u.Stage == "prepare" && u.Page == 0 {
			s.documents++
		}
		want[d][k] = s
	}
	for d, s := range c.e.Days {
		c.day(d, s, want[d])
	}
	for d := range want {
		if c.e.Days[d] == nil {
			c.broken("P2", d, "its usage was never summed")
		}
	}
}

// day holds the sum of one day to its rows.
func (c *check) day(d Day, s *schemas.UsageSummed, want map[kind]sum) {
	have := map[kind]sum{}
	for _, l := range s.Lines {
		k := kind{l.Stage, l.Device}
		was := have[k]
		have[k] = sum{was.documents + l.Documents, was.pages + l.Pages, was.cpu + l.CPUMicros, was.wall + l.WallMicros}
	}
	for k, w := range want {
		if h, ok := have[k]; !ok || h != w {
			c.broken("P2", d, "the sum of %s on %s is %+v, the rows of the log come to %+v", k.stage, k.device, h, w)
		}
	}
	pages := int64(0)
	for k, h := range have {
		if _, ok := want[k]; !ok {
			c.broken("P2", d, "%s on %s is summed as %+v, the log has no row of it", k.stage, k.device, h)
		}
		if k.stage == "prepare" {
			pages += h.pages
		}
	}
	if s.Pages != pages {
		c.broken("P2", d, "it counts %d pages, its lines come to %d", s.Pages, pages)
	}
}
