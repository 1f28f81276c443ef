package view_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/processors/track"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

// world is one broker, one registry and one plan.
type world struct {
	t     testing.TB
	conn  stream.Connection
	plan  topology.Config
	codec *schemas.Codec
	cl    *kgo.Client
	adm   *kadm.Client
}

func newWorld(t testing.TB) *world { return newWorldOn(t, testenv.Kafka(t)) }

func newWorldOn(t testing.TB, conn stream.Connection) *world {
	w := &world{t: t, conn: conn, plan: testenv.Plan(t)}
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.conn.Client(kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	for _, s := range w.plan.Specs() {
		if _, err := w.adm.CreateTopic(t.Context(), int32(w.plan.Partitions(s.Shape)), -1, nil, w.plan.Name(s.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	return w
}

// running is a view that runs.
type running struct {
	*view.View
	log  *locked
	reg  *prometheus.Registry
	stop func()
}

// view starts a view; it ends with the test.
func (w *world) view() *running {
	w.t.Helper()
	cfg := view.DefaultConfig()
	cfg.Dir = w.t.TempDir()
	return w.viewWith(cfg, w.conn)
}

func (w *world) viewWith(cfg view.Config, conn stream.Connection, change ...func(*view.View)) *running {
	r := &running{log: &locked{}, reg: prometheus.NewRegistry()}
	r.View = view.New(cfg, conn, w.plan, w.codec, house, slog.New(slog.NewTextHandler(r.log, nil)), r.reg)
	for _, f := range change {
		f(r.View)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					w.t.Errorf("the view ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				w.t.Error("the view did not stop")
			}
		})
	}
	w.t.Cleanup(r.stop)
	return r
}

// fresh makes the view as new as now, or fails the test.
func (r *running) fresh(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Fresh(ctx); err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
}

// track runs the fold until the returned function is called.
func (w *world) track() (stop func()) {
	cfg := stream.DefaultConfig()
	h := stream.New(w.conn, w.plan, cfg, w.codec, house, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), w.codec.Decode))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	w.t.Cleanup(stop)
	return stop
}

func (w *world) record(e schemas.Event, partition int32) *kgo.Record {
	w.t.Helper()
	r, err := stream.NewWriter(w.plan, w.codec, "test", house).Record(context.Background(), e, "req_test")
	if err != nil {
		w.t.Fatal(err)
	}
	r.Partition = partition
	return r
}

func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(events ...schemas.Event) {
	w.t.Helper()
	for _, e := range events {
		w.produce(w.record(e, 0))
	}
}

// commit sets what a group has committed.
func (w *world) commit(reader, topic string, partition int32, offset int64) {
	w.t.Helper()
	o := kadm.Offsets{}
	o.AddOffset(w.plan.Name(topic), partition, offset, -1)
	if err := w.adm.CommitAllOffsets(w.t.Context(), w.plan.Group(reader, topic), o); err != nil {
		w.t.Fatal(err)
	}
}

func submission(tenant, job string) *schemas.DocumentSubmitted {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return &schemas.DocumentSubmitted{
		Head: schemas.Head{EventID: "evt_" + job, Tenant: tenant, JobID: job, At: now, SubmittedAt: now}, FromPage: 1, Class: "cpu", Priority: "normal",
		Source: schemas.Source{Key: "sources/" + tenant + "/x", Size: 5, MediaType: "text/plain"}, Options: schemas.Options{OCR: "auto"},
	}
}

func snapshot(tenant, job string, run int, version int64, status schemas.Status) *schemas.JobSnapshot {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := &schemas.JobSnapshot{Head: schemas.Head{EventID: fmt.Sprint(job, run, version), Tenant: tenant, JobID: job, Run: run, At: at, SubmittedAt: at},
		Version: version, Status: status, Stage: "pages", Class: "cpu", Priority: "normal", OpenedAt: at}
	if schemas.Terminal(status) {
		s.EndedAt = at.Add(time.Second)
	}
	return s
}

func newJob() string { return schemas.NewJobID(time.Now()) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// locked is a buffer many may write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
