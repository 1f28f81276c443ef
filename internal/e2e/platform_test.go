package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"docstream/internal/testenv"
)

// platform is one running `docstream dev`, or the cluster that DOCSTREAM_TEST_CLUSTER names, which the tests share and leave running.
type platform struct {
	t       testing.TB
	dir     string
	cluster bool
	args    []string
	env     []string // added to the environment
	cmd     *exec.Cmd
	done    chan struct{}
	dev     devFile
	log     *lockedBuffer

	watch    *httptest.Server // see watched
	registry *door            // before the registry, where that is the test's own
}

// devFile is DIR/dev.json.
type devFile struct {
	API        string         `json:"api"`
	Gateways   []string       `json:"gateways"` // of a cluster: each by itself, where API is the proxy before them
	Kafka      string         `json:"kafka"`
	Prefix     string         `json:"topics_prefix"`
	Registry   string         `json:"registry"`
	S3         string         `json:"s3"`
	ClickHouse string         `json:"clickhouse"`
	Metrics    string         `json:"metrics"`
	APIKey     string         `json:"api_key"`
	PIDs       map[string]int `json:"pids"`
}

// start boots a platform on a directory of the test, with more arguments where given, which is stopped with the test; or it finds the
// cluster that runs, where the test asks for nothing that the cluster has not.
func start(t testing.TB, more ...string) *platform {
	t.Helper()
	if dir := os.Getenv("DOCSTREAM_TEST_CLUSTER"); dir != "" && len(more) == 0 {
		return found(t, dir)
	}
	return startIn(t, nil, more...)
}

// startIn is start with variables added to the environment, on a platform of its own.
func startIn(t testing.TB, env []string, more ...string) *platform {
	t.Helper()
	return startOn(t, os.Getenv("DOCSTREAM_TEST_KAFKA"), env, more...)
}

// startOn is startIn on these brokers; none: the embedded one.
func startOn(t testing.TB, brokers string, env []string, more ...string) *platform {
	t.Helper()
	p := &platform{t: t, dir: filepath.Join(t.TempDir(), "data"), env: env}
	if brokers != "" {
		registry := srfake.New() // outlives restarts of the platform, as a registry does
		t.Cleanup(registry.Close)
		plan := testenv.Plan(t)
		p.registry = newDoor(t, registry.URL())
		p.args = []string{"--kafka", brokers, "--registry", p.registry.url, "--set", "topics.prefix=" + plan.Prefix}
	}
	p.args = append(p.args, more...)
	p.boot()
	t.Cleanup(p.stop)
	return p
}

// boot starts the program and waits until it says that it is ready.
func (p *platform) boot() {
	p.t.Helper()
	testenv.Cached(p.t, "libonnxruntime.so")
	args := append([]string{"dev", "--data", p.dir, "--listen", "127.0.0.1:0"}, p.args...)
	p.cmd = exec.Command(testenv.Binary(p.t, "docstream"), args...)
	p.log = &lockedBuffer{}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = p.log, p.log, append(os.Environ(), p.env...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { _ = cmd.Wait(); close(done) }(p.cmd, p.done)
	pid := p.cmd.Process.Pid
	p.eventually(120*time.Second, "the platform to be ready", func() bool {
		select {
		case <-p.done:
			p.t.Fatalf("docstream dev ended:\n%s", p.log.String())
		default:
		}
		return p.reload() == nil && p.dev.PIDs["dev"] == pid
	})
}

// reload reads dev.json again: pids change when a role is restarted.
func (p *platform) reload() error {
	b, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	if err != nil {
		return err
	}
	var d devFile
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	p.dev = d
	return nil
}

// stop ends the program as an operator does, and by force if that takes too long.
func (p *platform) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(45 * time.Second):
		p.t.Error("docstream dev did not stop in 45 s")
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if p.t.Failed() {
		p.t.Logf("docstream dev said:\n%s", p.log.String())
		logs, _ := filepath.Glob(filepath.Join(p.dir, "logs", "*.log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			p.t.Logf("%s ends:\n%s", filepath.Base(l), tail(b, 3000))
		}
	}
}

// answer is one HTTP answer, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("status %d: %v in %.300s", a.status, err, a.body)
	}
}

// job is what the API says of a job.
type job struct {
	JobID    string `json:"job_id"`
	Status   string `json:"status"`
	Stage    string `json:"stage"`
	Run      int    `json:"run"`
	Version  int64  `json:"version"`
	Progress struct {
		Total   int     `json:"pages_total"`
		Done    int     `json:"pages_done"`
		Failed  int     `json:"pages_failed"`
		Percent float64 `json:"percent"`
	} `json:"progress"`
	ResultURL string `json:"result_url"`
	Error     *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// client holds every answer of the API to its OpenAPI document. What a proxy says where no gateway is there is the proxy's.
func (p *platform) client() *http.Client {
	return &http.Client{Transport: testenv.Described(p.t).Transport(p.t, p.isAPI)}
}

// isAPI reports whether an answer came from a gateway.
func (p *platform) isAPI(r *http.Request, res *http.Response) bool {
	return res.Header.Get("X-Request-Id") != "" || !p.cluster && r.URL.Scheme+"://"+r.URL.Host == p.dev.API
}

// request makes one call with the platform's key.
func (p *platform) request(method, path string, body io.Reader, contentType string) (answer, error) {
	u := path
	if !strings.HasPrefix(path, "http") {
		u = p.dev.API + path
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.dev.APIKey)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := p.client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}

func (p *platform) get(path string) answer {
	p.t.Helper()
	a, err := p.request(http.MethodGet, path, nil, "")
	if err != nil {
		p.t.Fatalf("GET %s: %v", path, err)
	}
	return a
}

// post submits bytes as a file.
func (p *platform) post(name string, file []byte, fields map[string]string) answer {
	p.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if fields["cache"] == "" {
		_ = w.WriteField("cache", "false") // what is sent is read
	}
	for k, v := range fields {
		_ = w.WriteField(k, v)
	}
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		p.t.Fatal(err)
	}
	_, _ = part.Write(file)
	_ = w.Close()
	a, err := p.request(http.MethodPost, "/api/v1/documents", &body, w.FormDataContentType())
	if err != nil {
		p.t.Fatalf("POST %s: %v", name, err)
	}
	return a
}

// submit posts a file that must be accepted and returns its job id.
func (p *platform) submit(name string, file []byte, fields map[string]string) string {
	p.t.Helper()
	a := p.post(name, file, fields)
	if a.status != http.StatusAccepted {
		p.t.Fatalf("POST %s: status %d: %s", name, a.status, a.body)
	}
	var j job
	a.json(p.t, &j)
	return j.JobID
}

// status returns a job, waiting out answers that say "try again": a 404 for an accepted job is never waited out (P4). A member that is killed
// while it joins its group keeps the others waiting for the rebalance timeout, a minute, in which nothing is folded.
func (p *platform) status(id string) job {
	p.t.Helper()
	var j job
	p.eventually(3*time.Minute, "an answer about "+id, func() bool {
		a, err := p.request(http.MethodGet, "/api/v1/jobs/"+id, nil, "")
		if err != nil || a.status == http.StatusServiceUnavailable {
			_ = p.reload() // the gateway may have been killed by the test
			return false
		}
		if a.status != http.StatusOK {
			p.t.Fatalf("job %s: status %d: %s", id, a.status, a.body)
		}
		a.json(p.t, &j)
		return true
	})
	return j
}

// wait follows a job to its terminal status; its version must never fall.
func (p *platform) wait(id string, limit time.Duration) job {
	p.t.Helper()
	var last job
	p.eventually(limit, "job "+id+" to end", func() bool {
		j := p.status(id)
		if j.Version < last.Version {
			p.t.Fatalf("job %s went back from version %d to %d", id, last.Version, j.Version)
		}
		last = j
		return terminal(j.Status)
	})
	return last
}

func terminal(status string) bool {
	switch status {
	case "completed", "partial", "failed", "cancelled", "expired":
		return true
	}
	return false
}

// result returns a result in a format.
func (p *platform) result(id, format string) string {
	p.t.Helper()
	a := p.get("/api/v1/jobs/" + id + "/result?format=" + url.QueryEscape(format))
	if a.status != http.StatusOK {
		p.t.Fatalf("result of %s as %s: status %d: %s", id, format, a.status, a.body)
	}
	return string(a.body)
}

// sql asks ClickHouse over plain HTTP, as an analyst would with curl; it waits until the answer is the one wanted.
func (p *platform) sql(query, want string) {
	p.t.Helper()
	var got string
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		res, err := http.Get(p.dev.ClickHouse + "/?database=docstream&query=" + url.QueryEscape(query))
		if err == nil {
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if got = strings.TrimSpace(string(b)); got == want {
				return
			}
		} else {
			got = err.Error()
		}
		time.Sleep(300 * time.Millisecond)
	}
	p.t.Fatalf("%s\ngave %q, want %q", query, got, want)
}

// eventually polls until ok or the limit.
func (p *platform) eventually(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("waited %s for %s", limit, what)
}

// tree lists a process and everything below it.
func tree(pid int) []int {
	out := []int{pid}
	for i := 0; i < len(out); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", out[i]))
		for _, f := range tasks {
			b, _ := os.ReadFile(f)
			for c := range strings.FieldsSeq(string(b)) {
				if n, err := strconv.Atoi(c); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// peak is the highest resident size of a process so far, in MB.
func peak(pid int) (mb int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(v)[0])
			return kb / 1024, err
		}
	}
	return 0, errors.New("no VmHWM")
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}

// lockedBuffer collects the output of a process that is still running.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tail(l.b.Bytes(), 4000)
}
