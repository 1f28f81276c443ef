package s3_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// apart is a bucket inside the bucket, so that each round archives anew.
type apart struct {
	s3.Objects
	prefix string
}

func (a apart) Put(ctx context.Context, key string, b []byte, o blob.Options) error {
	return a.Objects.Put(ctx, a.prefix+key, b, o)
}

func (a apart) Upload(ctx context.Context, key string, b io.Reader, o blob.Options) error {
	return a.Objects.Upload(ctx, a.prefix+key, b, o)
}

func (a apart) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	return a.Objects.Get(ctx, a.prefix+key, offset, length)
}

func (a apart) List(ctx context.Context, prefix string, f func(blob.Object) bool) error {
	return a.Objects.List(ctx, a.prefix+prefix, func(o blob.Object) bool {
		o.Key = strings.TrimPrefix(o.Key, a.prefix)
		return f(o)
	})
}

// BenchmarkArchive measures records a second of the archive, through the harness into an S3 server, beside a bare consumer of the same
// records, a consumer that decodes them, and the reader of what was archived.
func BenchmarkArchive(b *testing.B) {
	const n = 300_000
	w := newWorld(b)
	wr := stream.NewWriter(w.plan, w.codec, "bench", schemas.SigningKey{})
	for i := 0; i < n; i += 1000 {
		var out []*kgo.Record
		for k := range 1000 {
			e := finished(i, k+1)
			e.How, e.Words, e.Costs = "ocr", 321, []schemas.StageCost{{Stage: "layout", CPUMicros: 1234}, {Stage: "ocr", CPUMicros: 123456}}
			r, err := wr.Record(b.Context(), e, "req_bench")
			if err != nil {
				b.Fatal(err)
			}
			r.Partition = int32(k)
			out = append(out, r)
		}
		w.produce(out...)
	}
	facts := topology.Facts.Spec.Name
	rate := func(b *testing.B) { b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s") }

	consume := func(b *testing.B, each func(*kgo.Record)) {
		for b.Loop() {
			cl, err := w.conn.Client(kgo.ConsumeTopics(w.plan.Name(facts)), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.FetchMaxBytes(16<<20), kgo.MaxConcurrentFetches(2))
			if err != nil {
				b.Fatal(err)
			}
			for got := 0; got < n; {
				f := cl.PollRecords(b.Context(), 5000)
				f.EachRecord(each)
				got += f.NumRecords()
			}
			cl.Close()
		}
		rate(b)
	}
	b.Run("bare consumer", func(b *testing.B) { consume(b, func(*kgo.Record) {}) })
	b.Run("consumer that decodes", func(b *testing.B) {
		consume(b, func(r *kgo.Record) {
			if _, err := w.codec.Decode(b.Context(), r.Value); err != nil {
				b.Error(err)
			}
		})
	})
	round := 0
	b.Run("archive", func(b *testing.B) {
		for b.Loop() {
			round++
			o := apart{w.objects, fmt.Sprintf("round%d/", round)}
			cfg := s3.DefaultConfig()
			cfg.FileAge = time.Second
			stop := w.run(o, cfg)
			for held := int64(0); held < n; time.Sleep(20 * time.Millisecond) {
				ends, err := s3.NewReader(o).Ends(b.Context(), facts)
				if err != nil {
					b.Fatal(err)
				}
				held = 0
				for _, e := range ends {
					held += e.Next
				}
			}
			stop()
		}
		rate(b)
	})
	b.Run("reader", func(b *testing.B) {
		for b.Loop() {
			if got := len(all(b, apart{w.objects, fmt.Sprintf("round%d/", round)}, facts)); got != n {
				b.Fatalf("%d records of %d", got, n)
			}
		}
		rate(b)
	})
}

// BenchmarkAppend measures what the sink itself costs: one core, no broker, no store.
func BenchmarkAppend(b *testing.B) {
	w := newWorld(b)
	wr := stream.NewWriter(w.plan, w.codec, "bench", schemas.SigningKey{})
	e := finished(1, 1)
	e.Costs = []schemas.StageCost{{Stage: "layout", CPUMicros: 1234}, {Stage: "ocr", CPUMicros: 123456}}
	k, err := wr.Record(b.Context(), e, "req_bench")
	if err != nil {
		b.Fatal(err)
	}
	r := schemas.Record{Topic: "facts", Timestamp: day, Key: k.Key, Value: k.Value, Event: e, SchemaID: 1, Schema: "{}"}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, schemas.RecordHeader{Key: h.Key, Value: h.Value})
	}
	s := sink(w.objects, s3.DefaultConfig())
	open(b, s, schemas.Partition{Topic: "facts", TopicID: "id"})
	for i := int64(0); b.Loop(); i++ {
		r.Offset = i
		if err := s.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}
