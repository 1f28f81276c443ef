package track_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"docstream/schemas"
)

// waiting is the fact that work of a stage waits for its next attempt: of a page, or of prepare from a page on.
func waiting(run int, stage string, page, attempt int) schemas.Event {
	f := &schemas.RetryScheduled{Head: head(run, stage, page, "RetryScheduled", attempt), Stage: stage, Code: "STAGE_FAILED", Message: "m", Attempt: attempt,
		MaxRetries: 3, Due: t0.Add(time.Duration(100*attempt) * time.Second)}
	f.EventID = schemas.EventIDFor(job, run, stage, page, f.Kind(), int64(attempt))
	if stage == "prepare" {
		f.FromPage, f.Submission = page, wire
	} else {
		f.Page = page
	}
	return f
}

func TestWaitingWorkIsShownUntilItIsOver(t *testing.T) {
	pages := func(n ...int) (out []schemas.Event) {
		for _, p := range n {
			out = append(out, finished(0, p))
		}
		return out
	}
	type shown struct {
		page, attempt int
		stage         string
	}
	for _, c := range []struct {
		name  string
		facts []schemas.Event
		want  []shown
	}{
		{"it can be the first fact", []schemas.Event{waiting(0, "prepare", 1, 1)}, []shown{{1, 1, "prepare"}}},
		{"the opening ends prepare's", []schemas.Event{waiting(0, "prepare", 1, 1), opened(0, 2)}, nil},
		{"one that comes after the opening is late", []schemas.Event{opened(0, 2), waiting(0, "prepare", 1, 1)}, nil},
		{"a closed page ends its own", append([]schemas.Event{opened(0, 3), waiting(0, "ocr", 1, 1), waiting(0, "ocr", 2, 1)}, pages(1)...), []shown{{2, 1, "ocr"}}},
		{"the later attempt counts, in any order", []schemas.Event{opened(0, 3), waiting(0, "ocr", 2, 2), waiting(0, "ocr", 2, 1), waiting(0, "ocr", 2, 2)}, []shown{{2, 2, "ocr"}}},
		{"the later stage counts", []schemas.Event{opened(0, 3), waiting(0, "ocr", 2, 1), waiting(0, "layout", 2, 3)}, []shown{{2, 1, "ocr"}}},
		{"a page of its chunk ends a continuation's", append([]schemas.Event{opened(0, 70), waiting(0, "prepare", 33, 1), waiting(0, "prepare", 65, 1)}, pages(40)...), []shown{{65, 1, "prepare"}}},
		{"the outputs can wait", append([]schemas.Event{opened(0, 1)}, append(pages(1), waiting(0, "compose", 0, 1))...), []shown{{0, 1, "compose"}}},
		{"the end ends all", append([]schemas.Event{opened(0, 2), waiting(0, "ocr", 2, 1)}, &schemas.CancelRequested{Head: head(0, "", 0, "CancelRequested", 3)}), nil},
		{"of another run it is nothing", []schemas.Event{opened(0, 2), waiting(1, "ocr", 2, 1)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			for _, f := range c.facts {
				if m.apply(t, f) {
					m.commit(t)
				}
			}
			s := m.load(t)
			var got []shown
			for _, r := range s.Retries {
				got = append(got, shown{r.Page, r.Attempt, r.Stage})
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v waits, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v waits, want %v", got, c.want)
				}
			}
			if s.Source.Key == "" || s.Priority != "high" {
				t.Error("the job lost what it was submitted as")
			}
		})
	}
}

// TestTheStateNamesTheLowestHundredThatWait: a document all of whose pages fail does not grow its state.
func TestTheStateNamesTheLowestHundredThatWait(t *testing.T) {
	m := newMachine()
	m.apply(t, opened(0, 300))
	for page := 300; page > 0; page-- {
		m.apply(t, waiting(0, "ocr", page, 1))
	}
	m.commit(t)
	if s := m.load(t); len(s.Retries) != 100 || s.Retries[0].Page != 1 || s.Retries[99].Page != 100 {
		t.Errorf("%d wait, from page %d", len(s.Retries), s.Retries[0].Page)
	}
}

// retriesOf draws the retries that can have come before the facts of a history: for any page, any stage, some attempts.
func retriesOf(rt *rapid.T, pages int) []schemas.Event {
	var out []schemas.Event
	for range rapid.IntRange(0, 12).Draw(rt, "retries") {
		page, attempt := rapid.IntRange(1, pages).Draw(rt, "retried"), rapid.IntRange(1, 3).Draw(rt, "attempt")
		stage := rapid.SampledFrom([]string{"prepare", "layout", "ocr"}).Draw(rt, "of")
		if stage == "prepare" {
			page = schemas.Chunk(page)
		}
		out = append(out, waiting(0, stage, page, attempt))
	}
	return out
}

// TestRetriesInAnyOrderLeaveTheSameState: what is shown as waiting depends on the facts, not on their order, while pages are open too.
func TestRetriesInAnyOrderLeaveTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pages := rapid.IntRange(2, 80).Draw(rt, "pages")
		facts := append([]schemas.Event{opened(0, pages)}, retriesOf(rt, pages)...)
		for page := 2; page <= pages; page++ { // page 1 stays open: the job goes on
			switch rapid.IntRange(0, 3).Draw(rt, "page") {
			case 0:
				facts = append(facts, finished(0, page))
			case 1:
				facts = append(facts, failed(0, page))
			}
		}
		run := func(facts []schemas.Event) *machine {
			m := newMachine()
			for _, f := range facts {
				m.apply(rt, f)
				m.apply(rt, f)
				if rapid.IntRange(0, 4).Draw(rt, "commit") == 0 {
					m.commit(rt)
				}
			}
			m.commit(rt)
			m.crash(rt)
			return m
		}
		if a, b := run(facts), run(rapid.Permutation(facts).Draw(rt, "order")); a.hash(rt) != b.hash(rt) {
			rt.Fatalf("the states differ:\n%+v\n%+v", a.load(rt), b.load(rt))
		}
	})
}
