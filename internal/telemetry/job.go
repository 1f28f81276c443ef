package telemetry

import (
	"cmp"
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Job is what a line of log, and a span, is about. Empty fields are left out.
type Job struct {
	RequestID string
	JobID     string
	Tenant    string
	Stage     string
	Page      int // 0: the document
}

type jobKey struct{}

// With returns a context whose logs carry the job; fields left empty keep what the context carried before.
func With(ctx context.Context, j Job) context.Context {
	old := JobOf(ctx)
	return context.WithValue(ctx, jobKey{}, Job{
		RequestID: cmp.Or(j.RequestID, old.RequestID), JobID: cmp.Or(j.JobID, old.JobID), Tenant: cmp.Or(j.Tenant, old.Tenant),
		Stage: cmp.Or(j.Stage, old.Stage), Page: cmp.Or(j.Page, old.Page),
	})
}

// JobOf returns what the context carries.
func JobOf(ctx context.Context) Job {
	j, _ := ctx.Value(jobKey{}).(Job)
	return j
}

// attrs lists what the context says of itself: the job, then the trace.
func attrs(ctx context.Context) []slog.Attr {
	var out []slog.Attr
	j := JobOf(ctx)
	for _, a := range [][2]string{{"request_id", j.RequestID}, {"job_id", j.JobID}, {"tenant", j.Tenant}, {"stage", j.Stage}} {
		if a[1] != "" {
			out = append(out, slog.String(a[0], a[1]))
		}
	}
	if j.Page != 0 {
		out = append(out, slog.Int("page", j.Page))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		out = append(out, slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return out
}
