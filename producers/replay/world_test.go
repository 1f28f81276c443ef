package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/processors/track"
	"docstream/producers"
	"docstream/producers/replay"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

// world is a broker with the fold on it and, for prepare and compose, functions that do the least a stage does. The object store is a map.
type world struct {
	t     testing.TB
	conn  stream.Connection
	plan  topology.Config
	codec *schemas.Codec
	cl    *kgo.Client
	store *objects
	view  *view.View

	mu      sync.Mutex
	refuse  map[string]schemas.Code               // job → what prepare refuses its next run with
	hold    chan struct{}                         // not nil: prepare waits until it is closed
	started map[string]int                        // job → how often prepare was given it
	given   map[string]*schemas.DocumentSubmitted // job → the newest submission prepare was given
	source  replay.Source                         // nil: the lanes
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, conn: testenv.Kafka(t), plan: testenv.Plan(t), store: &objects{has: map[string]int64{}}, refuse: map[string]schemas.Code{}, started: map[string]int{}, given: map[string]*schemas.DocumentSubmitted{}}
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.conn.Client(kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	adm := kadm.NewClient(w.cl)
	for _, s := range w.plan.Specs() {
		if _, err := adm.CreateTopic(t.Context(), int32(w.plan.Partitions(s.Shape)), -1, nil, w.plan.Name(s.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	h := stream.New(w.conn, w.plan, stream.DefaultConfig(), w.codec, house, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), w.codec.Decode))
	stream.AddStage(h, topology.Prepare, "cpu", w.prepare)
	stream.AddStage(h, topology.Compose, "cpu", compose)
	w.background(h.Run)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	w.view = view.New(cfg, w.conn, w.plan, w.codec, house, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	w.background(w.view.Run)
	return w
}

// background runs something until the returned function is called, or the test ends.
func (w *world) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	w.t.Cleanup(stop)
	return stop
}

// prepare opens a document of one page and reads it, or refuses it.
func (w *world) prepare(ctx context.Context, e *schemas.DocumentSubmitted, d schemas.Delivery) ([]schemas.Event, error) {
	w.mu.Lock()
	w.started[e.JobID]++
	w.given[e.JobID] = e
	code, hold := w.refuse[e.JobID], w.hold
	w.mu.Unlock()
	if hold != nil && e.Run > 0 {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if code != "" {
		return nil, fault.Document(code, "%s", schemas.Codes[code].Meaning)
	}
	head := func(page int, kind string) schemas.Head {
		h := e.Head
		h.EventID, h.At = schemas.EventIDFor(h.JobID, h.Run, "prepare", page, kind, 0), time.Now().UTC()
		return h
	}
	costs := []schemas.StageCost{{Stage: "prepare", Device: "cpu", CPUMicros: 1}}
	return []schemas.Event{
		&schemas.DocumentOpened{Head: head(0, "DocumentOpened"), Submission: d.Wire, PagesTotal: 1, PageRanges: "1", MediaType: e.Source.MediaType, Pipeline: "pv_one", Costs: costs},
		&schemas.PageFinished{Head: head(1, "PageFinished"), Page: 1, How: "text", Words: 2, Costs: costs},
	}, nil
}

func compose(_ context.Context, e *schemas.DocumentFinished, _ schemas.Delivery) ([]schemas.Event, error) {
	h := e.Head
	h.EventID, h.At = schemas.EventIDFor(h.JobID, h.Run, "compose", 0, "DocumentComposed", 0), time.Now().UTC()
	return []schemas.Event{&schemas.DocumentComposed{Head: h, Outputs: []schemas.Output{{Format: "text", Key: schemas.ResultKey(h.Tenant, h.JobID, h.Run, "document.txt"), Size: 1}}}}, nil
}

// submit writes submissions of a tenant, changed by change, and returns their jobs once they have ended.
func (w *world) submit(tenant string, n int, change func(int, *schemas.DocumentSubmitted)) []string {
	w.t.Helper()
	var records []*kgo.Record
	var jobs []string
	for i := range n {
		now := time.Now().UTC().Truncate(time.Microsecond)
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: tenant, JobID: schemas.NewJobID(now), At: now, SubmittedAt: now}, FromPage: 1, Class: "cpu", Priority: "high",
			Source: schemas.Source{Size: 5, MediaType: "text/plain"}, Options: schemas.Options{OCR: "auto"}}
		e.Source.Key = schemas.SourceKey(tenant, e.JobID)
		e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
		if change != nil {
			change(i, e)
		}
		w.store.put(e.Source.Key, 5)
		records = append(records, w.record(e))
		jobs = append(jobs, e.JobID)
	}
	w.produce(records...)
	for _, j := range jobs {
		w.eventually("the job to end", func() bool { s, ok := w.view.Job(tenant, j); return ok && schemas.Terminal(s.Status) })
	}
	return jobs
}

func (w *world) record(e schemas.Event) *kgo.Record {
	w.t.Helper()
	r, err := stream.NewWriter(w.plan, w.codec, "test", house).Record(context.Background(), e, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// publisher is the true one.
func (w *world) publisher() replay.Publisher {
	return producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "replay", house))
}

// executor starts one; it ends with the test.
func (w *world) executor(p replay.Publisher) (stop func()) {
	x := &replay.Executor{Conn: w.conn, Plan: w.plan, Codec: w.codec, Jobs: w.view, Objects: w.store, Publisher: p, Source: w.source,
		Proof: proof.New(proof.DefaultConfig(), house, w.plan, slog.New(slog.DiscardHandler)),
		Dir:   w.t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if x.Source == nil {
		x.Source = replay.Lanes(w.conn, w.plan)
	}
	x.Register(prometheus.NewRegistry())
	return w.background(x.Run)
}

// say asks for a replay and returns it, and whether there was anything new to say.
func (w *world) say(r replay.Request) (id string, fresh bool) {
	w.t.Helper()
	if err := r.Validate(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.view.Fresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	known, ok := w.view.Replay(r.Tenant, r.ID())
	if !ok {
		known = nil
	}
	e := r.Say(known, time.Now())
	if e != nil {
		w.produce(w.record(e))
	}
	return r.ID(), e != nil
}

// ended waits for the end of a replay.
func (w *world) ended(tenant, id string) *schemas.ReplayChanged {
	w.t.Helper()
	var e *schemas.ReplayChanged
	w.eventually("the replay to end", func() bool {
		var ok bool
		e, ok = w.view.Replay(tenant, id)
		return ok && !e.EndedAt.IsZero()
	})
	return e
}

func (w *world) job(tenant, id string) *schemas.JobSnapshot {
	w.t.Helper()
	if err := w.view.Caught(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	s, ok := w.view.Job(tenant, id)
	if !ok {
		w.t.Fatalf("there is no job %s", id)
	}
	return s
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("not in time: %s", what)
}

// requests counts the facts that asked for runs, by job and run.
func (w *world) requests() map[string]int {
	w.t.Helper()
	topic := w.plan.Name(topology.Facts.Spec.Name)
	ends, err := kadm.NewClient(w.cl).ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl, err := w.conn.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	out := map[string]int{}
	for len(left) > 0 {
		for _, r := range cl.PollFetches(w.t.Context()).Records() {
			if end, ok := left[r.Partition]; ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if e, err := w.codec.Decode(w.t.Context(), r.Value); err == nil && e.Kind() == "RunRequested" {
				out[e.Envelope().JobID+"/"+strconv.Itoa(e.(*schemas.RunRequested).AfterRun)]++
			}
		}
	}
	return out
}

// objects is an object store of sizes.
type objects struct {
	blob.Store
	mu    sync.Mutex
	has   map[string]int64
	texts map[string][]byte // of those that are read
}

// write keeps an object that is read.
func (o *objects) write(key string, text []byte) {
	o.put(key, int64(len(text)))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.texts == nil {
		o.texts = map[string][]byte{}
	}
	o.texts[key] = text
}

func (o *objects) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text, ok := o.texts[key]
	if !ok {
		return nil, blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(text)), blob.Object{Key: key, Size: int64(len(text))}, nil
}

func (o *objects) put(key string, size int64) { o.mu.Lock(); defer o.mu.Unlock(); o.has[key] = size }
func (o *objects) drop(key string)            { o.mu.Lock(); defer o.mu.Unlock(); delete(o.has, key) }

func (o *objects) Head(_ context.Context, key string) (blob.Object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size, ok := o.has[key]
	if !ok {
		return blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return blob.Object{Key: key, Size: size}, nil
}

func (o *objects) List(_ context.Context, prefix string, f func(blob.Object) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, n := range o.has {
		if strings.HasPrefix(k, prefix) && !f(blob.Object{Key: k, Size: n}) {
			return nil
		}
	}
	return nil
}

// In is a bucket nobody may read.
func (o *objects) In(string) blob.Store { return closed{} }

type closed struct{ blob.Store }

func (closed) Head(context.Context, string) (blob.Object, error) {
	return blob.Object{}, fault.Document(schemas.SourceMissing, "No.")
}

// many is how many jobs the large tests take: DOCSTREAM_TEST_REPLAY_JOBS, else 60.
func many() int {
	if n, err := strconv.Atoi(os.Getenv("DOCSTREAM_TEST_REPLAY_JOBS")); err == nil && n > 0 {
		return n
	}
	return 60
}

// standing waits until a replay of acme has a status.
func (w *world) standing(id, status string) (e *schemas.ReplayChanged) {
	w.t.Helper()
	w.eventually("the replay to be "+status, func() bool {
		e, _ = w.view.Replay(acme, id)
		return e != nil && e.Status == status
	})
	return e
}
