// Package replay runs documents again that were submitted before: it selects jobs from what the log still keeps and asks the fold for a new
// run of each, once, at low priority and a bounded rate. Nothing is uploaded again; the results of the old runs stay where they are.
//
// A replay is a record in the settings, keyed by an id that derives from its selection: saying it again finds it. It is planned into a list
// of jobs in the order of their keys, and worked off in that order, so that one key is the whole cursor. What is asked is asked again after
// a crash and the fold drops the second request, because it names the run it comes after; so the counts are exact and no job has two new
// runs, whoever dies when.
package replay

import (
	"slices"
	"strconv"
	"time"

	"docstream/schemas"
)

// The statuses of a replay.
const (
	Pending   = "pending"   // being counted
	Running   = "running"   // asking for runs, and waiting for them to end
	Paused    = "paused"    // asking for none until it is resumed; what was asked for by then runs on, and is counted
	Completed = "completed" // everything that was asked for has ended
	Cancelled = "cancelled" // stopped on request; what was asked for by then runs on
)

// Statuses lists them in the order a replay can pass through.
var Statuses = []string{Pending, Running, Paused, Completed, Cancelled}

// The modes of a replay.
const (
	Run = "run"
	Dry = "dry" // count only
)

// DefaultRate is how many runs are asked for in a second where nobody says otherwise; MaxRate is the most anybody can say.
const (
	DefaultRate = 20
	MaxRate     = 1000
)

// Request is what somebody asks for.
type Request struct {
	Tenant    string // empty: all tenants; only an operator may say so
	Selection schemas.Selection
	Rate      float64 // runs a second; 0: DefaultRate
	MaxPages  int64   // 0: any number
	Stage     string  // first stage that works again, one of schemas.FromStages; empty: all of them
	Dry       bool
	By        string // API key id, or operator
}

// ID derives the replay's id: the same tenant, selection, stage and mode are the same replay.
func (r Request) ID() string {
	s := r.Selection
	parts := []string{r.mode(), r.Tenant, s.Label, micros(s.From), micros(s.To)}
	for _, list := range [][]string{s.Jobs, s.MediaTypes, s.Statuses, s.Codes, s.Pipelines} {
		parts = append(append(parts, strconv.Itoa(len(list))), list...)
	}
	if r.Stage != "" {
		parts = append(parts, "stage", r.Stage)
	}
	return schemas.ReplayIDFor(parts...)
}

func (r Request) mode() string {
	if r.Dry {
		return Dry
	}
	return Run
}

func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

// Say turns a valid request into the record that makes it so. known is the replay of that id, nil where there is none; a nil answer means
// that there is nothing new to say. A count is always taken anew, and a replay that ended at its bound of pages goes on when the bound is
// lifted.
func (r Request) Say(known *schemas.ReplayChanged, now time.Time) *schemas.ReplayChanged {
	now = now.UTC().Truncate(time.Microsecond)
	next := &schemas.ReplayChanged{
		Head: schemas.Head{Tenant: r.Tenant}, ReplayID: r.ID(), Mode: r.mode(), Status: Pending, Selection: r.Selection, Stage: r.Stage,
		Rate: r.Rate, MaxPages: r.MaxPages, RequestedBy: r.By, CreatedAt: now,
	}
	if next.Rate == 0 {
		next.Rate = DefaultRate
	}
	switch {
	case known == nil:
	case r.Dry && !known.EndedAt.IsZero():
		next.Version, next.CreatedAt = known.Version, now
	case !r.Dry && known.Status == Completed && known.Left > 0 && (r.MaxPages == 0 || r.MaxPages > known.MaxPages):
		more := *known
		more.Status, more.MaxPages, more.Left, more.EndedAt, more.Rate = Running, r.MaxPages, 0, time.Time{}, next.Rate
		next = &more
	default:
		return nil
	}
	return stamp(next, now)
}

// lead is how far what somebody else says of a replay goes ahead of the versions the executor writes meanwhile.
const lead = 1000

// Cancel returns the record that stops a replay; nil where it has ended.
func Cancel(known *schemas.ReplayChanged, now time.Time) *schemas.ReplayChanged {
	if !known.EndedAt.IsZero() {
		return nil
	}
	next := *known
	next.Status, next.EndedAt, next.Version = Cancelled, now.UTC().Truncate(time.Microsecond), known.Version+lead
	return stamp(&next, now)
}

// Pause returns the record that lets a replay rest, whoever works on it and wherever; nil where it rests already or has ended. It holds until
// somebody resumes or cancels the replay.
func Pause(known *schemas.ReplayChanged, now time.Time) *schemas.ReplayChanged {
	if !known.EndedAt.IsZero() || known.Status == Paused {
		return nil
	}
	next := *known
	next.Status, next.Version = Paused, known.Version+lead
	return stamp(&next, now)
}

// Resume returns the record that lets a paused replay go on where it stands; nil where it is not paused. One that was paused before its jobs
// were counted is counted first.
func Resume(known *schemas.ReplayChanged, now time.Time) *schemas.ReplayChanged {
	if known.Status != Paused {
		return nil
	}
	next := *known
	next.Status, next.Version = Running, known.Version+lead
	if known.Mode == Dry || len(known.Counts) == 0 && known.Cursor == "" {
		next.Status = Pending
	}
	return stamp(&next, now)
}

// stamp makes a changed replay its own next version.
func stamp(e *schemas.ReplayChanged, now time.Time) *schemas.ReplayChanged {
	e.Version++
	e.At = now.UTC().Truncate(time.Microsecond)
	e.EventID = schemas.EventIDFor(e.ReplayID, 0, "replay", 0, e.Kind(), e.Version)
	return e
}

// names reports whether a job has a run that the replay asked for, and how that run stands.
func names(s *schemas.JobSnapshot, replay string) (status, code string, ok bool) {
	if s == nil {
		return "", "", false
	}
	if s.ReplayID == replay {
		return s.Status, s.Code, true
	}
	i := slices.IndexFunc(s.Runs, func(r schemas.PastRun) bool { return r.ReplayID == replay })
	if i < 0 {
		return "", "", false
	}
	return s.Runs[i].Status, s.Runs[i].Code, true
}
