package s3_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/connectors/s3"
	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/schemas"
)

var houseKey = schemas.SigningKey{ID: "house", Secret: []byte("a secret of the house, long enough")}

// world is a log with the plan's topics and the topic of the notifications.
type world struct {
	t      testing.TB
	conn   stream.Connection
	plan   topology.Config
	client *kgo.Client
	codec  *schemas.Codec
	cfg    s3.Config
	left   *leavings
	log    *slog.Logger
}

// leavings is what jobs have left in the object store.
type leavings struct {
	mu    sync.Mutex
	keys  []string
	asked int
	fail  error
}

func (l *leavings) List(_ context.Context, prefix string, f func(blob.Object) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	for _, k := range l.keys {
		if strings.HasPrefix(k, prefix) && !f(blob.Object{Key: k}) {
			break
		}
	}
	return l.fail
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, conn: testenv.Kafka(t), plan: testenv.Plan(t), left: &leavings{}, log: slog.New(slog.DiscardHandler)}
	var err error
	if w.client, err = w.conn.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	if w.codec, err = w.conn.Codec(); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Apply(t.Context(), w.client, w.plan); err != nil {
		t.Fatal(err)
	}
	if err := stream.Register(t.Context(), w.codec, w.plan); err != nil {
		t.Fatal(err)
	}
	w.cfg = s3.DefaultConfig()
	w.cfg.Topic = w.plan.Prefix + "notifications"
	if _, err := kadm.NewClient(w.client).CreateTopic(t.Context(), 3, -1, nil, w.cfg.Topic); err != nil {
		t.Fatal(err)
	}
	w.cfg.GPUTypes = []string{"image/*"}
	w.cfg.Rules = []s3.Rule{{Bucket: "scans", Tenant: "acme"}}
	return w
}

// connector returns one on the world's log, with the registry of its metrics.
func (w *world) connector() (*s3.Connector, *prometheus.Registry) {
	w.t.Helper()
	if err := w.cfg.Validate(); err != nil {
		w.t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	return s3.New(w.cfg, w.conn, w.plan, w.codec, houseKey, w.client, w.left, w.log, reg), reg
}

// run runs one of a connector's loops until the returned function is called.
func (w *world) run(loop func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	once := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the connector ended with %v", err)
		}
	})
	w.t.Cleanup(once)
	return once
}

// notify appends messages to the topic of the notifications.
func (w *world) notify(bodies ...string) {
	w.t.Helper()
	var records []*kgo.Record
	for _, b := range bodies {
		r := &kgo.Record{Topic: w.cfg.Topic, Value: []byte(b), Headers: []kgo.RecordHeader{{Key: "from", Value: []byte("a bucket")}}}
		records = append(records, r)
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// submissions reads the documents lanes; every record there must be signed and of the plan.
func (w *world) submissions() []*schemas.DocumentSubmitted {
	w.t.Helper()
	var out []*schemas.DocumentSubmitted
	for _, lane := range topology.Documents.All() {
		w.read(lane.Topic, func(r *kgo.Record) {
			e, err := w.codec.Decode(w.t.Context(), r.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			s := e.(*schemas.DocumentSubmitted)
			if !houseKey.Verify(stream.Header(r, schemas.HeaderSignature), r.Topic, r.Value) {
				w.t.Errorf("%s is not signed", s.JobID)
			}
			if string(r.Key) != s.JobID || s.Class != lane.Class || s.Priority != lane.Priority || s.FromPage != 1 || s.Run != 0 || !schemas.ValidJobID(s.JobID) {
				w.t.Errorf("%s of class %s and priority %s lies in %s under %s", s.JobID, s.Class, s.Priority, lane.Topic, r.Key)
			}
			out = append(out, s)
		})
	}
	return out
}

// letters reads the dead letters of the connector.
func (w *world) letters() []*kgo.Record {
	var out []*kgo.Record
	w.read(topology.DeadLetters(s3.Name), func(r *kgo.Record) { out = append(out, r) })
	return out
}

func (w *world) read(topic string, f func(*kgo.Record)) {
	w.t.Helper()
	if err := stream.ReadToEnd(w.t.Context(), w.conn, w.plan.Name(topic), time.Time{}, f); err != nil {
		w.t.Fatal(err)
	}
}

// outcomes returns the counts of records by outcome.
func (w *world) outcomes(reg *prometheus.Registry) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	families, err := reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "docstream_connector_records_total":
			for _, m := range f.GetMetric() {
				out[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			}
		case "docstream_connector_messages_total":
			out["messages"] = int(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return out
}

// eventually polls until ok or half a minute.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("waited 30 s for %s", what)
}

// event is what a notification of a created object says.
type event struct {
	name, bucket, key, version, etag, sequencer string
	size                                        int64
	at                                          time.Time
}

// created is an event about a version of an object, its entity tag made from the version.
func created(key string, version int) event {
	return event{name: "ObjectCreated:Put", bucket: "scans", key: key, etag: fmt.Sprintf("%032x", version), size: 100, sequencer: fmt.Sprintf("%016X", version), at: time.Now()}
}

// record is the event as S3 writes it.
func (e event) record() string {
	object := map[string]any{"key": url.QueryEscape(e.key), "size": e.size, "eTag": e.etag, "sequencer": e.sequencer}
	if e.version != "" {
		object["versionId"] = e.version
	}
	return encode(map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1", "eventTime": e.at.UTC().Format("2006-01-02T15:04:05.000Z"), "eventName": e.name,
		"userIdentity": map[string]any{"principalId": "A1"}, "responseElements": map[string]any{"x-amz-request-id": "C3D13FE58DE4C810"},
		"s3": map[string]any{"s3SchemaVersion": "1.0", "configurationId": "docs", "bucket": map[string]any{"name": e.bucket, "arn": "arn:aws:s3:::" + e.bucket}, "object": object},
	})
}

func message(records ...string) string { return `{"Records":[` + strings.Join(records, ",") + `]}` }

// bridge is the event as EventBridge writes it.
func (e event) bridge(detailType string) string {
	return encode(map[string]any{"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": detailType, "source": "aws.s3", "account": "111122223333",
		"time": e.at.UTC().Format(time.RFC3339), "region": "eu-central-1", "resources": []string{"arn:aws:s3:::" + e.bucket},
		"detail": map[string]any{"version": "0", "bucket": map[string]any{"name": e.bucket}, "request-id": "N4N7GDK58NMKJ12R", "reason": "PutObject",
			"object": map[string]any{"key": e.key, "size": e.size, "etag": e.etag, "version-id": e.version, "sequencer": e.sequencer}}})
}

func sns(inner string) string {
	return encode(map[string]any{"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-central-1:1:docs", "Subject": "Amazon S3 Notification", "Message": inner})
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// keys lists the objects of submissions, sorted.
func keys(subs []*schemas.DocumentSubmitted) []string {
	var out []string
	for _, s := range subs {
		out = append(out, s.Source.Key)
	}
	slices.Sort(out)
	return out
}
