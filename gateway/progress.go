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

	Stages []stageTime `json:"stages,omitempty"`
}

// stageTime is what one stage spent on the run: the sums over its pages, which are worked on at the same time.
type stageTime struct {
	Stage  string `json:"stage"`
	Device string `json:"device"`
	CPUMS  int64  `json:"cpu_ms"`
	WallMS int64  `json:"wall_ms"`
	Cost   int64  `json:"cost_nano_dollars"`
}

func (g *Gateway) timings(s *schemas.JobSnapshot) timingsBody {
	between := func(from, to time.Time) *int64 {
		if from.IsZero() || to.IsZero() {
			return nil
		}
		ms := max(0, to.Sub(from).Milliseconds())
		return &ms
	}
	b := timingsBody{QueuedMS: between(s.SubmittedAt, s.OpenedAt), RunningMS: between(s.OpenedAt, s.EndedAt), TotalMS: between(s.SubmittedAt, s.EndedAt),
		CPUMS: s.CPUMicros / 1000}
	for _, l := range s.Spent {
		b.Stages = append(b.Stages, stageTime{l.Stage, l.Device, l.CPUMicros / 1000, l.WallMicros / 1000, g.cfg.Prices.cost(l)})
	}
	return b
}

// costBody is what the run of a job costs so far, by the prices of the configuration.
type costBody struct {
	Currency    string `json:"currency"`
	Cost        int64  `json:"cost_nano_dollars"` // all in all
	StoredBytes int64  `json:"stored_bytes"`      // of source and results
	StoredCost  int64  `json:"stored_cost_nano_dollars"`
}

// cost reads nothing but the state and the prices, so every replica says the same (P4).
func (g *Gateway) cost(s *schemas.JobSnapshot) costBody {
	b := costBody{Currency: "USD"}
	if s.Source.Bucket == "" {
		b.StoredBytes = s.Source.Size
	}
	for _, o := range s.Outputs {
		b.StoredBytes += o.Size
	}
	b.StoredCost = g.cfg.Prices.stored(b.StoredBytes)
	b.Cost = b.StoredCost
	for _, l := range s.Spent {
		b.Cost += g.cfg.Prices.cost(l)
	}
	return b
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
