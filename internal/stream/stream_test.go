package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/processors/track"
	"docstream/schemas"
)

// world is one broker, one registry and one plan of a test.
type world struct {
	t     *testing.T
	conn  stream.Connection
	plan  topology.Config
	codec *schemas.Codec
	key   schemas.SigningKey
	cl    *kgo.Client
}

// newWorld makes a world whose retries wait so long; without any a failure nobody can place is a dead letter at once.
func newWorld(t *testing.T, delays ...time.Duration) *world {
	w := &world{t: t, conn: testenv.Kafka(t), plan: testenv.Plan(t), key: schemas.SigningKey{ID: "house", Secret: []byte("0123456789abcdef")}}
	w.plan.Delays = delays
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.conn.Client(); err != nil {
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

func (w *world) harness(change func(*stream.Config)) *stream.Harness {
	cfg := stream.DefaultConfig()
	cfg.Backoff = 10 * time.Millisecond
	if change != nil {
		change(&cfg)
	}
	return stream.New(w.conn, w.plan, cfg, w.codec, w.key, slog.New(slog.NewTextHandler(w.t.Output(), nil)), prometheus.NewRegistry())
}

// start runs a harness until stop is called, which waits for it.
func (w *world) start(h *stream.Harness) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
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

func (w *world) publish(events ...schemas.Event) {
	w.t.Helper()
	wr := stream.NewWriter(w.plan, w.codec, "test", w.key)
	for _, e := range events {
		r, err := wr.Record(w.t.Context(), e, "req_test")
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// read returns the first n committed records of a topic, or fails after a while.
func (w *world) read(topic string, n int) []*kgo.Record {
	w.t.Helper()
	cl, err := w.conn.Client(kgo.ConsumeTopics(w.plan.Name(topic)), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%s has %d of %d records", topic, len(out), n)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// committed counts the committed records of a topic now.
func (w *world) committed(topic string) (n int, err error) {
	err = stream.Scan{Conn: w.conn, Plan: w.plan, Codec: w.codec, Yield: func(schemas.Record) error { n++; return nil }}.Read(w.t.Context(), topic)
	return n, err
}

func (w *world) decode(r *kgo.Record) schemas.Event {
	w.t.Helper()
	e, err := w.codec.Decode(w.t.Context(), r.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func job(n int) string { return schemas.JobIDFor("test", fmt.Sprint(n)) }

func prepared(n, page int) *schemas.PagePrepared {
	now := time.Now()
	return &schemas.PagePrepared{Head: schemas.Head{EventID: schemas.EventIDFor(job(n), 0, "prepare", page, "PagePrepared", 0), Tenant: "acme", JobID: job(n), At: now, SubmittedAt: now},
		Page: page, Class: "cpu", Priority: "normal", RequestID: "req_test"}
}

func laidOut(e *schemas.PagePrepared) []schemas.Event {
	h := e.Head
	h.EventID = schemas.EventIDFor(h.JobID, h.Run, "layout", e.Page, "PageLaidOut", 0)
	return []schemas.Event{&schemas.PageLaidOut{Head: h, Page: e.Page, Class: e.Class, Priority: e.Priority}}
}

func TestStageTurnsEventsIntoEvents(t *testing.T) {
	w := newWorld(t)
	h := w.harness(nil)
	stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		return laidOut(e), nil
	})
	w.start(h)
	for i := range 20 {
		w.publish(prepared(1, i+1))
	}
	pages := map[int]bool{}
	for _, r := range w.read("layouts.cpu.normal", 20) {
		e := w.decode(r).(*schemas.PageLaidOut)
		pages[e.Page] = true
		for k, want := range map[string]string{schemas.HeaderType: "docstream.PageLaidOut", schemas.HeaderSubject: job(1), schemas.HeaderTenant: "acme", schemas.HeaderRequestID: "req_test", schemas.HeaderID: e.EventID} {
			if got := stream.Header(r, k); got != want {
				t.Errorf("header %s is %q, want %q", k, got, want)
			}
		}
	}
	if len(pages) != 20 {
		t.Errorf("%d pages came through, want 20", len(pages))
	}
}

var damaged = fault.Document(schemas.PageCorrupt, "The page is damaged.")

func TestFaultDecidesTheEndOfARecord(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		failures int32 // attempts that fail
		calls    int32
		dead     string // code, or empty where it succeeds
	}{
		{"the document's fault is a dead letter at once", damaged, 99, 1, "PAGE_CORRUPT"},
		{"an unknown fault is tried again", errors.New("strange"), 2, 3, ""},
		{"an unknown fault ends after its attempts", errors.New("strange"), 99, 4, "STAGE_FAILED"},
		{"the world's fault uses up no attempt", fault.World(schemas.ServiceUnavailable, "The store is away."), 6, 7, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			const wait = 20 * time.Millisecond
			w := newWorld(t, wait, wait, 2*wait)
			h := w.harness(nil)
			var calls atomic.Int32
			stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, d schemas.Delivery) ([]schemas.Event, error) {
				if n := calls.Add(1); n <= c.failures {
					return nil, c.err
				} else if n > 1 && !d.Again {
					t.Error("a later attempt did not say that the work may have been done before")
				}
				return laidOut(e), nil
			})
			w.start(h)
			in := prepared(1, 7)
			w.publish(in)
			if c.dead == "" {
				w.read("layouts.cpu.normal", 1)
			} else {
				dead := w.read("dlq.layout", 1)[0]
				want, _ := w.codec.Encode(in)
				if !bytes.Equal(dead.Value, want) {
					t.Error("the dead letter has lost the original bytes")
				}
				if got := stream.Header(dead, schemas.HeaderDeadCode); got != c.dead {
					t.Errorf("dead letter code %q, want %q", got, c.dead)
				}
				if got := stream.Header(dead, schemas.HeaderID); got != in.EventID {
					t.Errorf("the dead letter has lost the original headers: id %q", got)
				}
				kinds := map[string]bool{}
				for _, r := range w.read("facts", int(c.calls)+1) { // a retry is told for each attempt but the last
					e := w.decode(r)
					kinds[e.Kind()] = true
					if f, ok := e.(*schemas.PageFailed); ok && (f.Page != 7 || f.Code != c.dead) {
						t.Errorf("PageFailed is %+v", f)
					}
				}
				if !kinds["PageFailed"] || !kinds["DeadLettered"] {
					t.Errorf("facts are %v", kinds)
				}
			}
			if got := calls.Load(); got != c.calls {
				t.Errorf("%d calls, want %d", got, c.calls)
			}
		})
	}
}

func TestPanicOfAStageIsADeadLetterNotADeadWorker(t *testing.T) {
	w := newWorld(t)
	h := w.harness(nil)
	stream.AddStage(h, topology.Layout, "cpu", func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		if e.Page == 1 {
			panic("a bug")
		}
		return laidOut(e), nil
	})
	w.start(h)
	w.publish(prepared(1, 1), prepared(1, 2))
	w.read("dlq.layout", 1)
	w.read("layouts.cpu.normal", 1)
}

func TestForeignRecordsAreDeadLettersWithoutAFact(t *testing.T) {
	for _, c := range []struct {
		name  string
		value []byte
		sign  bool
		code  string
	}{
		{"plain JSON", []byte(`{"job":"x"}`), true, "RECORD_UNDECODABLE"},
		{"unknown schema id", []byte{0, 0, 0, 99, 99, 1, 2}, true, "RECORD_UNDECODABLE"},
		{"empty", []byte{}, true, "RECORD_UNDECODABLE"},
		{"unsigned", nil, false, "SIGNATURE_INVALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			h := w.harness(nil)
			stream.AddStage(h, topology.Prepare, "cpu", func(context.Context, *schemas.DocumentSubmitted, schemas.Delivery) ([]schemas.Event, error) {
				t.Error("the stage saw the record")
				return nil, nil
			})
			w.start(h)
			r := &kgo.Record{Topic: w.plan.Name("documents.cpu.normal"), Key: []byte("k"), Value: c.value}
			if c.value == nil {
				r.Value, _ = w.codec.Encode(&schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "acme", JobID: job(1)}, FromPage: 1})
			}
			if c.sign {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderSignature, Value: []byte(w.key.Sign(r.Topic, r.Value))})
			}
			if err := w.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			dead := w.read("dlq.prepare", 1)[0]
			if got := stream.Header(dead, schemas.HeaderDeadCode); got != c.code {
				t.Errorf("code %q, want %q", got, c.code)
			}
			if !bytes.Equal(dead.Value, r.Value) {
				t.Error("the dead letter has lost the original bytes")
			}
		})
	}
}

func TestStopFinishesWorkInFlightAndHandsBackTheRest(t *testing.T) {
	w := newWorld(t)
	var begun, done atomic.Int32
	work := func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		begun.Add(1)
		time.Sleep(20 * time.Millisecond)
		done.Add(1)
		return laidOut(e), nil
	}
	h := w.harness(nil)
	stream.AddStage(h, topology.Layout, "cpu", work)
	stop := w.start(h)
	for i := range 60 {
		w.publish(prepared(1, i+1))
	}
	for begun.Load() < 10 {
		time.Sleep(time.Millisecond)
	}
	stop()
	h = w.harness(nil)
	stream.AddStage(h, topology.Layout, "cpu", work)
	w.start(h)
	seen := map[int]int{}
	for _, r := range w.read("layouts.cpu.normal", 60) {
		seen[w.decode(r).(*schemas.PageLaidOut).Page]++
	}
	for p, n := range seen {
		if n != 1 {
			t.Errorf("page %d came out %d times", p, n)
		}
	}
}

func TestFoldRestoresItsStateFromItsTopic(t *testing.T) {
	w := newWorld(t)
	sub := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "acme", JobID: job(1), SubmittedAt: time.Now(), At: time.Now()}, FromPage: 1, Class: "cpu", Priority: "normal"}
	wire, err := w.codec.Encode(sub)
	if err != nil {
		t.Fatal(err)
	}
	head := func(stage string, page int, kind string) schemas.Head {
		return schemas.Head{EventID: schemas.EventIDFor(job(1), 0, stage, page, kind, 0), Tenant: "acme", JobID: job(1), At: time.Now(), SubmittedAt: sub.SubmittedAt}
	}
	start := func() func() {
		h := w.harness(nil)
		stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), w.codec.Decode))
		return w.start(h)
	}
	stop := start()
	w.publish(&schemas.DocumentOpened{Head: head("prepare", 0, "DocumentOpened"), Submission: wire, PagesTotal: 2, PageRanges: "1-2"},
		&schemas.PageFinished{Head: head("ocr", 1, "PageFinished"), Page: 1, Words: 3})
	w.read("job-events", 1)
	for { // both facts folded, in one transaction or two
		rs := w.read("jobs", 1)
		if s := w.decode(rs[len(rs)-1]).(*schemas.JobSnapshot); s.Version == 2 {
			break
		}
	}
	stop()
	start()
	w.publish(&schemas.PageFinished{Head: head("ocr", 1, "PageFinished"), Page: 1, Words: 3}, // again: changes nothing
		&schemas.PageFinished{Head: head("ocr", 2, "PageFinished"), Page: 2, Words: 4})
	done := w.decode(w.read("compositions.normal", 1)[0]).(*schemas.DocumentFinished)
	if got := schemas.Bitmap(done.Finished).Count(); got != 2 {
		t.Errorf("%d pages finished, want 2", got)
	}
	w.publish(&schemas.DocumentComposed{Head: head("compose", 0, "DocumentComposed"), Outputs: []schemas.Output{{Format: "json", Key: "k"}}})
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		rs := w.read("jobs", 2)
		if s := w.decode(rs[len(rs)-1]).(*schemas.JobSnapshot); s.Status == schemas.Completed {
			if s.Version != 4 || s.Words != 7 || len(s.Outputs) != 1 {
				t.Errorf("the last state is %+v", s)
			}
			return
		}
	}
	t.Error("the job did not complete")
}
