package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
)

// kills is how often the sender of webhooks is killed, a quarter of them at each of four moments: before a message is answered, when it was
// read and is answered nevertheless, with an answer that says no, and a moment after one that says yes.
const kills = 8

// subject is what a message is about and for whom: it has one id.
type subject struct{ job, to string }

// victim is a receiver that kills whoever sends.
type victim struct {
	p *platform
	t *testing.T

	mu       sync.Mutex
	messages []message
	ids      map[subject]map[string]bool
	told     map[subject]bool // answered with 200
	refused  map[string]bool  // by id: the next attempt but one would wait for minutes
	killed   int
}

// end kills the process that sends, if it runs just now.
func (v *victim) end() bool {
	var d devFile
	b, err := os.ReadFile(filepath.Join(v.p.dir, "dev.json"))
	if err != nil || json.Unmarshal(b, &d) != nil || d.PIDs["track"] < 2 {
		return false
	}
	return syscall.Kill(d.PIDs["track"], syscall.SIGKILL) == nil
}

func (v *victim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	moment := -1
	if v.killed < kills && rand.N(2) == 0 {
		moment = v.killed % 4
		if moment == 0 && v.end() {
			v.killed++
			v.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
	}
	defer v.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var m struct {
		Data struct {
			JobID string `json:"job_id"`
		}
	}
	if err != nil || json.Unmarshal(body, &m) != nil {
		return // it was killed while it wrote
	}
	id, about := r.Header.Get("webhook-id"), subject{m.Data.JobID, r.URL.Path}
	v.messages = append(v.messages, message{r.Header.Clone(), string(body)})
	if v.ids[about] == nil {
		v.ids[about] = map[string]bool{}
	}
	v.ids[about][id] = true
	switch moment {
	case 1:
		if v.end() {
			v.killed++
		}
	case 2:
		if v.refused[id] {
			break
		}
		v.refused[id] = true
		w.WriteHeader(http.StatusInternalServerError)
		if v.end() {
			v.killed++
		}
		return
	case 3:
		v.killed++
		go func() {
			time.Sleep(rand.N(50 * time.Millisecond))
			if !v.end() {
				v.mu.Lock()
				v.killed-- // it did not run
				v.mu.Unlock()
			}
		}()
	}
	v.told[about] = true
}

// TestAKilledSenderTellsEveryoneUnderOneID: whenever the process that sends webhooks is killed with signal 9, every receiver is told of every
// job at least once, always under the same id, and signed so that the standard-webhooks library of Python believes it.
func TestAKilledSenderTellsEveryoneUnderOneID(t *testing.T) {
	v := &victim{t: t, ids: map[subject]map[string]bool{}, told: map[subject]bool{}, refused: map[string]bool{}}
	receiver := httptest.NewServer(v)
	defer receiver.Close()
	v.p = start(t, "--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports=80,443,"+receiver.URL[strings.LastIndexByte(receiver.URL, ':')+1:])
	p := v.p
	var endpoint, tenant struct{ Secret string }
	if a, err := p.request(http.MethodPost, "/api/v1/webhooks", strings.NewReader(`{"url":"`+receiver.URL+`/endpoint"}`), "application/json"); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	} else {
		a.json(t, &endpoint)
	}
	p.get("/api/v1/webhook-secret").json(t, &tenant)
	defer v.tell()
	const jobs = 30
	for n := range jobs {
		p.submit("note.txt", fmt.Appendf(nil, "Note number %d.", n), map[string]string{"webhook_url": receiver.URL + "/job"})
	}
	p.eventually(4*time.Minute, "everyone to be told and the sender to be killed often enough", func() bool {
		v.mu.Lock()
		done, killed := len(v.told) == 2*jobs, v.killed
		v.mu.Unlock()
		if done && killed < kills { // what is left of the kills needs somebody to send something
			p.submit("more.txt", []byte("One more."), map[string]string{"webhook_url": receiver.URL + "/more"})
		}
		return done && killed >= kills
	})
	var list struct {
		Deliveries []struct {
			ID    string `json:"delivery_id"`
			State string `json:"state"`
		}
	}
	p.eventually(2*time.Minute, "every message to be known as delivered", func() bool {
		list.Deliveries = nil
		p.get("/api/v1/webhook-deliveries?limit=100").json(t, &list)
		for _, d := range list.Deliveries {
			if d.State != "delivered" {
				return false
			}
		}
		return len(list.Deliveries) >= 2*jobs
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	one := map[string]subject{}
	for about, ids := range v.ids {
		for id := range ids {
			if other, taken := one[id]; len(ids) != 1 || taken {
				t.Errorf("%v has the ids %v; %s is %v's too", about, ids, id, other)
			}
			one[id] = about
		}
	}
	v.genuine(t, map[string]string{"/endpoint": endpoint.Secret, "/job": tenant.Secret, "/more": tenant.Secret}, one)
	t.Logf("%d messages of %d, %d kills", len(v.messages), len(v.ids), v.killed)
}

// tell says of a failed test what the service knows of its deliveries.
func (v *victim) tell() {
	if !v.t.Failed() {
		return
	}
	v.mu.Lock()
	v.t.Logf("%d told, %d kills, %d messages", len(v.told), v.killed, len(v.messages))
	v.mu.Unlock()
	for _, path := range []string{"/api/v1/webhook-deliveries?limit=100", "/api/v1/jobs?limit=100"} {
		v.t.Logf("%s: %s", path, v.p.get(path).body)
	}
}

// genuine asks the standard-webhooks library of Python about every message that came.
func (v *victim) genuine(t *testing.T, secrets map[string]string, about map[string]subject) {
	t.Helper()
	var in bytes.Buffer
	for _, m := range v.messages {
		headers := map[string]string{}
		for k := range m.header {
			headers[strings.ToLower(k)] = m.header.Get(k)
		}
		b, err := json.Marshal(map[string]any{"secret": secrets[about[m.header.Get("webhook-id")].to], "headers": headers, "body": m.body})
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	dir := filepath.Join(testenv.Root(t), "processors", "deliver", "testdata")
	cmd := exec.Command("python3", filepath.Join(dir, "verify.py"))
	cmd.Env, cmd.Stdin = testenv.Python(t, filepath.Join(dir, "requirements.txt")), &in
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Count(out, []byte("\n")) != len(v.messages) {
		t.Errorf("%v: %s", err, tail(out, 1000))
	}
}
