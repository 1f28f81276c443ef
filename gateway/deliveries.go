package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// deliveryBody is one webhook as the delivery log shows it.
type deliveryBody struct {
	DeliveryID string `json:"delivery_id"`
	EndpointID string `json:"endpoint_id,omitempty"`
	Host       string `json:"host,omitempty"` // of an address a job named; its path may hold a secret
	Type       string `json:"type"`
	JobID      string `json:"job_id"`
	State      string `json:"state"`
	Attempts   int    `json:"attempts"`
	LastStatus int    `json:"last_status,omitempty"`
	LastError  string `json:"last_error,omitempty"`
	DueAt      string `json:"due_at"`
	NextAt     string `json:"next_at,omitempty"`
	EndedAt    string `json:"ended_at,omitempty"`
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return ""
}

func showDelivery(w *schemas.WebhookDue) deliveryBody {
	b := deliveryBody{DeliveryID: w.DeliveryID, EndpointID: w.EndpointID, Type: w.Type, JobID: w.JobID, State: w.State, Attempts: w.Attempts,
		LastStatus: w.LastStatus, LastError: w.LastError, DueAt: timestamp(w.FirstAt), EndedAt: moment(w.EndedAt)}
	if w.EndpointID == "" {
		b.Host = hostOf(w.URL)
	}
	if w.State == webhookDue {
		b.NextAt = moment(w.NextAt)
	}
	return b
}

// deliveries is the delivery log, newest first.
func (g *Gateway) deliveries(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	state, job, endpoint := c.Query("state"), c.Query("job_id"), c.Query("endpoint_id")
	if states := []string{"", webhookDue, "delivered", "failed"}; !slices.Contains(states, state) {
		return invalid("state", "There is no such state.").with("allowed", states[1:])
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Webhooks(who, limit, func(w *schemas.WebhookDue) bool {
		return (state == "" || w.State == state) && (job == "" || w.JobID == job) && (endpoint == "" || w.EndpointID == endpoint)
	})
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]deliveryBody, 0, len(all))
	for _, w := range all {
		out = append(out, showDelivery(w))
	}
	g.json(c, http.StatusOK, gin.H{"deliveries": out})
	return nil
}

// again is a webhook that is to be sent once more, from its first attempt on, under the same id.
func again(w *schemas.WebhookDue, now time.Time) *schemas.WebhookDue {
	n := *w
	n.At, n.NextAt, n.EndedAt, n.State, n.Attempts, n.LastStatus, n.LastError = now, now, time.Time{}, webhookDue, 0, 0, ""
	n.EventID = schemas.EventIDFor(n.DeliveryID, 0, "resend", 0, n.Kind(), now.UnixMicro())
	return &n
}

// resend sends one webhook again.
func (g *Gateway) resend(c *gin.Context) error {
	return g.resendAll(c, 1, func(w *schemas.WebhookDue) bool { return w.DeliveryID == c.Param("delivery_id") })
}

// resendSince sends every webhook again that became due since a time, of one endpoint or of all.
func (g *Gateway) resendSince(c *gin.Context) error {
	var b struct {
		Since      time.Time `json:"since"`
		EndpointID string    `json:"endpoint_id"`
		State      string    `json:"state"`
	}
	if err := readBody(c, &b); err != nil {
		return err
	}
	if b.Since.IsZero() || time.Since(b.Since) > resendWindow {
		return invalid("since", "The time is within the last seven days.")
	}
	if b.State == "" {
		b.State = "failed"
	}
	if states := []string{"failed", "delivered"}; !slices.Contains(states, b.State) {
		return invalid("state", "There is no such state.").with("allowed", states)
	}
	return g.resendAll(c, maxResends, func(w *schemas.WebhookDue) bool {
		return !w.FirstAt.Before(b.Since) && w.State == b.State && (b.EndpointID == "" || w.EndpointID == b.EndpointID)
	})
}

func (g *Gateway) resendAll(c *gin.Context, limit int, keep func(*schemas.WebhookDue) bool) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	found, err := g.view.Webhooks(who, limit, keep)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	if len(found) == 0 && limit == 1 {
		return refuse(schemas.DeliveryNotFound, "")
	}
	now := time.Now().UTC()
	events, out := []schemas.Event{}, make([]deliveryBody, 0, len(found))
	for _, w := range found {
		n := again(w, now)
		events, out = append(events, n), append(out, showDelivery(n))
	}
	subject := who
	if limit == 1 {
		subject = found[0].DeliveryID
	}
	if err := g.administered(c, who, "webhook.resent", subject, nil, events...); err != nil {
		return err
	}
	g.json(c, http.StatusAccepted, gin.H{"deliveries": out})
	return nil
}
