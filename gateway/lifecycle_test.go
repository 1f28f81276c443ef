package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/gateway"
	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/producers"
	"docstream/schemas"
)

func TestAStoppingGatewayFinishesWhatItTook(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil) // its view serves the gateway below
	token := w.key("acme")
	cfg := gateway.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	p := producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "gateway", house))
	g := gateway.New(cfg, r.view, p, w.store, house, gateway.Info{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if g.Addr() != "" {
		t.Error("it listens before Run")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.Listening()

	body, feed := io.Pipe()
	req, _ := http.NewRequest(http.MethodPost, "http://"+g.Addr()+"/api/v1/documents", body)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("Authorization", "Bearer "+token)
	answered := make(chan int, 1)
	go func() {
		res, err := w.client.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	fmt.Fprint(feed, fileHead+"hello")
	time.Sleep(50 * time.Millisecond)
	stop()
	eventually(t, "it takes no new connection", func() bool {
		c, err := net.DialTimeout("tcp", g.Addr(), time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	fmt.Fprint(feed, "\r\n--b--\r\n")
	feed.Close()
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("the upload in flight got %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

// alone starts a gateway that listens by itself, on a view that is ready.
func (w *world) alone(change func(*gateway.Config)) (g *gateway.Gateway, stop func(), ended <-chan error) {
	w.t.Helper()
	r := w.replica(nil)
	cfg := gateway.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	change(&cfg)
	p := producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "gateway", house))
	g = gateway.New(cfg, r.view, p, w.store, house, gateway.Info{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, stop := context.WithCancel(w.t.Context())
	over := make(chan error, 1)
	go func() { over <- g.Run(ctx) }()
	<-g.Listening()
	return g, stop, over
}

// kept asks for a path over a connection that stays open, and says what came and whether the connection was closed with it.
func kept(t testing.TB, c *http.Client, url string) (status int, closed bool) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Close
}

// A proxy that keeps connections open may send on one at any time: none is cut before it has heard, with an answer, that it ends.
func TestADrainingGatewayFailsNoRequestOfAKeptConnection(t *testing.T) {
	w := newWorld(t)
	g, stop, ended := w.alone(func(*gateway.Config) {})
	base := "http://" + g.Addr()
	one, two := &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{}}
	for _, c := range []*http.Client{one, two} {
		if status, closed := kept(t, c, base+"/readyz"); status != http.StatusOK || closed {
			t.Fatalf("before: %d, closed %t", status, closed)
		}
	}
	stop()
	eventually(t, "it takes no new connection", func() bool {
		c, err := net.DialTimeout("tcp", g.Addr(), time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if status, closed := kept(t, one, base+"/readyz"); status != http.StatusServiceUnavailable || !closed {
		t.Errorf("a kept connection asks /readyz: %d, closed %t", status, closed)
	}
	if status, closed := kept(t, two, base+"/healthz"); status != http.StatusOK || !closed {
		t.Errorf("a request on a kept connection: %d, closed %t", status, closed)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestADrainingGatewayTakesConnectionsUntilTheDelayIsOver(t *testing.T) {
	w := newWorld(t)
	g, stop, ended := w.alone(func(c *gateway.Config) { c.DrainDelay = 500 * time.Millisecond })
	stop()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "it says that it is not ready, to a new connection", func() bool {
		res, err := fresh.Get("http://" + g.Addr() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable
	})
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := gateway.DefaultConfig()
	cfg.Listen = l.Addr().String()
	v := view.New(view.DefaultConfig(), stream.DefaultConnection(), testenv.Plan(t), nil, house, slog.New(slog.DiscardHandler), nil)
	g := gateway.New(cfg, v, nil, newMemory(), house, gateway.Info{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err := g.Run(t.Context()); err == nil {
		t.Error("two of them listen there")
	}
}

// panics is a store with a mistake in it.
type panics struct{ *memory }

func (panics) Get(context.Context, string, int64, int64) (io.ReadCloser, blob.Object, error) {
	panic("a mistake nobody foresaw")
}

// torn is a store whose objects break off.
type torn struct{ *memory }

func (s torn) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error) {
	body, o, err := s.memory.Get(ctx, key, offset, length)
	return io.NopCloser(io.MultiReader(io.LimitReader(body, 2), tear{})), o, err
}

type tear struct{}

func (tear) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAPanicIsInternalAndSaysNothing(t *testing.T) {
	w := newWorld(t)
	r := w.replicaOn(panics{w.store}, nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	a := r.get(token, "/api/v1/jobs/"+job+"/result")
	if a.code(t) != schemas.Internal || bytes.Contains(a.body, []byte("mistake")) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(w.said(), "a mistake nobody foresaw") || !strings.Contains(w.said(), "lifecycle_test.go") {
		t.Error("the log does not say where it was")
	}
	if a := r.get(token, "/api/v1/jobs/"+job); a.StatusCode != http.StatusOK {
		t.Errorf("after it: %d", a.StatusCode)
	}
}

func TestAResultThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	w := newWorld(t)
	r := w.replicaOn(torn{w.store}, nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "text", "words"))
	req, _ := http.NewRequest(http.MethodGet, r.url+"/api/v1/jobs/"+job+"/result", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := w.client.Do(req)
	if err != nil {
		return // cut before the head was out
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half a result came as whole: %q", b)
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for name, change := range map[string]func(*gateway.Config){
		"listen": func(c *gateway.Config) { c.Listen = "8080" }, "public_url": func(c *gateway.Config) { c.PublicURL = "docs.example.com" },
		"max_upload_bytes": func(c *gateway.Config) { c.MaxUploadBytes = 0 }, "uploads": func(c *gateway.Config) { c.Uploads = 0 },
		"upload_wait": func(c *gateway.Config) { c.UploadWait = -1 }, "min_upload_rate": func(c *gateway.Config) { c.MinUploadRate = 0 },
		"stall": func(c *gateway.Config) { c.Stall = 0 }, "max_wait": func(c *gateway.Config) { c.MaxWait = 0 },
		"publish_timeout": func(c *gateway.Config) { c.PublishTimeout = 0 }, "header_timeout": func(c *gateway.Config) { c.HeaderTimeout = 0 },
		"idle_timeout": func(c *gateway.Config) { c.IdleTimeout = 0 }, "drain_timeout": func(c *gateway.Config) { c.DrainTimeout = 0 },
		"drain_delay": func(c *gateway.Config) { c.DrainDelay = -1 },
	} {
		cfg := gateway.DefaultConfig()
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
