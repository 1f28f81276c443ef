package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// replayJobs is how many documents are replayed: DOCSTREAM_TEST_REPLAY_JOBS, else 200.
func replayJobs() int {
	if n, err := strconv.Atoi(os.Getenv("DOCSTREAM_TEST_REPLAY_JOBS")); err == nil && n > 9 {
		return n
	}
	return 200
}

// report is what the command and the API say of a replay.
type report struct {
	ReplayID string `json:"replay_id"`
	Status   string `json:"status"`
	New      *bool  `json:"new"`
	Jobs     int    `json:"jobs"`
	Pages    int    `json:"pages"`
	Progress struct {
		Asked, Completed, Partial, Failed, Skipped int
		SourceExpired                              int `json:"source_expired"`
	} `json:"progress"`
}

// replayed is a job with its lineage.
type replayed struct {
	job
	AfterRun *int   `json:"after_run"`
	ReplayID string `json:"replay_id"`
	Priority string `json:"priority"`
	Runs     []struct {
		Run       int    `json:"run"`
		Status    string `json:"status"`
		ResultURL string `json:"result_url"`
	} `json:"runs"`
}

// docstream runs a command of the program against the platform.
func (p *platform) docstream(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	cmd := exec.Command(testenv.Binary(p.t, "docstream"), append(args, "--data", p.dir)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// notes submits n one-page texts, several at a time, and returns their jobs.
func (p *platform) notes(n int) []string {
	p.t.Helper()
	ids := make([]string, n)
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ids[i] = p.submit("note.txt", fmt.Appendf(nil, "Note number %d.\n\nIt is replayed.", i), nil)
		})
	}
	all.Wait()
	return ids
}

// store is the platform's object store.
func (p *platform) store() *blob.S3 {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var d struct {
		S3          string `json:"s3"`
		S3Bucket    string `json:"s3_bucket"`
		S3AccessKey string `json:"s3_access_key"`
		S3SecretKey string `json:"s3_secret_key"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		p.t.Fatal(err)
	}
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.Bucket, cfg.AccessKey, cfg.SecretKey, cfg.PathStyle = d.S3, d.S3Bucket, d.S3AccessKey, d.S3SecretKey, true
	s, err := blob.Open(cfg, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// expire removes sources that were written since a moment, as their age would, and returns how many.
func (p *platform) expire(n int, since time.Time) int {
	p.t.Helper()
	s, gone := p.store(), 0
	var keys []string
	err := s.List(p.t.Context(), schemas.SourceKey("default", ""), func(o blob.Object) bool {
		if !o.Modified.Before(since) {
			keys = append(keys, o.Key)
		}
		return len(keys) < n
	})
	for _, k := range keys {
		if err == nil {
			err = s.Delete(p.t.Context(), k)
			gone++
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return gone
}

func TestJobsAreReplayedOnceWhateverDies(t *testing.T) {
	p := start(t)
	n := replayJobs()
	since := time.Now().UTC().Add(-time.Second).Truncate(time.Second)
	began := since.Format(time.RFC3339)
	ids := p.notes(n)
	for _, id := range ids {
		if j := p.wait(id, 10*time.Minute); j.Status != "completed" {
			t.Fatalf("a note ended as %+v", j)
		}
	}
	gone := p.expire(3, since)
	before := map[string]string{}
	for _, id := range ids[:5] {
		before[id] = p.result(id, "json")
	}

	out, errs, code := p.docstream("replay", "--from", began, "--dry-run", "--json")
	var dry report
	if err := json.Unmarshal([]byte(out), &dry); err != nil || code != 0 || dry.Jobs != n || dry.Pages != n || dry.Progress.Asked != 0 {
		t.Fatalf("the dry run ended with %d: %s%s", code, out, errs)
	}

	var first report
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, errs, code = p.docstream("replay", "--from", began, "--rate", "40/s", "--json")
	}()
	for _, part := range []int{5, 2} { // the executor dies twice
		p.eventually(5*time.Minute, "some to be asked for", func() bool { return p.newestReplay(t).Progress.Asked >= n/part })
		p.kill("gateway")
		p.eventually(time.Minute, "a gateway", func() bool {
			_ = p.reload()
			a, err := p.request(http.MethodGet, "/readyz", nil, "")
			return err == nil && a.status == http.StatusOK
		})
	}
	<-done
	if err := json.Unmarshal([]byte(out), &first); err != nil || code != 5 { // partial: sources are gone
		t.Fatalf("the replay ended with %d: %s%s", code, out, errs)
	}
	if g := first.Progress; first.Status != "completed" || first.Jobs != n || g.Asked != n-gone || g.Completed != n-gone || g.SourceExpired != gone || g.Skipped+g.Failed+g.Partial != 0 {
		t.Fatalf("the replay ended as %s", out)
	}
	out, errs, code = p.docstream("replay", "--from", began, "--rate", "40/s", "--json")
	var second report
	if err := json.Unmarshal([]byte(out), &second); err != nil || code != 5 || second.ReplayID != first.ReplayID || second.Progress != first.Progress || !strings.Contains(errs, "nothing new") {
		t.Fatalf("said again it ended with %d: %s%s", code, out, errs)
	}
	a, err := p.request(http.MethodPost, "/api/v1/replays", strings.NewReader(`{"from":"`+began+`"}`), "application/json")
	var api report
	if err != nil {
		t.Fatal(err)
	}
	if a.json(t, &api); a.status != http.StatusOK || api.New == nil || *api.New || api.ReplayID != first.ReplayID || api.Progress != first.Progress {
		t.Errorf("over the API it answers %d %s", a.status, a.body)
	}

	runs := fmt.Sprintf("0\t%d\t%d\n1\t%d\t%d", n, n, n-gone, n-gone)
	mine := fmt.Sprintf(" WHERE job_id IN (SELECT job_id FROM jobs WHERE submitted_at >= parseDateTimeBestEffort('%s')) GROUP BY run ORDER BY run", began)
	p.sql("SELECT run, count(), countIf(status='completed') FROM runs"+mine, runs)
	p.sql("SELECT run, count(), uniqExact(job_id, page) FROM pages"+mine, runs)
	p.sql("SELECT run, count() = uniqExact(job_id, stage, page), uniqExact(job_id), sum(units) FROM usage"+mine,
		fmt.Sprintf("0\t1\t%d\t%d\n1\t1\t%d\t%d", n, n, n-gone, n-gone))
	lineage := 0
	for _, id := range ids[:5] {
		var j replayed
		p.get("/api/v1/jobs/"+id).json(t, &j)
		if j.Run == 0 {
			continue // its source is gone
		}
		lineage++
		if j.Run != 1 || j.AfterRun == nil || *j.AfterRun != 0 || j.ReplayID != first.ReplayID || j.Priority != "low" || len(j.Runs) != 1 || j.Runs[0].Status != "completed" {
			t.Errorf("the lineage of the job is %+v", j)
			continue
		}
		old := p.get(j.Runs[0].ResultURL + "&format=json")
		if old.status != http.StatusOK || string(old.body) != before[id] || p.result(id, "json") != before[id] {
			t.Errorf("the results of the two runs: %d %.200s", old.status, old.body)
		}
	}
	if lineage == 0 {
		t.Error("no job with two runs was looked at")
	}
	t.Run("the documented commands run", func(t *testing.T) {
		q := *p
		q.t = t
		q.documented("ops/docs/replay.md", ids[0], first.ReplayID)
		q.documented("ops/runbooks/re-ingest-a-topic.md", ids[0], first.ReplayID)
	})
}

// newestReplay is the newest replay that is no dry run, as far as a gateway answers.
func (p *platform) newestReplay(t *testing.T) (r report) {
	a, err := p.request(http.MethodGet, "/api/v1/replays", nil, "")
	if err != nil || a.status != http.StatusOK {
		return r
	}
	var list struct {
		Replays []struct {
			report
			DryRun bool `json:"dry_run"`
		} `json:"replays"`
	}
	a.json(t, &list)
	for _, one := range list.Replays {
		if !one.DryRun {
			return one.report
		}
	}
	return r
}

// documented runs every command of a page: the lines that are indented by four spaces. A command may say that a result is partial.
func (p *platform) documented(page, job, replay string) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Root(p.t), page))
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", "")) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		n++
		cmd := exec.Command("sh", "-c", strings.TrimSpace(command))
		cmd.Dir = testenv.Root(p.t)
		cmd.Env = append(os.Environ(), "DOCSTREAM_DATA="+p.dir, "JOB="+job, "REPLAY="+replay)
		if strings.HasPrefix(command, "curl") {
			cmd.Env = append(cmd.Env, "DOCSTREAM_SERVER="+p.dev.API, "DOCSTREAM_API_KEY="+p.dev.APIKey)
		}
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != 5 || bytes.Contains(out, []byte(`"error":{`)) {
			p.t.Errorf("%s: %s\nexit %d: %s", page, strings.TrimSpace(command), code, out)
		}
	}
	if n < 3 {
		p.t.Errorf("%s has %d commands", page, n)
	}
}
