package track_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"pgregory.net/rapid"

	"docstream/processors/track"
	"docstream/schemas"
)

const tenant = "acme"

var (
	job = schemas.JobIDFor("test", "1")
	t0  = time.UnixMicro(1_700_000_000_000_000).UTC()
)

// codec is the true codec on a registry in memory: submissions travel inside facts in their wire form.
var codec = func() *schemas.Codec {
	cl, err := sr.NewClient(sr.URLs(srfake.New().URL()))
	if err != nil {
		panic(err)
	}
	c := schemas.NewCodec(cl)
	for _, k := range schemas.Kinds {
		if err := c.Register(context.Background(), k+"-value", k); err != nil {
			panic(err)
		}
	}
	return c
}()

var wire = func() []byte {
	b, err := codec.Encode(&schemas.DocumentSubmitted{Head: schemas.Head{Tenant: tenant, JobID: job, SubmittedAt: t0}, FromPage: 1, Class: "cpu", Priority: "high",
		APIKeyID: "k1", Source: schemas.Source{Key: "sources/acme/x", Size: 9, MediaType: "application/pdf"}, Metadata: map[string]string{"a": "b"}})
	if err != nil {
		panic(err)
	}
	return b
}()

// clock numbers the facts of a history; it is data, as in the stream.
func head(run int, stage string, page int, kind string, at int) schemas.Head {
	return schemas.Head{EventID: schemas.EventIDFor(job, run, stage, page, kind, 0), Tenant: tenant, JobID: job, Run: run, SubmittedAt: t0, At: t0.Add(time.Duration(at) * time.Second)}
}

func opened(run, pages int) schemas.Event {
	return &schemas.DocumentOpened{Head: head(run, "prepare", 0, "DocumentOpened", 1), Submission: wire, PagesTotal: pages, PageRanges: fmt.Sprintf("1-%d", pages),
		MediaType: "application/pdf", Pipeline: "pv", Costs: []schemas.StageCost{{Stage: "prepare", CPUMicros: 5}}}
}

func finished(run, page int) schemas.Event {
	return &schemas.PageFinished{Head: head(run, "ocr", page, "PageFinished", 2+page), Page: page, How: []string{"ocr", "text"}[page%2], Words: 10,
		Costs: []schemas.StageCost{{Stage: "prepare", CPUMicros: 1}, {Stage: "layout", CPUMicros: 2}, {Stage: "ocr", CPUMicros: 3}}}
}

func failed(run, page int) schemas.Event {
	return &schemas.PageFailed{Head: head(run, "ocr", page, "PageFailed", 2+page), Page: page, Stage: "ocr", Code: "OCR_FAILED", Message: "No.",
		Costs: []schemas.StageCost{{Stage: "prepare", CPUMicros: 1}}}
}

func composed(run int) schemas.Event {
	return &schemas.DocumentComposed{Head: head(run, "compose", 0, "DocumentComposed", 900), Outputs: []schemas.Output{{Format: "json", Key: fmt.Sprint(run), Size: 1}},
		Costs: []schemas.StageCost{{Stage: "compose", CPUMicros: 7}}}
}

// machine runs the fold as the harness does: one state, written after each transaction and read back after a crash.
type machine struct {
	t     *track.Track
	state *schemas.JobSnapshot
	disk  []byte // the last committed snapshot in its wire form
	out   []schemas.Event
	saved int // outputs that were committed
	dirty bool
	snaps []*schemas.JobSnapshot
	told  []schemas.Event // what the world was told in committed transactions
}

func newMachine() *machine { return &machine{t: track.New(track.DefaultConfig(), codec.Decode)} }

func (m *machine) apply(tb rapid.TB, f schemas.Event) bool {
	s, moved, out, err := m.t.Apply(context.Background(), m.state, f)
	if err != nil {
		tb.Fatalf("%s: %v", f.Kind(), err)
	}
	m.state, m.dirty = s, m.dirty || moved
	m.out = append(m.out, out...)
	return moved
}

// commit ends a transaction: the snapshot goes to the topic, memory keeps what Rest leaves of it.
func (m *machine) commit(tb rapid.TB) {
	m.saved = len(m.out)
	if m.state == nil {
		return
	}
	if m.dirty { // a state that did not change is not written
		b, err := codec.Encode(m.state)
		if err != nil {
			tb.Fatal(err)
		}
		m.disk = b
		s := m.load(tb)
		m.snaps = append(m.snaps, s)
		m.told = append(m.told, m.t.Changed(m.state)...)
	}
	m.state, m.dirty = m.t.Rest(m.state), false
}

// crash forgets everything since the last commit.
func (m *machine) crash(tb rapid.TB) {
	m.out, m.state, m.dirty = m.out[:m.saved], nil, false
	if m.disk != nil {
		m.state = m.t.Rest(m.load(tb))
	}
}

func (m *machine) load(tb rapid.TB) *schemas.JobSnapshot {
	e, err := codec.Decode(context.Background(), m.disk)
	if err != nil {
		tb.Fatal(err)
	}
	return e.(*schemas.JobSnapshot)
}

// hash is the state without what may depend on the order of pages: its version and the time of its last fact.
func (m *machine) hash(tb rapid.TB) [32]byte {
	s := m.load(tb)
	s.Version, s.EventID, s.At, s.EndedAt = 0, "", time.Time{}, time.Time{}
	s.Failed = bytes.TrimRight(s.Failed, "\x00")
	b, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return sha256.Sum256(b)
}

func count[E schemas.Event](events []schemas.Event) (n int) {
	for _, e := range events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// checkUsage asserts P2's row: one usage row per (run, stage, page).
func checkUsage(tb rapid.TB, events []schemas.Event) {
	seen := map[string]bool{}
	for _, e := range events {
		if u, ok := e.(*schemas.UsageRecorded); ok {
			k := fmt.Sprint(u.Run, u.Stage, u.Page)
			if seen[k] {
				tb.Fatalf("two usage rows for run, stage, page %s", k)
			}
			seen[k] = true
		}
	}
}

// history is every fact of one run, each page ended in one way, with the ends of the first `failures` pages failed.
func history(pages int, bad map[int]bool) []schemas.Event {
	fs := []schemas.Event{opened(0, pages)}
	for p := 1; p <= pages; p++ {
		if bad[p] {
			fs = append(fs, failed(0, p))
		} else {
			fs = append(fs, finished(0, p))
		}
	}
	return fs
}

func TestAnyOrderDuplicatesAndCrashesEndInTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pages := rapid.IntRange(1, 40).Draw(rt, "pages")
		bad := map[int]bool{}
		for _, p := range rapid.SliceOf(rapid.IntRange(1, pages)).Draw(rt, "bad") {
			bad[p] = true
		}
		facts := history(pages, bad)
		straight := newMachine()
		for _, f := range facts {
			straight.apply(rt, f)
		}
		straight.apply(rt, composed(0))
		straight.commit(rt)

		facts = append(facts, retriesOf(rt, pages)...) // they are gone when the job has ended
		shuffled := rapid.Permutation(facts).Draw(rt, "order")
		for range rapid.IntRange(0, 20).Draw(rt, "duplicates") {
			f := facts[rapid.IntRange(0, len(facts)-1).Draw(rt, "which")]
			shuffled = slices.Insert(shuffled, rapid.IntRange(0, len(shuffled)).Draw(rt, "where"), f)
		}
		shuffled = append(shuffled, composed(0))
		if rapid.Bool().Draw(rt, "composed twice") {
			shuffled = append(shuffled, composed(0))
		}
		m := newMachine()
		var last int64
		for i := 0; i < len(shuffled); {
			n := min(len(shuffled)-i, rapid.IntRange(1, 8).Draw(rt, "transaction"))
			before := i
			for _, f := range shuffled[i : i+n] {
				m.apply(rt, f)
			}
			if i += n; rapid.IntRange(0, 3).Draw(rt, "crash") == 0 && before >= 0 {
				m.crash(rt)
				i = before // the offsets were not committed either
				for _, f := range shuffled[i : i+n] {
					m.apply(rt, f)
				}
				i += n
			}
			m.commit(rt)
			if s := m.load(rt); s.Version < last {
				rt.Fatalf("the version fell from %d to %d", last, s.Version)
			} else {
				last = s.Version
			}
		}
		if m.hash(rt) != straight.hash(rt) {
			rt.Fatalf("the states differ:\n%+v\n%+v", m.load(rt), straight.load(rt))
		}
		want := schemas.Completed
		switch {
		case len(bad) == pages:
			want = schemas.Failed
		case len(bad) > 0:
			want = schemas.Partial
		}
		if got := m.load(rt); got.Status != want || got.PagesDone != pages-len(bad) || got.PagesFailed != len(bad) {
			rt.Fatalf("the job ended %s with %d done and %d failed, want %s", got.Status, got.PagesDone, got.PagesFailed, want)
		}
		asked := 1
		if len(bad) == pages {
			asked = 0
		}
		if got := count[*schemas.DocumentFinished](m.out); got != asked {
			rt.Fatalf("the outputs were asked for %d times, want %d", got, asked)
		}
		checkUsage(rt, m.out)
	})
}

// anyFact draws any fact of any run, sensible or not: what zombies, redeliveries and operators can produce.
func anyFact(rt *rapid.T) schemas.Event {
	run := rapid.IntRange(0, 2).Draw(rt, "run")
	page := rapid.IntRange(1, 6).Draw(rt, "page")
	at := rapid.IntRange(1, 1000).Draw(rt, "at")
	switch rapid.IntRange(0, 10).Draw(rt, "fact") {
	case 10:
		return waiting(run, rapid.SampledFrom([]string{"prepare", "layout", "ocr", "compose"}).Draw(rt, "of"), page, rapid.IntRange(1, 3).Draw(rt, "attempt"))
	case 0, 1:
		return opened(run, 6)
	case 2, 3, 4:
		return finished(run, page)
	case 5:
		return failed(run, page)
	case 6:
		return composed(run)
	case 7:
		return &schemas.RunRequested{Head: head(run, "", 0, "RunRequested", at), Submission: wire, AfterRun: run}
	case 8:
		return &schemas.DeadLettered{Head: head(run, "prepare", 0, "DeadLettered", at), Stage: rapid.SampledFrom([]string{"prepare", "layout", "compose"}).Draw(rt, "stage"),
			FromPage: rapid.IntRange(0, 6).Draw(rt, "from"), Code: "PREPARE_FAILED", Submission: wire}
	}
	if rapid.Bool().Draw(rt, "cancel") {
		return &schemas.CancelRequested{Head: head(run, "", 0, "CancelRequested", at)}
	}
	return &schemas.DocumentRefused{Head: head(run, "prepare", 0, "DocumentRefused", at), Submission: wire, Code: "DOCUMENT_CORRUPT"}
}

func TestNoHistoryBreaksTheFold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine()
		ended := map[int]string{} // run → its terminal state as it was first seen
		var version int64
		run := 0
		for _, f := range rapid.SliceOfN(rapid.Custom(anyFact), 1, 80).Draw(rt, "facts") {
			was := m.disk
			moved := m.apply(rt, f)
			if m.state != nil && !moved && m.state.Version != version {
				rt.Fatalf("%s changed nothing, yet the version went from %d to %d", f.Kind(), version, m.state.Version)
			}
			if moved {
				m.commit(rt)
			}
			if m.disk == nil {
				continue
			}
			s := m.load(rt)
			switch {
			case s.Version < version || (moved && s.Version != version+1):
				rt.Fatalf("the version went from %d to %d", version, s.Version)
			case s.Run != run && s.Run != run+1 && was != nil:
				rt.Fatalf("run %d follows run %d", s.Run, run)
			case s.PagesDone != schemas.Bitmap(s.Finished).Count() || s.PagesFailed != schemas.Bitmap(s.Failed).Count():
				rt.Fatalf("counts and bitmaps disagree: %+v", s)
			case len(s.Failures) != s.PagesFailed:
				rt.Fatalf("%d failures are named, %d counted", len(s.Failures), s.PagesFailed)
			}
			version, run = s.Version, s.Run
			for _, r := range s.Retries {
				if schemas.Terminal(s.Status) || (r.Stage != "prepare" && (schemas.Bitmap(s.Finished).Has(r.Page) || schemas.Bitmap(s.Failed).Has(r.Page))) {
					rt.Fatalf("work waits that is over: %+v in %+v", r, s)
				}
			}
			for p := range schemas.Bitmap(s.Finished).All() {
				if schemas.Bitmap(s.Failed).Has(p) {
					rt.Fatalf("page %d is finished and failed", p)
				}
			}
			if schemas.Terminal(s.Status) {
				now := fmt.Sprintf("%s %v %d %d", s.Status, s.Outputs, s.PagesDone, s.PagesFailed)
				if first, ok := ended[s.Run]; ok && first != now {
					rt.Fatalf("run %d ended twice: %s, then %s", s.Run, first, now)
				}
				ended[s.Run] = now
				if s.EndedAt.IsZero() {
					rt.Fatal("a terminal state has no end time")
				}
			} else if _, ok := ended[s.Run]; ok {
				rt.Fatalf("run %d left its terminal state", s.Run)
			}
		}
		checkUsage(rt, m.out)
		stops := map[int]bool{}
		for _, e := range m.told {
			if r, ok := e.(*schemas.RunStopped); ok {
				if stops[r.Run] || !strings.HasPrefix(ended[r.Run], r.Status) {
					rt.Fatalf("run %d, which ended %q, was stopped as %s", r.Run, ended[r.Run], r.Status)
				}
				stops[r.Run] = true
			}
		}
		for run, how := range ended {
			if (strings.HasPrefix(how, schemas.Cancelled) || strings.HasPrefix(how, schemas.Expired)) && !stops[run] {
				rt.Fatalf("the workers were not told that run %d ended %s", run, how)
			}
		}
	})
}

func TestRules(t *testing.T) {
	many := func(fs ...[]schemas.Event) []schemas.Event { return slices.Concat(fs...) }
	one := func(fs ...schemas.Event) []schemas.Event { return fs }
	dead := func(stage string, from int) schemas.Event {
		return &schemas.DeadLettered{Head: head(0, stage, from, "DeadLettered", 500), Stage: stage, FromPage: from, Code: "PREPARE_FAILED", Message: "m", Submission: wire}
	}
	again := func(after int) schemas.Event {
		return &schemas.RunRequested{Head: head(after, "", 0, "RunRequested", 901), AfterRun: after, Submission: wire}
	}
	cancel := &schemas.CancelRequested{Head: head(0, "", 0, "CancelRequested", 3)}
	refused := &schemas.DocumentRefused{Head: head(0, "prepare", 0, "DocumentRefused", 1), Submission: wire, Code: "DOCUMENT_ENCRYPTED", Message: "m"}
	for _, c := range []struct {
		name   string
		facts  []schemas.Event
		status string
		code   string
		run    int
		done   int
		fail   int
	}{
		{"opened waits for its pages", one(opened(0, 3)), "processing", "", 0, 0, 0},
		{"all pages closed waits for the outputs", history(3, nil), "processing", "", 0, 3, 0},
		{"outputs complete the job", many(history(3, nil), one(composed(0))), "completed", "", 0, 3, 0},
		{"a failed page makes it partial", many(history(3, map[int]bool{2: true}), one(composed(0))), "partial", "", 0, 2, 1},
		{"no page left makes it failed", history(2, map[int]bool{1: true, 2: true}), "failed", "OCR_FAILED", 0, 0, 2},
		{"a refused document failed", one(refused), "failed", "DOCUMENT_ENCRYPTED", 0, 0, 0},
		{"finished beats failed until the outputs are written", many(one(opened(0, 2), failed(0, 1), finished(0, 1), finished(0, 2)), one(composed(0))), "completed", "", 0, 2, 0},
		{"failed does not beat finished", many(one(opened(0, 2), finished(0, 1), failed(0, 1), finished(0, 2)), one(composed(0))), "completed", "", 0, 2, 0},
		{"a late page does not change what is being composed", many(history(2, map[int]bool{2: true}), one(finished(0, 2), composed(0))), "partial", "", 0, 1, 1},
		{"a dead continuation fails every page from there on", many(one(opened(0, 70), dead("prepare", 33)), pagesUpTo(32), one(composed(0))), "partial", "", 0, 32, 38},
		{"a dead composition fails the job", many(history(2, nil), one(dead("compose", 0))), "failed", "PREPARE_FAILED", 0, 2, 0},
		{"a cancelled job stays cancelled", many(one(opened(0, 2), cancel), history(2, nil), one(composed(0))), "cancelled", "", 0, 0, 0},
		{"a job can be cancelled before anybody opened it", one(cancel, opened(0, 2)), "cancelled", "", 0, 0, 0},
		{"a terminal job gets a new run", many(history(1, nil), one(composed(0), again(0))), "pending", "", 1, 0, 0},
		{"asking twice opens one run", many(history(1, nil), one(composed(0), again(0), again(0))), "pending", "", 1, 0, 0},
		{"a running job gets no new run", one(opened(0, 2), again(0)), "processing", "", 0, 0, 0},
		{"pages of an old run change nothing", many(history(1, nil), one(composed(0), again(0), opened(1, 1), finished(0, 1))), "processing", "", 1, 0, 0},
		{"an unknown job trusts the request for a run", one(again(3)), "pending", "", 4, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			for _, f := range c.facts {
				if m.apply(t, f) {
					m.commit(t)
				}
			}
			s := m.load(t)
			if s.Status != c.status || s.Code != c.code || s.Run != c.run || s.PagesDone != c.done || s.PagesFailed != c.fail {
				t.Errorf("got %s %q run %d, %d done, %d failed; want %s %q run %d, %d, %d", s.Status, s.Code, s.Run, s.PagesDone, s.PagesFailed, c.status, c.code, c.run, c.done, c.fail)
			}
			checkUsage(t, m.out)
		})
	}
}

func pagesUpTo(n int) (fs []schemas.Event) {
	for p := 1; p <= n; p++ {
		fs = append(fs, finished(0, p))
	}
	return fs
}

func TestANewRunIsSubmittedAgainThroughTheSplits(t *testing.T) {
	m := newMachine()
	for _, f := range append(history(1, nil), composed(0)) {
		m.apply(t, f)
	}
	m.commit(t)
	m.out = nil
	m.apply(t, &schemas.RunRequested{Head: head(0, "", 0, "RunRequested", 901), Submission: wire})
	if len(m.out) != 1 {
		t.Fatalf("%d events, want the submission of the new run", len(m.out))
	}
	s := m.out[0].(*schemas.DocumentSubmitted)
	if s.Run != 1 || s.FromPage != 1 || s.Source.Key != "sources/acme/x" || s.JobID != job {
		t.Errorf("the new run asks for %+v", s)
	}
}

func TestOneTenantNeverReachesAnothersJob(t *testing.T) {
	tr := track.New(track.DefaultConfig(), codec.Decode)
	a, b := finished(0, 1), finished(0, 1)
	b.Envelope().Tenant = "other"
	if tr.Key(a) == tr.Key(b) {
		t.Error("two tenants share a state")
	}
}

func BenchmarkFoldOfA400PageDocument(b *testing.B) {
	facts := history(400, nil)
	for b.Loop() {
		var s *schemas.JobSnapshot
		tr := track.New(track.DefaultConfig(), codec.Decode)
		for _, f := range facts {
			s, _, _, _ = tr.Apply(context.Background(), s, f)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(facts)), "ns/fact")
}

// A refusal at the door is of a job that nobody has heard of: the record that led to it may name any job of its tenant.
func TestARefusalAtTheDoorEndsNoOtherJob(t *testing.T) {
	refusal := &schemas.DocumentRefused{Head: head(0, schemas.Door, 0, "DocumentRefused", 5), Submission: wire, Stage: schemas.Door, Code: "RECORD_UNDECODABLE", Message: "No."}
	for _, c := range []struct {
		name  string
		facts []schemas.Event
		want  schemas.Status
	}{
		{"nobody has heard of", nil, schemas.Failed},
		{"being read", []schemas.Event{opened(0, 2), finished(0, 1)}, schemas.Processing},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			for _, f := range append(c.facts, refusal) {
				m.apply(t, f)
			}
			if m.state.Status != c.want {
				t.Errorf("the job is %s, want %s", m.state.Status, c.want)
			}
		})
	}
}
