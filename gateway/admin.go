package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/keys"
	"docstream/schemas"
)

// maxAdminBytes bounds the body of a request that administers.
const maxAdminBytes = 64 << 10

// maxOverlap bounds how long a rotated key stays good.
const maxOverlap = 30 * 24 * time.Hour

// keyBody is an API key as the API shows it: never its secret, but once, at its making.
type keyBody struct {
	KeyID     string   `json:"key_id"`
	Tenant    string   `json:"tenant"`
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	State     string   `json:"state"`
	CreatedAt string   `json:"created_at"`
	ExpiresAt string   `json:"expires_at,omitempty"`
	RevokedAt string   `json:"revoked_at,omitempty"`
	Key       string   `json:"key,omitempty"`
}

func showKey(k *schemas.APIKeyChanged, token string) keyBody {
	state := "valid"
	switch {
	case !k.RevokedAt.IsZero():
		state = "revoked"
	case !k.ExpiresAt.IsZero() && !time.Now().Before(k.ExpiresAt):
		state = "expired"
	}
	return keyBody{k.KeyID, k.Tenant, k.Name, k.Scopes, state, timestamp(k.CreatedAt), moment(k.ExpiresAt), moment(k.RevokedAt), token}
}

// subject is the tenant a request administers: the key's own, or the one an operator names.
func (g *Gateway) subject(c *gin.Context) (string, error) {
	who := c.Query("tenant")
	if who == "" || who == tenant(c) {
		return tenant(c), nil
	}
	if !g.operates(c) {
		return "", refuse(schemas.Forbidden, "Only an operator administers another tenant.").with("scope", keys.Operator)
	}
	if !schemas.ValidTenant(who) {
		return "", invalid("tenant", "A tenant is 1 to 40 of a-z, 0-9 and -.")
	}
	return who, nil
}

// operates reports whether the request's key may administer every tenant.
func (g *Gateway) operates(c *gin.Context) bool {
	return slices.Contains(whoAsks(c).scopes, keys.Operator)
}

// readBody reads a small JSON object with the documented fields and no other.
func readBody(c *gin.Context, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxAdminBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(schemas.InvalidRequest, "The body is a JSON object with the documented fields, of at most 64 KiB.").because(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(schemas.InvalidRequest, "The body is one JSON object.")
	}
	return nil
}

// administered makes changes durable after what the audit log says of them: nothing changes that is not told there. Who fails or is killed in
// between leaves the record of what was asked for.
func (g *Gateway) administered(c *gin.Context, who, action, subject string, details map[string]string, changes ...schemas.Event) error {
	now := time.Now().UTC()
	a := &schemas.AuditRecorded{Action: action, Subject: subject, By: whoAsks(c).id, RequestID: requestID(c), Details: details}
	a.Head = schemas.Head{Tenant: who, At: now, EventID: schemas.EventIDFor(subject, 0, action, 0, a.Kind(), now.UnixMicro())}
	for _, events := range [][]schemas.Event{{a}, changes} {
		if err := g.producer.PublishAll(c.Request.Context(), events, requestID(c)); err != nil {
			return err
		}
	}
	return nil
}

// createKey makes an API key and shows it, once.
func (g *Gateway) createKey(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	var b struct {
		Name      string    `json:"name"`
		Scopes    []string  `json:"scopes"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := readBody(c, &b); err != nil {
		return err
	}
	if len(b.Scopes) == 0 {
		b.Scopes = []string{keys.Documents}
	}
	if slices.Contains(b.Scopes, keys.Operator) && !g.operates(c) {
		return refuse(schemas.Forbidden, "Only an operator makes an operator's key.").with("scope", keys.Operator)
	}
	if !b.ExpiresAt.IsZero() && !b.ExpiresAt.After(time.Now()) {
		return invalid("expires_at", "The time has passed already.")
	}
	token, e, err := keys.New(g.key, who, b.Name, b.Scopes, b.ExpiresAt)
	if err != nil {
		return invalid("scopes", "A key needs a name of at most 200 bytes and scopes out of those allowed.").with("allowed", []string{keys.Documents, keys.Admin, keys.Operator})
	}
	if err := g.administered(c, who, "key.created", e.KeyID, map[string]string{"scopes": strings.Join(e.Scopes, ","), "name": e.Name}, e); err != nil {
		return err
	}
	g.json(c, http.StatusCreated, showKey(e, token))
	return nil
}

// keys lists a tenant's API keys.
func (g *Gateway) keys(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Keys(who)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]keyBody, 0, len(all))
	for _, k := range all {
		out = append(out, showKey(k, ""))
	}
	g.json(c, http.StatusOK, gin.H{"keys": out})
	return nil
}

// ownKey finds the key of the path. Another tenant's key and one that does not exist are the same answer (P8); nor does who may administer
// only his tenant touch an operator's key.
func (g *Gateway) ownKey(c *gin.Context) (*schemas.APIKeyChanged, error) {
	who, err := g.subject(c)
	if err != nil {
		return nil, err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return nil, err
	}
	k, ok := g.view.Key(c.Param("key_id"))
	switch {
	case !ok && !g.view.Ready():
		return nil, refuse(schemas.ServiceUnavailable, "")
	case !ok || k.Tenant != who:
		return nil, refuse(schemas.KeyNotFound, "")
	case slices.Contains(k.Scopes, keys.Operator) && !g.operates(c):
		return nil, refuse(schemas.Forbidden, "Only an operator administers an operator's key.").with("scope", keys.Operator)
	}
	return k, nil
}

// rotateKey makes a key that replaces another; the other stays good for the overlap.
func (g *Gateway) rotateKey(c *gin.Context) error {
	k, err := g.ownKey(c)
	if err != nil {
		return err
	}
	b := struct {
		Overlap *int64 `json:"overlap_seconds"`
	}{}
	if c.Request.ContentLength != 0 {
		if err := readBody(c, &b); err != nil {
			return err
		}
	}
	overlap := 24 * time.Hour
	if b.Overlap != nil {
		if *b.Overlap < 0 || *b.Overlap > int64(maxOverlap/time.Second) {
			return invalid("overlap_seconds", "The overlap is 0 to 2592000 seconds.")
		}
		overlap = time.Duration(*b.Overlap) * time.Second
	}
	if s := showKey(k, "").State; s != "valid" {
		return refuse(schemas.KeyNotFound, "The key is not valid any more: make a new one.").with("state", s)
	}
	token, fresh, old, err := keys.Rotate(g.key, k, overlap)
	if err != nil {
		return refuse(schemas.Internal, "").because(err)
	}
	if err := g.administered(c, k.Tenant, "key.rotated", k.KeyID, map[string]string{"new": fresh.KeyID, "until": timestamp(old.ExpiresAt)}, fresh, old); err != nil {
		return err
	}
	g.json(c, http.StatusCreated, showKey(fresh, token))
	return nil
}

// revokeKey ends a key, for ever. Every replica refuses it within keysCurrent, or answers nobody.
func (g *Gateway) revokeKey(c *gin.Context) error {
	k, err := g.ownKey(c)
	if err != nil {
		return err
	}
	if k.RevokedAt.IsZero() {
		k = keys.Revoke(k)
		if err := g.administered(c, k.Tenant, "key.revoked", k.KeyID, nil, k); err != nil {
			return err
		}
	}
	g.json(c, http.StatusOK, showKey(k, ""))
	return nil
}

// tenantBody is a tenant with its plan.
type tenantBody struct {
	Tenant string   `json:"tenant"`
	Plan   planBody `json:"plan"`
}

func (g *Gateway) showTenant(c *gin.Context) error {
	who := c.Param("tenant")
	if !schemas.ValidTenant(who) {
		return invalid("tenant", "A tenant is 1 to 40 of a-z, 0-9 and -.")
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	g.json(c, http.StatusOK, tenantBody{who, g.showPlan(who)})
	return nil
}

// setTenant gives a tenant a plan.
func (g *Gateway) setTenant(c *gin.Context) error {
	who := c.Param("tenant")
	if !schemas.ValidTenant(who) {
		return invalid("tenant", "A tenant is 1 to 40 of a-z, 0-9 and -.")
	}
	var b struct {
		Plan string `json:"plan"`
	}
	if err := readBody(c, &b); err != nil {
		return err
	}
	if !slices.ContainsFunc(g.cfg.Plans, func(p Plan) bool { return p.Name == b.Plan }) {
		names := []string{}
		for _, p := range g.cfg.Plans {
			names = append(names, p.Name)
		}
		return invalid("plan", "There is no such plan.").with("allowed", names)
	}
	now := time.Now().UTC()
	e := &schemas.TenantChanged{Plan: b.Plan, By: whoAsks(c).id}
	e.Head = schemas.Head{Tenant: who, At: now, EventID: schemas.EventIDFor(who, 0, "tenants", 0, e.Kind(), now.UnixMicro())}
	if err := g.administered(c, who, "tenant.planned", who, map[string]string{"plan": b.Plan}, e); err != nil {
		return err
	}
	return g.showTenant(c)
}

// auditBody is one entry of the audit log.
type auditBody struct {
	ID        string            `json:"id"`
	At        string            `json:"at"`
	Action    string            `json:"action"`
	Subject   string            `json:"subject"`
	By        string            `json:"by"`
	RequestID string            `json:"request_id"`
	Details   map[string]string `json:"details,omitempty"`
}

// audit lists what was last done in the tenant's name, newest first.
func (g *Gateway) audit(c *gin.Context) error {
	who, err := g.subject(c)
	if err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.AuditLog(who, limit)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]auditBody, 0, len(all))
	for _, a := range all {
		out = append(out, auditBody{a.EventID, timestamp(a.At), a.Action, a.Subject, a.By, a.RequestID, a.Details})
	}
	g.json(c, http.StatusOK, gin.H{"entries": out})
	return nil
}

// limitOf reads how many entries a list may have.
func limitOf(c *gin.Context) (int, error) {
	s := c.Query("limit")
	if s == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalid("limit", "The limit is a number from 1 to "+strconv.Itoa(maxLimit)+".")
	}
	return n, nil
}
