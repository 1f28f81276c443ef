package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"docstream/internal/telemetry"
)

// line logs once and returns what was written.
func line(t *testing.T, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	log(telemetry.NewLogger(&b, "debug", slog.String("role", "test")))
	var m map[string]any
	if err := json.Unmarshal(b.Bytes(), &m); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	return m
}

func TestLinesCarryTheJobAndTheTrace(t *testing.T) {
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(context.Background(), sc)
	ctx = telemetry.With(ctx, telemetry.Job{RequestID: "req_1", JobID: "job_1", Tenant: "acme"})
	ctx = telemetry.With(ctx, telemetry.Job{Stage: "ocr", Page: 7})
	want := map[string]any{"request_id": "req_1", "job_id": "job_1", "tenant": "acme", "stage": "ocr", "page": 7.0, "role": "test",
		"trace_id": sc.TraceID().String(), "span_id": sc.SpanID().String(), "msg": "done", "level": "INFO"}
	for name, log := range map[string]func(*slog.Logger){
		"plain":          func(l *slog.Logger) { l.InfoContext(ctx, "done", "n", 1) },
		"with attribute": func(l *slog.Logger) { l.With("n", 1).InfoContext(ctx, "done") },
		"in a group":     func(l *slog.Logger) { l.WithGroup("g").With("n", 1).InfoContext(ctx, "done", "m", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			got := line(t, log)
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s = %v, want %v", k, got[k], v)
				}
			}
		})
	}
	got := line(t, func(l *slog.Logger) { l.WithGroup("g").InfoContext(ctx, "done", "m", 2) })
	if g, _ := got["g"].(map[string]any); g["m"] != 2.0 {
		t.Errorf("the group lost its attribute: %v", got)
	}
}

func TestEmptyFieldsAreLeftOut(t *testing.T) {
	got := line(t, func(l *slog.Logger) { l.Info("up") })
	for _, k := range []string{"request_id", "job_id", "tenant", "stage", "page", "trace_id"} {
		if v, ok := got[k]; ok {
			t.Errorf("%s = %v", k, v)
		}
	}
}

func TestNoSecretReachesALine(t *testing.T) {
	const secret = "hunter2hunter2"
	type config struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	for name, log := range map[string]func(*slog.Logger){
		"name":           func(l *slog.Logger) { l.Info("x", "s3_secret_key", secret) },
		"name in group":  func(l *slog.Logger) { l.Info("x", slog.Group("token", "value", secret)) },
		"with":           func(l *slog.Logger) { l.With("Authorization", secret).Info("x") },
		"key in message": func(l *slog.Logger) { l.Info("key dsk_01abc_" + secret + " was refused") },
		"producer key":   func(l *slog.Logger) { l.Info("key dpk_01abc_" + secret + " was refused") },
		"token in text":  func(l *slog.Logger) { l.Info("x", "note", "was eyJhbGciOiJFUzI1NiJ9."+secret+".c2ln") },
		"key in text":    func(l *slog.Logger) { l.Info("x", "note", "dsk_01abc_x_"+secret) },
		"error":          func(l *slog.Logger) { l.Info("x", "error", errors.New("http://u:"+secret+"@host/ failed")) },
		"bearer":         func(l *slog.Logger) { l.Info("x", "header", "Bearer "+secret) },
		"basic":          func(l *slog.Logger) { l.Info("sent Authorization: Basic " + secret) },
		"query":          func(l *slog.Logger) { l.Info("x", "url", "https://h/?a=1&password="+secret) },
		"struct":         func(l *slog.Logger) { l.Info("x", "config", config{"u", secret}) },
		"map of lists": func(l *slog.Logger) {
			l.Info("x", "h", http.Header{"Authorization": {secret}, "Accept": {"dsk_1_" + secret}})
		},
		"bytes": func(l *slog.Logger) { l.Info("x", "raw", []byte("dsk_1_"+secret)) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			log(telemetry.NewLogger(&b, "info"))
			if strings.Contains(b.String(), "hunter2") {
				t.Error(b.String())
			}
		})
	}
}

func TestPublicPartsStay(t *testing.T) {
	got := line(t, func(l *slog.Logger) {
		l.Info("x", "api_key_id", "01abc", "note", "dsk_01abc_zzz", "tokens", 5, "ca_file", "/etc/ca.pem", "wait", time.Second, "why", "basic authentication")
	})
	for k, want := range map[string]any{"api_key_id": "01abc", "note": "dsk_01abc_***", "tokens": 5.0, "ca_file": "/etc/ca.pem", "wait": 1e9, "why": "basic authentication"} {
		if got[k] != want {
			t.Errorf("%s = %v, want %v", k, got[k], want)
		}
	}
}

func TestLevelsBelowTheWantedAreSilent(t *testing.T) {
	var b bytes.Buffer
	l := telemetry.NewLogger(&b, "warn")
	l.Info("no")
	l.Warn("yes")
	if got := strings.Count(b.String(), "\n"); got != 1 {
		t.Errorf("%d lines: %s", got, b.String())
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	if err := telemetry.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*telemetry.Config){
		"level":    func(c *telemetry.Config) { c.Level = "loud" },
		"metrics":  func(c *telemetry.Config) { c.Metrics = "here" },
		"ratio":    func(c *telemetry.Config) { c.TracesRatio = 2 },
		"endpoint": func(c *telemetry.Config) { c.TracesEndpoint = "collector:4318" },
	} {
		c := telemetry.DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestServedUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var notReady error = errors.New("kafka at sasl://u:hunter2@b does not answer")
	addr, wait, err := telemetry.ServeMetrics(ctx, "127.0.0.1:0", telemetry.NewRegistry("worker"), func() error { return notReady })
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if code, body := get("/readyz"); code != 503 || strings.Contains(body, "hunter2") || !strings.Contains(body, "does not answer") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	notReady = nil
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("/readyz: %d", code)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, `docstream_build_info{`) || !strings.Contains(body, `role="worker"`) ||
		!strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics: %d %.300s", code, body)
	}
	cancel()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + addr + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

func TestWithoutEndpointSpansHaveIDsAndTravelOn(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	shutdown, err := telemetry.Tracing(context.Background(), telemetry.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(context.Background())
	ctx, span := otel.Tracer("test").Start(context.Background(), "submit")
	defer span.End()
	headers := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, headers)
	if !span.SpanContext().IsValid() || !strings.Contains(headers["traceparent"], span.SpanContext().TraceID().String()) {
		t.Errorf("span %v, headers %v", span.SpanContext(), headers)
	}
}

func TestSpansReachTheEndpoint(t *testing.T) {
	paths := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer collector.Close()
	cfg := telemetry.DefaultConfig()
	cfg.TracesEndpoint = collector.URL
	shutdown, err := telemetry.Tracing(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(context.Background(), "submit")
	span.End()
	if err := shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-paths:
		if p != "/v1/traces" {
			t.Errorf("posted to %s", p)
		}
	default:
		t.Error("nothing was posted")
	}
}
