package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/gateway/view"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

// world is one broker, one registry, one object store and one plan, and what stands in for the stages.
type world struct {
	t     testing.TB
	conn  stream.Connection
	plan  topology.Config
	codec *schemas.Codec
	cl    *kgo.Client
	store *memory
	logs  *locked
	log   *slog.Logger // of every replica

	client *http.Client // holds every answer to the OpenAPI document
}

func newWorld(t testing.TB) *world { return newWorldOn(t, testenv.Kafka(t)) }

func newWorldOn(t testing.TB, conn stream.Connection) *world {
	w := &world{t: t, conn: conn, plan: testenv.Plan(t), store: newMemory(), logs: &locked{},
		client: &http.Client{Transport: testenv.Described(t).Transport(t, nil)}}
	w.log = telemetry.NewLogger(w.logs, "debug")
	var err error
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.conn.Client(kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.topics()
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	return w
}

// topics creates the plan's.
func (w *world) topics() {
	adm := kadm.NewClient(w.cl)
	for _, s := range w.plan.Specs() {
		var configs map[string]*string
		if s.Compact {
			compact := "compact"
			configs = map[string]*string{"cleanup.policy": &compact}
		}
		if _, err := adm.CreateTopic(w.t.Context(), int32(w.plan.Partitions(s.Shape)), -1, configs, w.plan.Name(s.Name)); err != nil {
			w.t.Fatalf("creating %s: %v", s.Name, err)
		}
	}
}

// said is the log so far: a line of its own takes along those of requests, which may come a little late.
func (w *world) said() string {
	w.log.Debug("the log is read")
	return w.logs.String()
}

// replica is one gateway with its view, on a port of its own.
type replica struct {
	w       *world
	view    *view.View
	gateway *gateway.Gateway
	reg     *prometheus.Registry
	url     string
}

// replica starts a gateway; it ends with the test. change may be nil.
func (w *world) replica(change func(*gateway.Config)) *replica {
	w.t.Helper()
	return w.replicaOn(w.store, change)
}

// replicaOn starts a gateway on a store of the test's own.
func (w *world) replicaOn(store gateway.Objects, change func(*gateway.Config)) *replica {
	w.t.Helper()
	r := w.start(store, change)
	eventually(w.t, "the view is ready", r.view.Ready)
	return r
}

// unready starts a gateway and does not wait for its view.
func (w *world) unready(change func(*gateway.Config)) *replica {
	w.t.Helper()
	return w.start(w.store, change)
}

func (w *world) start(store gateway.Objects, change func(*gateway.Config)) *replica {
	w.t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.MaxUploadBytes = 8 << 20
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		w.t.Fatal(err)
	}
	vcfg := view.DefaultConfig()
	vcfg.Dir = w.t.TempDir()
	r := &replica{w: w, reg: prometheus.NewRegistry()}
	log := w.log
	r.view = view.New(vcfg, w.conn, w.plan, w.codec, house, log, r.reg)
	p := producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "gateway", house))
	r.gateway = gateway.New(cfg, r.view, p, store, house, gateway.Info{Version: "test", Revision: "test"}, log, r.reg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.view.Run(ctx) }()
	s := httptest.NewUnstartedServer(r.gateway.Handler())
	s.Start()
	r.url = s.URL
	w.t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Errorf("the view ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			w.t.Error("the view did not stop")
		}
	})
	return r
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// key issues an API key of a tenant and returns its token.
func (w *world) key(tenant string) string {
	w.t.Helper()
	token, e, err := keys.New(house, tenant, "test", []string{keys.Documents}, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(e)
	return token
}

// publish appends events.
func (w *world) publish(events ...schemas.Event) {
	w.t.Helper()
	for _, e := range events {
		if err := w.cl.ProduceSync(w.t.Context(), w.record(e)).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) record(e schemas.Event) *kgo.Record {
	w.t.Helper()
	r, err := stream.NewWriter(w.plan, w.codec, "test", house).Record(context.Background(), e, "req_test")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// snapshot is a job as track would write it.
func snapshot(tenant, job string, version int64, status schemas.Status) *schemas.JobSnapshot {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := &schemas.JobSnapshot{
		Head: schemas.Head{EventID: fmt.Sprint(job, version), Tenant: tenant, JobID: job, At: at, SubmittedAt: at}, Version: version, Status: status,
		Stage: "pages", Class: "cpu", Priority: "normal", OpenedAt: at.Add(time.Second), PagesTotal: 4, PagesExpected: 4, PagesDone: 2,
		Source:  schemas.Source{Key: "sources/" + tenant + "/x", Size: 5, MediaType: "text/plain", Filename: "a b.pdf", SHA256: "00"},
		Options: schemas.Options{OCR: "auto"},
	}
	if schemas.Terminal(status) {
		s.Stage, s.EndedAt, s.PagesDone = "done", at.Add(3*time.Second), 4
	}
	return s
}

// answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) code(t testing.TB) schemas.Code {
	t.Helper()
	var b struct {
		Error struct {
			Code    schemas.Code   `json:"code"`
			Message string         `json:"message"`
			Details map[string]any `json:"details"`
		} `json:"error"`
		RequestID string `json:"request_id"`
		Timestamp string `json:"timestamp"`
	}
	if err := json.Unmarshal(a.body, &b); err != nil {
		t.Fatalf("status %d, no error body: %q", a.StatusCode, a.body)
	}
	if b.Error.Code != "" && (b.Error.Message == "" || b.Error.Details == nil || b.RequestID == "" || b.RequestID != a.Header.Get("X-Request-Id")) {
		t.Errorf("the error lacks a part: %s", a.body)
	}
	if b.Error.Code != "" && a.StatusCode != schemas.Codes[b.Error.Code].HTTP {
		t.Errorf("%s came with status %d", b.Error.Code, a.StatusCode)
	}
	return b.Error.Code
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("status %d: %v in %q", a.StatusCode, err, a.body)
	}
}

// do makes a request and holds the answer to the OpenAPI document.
func (r *replica) do(req *http.Request) answer {
	r.w.t.Helper()
	res, err := r.w.client.Do(req)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	return answer{res, b}
}

func (r *replica) get(token, path string, headers ...string) answer {
	r.w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return r.do(req)
}

// field is one part of a multipart body; a part with a media type or a file name is sent as a file.
type field struct{ name, value, filename, media string }

func file(value string) field { return field{name: "file", value: value, filename: "a.txt"} }

func form(fields ...field) (body *bytes.Buffer, contentType string) {
	body = &bytes.Buffer{}
	m := multipart.NewWriter(body)
	for _, f := range fields {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"`, f.name))
		if f.filename != "" {
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, f.name, f.filename))
		}
		if f.media != "" {
			h.Set("Content-Type", f.media)
		}
		p, _ := m.CreatePart(h)
		_, _ = p.Write([]byte(f.value))
	}
	_ = m.Close()
	return body, m.FormDataContentType()
}

func (r *replica) post(token string, fields ...field) answer {
	r.w.t.Helper()
	body, kind := form(fields...)
	req, err := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.do(req)
}

// submit posts a document that must be accepted and returns its job id.
func (r *replica) submit(token string, fields ...field) string {
	r.w.t.Helper()
	a := r.post(token, fields...)
	var b struct {
		JobID string `json:"job_id"`
	}
	a.into(r.w.t, &b)
	if a.StatusCode != http.StatusAccepted || !schemas.ValidJobID(b.JobID) {
		r.w.t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	return b.JobID
}

// locked is a buffer many may write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer

	forgetful atomic.Bool
}

func (l *locked) Write(p []byte) (int, error) {
	if l.forgetful.Load() {
		return len(p), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// read returns the first n records of a topic, or fails after a while.
func (w *world) read(topic string, n int) []*kgo.Record {
	w.t.Helper()
	cl, err := w.conn.Client(kgo.ConsumeTopics(w.plan.Name(topic)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%s has %d of %d records", topic, len(out), n)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// all returns the keys of every record a topic has now.
func (w *world) all(topic string) (out []string) {
	w.t.Helper()
	ends, err := kadm.NewClient(w.cl).ListEndOffsets(w.t.Context(), w.plan.Name(topic))
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	if n == 0 {
		return nil
	}
	for _, r := range w.read(topic, n) {
		out = append(out, string(r.Key))
	}
	return out
}
