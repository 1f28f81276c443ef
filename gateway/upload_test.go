package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/schemas"
)

// wire opens a connection and sends the head of an upload and the start of its file.
func (r *replica) wire(token, length string) net.Conn {
	r.w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /api/v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\n%s\r\n\r\n", token, length)
	return conn
}

const fileHead = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"

func TestASmallFileIsOneWriteAndALargeOneIsStreamed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for _, size := range []int{1, 255 << 10, 256 << 10, 256<<10 + 1, 5 << 20, 8 << 20} {
		text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		job := r.submit(token, file(text), field{name: "priority", value: "low"})
		var j struct {
			Source struct {
				Size   int64
				SHA256 string
			}
		}
		r.get(token, "/api/v1/jobs/"+job).into(t, &j)
		key := w.submitted("documents.cpu.low", job).Source.Key
		if j.Source.Size != int64(size) || string(w.store.body(key)) != text || len(j.Source.SHA256) != 64 {
			t.Errorf("%d bytes: %+v", size, j)
		}
	}
	if w.store.puts != 2 || w.store.uploads != 4 {
		t.Errorf("%d writes, %d streamed", w.store.puts, w.store.uploads)
	}
}

// submitted returns the submission of a job as it lies in a lane.
func (w *world) submitted(lane, job string) *schemas.DocumentSubmitted {
	w.t.Helper()
	for _, rec := range w.read(lane, len(w.all(lane))) {
		if string(rec.Key) == job {
			e, err := w.codec.Decode(w.t.Context(), rec.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			return e.(*schemas.DocumentSubmitted)
		}
	}
	w.t.Fatalf("%s is not in %s", job, lane)
	return nil
}

// sink is a store that keeps nothing but how much came.
type sink struct {
	*memory
	came atomic.Int64
}

func (s *sink) Upload(_ context.Context, _ string, body io.Reader, _ blob.Options) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		s.came.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func TestAnOversizedUploadIsRefusedWithoutBeingHeld(t *testing.T) {
	w := newWorld(t)
	const limit = 32 << 20
	kept := &sink{memory: w.store}
	r := w.replicaOn(kept, func(c *gateway.Config) { c.MaxUploadBytes = limit })
	token := w.key("acme")
	r.submit(token, file("warm"))

	conn := r.wire(token, "Content-Length: 10000000000")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("said beforehand: %v %v", res, err)
	}

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	body := io.MultiReader(strings.NewReader(fileHead), io.LimitReader(letters{}, 1<<40))
	req, _ := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", io.NopCloser(body))
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("Authorization", "Bearer "+token)
	a := r.do(req)
	runtime.ReadMemStats(&after)
	if a.code(t) != schemas.FileTooLarge {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if came := kept.came.Load(); came > limit || came < limit-1<<20 {
		t.Errorf("it took %d bytes", came)
	}
	if grew := int64(after.TotalAlloc - before.TotalAlloc); grew > 8<<20 {
		t.Errorf("%d MiB were allocated on the way", grew>>20)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestABrokenUploadLeavesNoObject(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.Stall = 300 * time.Millisecond })
	token := w.key("acme")
	r.submit(token, file("one that is whole"))
	for name, c := range map[string]struct {
		body  string
		leave bool
	}{
		"gone before the file":               {"--b\r\n", true},
		"gone in the first bytes":            {fileHead + "hello", true},
		"gone later":                         {fileHead + strings.Repeat("hello", 1<<17), true},
		"silent in the first bytes":          {fileHead + "hello", false},
		"silent later":                       {fileHead + strings.Repeat("hello", 1<<17), false},
		"silent after the file":              {fileHead + "hello\r\n--b\r\n", false},
		"refused after a large file":         {fileHead + strings.Repeat("hello", 1<<17) + "\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n", false},
		"gone after the file, before an end": {fileHead + "hello\r\n--b", true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := r.wire(token, "Content-Length: 2000000")
			if _, err := io.Copy(conn, strings.NewReader(c.body)); err != nil {
				t.Fatal(err)
			}
			if c.leave {
				conn.Close()
			} else {
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != http.StatusBadRequest {
					t.Errorf("%v %v", res, err)
				}
			}
			eventually(t, "only the whole one is left", func() bool { return len(w.store.keys()) == 1 })
			eventually(t, "no place is held", func() bool { return r.metric(t, "docstream_uploads_active") == "0" })
		})
	}
	if jobs := w.all("documents.cpu.normal"); len(jobs) != 1 {
		t.Errorf("%d jobs came of it", len(jobs))
	}
	if !strings.Contains(w.said(), "UPLOAD_INTERRUPTED") {
		t.Error("the log does not say that an upload was interrupted")
	}
}

// metric returns the value of a metric that has no labels.
func (r *replica) metric(t testing.TB, name string) string {
	t.Helper()
	a := r.get("", "/metrics")
	for line := range strings.SplitSeq(string(a.body), "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return v
		}
	}
	return ""
}

func TestUploadsInFlightAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.Uploads, c.UploadWait = 1, 50*time.Millisecond })
	token := w.key("acme")
	conn := r.wire(token, "Transfer-Encoding: chunked")
	chunk := func(s string) { fmt.Fprintf(conn, "%x\r\n%s\r\n", len(s), s) }
	chunk(fileHead + "hello")
	eventually(t, "the first is being taken", func() bool { return r.metric(t, "docstream_uploads_active") == "1" })
	a := r.post(token, file("second"))
	if a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	chunk("\r\n--b--\r\n")
	fmt.Fprint(conn, "0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("the first: %v %v", res, err)
	}
	r.submit(token, file("third"))
}

func TestAStoreThatDoesNotAnswerIsNoSecretAndNoJob(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	w.store.set(true)
	a := r.post(token, file("hello"))
	if a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" || bytes.Contains(a.body, []byte("10.0.0.1")) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	ready := r.get("", "/readyz")
	if ready.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(ready.body), `"objects":"not ready"`) {
		t.Errorf("%d %s", ready.StatusCode, ready.body)
	}
	w.store.set(false)
	if ready := r.get("", "/readyz"); ready.StatusCode != http.StatusOK {
		t.Errorf("%d %s", ready.StatusCode, ready.body)
	}
	if jobs := w.all("documents.cpu.normal"); len(jobs) != 0 {
		t.Errorf("jobs: %v", jobs)
	}
}

// A body that is announced and never comes must not hold a connection, whether it is wanted or not.
func TestABodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.Stall = 300 * time.Millisecond })
	token := w.key("acme")
	for name, c := range map[string]struct {
		token, body string
		want        int
	}{
		"unauthenticated":    {"nobody", "", http.StatusUnauthorized},
		"refused part-way":   {token, "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b\r\n", http.StatusBadRequest},
		"the end is missing": {token, fileHead + "hello\r\n--b--", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			conn := r.wire(c.token, "Content-Length: 100000")
			fmt.Fprint(conn, c.body)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			from := bufio.NewReader(conn)
			res, err := http.ReadResponse(from, nil)
			if err != nil || res.StatusCode != c.want {
				t.Fatalf("%v %v", res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			if _, err := from.ReadByte(); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
				t.Errorf("the connection is still held: %v", err)
			}
		})
	}
	if got := w.store.keys(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestABodyOfHeadsIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for name, head := range map[string]string{"one long line": "X: " + strings.Repeat("a", 200<<10) + "\r\n", "many lines": strings.Repeat("X: y\r\n", 50<<10)} {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n" + head + "\r\nhello\r\n--b--\r\n"
		req, _ := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", strings.NewReader(body))
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		req.Header.Set("Authorization", "Bearer "+token)
		if a := r.do(req); a.code(t) != schemas.InvalidRequest {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
}
