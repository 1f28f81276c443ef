package replay_test

import (
	"context"
	"testing"
	"time"

	"docstream/internal/stream"
	"docstream/producers/replay"
	"docstream/schemas"
)

// letGo is jobs of acme that nobody knows any more but the archive, which has their submissions, and the object store, which has how each
// ended, or nothing of a job that says nil.
func (w *world) letGo(n int, how func(int, *schemas.JobSnapshot) *schemas.JobSnapshot) (from time.Time, jobs []string) {
	w.t.Helper()
	from = time.Now().Add(-240 * time.Hour).UTC().Truncate(time.Second)
	var records []replay.Record
	for i := range n {
		at := from.Add(time.Duration(i) * time.Millisecond)
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: acme, JobID: schemas.NewJobID(at), At: at, SubmittedAt: at}, FromPage: 1, Class: "cpu", Priority: "low",
			Source: schemas.Source{Size: 5, MediaType: "text/plain"}, Options: schemas.Options{OCR: "auto"}}
		e.Source.Key = schemas.SourceKey(acme, e.JobID)
		e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
		w.store.put(e.Source.Key, 5)
		jobs, records = append(jobs, e.JobID), append(records, stream.Claim(w.record(e)))
		s := how(i, &schemas.JobSnapshot{Head: e.Head, Version: 7, Status: schemas.Completed, Stage: "done", Class: e.Class, Priority: e.Priority, Source: e.Source,
			Options: e.Options, PagesTotal: 1, PagesExpected: 1, PagesDone: 1, Finished: schemas.Bitmap(nil).Set(1), Text: schemas.Bitmap(nil).Set(1), Pipeline: "pv_one", EndedAt: at})
		if s == nil {
			continue
		}
		text, err := schemas.Text(s)
		if err != nil {
			w.t.Fatal(err)
		}
		w.store.write(schemas.JobFileKey(acme, s.JobID, s.Run, s.Version), text)
	}
	w.source = func(_ context.Context, _, _ time.Time, yield func(replay.Record) error) error {
		for _, r := range records {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}
	return from, jobs
}

// TestAJobThatWasLetGoTakesOverWhatItHas: from a stage it keeps the pages of the run that its job.json tells of, and goes on from there.
func TestAJobThatWasLetGoTakesOverWhatItHas(t *testing.T) {
	w := newWorld(t)
	from, jobs := w.letGo(2, func(i int, s *schemas.JobSnapshot) *schemas.JobSnapshot {
		if i == 1 {
			return nil
		}
		s.Run, s.Version, s.Runs = 1, 12, []schemas.PastRun{{Run: 0, Status: schemas.Failed}}
		return s
	})
	w.executor(w.publisher())
	r := replay.Request{Tenant: acme, Selection: since(from), Stage: schemas.FromOCR, Rate: 100, Dry: true}
	id, _ := w.say(r)
	if dry := w.ended(acme, id); dry.JobsTotal != 2 || dry.WholeJobs != 1 || dry.WholePages != 1 {
		t.Errorf("counted as %+v", dry)
	}
	r.Dry = false
	id, _ = w.say(r)
	if e := w.ended(acme, id); e.JobsAsked != 2 || e.Completed != 2 {
		t.Errorf("ended as %+v", e)
	}
	w.mu.Lock()
	told, unknown := w.given[jobs[0]], w.given[jobs[1]]
	w.mu.Unlock()
	if told.Run != 2 || told.BaseRun != 1 || told.Kept != "1" || told.KeptPipeline != "pv_one" || told.FromStage != schemas.FromOCR {
		t.Errorf("prepare was given %+v", told)
	}
	if unknown.Run != 1 || unknown.Kept != "" || unknown.FromStage != "" {
		t.Errorf("of a job nobody has kept anything of prepare was given %+v", unknown)
	}
	if s := w.job(acme, jobs[0]); s.Version <= 12 || len(s.Runs) != 2 || s.Runs[0].Status != schemas.Failed || s.Runs[1].Status != schemas.Completed {
		t.Errorf("the job is %+v", s)
	}
}

// TestJobsThatWereLetGoMeetTheCriteriaTheyEndedBy: the count before and the run come to the same jobs.
func TestJobsThatWereLetGoMeetTheCriteriaTheyEndedBy(t *testing.T) {
	w := newWorld(t)
	from, jobs := w.letGo(4, func(i int, s *schemas.JobSnapshot) *schemas.JobSnapshot {
		switch i {
		case 1:
			s.Status, s.Code = schemas.Failed, string(schemas.DocumentCorrupt)
		case 2:
			s.Status = schemas.Cancelled
		case 3:
			return nil
		}
		return s
	})
	w.executor(w.publisher())
	for _, c := range []struct {
		name string
		of   schemas.Selection
		jobs int64
	}{
		{"by status", schemas.Selection{From: from, Statuses: []string{schemas.Failed}}, 1},
		{"by code", schemas.Selection{From: from, Codes: []string{string(schemas.DocumentCorrupt)}}, 1},
		{"by pipeline, but for the one that was cancelled", schemas.Selection{From: from, Pipelines: []string{"pv_one"}}, 2},
		{"by another pipeline", schemas.Selection{From: from, Pipelines: []string{"pv_two"}}, 0},
	} {
		id, _ := w.say(replay.Request{Tenant: acme, Selection: c.of, Dry: true})
		if e := w.ended(acme, id); e.JobsTotal != c.jobs {
			t.Errorf("%s: counted as %+v, want %d jobs", c.name, e, c.jobs)
		}
	}
	id, _ := w.say(replay.Request{Tenant: acme, Selection: schemas.Selection{From: from, Statuses: []string{schemas.Failed}}, Rate: 100})
	if e := w.ended(acme, id); e.JobsAsked != 1 || e.Completed != 1 || e.Skipped != 0 {
		t.Errorf("ended as %+v", e)
	}
	if s := w.job(acme, jobs[1]); s.Run != 1 || s.Runs[0].Code != string(schemas.DocumentCorrupt) {
		t.Errorf("the job is %+v", s)
	}
}
