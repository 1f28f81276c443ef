package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops/sample"
)

// writes stands before the object store and counts how often each object was given to it whole.
type writes struct {
	url string

	mu sync.Mutex
	of map[string]int
}

func newWrites(t testing.TB, behind string) *writes {
	t.Helper()
	to, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	w := &writes{of: map[string]int{}}
	s := httptest.NewServer(&httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // the host is signed
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodPut && (r.StatusCode == http.StatusOK || r.StatusCode == http.StatusPreconditionFailed) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.of[r.Request.URL.Path]++
			}
			return nil
		}})
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// twice lists the objects of jobs that were written more than once: each is work that was done again.
func (w *writes) twice(jobs []string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, n := range w.of {
		for _, id := range jobs {
			if n > 1 && strings.Contains(key, id) {
				out = append(out, fmt.Sprintf("%s: %d times", key, n))
			}
		}
	}
	return out
}

// handedBack reports whether what was written again are outputs of no more documents than are composed at once: those in work are handed back
// when the stage stops, and some of their outputs may be written by then.
func handedBack(again []string) bool {
	jobs := map[string]bool{}
	for _, s := range again {
		job, output, found := strings.Cut(s, "/document.")
		if !found || output == "" {
			return false
		}
		jobs[job] = true
	}
	return len(jobs) <= 2
}

// term asks every process of a role to stop while something is done, waits until it is gone and another serves, and returns how long the end took.
func (p *platform) term(role string) time.Duration {
	p.t.Helper()
	began := time.Now()
	before := map[string]int{}
	for _, name := range p.processes(role) {
		before[name] = p.dev.PIDs[name]
		if err := syscall.Kill(p.dev.PIDs[name], syscall.SIGTERM); err != nil {
			p.t.Fatal(err)
		}
	}
	var took time.Duration
	p.eventually(time.Minute, role+" to be back", func() bool {
		if p.reload() != nil {
			return false
		}
		for name, pid := range before {
			if now := p.dev.PIDs[name]; now == pid {
				return false
			}
			if took == 0 {
				took = time.Since(began)
			}
			if p.dev.PIDs[name] == 0 {
				return false
			}
		}
		return true
	})
	return took
}

// TestAStopRedoesNothing asks each role to stop with SIGTERM while documents are on their way, and lets its successor go on. No document ends
// otherwise than without the stop, no object of a page is written a second time, nor an output but of what was being composed, an endpoint is
// told of each job once, a role ends by itself with success, and docstream verify finds nothing amiss.
func TestAStopRedoesNothing(t *testing.T) {
	t.Parallel() // it waits most of the time
	s3 := testenv.S3(t)
	objects := newWrites(t, s3.Endpoint)
	told := &ear{ids: map[string]map[string]bool{}, times: map[string]int{}}
	receiver := httptest.NewServer(told)
	defer receiver.Close()
	p := startIn(t, []string{"DOCSTREAM_OBJECTS_ACCESS_KEY=" + s3.AccessKey, "DOCSTREAM_OBJECTS_SECRET_KEY=" + s3.SecretKey}, "--s3", objects.url,
		"--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports="+receiver.URL[strings.LastIndexByte(receiver.URL, ':')+1:])
	if a, err := p.request(http.MethodPost, "/api/v1/webhooks", strings.NewReader(`{"url":"`+receiver.URL+`"}`), "application/json"); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	pdf, _ := made(t, sample.Options{Pages: 4, DPI: 72, Seed: 21})
	var accepted []string
	for _, role := range []string{"prepare", "fetch", "ocr", "track", "sink", "gateway"} {
		t.Run(role, func(t *testing.T) {
			q := *p
			q.t = t
			var ids []string
			for n := range 2 {
				ids = append(ids, q.submit(fmt.Sprintf("scan-%d.pdf", n), pdf, nil))
			}
			for n := range 10 {
				ids = append(ids, q.submit(fmt.Sprintf("note-%d.txt", n), fmt.Appendf(nil, "Note %d, before %s stops.\n", n, role), nil))
			}
			if role != "prepare" { // which works before anything is seen
				q.eventually(3*time.Minute, "pages to be read", func() bool { return q.status(ids[0]).Progress.Done > 0 })
			}
			took := q.term(role)
			for _, id := range ids {
				if j := q.wait(id, 2*time.Minute); j.Status != "completed" {
					t.Errorf("a job ended as %+v", j)
				}
			}
			if again := objects.twice(ids); len(again) > 0 && !(role == "track" && handedBack(again)) {
				t.Errorf("done again:\n%s", strings.Join(again, "\n"))
			}
			t.Logf("%s had ended %s after it was asked", role, took.Round(10*time.Millisecond))
			accepted = append(accepted, ids...)
		})
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "logs", "dev.log"))
	if err != nil {
		b = []byte(p.log.String())
	}
	if ends := strings.Count(string(b), "ended by itself"); ends != strings.Count(string(b), `"state":"exit status 0"`) {
		t.Errorf("not every role ended with success:\n%s", tail(b, 3000))
	}
	p.verify(accepted)
	p.eventually(time.Minute, "the endpoint to be told of every job", func() bool { return told.of(t, accepted) })
	for _, id := range accepted {
		if n := told.times[id]; n != 1 {
			t.Errorf("the endpoint was told of job %s %d times", id, n)
		}
	}
}

// TestAStoppedGatewayFailsNoRequest asks one of two gateways to stop while uploads are half sent and answers are waited for: each is answered
// as if nobody had asked. A client that is refused a connection goes to the other, as one behind a proxy does.
func TestAStoppedGatewayFailsNoRequest(t *testing.T) {
	t.Parallel() // it waits most of the time
	p := start(t)
	other := p.gateway()
	first := p.dev.API
	var mu sync.Mutex
	var accepted []string
	var all sync.WaitGroup
	post := func(base string, n int, body io.Reader, contentType string) error {
		a, err := p.request(http.MethodPost, base+"/api/v1/documents", body, contentType)
		if err != nil {
			return err
		}
		if a.status != http.StatusAccepted {
			t.Errorf("document %d at %s: %d %s", n, base, a.status, a.body)
			return nil
		}
		var j job
		a.json(t, &j)
		mu.Lock()
		defer mu.Unlock()
		accepted = append(accepted, j.JobID)
		return nil
	}
	asked := make(chan struct{})
	for n := range 4 { // uploads of which half is sent
		all.Go(func() {
			r, w := io.Pipe()
			form := multipart.NewWriter(w)
			go func() {
				part, err := form.CreateFormFile("file", fmt.Sprintf("half-%d.txt", n))
				if err == nil {
					_, err = fmt.Fprintf(part, "The first half of letter %d.\n", n)
				}
				<-asked
				time.Sleep(time.Second)
				_, more := fmt.Fprintf(part, "The second half of letter %d.\n", n)
				w.CloseWithError(errors.Join(err, more, form.Close()))
			}()
			if err := post(first, n, r, form.FormDataContentType()); err != nil {
				t.Errorf("half-sent document %d: %v", n, err)
			}
		})
	}
	stop := make(chan struct{})
	for worker := range 4 { // and whole ones all the while
		all.Go(func() {
			for n := 100 * (worker + 1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				method, _, body, contentType := p.form(fmt.Sprintf("note-%d.txt", n), fmt.Appendf(nil, "Note %d.\n", n))
				_ = method
				text := body.Bytes()
				err := post(first, n, bytes.NewReader(text), contentType)
				if errors.Is(err, syscall.ECONNREFUSED) {
					err = post(other, n, bytes.NewReader(text), contentType)
				}
				if err != nil {
					t.Errorf("document %d: %v", n, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	q := *p
	go func() { time.Sleep(100 * time.Millisecond); close(asked) }()
	took := q.term("gateway")
	time.Sleep(time.Second)
	close(stop)
	all.Wait()
	t.Logf("%d documents accepted; the gateway had ended %s after it was asked", len(accepted), took.Round(10*time.Millisecond))
	for _, id := range accepted {
		if j := q.wait(id, 2*time.Minute); j.Status != "completed" {
			t.Errorf("a job ended as %+v", j)
		}
	}
	q.verify(accepted)
}
