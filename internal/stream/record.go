package stream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"

	"docstream/internal/fault"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Writer turns events into records: it knows the plan, the wire format and the headers, and signs what goes into a documents lane.
type Writer struct {
	plan   topology.Config
	codec  *schemas.Codec
	source string
	key    schemas.SigningKey
}

// NewWriter returns a writer whose records name source as their CloudEvents source. key may be empty where no submission is written.
func NewWriter(plan topology.Config, codec *schemas.Codec, source string, key schemas.SigningKey) *Writer {
	return &Writer{plan: plan, codec: codec, source: "/docstream/" + source, key: key}
}

// Encode returns an event in its wire format.
func (w *Writer) Encode(e schemas.Event) ([]byte, error) { return w.codec.Encode(e) }

// Register makes the kinds of the given topics encodable; call it once before Record.
func Register(ctx context.Context, codec *schemas.Codec, plan topology.Config) error {
	for _, s := range plan.Specs() {
		for _, k := range s.Kinds {
			if err := codec.Register(ctx, plan.Subject(s, k), k); err != nil {
				return err
			}
		}
	}
	return nil
}

// Record returns the record of an event, with its topic, key, value and headers; trace context is taken from ctx.
func (w *Writer) Record(ctx context.Context, e schemas.Event, requestID string) (*kgo.Record, error) {
	topic, key, err := topology.Route(e)
	if err != nil {
		return nil, err
	}
	value, err := w.codec.Encode(e)
	if err != nil {
		return nil, err
	}
	h := e.Envelope()
	r := &kgo.Record{Topic: w.plan.Name(topic), Key: []byte(key), Value: value}
	add := func(k, v string) {
		if v != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
	}
	add(schemas.HeaderID, h.EventID)
	add(schemas.HeaderType, "docstream."+e.Kind())
	add(schemas.HeaderSource, w.source)
	add(schemas.HeaderSpecVersion, "1.0")
	add(schemas.HeaderTime, h.At.UTC().Format("2006-01-02T15:04:05.000000Z"))
	add(schemas.HeaderSubject, h.JobID)
	add(schemas.HeaderTenant, h.Tenant)
	add(schemas.HeaderRequestID, requestID)
	propagation.TraceContext{}.Inject(ctx, headerCarrier{r})
	if s, ok := e.(*schemas.DocumentSubmitted); ok && s.FromPage <= 1 && h.Run == 0 && w.key.ID != "" {
		add(schemas.HeaderSignature, w.key.Sign(r.Topic, value))
	}
	return r, nil
}

// Header returns the value of a record's header, or "".
func Header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// headerCarrier lets OpenTelemetry read and write a record's headers.
type headerCarrier struct{ r *kgo.Record }

func (c headerCarrier) Get(k string) string { return Header(c.r, k) }
func (c headerCarrier) Set(k, v string) {
	c.r.Headers = append(c.r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
}
func (c headerCarrier) Keys() []string {
	ks := make([]string, len(c.r.Headers))
	for i, h := range c.r.Headers {
		ks[i] = h.Key
	}
	return ks
}

// deadLetter copies a record, bytes and headers whole, into the dead letter topic of a stage and says why it lies there (P3).
func deadLetter(plan topology.Config, stage string, r *kgo.Record, class, code, reason string, attempts int) *kgo.Record {
	d := &kgo.Record{Topic: plan.Name(topology.DeadLetters(stage)), Key: r.Key, Value: r.Value}
	d.Headers = without(r.Headers, schemas.HeaderAttempt)
	for _, h := range [][2]string{
		{schemas.HeaderDeadStage, stage}, {schemas.HeaderDeadClass, class}, {schemas.HeaderDeadCode, code}, {schemas.HeaderDeadReason, reason},
		{schemas.HeaderDeadTopic, r.Topic}, {schemas.HeaderDeadPartition, strconv.Itoa(int(r.Partition))},
		{schemas.HeaderDeadOffset, strconv.FormatInt(r.Offset, 10)}, {schemas.HeaderAttempt, strconv.Itoa(attempts)},
	} {
		d.Headers = append(d.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return d
}

// DeadLetter is the record in which a reader outside the harness sets one aside (P3).
func DeadLetter(plan topology.Config, reader string, r *kgo.Record, f *fault.Error, attempts int) *kgo.Record {
	return deadLetter(plan, reader, r, f.Kind.String(), string(f.Code), f.Error(), attempts)
}

// lag is how long ago a record was appended.
func lag(r *kgo.Record, now time.Time) time.Duration { return max(0, now.Sub(r.Timestamp)) }

func position(r *kgo.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
