package gateway

import (
	"time"

	"docstream/schemas"
)

// stageBody is one step of a job: waiting, running or done; skipped where the job ended before it.
type stageBody struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Done   int    `json:"done,omitempty"`
	Total  int    `json:"total,omitempty"`
}

// stageNames are the steps in order, as the fold calls them.
var stageNames = []string{"prepare", "pages", "compose"}

// stages shows the steps of a job. It reads nothing but the state, so every replica shows the same (P4).
func stages(s *schemas.JobSnapshot) []stageBody {
	now := len(stageNames)
	for i, name := range stageNames {
		if s.Stage == name {
			now = i
		}
	}
	out := make([]stageBody, len(stageNames))
	for i, name := range stageNames {
		b := stageBody{Name: name, Status: "waiting"}
		switch {
		case schemas.Terminal(s.Status) && !served(s.Status):
			b.Status = "skipped"
			if i == 0 && !s.OpenedAt.IsZero() || i == 1 && s.PagesExpected > 0 && s.PagesDone+s.PagesFailed == s.PagesExpected {
				b.Status = "done"
			}
		case i < now:
			b.Status = "done"
		case i == now && s.Status != schemas.Pending:
			b.Status = "running"
		}
		if name == "pages" {
			b.Done, b.Total = s.PagesDone+s.PagesFailed, s.PagesExpected
		}
		out[i] = b
	}
	return out
}

// timingsBody says where the time went, as far as it has gone.
type timingsBody struct {
	QueuedMS  *int64 `json:"queued_ms,omitempty"`  // from accepted to opened
	RunningMS *int64 `json:"running_ms,omitempty"` // from opened to ended
	TotalMS   *int64 `json:"total_ms,omitempty"`   // from accepted to ended
	CPUMS     int64  `json:"cpu_ms"`               // processor time of all stages
}

func timings(s *schemas.JobSnapshot) timingsBody {
	between := func(from, to time.Time) *int64 {
		if from.IsZero() || to.IsZero() {
			return nil
		}
		ms := max(0, to.Sub(from).Milliseconds())
		return &ms
	}
	return timingsBody{QueuedMS: between(s.SubmittedAt, s.OpenedAt), RunningMS: between(s.OpenedAt, s.EndedAt), TotalMS: between(s.SubmittedAt, s.EndedAt),
		CPUMS: s.CPUMicros / 1000}
}

// expected is when the job will end if its other pages take as long as those before; zero while nobody can tell. It is told by the state
// alone, not by the clock of the replica (P4).
func expected(s *schemas.JobSnapshot) time.Time {
	closed := s.PagesDone + s.PagesFailed
	if schemas.Terminal(s.Status) || closed == 0 || s.PagesExpected == 0 || !s.At.After(s.OpenedAt) || s.OpenedAt.IsZero() {
		return time.Time{}
	}
	each := s.At.Sub(s.OpenedAt) / time.Duration(closed)
	return s.At.Add(each * time.Duration(s.PagesExpected-closed))
}
