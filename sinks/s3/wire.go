package s3

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"docstream/schemas"
)

// wire reads envelopes as they are written: the fields of envelope.avsc, one after the other. The Avro library, which reads a file of any
// schema, takes twice as long and makes each header a piece of memory of its own.
type wire struct {
	rest  []byte
	bad   bool
	heads []schemas.RecordHeader // of all records read: one piece of memory
	names []string               // that were read last: a file repeats a few
}

var errEnvelope = errors.New("an envelope cannot be read")

// record reads a record. It shares the memory of what is read.
func (w *wire) record() (r schemas.Record, err error) {
	r.Topic = w.name(0)
	r.Partition, r.Offset, r.Timestamp = int32(w.int()), w.long(), time.UnixMilli(w.long()).UTC()
	r.Key, r.Headers = w.optional(), w.headers()
	r.Value = w.optional()
	if w.some() {
		r.SchemaID = int(w.int())
	}
	for range 4 { // kind, event_id, tenant, job_id
		w.optional()
	}
	for range 2 { // run, page
		if w.some() {
			w.int()
		}
	}
	if w.bad {
		return r, errEnvelope
	}
	return r, nil
}

// headers reads parts of so many headers, up to a part of none.
func (w *wire) headers() []schemas.RecordHeader {
	first := len(w.heads)
	for n := w.long(); n != 0 && !w.bad; n = w.long() {
		if n < 0 { // then the part's size stands before it
			n = -n
			w.long()
		}
		for ; n > 0 && !w.bad; n-- {
			w.heads = append(w.heads, schemas.RecordHeader{Key: w.name(1 + len(w.heads) - first), Value: w.optional()})
		}
	}
	if first == len(w.heads) {
		return nil
	}
	return w.heads[first:len(w.heads):len(w.heads)]
}

// name reads a text that is most likely the one that stood there last.
func (w *wire) name(place int) string {
	b := w.bytes()
	for len(w.names) <= place {
		w.names = append(w.names, "")
	}
	if w.names[place] != string(b) {
		w.names[place] = string(b)
	}
	return w.names[place]
}

// optional reads bytes, nil where there are none: none and an empty text are not the same.
func (w *wire) optional() []byte {
	if w.some() {
		return w.bytes()
	}
	return nil
}

// some reads whether a field that may be null is there.
func (w *wire) some() bool {
	n := w.long()
	w.bad = w.bad || n != 0 && n != 1
	return n == 1
}

func (w *wire) bytes() []byte {
	n := w.long()
	if w.bad = w.bad || n < 0 || n > int64(len(w.rest)); w.bad {
		return nil
	}
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) int() int64 {
	n := w.long()
	w.bad = w.bad || n < math.MinInt32 || n > math.MaxInt32
	return n
}

func (w *wire) long() int64 {
	n, size := binary.Varint(w.rest)
	if w.bad = w.bad || size <= 0; w.bad {
		return 0
	}
	w.rest = w.rest[size:]
	return n
}
