// Package verify holds what a service left behind to its promises: the log, the object store, the analytics and the API must tell the same
// story of every job. [Evidence] is what was found, [Check] is pure, so that a test can show what each rule catches.
package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"docstream/schemas"
)

// Job names a job of a tenant.
type Job struct{ Tenant, ID string }

// Run names one run of a job.
type Run struct {
	Job
	Number int
}

// Work names what one usage row counts.
type Work struct {
	Run
	Stage string
	Page  int
}

// Evidence is what was found in a service that is at rest.
type Evidence struct {
	Accepted []Job // of which a client got a 2xx; may be empty: then the log alone says what was accepted

	Submitted map[Job]*schemas.DocumentSubmitted // the first submissions of the documents lanes
	Changes   []*schemas.JobChanged              // in the order of the log
	States    map[Job]*schemas.JobSnapshot       // the newest
	Archived  map[Job]bool                       // those whose end lies in the object store: their state may be gone
	Usage     []*schemas.UsageRecorded
	Days      map[Day]*schemas.UsageSummed // the newest sums that quotas are read from; nil: they were not read
	Closed    map[Run]map[int]bool         // pages that a fact closed: true where one finished it
	Letters   map[string]int               // records set aside, by stage, of readable events
	Told      map[string]int               // different DeadLettered facts, by stage
	Bare      []string                     // dead letters that do not say why, or where from

	Objects map[string]int64 // sizes, by key, below sources/, work/ and results/

	Tables  bool           // the analytics were read
	Rows    map[Run]string // status of each run in the analytics
	Charged map[Work]int   // usage rows in the analytics

	API map[Job]Answer // where the API was asked
}

// Answer is what the API says of a job; Status is empty where it knows none.
type Answer struct {
	Status  string
	Run     int
	Version int64
	Done    int
	Failed  int
}

// Violation is a promise that was not kept.
type Violation struct {
	Promise string
	About   string
	What    string
}

func (v Violation) String() string { return v.Promise + " " + v.About + ": " + v.What }

// check collects violations.
type check struct {
	e   Evidence
	out []Violation
}

func (c *check) broken(promise string, about any, format string, a ...any) {
	c.out = append(c.out, Violation{promise, fmt.Sprint(about), fmt.Sprintf(format, a...)})
}

// Check returns every promise that the evidence does not bear out, in a fixed order; none: all is well.
func Check(e Evidence) []Violation {
	c := &check{e: e}
	c.accepted()
	c.ends()
	c.usage()
	c.days()
	c.results()
	c.letters()
	c.answers()
	c.equal()
	c.fences()
	slices.SortStableFunc(c.out, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.Promise, b.Promise), strings.Compare(a.About, b.About), strings.Compare(a.What, b.What))
	})
	return c.out
}

// String writes a job as its tenant and id.
func (j Job) String() string { return j.Tenant + "/" + j.ID }

// String writes a run with its number.
func (r Run) String() string { return fmt.Sprintf("%s run %d", r.Job, r.Number) }

func of(h *schemas.Head) Run { return Run{Job{h.Tenant, h.JobID}, h.Run} }

// accepted: P1, what got a 2xx is in the log, has a state and its source lies there.
func (c *check) accepted() {
	for _, j := range c.e.Accepted {
		if c.e.Submitted[j] == nil {
			c.broken("P1", j, "it was accepted and is not in the log")
		}
	}
	for j, s := range c.e.Submitted {
		if c.e.States[j] == nil && !c.e.Archived[j] {
			c.broken("P1", j, "it was submitted and has no state")
		}
		if s.Source.Bucket == "" && s.Source.Key != "" { // one that is to be fetched has no bytes yet
			if size, ok := c.e.Objects[s.Source.Key]; !ok || size != s.Source.Size {
				c.broken("P1", j, "its source %s has %d bytes, not %d", s.Source.Key, size, s.Source.Size)
			}
		}
	}
}

// ends: P2, every run reaches exactly one terminal state, and the versions of a job only grow.
func (c *check) ends() {
	version := map[Job]int64{}
	ended := map[Run][]string{}
	for _, x := range c.e.Changes {
		r := of(&x.Head)
		if x.Version <= version[r.Job] {
			c.broken("P2", r, "version %d follows version %d", x.Version, version[r.Job])
		}
		version[r.Job] = max(version[r.Job], x.Version)
		if schemas.Terminal(x.Status) {
			ended[r] = append(ended[r], x.Status)
		} else if len(ended[r]) > 0 {
			c.broken("P2", r, "it is %s after it ended %s", x.Status, ended[r][0])
		}
	}
	for j, s := range c.e.States {
		if !schemas.Terminal(s.Status) {
			c.broken("P2", j, "it is still %s", s.Status)
		}
		if v := version[j]; v != 0 && v != s.Version {
			c.broken("P2", j, "its state has version %d, the last change said %d", s.Version, v)
		}
		for n := range s.Run + 1 {
			r := Run{j, n}
			switch ends := ended[r]; {
			case len(ends) == 0:
				c.broken("P2", r, "no end of it was told")
			case len(ends) > 1:
				c.broken("P2", r, "it ended %d times: %s", len(ends), strings.Join(ends, ", "))
			case n == s.Run && ends[0] != s.Status:
				c.broken("P2", r, "it ended %s, its state says %s", ends[0], s.Status)
			}
			if c.e.Tables && len(ended[r]) == 1 && c.e.Rows[r] != ended[r][0] {
				c.broken("P2", r, "the analytics say %q, the log %q", c.e.Rows[r], ended[r][0])
			}
		}
	}
}

// usage: P2, exactly one row per job, run, stage and page, the same in the log and in the analytics.
func (c *check) usage() {
	rows := map[Work]map[string]bool{}
	for _, u := range c.e.Usage {
		w := Work{of(&u.Head), u.Stage, u.Page}
		if rows[w] == nil {
			rows[w] = map[string]bool{}
		}
		if rows[w][u.EventID] {
			c.broken("P2", w.Run, "the usage of %s on page %d was written twice", w.Stage, w.Page)
		}
		rows[w][u.EventID] = true
	}
	for w, ids := range rows {
		if len(ids) != 1 {
			c.broken("P2", w.Run, "%d usage rows of %s on page %d", len(ids), w.Stage, w.Page)
		}
		if c.e.Tables && c.e.Charged[w] != 1 {
			c.broken("P2", w.Run, "the analytics have %d usage rows of %s on page %d", c.e.Charged[w], w.Stage, w.Page)
		}
	}
	for w := range c.e.Charged {
		if rows[w] == nil {
			c.broken("P2", w.Run, "the analytics charge %s on page %d, the log does not", w.Stage, w.Page)
		}
	}
	for j, s := range c.e.States {
		for page := range schemas.Bitmap(s.Finished).All() {
			if !slices.ContainsFunc([]string{"prepare", "layout", "ocr"}, func(stage string) bool { return rows[Work{Run{j, s.Run}, stage, page}] != nil }) {
				c.broken("P2", Run{j, s.Run}, "page %d is finished and has no usage row", page)
			}
		}
	}
}

// results: P2, one result set where there is to be one; every page is in it, or named.
func (c *check) results() {
	for j, s := range c.e.States {
		r := Run{j, s.Run}
		done, failed := schemas.Bitmap(s.Finished).Count(), schemas.Bitmap(s.Failed).Count()
		if s.PagesDone != done || s.PagesFailed != failed {
			c.broken("P2", r, "it counts %d pages done and %d failed, and names %d and %d", s.PagesDone, s.PagesFailed, done, failed)
		}
		for page := range schemas.Bitmap(s.Finished).All() {
			if !c.e.Closed[r][page] {
				c.broken("P2", r, "page %d is finished and no fact says so", page)
			}
		}
		if s.Status != schemas.Completed && s.Status != schemas.Partial {
			continue
		}
		if done+failed != s.PagesExpected || (s.Status == schemas.Completed) != (failed == 0) {
			c.broken("P2", r, "it is %s with %d pages done and %d failed of %d", s.Status, done, failed, s.PagesExpected)
		}
		for page := range schemas.Bitmap(s.Failed).All() {
			if len(s.Failures) < 100 && !slices.ContainsFunc(s.Failures, func(f schemas.PageFailure) bool { return f.Page == page && f.Code != "" }) {
				c.broken("P2", r, "page %d failed and is not named", page)
			}
		}
		if len(s.Outputs) == 0 {
			c.broken("P2", r, "it has no result set")
		}
		formats := map[string]bool{}
		for _, o := range s.Outputs {
			if size, ok := c.e.Objects[o.Key]; !ok || size != o.Size || o.SHA256 == "" {
				c.broken("P2", r, "its %s lies in %s with %d bytes, not %d", o.Format, o.Key, size, o.Size)
			}
			if formats[o.Format] {
				c.broken("P2", r, "it has two results in %s", o.Format)
			}
			formats[o.Format] = true
		}
	}
}

// letters: P3, a record that was set aside says why and where from, and the fold was told.
func (c *check) letters() {
	for _, where := range c.e.Bare {
		c.broken("P3", where, "the dead letter does not say why it lies there, or where it came from")
	}
	for stage, n := range c.e.Letters {
		if told := c.e.Told[stage]; told != n {
			c.broken("P3", stage, "%d records were set aside, of %d the fold was told", n, told)
		}
	}
}

// answers: P4, the API says what the log says.
func (c *check) answers() {
	for j, a := range c.e.API {
		s := c.e.States[j]
		switch {
		case a.Status == "":
			c.broken("P4", j, "the API does not know it")
		case s == nil:
			c.broken("P4", j, "the API knows it, the log does not")
		case a.Status != s.Status || a.Run != s.Run || a.Version != s.Version || a.Done != s.PagesDone || a.Failed != s.PagesFailed:
			c.broken("P4", j, "the API says %+v, the log %s, run %d, version %d, %d done, %d failed", a, s.Status, s.Run, s.Version, s.PagesDone, s.PagesFailed)
		}
	}
}

// equal: P5, same bytes, options and pipeline version, same result.
func (c *check) equal() {
	type input struct{ sha, media, options, pipeline string }
	first := map[input]*schemas.JobSnapshot{}
	for _, j := range slices.SortedFunc(keys(c.e.States), func(a, b Job) int { return strings.Compare(a.String(), b.String()) }) {
		s := c.e.States[j]
		if s.Status != schemas.Completed || s.Source.SHA256 == "" {
			continue
		}
		in := input{s.Source.SHA256, s.Source.MediaType, fmt.Sprint(s.Options), s.Pipeline}
		was := first[in]
		if was == nil {
			first[in] = s
			continue
		}
		for _, o := range s.Outputs {
			i := slices.IndexFunc(was.Outputs, func(x schemas.Output) bool { return x.Format == o.Format })
			if i < 0 || was.Outputs[i].SHA256 != o.SHA256 {
				c.broken("P5", j, "its %s differs from that of %s, the same document", o.Format, was.JobID)
			}
		}
	}
}

// fences: P8, every object lies where its own job's do.
func (c *check) fences() {
	for key := range c.e.Objects {
		parts := strings.Split(key, "/")
		if len(parts) < 3 || parts[0] == "sources" {
			continue
		}
		if _, ok := c.e.States[Job{parts[1], parts[2]}]; !ok {
			c.broken("P8", key, "the tenant has no such job")
		}
	}
	for j, s := range c.e.States {
		for _, o := range s.Outputs {
			if !strings.HasPrefix(o.Key, schemas.ResultKey(j.Tenant, j.ID, s.Run, "")) {
				c.broken("P8", j, "its result lies in %s", o.Key)
			}
		}
		if s.Source.Bucket == "" && s.Source.Key != "" && !strings.HasPrefix(s.Source.Key, schemas.SourceKey(j.Tenant, "")) {
			c.broken("P8", j, "its source lies in %s", s.Source.Key)
		}
	}
}

func keys(m map[Job]*schemas.JobSnapshot) func(func(Job) bool) {
	return func(yield func(Job) bool) {
		for j := range m {
			if !yield(j) {
				return
			}
		}
	}
}
