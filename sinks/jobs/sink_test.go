package jobs_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/jobs"
)

// world is the sink on a real object store, and what it says into the log.
type world struct {
	t      *testing.T
	store  *blob.S3
	sink   *jobs.Sink
	reg    *prometheus.Registry
	mu     sync.Mutex
	said   []*schemas.JobArchived
	broken error // of the log
}

func newWorld(t *testing.T) *world {
	store, err := blob.Open(testenv.S3(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, reg: prometheus.NewRegistry()}
	w.sink = jobs.New(store, jobs.Around{Encode: func(e schemas.Event) ([]byte, error) { return schemas.Text(e.(*schemas.JobSnapshot)) }, Publish: w.publish}, w.reg)
	return w
}

func (w *world) publish(_ context.Context, events ...schemas.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	for _, e := range events {
		w.said = append(w.said, e.(*schemas.JobArchived))
	}
	return nil
}

func (w *world) write(events ...schemas.Event) error {
	return w.sink.Write(w.t.Context(), schemas.Batch{Events: events})
}

// keys lists what is kept of a job.
func (w *world) keys(tenant, job string) (out []string) {
	w.t.Helper()
	if err := w.store.List(w.t.Context(), schemas.JobFilesPrefix(tenant, job), func(o blob.Object) bool { out = append(out, o.Key); return true }); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// kept reads one job.json.
func (w *world) kept(key string) *schemas.JobSnapshot {
	w.t.Helper()
	body, o, err := w.store.Get(w.t.Context(), key, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	s := &schemas.JobSnapshot{}
	if err := errors.Join(err, schemas.ReadText(text, s)); err != nil || o.MediaType != "application/json" {
		w.t.Fatalf("%s: %v %+v", key, err, o)
	}
	return s
}

func (w *world) counted(t *testing.T, outcome string, want float64) {
	t.Helper()
	all, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == "docstream_jobs_archived_total" && m.GetLabel()[0].GetValue() == outcome && m.GetCounter().GetValue() != want {
				t.Errorf("%s: %v, want %v", outcome, m.GetCounter().GetValue(), want)
			}
		}
	}
	if len(all) == 0 {
		t.Error("nothing is counted")
	}
}

func end(tenant, job string, run int, version int64, status schemas.Status) *schemas.JobSnapshot {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return &schemas.JobSnapshot{Head: schemas.Head{EventID: "evt_" + job, Tenant: tenant, JobID: job, Run: run, At: at, SubmittedAt: at}, Version: version, Status: status,
		EndedAt: at.Add(time.Second), Source: schemas.Source{Key: "sources/" + tenant + "/x", Filename: "a.pdf"}}
}

// TestEveryEndOfARunIsKeptOnceAndThenSaid: written twice it is as written once, and what is not an end is nobody's file.
func TestEveryEndOfARunIsKeptOnceAndThenSaid(t *testing.T) {
	w := newWorld(t)
	job, live, failed := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	archived := end("acme", schemas.NewJobID(time.Now()), 0, 3, schemas.Completed)
	archived.ArchivedAt = archived.EndedAt
	first, second := end("acme", job, 0, 5, schemas.Completed), end("acme", job, 1, 9, schemas.Partial)
	other := end("rival", job, 0, 2, schemas.Cancelled)
	batch := []schemas.Event{first, end("acme", live, 0, 2, schemas.Processing), end("acme", failed, 0, 4, schemas.Failed), other, archived, second,
		end("no/tenant", job, 0, 1, schemas.Completed), &schemas.PageFinished{}}
	for range 2 {
		if err := w.write(batch...); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.keys("acme", job); !slices.Equal(got, []string{schemas.JobFileKey("acme", job, 0, 5), schemas.JobFileKey("acme", job, 1, 9)}) {
		t.Errorf("of a job of two runs: %v", got)
	}
	if len(w.keys("acme", live))+len(w.keys("acme", archived.JobID)) != 0 || len(w.keys("acme", failed)) != 1 || len(w.keys("rival", job)) != 1 {
		t.Error("another set of ends is kept")
	}
	if s := w.kept(schemas.JobFileKey("acme", job, 1, 9)); s.Status != schemas.Partial || s.Source.Filename != "a.pdf" || !s.EndedAt.Equal(second.EndedAt) {
		t.Errorf("%+v", s)
	}
	if len(w.said) != 8 {
		t.Fatalf("%d facts", len(w.said))
	}
	for i, f := range w.said[:4] {
		if again := w.said[i+4]; again.EventID != f.EventID || f.EventID == "" || len(f.State) == 0 {
			t.Errorf("%+v, then %+v", f, again)
		}
	}
	w.counted(t, "written", 4)
	w.counted(t, "found", 4)
}

// TestNothingIsWrittenOverAnEnd: the first to write a version is believed, whatever comes under its name later.
func TestNothingIsWrittenOverAnEnd(t *testing.T) {
	w := newWorld(t)
	job := schemas.NewJobID(time.Now())
	late := end("acme", job, 0, 5, schemas.Failed)
	if err := errors.Join(w.write(end("acme", job, 0, 5, schemas.Completed)), w.write(late)); err != nil {
		t.Fatal(err)
	}
	if s := w.kept(schemas.JobFileKey("acme", job, 0, 5)); s.Status != schemas.Completed {
		t.Errorf("it is %s now", s.Status)
	}
}

// TestADeletedJobLeavesItsTombstoneAlone: what it was called and how its runs ended goes.
func TestADeletedJobLeavesItsTombstoneAlone(t *testing.T) {
	w := newWorld(t)
	job, other := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	gone := end("acme", job, 1, 11, schemas.Completed)
	gone.DeletedAt, gone.Source = gone.EndedAt.Add(time.Hour), schemas.Source{}
	if err := w.write(end("acme", job, 0, 5, schemas.Completed), end("acme", job, 1, 9, schemas.Completed), end("acme", other, 0, 5, schemas.Completed)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.write(gone); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.keys("acme", job); !slices.Equal(got, []string{schemas.JobFileKey("acme", job, 1, 11)}) || len(w.keys("acme", other)) != 1 {
		t.Errorf("left: %v", got)
	}
	if s := w.kept(schemas.JobFileKey("acme", job, 1, 11)); s.DeletedAt.IsZero() || s.Source.Filename != "" {
		t.Errorf("%+v", s)
	}
}

// TestAnEndIsNotSaidBeforeItIsKept: what cannot be said is said when the batch comes again, and nothing of a batch whose objects cannot all be written is.
func TestAnEndIsNotSaidBeforeItIsKept(t *testing.T) {
	w := newWorld(t)
	job := schemas.NewJobID(time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.sink.Write(ctx, schemas.Batch{Events: []schemas.Event{end("acme", job, 0, 5, schemas.Completed)}}); err == nil || len(w.said) != 0 {
		t.Errorf("%v, %d facts", err, len(w.said))
	}
	w.broken = errors.New("away")
	if err := w.write(end("acme", job, 0, 5, schemas.Completed)); !errors.Is(err, w.broken) {
		t.Errorf("%v", err)
	}
	w.broken = nil
	if err := w.write(end("acme", job, 0, 5, schemas.Completed)); err != nil || len(w.said) != 1 || len(w.keys("acme", job)) != 1 {
		t.Errorf("%v, %d facts", err, len(w.said))
	}
}
