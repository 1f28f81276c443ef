package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"docstream/internal/telemetry"
	"docstream/schemas"
)

// noRoute stands for addresses that do not exist, in logs and metrics: a client must not be able to make names there.
const noRoute = "none"

// ofServer is what every span of a request is.
var ofServer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

// observe gives a request its id and span, then counts it and writes its one line: no body, no query, no header, no secret (P8).
func (g *Gateway) observe(c *gin.Context) {
	began := time.Now()
	route := c.FullPath()
	if route == "" {
		route = noRoute
	}
	id := field(c, "X-Request-Id")
	if !schemas.ValidRequestID(id) {
		id = schemas.NewRequestID(began)
	}
	c.Writer.Header()["X-Request-Id"] = []string{id}
	ctx := c.Request.Context()
	if len(c.Request.Header["Traceparent"]) > 0 {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(c.Request.Header))
	}
	ctx, span := g.tracer.Start(ctx, c.Request.Method+" "+route, ofServer...)
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", c.Request.Method), attribute.String("http.route", route), attribute.String("docstream.request_id", id))
	}
	c.Request = c.Request.WithContext(&request{Context: telemetry.With(ctx, telemetry.Job{RequestID: id})})
	defer func() {
		cut := g.recovered(c, recover())
		g.account(c, span, route, began, time.Since(began))
		if cut {
			panic(http.ErrAbortHandler) // the server drops the connection without a word
		}
	}()
	c.Next()
}

// field is a field of a request's head by its canonical name, which every request is asked for: GetHeader would work that out each time.
func field(c *gin.Context, name string) string {
	if values := c.Request.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// recovered turns a panic into INTERNAL; it reports whether an answer had begun, so that only cutting the connection is left.
func (g *Gateway) recovered(c *gin.Context, p any) (cut bool) {
	if p == nil {
		return false
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	g.log.ErrorContext(c.Request.Context(), "panic", "error", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.Abort()
	if c.Writer.Written() {
		return true
	}
	g.fail(c, plain(c, refuse(schemas.Internal, "")))
	return false
}

// account counts a request and writes its line.
func (g *Gateway) account(c *gin.Context, span trace.Span, route string, began time.Time, took time.Duration) {
	status, ctx := c.Writer.Status(), c.Request.Context()
	g.metrics.answer(answered{route, method(c.Request.Method), status}, took)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, string(requestOf(c).code))
		}
	}
	level := slog.LevelInfo
	if route == "/healthz" || route == "/readyz" || route == "/metrics" {
		level = slog.LevelDebug
	}
	if !g.access.Enabled(ctx, level) {
		return
	}
	as := [6]slog.Attr{slog.String("method", method(c.Request.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Int("bytes", max(0, c.Writer.Size())), slog.Float64("seconds", took.Seconds())}
	n := 5
	if code := requestOf(c).code; code != "" {
		as[n] = slog.String("code", string(code))
		n++
	}
	line := slog.NewRecord(began.Add(took), level, "request", 0) // no line says where in the code it was written
	line.AddAttrs(as[:n]...)
	_ = g.access.Handle(ctx, line) // a log that cannot be written is not the client's concern
}

// method keeps a client from making names in logs and metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

// about puts the job a request is about into its logs and its errors.
func about(c *gin.Context, job string) {
	telemetry.Add(c.Request.Context(), telemetry.Job{JobID: job})
	if span := trace.SpanFromContext(c.Request.Context()); span.IsRecording() {
		span.SetAttributes(attribute.String("docstream.job_id", job))
	}
}

// requestID is the id of the request, made or taken by observe.
func requestID(c *gin.Context) string { return telemetry.JobOf(c.Request.Context()).RequestID }
