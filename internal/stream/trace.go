package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// trace starts a span that continues the trace in the record's headers, and puts the job into the context's logs.
func (h *Harness) trace(ctx context.Context, r *kgo.Record, stage string, e schemas.Event) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, headerCarrier{r})
	env := e.Envelope()
	ctx, span := otel.Tracer("docstream/internal/stream").Start(ctx, stage, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", r.Topic),
			attribute.Int("messaging.destination.partition.id", int(r.Partition)), attribute.Int64("messaging.kafka.offset", r.Offset),
			attribute.String("docstream.job_id", env.JobID), attribute.String("docstream.tenant", env.Tenant)))
	return telemetry.With(ctx, jobOf(stage, r, e)), span
}

// decode reads a record, waiting for a registry that does not answer; the error is the bytes' own fault, or ctx's.
func (h *Harness) decode(ctx context.Context, r *kgo.Record) (e schemas.Event, err error) {
	err = h.known(ctx, r, func() (err error) { e, err = h.codec.Decode(ctx, r.Value); return err })
	return e, err
}

// known asks the registry again until it answers; the error is the bytes' own fault, or ctx's.
func (h *Harness) known(ctx context.Context, r *kgo.Record, ask func() error) error {
	for wait := h.cfg.Backoff; ; wait = min(2*wait, 30*time.Second) {
		err := ask()
		if err == nil || errors.Is(err, schemas.ErrUndecodable) {
			return err
		}
		h.log.WarnContext(ctx, "waiting for the schema registry", "record", position(r), "error", err)
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// bury makes the dead letter of a record and reports it.
func (h *Harness) bury(ctx context.Context, stage string, r *kgo.Record, f *fault.Error, attempts int) *kgo.Record {
	h.metrics.dead.WithLabelValues(stage, string(f.Code)).Inc()
	h.log.ErrorContext(ctx, "dead letter", "stage", stage, "record", position(r), "class", f.Kind.String(), "code", f.Code, "attempts", attempts, "error", f)
	return deadLetter(h.plan, stage, r, f.Kind.String(), string(f.Code), f.Error(), attempts)
}

func panicked(p any) error {
	return fault.Puzzle(schemas.StageFailed, "%s", schemas.Codes[schemas.StageFailed].Meaning).Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
}
