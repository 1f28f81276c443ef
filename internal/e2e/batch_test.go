package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestABatchOutlivesTheGatewayThatFeedsIt: a gateway killed with signal 9 while it feeds goes on where it stood, and no item becomes two jobs.
func TestABatchOutlivesTheGatewayThatFeedsIt(t *testing.T) {
	const items = 240
	p := start(t)
	var lines strings.Builder
	for i := range items {
		fmt.Fprintf(&lines, `{"custom_id":"note %d","base64":%q,"filename":"note.txt","output_formats":["text"]}`+"\n", i,
			base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "This is the note of number %d.", i)))
	}
	a, err := p.request(http.MethodPost, "/api/v1/batches?priority=low", strings.NewReader(lines.String()), "application/jsonl")
	if err != nil || a.status != http.StatusAccepted {
		t.Fatalf("%v %+v", err, a)
	}
	type state struct {
		BatchID string         `json:"batch_id"`
		Status  string         `json:"status"`
		Counts  map[string]int `json:"counts"`
	}
	var b state
	a.json(t, &b)
	path := "/api/v1/batches/" + b.BatchID
	p.eventually(time.Minute, "some items to be fed", func() bool {
		var page struct {
			Items []struct {
				JobID string `json:"job_id"`
			} `json:"items"`
		}
		p.get(path+"/items?limit=1").json(t, &page)
		return len(page.Items) == 1 && page.Items[0].JobID != ""
	})
	p.kill("gateway")
	p.eventually(3*time.Minute, "the batch to end", func() bool {
		a, err := p.request(http.MethodGet, path, nil, "")
		if err != nil || a.status != http.StatusOK {
			return false // it is starting again
		}
		a.json(t, &b)
		return b.Status == "completed"
	})
	if b.Counts["completed"] != items {
		t.Errorf("%+v", b)
	}
	jobs := map[string]bool{}
	for next, n := "", 0; n == 0 || next != ""; n++ {
		var page struct {
			Jobs []struct {
				JobID    string            `json:"job_id"`
				Metadata map[string]string `json:"metadata"`
			} `json:"jobs"`
			NextCursor string `json:"next_cursor"`
		}
		p.get("/api/v1/jobs?limit=100&tag=batch_id:"+b.BatchID+"&cursor="+next).json(t, &page)
		for _, j := range page.Jobs {
			jobs[j.Metadata["custom_id"]+" "+j.JobID] = true
		}
		next = page.NextCursor
	}
	if len(jobs) != items {
		t.Errorf("%d items became %d jobs", items, len(jobs))
	}
}
