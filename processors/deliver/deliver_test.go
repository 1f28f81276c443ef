package deliver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/outbound"
	"docstream/internal/seal"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/processors/deliver"
	"docstream/producers"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

// got is one request a receiver saw.
type got struct {
	header http.Header
	body   string
	at     time.Time
}

// receiver is somebody who is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []got
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.seen = append(r.seen, got{q.Header.Clone(), string(b), time.Now()})
		n := len(r.seen)
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(n, w, q)
		}
	}))
	t.Cleanup(func() { r.CloseClientConnections(); r.Close() })
	return r
}

func (r *receiver) all() []got { r.mu.Lock(); defer r.mu.Unlock(); return slices.Clone(r.seen) }

// world is a broker with the plan's topics, and the newest record of every webhook and endpoint.
type world struct {
	t         *testing.T
	conn      stream.Connection
	plan      topology.Config
	codec     *schemas.Codec
	producer  *producers.Producer
	endpoints *deliver.Endpoints
	receivers []*receiver
	lookup    outbound.Lookup // nil: the system's
	publish   func(context.Context, ...schemas.Event) error

	mu       sync.Mutex
	newest   map[string]*schemas.WebhookDue
	disabled map[string]bool
}

func newWorld(t *testing.T, receivers ...*receiver) *world {
	w := &world{t: t, conn: testenv.Kafka(t), plan: testenv.Plan(t), endpoints: deliver.NewEndpoints(house), receivers: receivers,
		newest: map[string]*schemas.WebhookDue{}, disabled: map[string]bool{}}
	w.publish = w.publishAll
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	cl, err := w.conn.Client(kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for _, s := range w.plan.Specs() {
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), int32(w.plan.Partitions(s.Shape)), -1, nil, w.plan.Name(s.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	w.producer = producers.New(cl, stream.NewWriter(w.plan, w.codec, "test", house))
	watch, err := w.conn.Client(kgo.ConsumeTopics(w.plan.Name(topology.Webhooks.Spec.Name), w.plan.Name(topology.Settings.Spec.Name)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Close)
	go func() {
		for {
			f := watch.PollFetches(context.Background())
			if f.IsClientClosed() {
				return
			}
			f.EachRecord(w.note)
		}
	}()
	return w
}

func (w *world) publishAll(ctx context.Context, events ...schemas.Event) error {
	return w.producer.PublishAll(ctx, events, "req_test")
}

func (w *world) note(r *kgo.Record) {
	e, err := w.codec.Decode(context.Background(), r.Value)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case *schemas.WebhookDue:
		if e.DeliveryID != "" {
			w.newest[e.EndpointID+e.URL] = e
		}
	case *schemas.EndpointChanged:
		w.disabled[e.EndpointID] = !e.DisabledAt.IsZero()
	}
}

func (w *world) state(receiver string) *schemas.WebhookDue {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.newest[receiver]; e != nil {
		return e
	}
	return &schemas.WebhookDue{}
}

// start runs a worker and returns what stops it at once, as a kill would: nothing under way is finished.
func (w *world) start(change func(*deliver.Config)) (stop func()) {
	w.t.Helper()
	cfg := deliver.DefaultConfig()
	cfg.Timeout = 2 * time.Second
	cfg.Schedule = []time.Duration{50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond}
	cfg.Outbound.Networks = []string{"127.0.0.0/8"}
	for _, r := range w.receivers {
		u, _ := url.Parse(r.URL)
		port, _ := strconv.Atoi(u.Port())
		cfg.Outbound.Ports = append(cfg.Outbound.Ports, port)
	}
	if change != nil {
		change(&cfg)
	}
	log := telemetry.NewLogger(io.Discard, "error")
	d, err := deliver.New(cfg, w.endpoints, deliver.Around{
		Publish: func(ctx context.Context, events ...schemas.Event) error { return w.publish(ctx, events...) },
		End:     stream.Ends(w.conn, w.plan), Fresh: func(context.Context) error { return nil }, Objects: results{}, Lookup: w.lookup,
	}, log, prometheus.NewRegistry())
	if err != nil {
		w.t.Fatal(err)
	}
	h := stream.New(w.conn, w.plan, stream.DefaultConfig(), w.codec, house, log, prometheus.NewRegistry())
	stream.AddLog(h, topology.Deliver, d)
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { _ = h.Run(ctx) })
	both.Go(func() { _ = d.Run(ctx) })
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); both.Wait() }) }
	w.t.Cleanup(stop)
	return stop
}

// results is a store with one small result.
type results struct{}

func (results) Get(context.Context, string, int64, int64) (io.ReadCloser, blob.Object, error) {
	return io.NopCloser(strings.NewReader("# Hello\n")), blob.Object{Size: 8}, nil
}

// endpoint makes an endpoint of acme; its id is its name.
func (w *world) endpoint(id, address string, events ...string) (secret []byte) {
	w.t.Helper()
	secret = bytes.Repeat([]byte(id[:1]), 32)
	sealed, err := seal.Seal(house, deliver.Owner("acme", id), secret)
	if err != nil {
		w.t.Fatal(err)
	}
	e := &schemas.EndpointChanged{Head: schemas.Head{Tenant: "acme"}, EndpointID: id, URL: address, Events: events, Secret: sealed}
	w.endpoints.Take("acme/endpoint/"+id, e)
	return secret
}

// ended publishes the end of a job of acme, as the fold does.
func (w *world) ended(n int, status schemas.Status, address string) *schemas.WebhookDue {
	w.t.Helper()
	now := time.Now().UTC()
	job := schemas.JobIDFor("test", fmt.Sprint(n))
	e := &schemas.WebhookDue{Head: schemas.Head{EventID: "evt_" + job, Tenant: "acme", JobID: job, At: now, SubmittedAt: now}, URL: address, Type: "job." + status, Version: 7,
		State: deliver.Due, FirstAt: now, NextAt: now, Status: status, PagesExpected: 2, PagesDone: 2, Metadata: map[string]string{"order": "17"}}
	if status == schemas.Completed {
		e.Outputs = []schemas.Output{{Format: "markdown", Key: schemas.ResultKey("acme", job, 0, "document.md"), Size: 8, MediaType: "text/markdown"}}
	} else {
		e.Code, e.Message = "DOCUMENT_CORRUPT", "The document is damaged and cannot be opened."
	}
	if err := w.producer.Publish(w.t.Context(), e, "req_test"); err != nil {
		w.t.Fatal(err)
	}
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// verify asks the standard-webhooks library of Python whether a message is genuine.
func verify(t *testing.T, secret []byte, g got) (string, error) {
	t.Helper()
	headers := map[string]string{}
	for k := range g.header {
		headers[strings.ToLower(k)] = g.header.Get(k)
	}
	in, _ := json.Marshal(map[string]any{"secret": "whsec_" + base64.StdEncoding.EncodeToString(secret), "headers": headers, "body": g.body})
	cmd := exec.Command("python3", "testdata/verify.py")
	cmd.Env, cmd.Stdin = testenv.Python(t, "testdata/requirements.txt"), bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAWebhookIsGenuineToTheLibraryOfAnotherLanguage(t *testing.T) {
	r := newReceiver(t, nil)
	w := newWorld(t, r)
	secret := w.endpoint("first", r.URL+"/hook")
	w.endpoint("other events", r.URL+"/not-this", "job.cancelled")
	job := w.ended(1, schemas.Completed, r.URL+"/from-the-job")
	w.start(nil)
	eventually(t, "both are told", func() bool { return len(r.all()) == 2 })
	derived, _ := seal.Derive(house, deliver.Purpose("acme"))
	var ids []string
	good := map[bool]int{}
	for _, g := range r.all() {
		ids = append(ids, g.header.Get("webhook-id"))
		_, byEndpoint := verify(t, secret, g)
		_, byTenant := verify(t, derived, g)
		good[byEndpoint == nil]++
		if (byEndpoint == nil) == (byTenant == nil) {
			t.Errorf("endpoint's secret: %v, tenant's: %v", byEndpoint, byTenant)
		}
		forged := g
		forged.body = strings.Replace(g.body, "completed", "failed", 1)
		if _, err := verify(t, secret, forged); err == nil {
			t.Error("a forged body was taken")
		}
		var m struct {
			Type string
			Data struct {
				JobID     string `json:"job_id"`
				Status    string
				ResultURL string `json:"result_url"`
				Result    struct{ Format, Content string }
				Metadata  map[string]string
			}
		}
		if err := json.Unmarshal([]byte(g.body), &m); err != nil || m.Type != "job.completed" || m.Data.JobID != job.JobID || m.Data.Status != "completed" ||
			m.Data.ResultURL != "/api/v1/jobs/"+job.JobID+"/result" || m.Data.Result.Content != "# Hello\n" || m.Data.Metadata["order"] != "17" {
			t.Errorf("%v %s", err, g.body)
		}
	}
	if good[true] != 1 || ids[0] == ids[1] || !strings.HasPrefix(ids[0], "msg_") {
		t.Errorf("%v %v", good, ids)
	}
}

func TestAReceiverThatFailsIsTriedAgainUnderOneID(t *testing.T) {
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	w := newWorld(t, r)
	w.endpoint("first", r.URL)
	w.ended(1, schemas.Failed, "")
	w.start(nil)
	eventually(t, "it is delivered", func() bool { return w.state("first").State == deliver.Delivered })
	all := r.all()
	if s := w.state("first"); len(all) != 3 || s.Attempts != 3 || s.LastStatus != 200 || s.LastError != "" {
		t.Fatalf("%d requests, %+v", len(all), s)
	}
	for _, g := range all {
		if g.header.Get("webhook-id") != all[0].header.Get("webhook-id") || g.body != all[0].body || !strings.Contains(g.body, `"error":{"code":"DOCUMENT_CORRUPT"`) || strings.Contains(g.body, "result") {
			t.Errorf("%s %s", g.header.Get("webhook-id"), g.body)
		}
	}
}

func TestEveryWayToFailHasItsEnd(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	var sent atomic.Int64 // of the gigabyte
	r := newReceiver(t, func(n int, w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/away":
			w.WriteHeader(http.StatusBadGateway)
		case "/redirects":
			http.Redirect(w, q, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/gigabyte":
			for range 1 << 10 {
				n, err := io.WriteString(w, huge)
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		case "/hangs":
			<-q.Context().Done()
		}
	})
	w := newWorld(t, r)
	for _, path := range []string{"away", "redirects", "gone", "gigabyte", "hangs"} {
		w.endpoint(path, r.URL+"/"+path)
	}
	w.endpoint("metadata", "http://169.254.169.254/latest/meta-data")
	w.endpoint("loopback", "http://localhost:1/")
	w.ended(1, schemas.Completed, "")
	w.start(func(c *deliver.Config) { c.Timeout = 300 * time.Millisecond })
	for endpoint, want := range map[string]schemas.WebhookDue{
		"away":      {State: deliver.Failed, Attempts: 4, LastStatus: 502, LastError: "the receiver answered 502"},
		"redirects": {State: deliver.Failed, Attempts: 4, LastStatus: 302, LastError: "the receiver redirects, which is not followed"},
		"gone":      {State: deliver.Failed, Attempts: 1, LastStatus: 410, LastError: "the receiver wants no more"},
		"gigabyte":  {State: deliver.Delivered, Attempts: 1, LastStatus: 200},
		"hangs":     {State: deliver.Failed, Attempts: 4, LastError: "there was no answer in time"},
		"metadata":  {State: deliver.Failed, Attempts: 1, LastError: "the address may not be asked"},
		"loopback":  {State: deliver.Failed, Attempts: 1, LastError: "the address may not be asked"},
	} {
		eventually(t, endpoint+" ends", func() bool { return w.state(endpoint).State != deliver.Due && w.state(endpoint).State != "" })
		if s := w.state(endpoint); s.State != want.State || s.Attempts != want.Attempts || s.LastStatus != want.LastStatus || s.LastError != want.LastError {
			t.Errorf("%s: %s after %d attempts, %d %q", endpoint, s.State, s.Attempts, s.LastStatus, s.LastError)
		}
	}
	r.CloseClientConnections() // so that nobody writes any more
	if n := sent.Load(); n == 0 || n > 64<<20 {
		t.Errorf("%d bytes of the gigabyte were taken", n)
	}
	eventually(t, "410 disables the endpoint", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.disabled["gone"] && !w.disabled["away"] })
}

// TestRebindingANameGainsNothing: the name of a receiver is resolved anew at every attempt, and what it leads to is checked where the
// connection is made.
func TestRebindingANameGainsNothing(t *testing.T) {
	r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusInternalServerError)
	})
	w := newWorld(t, r)
	u, _ := url.Parse(r.URL)
	lookups := map[string]int{}
	w.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		good, inside := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")
		switch lookups[host]++; {
		case host == "mapped.example":
			return []netip.Addr{netip.MustParseAddr("::ffff:169.254.169.254")}, nil
		case host == "both.example":
			return []netip.Addr{good, inside}, nil
		case lookups[host] == 1:
			return []netip.Addr{good}, nil
		}
		return []netip.Addr{inside}, nil
	}
	for _, name := range []string{"rebinding", "mapped", "both"} {
		w.endpoint(name, "http://"+name+".example:"+u.Port()+"/")
	}
	w.ended(1, schemas.Completed, "")
	w.start(nil)
	for name, attempts := range map[string]int{"rebinding": 2, "mapped": 1, "both": 1} {
		eventually(t, name+" ends", func() bool { return w.state(name).State == deliver.Failed })
		if s := w.state(name); s.Attempts != attempts || s.LastError != "the address may not be asked" {
			t.Errorf("%s: after %d attempts %q", name, s.Attempts, s.LastError)
		}
	}
	if n := len(r.all()); n != 1 {
		t.Errorf("%d requests came through", n)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	w := newWorld(t, r)
	w.endpoint("first", r.URL)
	w.ended(1, schemas.Completed, "")
	w.start(nil)
	eventually(t, "it is delivered", func() bool { return w.state("first").State == deliver.Delivered })
	if all := r.all(); len(all) != 2 || all[1].at.Sub(all[0].at) < 2*time.Second {
		t.Errorf("%d requests, %s apart", len(all), all[1].at.Sub(all[0].at))
	}
}

func TestASlowReceiverDelaysNobodyElse(t *testing.T) {
	slow := newReceiver(t, func(_ int, _ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	fast := newReceiver(t, nil)
	w := newWorld(t, slow, fast)
	w.endpoint("slow", slow.URL)
	w.endpoint("fast", fast.URL)
	for n := range 20 {
		w.ended(n, schemas.Completed, "")
	}
	w.start(func(c *deliver.Config) { c.Timeout = time.Minute })
	eventually(t, "the fast one has all while the slow one has ended none", func() bool { return len(fast.all()) == 20 })
	if n := len(slow.all()); n > deliver.DefaultConfig().PerEndpoint {
		t.Errorf("%d attempts at once to one receiver", n)
	}
}

func TestAWorkerThatIsKilledLosesNothing(t *testing.T) {
	var mu sync.Mutex
	hang := true
	r := newReceiver(t, func(_ int, _ http.ResponseWriter, q *http.Request) {
		mu.Lock()
		h := hang
		mu.Unlock()
		if h {
			<-q.Context().Done()
		}
	})
	w := newWorld(t, r)
	w.endpoint("first", r.URL)
	w.ended(1, schemas.Completed, "")
	stop := w.start(func(c *deliver.Config) { c.Timeout = time.Minute })
	eventually(t, "an attempt is under way", func() bool { return len(r.all()) == 1 })
	stop()
	mu.Lock()
	hang = false
	mu.Unlock()
	stop = w.start(nil)
	eventually(t, "the next worker delivers it", func() bool { return w.state("first").State == deliver.Delivered })
	stop()
	seen := r.all()
	if seen[0].header.Get("webhook-id") != seen[len(seen)-1].header.Get("webhook-id") {
		t.Error("the id changed")
	}
	w.start(nil)
	w.ended(2, schemas.Completed, "")
	eventually(t, "the next job's is delivered", func() bool {
		all := r.all()
		return all[len(all)-1].header.Get("webhook-id") != seen[0].header.Get("webhook-id")
	})
	if n := len(r.all()); n != len(seen)+1 {
		t.Errorf("what was delivered was sent again: %d requests, then %d", len(seen), n)
	}
}

// What is published with one call lies in several partitions: a kill may leave any part of it, the last record alone too.
func TestAnEventIsClosedOnlyWhenItsMessagesAreWritten(t *testing.T) {
	r := newReceiver(t, nil)
	w := newWorld(t, r)
	w.endpoint("first", r.URL+"/endpoint")
	w.ended(1, schemas.Completed, r.URL+"/job")
	killed := make(chan struct{})
	w.publish = func(ctx context.Context, events ...schemas.Event) error {
		err := w.publishAll(ctx, events[len(events)-1])
		close(killed)
		<-ctx.Done()
		return errors.Join(err, ctx.Err())
	}
	stop := w.start(nil)
	<-killed
	stop()
	w.publish = w.publishAll
	w.start(nil)
	for _, about := range []string{"first", r.URL + "/job"} {
		eventually(t, about+" is told", func() bool { return w.state(about).State == deliver.Delivered })
	}
}
