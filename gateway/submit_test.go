package gateway_test

import (
	"net/http"
	"testing"
)

func TestASubmissionIsAcceptedAndSeen(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := r.submit(token, file("hello"))
	a := r.get(token, "/api/v1/jobs/"+job)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	t.Logf("%s", a.body)
}
