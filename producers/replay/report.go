package replay

import (
	"math"
	"time"

	"docstream/schemas"
)

// Report is a replay as people and programs are shown it.
type Report struct {
	ReplayID string   `json:"replay_id"`
	Status   string   `json:"status"`
	DryRun   bool     `json:"dry_run"`
	Criteria Criteria `json:"selection"`
	Rate     float64  `json:"rate_per_second"`
	MaxPages int64    `json:"max_pages,omitempty"`
	Stage    string   `json:"from_stage,omitempty"`

	CreatedAt  string `json:"created_at"`
	FinishedAt string `json:"finished_at,omitempty"`

	Jobs     int64            `json:"jobs"`
	Pages    int64            `json:"pages"`
	ByStatus map[string]Tally `json:"by_status"`
	Progress Progress         `json:"progress"`
	Whole    *Tally           `json:"whole,omitempty"` // of a count from a stage: jobs of which all is there that it starts from, and pages of any
}

// Criteria is a selection as it is written and shown; what is not there means any.
type Criteria struct {
	From       *time.Time `json:"from,omitempty"`
	To         *time.Time `json:"to,omitempty"`
	Jobs       []string   `json:"jobs,omitempty"`
	MediaTypes []string   `json:"media_types,omitempty"`
	Statuses   []string   `json:"statuses,omitempty"`
	ErrorCodes []string   `json:"error_codes,omitempty"`
	Pipelines  []string   `json:"pipelines,omitempty"`
	Label      string     `json:"label,omitempty"`
}

// Tally is selected jobs of one status.
type Tally struct {
	Jobs  int64 `json:"jobs"`
	Pages int64 `json:"pages"`
}

// Progress is how far a replay is, in jobs.
type Progress struct {
	Asked         int64   `json:"asked"`
	PagesAsked    int64   `json:"pages_asked"`
	SourceExpired int64   `json:"source_expired"`
	Skipped       int64   `json:"skipped"`
	Left          int64   `json:"left"`
	Completed     int64   `json:"completed"`
	Partial       int64   `json:"partial"`
	Failed        int64   `json:"failed"`
	Cancelled     int64   `json:"cancelled"`
	Percent       float64 `json:"percent"`
	Pace          float64 `json:"jobs_per_second,omitempty"` // that came to an end, over the last minute of a running replay
	ETA           int64   `json:"eta_seconds,omitempty"`     // at this pace, until all have; 0 where that cannot be told
}

// Selection is the criteria as the record has them.
func (c Criteria) Selection() schemas.Selection {
	s := schemas.Selection{Jobs: c.Jobs, MediaTypes: c.MediaTypes, Statuses: c.Statuses, Codes: c.ErrorCodes, Pipelines: c.Pipelines, Label: c.Label}
	if c.From != nil {
		s.From = *c.From
	}
	if c.To != nil {
		s.To = *c.To
	}
	return s
}

// NewReport shows how a replay stands.
func NewReport(e *schemas.ReplayChanged) Report {
	s := e.Selection
	r := Report{
		ReplayID: e.ReplayID, Status: e.Status, DryRun: e.Mode == Dry, Rate: e.Rate, MaxPages: e.MaxPages, Stage: e.Stage,
		CreatedAt: moment(e.CreatedAt), FinishedAt: moment(e.EndedAt), Jobs: e.JobsTotal, Pages: e.PagesTotal, ByStatus: map[string]Tally{},
		Criteria: Criteria{From: maybe(s.From), To: maybe(s.To), Jobs: s.Jobs, MediaTypes: s.MediaTypes, Statuses: s.Statuses, ErrorCodes: s.Codes,
			Pipelines: s.Pipelines, Label: s.Label},
		Progress: Progress{Asked: e.JobsAsked, PagesAsked: e.PagesAsked, SourceExpired: e.SourceExpired, Skipped: e.Skipped, Left: e.Left,
			Completed: e.Completed, Partial: e.Partial, Failed: e.Failed, Cancelled: e.Cancelled, Percent: percent(e)},
	}
	if e.Status == Running && e.Pace > 0 {
		r.Progress.Pace, r.Progress.ETA = e.Pace, int64(math.Ceil(float64(max(0, e.JobsTotal-e.Left-done(e)))/e.Pace))
	}
	if e.Mode == Dry && e.Stage != "" && r.Ended() {
		r.Whole = &Tally{e.WholeJobs, e.WholePages}
	}
	for _, n := range e.Counts {
		r.ByStatus[n.Status] = Tally{n.Jobs, n.Pages}
	}
	return r
}

// Ended reports whether the replay does nothing more.
func (r Report) Ended() bool { return r.FinishedAt != "" }

// done is how many jobs nothing more is to come of.
func done(e *schemas.ReplayChanged) int64 {
	return e.SourceExpired + e.Skipped + e.Completed + e.Partial + e.Failed + e.Cancelled
}

// percent is how much of a replay is behind it: 100 only when it has ended.
func percent(e *schemas.ReplayChanged) float64 {
	switch {
	case e.Status == Completed:
		return 100
	case e.JobsTotal == 0:
		return 0
	}
	return min(99.9, math.Round(1000*float64(done(e))/float64(e.JobsTotal))/10)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
