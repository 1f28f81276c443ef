package gateway_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/producers/deadletters"
	"docstream/schemas"
)

type lettersBody struct {
	DeadLetters []struct {
		ID, Stage, Class, Code, Message, State string
		Attempts, Run, Page                    int
		JobID                                  string `json:"job_id"`
	} `json:"dead_letters"`
}

// bury writes the dead letter of a page as the harness does.
func (w *world) bury(tenant, job string, page int, code string) {
	w.t.Helper()
	r := w.record(&schemas.PageLaidOut{Head: schemas.Head{EventID: "evt_x", Tenant: tenant, JobID: job}, Page: page, Class: "cpu", Priority: "normal"})
	source := r.Topic
	r.Topic = w.plan.Name("dlq.ocr")
	for k, v := range map[string]string{schemas.HeaderDeadStage: "ocr", schemas.HeaderDeadClass: "unknown", schemas.HeaderDeadCode: code,
		schemas.HeaderDeadReason: "panic: secret internals", schemas.HeaderDeadTopic: source, schemas.HeaderAttempt: "4"} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	if err := w.cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func TestATenantRedrivesAndDiscardsItsOwnDeadLetters(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	r.gateway.ServeDeadLetters(deadletters.Box{Conn: w.conn, Plan: w.plan, Codec: w.codec, Client: w.cl})
	mine, other := w.key("acme"), w.key("rival")
	id, running := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	s := snapshot("acme", id, 9, schemas.Partial)
	s.Source, s.Pipeline = schemas.Source{Key: "sources/acme/x", Size: 3}, "pv_1"
	for _, p := range []int{1, 2, 5} {
		s.Finished = schemas.Bitmap(s.Finished).Set(p)
	}
	busy := snapshot("acme", running, 2, schemas.Processing)
	busy.Source = s.Source
	w.publish(s, busy)
	w.bury("acme", id, 3, "ENGINE_CRASHED")
	w.bury("acme", id, 4, "ENGINE_TIMEOUT")
	w.bury("acme", running, 1, "ENGINE_CRASHED")
	w.bury("rival", id, 3, "ENGINE_CRASHED")

	list := func(token, query string) lettersBody {
		var l lettersBody
		a := r.get(token, "/api/v1/dead-letters"+query)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		a.into(t, &l)
		return l
	}
	post := func(token, letter, verb string) answer {
		req, err := http.NewRequest(http.MethodPost, r.url+"/api/v1/dead-letters/"+letter+"/"+verb, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return r.do(req)
	}
	if l := list(mine, ""); len(l.DeadLetters) != 3 || l.DeadLetters[0].State != "open" || l.DeadLetters[0].Attempts != 4 {
		t.Fatalf("%+v", l)
	}
	if l := list(other, ""); len(l.DeadLetters) != 1 || l.DeadLetters[0].Page != 3 {
		t.Fatalf("the other tenant sees %+v", l)
	}
	byPage := map[int]string{}
	for _, l := range list(mine, "?job_id="+id).DeadLetters {
		byPage[l.Page] = l.ID
		if l.Message != schemas.Codes[schemas.Code(l.Code)].Meaning {
			t.Errorf("the message is %q", l.Message)
		}
	}
	if l := list(mine, "?code=ENGINE_TIMEOUT&limit=1"); len(l.DeadLetters) != 1 || l.DeadLetters[0].ID != byPage[4] {
		t.Errorf("by code: %+v", l)
	}
	for verb, want := range map[string]int{"redrive": 404, "discard": 404} {
		if a := post(other, byPage[3], verb); a.StatusCode != want {
			t.Errorf("another tenant's %s answers %d %s", verb, a.StatusCode, a.body)
		}
	}
	for _, none := range []string{"ocr-0-99999", "ocr-9-0", "nobody-0-0", "x", "ocr-0-" + strconv.Itoa(1<<40)} {
		if a := post(mine, none, "redrive"); a.StatusCode != http.StatusNotFound || a.code(t) != schemas.DeadLetterNotFound {
			t.Errorf("%s answers %d %s", none, a.StatusCode, a.body)
		}
	}
	if a := post(mine, list(mine, "?job_id="+running).DeadLetters[0].ID, "redrive"); a.StatusCode != http.StatusConflict || a.code(t) != schemas.DeadLetterNotRedrivable {
		t.Errorf("a running job's letter answers %d %s", a.StatusCode, a.body)
	}

	if a := post(mine, byPage[3], "redrive"); a.StatusCode != http.StatusAccepted {
		t.Fatalf("redrive answers %d %s", a.StatusCode, a.body)
	}
	e, err := w.codec.Decode(t.Context(), w.read("facts", 1)[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	f := e.(*schemas.RunRequested)
	e, err = w.codec.Decode(t.Context(), f.Submission)
	if err != nil {
		t.Fatal(err)
	}
	sub := e.(*schemas.DocumentSubmitted)
	if f.AfterRun != 0 || f.Tenant != "acme" || f.JobID != id || sub.Kept != "1-2,5" || sub.KeptPipeline != "pv_1" || sub.BaseRun != 0 || sub.Source.Key != "sources/acme/x" || sub.FromPage != 1 {
		t.Errorf("asked for %+v of %+v", f, sub)
	}
	if l := list(mine, "?state=redriven"); len(l.DeadLetters) != 2 {
		t.Errorf("redriven: %+v", l)
	}
	if a := post(mine, byPage[4], "redrive"); a.StatusCode != http.StatusConflict {
		t.Errorf("a second redrive answers %d %s", a.StatusCode, a.body)
	}
	last := list(mine, "?state=open").DeadLetters
	if len(last) != 1 || post(mine, last[0].ID, "discard").StatusCode != http.StatusOK || len(list(mine, "?state=open").DeadLetters) != 0 {
		t.Errorf("after the discard: %+v", last)
	}
}
