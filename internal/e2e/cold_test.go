package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAJobIsAnsweredFromTheObjectStoreOnceItIsCold: the service lets go of a job that ended, answers about it as before, and runs it again.
func TestAJobIsAnsweredFromTheObjectStoreOnceItIsCold(t *testing.T) {
	p := startIn(t, nil, "--set", "stream.tick=200ms", "--set", "track.hot=2s")
	note := p.submit("note.txt", []byte("It is short."), nil)
	if j := p.wait(note, time.Minute); j.Status != "completed" {
		t.Fatalf("the job ended as %+v", j)
	}
	path := "/api/v1/jobs/" + note
	before, result := string(p.get(path).body), string(p.get(path+"/result?format=text").body)
	p.eventually(time.Minute, "the list to lose the job", func() bool { return !strings.Contains(string(p.get("/api/v1/jobs").body), note) })
	if after := string(p.get(path).body); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if after := string(p.get(path + "/result?format=text").body); after != result {
		t.Errorf("the result was %q and is %q", result, after)
	}
	a, err := p.request(http.MethodPost, path+"/reprocess", strings.NewReader(`{"output_formats":["text"]}`), "application/json")
	if err != nil || a.status != http.StatusAccepted {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	if j := p.wait(note, time.Minute); j.Status != "completed" || !strings.Contains(string(p.get(path).body), `"run":1`) {
		t.Errorf("its second run ended as %+v", j)
	}
	if a := p.get(path + "/result?run=0&format=text"); string(a.body) != result {
		t.Errorf("the result of the first run: %d %s", a.status, a.body)
	}
}
