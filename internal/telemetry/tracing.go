package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Tracing installs the process's tracer and the W3C propagator, and returns what flushes it at the end. Spans are exported only where an
// endpoint is set, in cfg or in OTEL_EXPORTER_OTLP_ENDPOINT; without one they still have ids, so that logs and records can be joined.
// attrs describe the process, such as its role. No call is made here: a collector that is down costs its spans and nothing else.
func Tracing(ctx context.Context, cfg Config, attrs ...attribute.KeyValue) (shutdown func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("traces are not exported", "error", err) }))

	export, on, err := exporter(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if !on {
		p := trace.NewTracerProvider(trace.WithSampler(trace.ParentBased(trace.NeverSample())))
		otel.SetTracerProvider(p)
		return p.Shutdown, nil
	}
	version, _ := Build()
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "docstream"), attribute.String("service.version", version)),
		resource.WithAttributes(attrs...), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: describing the process: %w", err)
	}
	p := trace.NewTracerProvider(trace.WithBatcher(export), trace.WithResource(about),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(cfg.TracesRatio))))
	otel.SetTracerProvider(p)
	return p.Shutdown, nil
}

func exporter(ctx context.Context, cfg Config) (trace.SpanExporter, bool, error) {
	var o []otlptracehttp.Option
	switch {
	case cfg.TracesEndpoint != "":
		u, err := url.Parse(cfg.TracesEndpoint)
		if err != nil {
			return nil, false, fmt.Errorf("telemetry: traces_endpoint: %w", err)
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = "/v1/traces" // a bare address means the collector's default path, as it does in the environment
		}
		o = append(o, otlptracehttp.WithEndpointURL(u.String()))
	case os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "":
		return nil, false, nil
	}
	e, err := otlptracehttp.New(ctx, o...)
	if err != nil {
		return nil, false, fmt.Errorf("telemetry: traces: %w", err)
	}
	return e, true, nil
}
