package gateway_test

import (
	"testing"
	"time"

	"docstream/gateway"
	"docstream/internal/topology"
	"docstream/schemas"
)

type pricedJob struct {
	Position int `json:"queue_position"`
	Cost     struct {
		Currency    string
		Cost        int64 `json:"cost_nano_dollars"`
		StoredBytes int64 `json:"stored_bytes"`
		StoredCost  int64 `json:"stored_cost_nano_dollars"`
	}
	Timings struct {
		Stages []struct {
			Stage, Device string
			CPUMS         int64 `json:"cpu_ms"`
			WallMS        int64 `json:"wall_ms"`
			Cost          int64 `json:"cost_nano_dollars"`
		}
	}
}

func TestAJobSaysWhatItCostsAndWhereTheTimeWent(t *testing.T) {
	w := newWorld(t)
	prices := gateway.Prices{Document: 7, Page: 100, CPUSecond: 1000, GPUSecond: 50_000, StoredGB: 2_000_000_000}
	priced := func(c *gateway.Config) { c.Prices = prices }
	r, twin := w.replica(priced), w.replica(priced)
	token := w.key("acme")
	job, theirs := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "text", "words")
	s.Source.Size = 995
	s.Spent = []schemas.UsageLine{
		{Stage: "ocr", Device: "cuda", Pages: 4, CPUMicros: 500_000, WallMicros: 2_000_000},
		{Stage: "prepare", Device: "cpu", Documents: 1, Pages: 4, CPUMicros: 3_000_000, WallMicros: 9_000_000},
	}
	foreign := w.finished("acme", theirs, "text", "words")
	foreign.Source.Bucket, foreign.Source.Size = "scans", 3_000_000_000
	w.publish(s, foreign)
	var a, b, c pricedJob
	r.get(token, "/api/v1/jobs/"+job).into(t, &a)
	twin.get(token, "/api/v1/jobs/"+job).into(t, &b)
	r.get(token, "/api/v1/jobs/"+theirs).into(t, &c)
	ocr, prepare := int64(500+2*50_000), int64(7+4*100+3*1000)
	if a.Cost.Currency != "USD" || a.Cost.StoredBytes != 1000 || a.Cost.StoredCost != 2000 || a.Cost.Cost != 2000+ocr+prepare {
		t.Errorf("%+v", a.Cost)
	}
	if st := a.Timings.Stages; len(st) != 2 || st[0].Stage != "ocr" || st[0].Device != "cuda" || st[0].CPUMS != 500 || st[0].WallMS != 2000 || st[0].Cost != ocr ||
		st[1].Stage != "prepare" || st[1].Cost != prepare {
		t.Errorf("%+v", st)
	}
	if a.Cost != b.Cost || len(b.Timings.Stages) != 2 {
		t.Errorf("P4: another replica says %+v", b)
	}
	if c.Cost.StoredBytes != 5 || c.Cost.Cost != 10 || a.Position+c.Position != 0 {
		t.Errorf("a source in a bucket of the tenant's own is stored by the tenant: %+v", c.Cost)
	}
	if err := (gateway.Prices{StoredGB: -1}).Validate(); err == nil {
		t.Error("a price below nothing is taken")
	}
}

func TestAWaitingJobKnowsItsPlace(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(nil), w.replica(nil)
	mine, other := w.key("acme"), w.key("rival")
	began := time.Now().UTC().Truncate(time.Minute).Add(-time.Hour)
	submit := func(tenant, priority string, after time.Duration) string {
		at := began.Add(after)
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: tenant, JobID: schemas.NewJobID(at), At: at, SubmittedAt: at}, FromPage: 1, Class: topology.Classes[0],
			Priority: priority, Source: schemas.Source{Key: "sources/" + tenant + "/x", Size: 5, MediaType: "text/plain"}, Options: schemas.Options{OCR: "auto"}}
		e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
		w.publish(e)
		return e.JobID
	}
	first := submit("rival", "normal", 0)
	second, same := submit("acme", "normal", 59*time.Second), submit("acme", "normal", 59*time.Second)
	third := submit("acme", "normal", 10*time.Minute)
	urgent := submit("acme", "high", 11*time.Minute)
	holds := func(when string, want map[string]int) {
		t.Helper()
		for job, n := range want {
			token := mine
			if job == first {
				token = other
			}
			for _, replica := range []*replica{r, twin} {
				var j pricedJob
				if replica.get(token, "/api/v1/jobs/"+job).into(t, &j); j.Position != n {
					t.Errorf("%s, %s is at %d, want %d", when, job, j.Position, n)
				}
			}
		}
	}
	holds("all wait", map[string]int{first: 1, second: 2, same: 2, third: 4, urgent: 1})
	opened, ended := snapshot("rival", first, 1, schemas.Processing), snapshot("acme", same, 1, schemas.Cancelled)
	opened.SubmittedAt, ended.SubmittedAt = began, began.Add(59*time.Second)
	w.publish(opened, ended)
	holds("one is opened and one cancelled", map[string]int{first: 0, same: 0, second: 1, third: 2, urgent: 1})
	again := snapshot("acme", second, 9, schemas.Pending) // a later run waits in lanes of its own
	again.Run, again.SubmittedAt = 1, began.Add(59*time.Second)
	w.publish(again)
	holds("one runs again", map[string]int{second: 0, third: 1})
}
