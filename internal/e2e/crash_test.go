package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops/sample"
	"docstream/schemas"
)

// once asserts what a document of n scanned pages leaves behind, whatever happened on the way: every page once, one usage row a stage and
// page, one terminal state.
func (p *platform) once(id string, n int) {
	p.t.Helper()
	p.sql(fmt.Sprintf("SELECT count(), count(DISTINCT page), countIf(status='finished') FROM pages WHERE job_id='%s'", id), fmt.Sprintf("%d\t%d\t%d", n, n, n))
	p.sql(fmt.Sprintf("SELECT count(), uniqExact(stage, page) FROM usage WHERE job_id='%s' AND page > 0", id), fmt.Sprintf("%d\t%d", 3*n, 3*n))
	p.sql(fmt.Sprintf("SELECT count() FROM jobs WHERE job_id='%s' AND status='completed'", id), "1")
	want := fmt.Sprintf("%d", n)
	if got := strings.Count(p.result(id, "json"), `"source":"ocr"`); fmt.Sprint(got) != want {
		p.t.Errorf("the JSON has %d recognised pages, want %s", got, want)
	}
}

func TestKilledWorkersLoseNothingAndRepeatNothing(t *testing.T) {
	const pages = 20
	p := start(t)
	pdf, truth := made(t, sample.Options{Pages: pages, DPI: 100, Seed: 3})
	for _, c := range []struct {
		name string
		kill func()
	}{
		{"the worker that recognises", func() { p.kill("ocr") }},
		{"its engine child", func() {
			members := tree(p.dev.PIDs[p.processes("ocr")[0]])
			if len(members) < 2 {
				t.Fatal("the worker has no engine child")
			}
			_ = syscall.Kill(members[1], syscall.SIGKILL)
		}},
		{"the worker that prepares", func() { p.kill("prepare") }},
		{"the fold", func() { p.kill("track") }},
		{"the sink", func() { p.kill("sink") }},
		{"the gateway", func() { p.kill("gateway") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			outer := p.t
			p.t = t
			defer func() { p.t = outer }()
			id := p.submit("scan.pdf", pdf, nil)
			p.eventually(2*time.Minute, "the middle of the document", func() bool { return p.status(id).Progress.Done >= 3 })
			c.kill()
			if j := p.wait(id, 4*time.Minute); j.Status != "completed" || j.Progress.Done != pages {
				t.Fatalf("the job ended as %+v", j)
			}
			p.once(id, pages)
			if f1 := wordF1(p.result(id, "text"), truth); f1 < 0.9 {
				t.Errorf("word F1 %.4f after the crash", f1)
			}
		})
	}
}

func TestAcceptedJobsSurviveTheEndOfEverything(t *testing.T) {
	p := start(t)
	pdf, _ := made(t, sample.Options{Pages: 6, DPI: 100, Seed: 4})
	var ids []string
	for i := range 5 {
		ids = append(ids, p.submit(fmt.Sprintf("scan-%d.pdf", i), pdf, nil))
	}
	p.eventually(time.Minute, "work to begin", func() bool { return p.status(ids[0]).Progress.Done >= 1 })
	before := map[string]job{}
	for _, id := range ids {
		before[id] = p.status(id)
	}
	p.endEverything()
	for _, id := range ids {
		if now := p.status(id); now.Version < before[id].Version {
			t.Errorf("job %s went back from version %d to %d", id, before[id].Version, now.Version)
		}
	}
	for _, id := range ids {
		if j := p.wait(id, 4*time.Minute); j.Status != "completed" || j.Progress.Done != 6 {
			t.Errorf("the job ended as %+v", j)
		}
		p.once(id, 6)
	}
}

func TestTwoGatewaysGiveTheSameAnswer(t *testing.T) {
	p := start(t)
	first, second := p.dev.API, ""
	if len(p.dev.Gateways) > 1 {
		first, second = p.dev.Gateways[0], p.dev.Gateways[1]
	} else {
		second = p.gateway()
	}
	for i := range 30 {
		from, other := first, second
		if i%2 == 1 {
			from, other = other, from
		}
		q := *p
		q.dev.API = from
		id := q.submit("note.txt", fmt.Appendf(nil, "Note number %d.", i), nil)
		a, err := p.request(http.MethodGet, other+"/api/v1/jobs/"+id, nil, "")
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("the other gateway answers %d %s: %v", a.status, a.body, err)
		}
		if i%10 == 0 {
			p.wait(id, time.Minute)
			mine, theirs := p.get(first+"/api/v1/jobs/"+id), p.get(second+"/api/v1/jobs/"+id)
			if string(mine.body) != string(theirs.body) {
				t.Errorf("two answers:\n%s\n%s", mine.body, theirs.body)
			}
		}
	}
	mine, theirs := p.get(first+"/api/v1/jobs?limit=10"), p.get(second+"/api/v1/jobs?limit=10")
	if mine.status != 200 || len(mine.body) < 100 || theirs.status != 200 {
		t.Errorf("lists: %d %.200s; %d", mine.status, mine.body, theirs.status)
	}
}

// TestTwinsAtTwoGatewaysAreOneJob: one document under one Idempotency-Key, sent to two gateways at once, is one job, whoever answers what: the
// job, or that the twin is still in flight.
func TestTwinsAtTwoGatewaysAreOneJob(t *testing.T) {
	p := start(t)
	at := []string{p.dev.API, ""}
	if len(p.dev.Gateways) > 1 {
		at = p.dev.Gateways
	} else {
		at[1] = p.gateway()
	}
	for n := range 20 {
		tag := fmt.Sprintf("%s-%d", schemas.NewRequestID(time.Now()), n)
		query := "?filename=twin.txt&metadata=" + url.QueryEscape(`{"twin":"`+tag+`"}`)
		answers := make(chan answer, 6)
		var all sync.WaitGroup
		for i := range cap(answers) {
			all.Go(func() {
				req, err := http.NewRequest(http.MethodPost, at[i%2]+"/api/v1/documents"+query, strings.NewReader("A twin: "+tag))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+p.dev.APIKey)
				req.Header.Set("Content-Type", "text/plain")
				req.Header.Set("Idempotency-Key", tag)
				res, err := p.client().Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil {
					t.Error(err)
				}
				answers <- answer{res.StatusCode, res.Header, b}
			})
		}
		all.Wait()
		close(answers)
		jobs := map[string]bool{}
		for a := range answers {
			switch {
			case a.status == http.StatusAccepted:
				var j job
				a.json(t, &j)
				jobs[j.JobID] = true
			case a.status != http.StatusConflict || code(a) != "IDEMPOTENCY_IN_FLIGHT" || a.header.Get("Retry-After") == "":
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		for _, base := range at[:2] {
			var list struct{ Jobs []job }
			p.get(base+"/api/v1/jobs?tag=twin:"+tag).json(t, &list)
			if len(jobs) != 1 || len(list.Jobs) != 1 || !jobs[list.Jobs[0].JobID] {
				t.Errorf("%v; %s lists %v", jobs, base, list.Jobs)
			}
		}
	}
}

// gateway starts another gateway beside the platform's, configured by the same environment, and returns its address.
func (p *platform) gateway() string {
	p.t.Helper()
	port := freePort(p.t)
	cmd := exec.Command(testenv.Binary(p.t, "docstream"), "gateway", "--set", "gateway.listen="+port, "--set", "view.dir="+p.t.(*testing.T).TempDir(), "--set", "telemetry.metrics=")
	cmd.Env = environment(p.t, p.dev.PIDs["gateway"])
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe() // a lifeline, where the role watches one
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		in.Close()
		_ = cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("the second gateway said:\n%s", out.String())
		}
	})
	base := "http://" + port
	p.eventually(30*time.Second, "the second gateway", func() bool {
		res, err := p.client().Get(base + "/readyz")
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return base
}

func TestAnOversizedUploadIsRefused(t *testing.T) {
	p := start(t)
	second := p.get("/api/v1/jobs?limit=1")
	if second.status != http.StatusOK {
		t.Fatalf("the list answers %d", second.status)
	}
	if a, err := p.request(http.MethodGet, p.dev.API+"/api/v1/jobs/"+url.PathEscape("job_00000000000000000000000000"), nil, ""); err != nil || a.status != http.StatusNotFound || code(a) != "JOB_NOT_FOUND" {
		t.Errorf("an unknown job answers %d %s: %v", a.status, a.body, err)
	}
}
