package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/ops/sample"
)

// TestWhatHasItsTimeEndsWithIt: a job whose deadline passes while its pages are read ends expired, and the workers turn to others; a result
// that was kept long enough is gone, and its job stays completed.
func TestWhatHasItsTimeEndsWithIt(t *testing.T) {
	p := startIn(t, nil, "--set", "stream.tick=200ms", "--set", "retention.by=sweep", "--set", "retention.results=4s", "--set", "retention.every=1s")
	long := sample.Default()
	long.Pages = 40
	pdf, _ := made(t, long)
	late := p.submit("long.pdf", pdf, map[string]string{"deadline_seconds": "2"})
	j := p.wait(late, time.Minute)
	if j.Status != "expired" || j.Error == nil || j.Error.Code != "DEADLINE_EXCEEDED" {
		t.Fatalf("the job ended as %+v", j)
	}
	if a := p.get("/api/v1/jobs/" + late + "/result?format=text"); a.status != http.StatusConflict || !strings.Contains(string(a.body), "RESULT_NOT_AVAILABLE") {
		t.Errorf("its result: %d %s", a.status, a.body)
	}
	note := p.submit("note.txt", []byte("It is short."), map[string]string{"deadline_seconds": "600"})
	if j := p.wait(note, time.Minute); j.Status != "completed" {
		t.Fatalf("a job that has time ended as %+v", j)
	}
	path := "/api/v1/jobs/" + note
	p.eventually(time.Minute, "the result to be gone", func() bool {
		a := p.get(path + "/result?format=text")
		return a.status == http.StatusGone && strings.Contains(string(a.body), "RESULT_EXPIRED")
	})
	if j := p.status(note); j.Status != "completed" {
		t.Errorf("the job whose result is gone is %+v", j)
	}
	if got := p.status(late); got.Version != j.Version {
		t.Errorf("the expired job went on to %+v", got)
	}
}
