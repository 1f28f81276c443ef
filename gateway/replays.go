package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/producers/replay"
	"docstream/schemas"
)

// maxReplayBytes bounds the body that asks for a replay.
const maxReplayBytes = 256 << 10

// replayRequest is what a client asks for.
type replayRequest struct {
	replay.Criteria
	Rate     string `json:"rate"`
	MaxPages int64  `json:"max_pages"`
	Stage    string `json:"from_stage"`
	DryRun   bool   `json:"dry_run"`
}

// replayBody is a replay as the API shows it.
type replayBody struct {
	replay.Report
	New       *bool  `json:"new,omitempty"` // in the answer to POST alone
	StatusURL string `json:"status_url"`
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
	r := replay.Request{Tenant: tenant(c), Selection: b.Selection(), MaxPages: b.MaxPages, Stage: b.Stage, Dry: b.DryRun, By: whoAsks(c).id}
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
	limit, err := limitOf(c)
	if err != nil {
		return err
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
func (g *Gateway) cancelReplay(c *gin.Context) error { return g.changeReplay(c, replay.Cancel, false) }

// pauseReplay lets a replay rest until it is resumed, whoever works on it.
func (g *Gateway) pauseReplay(c *gin.Context) error { return g.changeReplay(c, replay.Pause, true) }

// resumeReplay lets a paused replay go on where it stands.
func (g *Gateway) resumeReplay(c *gin.Context) error { return g.changeReplay(c, replay.Resume, true) }

// changeReplay says something new of a replay; said twice it is nothing new. live says that it means nothing to one that has ended.
func (g *Gateway) changeReplay(c *gin.Context, say func(*schemas.ReplayChanged, time.Time) *schemas.ReplayChanged, live bool) error {
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	e, ok := g.view.Replay(tenant(c), c.Param("replay_id"))
	switch {
	case !ok && !g.view.Ready():
		return refuse(schemas.ServiceUnavailable, "")
	case !ok:
		return refuse(schemas.ReplayNotFound, "")
	case live && !e.EndedAt.IsZero():
		return refuse(schemas.ReplayEnded, "").with("status", e.Status)
	}
	if next := say(e, time.Now()); next != nil {
		if err := g.producer.Publish(c.Request.Context(), next, requestID(c)); err != nil {
			return err
		}
		e = next
	}
	g.json(c, http.StatusOK, g.showReplay(e))
	return nil
}

func (g *Gateway) showReplay(e *schemas.ReplayChanged) replayBody {
	return replayBody{Report: replay.NewReport(e), StatusURL: g.link("/api/v1/replays/" + e.ReplayID)}
}
