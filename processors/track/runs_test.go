package track_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"docstream/schemas"
)

func again(after int, replay string) schemas.Event {
	return &schemas.RunRequested{Head: head(after, "replay", 0, "RunRequested", 1000*(after+1)), AfterRun: after, Submission: wire, ReplayID: replay}
}

// whole is a run of two pages from its opening to its outputs; its second page may fail.
func whole(run int, bad bool) []schemas.Event {
	second := finished(run, 2)
	if bad {
		second = failed(run, 2)
	}
	return []schemas.Event{opened(run, 2), finished(run, 1), second, composed(run)}
}

// TestEveryRunIsOpenedOnceAndRemembered: whatever requests come, how often and in which transactions, each run is opened by the first
// request that names the one before it, every run's end is told, and the last state knows all of them.
func TestEveryRunIsOpenedOnceAndRemembered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		runs := rapid.IntRange(1, 25).Draw(rt, "runs")
		m := newMachine()
		told := map[int]*schemas.JobChanged{} // run → the greatest version told
		tell := func(events []schemas.Event) {
			for _, e := range events {
				if c, ok := e.(*schemas.JobChanged); ok && (told[c.Run] == nil || c.Version >= told[c.Run].Version) {
					if told[c.Run] != nil && c.Version == told[c.Run].Version && c.EventID != told[c.Run].EventID {
						rt.Fatalf("version %d is told under two identities", c.Version)
					}
					told[c.Run] = c
				}
			}
		}
		commit := func() {
			if m.dirty {
				tell(m.t.Changed(m.state))
			}
			m.commit(rt)
		}
		bad := map[int]bool{}
		splits := 0
		for run := range runs {
			bad[run] = rapid.Bool().Draw(rt, "bad")
			facts := whole(run, bad[run])
			for range rapid.IntRange(1, 3).Draw(rt, "requests") {
				facts = append(facts, again(run, fmt.Sprintf("rpl_%d", run+1)))
			}
			if run > 0 && rapid.Bool().Draw(rt, "stale") {
				facts = append(facts, again(run-1, "rpl_stale"), again(run+1, "rpl_early"))
			}
			for _, f := range facts {
				before := len(m.out)
				m.apply(rt, f)
				tell(m.out[before:])
				splits += count[*schemas.DocumentSubmitted](m.out[before:])
				if rapid.IntRange(0, 2).Draw(rt, "commit") == 0 {
					commit()
				}
			}
		}
		commit()
		if splits != runs {
			rt.Fatalf("%d runs were opened, want %d", splits, runs)
		}
		s := m.load(rt)
		if s.Run != runs || s.Status != schemas.Pending || s.ReplayID != fmt.Sprintf("rpl_%d", runs) || len(s.Runs) != min(runs, 20) {
			rt.Fatalf("after %d runs the job shows run %d %s of %s with %d before it", runs, s.Run, s.Status, s.ReplayID, len(s.Runs))
		}
		for i, r := range s.Runs {
			run := runs - len(s.Runs) + i
			want := schemas.Completed
			if bad[run] {
				want = schemas.Partial
			}
			if r.Run != run || r.Status != want || r.Pipeline != "pv" || r.EndedAt.IsZero() || r.PagesDone+r.PagesFailed != 2 {
				rt.Fatalf("run %d is remembered as %+v, want %s", run, r, want)
			}
			if run > 0 && r.ReplayID != fmt.Sprintf("rpl_%d", run) {
				rt.Fatalf("run %d is remembered as asked for by %q", run, r.ReplayID)
			}
		}
		for run := range runs {
			if c := told[run]; c == nil || !schemas.Terminal(c.Status) || c.PagesDone == 0 || c.MediaType == "" {
				rt.Fatalf("the end of run %d was not told: %+v", run, c)
			}
		}
		checkUsage(rt, m.out)
		spent := map[int]int64{}
		for _, e := range m.out {
			if u, ok := e.(*schemas.UsageRecorded); ok {
				spent[u.Run] += u.CPUMicros
			}
		}
		for _, end := range m.snaps {
			var sum, pages int64
			for _, l := range end.Spent {
				if sum += l.CPUMicros; l.Stage == "prepare" {
					pages += l.Pages
				}
			}
			if sum != end.CPUMicros || pages != int64(end.PagesDone) || schemas.Terminal(end.Status) && sum != spent[end.Run] {
				rt.Fatalf("run %d spent %d on %d pages, by its usage rows %d", end.Run, sum, pages, spent[end.Run])
			}
		}
		rows := map[int]int{}
		for _, e := range m.out {
			if u, ok := e.(*schemas.UsageRecorded); ok {
				rows[u.Run]++
			}
		}
		for run := range runs {
			want := 1 + 3 + 3 + 1 // opening, two pages of three stages, composing
			if bad[run] {
				want -= 2 // a failed page has the cost of prepare alone
			}
			if rows[run] != want {
				rt.Fatalf("run %d has %d usage rows, want %d", run, rows[run], want)
			}
		}
	})
}

func TestTheEndOfARunIsToldWhereTheNextBeginsInTheSameTransaction(t *testing.T) {
	m := newMachine()
	for _, f := range append(whole(0, false), again(0, "rpl_x")) {
		m.apply(t, f)
	}
	var ends []*schemas.JobChanged
	for _, e := range m.out {
		if c, ok := e.(*schemas.JobChanged); ok {
			ends = append(ends, c)
		}
	}
	if len(ends) != 1 || ends[0].Run != 0 || ends[0].Status != schemas.Completed || ends[0].PagesDone != 2 {
		t.Fatalf("told: %+v", ends)
	}
	m.commit(t)
	if s := m.load(t); s.Run != 1 || len(s.Runs) != 1 || s.Version <= ends[0].Version {
		t.Errorf("the state is run %d, version %d, after version %d", s.Run, s.Version, ends[0].Version)
	}
}

func TestANewRunKeepsWhenTheJobWasAccepted(t *testing.T) {
	m := newMachine()
	for _, f := range whole(0, false) {
		m.apply(t, f)
	}
	m.commit(t)
	r := again(0, "rpl_x").(*schemas.RunRequested)
	r.SubmittedAt = t0.Add(time.Hour)
	m.apply(t, r)
	if m.state.SubmittedAt != t0 {
		t.Errorf("the job was accepted at %s, says the new run", m.state.SubmittedAt)
	}
	s := m.out[len(m.out)-1].(*schemas.DocumentSubmitted)
	if s.Priority != "high" || s.Run != 1 || s.SubmittedAt != t0 {
		t.Errorf("the new run is submitted as %+v", s)
	}
}

// TestAVanishedSourceEndsTheNewRunAlone: the run that finds its source gone has failed; how the one before it ended stays known.
func TestAVanishedSourceEndsTheNewRunAlone(t *testing.T) {
	m := newMachine()
	for _, f := range append(whole(0, false), again(0, "rpl_x"),
		&schemas.DocumentRefused{Head: head(1, "prepare", 0, "DocumentRefused", 1500), Submission: wire, Code: "SOURCE_MISSING", Message: "m"}) {
		m.apply(t, f)
	}
	m.commit(t)
	if s := m.load(t); s.Run != 1 || s.Status != schemas.Failed || s.Code != "SOURCE_MISSING" || s.ReplayID != "rpl_x" || s.Runs[0].Status != schemas.Completed {
		t.Errorf("the job is %+v", s)
	}
}
