package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/issuers"
	"docstream/gateway/keys"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// principal is whom a credential lets in: an API key, or a token of an issuer the configuration names.
type principal struct {
	tenant, id string
	scopes     []string
}

// authenticate finds who asks and puts the tenant into the context. Nobody is let in, or turned away, before the view knows every key: a
// revoked one would pass, a good one would not.
func (g *Gateway) authenticate(c *gin.Context, scope string) error {
	who, err := g.whose(c)
	if err != nil {
		return err
	}
	requestOf(c).asker = who
	telemetry.Add(c.Request.Context(), telemetry.Job{Tenant: who.tenant})
	if !keys.Allows(who.scopes, scope) {
		return refuse(schemas.Forbidden, "").with("scope", scope)
	}
	return g.limited(c)
}

// whose says whom the credential of a request lets in.
func (g *Gateway) whose(c *gin.Context) (principal, error) {
	given := credential(c)
	if id, secret, ok := keys.Split(given); ok {
		return g.ofKey(c, id, secret)
	}
	if g.tokens != nil && issuers.Resembles(given) {
		return g.ofToken(c, given)
	}
	if g.tokens != nil {
		return principal{}, refuse(schemas.Unauthenticated, "Send an API key, Authorization: Bearer dsk_…, or a token of an issuer this service knows.")
	}
	return principal{}, refuse(schemas.Unauthenticated, "Send an API key: Authorization: Bearer dsk_…")
}

// ofKey checks an API key.
func (g *Gateway) ofKey(c *gin.Context, id, secret string) (principal, error) {
	if !g.view.Ready() || !g.view.Current(keysCurrent) {
		if err := g.fresh(c.Request.Context()); err != nil {
			return principal{}, err
		}
	}
	k, ok := g.view.Key(id)
	if !ok { // made a moment ago, perhaps: ask the log before saying no
		if err := g.fresh(c.Request.Context()); err != nil {
			return principal{}, err
		}
		k, ok = g.view.Key(id)
	}
	if !ok {
		if !g.view.Ready() {
			return principal{}, refuse(schemas.ServiceUnavailable, "")
		}
		return principal{}, refuse(schemas.Unauthenticated, "")
	}
	if !keys.Valid(g.secrets, k, secret, time.Now()) {
		return principal{}, refuse(schemas.Unauthenticated, "")
	}
	return principal{k.Tenant, k.KeyID, k.Scopes}, nil
}

// ofToken checks a token. The view is waited for as with a key: it knows the tenant's plan.
func (g *Gateway) ofToken(c *gin.Context, token string) (principal, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), g.cfg.MaxWait)
	defer cancel()
	p, err := g.tokens.Verify(ctx, token)
	var r *issuers.Refusal
	switch {
	case err == nil:
	case !errors.As(err, &r):
		return principal{}, err
	case r.Reason == issuers.Away:
		away := refuse(schemas.ServiceUnavailable, r.Message).because(err)
		away.after = r.After
		return principal{}, away
	case r.Reason == issuers.Forbidden:
		return principal{}, refuse(schemas.Forbidden, r.Message)
	default:
		return principal{}, refuse(schemas.Unauthenticated, r.Message)
	}
	if !g.view.Ready() {
		if err := g.fresh(c.Request.Context()); err != nil {
			return principal{}, err
		}
	}
	requestOf(c).until = p.Expires
	return principal{p.Tenant, p.ID, p.Scopes}, nil
}

// opens reports whether the credential of a request that is still being answered still opens.
func (g *Gateway) opens(c *gin.Context) bool {
	if id, secret, ok := keys.Split(credential(c)); ok {
		k, ok := g.view.Key(id)
		return ok && keys.Valid(g.secrets, k, secret, time.Now())
	}
	return time.Now().Before(requestOf(c).until)
}

// keysCurrent is how old the knowledge of the keys may be: a key that was revoked is refused everywhere within this time. A replica that
// hears nothing from the brokers for so long asks them at every request, and where they do not answer lets nobody in.
const keysCurrent = 4 * time.Second

// credential is what a request is let in by: in Authorization, or where a door's clients send theirs. Empty: it brings none.
func credential(c *gin.Context) string {
	if d := dialect(c); d != nil && d.KeyHeader() != "" && c.GetHeader("Authorization") == "" {
		return strings.TrimSpace(c.GetHeader(d.KeyHeader()))
	}
	scheme, token, found := strings.Cut(field(c, "Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// whoAsks is whom the credential of the request has let in.
func whoAsks(c *gin.Context) principal { return requestOf(c).asker }

// tenant is whose request this is. Every look-up goes through it (P8).
func tenant(c *gin.Context) string { return requestOf(c).asker.tenant }

// fresh waits, no longer than configured, until the view is as new as the request (P4). Past that the answer is 503, never a false 404.
func (g *Gateway) fresh(ctx context.Context) error {
	if err := g.view.FreshWithin(ctx, g.cfg.MaxWait); err != nil {
		return refuse(schemas.ServiceUnavailable, "The state of the jobs is not up to date yet; try again.").because(err)
	}
	return nil
}
