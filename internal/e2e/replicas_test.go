package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// seconds reads how long a phase of a test lasts.
func seconds(t testing.TB, name string, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// TestThreeReplicasAreOne holds three gateways behind nginx to one another under a mixed load: first one of them is killed every few seconds
// and started again on its store, then all are restarted in turn as for a new version. Nothing a client asks fails but what was on its way in
// a process that was killed, and no answer contradicts one before it, whichever replica gave it.
func TestThreeReplicasAreOne(t *testing.T) {
	p := start(t)
	replicas := p.replicas(3)
	q := *p
	q.dev.API = p.nginx(replicas)
	q.dev.Gateways = nil
	for _, r := range replicas {
		q.dev.Gateways = append(q.dev.Gateways, "http://"+r.addr)
	}
	m := q.mixed()
	phase := seconds(t, "DOCSTREAM_TEST_REPLICAS", 10*time.Second)

	m.settled()
	for began, n := time.Now(), 0; time.Since(began) < phase; n++ {
		r := replicas[n%len(replicas)]
		m.kill(r)
		r.start()
		r.ready()
		m.settled()
	}
	kills := len(m.kills)
	rolled := time.Now()
	for range max(1, int(phase/(20*time.Second))) {
		for _, r := range replicas {
			began := time.Now()
			r.end(syscall.SIGTERM)
			ended := time.Now()
			r.start()
			r.ready()
			t.Logf("the gateway at %s ended in %s, and was ready again in %s", r.addr, ended.Sub(began).Round(time.Millisecond), time.Since(ended).Round(time.Millisecond))
			m.settled()
		}
	}
	m.end()
	t.Logf("%d kills, then a rolling restart for %s; %s", kills, time.Since(rolled).Round(time.Second), m)
	if kills < 2 {
		t.Errorf("only %d gateways were killed", kills)
	}
	m.ended()
}

// mixed is a load of every kind of request on one address. It knows of each job the newest state that any answer has shown.
type mixed struct {
	p    *platform
	ctx  context.Context
	over context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	jobs     []string
	versions map[string]int64  // greatest seen
	ends     map[string]string // terminal status seen
	texts    map[string]string // result seen
	asked    map[string]int    // requests answered as they should be, by kind
	cut      map[string]int    // requests that were on their way in a process that was killed
	kills    []time.Time
}

// mixed starts the load.
func (p *platform) mixed() *mixed {
	m := &mixed{p: p, versions: map[string]int64{}, ends: map[string]string{}, texts: map[string]string{}, asked: map[string]int{}, cut: map[string]int{}}
	m.ctx, m.over = context.WithCancel(context.Background())
	p.t.Cleanup(m.end)
	for kind, do := range map[string]func(n int){
		"submit": m.submit, "look up": m.lookUp, "list": m.list, "long poll": m.longPoll, "follow": m.follow, "result": m.result, "cancel": m.cancel,
	} {
		for worker := range 2 {
			m.done.Go(func() {
				for n := worker; m.ctx.Err() == nil; n += 2 {
					do(n)
					pause := 20 * time.Millisecond
					if kind == "submit" || kind == "cancel" {
						pause = 400 * time.Millisecond // so that the workers keep pace
					}
					select {
					case <-m.ctx.Done():
					case <-time.After(pause):
					}
				}
			})
		}
	}
	return m
}

func (m *mixed) end() { m.over(); m.done.Wait() }

// kill ends a gateway with signal 9. What is on its way in it may fail.
func (m *mixed) kill(r *replica) {
	m.mu.Lock()
	m.kills = append(m.kills, time.Now())
	m.mu.Unlock()
	r.end(syscall.SIGKILL)
}

// settled waits until every kind of request has been answered several times more: by all replicas, as nginx spreads them.
func (m *mixed) settled() {
	m.p.t.Helper()
	m.mu.Lock()
	before := map[string]int{}
	for k, n := range m.asked {
		before[k] = n
	}
	m.mu.Unlock()
	m.p.eventually(60*time.Second, "every kind of request to be answered", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, kind := range []string{"submit", "look up", "list", "long poll", "follow", "result", "cancel"} {
			if m.asked[kind] < before[kind]+2 {
				return false
			}
		}
		return true
	})
}

func (m *mixed) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked, _ := json.Marshal(m.asked)
	cut, _ := json.Marshal(m.cut)
	return fmt.Sprintf("%d jobs; answered as they should be: %s; cut with a killed process: %s", len(m.jobs), asked, cut)
}

// any picks a job that was accepted; the newest are as likely as all others together.
func (m *mixed) any() (id string, known int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.jobs) == 0 {
		return "", 0, false
	}
	id = m.jobs[rand.IntN(len(m.jobs))]
	if rand.IntN(2) == 0 {
		id = m.jobs[max(0, len(m.jobs)-1-rand.IntN(5))]
	}
	return id, m.versions[id], true
}

// saw holds a state that was shown to what was known when its request began, and remembers it.
func (m *mixed) saw(kind, id string, version, known int64, status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version < known {
		m.p.t.Errorf("P4: %s shows version %d of %s, after %d was seen", kind, version, id, known)
	}
	if end := m.ends[id]; end != "" && end != status && version >= known && terminal(status) {
		m.p.t.Errorf("P2: %s ended as %s and is now %s", id, end, status)
	}
	if terminal(status) {
		m.ends[id] = status
	}
	m.versions[id] = max(m.versions[id], version)
}

// ask makes one request and returns the answer, if it is of a wanted status. Another one, or none, is a mistake unless a process was killed
// meanwhile.
func (m *mixed) ask(kind string, want []int, method, path, body string, headers ...string) (answer, bool) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.p.dev.API+path, strings.NewReader(body))
	if err != nil {
		m.p.t.Error(err)
		return answer{}, false
	}
	req.Header.Set("Authorization", "Bearer "+m.p.dev.APIKey)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	var a answer
	res, err := m.p.client().Do(req)
	if err == nil {
		a = answer{status: res.StatusCode, header: res.Header}
		a.body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if m.ctx.Err() != nil {
		return a, false
	}
	for _, s := range want {
		if err == nil && a.status == s {
			m.count(kind)
			return a, true
		}
	}
	m.mistake(kind, began, fmt.Sprintf("%s %s: %d %.200s %v", method, path, a.status, a.body, err))
	return a, false
}

func (m *mixed) count(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[kind]++
}

// mistake excuses what was on its way when a process was killed.
func (m *mixed) mistake(kind string, began time.Time, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.kills {
		if began.Before(at.Add(100 * time.Millisecond)) { // the signal takes a moment; what began later has no excuse
			if time.Now().After(at) && began.After(at.Add(-30*time.Second)) {
				m.cut[kind]++
				return
			}
		}
	}
	m.p.t.Errorf("%s failed: %s", kind, what)
}

// accept submits a small document under a key of its own until it is accepted, and then once more: the job is the same.
func (m *mixed) accept(kind string, n int) (id string, ok bool) {
	body := fmt.Sprintf("Document %d of %s.\n\nIt has two paragraphs.", n, kind)
	key := fmt.Sprintf("%s-%d-%d", kind, n, rand.Int64())
	for tries := 0; m.ctx.Err() == nil && tries < 10; tries++ {
		// 409: the twin that was cut is still held to be in flight
		a, ok := m.ask(kind, []int{http.StatusAccepted, http.StatusConflict}, http.MethodPost, "/api/v1/documents?filename=a.txt", body, "Content-Type", "text/plain", "Idempotency-Key", key)
		if !ok || a.status == http.StatusConflict {
			select {
			case <-m.ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		var j job
		a.json(m.p.t, &j)
		if id != "" && j.JobID != id {
			m.p.t.Errorf("one key made two jobs: %s and %s", id, j.JobID)
		}
		if id != "" {
			break
		}
		id = j.JobID
	}
	if id == "" {
		return "", false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, id)
	return id, true
}

func (m *mixed) submit(n int) { _, _ = m.accept("submit", n) }

func (m *mixed) lookUp(int) { m.look("look up", "") }

func (m *mixed) longPoll(int) { m.look("long poll", "?wait=2s") }

func (m *mixed) look(kind, query string) {
	id, known, ok := m.any()
	if !ok {
		return
	}
	if a, ok := m.ask(kind, []int{http.StatusOK}, http.MethodGet, "/api/v1/jobs/"+id+query, ""); ok {
		var j job
		a.json(m.p.t, &j)
		m.saw(kind, id, j.Version, known, j.Status)
	}
}

// list asks for the newest jobs: those known before are there, no older than they were seen.
func (m *mixed) list(int) {
	m.mu.Lock()
	known := map[string]int64{}
	for id, v := range m.versions {
		known[id] = v
	}
	newest := ""
	if len(m.jobs) > 0 {
		newest = m.jobs[len(m.jobs)-1]
	}
	m.mu.Unlock()
	a, ok := m.ask("list", []int{http.StatusOK}, http.MethodGet, "/api/v1/jobs?limit=100", "")
	if !ok {
		return
	}
	var page struct{ Jobs []job }
	a.json(m.p.t, &page)
	found := newest == ""
	for _, j := range page.Jobs {
		found = found || j.JobID == newest
		m.saw("list", j.JobID, j.Version, known[j.JobID], j.Status)
	}
	if !found {
		m.p.t.Errorf("P4: the list lacks %s, which was accepted before", newest)
	}
}

// result fetches the text of a job that has ended well: the same every time.
func (m *mixed) result(int) {
	m.mu.Lock()
	id := ""
	for job, status := range m.ends {
		if status == "completed" {
			id = job
			break
		}
	}
	m.mu.Unlock()
	if id == "" {
		return
	}
	a, ok := m.ask("result", []int{http.StatusOK}, http.MethodGet, "/api/v1/jobs/"+id+"/result?format=text", "")
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, seen := m.texts[id]; seen && was != string(a.body) {
		m.p.t.Errorf("two results of %s:\n%s\n%s", id, was, a.body)
	}
	m.texts[id] = string(a.body)
}

// cancel takes a job of its own back: whichever came first, that or the work, is how it stays.
func (m *mixed) cancel(n int) {
	id, ok := m.accept("cancel", n)
	if !ok {
		return
	}
	// 409: it had ended
	_, _ = m.ask("cancel", []int{http.StatusOK, http.StatusAccepted, http.StatusConflict}, http.MethodPost, "/api/v1/jobs/"+id+"/cancel", "", "Idempotency-Key", id)
}

// ended sees that every accepted job ended, and as it was said to.
func (m *mixed) ended() {
	m.p.t.Helper()
	for _, id := range m.jobs {
		j := m.p.wait(id, 3*time.Minute)
		if end := m.ends[id]; end != "" && end != j.Status || j.Status != "completed" && j.Status != "cancelled" {
			m.p.t.Errorf("%s was seen as %q and ended as %s", id, end, j.Status)
		}
	}
}
