package view_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/keys"
	"docstream/gateway/view"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/schemas"
)

func TestTheNewestVersionWinsWhateverTheOrder(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	job := newJob()
	type state struct {
		run     int
		version int64
	}
	states := []state{{0, 1}, {0, 2}, {0, 9}, {1, 10}, {1, 11}, {2, 3}}
	rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	var best state
	for _, s := range states {
		w.publish(snapshot("acme", job, s.run, s.version, schemas.Processing))
		if s.run > best.run || s.run == best.run && s.version > best.version {
			best = s
		}
		v.fresh(t)
		if got, ok := v.Job("acme", job); !ok || got.Run != best.run || got.Version != best.version {
			t.Fatalf("P4: after %v it shows %+v, not %v", s, got, best)
		}
	}
	w.publish(submission("acme", job)) // delivered again, late
	v.fresh(t)
	if got, _ := v.Job("acme", job); got.Run != best.run {
		t.Errorf("P4: a submission took it back to %+v", got)
	}
}

func TestAGlanceAtManyShowsWhatALookUpOfEachDoes(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	var jobs []string
	for i := range 40 {
		tenant, job := []string{"acme", "beta"}[i%2], newJob()
		jobs = append(jobs, tenant+"/"+job, "acme/"+job, tenant+"/"+newJob())
		if i%4 == 0 {
			w.publish(submission(tenant, job))
		} else {
			w.publish(snapshot(tenant, job, i, 3, schemas.Completed))
		}
	}
	jobs = append(jobs, jobs[0], "", "acme/", "acme/job_x")
	rand.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	v.fresh(t)
	for _, n := range []int{0, 1, len(jobs)} {
		got := v.Glance(jobs[:n])
		if len(got) != n {
			t.Fatalf("%d answers about %d jobs", len(got), n)
		}
		for i, key := range jobs[:n] {
			tenant, job, _ := strings.Cut(key, "/")
			if want, _ := v.Job(tenant, job); !reflect.DeepEqual(got[i], want) {
				t.Errorf("P8: %s is %+v, not %+v", key, got[i], want)
			}
		}
	}
	v.stop()
	if got := v.Glance(jobs); slices.ContainsFunc(got, func(s *schemas.JobSnapshot) bool { return s != nil }) {
		t.Error("a view that was stopped knows jobs")
	}
}

func TestOnlySignedSubmissionsAreBelieved(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	lane := w.plan.Name("documents.cpu.normal")
	change := func(f func(*kgo.Record)) string {
		job := newJob()
		r := w.record(submission("acme", job), 0)
		f(r)
		w.produce(r)
		return job
	}
	sign := func(r *kgo.Record, with string) {
		for i := range r.Headers {
			if r.Headers[i].Key == schemas.HeaderSignature {
				r.Headers[i].Value = []byte(with)
			}
		}
	}
	other := schemas.SigningKey{ID: "house", Secret: []byte("guessed")}
	for name, c := range map[string]struct {
		change func(*kgo.Record)
		want   bool
	}{
		"signed":           {func(*kgo.Record) {}, true},
		"unsigned":         {func(r *kgo.Record) { r.Headers = nil }, false},
		"by another key":   {func(r *kgo.Record) { sign(r, other.Sign(lane, r.Value)) }, false},
		"for another lane": {func(r *kgo.Record) { sign(r, house.Sign(w.plan.Name("documents.gpu.high"), r.Value)) }, false},
		"for other bytes":  {func(r *kgo.Record) { sign(r, house.Sign(lane, []byte("x"))) }, false},
		"signed, no event": {func(r *kgo.Record) { r.Value = []byte("junk"); sign(r, house.Sign(lane, r.Value)) }, false},
		"signed, another event": {func(r *kgo.Record) {
			r.Value = w.record(snapshot("acme", newJob(), 0, 1, "failed"), 0).Value
			sign(r, house.Sign(lane, r.Value))
		}, false},
	} {
		job := change(c.change)
		v.fresh(t)
		if _, ok := v.Job("acme", job); ok != c.want {
			t.Errorf("%s: known is %t", name, ok)
		}
	}
}

func TestAForeignSubmissionIsKnownOnceItsProducerProvesItsTenant(t *testing.T) {
	w := newWorld(t)
	believed := proof.New(proof.DefaultConfig(), house, w.plan, slog.New(slog.DiscardHandler))
	settings, err := stream.OpenSettings(w.conn, w.plan, w.codec, slog.New(slog.DiscardHandler), believed.Take)
	if err != nil {
		t.Fatal(err)
	}
	believed.Fresh(settings.Fresh)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- settings.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; settings.Close() })
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	v := w.viewWith(cfg, w.conn, func(v *view.View) { v.Believe(believed) })
	token, event, err := proof.NewKey(house, "acme", "upstream")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := proof.Split(token)
	w.publish(event)
	for _, c := range []struct {
		name   string
		tenant string
		change func(*schemas.DocumentSubmitted)
		want   bool
	}{
		{"its own tenant", "acme", func(*schemas.DocumentSubmitted) {}, true},
		{"a forged tenant", "rival", func(*schemas.DocumentSubmitted) {}, false},
		{"a limit broken", "acme", func(s *schemas.DocumentSubmitted) { s.Source.Size = 1 << 40 }, false},
	} {
		s := submission(c.tenant, newJob())
		c.change(s)
		r := w.record(s, 0)
		for i, h := range r.Headers {
			if h.Key == schemas.HeaderSignature {
				r.Headers[i].Value = []byte(key.Sign(r.Topic, r.Value))
			}
		}
		w.produce(r)
		v.fresh(t) // P4: at once, though the view may not have heard of the key yet
		if _, ok := v.Job(c.tenant, s.JobID); ok != c.want {
			t.Errorf("%s: known is %t", c.name, ok)
		}
	}
}

func TestATombstoneEndsAJob(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	job := newJob()
	r := w.record(snapshot("acme", job, 0, 4, schemas.Completed), 0)
	w.produce(r)
	v.fresh(t)
	if _, ok := v.Job("acme", job); !ok {
		t.Fatal("unknown")
	}
	w.produce(&kgo.Record{Topic: r.Topic, Key: r.Key})
	v.fresh(t)
	if _, ok := v.Job("acme", job); ok {
		t.Error("still known")
	}
	if page, _, _ := v.Jobs("acme", view.Query{Limit: 5}); len(page) > 0 {
		t.Error("still listed")
	}
}

func TestKeysFollowTheirTopic(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	_, k, err := keys.New(house, "acme", "ci", []string{keys.Documents}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	w.publish(k)
	v.fresh(t)
	if got, ok := v.Key(k.KeyID); !ok || got.Tenant != "acme" || !got.RevokedAt.IsZero() {
		t.Fatalf("%t %+v", ok, got)
	}
	w.publish(keys.Revoke(k))
	v.fresh(t)
	if got, ok := v.Key(k.KeyID); !ok || got.RevokedAt.IsZero() {
		t.Errorf("revoked: %t %+v", ok, got)
	}
	r := w.record(k, 0)
	r.Value = nil
	w.produce(r)
	v.fresh(t)
	if _, ok := v.Key(k.KeyID); ok {
		t.Error("a key that was removed is known")
	}
}

// An open transaction on jobs hides its snapshots from everybody: nobody can have been shown them, so nobody waits for them.
func TestAnOpenTransactionHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	job := newJob()
	w.publish(snapshot("acme", job, 0, 1, schemas.Processing))
	v.fresh(t)
	cl, err := w.conn.Client(kgo.TransactionalID("test."+job), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, topic := range []string{"jobs", "documents.cpu.normal"} { // a lane is open to anybody, and so is leaving a transaction open there
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := w.record(snapshot("acme", job, 0, 2, schemas.Processing), 0)
		r.Topic = w.plan.Name(topic)
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		v.fresh(t)
		if s, ok := v.Job("acme", job); !ok || s.Version != 1 {
			t.Errorf("%s: %t %+v", topic, ok, s)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: it took %s", topic, took)
		}
		if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(topic == "documents.cpu.normal")); err != nil {
			t.Fatal(err)
		}
		v.fresh(t)
	}
}

// What track has passed is caught only when its outcome can be read: the broker may show the offset of a transaction before it has
// marked the snapshots committed.
func TestAFactIsCaughtOnlyWithItsOutcome(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	job := newJob()
	sub := submission("acme", job)
	rec := w.record(sub, 0)
	v.fresh(t)
	w.produce(w.record(&schemas.DocumentOpened{Head: sub.Head, Submission: rec.Value, MediaType: "text/plain"}, 0))
	cl, err := w.conn.Client(kgo.TransactionalID("test."+job), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), w.record(snapshot("acme", job, 0, 1, schemas.Processing), 0)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.commit("track", "facts", 0, 1)
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := v.Caught(short); err == nil {
		t.Fatal("it is caught, yet nobody can read what came of it")
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := v.Caught(long); err != nil {
		t.Fatal(err)
	}
	if s, ok := v.Job("acme", job); !ok || s.Version != 1 {
		t.Errorf("%t %+v", ok, s)
	}
}

// What retention has removed can never be read: no answer may wait for it.
func TestRecordsThatAreGoneAreNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	topic := w.plan.Name("documents.cpu.normal")
	for range 4 {
		w.produce(w.record(submission("acme", newJob()), 0))
	}
	v := w.view()
	v.fresh(t)
	until := kadm.Offsets{}
	until.AddOffset(topic, 0, 4, -1)
	if _, err := w.adm.DeleteRecords(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	v.Rewind("documents.cpu.normal", 0, 2)
	v.fresh(t)
	late := w.view() // begins at the start of the log, which is its end
	late.fresh(t)
	job := newJob()
	w.produce(w.record(submission("acme", job), 0))
	for _, x := range []*running{v, late} {
		x.fresh(t)
		if _, ok := x.Job("acme", job); !ok {
			t.Error("the next one is not seen")
		}
	}
}

func TestPartitionsThatAreAddedAreFollowed(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	v.fresh(t)
	if _, err := w.adm.CreatePartitions(t.Context(), 2, w.plan.Name("documents.cpu.normal")); err != nil {
		t.Fatal(err)
	}
	job := newJob()
	eventually(t, "the new partition can be written", func() bool {
		r := w.record(submission("acme", job), 3)
		return w.cl.ProduceSync(t.Context(), r).FirstErr() == nil
	})
	eventually(t, "it is read", func() bool { _, ok := v.Job("acme", job); return ok })
	v.fresh(t)
}

func TestAPageEndsWhereTheNextBegins(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	want := map[string][]string{}
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var records []*kgo.Record
	for i := range 120 {
		tenant := []string{"a", "a-b", "b"}[i%3]
		s := snapshot(tenant, schemas.NewJobID(base), 0, 1, schemas.Processing)
		s.SubmittedAt = base.Add(time.Duration(i/6) * time.Minute)
		if i%4 == 0 {
			s.Status = schemas.Completed
		}
		records = append(records, w.record(s, int32(i%2)))
		want[tenant] = append(want[tenant], fmt.Sprintf("%d/%s/%s", s.SubmittedAt.UnixMicro(), s.JobID, s.Status))
	}
	w.produce(records...)
	v.fresh(t)
	for tenant, all := range want {
		slices.Sort(all)
		slices.Reverse(all)
		for _, status := range []string{"", schemas.Completed, schemas.Failed} {
			var expect []string
			for _, x := range all {
				if status == "" || x[len(x)-len(status):] == status {
					expect = append(expect, x)
				}
			}
			for _, limit := range []int{1, 7, 40, 100} {
				var got []string
				for q := (view.Query{Status: status, Limit: limit}); ; {
					page, next, err := v.Jobs(tenant, q)
					if err != nil || len(page) > limit {
						t.Fatalf("%d jobs, %v", len(page), err)
					}
					for _, s := range page {
						got = append(got, fmt.Sprintf("%d/%s/%s", s.SubmittedAt.UnixMicro(), s.JobID, s.Status))
					}
					if q.Cursor = next; next == "" {
						break
					}
				}
				if !slices.Equal(got, expect) {
					t.Errorf("%s %q by %d:\n%v\nwant\n%v", tenant, status, limit, got, expect)
				}
			}
		}
	}
}

func TestAnEstimateLearnsFromWhatEnded(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	v.fresh(t)
	if small, large := v.Estimate("cpu", 1000), v.Estimate("cpu", 10e6); small <= 0 || large < 10*small {
		t.Errorf("a guess must grow with the size: %s, %s", small, large)
	}
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	end := func(i int, size int64, took time.Duration) {
		s := snapshot("acme", newJob(), 0, 5, schemas.Completed)
		s.Source.Size = size
		s.SubmittedAt = base.Add(time.Duration(i) * time.Hour)
		s.OpenedAt, s.EndedAt = s.SubmittedAt, s.SubmittedAt.Add(took)
		w.publish(s)
	}
	for i := range 10 {
		end(2*i, 1000, 2*time.Second)
		end(2*i+1, 50e6, time.Minute)
	}
	v.fresh(t)
	near := func(got, want time.Duration) bool { return got > want*9/10 && got < want*11/10 }
	if small, large, between := v.Estimate("cpu", 2000), v.Estimate("cpu", 60e6), v.Estimate("cpu", 500e6); !near(small, 2*time.Second) || !near(large, time.Minute) || !near(between, time.Minute) {
		t.Errorf("learned: %s, %s, %s", small, large, between)
	}
	idle := v.Estimate("cpu", 1000)
	for range 5 {
		w.publish(submission("acme", newJob()))
	}
	v.fresh(t)
	if busy := v.Estimate("cpu", 1000); busy < idle+5*time.Second {
		t.Errorf("five wait before it, yet %s after %s", busy, idle)
	}
}

func TestFreshIsBoundedByItsContext(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	v.fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	for range 100 {
		_ = v.Fresh(ctx)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
}
