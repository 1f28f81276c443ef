package replay

import (
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// maxListed bounds the values of one criterion.
const maxListed = 1000

// Validate brings a request into its one form, so that the same meaning has the same id, and refuses what names nothing.
func (r *Request) Validate() error {
	s := &r.Selection
	for _, list := range []*[]string{&s.Jobs, &s.MediaTypes, &s.Statuses, &s.Codes, &s.Pipelines} {
		if *list = normal(*list); len(*list) > maxListed {
			return invalid("A criterion lists at most %d values.", maxListed)
		}
	}
	s.From, s.To = s.From.UTC().Truncate(time.Microsecond), s.To.UTC().Truncate(time.Microsecond)
	switch {
	case s.From.IsZero() && s.To.IsZero() && len(s.Jobs)+len(s.MediaTypes)+len(s.Statuses)+len(s.Codes)+len(s.Pipelines) == 0:
		return invalid("Name at least one of from, to, jobs, media types, statuses, codes and pipelines.")
	case !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To):
		return invalid("from is not before to.")
	case len(s.Label) > 80:
		return invalid("The label is longer than 80 bytes.")
	case r.Rate < 0 || r.Rate > MaxRate || r.Rate > 0 && r.Rate < 0.01:
		return invalid("The rate is from 0.01 to %d jobs a second.", MaxRate)
	case r.MaxPages < 0:
		return invalid("The bound of pages is negative.")
	case r.Stage != "" && !slices.Contains(schemas.FromStages, r.Stage):
		return invalid("A replay begins with the stage %s.", strings.Join(schemas.FromStages, ", "))
	}
	return selection{*s}.check()
}

// The sets a criterion's values come from.
var checks = []struct {
	of   func(selection) []string
	ok   func(string) bool
	what string
}{
	{func(s selection) []string { return s.Jobs }, schemas.ValidJobID, "no job id"},
	{func(s selection) []string { return s.MediaTypes }, validMedia, "no media type"},
	{func(s selection) []string { return s.Statuses }, schemas.Terminal, "not a status a job ends in"},
	{func(s selection) []string { return s.Codes }, func(c string) bool { _, ok := schemas.Codes[schemas.Code(c)]; return ok }, "not in the table of error codes"},
	{func(s selection) []string { return s.Pipelines }, func(p string) bool { return strings.HasPrefix(p, "pv_") && len(p) <= 80 }, "no pipeline version"},
}

// selection is the criteria with what this package does with them.
type selection struct{ schemas.Selection }

func (s selection) check() error {
	for _, c := range checks {
		for _, v := range c.of(s) {
			if !c.ok(v) {
				return invalid("%s is %s.", strconv.Quote(clip(v)), c.what)
			}
		}
	}
	return nil
}

func invalid(format string, a ...any) error {
	return fault.Document(schemas.InvalidSelection, format, a...)
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

func normal(list []string) []string {
	var out []string
	for _, v := range list {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func validMedia(m string) bool {
	kind, params, err := mime.ParseMediaType(m)
	return err == nil && len(params) == 0 && kind == m && strings.Contains(m, "/")
}

// submitted reports whether a submission can be one of those meant, by what it says itself. until is when the replay was asked for: what
// came later is not part of it.
func (s selection) submitted(tenant string, e *schemas.DocumentSubmitted, until time.Time) bool {
	switch {
	case tenant != "" && e.Tenant != tenant,
		len(s.Jobs) > 0 && !slices.Contains(s.Jobs, e.JobID),
		e.SubmittedAt.Before(s.From),
		!s.To.IsZero() && !e.SubmittedAt.Before(s.To),
		e.SubmittedAt.After(until):
		return false
	}
	return true
}

// asks reports whether any criterion is about the newest run of a job.
func (s selection) asks() bool { return len(s.Statuses)+len(s.Codes)+len(s.Pipelines) > 0 }

// stands reports whether a job meets the criteria that are about its newest run; media is the type its submission names. A job of which nobody has kept how it ended meets only
// selections that do not ask.
func (s selection) stands(media string, job *schemas.JobSnapshot) bool {
	if job == nil {
		return !s.asks() && s.medium(media)
	}
	if job.Source.MediaType != "" {
		media = job.Source.MediaType
	}
	switch {
	case !s.medium(media),
		len(s.Statuses) > 0 && !slices.Contains(s.Statuses, job.Status),
		len(s.Statuses) == 0 && job.Status == schemas.Cancelled,
		len(s.Pipelines) > 0 && !slices.Contains(s.Pipelines, job.Pipeline),
		len(s.Codes) > 0 && !s.code(job):
		return false
	}
	return true
}

func (s selection) medium(media string) bool {
	return len(s.MediaTypes) == 0 || slices.ContainsFunc(s.MediaTypes, func(m string) bool {
		family, all := strings.CutSuffix(m, "/*")
		return m == media || all && strings.HasPrefix(media, family+"/")
	})
}

func (s selection) code(job *schemas.JobSnapshot) bool {
	return slices.Contains(s.Codes, job.Code) ||
		slices.ContainsFunc(job.Failures, func(f schemas.PageFailure) bool { return slices.Contains(s.Codes, f.Code) })
}

// ParseRate reads 20/s, 600/m, 10000/h or 20.
func ParseRate(text string) (float64, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n > 0) {
		return 0, invalid("A rate reads like 20/s, 600/m or 10000/h, not %s.", strconv.Quote(clip(text)))
	}
	return n / per, nil
}

// pages is how many pages a job has for all that is known, at least 1.
func pages(job *schemas.JobSnapshot) int64 {
	if job == nil {
		return 1
	}
	return int64(max(1, job.PagesExpected))
}

// describe says in a few words what is selected, for logs.
func describe(e *schemas.ReplayChanged) string {
	s := e.Selection
	return fmt.Sprintf("from=%s to=%s jobs=%d media=%d statuses=%v codes=%v pipelines=%d", micros(s.From), micros(s.To), len(s.Jobs), len(s.MediaTypes), s.Statuses, s.Codes, len(s.Pipelines))
}
