package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// discard is a log that nobody reads.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// day is the day on which the records of these tests begin.
var day = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// written is a log of n records as a partition has it: offsets with holes where transactions ended, days that change, odd bytes.
func written(r *rand.Rand, topic string, partition int32, n int) []schemas.Record {
	out := make([]schemas.Record, n)
	offset, at := int64(r.IntN(3)), day.Add(12*time.Hour)
	for i := range out {
		offset += int64(1 + r.IntN(3)/2)
		at = at.Add(time.Duration(r.IntN(int(12*time.Hour/time.Millisecond)/max(1, n/4))) * time.Millisecond)
		out[i] = schemas.Record{Topic: topic, Partition: partition, Offset: offset, Timestamp: at, Key: bytesOf(r, 12), Value: bytesOf(r, 300),
			Headers: []schemas.RecordHeader{{Key: "ce_id", Value: bytesOf(r, 20)}, {Key: "", Value: nil}, {Key: "ce_id", Value: []byte{}}}}
	}
	return out
}

// bytesOf returns random bytes, none at all, or no value.
func bytesOf(r *rand.Rand, most int) []byte {
	switch r.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, 1+r.IntN(most))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// objects opens the bucket of a test.
func objects(t testing.TB, cfg blob.Config) *blob.S3 {
	t.Helper()
	o, err := blob.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// small makes files of a few records.
func small() s3.Config {
	c := s3.DefaultConfig()
	c.FileBytes, c.BufferBytes = 64<<10, 1<<20
	return c
}

func sink(o s3.Objects, cfg s3.Config) *s3.Sink { return s3.New(cfg, o, discard(), nil) }

// open begins a partition on a sink.
func open(t testing.TB, s *s3.Sink, at schemas.Partition) int64 {
	t.Helper()
	next, err := s.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func appendAll(t testing.TB, s *s3.Sink, records []schemas.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func store(t testing.TB, s *s3.Sink) []schemas.Progress {
	t.Helper()
	done, err := s.Store(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// all reads the archive of topics.
func all(t testing.TB, o s3.Objects, topics ...string) []schemas.Record {
	t.Helper()
	var out []schemas.Record
	if err := s3.NewReader(o).Read(t.Context(), topics, time.Time{}, time.Time{}, func(r schemas.Record) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// same fails where two logs differ in a byte.
func same(t testing.TB, got, want []schemas.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if a, b := line(got[i]), line(want[i]); a != b {
			t.Fatalf("record %d is\n%s\nwant\n%s", i, a, b)
		}
	}
}

// line shows a record with nothing left out; no bytes and an empty value differ.
func line(r schemas.Record) string {
	hex := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	var h strings.Builder
	for _, x := range r.Headers {
		fmt.Fprintf(&h, "%q=%s ", x.Key, hex(x.Value))
	}
	return fmt.Sprintf("%s/%d@%d %s key=%s value=%s headers=%s", r.Topic, r.Partition, r.Offset, r.Timestamp.UTC().Format(time.RFC3339Nano), hex(r.Key), hex(r.Value), h.String())
}

// keys lists the files of the archive.
func keys(t testing.TB, o s3.Objects, prefix string) []string {
	t.Helper()
	var out []string
	if err := o.List(t.Context(), prefix, func(f blob.Object) bool {
		if strings.HasSuffix(f.Key, ".avro") {
			out = append(out, f.Key)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// content returns an object.
func content(t testing.TB, o s3.Objects, key string) []byte {
	t.Helper()
	body, _, err := o.Get(t.Context(), key, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var errCrashed = errors.New("the worker is dead")

// mortal is a worker's connection to the object store, on which the worker dies: some write is its last one, and whether that one was
// done nobody hears.
type mortal struct {
	s3.Objects
	mu   sync.Mutex
	left int  // writes until death
	done bool // the last write is done
}

func (m *mortal) write(do func() error) error {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	if left > 0 {
		return do()
	}
	if left == 0 && m.done {
		return errors.Join(do(), errCrashed)
	}
	return errCrashed
}

func (m *mortal) Put(ctx context.Context, key string, body []byte, o blob.Options) error {
	return m.write(func() error { return m.Objects.Put(ctx, key, body, o) })
}

func (m *mortal) Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	return m.write(func() error { return m.Objects.Upload(ctx, key, body, o) })
}

// put replaces an object.
func put(t testing.TB, o s3.Objects, key string, b []byte) {
	t.Helper()
	if err := o.Upload(t.Context(), key, bytes.NewReader(b), blob.Options{}); err != nil {
		t.Fatal(err)
	}
}
