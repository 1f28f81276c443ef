package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/internal/stream"
	"docstream/producers"
	"docstream/schemas"
)

// The tests of this file ask a gateway that listens itself, with the limits of its own server, for what a hostile client sends. Each is held
// to one thing: what is asked too much for is ended with a code of the table, and all others are served meanwhile.

// listening is a gateway on a port of its own, beside the replica whose view it shares.
func (w *world) listening(change func(*gateway.Config)) *replica {
	w.t.Helper()
	r := w.replica(change)
	cfg := gateway.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	p := producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "gateway", house))
	g := gateway.New(cfg, r.view, p, w.store, house, gateway.Info{Version: "test", Revision: "test"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.Listening()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("Run ended with %v", err)
		}
	})
	return &replica{w: w, view: r.view, gateway: g, url: "http://" + g.Addr()}
}

// dial opens a connection to the gateway; a read of it fails the test after a minute.
func (r *replica) dial() net.Conn {
	r.w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// trickle sends a byte again and again until the other side has had enough.
func trickle(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("a")); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestSlowSocketsAreEndedWhileOthersAreServed: 500 connections that send a byte now and then, in the head, in a body nobody wants, and in a
// body that holds a place among the uploads. The server ends all of them; every request of the others is answered meanwhile.
func TestSlowSocketsAreEndedWhileOthersAreServed(t *testing.T) {
	const heads, bodies, uploads, others, rounds = 300, 150, 50, 8, 25
	w := newWorld(t)
	r := w.listening(func(c *gateway.Config) {
		c.HeaderTimeout, c.Stall, c.MinUploadRate = 2*time.Second, 2*time.Second, 4<<10
		c.Plans[len(c.Plans)-1].RequestsPerSecond = 10_000
	})
	slow, token := w.key("slow"), w.key("acme")
	job := r.submit(token, file("hello"))
	head := func(key string) string {
		return fmt.Sprintf("POST /api/v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n", key)
	}
	var sockets, served sync.WaitGroup
	var ended, under atomic.Int32
	for n := range heads + bodies + uploads {
		begin := "GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: "
		if n >= heads+bodies {
			begin = head(slow)
		} else if n >= heads {
			begin = head("nobody")
		}
		conn := r.dial()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		under.Add(1)
		go trickle(conn)
		sockets.Go(func() {
			_, err := io.Copy(io.Discard, conn)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Errorf("socket %d is still held", n)
				return
			}
			ended.Add(1)
		})
	}
	var answered atomic.Int32
	for n := range others {
		served.Go(func() {
			for range rounds {
				if a := r.get(token, "/api/v1/jobs/"+job); a.StatusCode != http.StatusOK {
					t.Errorf("a look-up got %d %s", a.StatusCode, a.body)
				}
				if a := r.post(token, file(fmt.Sprint("hello ", n))); a.StatusCode != http.StatusAccepted {
					t.Errorf("a submission got %d %s", a.StatusCode, a.body)
				}
				answered.Add(2)
			}
		})
	}
	served.Wait()
	sockets.Wait()
	if answered.Load() != 2*others*rounds || ended.Load() != heads+bodies+uploads || under.Load() != ended.Load() {
		t.Errorf("%d answers, %d of %d sockets ended", answered.Load(), ended.Load(), under.Load())
	}
}

func TestTenThousandPartsAreRefused(t *testing.T) {
	w := newWorld(t)
	r := w.listening(nil)
	token := w.key("acme")
	many := make([]field, 10_000)
	for i := range many {
		many[i] = field{name: "output_formats", value: "json"}
	}
	for name, fields := range map[string][]field{"before the file": append(many, file("hello")), "behind it": append([]field{file("hello")}, many...)} {
		if a := r.post(token, fields...); a.code(t) != schemas.InvalidRequest || !strings.Contains(string(a.body), "max_parts") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	eventually(t, "nothing is left behind", func() bool { return len(w.store.keys()) == 0 })
}

// TestHostileJSONIsRefusedEverywhere: every route that reads JSON, by the description, refuses what is nested without end, what is packed
// and what is no text, with a code, and is still there.
func TestHostileJSONIsRefusedEverywhere(t *testing.T) {
	w := newWorld(t)
	r := w.listening(nil)
	token, held := w.issue("acme", keys.Documents, keys.Admin, keys.Operator), 0
	for _, o := range guarded(t) {
		if o.op.RequestBody == nil || o.op.RequestBody.Value.Content["application/json"] == nil {
			continue
		}
		held++
		path := placeholder.ReplaceAllString(o.path, "acme")
		for name, c := range map[string]struct {
			body     []byte
			encoding string
		}{
			"arrays in arrays":   {[]byte(strings.Repeat("[", 200_000)), ""},
			"objects in objects": {[]byte(strings.Repeat(`{"a":`, 100_000)), ""},
			"deep and whole":     {[]byte(`{"metadata":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "}"), ""},
			"a gzip bomb":        {bomb(t), "gzip"},
			"bytes":              {[]byte{0xff, 0xfe, 0, 0}, ""},
		} {
			req, _ := http.NewRequest(o.method, r.url+path, bytes.NewReader(c.body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			if c.encoding != "" {
				req.Header.Set("Content-Encoding", c.encoding)
			}
			if a := r.do(req); a.StatusCode < 400 || a.StatusCode > 499 || a.code(t) == "" {
				t.Errorf("%s %s takes %s: %d %s", o.method, path, name, a.StatusCode, a.body)
			}
		}
	}
	if held < 5 {
		t.Errorf("only %d routes read JSON", held)
	}
	if a := r.get(token, "/api/v1/jobs"); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
}

// bomb is 256 MiB of zeros in some 256 KB: 256 members of a MiB, for a file of gzip is as many as stand in it (RFC 1952, 2.2), and
// packing one takes a moment under the race detector where packing all takes half a minute.
func bomb(t *testing.T) []byte {
	t.Helper()
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	if _, err := z.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(member.Bytes(), 256)
}

// TestAPackedDocumentIsNotUnpacked: a body that says it is packed is refused by every door that takes documents, before a byte of it is read.
func TestAPackedDocumentIsNotUnpacked(t *testing.T) {
	w := newWorld(t)
	r := w.listening(nil)
	token, body, held := w.key("acme"), bomb(t), 0
	for _, o := range guarded(t) {
		if o.op.RequestBody == nil || o.op.RequestBody.Value.Content["multipart/form-data"] == nil && o.op.RequestBody.Value.Content["*/*"] == nil {
			continue
		}
		held++
		for _, encoding := range []string{"gzip", "deflate", "zstd", "br", "gzip, gzip"} {
			req, _ := http.NewRequest(o.method, r.url+o.path, bytes.NewReader(body))
			req.Header.Set("Content-Type", "text/plain")
			req.Header.Set("Content-Encoding", encoding)
			req.Header.Set("Authorization", "Bearer "+token)
			if a := r.do(req); a.StatusCode != schemas.Codes[schemas.UnsupportedMediaType].HTTP && !strings.Contains(string(a.body), string(schemas.UnsupportedMediaType)) {
				t.Errorf("%s %s takes %s: %d %s", o.method, o.path, encoding, a.StatusCode, a.body)
			}
		}
	}
	if got := w.store.keys(); held < 5 || len(got) != 0 {
		t.Errorf("%d doors; stored: %v", held, got)
	}
}

// TestAHeadThatIsTooLongIsRefused: headers and addresses are bounded before a route sees them; what fits is answered by the route, however
// many parameters it has.
func TestAHeadThatIsTooLongIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.listening(nil)
	token := w.key("acme")
	request := func(address, more string) string {
		return "GET " + address + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n" + more + "Connection: close\r\n\r\n"
	}
	for name, c := range map[string]struct {
		send string
		want string // statuses that are right
	}{
		"one header of 1 MB":             {request("/api/v1/jobs", "X-Long: "+strings.Repeat("a", 1<<20)+"\r\n"), "431"},
		"10,000 headers":                 {request("/api/v1/jobs", strings.Repeat("X-Many: yes\r\n", 10_000)), "431"},
		"an address of 1 MB":             {request("/api/v1/jobs?cursor="+strings.Repeat("a", 1<<20), ""), "431"},
		"10,000 parameters":              {request("/api/v1/jobs?"+strings.Repeat("tag=a:b&", 10_000), ""), "431"},
		"10,000 parameters that fit":     {request("/api/v1/jobs?"+strings.Repeat("a&", 10_000), ""), "200 400"},
		"4,000 conditions":               {request("/api/v1/jobs?"+strings.Repeat("tag=a:b&", 4_000), ""), "200 400"},
		"10,000 options":                 {strings.Replace(request("/api/v1/documents?"+strings.Repeat("a&", 10_000), "Content-Type: text/plain\r\nContent-Length: 0\r\n"), "GET", "POST", 1), "400"},
		"a trace of 30 KB":               {request("/api/v1/jobs", "traceparent: "+strings.Repeat("0", 30<<10)+"\r\n"), "200"},
		"a name of a request of 30 KB":   {request("/api/v1/jobs", "X-Request-Id: "+strings.Repeat("x", 30<<10)+"\r\n"), "200"},
		"a key of a submission of 30 KB": {strings.Replace(request("/api/v1/documents", "Content-Length: 0\r\nIdempotency-Key: "+strings.Repeat("x", 30<<10)+"\r\n"), "GET", "POST", 1), "400"},
	} {
		conn := r.dial()
		go func() { _, _ = io.WriteString(conn, c.send) }() // the server may stop reading
		answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
		if errors.Is(err, os.ErrDeadlineExceeded) || len(answer) < 12 {
			t.Errorf("%s: no answer: %v", name, err)
			continue
		}
		if status := string(answer[9:12]); !strings.Contains(c.want, status) {
			t.Errorf("%s: %.300s", name, answer)
		}
	}
	if a := r.get(token, "/api/v1/jobs"); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
}
