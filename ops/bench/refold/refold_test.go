package refold_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops/bench/refold"
	"docstream/processors/track"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

// world is a broker with the fold of jobs on it.
type world struct {
	t     *testing.T
	log   refold.Log
	cl    *kgo.Client
	w     *stream.Writer
	folds refold.Fold
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, log: refold.Log{Conn: testenv.Kafka(t), Plan: testenv.Plan(t)}}
	var err error
	if w.log.Codec, err = w.log.Conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.log.Conn.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	for _, s := range w.log.Plan.Specs() {
		if _, err := kadm.NewClient(w.cl).CreateTopic(t.Context(), int32(w.log.Plan.Partitions(s.Shape)), -1, nil, w.log.Plan.Name(s.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Register(t.Context(), w.log.Codec, w.log.Plan); err != nil {
		t.Fatal(err)
	}
	w.w = stream.NewWriter(w.log.Plan, w.log.Codec, "test", house)
	w.folds = track.New(track.Config{Hot: time.Second}, w.log.Codec.Decode)
	cfg := stream.DefaultConfig()
	cfg.Tick = 100 * time.Millisecond
	h := stream.New(w.log.Conn, w.log.Plan, cfg, w.log.Codec, house, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	stream.AddFold(h, topology.Track, track.New(track.Config{Hot: time.Second}, w.log.Codec.Decode))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *world) say(events ...schemas.Event) {
	w.t.Helper()
	for _, e := range events {
		r, err := w.w.Record(w.t.Context(), e, "")
		if err == nil {
			err = w.cl.ProduceSync(w.t.Context(), r).FirstErr()
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// same waits until the states that were written and those that come out once more are the same, and so many.
func (w *world) same(jobs int) refold.Sum {
	w.t.Helper()
	var was, is refold.Sum
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if was, err = w.log.States(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if is, err = w.log.Again(w.t.Context(), w.folds); err != nil {
			w.t.Fatal(err)
		}
		if was.Hash == is.Hash && is.Jobs == jobs {
			return is
		}
	}
	w.t.Fatalf("written %+v, folded again %+v, want %d jobs", was, is, jobs)
	return is
}

// lived is the facts of a job of one page, up to its end.
func (w *world) lived(job string) []schemas.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	head := func(page int, kind string) schemas.Head {
		return schemas.Head{EventID: schemas.EventIDFor(job, 0, "test", page, kind, 0), Tenant: "acme", JobID: job, At: now, SubmittedAt: now}
	}
	sub := &schemas.DocumentSubmitted{Head: head(0, "DocumentSubmitted"), FromPage: 1, Class: "cpu", Priority: "low",
		Source: schemas.Source{Key: "sources/acme/x", Size: 5, MediaType: "text/plain"}}
	wire, err := w.log.Codec.Encode(sub)
	if err != nil {
		w.t.Fatal(err)
	}
	page := &schemas.PageFinished{Head: head(1, "PageFinished"), Page: 1, How: "text", Words: 2}
	return []schemas.Event{
		&schemas.DocumentOpened{Head: head(0, "DocumentOpened"), Submission: wire, PagesTotal: 1, PageRanges: "1", MediaType: "text/plain", Pipeline: "pv_one"},
		page, page, // once more
		&schemas.DocumentComposed{Head: head(0, "DocumentComposed"), Outputs: []schemas.Output{{Format: "text", Key: "results/acme/x", Size: 1}}},
	}
}

func TestTheSameFactsGiveTheSameStates(t *testing.T) {
	w := newWorld(t)
	first, second := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	w.say(w.lived(first)...)
	one := w.same(1)
	w.say(w.lived(second)[:2]...) // it goes on
	two := w.same(2)
	if one.Hash == two.Hash || two.Read < one.Read+2 {
		t.Errorf("%+v, then %+v", one, two)
	}
	if err := w.cl.ProduceSync(t.Context(), &kgo.Record{Topic: w.log.Plan.Name(topology.Facts.Spec.Name), Value: []byte("no event")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if again := w.same(2); again.Hash != two.Hash {
		t.Errorf("what cannot be read changed the states: %+v, then %+v", two, again)
	}
}

func TestAJobThatWasLetGoIsInNeither(t *testing.T) {
	w := newWorld(t)
	job := schemas.NewJobID(time.Now())
	w.say(w.lived(job)...)
	w.same(1)
	var ended *schemas.JobSnapshot
	err := stream.Scan{Conn: w.log.Conn, Plan: w.log.Plan, Codec: w.log.Codec, Yield: func(r schemas.Record) error {
		if s, ok := r.Event.(*schemas.JobSnapshot); ok && schemas.Terminal(s.Status) {
			ended = s
		}
		return nil
	}}.Read(t.Context(), topology.Jobs.Spec.Name)
	if err != nil || ended == nil {
		t.Fatalf("no end: %v", err)
	}
	state, err := w.log.Codec.Encode(ended)
	if err != nil {
		t.Fatal(err)
	}
	kept := &schemas.JobArchived{Head: ended.Head, Version: ended.Version, State: state}
	kept.EventID = schemas.EventIDFor(job, 0, "jobs", 0, kept.Kind(), ended.Version)
	w.say(kept)
	w.same(0)
}
