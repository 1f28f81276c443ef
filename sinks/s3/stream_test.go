package s3_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// world is a broker, a registry, a bucket and the plan of a test.
type world struct {
	t       testing.TB
	conn    stream.Connection
	plan    topology.Config
	codec   *schemas.Codec
	cl      *kgo.Client
	objects s3.Objects
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, conn: testenv.Kafka(t), plan: testenv.Plan(t), objects: objects(t, testenv.S3(t))}
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.conn.Client(kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioned))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	if _, err := ops.Apply(t.Context(), w.cl, w.plan); err != nil {
		t.Fatal(err)
	}
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	return w
}

// partitioned puts a record where it says, or by its key.
func partitioned(string) func(*kgo.Record, int) int {
	return func(r *kgo.Record, n int) int {
		sum := int(r.Partition)
		for _, b := range r.Key {
			sum += int(b)
		}
		return sum % n
	}
}

// run archives with a worker of its own until stop.
func (w *world) run(o s3.Objects, cfg s3.Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c := stream.DefaultConfig()
	c.Backoff, c.TransactionTimeout = 10*time.Millisecond, 5*time.Second
	h := stream.New(w.conn, w.plan, c, w.codec, schemas.SigningKey{}, slog.New(slog.NewTextHandler(w.t.Output(), nil)), prometheus.NewRegistry())
	stream.AddLog(h, topology.S3, sink(o, cfg))
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					w.t.Errorf("the harness ended with %v", err)
				}
			case <-time.After(30 * time.Second):
				w.t.Error("the harness did not stop")
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// events produces events as a stage does.
func (w *world) events(events ...schemas.Event) {
	w.t.Helper()
	wr := stream.NewWriter(w.plan, w.codec, "test", schemas.SigningKey{ID: "house", Secret: []byte("0123456789abcdef")})
	var out []*kgo.Record
	for _, e := range events {
		r, err := wr.Record(w.t.Context(), e, "req_test")
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, r)
	}
	w.produce(out...)
}

// topic reads what a topic holds, in the order of the archive.
func (w *world) topic(topic string) []schemas.Record {
	w.t.Helper()
	var out []schemas.Record
	err := stream.Scan{Conn: w.conn, Plan: w.plan, Codec: w.codec, Yield: func(r schemas.Record) error { out = append(out, r); return nil }}.Read(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b schemas.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return out
}

// archived waits until a topic is archived to its end and compares it, byte for byte.
func (w *world) archived(topic string, want []schemas.Record) {
	w.t.Helper()
	var got []schemas.Record
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline) && len(got) < len(want); time.Sleep(100 * time.Millisecond) {
		got = all(w.t, w.objects, topic)
	}
	same(w.t, got, want)
}

// quick stores every second.
func quick() s3.Config {
	c := small()
	c.FileAge = time.Second
	return c
}

func job(n int) string { return schemas.JobIDFor("test", fmt.Sprint(n)) }

func finished(n, page int) *schemas.PageFinished {
	return &schemas.PageFinished{Head: schemas.Head{EventID: schemas.EventIDFor(job(n), 0, "ocr", page, "PageFinished", 0), Tenant: "acme", JobID: job(n), At: time.Now()}, Page: page}
}

func submitted(n int) *schemas.DocumentSubmitted {
	return &schemas.DocumentSubmitted{Head: schemas.Head{EventID: schemas.EventIDFor(job(n), 0, "gateway", 0, "DocumentSubmitted", 0), Tenant: "acme", JobID: job(n), At: time.Now()},
		Class: "cpu", Priority: "high", FromPage: 1}
}

func TestEveryTopicIsArchivedByteForByte(t *testing.T) {
	w := newWorld(t)
	w.events(submitted(1), finished(1, 1), finished(1, 2), &schemas.UsageRecorded{Head: schemas.Head{Tenant: "acme", JobID: job(1), EventID: "e"}, Page: 2, Stage: "ocr"})
	facts, lane := w.plan.Name(topology.Facts.Spec.Name), w.plan.Name(topology.Documents.Name("cpu", "high"))
	foreign := []*kgo.Record{
		{Topic: lane, Value: []byte(`{"json":true}`), Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "b", Value: []byte{0xff, 0}}}},
		{Topic: lane, Key: []byte{}, Value: nil},
		{Topic: lane, Key: []byte{0xff}, Value: []byte{}},
		{Topic: lane, Value: []byte{0, 0, 1, 2, 3, 4}}, // of a schema that no registry knows
		{Topic: facts, Value: append([]byte{0, 0, 0, 0, 1}, 0xff, 0xff)},
	}
	w.produce(foreign...)
	stop := w.run(w.objects, quick())
	for _, topic := range []string{topology.Facts.Spec.Name, topology.Usage.Spec.Name, topology.Documents.Name("cpu", "high")} {
		want := w.topic(topic)
		if len(want) == 0 {
			t.Fatalf("%s is empty", topic)
		}
		w.archived(topic, want)
	}
	stop()

	t.Run("and its events are read without a registry", func(t *testing.T) {
		var texts schemas.Archived
		pages := map[int]bool{}
		for _, r := range all(t, w.objects, topology.Facts.Spec.Name) {
			if e, err := texts.Decode(r); err == nil {
				pages[e.(*schemas.PageFinished).Page] = true
			}
		}
		if len(pages) != 2 || !pages[1] || !pages[2] {
			t.Errorf("pages %v", pages)
		}
	})
	t.Run("and its files say in columns what the events are about", func(t *testing.T) {
		seen := map[string]int{}
		for _, key := range keys(t, w.objects, "archive/") {
			for _, r := range contentOf(t, content(t, w.objects, key)) {
				kind, _ := r["kind"].(map[string]any)
				page, _ := r["page"].(map[string]any)
				seen[fmt.Sprintf("%v %v", kind["string"], page["int"])]++
			}
		}
		want := map[string]int{"DocumentSubmitted 0": 1, "PageFinished 1": 1, "PageFinished 2": 1, "UsageRecorded 2": 1, "<nil> <nil>": len(foreign)}
		if fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", seen, want)
		}
	})
}

func TestARecordThatNoFileTakesIsSetAside(t *testing.T) {
	w := newWorld(t)
	lane := topology.Documents.Name("cpu", "high")
	w.produce(&kgo.Record{Topic: w.plan.Name(lane), Value: []byte("one")},
		&kgo.Record{Topic: w.plan.Name(lane), Value: []byte("odd"), Headers: []kgo.RecordHeader{{Key: "\xff\xfe"}}},
		&kgo.Record{Topic: w.plan.Name(lane), Value: []byte("two")})
	w.run(w.objects, quick())
	want := slices.DeleteFunc(w.topic(lane), func(r schemas.Record) bool { return string(r.Value) == "odd" })
	w.archived(lane, want)
	if dead := w.topic(topology.DeadLetters("s3")); len(dead) != 1 || string(dead[0].Value) != "odd" || dead[0].Headers[0].Key != "\xff\xfe" {
		t.Errorf("set aside: %v", dead)
	}
}

// TestWorkersThatDieInTheMiddleLeaveNoGap: two workers at a time share the partitions while records come in, committed and aborted; every
// other one dies at some write, and its successor takes over.
func TestWorkersThatDieInTheMiddleLeaveNoGap(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(11, 1))
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	writers.Go(func() { w.transactions(ctx, 40) })
	for life := range 6 {
		dying := &mortal{Objects: w.objects, left: 4 + r.IntN(8), done: life%2 == 0}
		cfg := quick()
		cfg.FileAge = time.Second + time.Duration(r.IntN(500))*time.Millisecond
		stopA, stopB := w.run(dying, cfg), w.run(w.objects, cfg)
		time.Sleep(time.Duration(500+r.IntN(1500)) * time.Millisecond)
		stopA()
		time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
		stopB()
	}
	cancel()
	writers.Wait()
	w.run(w.objects, quick())
	want := w.topic(topology.Facts.Spec.Name)
	if len(want) < 100 {
		t.Fatalf("the test wrote only %d records", len(want))
	}
	w.archived(topology.Facts.Spec.Name, want)
	n := 0
	for _, key := range keys(t, w.objects, "archive/"+topology.Facts.Spec.Name+"/") {
		n += len(contentOf(t, content(t, w.objects, key)))
	}
	if n != len(want) {
		t.Errorf("the files hold %d records, the topic has %d", n, len(want))
	}
}

// transactions writes facts in transactions, of which every third is aborted.
func (w *world) transactions(ctx context.Context, most int) {
	cl, err := w.conn.Client(kgo.TransactionalID(w.plan.Prefix+"test"), kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioned)))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer cl.Close()
	wr := stream.NewWriter(w.plan, w.codec, "test", schemas.SigningKey{})
	for n := 0; n < most*50 && ctx.Err() == nil; n++ {
		if err := cl.BeginTransaction(); err != nil {
			w.t.Error(err)
			return
		}
		for page := range 5 {
			r, err := wr.Record(context.Background(), finished(n, page+1), "req_test")
			if err != nil {
				w.t.Error(err)
				return
			}
			cl.Produce(context.Background(), r, nil)
		}
		if err := cl.Flush(context.Background()); err != nil {
			w.t.Error(err)
		}
		if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(n%3 > 0)); err != nil {
			w.t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRecordsThatWereRemovedTooEarlyAreTold(t *testing.T) {
	w := newWorld(t)
	topic := topology.Documents.Name("cpu", "high")
	full := w.plan.Name(topic)
	some := func(n int) {
		for i := range n {
			w.produce(&kgo.Record{Topic: full, Value: []byte{byte(i)}})
		}
	}
	some(3)
	stop := w.run(w.objects, quick())
	first := w.topic(topic)
	w.archived(topic, first)
	stop()
	some(4)
	var gone kadm.Offsets
	gone.AddOffset(full, 0, 5, -1)
	if _, err := kadm.NewClient(w.cl).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	w.run(w.objects, quick())
	want := append(first, w.topic(topic)...)
	if len(want) != 5 {
		t.Fatalf("%d records are left", len(want))
	}
	w.archived(topic, want)
}
