package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/schemas"
)

func TestADeadlineIsToldToTheFoldAndShown(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	send := func(query string) answer {
		req, err := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents?filename=a.txt"+query, strings.NewReader("a line of text\n"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "text/plain")
		return r.do(req)
	}
	for _, bad := range []string{"0", "-1", "soon", "259201"} {
		if a := send("&deadline_seconds=" + bad); a.code(t) != schemas.InvalidOption {
			t.Errorf("a deadline of %s is answered %d %s", bad, a.StatusCode, a.body)
		}
	}
	var without, with struct {
		JobID    string `json:"job_id"`
		Deadline string `json:"deadline_at"`
		Created  string `json:"created_at"`
	}
	send("").into(t, &without)
	send("&deadline_seconds=600").into(t, &with)
	facts := w.read("facts", 1)
	e, err := w.codec.Decode(t.Context(), facts[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := e.(*schemas.DeadlineSet)
	if !ok || len(w.all("facts")) != 1 || f.JobID != with.JobID || f.Tenant != "acme" {
		t.Fatalf("the fold is told %d facts: %+v", len(facts), e)
	}
	e, err = w.codec.Decode(t.Context(), f.Submission)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.(*schemas.DocumentSubmitted); s.JobID != with.JobID || s.Deadline.Sub(s.SubmittedAt) != 10*time.Minute {
		t.Errorf("the fold is told of %+v", s)
	}
	r.get(token, "/api/v1/jobs/"+with.JobID).into(t, &with)
	created, err := time.Parse(time.RFC3339Nano, with.Created)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := time.Parse(time.RFC3339Nano, with.Deadline); err != nil || at.Sub(created) != 10*time.Minute {
		t.Errorf("the job was accepted at %s and is to end by %q", with.Created, with.Deadline)
	}
	r.get(token, "/api/v1/jobs/"+without.JobID).into(t, &without)
	if without.Deadline != "" {
		t.Errorf("a job without a deadline shows %q", without.Deadline)
	}
}
