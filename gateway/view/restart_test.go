package view_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/schemas"
)

// metric returns the value of a metric without labels, or with one of the value given.
func (r *running) metric(t testing.TB, name, label string) int {
	t.Helper()
	all, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return 0
}

// read returns how many records of a topic a view has read, by its own count.
func (r *running) read(t testing.TB, topic string) int {
	t.Helper()
	return r.metric(t, "docstream_view_records_total", topic)
}

func TestARestartGoesOnFromTheStore(t *testing.T) {
	w := newWorld(t)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	ended, live, gone := newJob(), newJob(), newJob()
	w.publish(snapshot("acme", ended, 0, 9, schemas.Completed), snapshot("acme", live, 0, 3, schemas.Processing), snapshot("acme", gone, 0, 9, schemas.Failed))
	first := w.viewWith(cfg, w.conn)
	first.fresh(t)
	if n := first.read(t, "jobs"); n != 3 {
		t.Fatalf("the first start read %d jobs", n)
	}
	first.stop()

	w.publish(snapshot("acme", live, 0, 4, schemas.Processing))
	w.produce(&kgo.Record{Topic: w.plan.Name("jobs"), Key: []byte("acme/" + gone)})
	second := w.viewWith(cfg, w.conn)
	second.fresh(t)
	if n := second.read(t, "jobs"); n != 2 {
		t.Errorf("the second start read %d records of jobs, not the two it lacked", n)
	}
	for job, want := range map[string]int64{ended: 9, live: 4} {
		if s, ok := second.Job("acme", job); !ok || s.Version != want {
			t.Errorf("%s: %t %+v", job, ok, s)
		}
	}
	if _, ok := second.Job("acme", gone); ok {
		t.Error("a job that was laid to rest meanwhile is still there")
	}
	if jobs, _ := second.Live("acme"); jobs != 1 {
		t.Errorf("%d jobs under way", jobs)
	}
	if jobs, _ := second.Backlog(); jobs != 1 {
		t.Errorf("%d jobs in the backlog", jobs)
	}
	if n := second.metric(t, "docstream_view_jobs", ""); n != 2 {
		t.Errorf("it counts %d jobs", n)
	}
}

func TestAStoreThatCannotBeGoneOnWithIsReadAnew(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, dir string)
		know  bool // the job of the log is still known
	}{
		"too old":         {func(w *world, dir string) { spoil(w.t, view.Age(dir, 25*time.Hour)) }, true},
		"another layout":  {func(w *world, dir string) { spoil(w.t, view.Relabel(dir)) }, true},
		"cannot be read":  {func(w *world, dir string) { wreck(w.t, dir) }, true},
		"topic made anew": {func(w *world, _ string) { w.remake("jobs") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cfg := view.DefaultConfig()
			cfg.Dir = t.TempDir()
			job := newJob()
			w.publish(snapshot("acme", job, 0, 9, schemas.Completed))
			first := w.viewWith(cfg, w.conn)
			first.fresh(t)
			first.stop()
			c.spoil(w, cfg.Dir)
			second := w.viewWith(cfg, w.conn)
			second.fresh(t)
			if _, ok := second.Job("acme", job); ok != c.know {
				t.Errorf("the job is known: %t", ok)
			}
			if n := second.read(t, "jobs"); c.know && n != 1 {
				t.Errorf("it read %d records of jobs", n)
			}
		})
	}
}

func spoil(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wreck cuts what names the files of the store.
func wreck(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "gateway-view", "MANIFEST-*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		spoil(t, os.WriteFile(f, []byte("not a manifest"), 0o600))
	}
}

// remake deletes a topic and makes it again, and returns when the brokers show the new one: a busy one learns of it a little later.
func (w *world) remake(topic string) {
	w.t.Helper()
	id := func() kadm.TopicID {
		topics, err := w.adm.ListTopics(w.t.Context(), w.plan.Name(topic))
		if err != nil {
			w.t.Fatal(err)
		}
		return topics[w.plan.Name(topic)].ID
	}
	before := id()
	if _, err := w.adm.DeleteTopics(w.t.Context(), w.plan.Name(topic)); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the topic made anew", func() bool {
		_, err := w.adm.CreateTopic(w.t.Context(), int32(w.plan.State), -1, nil, w.plan.Name(topic))
		return err == nil
	})
	eventually(w.t, "the new topic shown", func() bool {
		now := id()
		return now != before && now != kadm.TopicID{}
	})
}

func TestAStoreHasOneOwner(t *testing.T) {
	w := newWorld(t)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	first := w.viewWith(cfg, w.conn)
	first.fresh(t)
	other := view.New(cfg, w.conn, w.plan, w.codec, house, nil, nil)
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one on the same folder: %v", err)
	}
	job := newJob()
	w.publish(snapshot("acme", job, 0, 1, schemas.Processing))
	first.fresh(t)
	if _, ok := first.Job("acme", job); !ok {
		t.Error("the first one lost its store")
	}
}

// What grows old where it lies goes with the topic it came from: the disk of a gateway that runs for years is bounded.
func TestWhatOutlivedItsTopicIsSwept(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	due := func(tenant, id string, at time.Time) *schemas.WebhookDue {
		return &schemas.WebhookDue{Head: schemas.Head{EventID: "evt_" + id, Tenant: tenant, JobID: newJob(), At: at, SubmittedAt: at}, DeliveryID: id, FirstAt: at}
	}
	for _, tenant := range []string{"acme", "rival"} {
		w.publish(due(tenant, "old", now.Add(-8*24*time.Hour)), due(tenant, "new", now.Add(-6*24*time.Hour)))
	}
	v := w.view()
	v.fresh(t)
	eventually(t, "the old ones are swept", func() bool {
		for _, tenant := range []string{"acme", "rival"} {
			left, err := v.Webhooks(tenant, 0, nil)
			if err != nil || len(left) != 1 || left[0].DeliveryID != "new" {
				return false
			}
		}
		return true
	})
}

// However many ask at once, the brokers are asked once for all of them.
func TestAllWhoWaitShareOneLookUp(t *testing.T) {
	asked, answers := make(chan struct{}, 100), make(chan error)
	const waiters = 200
	shared := view.Shared(t.Context(), func() error { asked <- struct{}{}; return <-answers })
	first := make(chan error, 1)
	go func() { first <- shared.Wait(t.Context()) }()
	<-asked // the first look-up is under way: everybody from now on waits for the second
	done := make(chan error, waiters)
	for range waiters {
		go func() { done <- shared.Wait(t.Context()) }()
	}
	eventually(t, "all wait", func() bool { return shared.Waiting() == waiters })
	answers <- nil
	<-asked
	failed := errors.New("the brokers do not answer")
	answers <- failed
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	for range waiters {
		if err := <-done; !errors.Is(err, failed) {
			t.Fatalf("a waiter of the second look-up got %v", err)
		}
	}
	if n := len(asked); n != 0 {
		t.Errorf("%d look-ups more than two", n)
	}
}

// Where the same many ask again and again, nobody waits for more of them than there are, and one question answers nearly all.
func TestACrowdThatIsCompleteAsksAtOnce(t *testing.T) {
	const crowd, times = 20, 500
	var asked atomic.Int32
	shared := view.Shared(t.Context(), func() error {
		asked.Add(1)
		time.Sleep(time.Millisecond) // as a broker does: who comes meanwhile waits for the next
		return nil
	})
	began := time.Now()
	done := make(chan error)
	for range crowd {
		go func() {
			var err error
			for range times {
				err = errors.Join(err, shared.WaitUntil(t.Context(), began.Add(time.Minute)))
			}
			done <- err
		}()
	}
	for range crowd {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := asked.Load(); n > crowd*times/4 { // as many as there are times would do
		t.Errorf("%d questions for %d waits", n, crowd*times)
	}
	t.Logf("%d questions for %d waits in %s", asked.Load(), crowd*times, time.Since(began))
}

// Those who wait share a timer too, and yet each keeps his own time.
func TestWhoHasWaitedLongEnoughLeavesTheOthersWaiting(t *testing.T) {
	answers := make(chan error)
	ctx, end := context.WithCancel(t.Context())
	shared := view.Shared(ctx, func() error { return <-answers })
	gone, leave := context.WithCancel(t.Context())
	late, soon := time.Now().Add(time.Hour), time.Now().Add(50*time.Millisecond)
	patient, hasty, cancelled := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { patient <- shared.WaitUntil(t.Context(), late) }()
	go func() { cancelled <- shared.WaitUntil(gone, late) }()
	go func() { hasty <- shared.WaitUntil(t.Context(), soon) }()
	if err := <-hasty; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who was in a hurry got %v", err)
	}
	leave()
	for left := 2; left > 0; { // they may have come to one look-up or to two
		select {
		case answers <- nil:
		case err := <-patient:
			left--
			if err != nil {
				t.Errorf("who had time got %v", err)
			}
		case err := <-cancelled:
			left--
			if !errors.Is(err, context.Canceled) {
				t.Errorf("whose client had gone got %v", err)
			}
		}
	}
	waits := make(chan error, 1)
	go func() { waits <- shared.WaitUntil(t.Context(), late) }()
	end()
	close(answers) // what is under way ends with the view
	<-waits
	eventually(t, "nobody waits for a view that has ended", func() bool { return shared.WaitUntil(t.Context(), late) != nil })
}
