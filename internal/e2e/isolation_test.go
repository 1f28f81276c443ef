package e2e_test

import (
	"testing"
	"time"

	"docstream/ops/sample"
	"docstream/schemas"
)

// An urgent document of one page, submitted while a long one of low priority has pages in every stage, ends long before that one: the pages that
// come out in between are fewer than a chunk has, so it waited for pages of the long one and not for a chunk of it (P9).
func TestAnUrgentDocumentOvertakesALongOne(t *testing.T) {
	p := start(t)
	long, _ := made(t, sample.Options{Pages: 400, DPI: 72, Brief: true, Seed: 7})
	short, _ := made(t, sample.Options{Pages: 1, DPI: 72, Brief: true, Seed: 8})
	id := p.submit("long.pdf", long, map[string]string{"priority": "low", "output_formats": "text", "cache": "false"})
	p.eventually(3*time.Minute, "pages of the long document", func() bool { return p.status(id).Progress.Done >= 4 })

	before := p.status(id)
	urgent := p.submit("urgent.pdf", short, map[string]string{"priority": "high", "output_formats": "text", "cache": "false"})
	if j := p.wait(urgent, 5*time.Minute); j.Status != "completed" {
		t.Fatalf("the urgent document ended as %+v", j)
	}
	after := p.status(id)
	if terminal(after.Status) {
		t.Fatalf("the long document ended first: %+v", after)
	}
	n := after.Progress.Done - before.Progress.Done
	t.Logf("%d pages of the long document came out meanwhile", n)
	if n >= schemas.ChunkPages {
		t.Errorf("%d pages of the long document came out before the urgent one, a chunk is %d", n, schemas.ChunkPages)
	}
	if a, err := p.request("POST", "/api/v1/jobs/"+id+"/cancel", nil, ""); err != nil || a.status >= 300 {
		t.Errorf("cancelling the long one: %d, %v", a.status, err)
	}
	if j := p.wait(id, 2*time.Minute); j.Status != "cancelled" {
		t.Errorf("the long document ended as %+v", j)
	}
}
