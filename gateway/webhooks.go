package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/seal"
	"docstream/schemas"
)

// webhookTypes are the events an endpoint can ask for.
var webhookTypes = []string{"job.completed", "job.partial", "job.failed", "job.cancelled", "job.expired"}

const (
	maxEndpoints   = 20                 // of a tenant
	secretOverlap  = 24 * time.Hour     // for which a rotated secret still signs
	maxResends     = 1000               // at once
	webhookSecret  = "whsec_"           // begins a secret as Standard Webhooks writes it
	sealedEndpoint = "endpoint/"        // whose secret it is; deliver opens it under the same name
	derivedWebhook = "webhook/"         // the secret of addresses that jobs name
	webhookDue     = "due"              // a webhook that waits to be sent
	resendWindow   = 7 * 24 * time.Hour // as long as webhooks stay known
)

// endpointBody is a webhook endpoint as the API shows it: its secret only where it is made.
type endpointBody struct {
	EndpointID     string   `json:"endpoint_id"`
	URL            string   `json:"url"`
	Events         []string `json:"events"`
	Description    string   `json:"description"`
	State          string   `json:"state"`
	DisabledReason string   `json:"disabled_reason,omitempty"`
	CreatedAt      string   `json:"created_at"`
	Secret         string   `json:"secret,omitempty"`
}

func showEndpoint(e *schemas.EndpointChanged, secret []byte) endpointBody {
	b := endpointBody{EndpointID: e.EndpointID, URL: e.URL, Events: e.Events, Description: e.Description, State: "active", CreatedAt: timestamp(e.CreatedAt)}
	if len(b.Events) == 0 {
		b.Events = webhookTypes
	}
	if !e.DisabledAt.IsZero() {
		b.State, b.DisabledReason = "disabled", e.DisabledReason
	}
	if secret != nil {
		b.Secret = webhookSecret + base64.StdEncoding.EncodeToString(secret)
	}
	return b
}

// webhookAddress refuses an address that could never be asked. What it lets pass is checked again at each attempt, where it leads then.
func (g *Gateway) webhookAddress(field, address string) error {
	if _, err := g.guard.Parse(address); err != nil {
		return refuse(schemas.AddressForbidden, "").with("field", field)
	}
	return nil
}

// createEndpoint makes a webhook endpoint and shows its secret, once.
func (g *Gateway) createEndpoint(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	var b struct {
		URL         string   `json:"url"`
		Events      []string `json:"events"`
		Description string   `json:"description"`
	}
	if err := readBody(c, &b); err != nil {
		return err
	}
	if err := g.webhookAddress("url", b.URL); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Events, func(e string) bool { return !slices.Contains(webhookTypes, e) }) {
		return invalid("events", "There is no such event.").with("allowed", webhookTypes)
	}
	if len(b.Description) > 200 {
		return invalid("description", "The description is longer than 200 bytes.")
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	known, err := g.view.Endpoints(who)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	if len(known) >= maxEndpoints {
		return invalid("url", "The tenant has as many endpoints as it may.").with("max_endpoints", maxEndpoints)
	}
	now := time.Now().UTC()
	e := &schemas.EndpointChanged{EndpointID: "whe_" + schemas.NewUploadID(now), URL: b.URL, Events: b.Events, Description: b.Description, CreatedAt: now}
	e.Tenant = who
	secret, err := g.freshSecret(e)
	if err != nil {
		return err
	}
	if err := g.changed(c, e, "endpoint.created", map[string]string{"url_host": hostOf(b.URL)}); err != nil {
		return err
	}
	g.json(c, http.StatusCreated, showEndpoint(e, secret))
	return nil
}

// freshSecret gives an endpoint a new secret, sealed.
func (g *Gateway) freshSecret(e *schemas.EndpointChanged) ([]byte, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, refuse(schemas.Internal, "").because(err)
	}
	var err error
	if e.Secret, err = seal.Seal(g.key, sealedEndpoint+e.Tenant+"/"+e.EndpointID, secret); err != nil {
		return nil, refuse(schemas.Internal, "").because(err)
	}
	return secret, nil
}

// changed makes a changed endpoint durable, with its line in the audit log.
func (g *Gateway) changed(c *gin.Context, e *schemas.EndpointChanged, action string, details map[string]string) error {
	e.At, e.By = time.Now().UTC(), whoAsks(c).id
	e.EventID = schemas.EventIDFor(e.EndpointID, 0, "webhooks", 0, e.Kind(), e.At.UnixMicro())
	return g.administered(c, e.Tenant, action, e.EndpointID, details, e)
}

func (g *Gateway) endpoints(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Endpoints(who)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]endpointBody, 0, len(all))
	for _, e := range all {
		out = append(out, showEndpoint(e, nil))
	}
	g.json(c, http.StatusOK, gin.H{"endpoints": out})
	return nil
}

// ownEndpoint finds the endpoint of the path; another tenant's does not exist (P8).
func (g *Gateway) ownEndpoint(c *gin.Context) (*schemas.EndpointChanged, error) {
	who, err := g.subject(c)
	if err != nil {
		return nil, err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return nil, err
	}
	all, err := g.view.Endpoints(who)
	if err != nil {
		return nil, refuse(schemas.ServiceUnavailable, "").because(err)
	}
	for _, e := range all {
		if e.EndpointID == c.Param("endpoint_id") {
			next := *e
			return &next, nil
		}
	}
	return nil, refuse(schemas.EndpointNotFound, "")
}

// rotateEndpoint gives an endpoint a new secret; for a day messages are signed with both.
func (g *Gateway) rotateEndpoint(c *gin.Context) error {
	e, err := g.ownEndpoint(c)
	if err != nil {
		return err
	}
	e.PreviousSecret, e.PreviousUntil = e.Secret, time.Now().UTC().Add(secretOverlap)
	secret, err := g.freshSecret(e)
	if err != nil {
		return err
	}
	if err := g.changed(c, e, "endpoint.rotated", nil); err != nil {
		return err
	}
	g.json(c, http.StatusOK, showEndpoint(e, secret))
	return nil
}

// enableEndpoint serves an endpoint again that was disabled.
func (g *Gateway) enableEndpoint(c *gin.Context) error {
	e, err := g.ownEndpoint(c)
	if err != nil {
		return err
	}
	e.DisabledAt, e.DisabledReason = time.Time{}, ""
	if err := g.changed(c, e, "endpoint.enabled", nil); err != nil {
		return err
	}
	g.json(c, http.StatusOK, showEndpoint(e, nil))
	return nil
}

// removeEndpoint ends an endpoint: what waits for it is given up.
func (g *Gateway) removeEndpoint(c *gin.Context) error {
	e, err := g.ownEndpoint(c)
	if err != nil {
		return err
	}
	e.RemovedAt, e.Secret, e.PreviousSecret = time.Now().UTC(), nil, nil
	if err := g.changed(c, e, "endpoint.removed", nil); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// jobSecret shows the secret that signs messages to addresses that jobs name.
func (g *Gateway) jobSecret(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	secret, err := seal.Derive(g.key, derivedWebhook+who)
	if err != nil {
		return refuse(schemas.Internal, "").because(err)
	}
	if err := g.administered(c, who, "webhook_secret.shown", who, nil); err != nil {
		return err
	}
	g.json(c, http.StatusOK, gin.H{"secret": webhookSecret + base64.StdEncoding.EncodeToString(secret)})
	return nil
}
