package gateway

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// jobBody is a job as the API shows it.
type jobBody struct {
	JobID    string       `json:"job_id"`
	Status   string       `json:"status"`
	Stage    string       `json:"stage"`
	Run      int          `json:"run"`
	AfterRun *int         `json:"after_run,omitempty"`
	ReplayID string       `json:"replay_id,omitempty"`
	Version  int64        `json:"version"`
	Priority string       `json:"priority"`
	Progress progressBody `json:"progress"`
	Stages   []stageBody  `json:"stages"`
	Timings  timingsBody  `json:"timings"`
	Cost     costBody     `json:"cost"`
	From     string       `json:"cached_from,omitempty"`    // job whose pages this one kept
	Kept     int          `json:"pages_kept,omitempty"`     // taken over from it, or from the run before; they cost nothing
	Position int          `json:"queue_position,omitempty"` // from 1, while nobody has opened it

	CreatedAt  string `json:"created_at"`
	StartedAt  string `json:"started_at,omitempty"`
	FinishedAt string `json:"finished_at,omitempty"`
	ExpectedAt string `json:"estimated_finish_at,omitempty"`
	Deadline   string `json:"deadline_at,omitempty"` // the run ends expired unless it has ended before

	Source   sourceBody        `json:"source"`
	Options  optionsBody       `json:"options"`
	Metadata map[string]string `json:"metadata,omitempty"`

	StatusURL string        `json:"status_url"`
	ResultURL string        `json:"result_url,omitempty"`
	Formats   []string      `json:"formats,omitempty"`
	Error     *jobError     `json:"error,omitempty"`
	Failures  []failureBody `json:"failures,omitempty"`
	Runs      []runBody     `json:"runs,omitempty"`
}

// progressBody counts the pages that were asked for: pages_total is 0 while nobody knows how many they are.
type progressBody struct {
	PagesTotal  int     `json:"pages_total"`
	PagesDone   int     `json:"pages_done"`
	PagesFailed int     `json:"pages_failed"`
	Percent     float64 `json:"percent"`
}

type sourceBody struct {
	Filename  string `json:"filename"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	Pages     int    `json:"pages,omitempty"` // of the whole document
}

type optionsBody struct {
	OCR           string   `json:"ocr"`
	Pages         string   `json:"pages,omitempty"`
	OutputFormats []string `json:"output_formats"`
	Languages     []string `json:"languages,omitempty"`
	Tables        string   `json:"tables,omitempty"`  // off; on where it is left out
	Figures       string   `json:"figures,omitempty"` // likewise
	DPI           int      `json:"dpi,omitempty"`
	MaxPages      int      `json:"max_pages,omitempty"`
}

type jobError struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"` // of work that waits for its next attempt
}

type failureBody struct {
	Page    int    `json:"page"`
	Stage   string `json:"stage"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// job answers where a job stands.
func (g *Gateway) job(c *gin.Context) error {
	s, err := g.awaited(c, func(s *schemas.JobSnapshot) bool {
		if known := c.GetHeader("If-None-Match"); known != "" {
			return !matches(known, jobTag(s))
		}
		return schemas.Terminal(s.Status)
	})
	if err != nil {
		return err
	}
	if field(c, "If-None-Match") != "" && unchanged(c, jobTag(s)) { // a tag is made only for who has one
		return nil
	}
	if !schemas.Terminal(s.Status) {
		c.Header("Retry-After", "1")
	}
	w := g.shownOf(s)
	c.Writer.Header()["Etag"] = w.tag // its canonical form
	g.put(c, http.StatusOK, inJSON, w.length, w.body)
	return nil
}

// inJSON is the media type of nearly every answer, as a head has it.
var inJSON = []string{"application/json"}

// jobTag tells one state of a job from another.
func jobTag(s *schemas.JobSnapshot) string {
	return `W/"` + strconv.Itoa(s.Run) + "." + strconv.FormatInt(s.Version, 10) + `"`
}

// find looks the job of the path up, as new as the request (P4), for the tenant of the key and nobody else (P8). Another tenant's job and
// one that does not exist are the same answer; a deleted one has another.
func (g *Gateway) find(c *gin.Context) (*schemas.JobSnapshot, error) {
	return g.lookUp(c, c.Param("job_id"))
}

// lookUp is find for a job that the path does not name as such.
func (g *Gateway) lookUp(c *gin.Context, id string) (*schemas.JobSnapshot, error) {
	s, err := g.state(c, id)
	if err == nil && !s.DeletedAt.IsZero() {
		return nil, refuse(schemas.JobDeleted, "").with("deleted_at", timestamp(s.DeletedAt))
	}
	return s, err
}

// known is find for whom deleted jobs are jobs too.
func (g *Gateway) known(c *gin.Context) (*schemas.JobSnapshot, error) {
	return g.state(c, c.Param("job_id"))
}

// state is what the log says of a job, or, of one that ended long ago, the object store.
func (g *Gateway) state(c *gin.Context, id string) (*schemas.JobSnapshot, error) {
	if !schemas.ValidJobID(id) {
		return nil, refuse(schemas.JobNotFound, "")
	}
	about(c, id)
	if err := g.fresh(c.Request.Context()); err != nil {
		return nil, err
	}
	s, err := g.lookFor(c.Request.Context(), tenant(c), id)
	if err == nil && s == nil {
		return nil, refuse(schemas.JobNotFound, "")
	}
	return s, err
}

// show turns a snapshot into what the API shows of it.
func (g *Gateway) show(s *schemas.JobSnapshot) jobBody {
	b := jobBody{
		JobID: s.JobID, Status: s.Status, Stage: s.Stage, Run: s.Run, AfterRun: afterRun(s.Run), ReplayID: s.ReplayID, Version: s.Version,
		Priority: s.Priority, Progress: progress(s), Stages: stages(s), Timings: g.timings(s), Cost: g.cost(s), Position: g.view.Position(s), ExpectedAt: moment(expected(s)), Runs: g.runs(s),
		CreatedAt: timestamp(s.SubmittedAt), StartedAt: moment(s.OpenedAt), FinishedAt: moment(s.EndedAt), Deadline: moment(s.Deadline),
		Source: sourceBody{Filename: s.Source.Filename, MediaType: s.Source.MediaType, Size: s.Source.Size, SHA256: s.Source.SHA256, Pages: s.PagesTotal},
		Options: optionsBody{OCR: s.Options.OCR, Pages: s.Options.Pages, OutputFormats: s.Options.OutputFormats,
			Languages: s.Options.Languages, Tables: s.Options.Tables, Figures: s.Options.Figures, DPI: s.Options.DPI, MaxPages: s.Options.MaxPages},
		Metadata:  s.Metadata,
		StatusURL: g.statusURL(s.JobID),
	}
	if len(b.Options.OutputFormats) == 0 {
		b.Options.OutputFormats = Formats
	}
	if hasResult(s) {
		b.ResultURL = g.resultURL(s.JobID)
		for _, o := range s.Outputs {
			b.Formats = append(b.Formats, o.Format)
		}
	}
	if b.Kept = s.PagesKept; b.Kept > 0 {
		b.From = s.BaseJob
	}
	b.Error = retrying(s, time.Now())
	if s.Status == schemas.Failed || s.Status == schemas.Expired {
		b.Error = &jobError{Code: s.Code, Message: s.Message}
	}
	for _, f := range s.Failures {
		b.Failures = append(b.Failures, failureBody{Page: f.Page, Stage: f.Stage, Code: f.Code, Message: f.Message})
	}
	return b
}

// hasResult reports whether a result may be served: outputs of a cancelled run never are.
func hasResult(s *schemas.JobSnapshot) bool {
	return served(s.Status) && len(s.Outputs) > 0
}

// progress says 100 percent only when the job has ended: writing the outputs comes after the last page.
func progress(s *schemas.JobSnapshot) progressBody {
	p := progressBody{PagesTotal: s.PagesExpected, PagesDone: s.PagesDone, PagesFailed: s.PagesFailed}
	switch {
	case s.Status == schemas.Completed || s.Status == schemas.Partial:
		p.Percent = 100
	case s.PagesExpected > 0:
		p.Percent = min(99, math.Floor(1000*float64(s.PagesDone+s.PagesFailed)/float64(s.PagesExpected))/10)
	}
	return p
}

// moment writes a time that may not have come yet.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timestamp(t)
}
