package gateway

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// runBody is an earlier run of a job: how it ended, and where its result still lies.
type runBody struct {
	Run         int       `json:"run"`
	AfterRun    *int      `json:"after_run,omitempty"`
	ReplayID    string    `json:"replay_id,omitempty"`
	Status      string    `json:"status"`
	Pipeline    string    `json:"pipeline,omitempty"`
	PagesDone   int       `json:"pages_done"`
	PagesFailed int       `json:"pages_failed"`
	FinishedAt  string    `json:"finished_at,omitempty"`
	ResultURL   string    `json:"result_url,omitempty"`
	Error       *jobError `json:"error,omitempty"`
}

// runs shows the runs before the one the job shows, oldest first.
func (g *Gateway) runs(s *schemas.JobSnapshot) []runBody {
	var out []runBody
	for _, r := range s.Runs {
		b := runBody{Run: r.Run, AfterRun: afterRun(r.Run), ReplayID: r.ReplayID, Status: r.Status, Pipeline: r.Pipeline,
			PagesDone: r.PagesDone, PagesFailed: r.PagesFailed, FinishedAt: moment(r.EndedAt)}
		if served(r.Status) {
			b.ResultURL = g.resultURL(s.JobID) + "?run=" + strconv.Itoa(r.Run)
		}
		if r.Status == schemas.Failed || r.Status == schemas.Expired {
			b.Error = &jobError{Code: r.Code, Message: schemas.Codes[schemas.Code(r.Code)].Meaning}
		}
		out = append(out, b)
	}
	return out
}

// afterRun is the run a run came after; nil for the first.
func afterRun(run int) *int {
	if run == 0 {
		return nil
	}
	run--
	return &run
}

// served reports whether a run that ended so has a result to serve: that of a cancelled one never is.
func served(status string) bool { return status == schemas.Completed || status == schemas.Partial }

// past returns what an earlier run has to give; false where the query names none, or the newest. The outputs lie where the run's identity
// says, so the job need not remember them.
func (g *Gateway) past(c *gin.Context, s *schemas.JobSnapshot) (set resultSet, is bool, err error) {
	text := c.Query("run")
	if text == "" {
		return set, false, nil
	}
	run, err := strconv.Atoi(text)
	if err != nil || run < 0 {
		return set, false, invalid("run", "A run is a number from 0.")
	}
	if run == s.Run {
		return set, false, nil
	}
	i := slices.IndexFunc(s.Runs, func(r schemas.PastRun) bool { return r.Run == run })
	if i < 0 {
		return set, false, refuse(schemas.ResultNotAvailable, "The job has no such run, or it is too old to be remembered.").with("run", run)
	}
	if r := s.Runs[i]; !served(r.Status) {
		return set, false, refuse(schemas.ResultNotAvailable, "").with("run", run).with("status", r.Status).with("code", r.Code)
	}
	for _, f := range Formats {
		out := schemas.Output{Format: f, Key: schemas.ResultKey(s.Tenant, s.JobID, run, "document"+extensions[f])}
		o, err := g.objects.Head(c.Request.Context(), out.Key)
		if errors.Is(err, blob.ErrNotFound) {
			if n := s.Options.OutputFormats; len(n) == 0 || slices.Contains(n, f) {
				set.expired = append(set.expired, f)
			}
			continue
		}
		if err != nil {
			return set, false, err
		}
		out.Size, out.SHA256 = o.Size, strings.Trim(o.ETag, `"`)
		set.outputs, set.formats = append(set.outputs, out), append(set.formats, f)
	}
	if len(set.outputs) == 0 {
		return set, false, refuse(schemas.ResultExpired, "").with("run", run)
	}
	return set, true, nil
}
