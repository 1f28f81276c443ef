package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/keys"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// authenticate finds the key of the request and puts its tenant into the context. Nobody is let in, or turned away, before the view knows
// every key: a revoked one would pass, a good one would not.
func (g *Gateway) authenticate(c *gin.Context, scope string) error {
	id, secret, ok := credentials(c)
	if !ok {
		return refuse(schemas.Unauthenticated, "Send an API key: Authorization: Bearer dsk_…")
	}
	if !g.view.Ready() || !g.view.Current(keysCurrent) {
		if err := g.fresh(c.Request.Context()); err != nil {
			return err
		}
	}
	k, ok := g.view.Key(id)
	if !ok { // made a moment ago, perhaps: ask the log before saying no
		if err := g.fresh(c.Request.Context()); err != nil {
			return err
		}
		k, ok = g.view.Key(id)
	}
	if !ok {
		if !g.view.Ready() {
			return refuse(schemas.ServiceUnavailable, "")
		}
		return refuse(schemas.Unauthenticated, "")
	}
	if !keys.Valid(g.key, k, secret, time.Now()) {
		return refuse(schemas.Unauthenticated, "")
	}
	c.Set(tenantKey, k.Tenant)
	c.Set(apiKeyKey, k.KeyID)
	c.Set(scopesKey, k.Scopes)
	c.Request = c.Request.WithContext(telemetry.With(c.Request.Context(), telemetry.Job{Tenant: k.Tenant}))
	if !keys.Allows(k, scope) {
		return refuse(schemas.Forbidden, "").with("scope", scope)
	}
	return g.limited(c)
}

// opens reports whether the key of a request that is still being answered opens.
func (g *Gateway) opens(c *gin.Context) bool {
	id, secret, ok := credentials(c)
	if !ok {
		return false
	}
	k, ok := g.view.Key(id)
	return ok && keys.Valid(g.key, k, secret, time.Now())
}

// keysCurrent is how old the knowledge of the keys may be: a key that was revoked is refused everywhere within this time. A replica that
// hears nothing from the brokers for so long asks them at every request, and where they do not answer lets nobody in.
const keysCurrent = 4 * time.Second

// credentials finds the key of a request: in Authorization, or where a door's clients send theirs.
func credentials(c *gin.Context) (id, secret string, ok bool) {
	if d := dialect(c); d != nil && d.KeyHeader() != "" && c.GetHeader("Authorization") == "" {
		return keys.Split(strings.TrimSpace(c.GetHeader(d.KeyHeader())))
	}
	return bearer(c.GetHeader("Authorization"))
}

func bearer(header string) (id, secret string, ok bool) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", "", false
	}
	return keys.Split(strings.TrimSpace(token))
}

// tenant is whose request this is. Every look-up goes through it (P8).
func tenant(c *gin.Context) string { return c.GetString(tenantKey) }

// fresh waits, no longer than configured, until the view is as new as the request (P4). Past that the answer is 503, never a false 404.
func (g *Gateway) fresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.MaxWait)
	defer cancel()
	if err := g.view.Fresh(ctx); err != nil {
		return refuse(schemas.ServiceUnavailable, "The state of the jobs is not up to date yet; try again.").because(err)
	}
	return nil
}
