package s3

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"time"

	"docstream/schemas"
)

// What is read of a file's bytes is fuzzed from within: from outside each try would be a call of a store.

func someRecords() []schemas.Record {
	at := time.UnixMilli(1_795_000_000_000).UTC()
	return []schemas.Record{
		{Topic: "facts", Partition: 3, Offset: 7, Timestamp: at, Key: []byte("acme/job"), Value: []byte("a value"), SchemaID: 5, Schema: `"string"`,
			Headers: []schemas.RecordHeader{{Key: "request_id", Value: []byte("req_1")}, {Key: "none"}, {Key: "empty", Value: []byte{}}}},
		{Topic: "facts", Partition: 3, Offset: 8, Timestamp: at},
		{Topic: "facts", Partition: 3, Offset: 9, Timestamp: at, Key: []byte{}, Value: []byte{}},
	}
}

// FuzzEnvelope holds what reads envelopes against the Avro library: what that takes reads the same here, and nothing else trips it.
func FuzzEnvelope(f *testing.F) {
	for _, r := range someRecords() {
		b, err := envelopeSchema.Encode(enclose(&r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := wire{rest: b}
		got, err := w.record()
		var e envelope
		rest, slow := envelopeSchema.Decode(b, &e)
		if slow != nil {
			return
		}
		want := e.open()
		if err != nil || len(w.rest) != len(rest) || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v with %d bytes left (%v), the library %+v with %d", got, len(w.rest), err, want, len(rest))
		}
	})
}

// FuzzFile reads whatever is given out as a file of the archive to its end or its damage.
func FuzzFile(f *testing.F) {
	one, err := newFile(span{Topic: "facts", Partition: 3, First: 7}, "2026-11-27", time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range someRecords() {
		if err := one.add(&r); err != nil {
			f.Fatal(err)
		}
	}
	if err := one.seal(); err != nil {
		f.Fatal(err)
	}
	body, err := one.reader()
	if err != nil {
		f.Fatal(err)
	}
	whole, err := io.ReadAll(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-9])
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := openFile(bytes.NewReader(b))
		if in.failed != nil {
			t.Fatalf("the store is blamed: %v", in.failed)
		}
		for err == nil {
			_, err = in.next()
		}
	})
}
