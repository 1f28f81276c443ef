package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

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

// about is a context that carries a job.
type about struct {
	context.Context
	mu  sync.Mutex
	job Job
}

func (a *about) Value(key any) any {
	if key == (jobKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func (a *about) read() Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.job
}

// With returns a context whose logs carry the job; fields left empty keep what the context carried before.
func With(ctx context.Context, j Job) context.Context {
	return &about{Context: ctx, job: over(j, JobOf(ctx))}
}

// Add tells the context, and every one that was made from it without a With of its own, more of the job: what is found out on the way. It says
// nothing to a context that carries no job. Fields left empty stay.
func Add(ctx context.Context, j Job) {
	at, ok := ctx.Value(jobKey{}).(*about)
	if !ok {
		return
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.job = over(j, at.job)
}

// over is a job where it says something, else the other.
func over(j, old Job) Job {
	return Job{
		RequestID: cmp.Or(j.RequestID, old.RequestID), JobID: cmp.Or(j.JobID, old.JobID), Tenant: cmp.Or(j.Tenant, old.Tenant),
		Stage: cmp.Or(j.Stage, old.Stage), Page: cmp.Or(j.Page, old.Page),
	}
}

// JobOf returns what the context carries.
func JobOf(ctx context.Context) Job {
	if at, ok := ctx.Value(jobKey{}).(*about); ok {
		return at.read()
	}
	return Job{}
}

// texts are what a line says of a job in words, each behind its name.
func (j *Job) texts() [4][2]string {
	return [...][2]string{{"request_id", j.RequestID}, {"job_id", j.JobID}, {"tenant", j.Tenant}, {"stage", j.Stage}}
}

// attrs are what the context says of itself: the job, then the trace.
func attrs(ctx context.Context) (out []slog.Attr) {
	j := JobOf(ctx)
	for _, t := range j.texts() {
		if t[1] != "" {
			out = append(out, slog.String(t[0], t[1]))
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
