package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/retention"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// TestAResultThatWasKeptLongEnoughIsGoneAndItsJobStays: with a retention of a second, on a real store, by a sweep.
func TestAResultThatWasKeptLongEnoughIsGoneAndItsJobStays(t *testing.T) {
	w := newWorld(t)
	store, err := blob.Open(testenv.S3(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := w.replicaOn(store, nil)
	token, job := w.key("acme"), schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "markdown", "# Title")
	if err := store.Put(t.Context(), s.Outputs[0].Key, []byte("# Title"), blob.Options{}); err != nil {
		t.Fatal(err)
	}
	w.publish(s)
	path := "/api/v1/jobs/" + job
	if a := r.get(token, path+"/result"); a.StatusCode != http.StatusOK {
		t.Fatalf("before: %d %s", a.StatusCode, a.body)
	}
	cfg := retention.DefaultConfig()
	cfg.By, cfg.Results = retention.Sweep, time.Second
	k := retention.New(cfg, store, w.log, nil)
	turn := time.Now().Truncate(time.Hour)
	for end := time.Now().Add(20 * time.Second); ; turn = turn.Add(time.Hour) {
		if outcome, err := k.Once(t.Context(), turn); outcome != "done" {
			t.Fatal(outcome, err)
		}
		a := r.get(token, path+"/result")
		if a.StatusCode == http.StatusGone {
			if a.code(t) != schemas.ResultExpired {
				t.Errorf("after: %s", a.body)
			}
			break
		}
		if a.StatusCode != http.StatusOK || time.Now().After(end) {
			t.Fatalf("meanwhile: %d %s", a.StatusCode, a.body)
		}
	}
	var shown struct {
		Status string `json:"status"`
	}
	if r.get(token, path).into(t, &shown); shown.Status != schemas.Completed {
		t.Errorf("the job is %s", shown.Status)
	}
}
