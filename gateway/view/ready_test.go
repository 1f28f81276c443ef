package view_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/schemas"
)

func TestAnEmptyWorldIsReadyAtOnce(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	eventually(t, "ready", v.Ready)
	v.fresh(t)
	if _, ok := v.Job("acme", newJob()); ok {
		t.Error("it knows a job of nobody")
	}
}

// A submission that prepare has worked off lies before the place where the view begins to read the lane: only jobs can tell of it, so the
// view must wait for track.
func TestAViewIsReadyOnlyAfterTrackHasPassedTheFacts(t *testing.T) {
	w := newWorld(t)
	sub := submission("acme", newJob())
	rec := w.record(sub, 1)
	w.produce(rec)
	w.commit("prepare", "documents.cpu.normal", 1, 1)
	opened := &schemas.DocumentOpened{Head: sub.Head, Submission: rec.Value, PagesTotal: 3, PageRanges: "1-3", MediaType: "text/plain"}
	w.produce(w.record(opened, 1))

	v := w.view()
	time.Sleep(300 * time.Millisecond)
	if v.Ready() {
		t.Fatal("P4: it is ready, yet it cannot know the job")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := v.Fresh(ctx); !errors.Is(err, view.ErrStale) {
		t.Errorf("fresh before ready: %v", err)
	}
	eventually(t, "it says why it waits", func() bool { return strings.Contains(v.log.String(), "waits for track") })
	w.track()
	eventually(t, "ready", v.Ready)
	v.fresh(t)
	s, ok := v.Job("acme", sub.JobID)
	if !ok || s.Version != 1 || s.Status != schemas.Processing {
		t.Errorf("%t %+v", ok, s)
	}
}

// Track's offset stands after its last record; the facts end in markers and aborted records that it never gets to see.
func TestMarkersAtTheEndOfFactsAreNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	sub := submission("acme", newJob())
	rec := w.record(sub, 0)
	stop := w.track()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		w.transaction(end, w.record(&schemas.DocumentOpened{Head: sub.Head, Submission: rec.Value, MediaType: "text/plain"}, 0),
			w.record(&schemas.PageFinished{Head: sub.Head, Page: 1, How: "text"}, 1))
	}
	first := w.view()
	eventually(t, "ready while track runs", first.Ready)
	stop()
	second := w.view()
	eventually(t, "ready after track has stopped", second.Ready)
	second.fresh(t)
	if s, ok := second.Job("acme", sub.JobID); !ok || s.Version == 0 {
		t.Errorf("%t %+v", ok, s)
	}
}

// transaction writes records and ends as told.
func (w *world) transaction(end kgo.TransactionEndTry, records ...*kgo.Record) {
	w.t.Helper()
	cl, err := w.conn.Client(kgo.TransactionalID("test."+newJob()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.EndTransaction(w.t.Context(), end); err != nil {
		w.t.Fatal(err)
	}
}

func TestLanesAreReadFromWherePrepareStands(t *testing.T) {
	w := newWorld(t)
	var jobs []string
	for range 5 {
		jobs = append(jobs, newJob())
		w.produce(w.record(submission("acme", jobs[len(jobs)-1]), 1))
	}
	w.commit("prepare", "documents.cpu.normal", 1, 3)
	w.commit("prepare", "documents.cpu.normal", 0, 99) // of a topic that was made anew: not believed
	other := newJob()
	w.produce(w.record(submission("acme", other), 0))
	v := w.view()
	v.fresh(t)
	for i, job := range append(jobs, other) {
		if _, ok := v.Job("acme", job); ok != (i >= 3) {
			t.Errorf("job %d: %t", i, ok)
		}
	}
}

func TestAViewWaitsForBrokersAndTopics(t *testing.T) {
	w := newWorld(t)
	w.plan.Prefix += "later."
	v := w.view()
	eventually(t, "it says why it waits", func() bool { return strings.Contains(v.log.String(), "does not exist") })
	if v.Ready() {
		t.Fatal("ready without topics")
	}
	for _, s := range w.plan.Specs() {
		if _, err := w.adm.CreateTopic(t.Context(), int32(w.plan.Partitions(s.Shape)), -1, nil, w.plan.Name(s.Name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "ready", v.Ready)
}

func TestAViewThatWasStoppedAnswersNothing(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	job := newJob()
	w.publish(submission("acme", job))
	v.fresh(t)
	v.stop()
	if v.Ready() {
		t.Error("still ready")
	}
	if err := v.Fresh(t.Context()); !errors.Is(err, view.ErrStale) {
		t.Errorf("fresh: %v", err)
	}
	if _, ok := v.Job("acme", job); ok {
		t.Error("it still finds a job")
	}
	if _, ok := v.Key("x"); ok {
		t.Error("it still finds a key")
	}
	if _, _, err := v.Jobs("acme", view.Query{Limit: 1}); err == nil {
		t.Error("it still lists jobs")
	}
}

func TestOnlyAFolderOfItsOwnIsWiped(t *testing.T) {
	w := newWorld(t)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	mine := filepath.Join(cfg.Dir, "mine")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	job := newJob()
	w.publish(submission("acme", job))
	for range 2 {
		v := w.viewWith(cfg, w.conn)
		v.fresh(t)
		if _, ok := v.Job("acme", job); !ok {
			t.Error("it does not know the job")
		}
		v.stop()
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("what lay beside is gone: %v", err)
	}
}

func TestATemporaryStoreIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w := newWorld(t)
	v := w.viewWith(view.DefaultConfig(), w.conn)
	eventually(t, "ready", v.Ready)
	v.stop()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestASettingThatCannotWorkIsRefused(t *testing.T) {
	for _, cfg := range []view.Config{{}, {CacheBytes: 1 << 20}, {CacheBytes: 1 << 20, FetchBytes: 1 << 31}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	if err := view.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
