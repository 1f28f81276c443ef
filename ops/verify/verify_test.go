package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"docstream/ops/verify"
	"docstream/processors/tally"
	"docstream/schemas"
)

const sum = "ab12"

var today = verify.Day{Tenant: "acme", Day: "2026-01-31"}

func id(n int) string { return schemas.JobIDFor("verify", fmt.Sprint(n)) }

func head(tenant string, n, run int) schemas.Head {
	return schemas.Head{Tenant: tenant, JobID: id(n), Run: run}
}

// add puts one whole job into the evidence: three pages, the last failed where partial.
func add(e *verify.Evidence, tenant string, n int, partial bool) verify.Job {
	j := verify.Job{Tenant: tenant, ID: id(n)}
	r := verify.Run{Job: j}
	source := schemas.Source{Key: schemas.SourceKey(tenant, fmt.Sprint(n)), Size: 9, SHA256: sum, MediaType: "application/pdf"}
	e.Accepted = append(e.Accepted, j)
	e.Submitted[j] = &schemas.DocumentSubmitted{Head: head(tenant, n, 0), Source: source}
	e.Objects[source.Key] = 9
	s := &schemas.JobSnapshot{Head: head(tenant, n, 0), Version: 3, Status: schemas.Completed, Source: source, Pipeline: "pv", PagesExpected: 3}
	e.Closed[r] = map[int]bool{}
	use := func(stage string, page int) {
		h := head(tenant, n, 0)
		h.EventID = fmt.Sprint(id(n), stage, page)
		h.At = time.Date(2026, 1, 30+n%2, 12, 0, 0, 0, time.UTC) // the jobs of one tenant on two days
		u := &schemas.UsageRecorded{Head: h, Stage: stage, Page: page, Device: "cpu", Units: 1, CPUMicros: 5, WallMicros: 7}
		e.Usage = append(e.Usage, u)
		d := verify.Day{Tenant: tenant, Day: h.At.Format(time.DateOnly)}
		// What a fold over the rows keeps is its own test's business: here it is counted by the fold itself.
		e.Days[d], _, _, _ = tally.New().Apply(context.Background(), e.Days[d], u)
		e.Charged[verify.Work{Run: r, Stage: stage, Page: page}]++
	}
	use("compose", 0)
	for page := 1; page <= 3; page++ {
		use("prepare", page)
		if e.Closed[r][page] = !partial || page < 3; e.Closed[r][page] {
			s.Finished, s.PagesDone = schemas.Bitmap(s.Finished).Set(page), s.PagesDone+1
			continue
		}
		s.Failed, s.PagesFailed, s.Status = schemas.Bitmap(s.Failed).Set(page), s.PagesFailed+1, schemas.Partial
		s.Failures = append(s.Failures, schemas.PageFailure{Page: page, Code: "ENGINE_CRASHED"})
	}
	for _, f := range []string{"json", "markdown"} {
		o := schemas.Output{Format: f, Key: schemas.ResultKey(tenant, id(n), 0, "document."+f), Size: 7, SHA256: f}
		s.Outputs = append(s.Outputs, o)
		e.Objects[o.Key] = 7
	}
	for v, status := range []string{schemas.Processing, schemas.Processing, s.Status} {
		e.Changes = append(e.Changes, &schemas.JobChanged{Head: head(tenant, n, 0), Version: int64(v + 1), Status: status})
	}
	e.States[j], e.Rows[r] = s, s.Status
	e.API[j] = verify.Answer{Status: s.Status, Version: 3, Done: s.PagesDone, Failed: s.PagesFailed}
	return j
}

func sound() (verify.Evidence, verify.Job, verify.Job) {
	e := verify.Evidence{Submitted: map[verify.Job]*schemas.DocumentSubmitted{}, States: map[verify.Job]*schemas.JobSnapshot{}, Closed: map[verify.Run]map[int]bool{},
		Letters: map[string]int{"ocr": 1}, Told: map[string]int{"ocr": 1}, Objects: map[string]int64{}, Tables: true, Rows: map[verify.Run]string{},
		Charged: map[verify.Work]int{}, API: map[verify.Job]verify.Answer{}, Days: map[verify.Day]*schemas.UsageSummed{}}
	a := add(&e, "acme", 1, false)
	b := add(&e, "acme", 2, true)
	add(&e, "rival", 3, false)
	return e, a, b
}

func TestASoundServiceIsPassed(t *testing.T) {
	e, _, _ := sound()
	if v := verify.Check(e); len(v) > 0 {
		t.Errorf("%v", v)
	}
}

// TestTheCheckerCanFail: each mutation of a sound service breaks the promise it is about, and is said so.
func TestTheCheckerCanFail(t *testing.T) {
	for name, c := range map[string]struct {
		promise, says string
		mutate        func(e *verify.Evidence, a, b verify.Job)
	}{
		"a lost job":            {"P1", "not in the log", func(e *verify.Evidence, a, b verify.Job) { delete(e.Submitted, a) }},
		"a job without a state": {"P1", "has no state", func(e *verify.Evidence, a, b verify.Job) { delete(e.States, a) }},
		"a lost source":         {"P1", "its source", func(e *verify.Evidence, a, b verify.Job) { delete(e.Objects, e.States[a].Source.Key) }},
		"a source cut short":    {"P1", "its source", func(e *verify.Evidence, a, b verify.Job) { e.Objects[e.States[a].Source.Key]-- }},
		"a job that hangs": {"P2", "still processing", func(e *verify.Evidence, a, b verify.Job) {
			e.States[a].Status = schemas.Processing
		}},
		"a second terminal state": {"P2", "ended 2 times", func(e *verify.Evidence, a, b verify.Job) {
			e.Changes = append(e.Changes, &schemas.JobChanged{Head: e.States[a].Head, Version: 4, Status: schemas.Failed})
			e.States[a].Version = 4
		}},
		"a run that comes back to life": {"P2", "after it ended", func(e *verify.Evidence, a, b verify.Job) {
			e.Changes = append(e.Changes, &schemas.JobChanged{Head: e.States[a].Head, Version: 4, Status: schemas.Processing})
		}},
		"a version that falls": {"P2", "follows version", func(e *verify.Evidence, a, b verify.Job) {
			e.Changes = append(e.Changes, &schemas.JobChanged{Head: e.States[a].Head, Version: 2, Status: schemas.Completed})
		}},
		"an end nobody told": {"P2", "no end of it", func(e *verify.Evidence, a, b verify.Job) {
			e.Changes = slices.DeleteFunc(e.Changes, func(c *schemas.JobChanged) bool { return c.JobID == a.ID })
		}},
		"another end in analytics": {"P2", "the analytics say", func(e *verify.Evidence, a, b verify.Job) { e.Rows[verify.Run{Job: a}] = schemas.Failed }},
		"a lost row in analytics":  {"P2", "the analytics say", func(e *verify.Evidence, a, b verify.Job) { delete(e.Rows, verify.Run{Job: a}) }},
		"a doubled usage record":   {"P2", "written twice", func(e *verify.Evidence, a, b verify.Job) { e.Usage = append(e.Usage, e.Usage[0]) }},
		"a second usage record": {"P2", "2 usage rows", func(e *verify.Evidence, a, b verify.Job) {
			u := *e.Usage[1]
			u.EventID = "evt_other"
			e.Usage = append(e.Usage, &u)
		}},
		"a doubled usage row": {"P2", "2 usage rows", func(e *verify.Evidence, a, b verify.Job) {
			e.Charged[verify.Work{Run: verify.Run{Job: a}, Stage: "prepare", Page: 1}]++
		}},
		"a lost usage row": {"P2", "0 usage rows", func(e *verify.Evidence, a, b verify.Job) {
			delete(e.Charged, verify.Work{Run: verify.Run{Job: a}, Stage: "prepare", Page: 1})
		}},
		"a page charged for nothing": {"P2", "the log does not", func(e *verify.Evidence, a, b verify.Job) {
			e.Charged[verify.Work{Run: verify.Run{Job: a}, Stage: "ocr", Page: 7}] = 1
		}},
		"a row counted twice in a day": {"P2", "the sum of prepare", func(e *verify.Evidence, a, b verify.Job) { e.Days[today].Lines[1].Pages++ }},
		"time lost from a day":         {"P2", "the sum of compose", func(e *verify.Evidence, a, b verify.Job) { e.Days[today].Lines[0].CPUMicros-- }},
		"a line lost from a day":       {"P2", "the sum of compose", func(e *verify.Evidence, a, b verify.Job) { e.Days[today].Lines = e.Days[today].Lines[1:] }},
		"a line of another device": {"P2", "has no row of it", func(e *verify.Evidence, a, b verify.Job) {
			e.Days[today].Lines = append(e.Days[today].Lines, schemas.UsageLine{Stage: "prepare", Device: "cuda"})
		}},
		"pages of a day miscounted": {"P2", "its lines come to", func(e *verify.Evidence, a, b verify.Job) { e.Days[today].Pages++ }},
		"a day never summed":        {"P2", "never summed", func(e *verify.Evidence, a, b verify.Job) { delete(e.Days, today) }},
		"a day of another tenant": {"P2", "has no row of it", func(e *verify.Evidence, a, b verify.Job) {
			e.Days[verify.Day{Tenant: "other", Day: today.Day}] = e.Days[today]
		}},
		"a page without usage": {"P2", "no usage row", func(e *verify.Evidence, a, b verify.Job) {
			e.Usage = slices.DeleteFunc(e.Usage, func(u *schemas.UsageRecorded) bool { return u.JobID == a.ID && u.Page == 2 })
		}},
		"a lost page": {"P2", "2 pages done and 0 failed of 3", func(e *verify.Evidence, a, b verify.Job) {
			s := e.States[a]
			s.Finished = schemas.Bitmap(s.Finished).Clear(2)
			s.PagesDone--
		}},
		"a page counted twice":   {"P2", "it counts", func(e *verify.Evidence, a, b verify.Job) { e.States[a].PagesDone++ }},
		"a page nobody finished": {"P2", "no fact says so", func(e *verify.Evidence, a, b verify.Job) { delete(e.Closed[verify.Run{Job: a}], 3) }},
		"a failed page unnamed":  {"P2", "is not named", func(e *verify.Evidence, a, b verify.Job) { e.States[b].Failures = nil }},
		"a failed page hidden":   {"P2", "it is completed", func(e *verify.Evidence, a, b verify.Job) { e.States[b].Status = schemas.Completed }},
		"no result set":          {"P2", "no result set", func(e *verify.Evidence, a, b verify.Job) { e.States[a].Outputs = nil }},
		"a lost result":          {"P2", "lies in", func(e *verify.Evidence, a, b verify.Job) { delete(e.Objects, e.States[a].Outputs[1].Key) }},
		"a result in two objects": {"P2", "two results", func(e *verify.Evidence, a, b verify.Job) {
			s := e.States[a]
			s.Outputs = append(s.Outputs, s.Outputs[0])
		}},
		"a letter without a reason": {"P3", "does not say why", func(e *verify.Evidence, a, b verify.Job) { e.Bare = []string{"dlq.ocr/0@1"} }},
		"a letter nobody told of":   {"P3", "the fold was told", func(e *verify.Evidence, a, b verify.Job) { e.Letters["ocr"]++ }},
		"a job the API forgot":      {"P4", "does not know it", func(e *verify.Evidence, a, b verify.Job) { e.API[a] = verify.Answer{} }},
		"an old answer":             {"P4", "the API says", func(e *verify.Evidence, a, b verify.Job) { x := e.API[a]; x.Version--; e.API[a] = x }},
		"another result":            {"P5", "differs from", func(e *verify.Evidence, a, b verify.Job) { e.States[a].Outputs[0].SHA256 = "other" }},
		"a foreign tenant's object": {"P8", "no such job", func(e *verify.Evidence, a, b verify.Job) {
			e.Objects[schemas.ResultKey("rival", a.ID, 0, "pages/000001.json")] = 1
		}},
		"a result at another's": {"P8", "its result lies in", func(e *verify.Evidence, a, b verify.Job) {
			e.States[a].Outputs[0].Key = schemas.ResultKey("rival", id(3), 0, "document.json")
		}},
		"a source of another tenant": {"P8", "its source lies in", func(e *verify.Evidence, a, b verify.Job) { e.States[a].Source.Key = schemas.SourceKey("rival", "3") }},
	} {
		t.Run(name, func(t *testing.T) {
			e, a, b := sound()
			c.mutate(&e, a, b)
			v := verify.Check(e)
			if !slices.ContainsFunc(v, func(v verify.Violation) bool { return v.Promise == c.promise && strings.Contains(v.String(), c.says) }) {
				t.Errorf("it was not caught: %v", v)
			}
		})
	}
}
