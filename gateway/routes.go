package gateway

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"docstream/gateway/keys"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// route is one line of the API.
type route struct {
	method, path string
	scope        string // what the API key must allow; empty: no key is asked for
	handle       func(*gin.Context) error
}

// routes is the API. The OpenAPI document names the same ones; a test holds it to that.
func (g *Gateway) routes() []route {
	return []route{
		{http.MethodPost, "/api/v1/documents", keys.Documents, g.submit},
		{http.MethodPost, "/api/v1/uploads", keys.Documents, g.idempotent(g.announce)},
		{http.MethodGet, "/api/v1/uploads/:upload_id", keys.Documents, g.showDirect},
		{http.MethodDelete, "/api/v1/uploads/:upload_id", keys.Documents, g.abandon},
		{http.MethodPost, "/api/v1/uploads/:upload_id/complete", keys.Documents, g.finish},
		{http.MethodPost, "/api/v1/batches", keys.Documents, g.startBatch},
		{http.MethodGet, "/api/v1/batches", keys.Documents, g.batches},
		{http.MethodGet, "/api/v1/batches/:batch_id", keys.Documents, g.oneBatch},
		{http.MethodGet, "/api/v1/batches/:batch_id/items", keys.Documents, g.batchItems},
		{http.MethodPost, "/api/v1/batches/:batch_id/cancel", keys.Documents, g.idempotent(g.cancelBatch)},
		{http.MethodGet, "/api/v1/jobs", keys.Documents, g.jobs},
		{http.MethodGet, "/api/v1/jobs/:job_id", keys.Documents, g.job},
		{http.MethodDelete, "/api/v1/jobs/:job_id", keys.Documents, g.remove},
		{http.MethodGet, "/api/v1/jobs/:job_id/events", keys.Documents, g.jobEvents},
		{http.MethodGet, "/api/v1/events", keys.Documents, g.events},
		{http.MethodPost, "/api/v1/jobs/status", keys.Documents, g.bulk},
		{http.MethodGet, "/api/v1/jobs/:job_id/result", keys.Documents, g.result},
		{http.MethodGet, "/api/v1/jobs/:job_id/pages", keys.Documents, g.pageList},
		{http.MethodGet, "/api/v1/jobs/:job_id/pages/:page", keys.Documents, g.page},
		{http.MethodGet, "/api/v1/jobs/:job_id/pages/:page/image", keys.Documents, g.pageImage},
		{http.MethodGet, "/api/v1/jobs/:job_id/figures/:figure", keys.Documents, g.figure},
		{http.MethodPost, "/api/v1/jobs/:job_id/cancel", keys.Documents, g.cancel},
		{http.MethodPost, "/api/v1/jobs/:job_id/reprocess", keys.Documents, g.idempotent(g.reprocess)},
		{http.MethodPost, "/api/v1/jobs/:job_id/retry", keys.Documents, g.idempotent(g.retry)},
		{http.MethodPost, "/api/v1/replays", keys.Admin, g.idempotent(g.startReplay)},
		{http.MethodGet, "/api/v1/replays", keys.Admin, g.replays},
		{http.MethodGet, "/api/v1/replays/:replay_id", keys.Admin, g.replay},
		{http.MethodDelete, "/api/v1/replays/:replay_id", keys.Admin, g.cancelReplay},
		{http.MethodPost, "/api/v1/replays/:replay_id/pause", keys.Admin, g.pauseReplay},
		{http.MethodPost, "/api/v1/replays/:replay_id/resume", keys.Admin, g.resumeReplay},
		{http.MethodGet, "/api/v1/dead-letters", keys.Documents, g.deadLetters},
		{http.MethodPost, "/api/v1/dead-letters/:letter_id/redrive", keys.Documents, g.redrive},
		{http.MethodPost, "/api/v1/dead-letters/:letter_id/discard", keys.Documents, g.discard},
		{http.MethodPost, "/api/v1/keys", keys.Admin, g.createKey},
		{http.MethodGet, "/api/v1/keys", keys.Admin, g.keys},
		{http.MethodPost, "/api/v1/keys/:key_id/rotate", keys.Admin, g.rotateKey},
		{http.MethodDelete, "/api/v1/keys/:key_id", keys.Admin, g.revokeKey},
		{http.MethodGet, "/api/v1/tenants/:tenant", keys.Operator, g.showTenant},
		{http.MethodPut, "/api/v1/tenants/:tenant", keys.Operator, g.setTenant},
		{http.MethodGet, "/api/v1/usage", keys.Documents, g.usage},
		{http.MethodGet, "/api/v1/audit", keys.Admin, g.audit},
		{http.MethodPost, "/api/v1/webhooks", keys.Admin, g.createEndpoint},
		{http.MethodGet, "/api/v1/webhooks", keys.Admin, g.endpoints},
		{http.MethodPost, "/api/v1/webhooks/:endpoint_id/rotate", keys.Admin, g.rotateEndpoint},
		{http.MethodPost, "/api/v1/webhooks/:endpoint_id/enable", keys.Admin, g.enableEndpoint},
		{http.MethodDelete, "/api/v1/webhooks/:endpoint_id", keys.Admin, g.removeEndpoint},
		{http.MethodGet, "/api/v1/webhook-secret", keys.Admin, g.jobSecret},
		{http.MethodGet, "/api/v1/webhook-deliveries", keys.Admin, g.deliveries},
		{http.MethodPost, "/api/v1/webhook-deliveries/resend", keys.Admin, g.resendSince},
		{http.MethodPost, "/api/v1/webhook-deliveries/:delivery_id/resend", keys.Admin, g.resend},
		{http.MethodGet, "/api/v1/capacity", keys.Documents, g.capacity},
		{http.MethodGet, "/openapi.json", "", g.openAPI},
		{http.MethodGet, "/healthz", "", g.healthz},
		{http.MethodGet, "/readyz", "", g.readyz},
		{http.MethodGet, "/", "", g.root},
		{http.MethodGet, browsers, "", g.face},
		{http.MethodGet, browsers + ":asset", "", g.face},
	}
}

func (g *Gateway) engine(reg *prometheus.Registry) *gin.Engine {
	e := gin.New()
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed, e.ContextWithFallback = true, true
	e.ForwardedByClientIP = false
	e.Use(g.observe, g.protect)
	for _, r := range g.routes() {
		e.Handle(r.method, r.path, g.answer(r))
	}
	for _, d := range g.doors() {
		for _, r := range d.routes {
			e.Handle(r.method, r.path, d.speaks, g.answer(r))
		}
	}
	e.GET("/metrics", gin.WrapH(telemetry.Handler(reg)))
	e.NoRoute(g.answer(route{handle: func(*gin.Context) error { return refuse(schemas.RouteNotFound, "") }}))
	e.NoMethod(g.answer(route{handle: func(*gin.Context) error { return refuse(schemas.MethodNotAllowed, "") }}))
	return e
}

// answer runs a route: first who asks, then what.
func (g *Gateway) answer(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		if r.scope != "" {
			if err := g.authenticate(c, r.scope); err != nil {
				g.fail(c, err)
				return
			}
		}
		if err := r.handle(c); err != nil {
			g.fail(c, err)
		}
	}
}

// root says where to read on; a browser is shown the page for people.
func (g *Gateway) root(c *gin.Context) error {
	c.Header("Vary", "Accept")
	if wantsPage(c.GetHeader("Accept")) {
		c.Header("Location", g.link(browsers))
		g.mayWrite(c)
		c.Status(http.StatusSeeOther)
		c.Writer.WriteHeaderNow()
		return nil
	}
	g.json(c, http.StatusOK, gin.H{"service": "docstream", "version": g.build.Version, "revision": g.build.Revision,
		"api": g.link("/api/v1/jobs"), "reference": g.link("/openapi.json"), "metrics": g.link("/metrics")})
	return nil
}
