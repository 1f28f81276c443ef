package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"docstream/internal/testenv"
)

// TestAnIngestionThatIsKilledGoesOn: the same command again submits what is missing and nothing twice.
func TestAnIngestionThatIsKilledGoesOn(t *testing.T) {
	p := start(t)
	dir, label := t.TempDir(), fmt.Sprint("run-", time.Now().UnixNano())
	const documents = 24
	for i := range documents {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txt", i)), fmt.Appendf(nil, "Page of document %d.\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ingest := func(more ...string) *exec.Cmd {
		c := exec.Command(testenv.Binary(t, "docstream"), append([]string{"ingest", dir, "--data", p.dir, "--as", label, "--json"}, more...)...)
		c.Env = append(os.Environ(), "DOCSTREAM_SERVER="+p.dev.API, "DOCSTREAM_API_KEY="+p.dev.APIKey)
		if p.cluster {
			c.Env = append(c.Env, "DOCSTREAM_DATA=")
		}
		return c
	}
	before := p.listed()
	first := ingest("--rate", "5/s")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	p.eventually(time.Minute, "some documents to be submitted", func() bool { return p.listed() >= before+3 })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	out, err := ingest().Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var sum struct {
		Documents, Submitted, Known int
		Statuses                    map[string]int
	}
	if err := json.Unmarshal(out, &sum); err != nil {
		t.Fatal(err)
	}
	if sum.Documents != documents || sum.Known < 3 || sum.Known+sum.Submitted != documents || sum.Statuses["completed"] != documents {
		t.Errorf("%s", out)
	}
	if n := p.listed() - before; n != documents {
		t.Errorf("%d jobs came of %d documents", n, documents)
	}
}

// listed counts the jobs the API lists.
func (p *platform) listed() (n int) {
	for cursor := ""; ; {
		var page struct {
			Jobs []struct{}
			Next string `json:"next_cursor"`
		}
		p.get("/api/v1/jobs?limit=100"+cursor).json(p.t, &page)
		n += len(page.Jobs)
		if page.Next == "" {
			return n
		}
		cursor = "&cursor=" + page.Next
	}
}
