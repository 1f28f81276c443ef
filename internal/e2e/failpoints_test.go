package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/internal/failpoint"
	"docstream/internal/topology"
	"docstream/ops/sample"
)

// points lists every point between two steps that a document passes on its way, by the process that passes it.
func points() map[string][]string {
	steps := func(names ...string) (out []string) {
		for _, name := range names {
			out = append(out, name+failpoint.Worked, name+failpoint.Produced, name+failpoint.Committed)
		}
		return out
	}
	return map[string][]string{
		"gateway": {failpoint.Stored, failpoint.Promised, failpoint.Published},
		"prepare": append(steps(topology.Prepare.Name), failpoint.Imaged, failpoint.Chunked),
		"ocr":     steps(topology.Layout.Name, topology.OCR.Name),
		"track": append(steps(topology.Track.Name, topology.Compose.Name, topology.Tally.Name), failpoint.Composing, failpoint.Composed,
			failpoint.Spread, failpoint.Answered, failpoint.Told),
		"sink": {failpoint.Inserted, topology.ClickHouse.Name + failpoint.Written, topology.S3.Name + failpoint.Written,
			topology.Ended.Name + failpoint.Written, failpoint.Kept},
	}
}

// TestACrashBetweenAnyTwoStepsBreaksNoPromise ends processes at the very moment between two steps: each process at one of its points in every
// round, with documents on their way, until they have passed all of them. docstream verify finds nothing amiss, and an endpoint was told of
// every job under one id. The order is random, its seed printed; DOCSTREAM_TEST_ROUNDS bounds the rounds.
func TestACrashBetweenAnyTwoStepsBreaksNoPromise(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	seed := number(t, "DOCSTREAM_TEST_SEED", rand.Uint64())
	rounds := int(number(t, "DOCSTREAM_TEST_ROUNDS", 2))
	t.Logf("DOCSTREAM_TEST_SEED=%d, %d rounds", seed, rounds)
	random := rand.New(rand.NewPCG(seed, 3))
	left := points()
	for _, process := range slices.Sorted(maps.Keys(left)) {
		random.Shuffle(len(left[process]), func(i, j int) { left[process][i], left[process][j] = left[process][j], left[process][i] })
	}
	told := &ear{ids: map[string]map[string]bool{}, times: map[string]int{}}
	receiver := httptest.NewServer(told)
	defer receiver.Close()
	p := startIn(t, []string{failpoint.Variable + "=" + dir}, "--set", "topics.delays=1s,2s,3s", "--set", "archive.file_age=1s",
		"--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports="+receiver.URL[strings.LastIndexByte(receiver.URL, ':')+1:])
	if a, err := p.request(http.MethodPost, "/api/v1/webhooks", strings.NewReader(`{"url":"`+receiver.URL+`"}`), "application/json"); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	var accepted []string
	for round := 1; round <= rounds; round++ {
		var armed []string
		for process, names := range left {
			if len(names) > 0 {
				armed, left[process] = append(armed, names[0]), names[1:]
			}
		}
		if len(armed) == 0 {
			break
		}
		slices.Sort(armed)
		for _, name := range armed {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		accepted = append(accepted, p.through(fmt.Sprintf("round %d", round), func() bool {
			still, err := os.ReadDir(dir)
			return err == nil && len(still) == 0
		})...)
		t.Logf("round %d: ended at %v", round, armed)
	}
	p.verify(accepted)
	p.eventually(time.Minute, "the endpoint to be told of every job", func() bool { return told.of(t, accepted) })
}

// ear is a receiver that keeps under which ids, and how often, it was told of each job.
type ear struct {
	mu    sync.Mutex
	ids   map[string]map[string]bool
	times map[string]int
}

func (e *ear) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var m struct {
		Data struct {
			JobID string `json:"job_id"`
		}
	}
	if json.NewDecoder(r.Body).Decode(&m) != nil {
		return // the sender ended while it wrote
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids[m.Data.JobID] == nil {
		e.ids[m.Data.JobID] = map[string]bool{}
	}
	e.ids[m.Data.JobID][r.Header.Get("webhook-id")] = true
	e.times[m.Data.JobID]++
}

// of says whether it was told of all these jobs, each under one id.
func (e *ear) of(t *testing.T, jobs []string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range jobs {
		if len(e.ids[id]) == 0 {
			return false
		}
		if len(e.ids[id]) > 1 {
			t.Fatalf("job %s was told under the ids %v", id, e.ids[id])
		}
	}
	return true
}

// through submits documents until every armed point was passed, and waits for all of them to end.
func (p *platform) through(key string, passed func() bool) (accepted []string) {
	p.t.Helper()
	pdf, _ := made(p.t, sample.Options{Pages: 2, DPI: 72, Seed: 11})
	files := []struct {
		name string
		body []byte
	}{{"scan.pdf", pdf}, {"note.txt", []byte("A note for " + key + ".")}} // a page with an image, and one without
	for n := 0; n < len(files) || !passed(); n++ {
		if n >= 10 {
			p.t.Fatalf("%s: some points were never passed", key)
		}
		p.eventually(time.Minute, "the document to be accepted", func() bool {
			file := files[n%len(files)]
			a, err := p.try(file.name, file.body)
			if err != nil || a.status != http.StatusAccepted {
				return false
			}
			var j job
			a.json(p.t, &j)
			accepted = append(accepted, j.JobID)
			return true
		})
		for _, id := range accepted {
			if j := p.wait(id, 2*time.Minute); j.Status != "completed" {
				p.t.Errorf("a job ended as %+v", j)
			}
		}
		for end := time.Now().Add(3 * time.Second); !passed() && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond) // sinks come a little later
		}
	}
	return accepted
}
