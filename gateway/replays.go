package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/producers/replay"
	"docstream/schemas"
)

// maxReplayBytes bounds the body that asks for a replay.
const maxReplayBytes = 256 << 10

// replayRequest is what a client asks for.
type replayRequest struct {
	selectionBody
	Rate     string `json:"rate"`
	MaxPages int64  `json:"max_pages"`
	DryRun   bool   `json:"dry_run"`
}

// selectionBody is the criteria of a replay; those that are not there mean any.
type selectionBody struct {
	From       *time.Time `json:"from,omitempty"`
	To         *time.Time `json:"to,omitempty"`
	Jobs       []string   `json:"jobs,omitempty"`
	MediaTypes []string   `json:"media_types,omitempty"`
	Statuses   []string   `json:"statuses,omitempty"`
	ErrorCodes []string   `json:"error_codes,omitempty"`
	Pipelines  []string   `json:"pipelines,omitempty"`
	Label      string     `json:"label,omitempty"`
}

// replayBody is a replay as the API shows it.
type replayBody struct {
	ReplayID  string        `json:"replay_id"`
	Status    string        `json:"status"`
	DryRun    bool          `json:"dry_run"`
	New       *bool         `json:"new,omitempty"` // in the answer to POST alone
	Selection selectionBody `json:"selection"`
	Rate      float64       `json:"rate_per_second"`
	MaxPages  int64         `json:"max_pages,omitempty"`

	CreatedAt  string `json:"created_at"`
	FinishedAt string `json:"finished_at,omitempty"`

	Jobs     int64              `json:"jobs"`
	Pages    int64              `json:"pages"`
	ByStatus map[string]tally   `json:"by_status"`
	Progress replayProgressBody `json:"progress"`

	StatusURL string `json:"status_url"`
}

// tally is selected jobs of one status.
type tally struct {
	Jobs  int64 `json:"jobs"`
	Pages int64 `json:"pages"`
}

// replayProgressBody is how far a replay is, in jobs.
type replayProgressBody struct {
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
}

// startReplay makes a replay of the tenant's own jobs durable; an executor takes it up. Saying the same again finds it.
func (g *Gateway) startReplay(c *gin.Context) error {
	r, err := readReplay(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	known, found := g.view.Replay(r.Tenant, r.ID())
	if !found {
		known = nil
	}
	e := r.Say(known, time.Now())
	fresh := e != nil
	if fresh {
		if err := g.producer.Publish(c.Request.Context(), e, requestID(c)); err != nil {
			return err
		}
	} else {
		e = known
	}
	b := g.showReplay(e)
	b.New = &fresh
	c.Header("Location", b.StatusURL)
	status := http.StatusOK
	if fresh {
		status = http.StatusAccepted
	}
	g.json(c, status, b)
	return nil
}

// readReplay reads and checks the body.
func readReplay(c *gin.Context) (replay.Request, error) {
	d := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxReplayBytes))
	d.DisallowUnknownFields()
	var b replayRequest
	if err := d.Decode(&b); err != nil {
		return replay.Request{}, refuse(schemas.InvalidRequest, "The body is a JSON object with the documented fields, of at most 256 KiB.").because(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return replay.Request{}, refuse(schemas.InvalidRequest, "The body is one JSON object.")
	}
	r := replay.Request{Tenant: tenant(c), MaxPages: b.MaxPages, Dry: b.DryRun, By: c.GetString(apiKeyKey), Selection: schemas.Selection{
		Jobs: b.Jobs, MediaTypes: b.MediaTypes, Statuses: b.Statuses, Codes: b.ErrorCodes, Pipelines: b.Pipelines, Label: b.Label}}
	if b.From != nil {
		r.Selection.From = *b.From
	}
	if b.To != nil {
		r.Selection.To = *b.To
	}
	if b.Rate != "" {
		var err error
		if r.Rate, err = replay.ParseRate(b.Rate); err != nil {
			return r, err
		}
	}
	return r, r.Validate()
}

// replay answers how far a replay is.
func (g *Gateway) replay(c *gin.Context) error {
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	e, ok := g.view.Replay(tenant(c), c.Param("replay_id"))
	switch {
	case ok:
		g.json(c, http.StatusOK, g.showReplay(e))
		return nil
	case !g.view.Ready():
		return refuse(schemas.ServiceUnavailable, "")
	}
	return refuse(schemas.ReplayNotFound, "")
}

// replays lists a tenant's newest replays.
func (g *Gateway) replays(c *gin.Context) error {
	limit := defaultLimit
	if s := c.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			return invalid("limit", "The limit is a number from 1 to "+strconv.Itoa(maxLimit)+".")
		}
		limit = n
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Replays(tenant(c), limit)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]replayBody, 0, len(all))
	for _, e := range all {
		out = append(out, g.showReplay(e))
	}
	g.json(c, http.StatusOK, gin.H{"replays": out})
	return nil
}

// cancelReplay stops a replay: it asks for no more runs. Those it asked for run on.
func (g *Gateway) cancelReplay(c *gin.Context) error {
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	e, ok := g.view.Replay(tenant(c), c.Param("replay_id"))
	if !ok {
		if !g.view.Ready() {
			return refuse(schemas.ServiceUnavailable, "")
		}
		return refuse(schemas.ReplayNotFound, "")
	}
	if next := replay.Cancel(e, time.Now()); next != nil {
		if err := g.producer.Publish(c.Request.Context(), next, requestID(c)); err != nil {
			return err
		}
		e = next
	}
	g.json(c, http.StatusOK, g.showReplay(e))
	return nil
}

func (g *Gateway) showReplay(e *schemas.ReplayChanged) replayBody {
	s := e.Selection
	b := replayBody{
		ReplayID: e.ReplayID, Status: e.Status, DryRun: e.Mode == replay.Dry, Rate: e.Rate, MaxPages: e.MaxPages,
		CreatedAt: timestamp(e.CreatedAt), FinishedAt: moment(e.EndedAt), Jobs: e.JobsTotal, Pages: e.PagesTotal, ByStatus: map[string]tally{},
		Selection: selectionBody{From: maybe(s.From), To: maybe(s.To), Jobs: s.Jobs, MediaTypes: s.MediaTypes, Statuses: s.Statuses, ErrorCodes: s.Codes,
			Pipelines: s.Pipelines, Label: s.Label},
		Progress: replayProgressBody{Asked: e.JobsAsked, PagesAsked: e.PagesAsked, SourceExpired: e.SourceExpired, Skipped: e.Skipped, Left: e.Left,
			Completed: e.Completed, Partial: e.Partial, Failed: e.Failed, Cancelled: e.Cancelled, Percent: replay.Percent(e)},
		StatusURL: g.link("/api/v1/replays/" + e.ReplayID),
	}
	for _, n := range e.Counts {
		b.ByStatus[n.Status] = tally{n.Jobs, n.Pages}
	}
	return b
}

func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
