package s3

import (
	_ "embed"
	"strings"
	"time"

	"github.com/twmb/avro"

	"docstream/schemas"
)

//go:embed envelope.avsc
var envelopeText string

var envelopeSchema = avro.MustParse(envelopeText)

// storedSchema is what is read of an envelope: the record itself, not what stands beside it for queries.
var storedSchema = avro.MustParse(`{"type": "record", "name": "Record", "namespace": "docstream.archive", "fields": [
	{"name": "topic", "type": "string"}, {"name": "partition", "type": "int"}, {"name": "offset", "type": "long"},
	{"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
	{"name": "key", "type": ["null", "bytes"], "default": null},
	{"name": "headers", "type": {"type": "array", "items": {"type": "record", "name": "Header", "fields": [{"name": "key", "type": "string"}, {"name": "value", "type": ["null", "bytes"], "default": null}]}}, "default": []},
	{"name": "value", "type": ["null", "bytes"], "default": null}, {"name": "schema_id", "type": ["null", "int"], "default": null}]}`)

// stored is what is read of an envelope. A nil pointer is null: no key is not an empty key.
type stored struct {
	Topic     string    `avro:"topic"`
	Partition int32     `avro:"partition"`
	Offset    int64     `avro:"offset"`
	Timestamp time.Time `avro:"timestamp"`
	Key       *[]byte   `avro:"key"`
	Headers   []header  `avro:"headers"`
	Value     *[]byte   `avro:"value"`
	SchemaID  *int32    `avro:"schema_id"`
}

// envelope is one record of a file, with what stands beside it for queries.
type envelope struct {
	stored

	Kind    *string `avro:"kind"`
	EventID *string `avro:"event_id"`
	Tenant  *string `avro:"tenant"`
	JobID   *string `avro:"job_id"`
	Run     *int32  `avro:"run"`
	Page    *int32  `avro:"page"`
}

type header struct {
	Key   string  `avro:"key"`
	Value *[]byte `avro:"value"`
}

// enclose wraps a record; the envelope shares its bytes.
func enclose(r *schemas.Record) *envelope {
	e := &envelope{stored: stored{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: some(r.Key), Value: some(r.Value)}}
	e.Headers = make([]header, len(r.Headers))
	for i := range r.Headers {
		e.Headers[i] = header{r.Headers[i].Key, some(r.Headers[i].Value)}
	}
	if r.SchemaID != 0 {
		e.SchemaID = number(r.SchemaID)
	}
	if r.Event == nil {
		return e
	}
	h := r.Event.Envelope()
	e.Kind, e.EventID, e.Tenant, e.JobID = text(r.Event.Kind()), text(h.EventID), text(h.Tenant), text(h.JobID)
	e.Run, e.Page = number(h.Run), number(pageOf(r.Event))
	return e
}

// open is the record an envelope holds.
func (e *stored) open() schemas.Record {
	r := schemas.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Timestamp: e.Timestamp.UTC(), Key: bare(e.Key), Value: bare(e.Value)}
	if len(e.Headers) > 0 {
		r.Headers = make([]schemas.RecordHeader, len(e.Headers))
	}
	for i, h := range e.Headers {
		r.Headers[i] = schemas.RecordHeader{Key: h.Key, Value: bare(h.Value)}
	}
	if e.SchemaID != nil {
		r.SchemaID = int(*e.SchemaID)
	}
	return r
}

func some(b []byte) *[]byte {
	if b == nil {
		return nil
	}
	return &b
}

func bare(b *[]byte) []byte {
	switch {
	case b == nil:
		return nil
	case *b == nil:
		return []byte{}
	}
	return *b
}

// pageOf returns the page an event is about; 0 is the document.
func pageOf(e schemas.Event) int {
	switch e := e.(type) {
	case *schemas.PagePrepared:
		return e.Page
	case *schemas.PageLaidOut:
		return e.Page
	case *schemas.PageFinished:
		return e.Page
	case *schemas.PageFailed:
		return e.Page
	case *schemas.DeadLettered:
		return e.Page
	case *schemas.UsageRecorded:
		return e.Page
	}
	return 0
}

// text is a string that every reader of Avro takes: a foreign producer's may be no UTF-8.
func text(s string) *string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return &s
}

func number(n int) *int32 {
	i := int32(n)
	return &i
}
