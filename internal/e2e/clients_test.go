package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	docstream "docstream/gateway/clients/go"
	"docstream/internal/testenv"
	"docstream/ops/sample"
)

// walked is what a client saw on its walk: submit, follow, result, list, cancel, delete, error.
type walked struct {
	Same      bool   `json:"same"` // a second submission under the same key is the same job
	Status    string `json:"status"`
	Result    string `json:"result"`
	Listed    bool   `json:"listed"`
	Cancelled string `json:"cancelled"`
	Deleted   int    `json:"deleted"`
	Gone      string `json:"gone"`
	Error     string `json:"error"`
}

// TestClientsGeneratedFromTheDescriptionWalkAlike: what generators of three languages make of openapi.json is a client that works, and all
// of them see the same.
func TestClientsGeneratedFromTheDescriptionWalkAlike(t *testing.T) {
	for _, tool := range []string{"go", "python3", "npm", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.Missing(t, tool)
		}
	}
	out := t.TempDir()
	cmd := exec.Command(filepath.Join(testenv.Root(t), "gateway", "clients", "generated", "generate.sh"), out)
	cmd.Env = append(os.Environ(), "DOCSTREAM_CACHE="+testenv.CacheDir())
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, tail(said, 4000))
	}
	p := start(t)
	pdf, _ := made(t, sample.Options{Pages: 20, DPI: 100, Seed: 7})
	scan := filepath.Join(out, "scan.pdf")
	if err := os.WriteFile(scan, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(out, "python")
	for name, c := range map[string][]string{
		"Go":         {filepath.Join(out, "go", "walk"), scan},
		"Python":     {"python3", filepath.Join(python, "walk.py"), scan},
		"TypeScript": {"node", filepath.Join(out, "typescript", "walk.js"), scan},
	} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Env = append(os.Environ(), "DOCSTREAM_SERVER="+p.watched(), "DOCSTREAM_API_KEY="+p.dev.APIKey, "PYTHONPATH="+python+":"+filepath.Join(python, "lib"))
		cmd.Stderr = t.Output()
		said, err := cmd.Output()
		var got walked
		if err != nil || json.Unmarshal(said, &got) != nil {
			t.Errorf("%s: %v %s", name, err, said)
			continue
		}
		want := walked{true, "completed", "A note for the walk.", true, "cancelled", 204, "JOB_DELETED", "JOB_NOT_FOUND"}
		if got != want {
			t.Errorf("%s saw\n%+v, not\n%+v", name, got, want)
		}
	}
}

// carried is what one of our own clients says of a job it carried through the end of a gateway.
type carried struct {
	walked
	Versions []int64 `json:"versions"` // of the events, in order
	Genuine  bool    `json:"genuine"`  // its webhook, by the secret
	Forged   bool    `json:"forged"`   // the same with another body
}

// TestOurClientsCarryAJobThroughTheEndOfAGateway: the gateway is killed while the client follows a job and again while it submits one. The
// client notices nothing but time: no event is missing or comes twice, and there is one job.
func TestOurClientsCarryAJobThroughTheEndOfAGateway(t *testing.T) {
	told := make(chan message, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is cut short is not genuine
		told <- message{r.Header, string(b)}
	}))
	defer receiver.Close()
	port := receiver.URL[strings.LastIndexByte(receiver.URL, ':')+1:]
	p := start(t, "--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports=80,443,"+port)
	var secret struct{ Secret string }
	p.get("/api/v1/webhook-secret").json(t, &secret)
	for name, carry := range map[string]func(*carrier) carried{"Go": carryGo, "Python": carryPython} {
		t.Run(name, func(t *testing.T) {
			q := *p
			q.t = t
			pdf, _ := made(t, sample.Options{Pages: 6, DPI: 100, Seed: uint64(len(name))})
			c := &carrier{p: &q, scan: pdf, secret: secret.Secret, receiver: receiver.URL + "/" + name, told: told}
			got := carry(c)
			if len(got.Versions) < 3 || !slices.IsSorted(got.Versions) || len(slices.Compact(slices.Clone(got.Versions))) != len(got.Versions) {
				t.Errorf("events: %v", got.Versions)
			}
			if !c.killed || !got.Genuine || got.Forged {
				t.Errorf("killed: %v; the webhook is genuine: %v, forged: %v", c.killed, got.Genuine, got.Forged)
			}
			if want := (walked{true, "completed", "", true, "cancelled", 204, "JOB_DELETED", "JOB_NOT_FOUND"}); !strings.Contains(got.Result, "Report on the River Gauges") {
				t.Errorf("the result: %.300q", got.Result)
			} else if got.Result = ""; got.walked != want {
				t.Errorf("it saw\n%+v, not\n%+v", got.walked, want)
			}
		})
	}
}

// message is one webhook as it came.
type message struct {
	header http.Header
	body   string
}

// carrier is what the clients are run with.
type carrier struct {
	p        *platform
	scan     []byte
	secret   string
	receiver string
	told     chan message
	once     sync.Once
	killed   bool
}

// kill ends the gateway once, and does not wait for the next.
func (c *carrier) kill() {
	c.once.Do(func() { c.p.kill("gateway"); c.killed = true })
}

// heard waits for the webhook of a job.
func (c *carrier) heard(id string) message {
	c.p.t.Helper()
	for limit := time.After(time.Minute); ; {
		select {
		case m := <-c.told:
			if strings.Contains(m.body, id) {
				return m
			}
		case <-limit:
			c.p.t.Fatalf("no webhook of %s", id)
		}
	}
}

func carryGo(c *carrier) (got carried) {
	t, ctx := c.p.t, c.p.t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	code := func(err error) string {
		var e *docstream.Error
		if !errors.As(err, &e) {
			t.Fatalf("%v is no answer", err)
		}
		return e.Code
	}
	client := docstream.New(c.p.dev.API, c.p.dev.APIKey)
	client.HTTP = c.p.client()
	scan := docstream.Document{Body: bytes.NewReader(c.scan), Size: int64(len(c.scan)), Filename: "scan.pdf", WebhookURL: c.receiver, IdempotencyKey: "carried by Go",
		Metadata: map[string]string{"carried": "go"}}
	first, err := client.Submit(ctx, scan)
	must(err)
	job, err := client.Follow(ctx, first.ID, func(e docstream.Event) error {
		got.Versions = append(got.Versions, e.Version)
		if e.Progress.Done > 0 {
			c.kill()
		}
		return nil
	})
	must(err)
	got.Status = job.Status
	c.p.kill("gateway")
	again, err := client.Submit(ctx, scan)
	must(err)
	got.Same = again.ID == first.ID
	var text strings.Builder
	must(client.Result(ctx, first.ID, "text", &text))
	got.Result = text.String()
	var listed []string
	for j, err := range client.Jobs(ctx, docstream.Filter{Tags: map[string]string{"carried": "go"}}) {
		must(err)
		listed = append(listed, j.ID)
	}
	got.Listed = len(listed) == 1 && listed[0] == first.ID
	scan.IdempotencyKey, scan.Metadata = "", nil
	long, err := client.Submit(ctx, scan)
	must(err)
	must(client.Cancel(ctx, long.ID))
	job, err = client.Follow(ctx, long.ID, nil)
	must(err)
	got.Cancelled = job.Status
	m := c.heard(first.ID)
	got.Genuine = docstream.Verify(c.secret, m.header, []byte(m.body), time.Now()) == nil
	got.Forged = docstream.Verify(c.secret, m.header, []byte(m.body+" "), time.Now()) == nil || docstream.Verify(c.secret, m.header, []byte(m.body), time.Now().Add(time.Hour)) == nil
	must(client.Delete(ctx, first.ID))
	must(client.Delete(ctx, first.ID))
	got.Deleted = http.StatusNoContent // or it would have been an error
	_, err = client.Job(ctx, first.ID, 0)
	got.Gone = code(err)
	_, err = client.Job(ctx, "job_00000000000000000000000000", time.Second)
	got.Error = code(err)
	return got
}

// carryPython runs testdata/carry.py: it says each event as a line, then asks for the webhook of its job and the kill of the gateway, and
// says at last what it saw.
func carryPython(c *carrier) (got carried) {
	t := c.p.t
	scan := filepath.Join(t.(*testing.T).TempDir(), "scan.pdf")
	if err := os.WriteFile(scan, c.scan, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", filepath.Join("testdata", "carry.py"), scan, c.receiver)
	cmd.Env = append(os.Environ(), "DOCSTREAM_SERVER="+c.p.dev.API, "DOCSTREAM_API_KEY="+c.p.dev.APIKey, "WEBHOOK_SECRET="+c.secret,
		"PYTHONPATH="+filepath.Join(testenv.Root(t), "gateway", "clients", "python"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var said struct {
			Event *struct {
				Version  int64
				Progress struct {
					Done int `json:"pages_done"`
				}
			}
			Kill bool
			Job  string // whose webhook it wants
			Saw  *carried
		}
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			t.Errorf("%v in %q", err, lines.Text())
		}
		switch {
		case said.Event != nil:
			if got.Versions = append(got.Versions, said.Event.Version); said.Event.Progress.Done > 0 {
				c.kill()
			}
		case said.Kill:
			c.p.kill("gateway")
			_, _ = io.WriteString(in, "\n") // a program that has ended shows below
		case said.Job != "":
			m := c.heard(said.Job)
			headers := map[string]string{}
			for k := range m.header {
				headers[k] = m.header.Get(k)
			}
			b, _ := json.Marshal(map[string]any{"headers": headers, "body": m.body})
			_, _ = in.Write(append(b, '\n'))
		case said.Saw != nil:
			said.Saw.Versions = got.Versions
			got = *said.Saw
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return got
}
