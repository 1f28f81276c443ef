package replay_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/producers/replay"
	"docstream/schemas"
)

const acme = "acme"

// since selects everything a tenant submitted in this test.
func since(t time.Time) schemas.Selection { return schemas.Selection{From: t.Add(-time.Hour)} }

func TestTheSameReplaySaidTwiceRunsEachJobOnce(t *testing.T) {
	w := newWorld(t)
	n := many()
	began := time.Now()
	jobs := w.submit(acme, n, nil)
	other := w.submit("other", 3, nil)
	w.executor(w.publisher())

	r := replay.Request{Tenant: acme, Selection: since(began), Rate: 500}
	id, fresh := w.say(r)
	if again, twice := w.say(r); !fresh || twice || again != id {
		t.Fatalf("said twice: %v %v %s %s", fresh, twice, id, again)
	}
	e := w.ended(acme, id)
	if e.Status != replay.Completed || e.JobsTotal != int64(n) || e.JobsAsked != int64(n) || e.Completed != int64(n) || e.PagesAsked != int64(n) ||
		e.Failed+e.Skipped+e.SourceExpired+e.Left != 0 || replay.NewReport(e).Progress.Percent != 100 {
		t.Fatalf("the replay ended as %+v", e)
	}
	if _, again := w.say(r); again {
		t.Error("an ended replay is new when said again")
	}
	for _, j := range jobs {
		s := w.job(acme, j)
		if s.Run != 1 || s.Status != schemas.Completed || s.ReplayID != id || s.Priority != "low" || len(s.Runs) != 1 || s.Runs[0].Status != schemas.Completed {
			t.Fatalf("job %s is %+v", j, s)
		}
	}
	for _, j := range other {
		if s := w.job("other", j); s.Run != 0 {
			t.Errorf("another tenant's job is at run %d", s.Run)
		}
	}
	if asked := w.requests(); len(asked) != n {
		t.Errorf("%d runs were asked for, want %d", len(asked), n)
	}
	r.Selection.Label = "once more"
	second, fresh := w.say(r)
	if !fresh || second == id {
		t.Fatal("another label is the same replay")
	}
	if e := w.ended(acme, second); e.Completed != int64(n) {
		t.Errorf("the second replay ended as %+v", e)
	}
	if s := w.job(acme, jobs[0]); s.Run != 2 || len(s.Runs) != 2 || s.Runs[1].ReplayID != id || s.ReplayID != second {
		t.Errorf("the lineage is %+v", s)
	}
}

// dying is a publisher whose process dies at a call: before anything was written, or after all of it was.
type dying struct {
	replay.Publisher
	left  atomic.Int64
	after bool
	die   context.CancelFunc
}

func (d *dying) PublishAll(ctx context.Context, events []schemas.Event, request string) error {
	if d.left.Add(-1) > 0 {
		return d.Publisher.PublishAll(ctx, events, request)
	}
	defer d.die()
	if d.after {
		return errors.Join(d.Publisher.PublishAll(ctx, events, request), context.Canceled)
	}
	return context.Canceled
}

// TestAnExecutorThatDiesAnywhereNeitherLosesNorDoubles ends the executor at every kind of moment, again and again, as a crash would.
func TestAnExecutorThatDiesAnywhereNeitherLosesNorDoubles(t *testing.T) {
	w := newWorld(t)
	n := many()
	began := time.Now()
	jobs := w.submit(acme, n, nil)
	for _, j := range jobs[:5] {
		w.store.drop(schemas.SourceKey(acme, j))
	}
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: float64(max(4, n/8))})
	ended := func() bool { e, ok := w.view.Replay(acme, id); return ok && !e.EndedAt.IsZero() }
	deaths := 0
	for !ended() {
		dead := make(chan struct{})
		d := &dying{Publisher: w.publisher(), after: rand.IntN(2) == 0, die: func() { close(dead) }}
		d.left.Store(int64(1 + rand.IntN(5)))
		stop := w.executor(d)
		w.eventually("the executor to die, or to be done", func() bool {
			select {
			case <-dead:
				return true
			default:
				return ended()
			}
		})
		stop()
		deaths++
	}
	t.Logf("it died %d times", deaths-1)
	e := w.ended(acme, id)
	want := int64(n - 5)
	if e.JobsTotal != int64(n) || e.JobsAsked != want || e.SourceExpired != 5 || e.Skipped != 0 || e.Completed != want || e.PagesAsked != want {
		t.Errorf("the counts are not exact: %+v", e)
	}
	for i, j := range jobs {
		s := w.job(acme, j)
		run := 1
		if i < 5 {
			run = 0
		}
		if s.Run != run || s.Status != schemas.Completed {
			t.Fatalf("job %d is at run %d %s, want run %d", i, s.Run, s.Status, run)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, j := range jobs[5:] {
		if w.started[j] != 2 {
			t.Errorf("job %d was prepared %d times", i, w.started[j])
		}
	}
}

func TestAnotherExecutorTakesOver(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	jobs := w.submit(acme, 40, nil)
	first := w.executor(w.publisher())
	second := w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: 10})
	w.eventually("some to be asked for", func() bool { e, ok := w.view.Replay(acme, id); return ok && e.JobsAsked >= 10 })
	first()
	w.eventually("some more, by whoever is left", func() bool { e, ok := w.view.Replay(acme, id); return ok && e.JobsAsked >= 30 })
	second()
	w.executor(w.publisher())
	if e := w.ended(acme, id); e.JobsAsked != 40 || e.Completed != 40 {
		t.Errorf("it ended as %+v", e)
	}
	for _, j := range jobs {
		if s := w.job(acme, j); s.Run != 1 {
			t.Errorf("a job is at run %d", s.Run)
		}
	}
}

func TestASourceThatIsGoneIsCountedAndItsJobUntouched(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	jobs := w.submit(acme, 6, func(i int, e *schemas.DocumentSubmitted) {
		if i == 2 {
			e.Source.Bucket = "theirs" // closed to us by now
		}
	})
	w.store.drop(schemas.SourceKey(acme, jobs[0]))
	w.store.put(schemas.SourceKey(acme, jobs[1]), 99) // another object lies there now
	w.mu.Lock()
	w.refuse[jobs[3]] = schemas.SourceMissing // it goes after the question and before the run
	w.refuse[jobs[4]] = schemas.DocumentCorrupt
	w.mu.Unlock()
	before := w.job(acme, jobs[0])
	w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: 100})
	e := w.ended(acme, id)
	if e.SourceExpired != 4 || e.JobsAsked != 3 || e.Completed != 1 || e.Failed != 1 || e.JobsTotal != 6 {
		t.Errorf("it ended as %+v", e)
	}
	for _, j := range jobs[:3] {
		if s := w.job(acme, j); s.Run != 0 || s.Status != schemas.Completed || s.Version != before.Version {
			t.Errorf("an untouched job is at run %d, version %d, %s", s.Run, s.Version, s.Status)
		}
	}
	if s := w.job(acme, jobs[3]); s.Run != 1 || s.Code != string(schemas.SourceMissing) || s.Runs[0].Status != schemas.Completed {
		t.Errorf("the job whose source went late is %+v", s)
	}
}

func TestJobsBeingWorkedOnAreSkipped(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	jobs := w.submit(acme, 3, nil)
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold = hold
	w.mu.Unlock()
	w.executor(w.publisher())
	first, _ := w.say(replay.Request{Tenant: acme, Selection: schemas.Selection{Jobs: jobs[:1]}})
	w.eventually("the first to be asked", func() bool { e, ok := w.view.Replay(acme, first); return ok && e.JobsAsked == 1 })
	w.eventually("its run", func() bool { s, _ := w.view.Job(acme, jobs[0]); return s.Run == 1 })
	second, _ := w.say(replay.Request{Tenant: acme, Selection: since(began)})
	w.eventually("the others to be asked", func() bool { e, ok := w.view.Replay(acme, second); return ok && e.JobsAsked == 2 })
	close(hold)
	if e := w.ended(acme, second); e.Skipped != 1 || e.Completed != 2 || e.JobsTotal != 3 {
		t.Errorf("it ended as %+v", e)
	}
	if e := w.ended(acme, first); e.Completed != 1 {
		t.Errorf("the first ended as %+v", e)
	}
}

func TestTheBoundOfPagesHoldsAndCanBeLifted(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.submit(acme, 10, nil)
	w.executor(w.publisher())
	r := replay.Request{Tenant: acme, Selection: since(began), MaxPages: 4}
	id, _ := w.say(r)
	if e := w.ended(acme, id); e.JobsAsked != 4 || e.Left != 6 || e.Completed != 4 {
		t.Fatalf("it ended as %+v", e)
	}
	if _, fresh := w.say(r); fresh {
		t.Error("the same bound is something new")
	}
	r.MaxPages = 0
	if again, fresh := w.say(r); !fresh || again != id {
		t.Fatal("a lifted bound is nothing new")
	}
	w.eventually("the rest", func() bool { e, _ := w.view.Replay(acme, id); return e.Completed == 10 && !e.EndedAt.IsZero() })
	if e := w.ended(acme, id); e.JobsAsked != 10 || e.Left != 0 {
		t.Errorf("it ended as %+v", e)
	}
}

func TestACancelledReplayAsksForNoMore(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.submit(acme, 30, nil)
	stop := w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: 2})
	var e *schemas.ReplayChanged
	w.eventually("some to be asked for", func() bool { e, _ = w.view.Replay(acme, id); return e != nil && e.JobsAsked >= 2 })
	w.produce(w.record(replay.Cancel(e, time.Now())))
	w.eventually("the end, with its counts", func() bool { e, _ = w.view.Replay(acme, id); return e.Status == replay.Cancelled && e.Version > 1002 })
	asked := len(w.requests())
	if e := w.ended(acme, id); int(e.JobsAsked) != asked || asked > 20 || replay.Cancel(e, time.Now()) != nil {
		t.Errorf("%d runs were asked for; it says %+v", asked, e)
	}
	stop()
	w.executor(w.publisher())
	time.Sleep(time.Second) // the new one must find nothing to do: there is no event that says so
	if now := len(w.requests()); now != asked {
		t.Errorf("%d more were asked for after the end", now-asked)
	}
}

func TestTheRateHolds(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.submit(acme, 12, nil)
	w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: 4})
	e := w.ended(acme, id)
	if took := e.EndedAt.Sub(e.CreatedAt); took < 1900*time.Millisecond || e.JobsAsked != 12 { // four at once, eight at four a second
		t.Errorf("12 jobs at 4/s took %s", took)
	}
}

func TestOnlyWhatProvesItsTenantIsReplayedAndOnce(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	var seen *schemas.DocumentSubmitted
	w.submit(acme, 1, func(_ int, e *schemas.DocumentSubmitted) { seen = e })
	twice := w.record(seen)
	forged := *seen
	forged.JobID = schemas.NewJobID(time.Now())
	bad := w.record(&forged)
	bad.Headers = nil
	other := w.record(&forged)
	other.Topic = w.record(&schemas.DocumentSubmitted{FromPage: 1, Class: "gpu", Priority: "low"}).Topic // signed for another lane
	junk := *twice
	junk.Value = []byte("junk")
	w.produce(twice, bad, other, &junk)
	w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began)})
	if e := w.ended(acme, id); e.JobsTotal != 1 || e.JobsAsked != 1 || e.Completed != 1 {
		t.Errorf("it ended as %+v", e)
	}
}

// TestTheCriteriaSelect counts, with dry runs, what each criterion means.
func TestTheCriteriaSelect(t *testing.T) {
	w := newWorld(t)
	began := time.Now().UTC().Truncate(time.Microsecond)
	old := began.Add(-30 * time.Minute)
	bad := w.submit(acme, 0, nil)
	w.submit(acme, 2, func(i int, e *schemas.DocumentSubmitted) {
		w.mu.Lock()
		w.refuse[e.JobID] = []schemas.Code{schemas.DocumentCorrupt, schemas.DocumentEncrypted}[i]
		w.mu.Unlock()
		bad = append(bad, e.JobID)
	})
	w.submit(acme, 3, func(i int, e *schemas.DocumentSubmitted) {
		e.SubmittedAt = old.Add(time.Duration(i) * time.Minute)
		e.Source.MediaType = []string{"application/pdf", "image/png", "image/jpeg"}[i]
	})
	good := w.submit(acme, 1, nil)
	w.submit("other", 2, nil)
	cancelled := w.submit(acme, 1, nil)
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold = hold // so that its second run can be cancelled
	w.mu.Unlock()
	w.produce(w.record(&schemas.RunRequested{Head: schemas.Head{Tenant: acme, JobID: cancelled[0], SubmittedAt: began}, Submission: w.record(&schemas.DocumentSubmitted{
		Head: schemas.Head{Tenant: acme, JobID: cancelled[0]}, FromPage: 1, Class: "cpu", Priority: "low"}).Value}))
	w.eventually("its second run", func() bool { return w.job(acme, cancelled[0]).Run == 1 })
	w.produce(w.record(&schemas.CancelRequested{Head: schemas.Head{Tenant: acme, JobID: cancelled[0], Run: 1}}))
	w.eventually("the cancelled job", func() bool { return w.job(acme, cancelled[0]).Status == schemas.Cancelled })
	close(hold)
	w.executor(w.publisher())
	for _, c := range []struct {
		name   string
		tenant string
		sel    schemas.Selection
		want   int64
	}{
		{"everything but the cancelled", acme, schemas.Selection{From: old}, 6},
		{"all tenants", "", schemas.Selection{From: old}, 8},
		{"from", acme, schemas.Selection{From: began}, 3},
		{"to is open", acme, schemas.Selection{To: old.Add(2 * time.Minute)}, 2},
		{"from and to", acme, schemas.Selection{From: old.Add(time.Minute), To: old.Add(2 * time.Minute)}, 1},
		{"jobs", acme, schemas.Selection{Jobs: good}, 1},
		{"another tenant's job", "other", schemas.Selection{Jobs: good}, 0},
		{"media type", acme, schemas.Selection{MediaTypes: []string{"application/pdf"}}, 1},
		{"family of media types", acme, schemas.Selection{MediaTypes: []string{"image/*"}}, 2},
		{"failed", acme, schemas.Selection{Statuses: []string{schemas.Failed}}, 2},
		{"completed or cancelled", acme, schemas.Selection{Statuses: []string{schemas.Completed, schemas.Cancelled}}, 5},
		{"error code", acme, schemas.Selection{Codes: []string{string(schemas.DocumentCorrupt)}}, 1},
		{"pipeline", acme, schemas.Selection{Pipelines: []string{"pv_one"}}, 4},
		{"another pipeline", acme, schemas.Selection{Pipelines: []string{"pv_two"}}, 0},
		{"both must hold", acme, schemas.Selection{Statuses: []string{schemas.Failed}, Jobs: good}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := replay.Request{Tenant: c.tenant, Selection: c.sel, Dry: true}
			for range 2 { // a count is taken anew each time
				id, fresh := w.say(r)
				if !fresh {
					t.Fatal("a count is not taken anew")
				}
				e := w.ended(c.tenant, id)
				var byStatus int64
				for _, n := range e.Counts {
					byStatus += n.Jobs
				}
				if e.JobsTotal != c.want || byStatus != c.want || e.JobsAsked != 0 || e.Status != replay.Completed {
					t.Errorf("%d jobs, %d by status, want %d: %+v", e.JobsTotal, byStatus, c.want, e)
				}
			}
		})
	}
	if asked := w.requests(); len(asked) != 1 {
		t.Errorf("dry runs asked for %d runs", len(asked)-1)
	}
}

func TestBadSelectionsAreRefused(t *testing.T) {
	now := time.Now()
	many := slices.Repeat([]string{""}, 1001)
	for i := range many {
		many[i] = schemas.NewJobID(now)
	}
	for name, r := range map[string]replay.Request{
		"nothing":                    {},
		"only a label":               {Selection: schemas.Selection{Label: "x"}},
		"blank values":               {Selection: schemas.Selection{Jobs: []string{" "}}},
		"turned around":              {Selection: schemas.Selection{From: now, To: now.Add(-time.Hour)}},
		"no job id":                  {Selection: schemas.Selection{Jobs: []string{"4711"}}},
		"too many":                   {Selection: schemas.Selection{Jobs: many}},
		"no media type":              {Selection: schemas.Selection{MediaTypes: []string{"pdf"}}},
		"a live status":              {Selection: schemas.Selection{Statuses: []string{schemas.Processing}}},
		"no status":                  {Selection: schemas.Selection{Statuses: []string{"broken"}}},
		"no code":                    {Selection: schemas.Selection{Codes: []string{"NOPE"}}},
		"no pipeline":                {Selection: schemas.Selection{Pipelines: []string{"1.2"}}},
		"a long label":               {Selection: schemas.Selection{From: now, Label: string(make([]byte, 81))}},
		"no stage that can be first": {Selection: schemas.Selection{From: now}, Stage: "prepare"},
		"too fast":                   {Selection: schemas.Selection{From: now}, Rate: 1001},
		"backwards":                  {Selection: schemas.Selection{From: now}, Rate: -1},
		"negative pages":             {Selection: schemas.Selection{From: now}, MaxPages: -1},
	} {
		if err := r.Validate(); err == nil || fault.Of(err).Code != schemas.InvalidSelection || fault.Of(err).Kind != fault.Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheIDSaysWhatIsMeant(t *testing.T) {
	id := func(tenant string, dry bool, s schemas.Selection) string {
		r := replay.Request{Tenant: tenant, Selection: s, Dry: dry}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		return r.ID()
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a := id(acme, false, schemas.Selection{From: at, Statuses: []string{schemas.Failed, schemas.Partial}})
	if b := id(acme, false, schemas.Selection{From: at.In(time.FixedZone("x", 3600)), Statuses: []string{schemas.Partial, " failed ", schemas.Failed}}); a != b || !schemas.ValidReplayID(a) {
		t.Errorf("the same meaning has the ids %s and %s", a, b)
	}
	seen := map[string]bool{a: true}
	for _, other := range []string{
		id("other", false, schemas.Selection{From: at, Statuses: []string{schemas.Failed, schemas.Partial}}),
		id(acme, true, schemas.Selection{From: at, Statuses: []string{schemas.Failed, schemas.Partial}}),
		id(acme, false, schemas.Selection{To: at, Statuses: []string{schemas.Failed, schemas.Partial}}),
		id(acme, false, schemas.Selection{From: at, Statuses: []string{schemas.Failed}}),
		id(acme, false, schemas.Selection{From: at, Statuses: []string{schemas.Failed, schemas.Partial}, Label: "x"}),
	} {
		if seen[other] {
			t.Errorf("two selections have the id %s", other)
		}
		seen[other] = true
	}
}

func TestRatesAreRead(t *testing.T) {
	for text, want := range map[string]float64{"20/s": 20, "600/m": 10, "3600/h": 1, "5": 5, " 0.5/s ": 0.5, "": 0, "x": 0, "1/d": 0, "-1/s": 0, "0": 0, "NaN": 0} {
		got, err := replay.ParseRate(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q reads as %g, %v", text, got, err)
		}
	}
}

// TestAPausedReplayAsksForNoMoreUntilItIsResumed pauses while some is asked for, takes the executor away, and resumes under another one: in the
// end every job has one new run.
func TestAPausedReplayAsksForNoMoreUntilItIsResumed(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	jobs := w.submit(acme, 30, nil)
	stop := w.executor(w.publisher())
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: 4})
	var e *schemas.ReplayChanged
	w.eventually("some to be asked for", func() bool { e, _ = w.view.Replay(acme, id); return e != nil && e.JobsAsked >= 4 })
	pause := replay.Pause(e, time.Now())
	w.produce(w.record(pause))
	w.eventually("the rest, with what ran counted", func() bool {
		e, _ = w.view.Replay(acme, id)
		return e.Status == replay.Paused && e.Version > pause.Version && e.Completed == e.JobsAsked && e.Settled == e.Cursor
	})
	if replay.Pause(e, time.Now()) != nil {
		t.Error("paused twice is something new")
	}
	asked := len(w.requests())
	if int(e.JobsAsked) != asked || asked > 20 || replay.NewReport(e).Ended() {
		t.Fatalf("%d runs were asked for; it says %+v", asked, e)
	}
	stop()
	w.executor(w.publisher())
	w.eventually("the next one to say it again", func() bool { now, _ := w.view.Replay(acme, id); return now.Version > e.Version })
	if e, _ = w.view.Replay(acme, id); e.Status != replay.Paused || len(w.requests()) != asked {
		t.Fatalf("after a restart %d runs were asked for; it says %+v", len(w.requests()), e)
	}
	w.produce(w.record(replay.Resume(e, time.Now())))
	if e := w.ended(acme, id); e.Status != replay.Completed || e.JobsAsked != 30 || e.Completed != 30 || e.Skipped != 0 || replay.Pause(e, time.Now()) != nil || replay.Resume(e, time.Now()) != nil {
		t.Errorf("it ended as %+v", e)
	}
	for _, j := range jobs {
		if s := w.job(acme, j); s.Run != 1 || s.ReplayID != id {
			t.Errorf("a job is at run %d", s.Run)
		}
	}
	if n := len(w.requests()); n != 30 {
		t.Errorf("%d runs were asked for, want 30", n)
	}
}

// TestPausesThatComeAtAnyMomentLoseAndDoubleNothing pauses, resumes and kills at random.
func TestPausesThatComeAtAnyMomentLoseAndDoubleNothing(t *testing.T) {
	w := newWorld(t)
	n := many()
	began := time.Now()
	jobs := w.submit(acme, n, nil)
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began), Rate: float64(max(4, n/4))})
	pauses := 0
	for ended := false; !ended && pauses < 30; pauses++ {
		stop := w.executor(w.publisher())
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond) // any moment will do
		e, _ := w.view.Replay(acme, id)
		if next := replay.Pause(e, time.Now()); next != nil {
			w.produce(w.record(next))
		}
		if rand.IntN(2) == 0 {
			stop()
			stop = w.executor(w.publisher())
		}
		w.eventually("the pause, or the end", func() bool {
			e, _ = w.view.Replay(acme, id)
			ended = !e.EndedAt.IsZero()
			return ended || e.Status == replay.Paused && e.Settled == e.Cursor
		})
		if next := replay.Resume(e, time.Now()); next != nil {
			w.produce(w.record(next))
		}
		if rand.IntN(2) == 0 {
			stop()
		}
	}
	w.executor(w.publisher())
	t.Logf("it was paused %d times", pauses)
	if e := w.ended(acme, id); e.Status != replay.Completed || e.JobsTotal != int64(n) || e.JobsAsked != int64(n) || e.Completed != int64(n) || e.Skipped != 0 {
		t.Errorf("the counts are not exact: %+v", e)
	}
	for _, j := range jobs {
		if s := w.job(acme, j); s.Run != 1 {
			t.Errorf("a job is at run %d", s.Run)
		}
	}
}

func TestAPausedReplayCanBeCancelled(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.submit(acme, 3, nil)
	id, _ := w.say(replay.Request{Tenant: acme, Selection: since(began)})
	e := w.standing(id, replay.Pending)
	w.produce(w.record(replay.Pause(e, time.Now())))
	e = w.standing(id, replay.Paused)
	w.executor(w.publisher()) // finds it paused before anything was counted
	w.eventually("it to be said again", func() bool { now, _ := w.view.Replay(acme, id); return now.Version > e.Version })
	e = w.standing(id, replay.Paused)
	if r := replay.Resume(e, time.Now()); r.Status != replay.Pending {
		t.Errorf("what was not counted resumes as %s", r.Status)
	}
	w.produce(w.record(replay.Cancel(e, time.Now())))
	if e := w.ended(acme, id); e.Status != replay.Cancelled || len(w.requests()) != 0 {
		t.Errorf("it ended as %+v", e)
	}
}

func TestTheReportSaysWhenItWillBeDone(t *testing.T) {
	e := &schemas.ReplayChanged{Status: replay.Running, JobsTotal: 100, Left: 10, Completed: 20, Skipped: 5, Failed: 5, Pace: 2.5}
	for status, want := range map[string]int64{replay.Running: 24, replay.Paused: 0, replay.Completed: 0} {
		e.Status = status
		if r := replay.NewReport(e); r.Progress.ETA != want {
			t.Errorf("%s: %d seconds are left, want %d", status, r.Progress.ETA, want)
		}
	}
}

// TestAReplayFromAStageTakesOverWhatTheNewestRunHas: the request names that run, its pages and its pipeline version; and the count before says
// what is there to start from.
func TestAReplayFromAStageTakesOverWhatTheNewestRunHas(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	jobs := w.submit(acme, 3, nil) // text pages: they need no image
	w.executor(w.publisher())
	r := replay.Request{Tenant: acme, Selection: since(began), Stage: schemas.FromOCR, Rate: 100}
	dry := r
	dry.Dry = true
	id, _ := w.say(dry)
	counted := w.ended(acme, id)
	if counted.WholeJobs != 3 || counted.WholePages != 3 || replay.NewReport(counted).Whole == nil {
		t.Errorf("counted as %+v", counted)
	}
	id, _ = w.say(r)
	e := w.ended(acme, id)
	if e.Completed != 3 || e.Stage != schemas.FromOCR || e.JobsAsked != counted.JobsTotal || e.PagesAsked != counted.PagesTotal || replay.NewReport(e).Whole != nil {
		t.Errorf("ended as %+v, counted as %+v", e, counted)
	}
	plain := r
	plain.Stage = ""
	if plain.ID() == r.ID() {
		t.Error("from a stage and from the first it is the same replay")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range jobs {
		got := w.given[j]
		if got == nil || got.Run != 1 || got.BaseRun != 0 || got.Kept != "1" || got.KeptPipeline != "pv_one" || got.FromStage != schemas.FromOCR {
			t.Errorf("prepare was given %+v", got)
		}
	}
}

// TestLanesAndArchiveAreOneSelection: a job in both is one, and the count before and the run come to the same jobs and pages.
func TestLanesAndArchiveAreOneSelection(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	var both, all []*schemas.DocumentSubmitted
	w.submit(acme, 6, func(i int, e *schemas.DocumentSubmitted) {
		if all = append(all, e); i < 3 {
			both = append(both, e)
		}
	})
	lanes := replay.Lanes(w.conn, w.plan)
	w.source = func(ctx context.Context, from, to time.Time, yield func(replay.Record) error) error {
		kept := 0
		err := lanes(ctx, from, to, func(r replay.Record) error {
			if kept++; kept > 4 { // the lanes have lost the rest
				return nil
			}
			return yield(r)
		})
		for _, e := range append(both, all...) { // the archive has them all, and some in two files
			rec := w.record(e)
			if err == nil {
				err = yield(stream.Claim(rec))
			}
		}
		return err
	}
	w.executor(w.publisher())
	r := replay.Request{Tenant: acme, Selection: since(began), Rate: 100, Dry: true}
	id, _ := w.say(r)
	dry := w.ended(acme, id)
	r.Dry = false
	id, _ = w.say(r)
	e := w.ended(acme, id)
	if dry.JobsTotal != 6 || dry.PagesTotal != 6 || e.JobsTotal != 6 || e.JobsAsked != 6 || e.PagesAsked != dry.PagesTotal || e.Completed != 6 || e.Skipped != 0 {
		t.Errorf("counted as %+v, ended as %+v", dry, e)
	}
	if n := len(w.requests()); n != 6 {
		t.Errorf("%d runs were asked for", n)
	}
}
