package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// attempt is one POST of the load: when it was answered, how long that took, and the job it was given.
type attempt struct {
	began, ended time.Time
	status       int // 0: no answer
	job          string
}

// load posts small documents at a constant rate, whatever the answers, until it is stopped.
type load struct {
	p        *platform
	stop     chan struct{}
	done     sync.WaitGroup
	mu       sync.Mutex
	attempts []attempt
}

const (
	loadRate    = 10 // documents a second
	loadPending = 64 // unanswered POSTs at which the load waits: it must not become the fault it looks for
)

// under starts a load.
func (p *platform) under() *load {
	l := &load{p: p, stop: make(chan struct{})}
	l.done.Go(func() {
		places := make(chan struct{}, loadPending)
		tick := time.NewTicker(time.Second / loadRate)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			places <- struct{}{}
			l.done.Go(func() {
				a := l.post(n)
				l.mu.Lock()
				l.attempts = append(l.attempts, a)
				l.mu.Unlock()
				<-places
			})
		}
	})
	return l
}

// post submits the nth document once. An answer other than 202 promises nothing, and nothing is asked of it but that it comes.
func (l *load) post(n int) attempt {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, _ := w.CreateFormFile("file", fmt.Sprintf("load-%d.txt", n)) // a buffer takes everything
	fmt.Fprintf(part, "Document number %d of the load.\n\nIt has two paragraphs.", n)
	w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a := attempt{began: time.Now()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.p.dev.API+"/api/v1/documents", &body)
	if err != nil {
		return a
	}
	req.Header.Set("Authorization", "Bearer "+l.p.dev.APIKey)
	req.Header.Set("Content-Type", w.FormDataContentType())
	res, err := l.p.client().Do(req)
	a.ended = time.Now()
	if err != nil {
		return a
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	a.ended = time.Now()
	if err != nil {
		return a
	}
	a.status = res.StatusCode
	if a.status == http.StatusAccepted {
		var j job
		answer{a.status, res.Header, b}.json(l.p.t, &j)
		a.job = j.JobID
	}
	return a
}

// end stops the load, waits for its last answers and returns them in the order in which they came.
func (l *load) end() []attempt {
	close(l.stop)
	l.done.Wait()
	slices.SortFunc(l.attempts, func(a, b attempt) int { return a.ended.Compare(b.ended) })
	return l.attempts
}

// silence is the longest time after a moment in which no document was accepted, within a window.
func silence(all []attempt, from time.Time, window time.Duration) time.Duration {
	last, longest := from, time.Duration(0)
	for _, a := range all {
		if a.status != http.StatusAccepted || a.ended.Before(from) || a.ended.After(from.Add(window)) {
			continue
		}
		longest = max(longest, a.ended.Sub(last))
		last = a.ended
	}
	return longest
}

// TestADeadBrokerAndADeadGatewayLoseNoAcceptedJob kills, under a constant load, one broker and then one gateway. On the embedded broker, and
// with one gateway, each is all there is: then nothing is accepted until it is back, and still nothing accepted is lost.
func TestADeadBrokerAndADeadGatewayLoseNoAcceptedJob(t *testing.T) {
	p := start(t)
	const window = 15 * time.Second
	l := p.under()
	time.Sleep(window / 2)
	killed := map[string]time.Time{}
	for _, role := range []string{"kafka", "broker", "gateway"} {
		if role != "gateway" && !p.has(role) {
			continue
		}
		victim := p.processes(role)[0]
		p.killProcess(victim)
		killed[victim] = time.Now()
		time.Sleep(window)
	}
	all := l.end()
	ended := time.Now()

	var jobs []string
	var took []time.Duration
	status := map[int]int{}
	for _, a := range all {
		status[a.status]++
		if a.status == http.StatusAccepted {
			jobs, took = append(jobs, a.job), append(took, a.ended.Sub(a.began))
		}
	}
	if len(jobs) < loadRate*10 {
		t.Fatalf("only %d documents were accepted: %v", len(jobs), status)
	}
	for _, id := range jobs {
		if j := p.wait(id, 3*time.Minute); j.Status != "completed" {
			t.Errorf("an accepted job ended as %+v", j)
		}
	}
	drained := time.Since(ended)
	p.completedOnce(jobs)

	slices.Sort(took)
	t.Logf("%d documents posted at %d a second; answers by status (0: none): %v; accepted and completed: %d", len(all), loadRate, status, len(jobs))
	t.Logf("time to a 202: median %s, p95 %s, longest %s", took[len(took)/2].Round(time.Millisecond), took[len(took)*95/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	for victim, at := range killed {
		t.Logf("after kill -9 of %s: %s at most without a 202", victim, silence(all, at, window).Round(time.Millisecond))
	}
	t.Logf("the last job had ended %s after the last answer", drained.Round(100*time.Millisecond))
}

// has reports whether the platform has a role.
func (p *platform) has(role string) bool {
	for name := range p.dev.PIDs {
		if name == role || strings.HasPrefix(name, role+"-") {
			return true
		}
	}
	return false
}

// completedOnce sees that ClickHouse has each job, completed and once.
func (p *platform) completedOnce(jobs []string) {
	p.t.Helper()
	missing := map[string]int{}
	p.eventually(90*time.Second, "ClickHouse to have every job", func() bool {
		for _, id := range jobs {
			missing[id] = 0
		}
		res, err := http.Get(p.dev.ClickHouse + "/?database=docstream&query=" + url.QueryEscape("SELECT job_id FROM jobs WHERE status='completed' FORMAT TSV"))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return false
		}
		for id := range strings.Lines(string(b)) {
			id = strings.TrimSpace(id)
			if n, ours := missing[id]; ours {
				missing[id] = n + 1
			}
		}
		for _, n := range missing {
			if n == 0 {
				return false
			}
		}
		return true
	})
	for id, n := range missing {
		if n != 1 {
			p.t.Errorf("ClickHouse has job %s %d times", id, n)
		}
	}
}
