package track_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"docstream/internal/fault"
	"docstream/processors/track"
	"docstream/schemas"
)

// errNoSubmission stands for whatever the fold says of a fact that carries something else.
var errNoSubmission = errors.New("no submission")

// away is a submission in a schema that the registry does not give out at the moment.
var away = []byte("away")

// decode is the true codec, behind a registry that can be away.
func decode(ctx context.Context, wire []byte) (schemas.Event, error) {
	if bytes.Equal(wire, away) {
		return nil, fault.World(schemas.ServiceUnavailable, "The registry is away.")
	}
	return codec.Decode(ctx, wire)
}

// plain is an event as its readers get it, in a form that compares.
func plain(tb rapid.TB, e schemas.Event) string {
	wire, err := codec.Encode(e)
	if err != nil {
		tb.Fatal(err)
	}
	read, err := codec.Decode(context.Background(), wire)
	if err != nil {
		tb.Fatal(err)
	}
	if s, ok := read.(*schemas.JobSnapshot); ok {
		if s.Failed = bytes.TrimRight(s.Failed, "\x00"); len(s.Failed) == 0 {
			s.Failed = nil
		}
	}
	b, err := json.Marshal(read)
	if err != nil {
		tb.Fatal(err)
	}
	return e.Kind() + " " + string(b)
}

// partition is the fold as the harness runs it: the states of several jobs, what they led to, and what a restart finds.
type partition struct {
	fold   *track.Track
	states map[string]*schemas.JobSnapshot
	disk   map[string][]byte
	out    []string // committed

	changed map[string]*schemas.JobSnapshot
	order   []string
	open    []schemas.Event
}

func newPartition(hot time.Duration) *partition {
	return &partition{fold: track.New(track.Config{Hot: hot}, decode), states: map[string]*schemas.JobSnapshot{}, disk: map[string][]byte{}, changed: map[string]*schemas.JobSnapshot{}}
}

func (p *partition) apply(f schemas.Event) error {
	if tick, ok := f.(*schemas.Tick); ok {
		p.tick(tick.At)
	}
	key := p.fold.Key(f)
	given, ok := p.changed[key]
	if !ok {
		given = p.states[key]
	}
	next, moved, out, err := p.fold.Apply(context.Background(), given, f)
	if moved {
		if !ok {
			p.order = append(p.order, key)
		}
		p.changed[key] = next
	}
	p.open = append(p.open, out...)
	return err
}

// tick is what the harness does with one: every state whose time has come, by its key.
func (p *partition) tick(now time.Time) {
	states := maps.Clone(p.states)
	maps.Copy(states, p.changed)
	for _, key := range slices.Sorted(maps.Keys(states)) {
		if states[key] == nil {
			continue
		}
		if at := p.fold.Due(states[key]); at.IsZero() || at.After(now) {
			continue
		}
		next, out := p.fold.Elapsed(states[key], now)
		if _, ok := p.changed[key]; !ok {
			p.order = append(p.order, key)
		}
		p.changed[key] = next
		p.open = append(p.open, out...)
	}
}

func (p *partition) commit(tb rapid.TB) {
	for _, e := range p.open {
		p.out = append(p.out, plain(tb, e))
	}
	for _, key := range p.order {
		s := p.changed[key]
		if s == nil { // a tombstone
			delete(p.disk, key)
			delete(p.states, key)
			continue
		}
		wire, err := codec.Encode(s)
		if err != nil {
			tb.Fatal(err)
		}
		p.disk[key] = wire
		for _, e := range p.fold.Changed(s) {
			p.out = append(p.out, plain(tb, e))
		}
		p.states[key] = p.fold.Rest(s)
	}
	p.changed, p.order, p.open = map[string]*schemas.JobSnapshot{}, nil, nil
}

// restore forgets everything but what was committed, as a crash or an aborted transaction makes it.
func (p *partition) restore(tb rapid.TB, disk map[string][]byte) {
	p.changed, p.order, p.open = map[string]*schemas.JobSnapshot{}, nil, nil
	p.states, p.disk = map[string]*schemas.JobSnapshot{}, map[string][]byte{}
	for _, wire := range disk {
		e, err := codec.Decode(context.Background(), wire)
		if err != nil {
			tb.Fatal(err)
		}
		s := e.(*schemas.JobSnapshot)
		p.states[p.fold.StateKey(s)], p.disk[p.fold.StateKey(s)] = p.fold.Rest(s), wire
	}
}

// world is what the same facts mean.
type world struct {
	hot   time.Duration
	lives map[string]*life
	out   []string
	order []string
	open  []schemas.Event
}

func (w *world) apply(f schemas.Event) error {
	if tick, ok := f.(*schemas.Tick); ok {
		for _, key := range slices.Sorted(maps.Keys(w.lives)) {
			switch l := w.lives[key]; {
			case l.late(tick.At):
				l.expire(tick.At)
				l.tidy()
				l.version++
				l.last = tick.At
				w.moved(key)
			case !l.archived.IsZero() && tick.At.Sub(l.ended) >= w.hot:
				delete(w.lives, key)
				w.moved(key)
			}
		}
		return nil
	}
	key := f.Envelope().Tenant + "/" + f.Envelope().JobID
	next, moved, out, err := take(w.lives[key], f, w.hot)
	if moved {
		if w.lives[key] = next; next == nil {
			delete(w.lives, key)
		}
		w.moved(key)
	}
	w.open = append(w.open, out...)
	return err
}

func (w *world) moved(key string) {
	if !slices.Contains(w.order, key) {
		w.order = append(w.order, key)
	}
}

func (w *world) commit(tb rapid.TB) {
	for _, e := range w.open {
		w.out = append(w.out, plain(tb, e))
	}
	for _, key := range w.order {
		if w.lives[key] == nil {
			continue
		}
		for _, e := range told(w.snapshot(key)) {
			w.out = append(w.out, plain(tb, e))
		}
		w.lives[key].rests = w.lives[key].status != ""
	}
	w.order, w.open = nil, nil
}

func (w *world) snapshot(key string) *schemas.JobSnapshot {
	tenant, id, _ := strings.Cut(key, "/")
	return w.lives[key].snapshot(tenant, id)
}

// TestEveryHistoryMeansWhatItsFactsSay: whatever facts come, of several jobs, in any order, twice, late, of old and coming runs, with crashes
// between any two of them: after every transaction the states, and everything the world was told, are what the facts say, and from every
// checkpoint the rest of the facts leads to the same.
func TestEveryHistoryMeansWhatItsFactsSay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hot := rapid.SampledFrom([]time.Duration{20 * time.Second, 200 * time.Second, 24 * time.Hour}).Draw(rt, "hot")
		p, w := newPartition(hot), &world{hot: hot, lives: map[string]*life{}}
		g := &generator{rt: rt, w: w, sizes: rapid.SampledFrom([][2]int{{1, 3}, {2, 4}, {30, 70}, {110, 140}}).Draw(rt, "sizes")}
		type checkpoint struct {
			disk map[string][]byte
			out  int
			next int
		}
		var all []schemas.Event
		var ends []int // transactions, by their first fact
		points := []checkpoint{{disk: map[string][]byte{}}}
		for range rapid.IntRange(1, 25).Draw(rt, "transactions") {
			var facts []schemas.Event
			for range rapid.IntRange(1, 4).Draw(rt, "facts") {
				facts = append(facts, g.facts(all)...)
			}
			if rapid.IntRange(0, 5).Draw(rt, "crash") == 0 {
				for _, f := range facts[:rapid.IntRange(0, len(facts)).Draw(rt, "after")] {
					_ = p.apply(f)
				}
				p.restore(rt, p.disk)
			}
			for _, f := range facts {
				got, want := p.apply(f), w.apply(f)
				if (got == nil) != (want == nil) || (want != nil && want != errNoSubmission && fault.KindOf(got) != fault.KindOf(want)) {
					rt.Fatalf("%s: the error is %v, want %v", f.Kind(), got, want)
				}
			}
			p.commit(rt)
			w.commit(rt)
			all, ends = append(all, facts...), append(ends, len(all))
			same(rt, p, w)
			equal(rt, p.out, w.out)
			points = append(points, checkpoint{maps.Clone(p.disk), len(p.out), len(all)})
		}
		from := rapid.SampledFrom(points).Draw(rt, "checkpoint")
		q := newPartition(hot)
		q.restore(rt, from.disk)
		for i, f := range all[from.next:] {
			if slices.Contains(ends, from.next+i) {
				q.commit(rt)
			}
			_ = q.apply(f)
		}
		q.commit(rt)
		same(rt, q, w)
		equal(rt, q.out, p.out[from.out:])
	})
}

// equal compares what the world is told.
func equal(rt *rapid.T, got, want []string) {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			rt.Fatalf("the world is not told\n%s", want[i])
		case i >= len(want) || got[i] != want[i]:
			rt.Fatalf("the world is told\n%s\nwant\n%s", got[i], append(want, "nothing")[i])
		}
	}
}

// same compares the fold with what the facts mean.
func same(rt *rapid.T, p *partition, w *world) {
	if len(p.disk) != len(w.lives) {
		rt.Fatalf("%d jobs have a state, %d were heard of", len(p.disk), len(w.lives))
	}
	for key := range w.lives {
		e, err := codec.Decode(context.Background(), p.disk[key])
		if err != nil {
			rt.Fatalf("%s: %v", key, err)
		}
		if got, want := plain(rt, e), plain(rt, w.snapshot(key)); got != want {
			rt.Fatalf("the state of %s is\n%s\nwant\n%s", key, got, want)
		}
	}
	// What stays in memory of a job that has ended is small, whatever it was (P6).
	for key, l := range w.lives {
		if s := p.states[key]; l.status != "" && s != nil && (s.Finished != nil || s.Failures != nil || s.Outputs != nil || s.Metadata != nil) {
			rt.Fatalf("%s rests as %+v", key, s)
		}
	}
}

// generator draws facts of a few jobs, most of which say something new.
type generator struct {
	rt    *rapid.T
	w     *world
	sizes [2]int
	n     int
}

func (g *generator) int(from, to int, what string) int {
	return rapid.IntRange(from, to).Draw(g.rt, what)
}

// facts draws what comes next: one fact, an earlier one again, a flood of facts about one job, or many runs of it.
func (g *generator) facts(before []schemas.Event) []schemas.Event {
	who := g.int(0, 2, "job")
	h := schemas.Head{Tenant: []string{tenant, tenant, "other"}[who], JobID: []string{job, schemas.JobIDFor("test", "2"), job}[who]}
	if l := g.w.lives[h.Tenant+"/"+h.JobID]; l != nil {
		h.Run = max(0, l.run+[]int{0, 0, 0, 0, 0, 0, -1, 1}[g.int(0, 7, "run")])
	} else if g.int(0, 9, "early") == 0 {
		h.Run = g.int(1, 2, "run")
	}
	switch g.int(0, 15, "what") {
	case 0:
		if len(before) > 0 {
			return []schemas.Event{before[g.int(0, len(before)-1, "again")]}
		}
	case 1, 2, 3:
		return g.flood(h)
	case 4, 5:
		return g.whole(h)
	case 7, 8:
		return []schemas.Event{g.archived(h)}
	case 14, 15: // the clock of one owner may be behind that of another
		g.n++
		at := t0.Add(time.Duration(max(0, g.n+g.int(-40, 40, "clock"))) * time.Second)
		return []schemas.Event{&schemas.Tick{Head: schemas.Head{EventID: fmt.Sprint("e", g.n), At: at}}}
	case 6:
		if g.int(0, 3, "runs") == 0 {
			var out []schemas.Event
			for range g.int(1, 24, "runs") {
				out = append(out, g.fact(h, 7, 0), g.fact(h, 8, 0))
				h.Run++
			}
			return out
		}
	}
	return []schemas.Event{g.fact(h, g.int(0, 14, "kind"), g.page())}
}

func (g *generator) page() int { return g.int(0, g.sizes[1], "page") }

// flood is a kind of fact for every page, in some order.
func (g *generator) flood(h schemas.Head) (out []schemas.Event) {
	kind := rapid.SampledFrom([]int{3, 3, 3, 4, 9}).Draw(g.rt, "kind")
	down := rapid.Bool().Draw(g.rt, "down")
	for page := 1; page <= g.sizes[1]; page++ {
		out = append(out, g.fact(h, kind, page))
	}
	if down {
		slices.Reverse(out)
	}
	return out
}

// whole is a run from its opening to the eve of its end, in any order: its pages, some of them failed or never told of, its splitting said
// with the opening or apart, and perhaps a continuation that died.
func (g *generator) whole(h schemas.Head) []schemas.Event {
	opened := g.fact(h, 0, 0).(*schemas.DocumentOpened)
	split := g.fact(h, 2, 0).(*schemas.DocumentSplit)
	opened.PageRanges, split.PageRanges = "", fmt.Sprintf("%d-%d", g.int(1, 2, "first"), g.sizes[1])
	out := []schemas.Event{opened, split}
	dead := g.int(1, 2*g.sizes[1], "dead from")
	for page := 1; page <= min(g.sizes[1], dead); page++ {
		if kind := g.int(1, 20, "page"); page < dead && kind > 1 {
			out = append(out, g.fact(h, 3+kind/18, page))
		}
	}
	if letter := g.fact(h, 5, dead).(*schemas.DeadLettered); dead <= g.sizes[1] {
		letter.Stage = "prepare"
		out = append(out, letter)
	}
	return rapid.Permutation(out).Draw(g.rt, "order")
}

// fact makes a fact of a kind; whatever else it says is its own.
func (g *generator) fact(h schemas.Head, kind, page int) schemas.Event {
	g.n++
	n := g.n
	h.At, h.SubmittedAt = t0.Add(time.Duration(n)*time.Second), t0.Add(time.Duration(n)*time.Millisecond)
	h.EventID = fmt.Sprint("e", n)
	text := func(what string) string { return fmt.Sprint(what, n) }
	costs := []schemas.StageCost{{Stage: "prepare", Device: text("cpu"), CPUMicros: int64(n), WallMicros: int64(2 * n)}, {Stage: "ocr", Device: "cuda", CPUMicros: int64(3 * n)}}
	ranges := rapid.SampledFrom([]string{"", "no", fmt.Sprintf("1-%d", g.sizes[0]), fmt.Sprintf("1-%d", g.sizes[1]), fmt.Sprintf("2-%d", g.sizes[1]), fmt.Sprintf("1-%d", g.sizes[1])})
	switch kind {
	case 0, 1:
		return &schemas.DocumentOpened{Head: h, Submission: g.submission(h, n), PagesTotal: n, PageRanges: ranges.Draw(g.rt, "ranges"),
			MediaType: []string{"", text("opened/")}[n%2], Pipeline: text("pv"), Costs: costs}
	case 2:
		return &schemas.DocumentSplit{Head: h, PagesTotal: n, PageRanges: ranges.Draw(g.rt, "ranges")}
	case 3:
		return &schemas.PageFinished{Head: h, Page: page, How: []string{"ocr", "text"}[n%2], Words: n, Costs: costs, Kept: n % 3 / 2}
	case 4:
		return &schemas.PageFailed{Head: h, Page: page, Stage: text("s"), Code: text("C"), Message: text("m"), Costs: costs}
	case 5:
		return &schemas.DeadLettered{Head: h, Stage: rapid.SampledFrom([]string{"prepare", "prepare", "layout", "compose"}).Draw(g.rt, "stage"),
			FromPage: page, Code: text("C"), Message: text("m"), Submission: g.submission(h, n)}
	case 6:
		return &schemas.DocumentComposed{Head: h, Outputs: []schemas.Output{{Format: "json", Key: text("k"), Size: int64(n)}}, Costs: costs}
	case 7:
		return &schemas.CancelRequested{Head: h}
	case 14:
		return &schemas.FetchScheduled{Head: h, Submission: g.submission(h, n)}
	case 13:
		return &schemas.DocumentDeferred{Head: h, Submission: g.submission(h, n)}
	case 12:
		return &schemas.DeadlineSet{Head: h, Submission: g.submission(h, n)}
	case 8:
		r := &schemas.RunRequested{Head: h, AfterRun: h.Run, Submission: g.submission(h, n), ReplayID: text("rpl_"), Version: int64(n)}
		for run := range n % 3 {
			r.Runs = append(r.Runs, schemas.PastRun{Run: run, Status: text("s"), Pipeline: text("pv")})
		}
		return r
	case 9, 10:
		f := &schemas.RetryScheduled{Head: h, Stage: rapid.SampledFrom(stageOrder).Draw(g.rt, "stage"), Code: text("C"), Message: text("m"), Attempt: g.int(1, 3, "attempt"),
			MaxRetries: n, Due: h.At.Add(time.Minute)}
		switch f.Stage {
		case "fetch", "prepare":
			f.FromPage, f.Submission = max(1, page), g.submission(h, n)
		case "layout", "ocr":
			f.Page = page
		}
		return f
	}
	f := &schemas.DocumentRefused{Head: h, Stage: rapid.SampledFrom([]string{"prepare", schemas.Door}).Draw(g.rt, "stage"), Code: text("C"), Message: text("m")}
	if rapid.Bool().Draw(g.rt, "with") {
		f.Submission = g.submission(h, n)
	}
	return f
}

// archived says of a job that its state lies in the object store: mostly that which it has.
func (g *generator) archived(h schemas.Head) schemas.Event {
	g.n++
	h.At, h.SubmittedAt, h.EventID = t0.Add(time.Duration(g.n)*time.Second), t0, fmt.Sprint("e", g.n)
	s := &schemas.JobSnapshot{Head: h}
	if l := g.w.lives[h.Tenant+"/"+h.JobID]; l != nil {
		s = l.snapshot(h.Tenant, h.JobID)
		h.Run = s.Run
	}
	f := &schemas.JobArchived{Head: h, Version: s.Version}
	other := *s
	switch g.int(0, 9, "archived") {
	case 0:
		h.Run, f.Run = h.Run+1, h.Run+1
	case 1:
		f.Version++
	case 2: // a state of another
		other.Tenant = "rival"
	case 3:
		other.EventID, other.Version = schemas.EventIDFor(s.JobID, s.Run, "track", 0, "JobSnapshot", s.Version+1), s.Version+1
	case 4:
		f.State = g.submission(h, g.n)
		return f
	case 5:
		f.State = away
		return f
	}
	b, err := codec.Encode(&other)
	if err != nil {
		g.rt.Fatal(err)
	}
	f.State = b
	return f
}

// submission is one that can mostly be read.
func (g *generator) submission(h schemas.Head, n int) []byte {
	switch g.int(0, 30, "submission") {
	case 0:
		return away
	case 1:
		b, err := codec.Encode(&schemas.CancelRequested{Head: h})
		if err != nil {
			g.rt.Fatal(err)
		}
		return b
	}
	text := func(what string) string { return fmt.Sprint(what, n) }
	h.Run, h.SubmittedAt = 0, t0
	var deadline time.Time
	if in := g.int(-1, 2, "deadline"); in >= 0 {
		deadline = t0.Add(time.Duration(max(0, n-10+30*in)) * time.Second)
	}
	source := schemas.Source{Key: text("sources/"), Size: int64(n), MediaType: text("sent/")}
	if g.int(0, 3, "address") == 0 {
		source = schemas.Source{URL: text("https://"), Filename: text("f")}
	}
	b, err := codec.Encode(&schemas.DocumentSubmitted{Head: h, Deadline: deadline, BaseJob: text("job_"), RequestID: text("req_"), APIKeyID: text("k"), FromPage: 7, Class: []string{"cpu", "gpu"}[n%2],
		Priority: []string{"high", "low"}[n%2], Source: source, Options: schemas.Options{OutputFormats: []string{text("f")}},
		Metadata: map[string]string{"a": text("b")}, WebhookURL: text("https://")})
	if err != nil {
		g.rt.Fatal(err)
	}
	return b
}
