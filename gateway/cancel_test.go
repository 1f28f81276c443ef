package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"docstream/schemas"
)

func TestAJobIsCancelledByItsTenantAlone(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	mine, other := w.key("acme"), w.key("rival")
	running, ended, gone := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	busy := snapshot("acme", running, 2, schemas.Processing)
	busy.Run = 1
	w.publish(busy, snapshot("acme", ended, 2, schemas.Completed), snapshot("acme", gone, 2, schemas.Cancelled))
	post := func(token, job string) answer {
		req, err := http.NewRequest(http.MethodPost, r.url+"/api/v1/jobs/"+job+"/cancel", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return r.do(req)
	}
	if a := post(other, running); a.StatusCode != http.StatusNotFound || a.code(t) != schemas.JobNotFound {
		t.Errorf("another tenant's job answers %d %s", a.StatusCode, a.body)
	}
	if a := post(mine, ended); a.StatusCode != http.StatusConflict || a.code(t) != schemas.JobEnded {
		t.Errorf("a job that ended answers %d %s", a.StatusCode, a.body)
	}
	if a := post(mine, gone); a.StatusCode != http.StatusOK {
		t.Errorf("a cancelled job answers %d %s", a.StatusCode, a.body)
	}
	if a := post(mine, running); a.StatusCode != http.StatusAccepted {
		t.Fatalf("a running job answers %d %s", a.StatusCode, a.body)
	}
	facts := w.read("facts", 1)
	e, err := w.codec.Decode(t.Context(), facts[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := e.(*schemas.CancelRequested); !ok || len(facts) != 1 || f.JobID != running || f.Tenant != "acme" || f.Run != 1 || f.RequestedBy == "" {
		t.Errorf("asked for: %+v", e)
	}
}
