package gateway

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// cancel asks that the newest run of a job end cancelled. The fold alone decides: a run that ends first stays as it ended. Asking again for a
// cancelled job changes nothing.
func (g *Gateway) cancel(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	if s.Status == schemas.Cancelled {
		g.json(c, http.StatusOK, g.show(s))
		return nil
	}
	if schemas.Terminal(s.Status) {
		return refuse(schemas.JobEnded, "").with("status", s.Status)
	}
	if err := g.producer.Publish(c.Request.Context(), cancellation(s, whoAsks(c).id), requestID(c)); err != nil {
		return err
	}
	c.Header("Location", g.statusURL(s.JobID))
	g.json(c, http.StatusAccepted, g.show(s))
	return nil
}

// cancellation asks that the newest run of a job end cancelled.
func cancellation(s *schemas.JobSnapshot, by string) *schemas.CancelRequested {
	f := &schemas.CancelRequested{RequestedBy: by}
	f.Head = schemas.Head{EventID: schemas.EventIDFor(s.JobID, s.Run, "gateway", 0, f.Kind(), 0), Tenant: s.Tenant, JobID: s.JobID, Run: s.Run,
		At: time.Now().UTC().Truncate(time.Microsecond), SubmittedAt: s.SubmittedAt}
	return f
}
