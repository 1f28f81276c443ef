// Package gateway is the HTTP face of the stream: submit a document, follow its job, fetch its result.
//
// Every replica gives the same answers (P4): what it knows comes from a [view.View], and each look-up waits until the view is as new as the
// request. A document is accepted when its bytes and its event are durable, not before (P1). An upload is streamed; what it holds in
// memory is bounded whatever its size (P6). Every look-up is by (tenant, job), and the tenant is the API key's (P8).
package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"docstream/gateway/issuers"
	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/internal/outbound"
	"docstream/internal/telemetry"
	"docstream/producers"
	"docstream/schemas"
)

// Objects is what the gateway needs of the object store.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	Head(ctx context.Context, key string) (blob.Object, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
}

// Info names the running build.
type Info struct{ Version, Revision string }

// Gateway serves the API. It keeps nothing of its own between two requests but the view, and
// what its tenants asked for lately.
type Gateway struct {
	cfg      Config
	view     *view.View
	producer *producers.Producer
	objects  Objects
	key      schemas.SigningKey
	secrets  *schemas.Checker // of API keys
	build    Info
	log      *slog.Logger
	access   slog.Handler // of the line of each request
	metrics  *metrics
	tracer   trace.Tracer
	handler  http.Handler
	letters  DeadLetters
	pages    Pages
	links    Links
	direct   Direct        // nil: clients send documents through the gateway alone
	slots    chan struct{} // one for each upload in flight
	ending   chan struct{} // closed when the gateway stops: who follows comes again elsewhere
	follows  chan struct{} // one for each follower
	whole    chan struct{} // one for each document held whole at a door
	flights  sync.Map      // names of the promises being made here
	intake   intake
	answers  shown
	cold     cold
	indexes  indexes
	quiet    quiet
	rates    rates
	admitted admissions
	guard    *outbound.Guard // whom webhooks may reach
	tokens   *issuers.Set    // nil: API keys alone let in
	fetches  *outbound.Guard // where documents may be fetched from

	registered Registered // nil: no foreign bucket is
	foreign    Foreign

	listening chan struct{} // closed when addr is known
	once      sync.Once
	addr      string
}

// New returns an inert gateway. The caller runs the view, and ends it after the gateway.
func New(cfg Config, v *view.View, p *producers.Producer, objects Objects, key schemas.SigningKey, build Info, log *slog.Logger, reg *prometheus.Registry) *Gateway {
	gin.SetMode(gin.ReleaseMode)
	guard, err := outbound.New(cfg.Webhooks, nil)
	if err != nil {
		panic(err) // Validate has passed it
	}
	fetches, err := outbound.New(cfg.Fetch, nil)
	if err != nil {
		panic(err) // Validate has passed it
	}
	g := &Gateway{
		cfg: cfg, view: v, producer: p, objects: objects, key: key, secrets: key.Checker(), build: build, log: log, access: telemetry.Unhurried(log.Handler()), metrics: newMetrics(reg), tracer: otel.Tracer("docstream/gateway"), guard: guard, fetches: fetches,
		slots: make(chan struct{}, cfg.Uploads), listening: make(chan struct{}),
		ending: make(chan struct{}), follows: make(chan struct{}, cfg.Followers), whole: make(chan struct{}, wholeDocuments),
	}
	v.LetGo(g.cold.drop)
	if len(cfg.Tokens.Issuers) > 0 {
		g.tokens = issuers.New(cfg.Tokens, log, reg)
	}
	g.handler = g.parting(withHead(g.engine(reg)))
	return g
}

// Handler is the whole face, for a server of the caller's own.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Listening is closed once the gateway listens and Addr knows where.
func (g *Gateway) Listening() <-chan struct{} { return g.listening }

// Addr is the address the gateway listens on, port 0 resolved; empty before it listens.
func (g *Gateway) Addr() string {
	select {
	case <-g.listening:
		return g.addr
	default:
		return ""
	}
}

// Run listens and serves until ctx ends, then drains, see [Gateway.drain], and returns.
func (g *Gateway) Run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", g.cfg.Listen)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.once.Do(func() { g.addr = l.Addr().String(); close(g.listening) })
	s := g.server()
	s.ConnState = g.quiet.state
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	g.log.Info("the gateway listens", "address", l.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("gateway: %w", err)
	case <-ctx.Done():
	}
	return g.drain(context.WithoutCancel(ctx), s, l)
}

// server has no timeout for a whole request: bodies and answers are bounded by progress instead, see paced.
func (g *Gateway) server() *http.Server {
	return &http.Server{
		Handler: g.handler, ReadHeaderTimeout: g.cfg.HeaderTimeout, IdleTimeout: g.cfg.IdleTimeout, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// headOnly marks the context of a request that was HEAD.
type headOnly struct{}

// withHead answers HEAD as GET: the server leaves the body out.
func withHead(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.WithContext(context.WithValue(r.Context(), headOnly{}, true))
			r.Method = http.MethodGet
		}
		h.ServeHTTP(w, r)
	})
}

// timestamp is how the API writes times.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// link writes an address of this API, below the public one where there is one.
func (g *Gateway) link(path string) string { return strings.TrimSuffix(g.cfg.PublicURL, "/") + path }
