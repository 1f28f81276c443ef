package doctor_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/ops/doctor"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
)

const limit = 10 * time.Second

// ask runs one check of a house.
func ask(t *testing.T, h doctor.House, name string) []doctor.Finding {
	t.Helper()
	i := slices.IndexFunc(h.Checks(), func(c doctor.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %q", name)
	}
	out := doctor.Run(t.Context(), h.Checks()[i:i+1], limit)
	for _, f := range out {
		if f.Check != name || f.Found == "" || (f.Level != doctor.OK) != (f.Means != "" && f.Do != "") {
			t.Errorf("a finding says what it means and what to do, unless all is well: %+v", f)
		}
	}
	return out
}

// expect wants a finding of a level that says something, and none worse.
func expect(t *testing.T, found []doctor.Finding, level doctor.Level, words string) {
	t.Helper()
	if doctor.Worst(found) != level || !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Level == level && strings.Contains(f.Found, words) }) {
		t.Errorf("want %s and %q, got %+v", level, words, found)
	}
}

// kafka is a house on a broker with the topics of the plan.
func kafka(t *testing.T) (doctor.House, *kgo.Client) {
	t.Helper()
	h := doctor.House{Kafka: testenv.Kafka(t), Plan: testenv.Plan(t)}
	c, err := h.Kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := ops.Apply(t.Context(), c, h.Plan); err != nil {
		t.Fatal(err)
	}
	return h, c
}

// read makes a group with one member that reads a topic, and waits until the broker knows it.
func read(t *testing.T, h doctor.House, group, topic string) {
	t.Helper()
	c, err := h.Kafka.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go c.PollFetches(ctx)
	adm := kadm.NewClient(c)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if d, err := adm.DescribeGroups(t.Context(), group); err == nil && len(d[group].Members) > 0 && d[group].State == "Stable" {
			return
		}
	}
	t.Fatalf("nobody joined %s", group)
}

func write(t *testing.T, c *kgo.Client, topic string, n int) {
	t.Helper()
	for range n {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBrokers(t *testing.T) {
	h, _ := kafka(t)
	expect(t, ask(t, h, "kafka"), doctor.OK, "with the protocol of Kafka")
	h.Plan.Replication = 5
	expect(t, ask(t, h, "kafka"), doctor.Fail, "the plan wants 5 replicas")
}

func TestTopics(t *testing.T) {
	h, _ := kafka(t)
	expect(t, ask(t, h, "topics"), doctor.OK, "as the plan has them")
	expect(t, ask(t, h, "access"), doctor.OK, "no principals")
	for name, c := range map[string]struct {
		change func(*topology.Config)
		level  doctor.Level
		words  string
	}{
		"other retention":        {func(p *topology.Config) { p.Retention += time.Hour }, doctor.Warn, "retention.ms"},
		"more lanes":             {func(p *topology.Config) { p.Lanes++ }, doctor.Warn, "partitions"},
		"another state":          {func(p *topology.Config) { p.State++ }, doctor.Fail, "partitions, the plan says"},
		"another house's prefix": {func(p *topology.Config) { p.Prefix = "nobody." }, doctor.Fail, "are missing"},
	} {
		other := h
		c.change(&other.Plan)
		t.Run(name, func(t *testing.T) { expect(t, ask(t, other, "topics"), c.level, c.words) })
	}
	h.Plan.Prefix = "nobody."
	for _, check := range []string{"groups", "dead letters"} {
		expect(t, ask(t, h, check), doctor.Fail, "topics of the plan are missing")
	}
}

func TestRegistry(t *testing.T) {
	h, _ := kafka(t)
	expect(t, ask(t, h, "registry"), doctor.OK, "do not have this build's schema yet")
	codec, err := h.Kafka.Codec()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Register(t.Context(), codec, h.Plan); err != nil {
		t.Fatal(err)
	}
	found := ask(t, h, "registry")
	expect(t, found, doctor.OK, "subjects have this build's schemas")
	cl, err := h.Kafka.RegistryClient()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range cl.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatNone}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	expect(t, ask(t, h, "registry"), doctor.Warn, "enforces no compatibility")
}

func TestGroups(t *testing.T) {
	h, c := kafka(t)
	expect(t, ask(t, h, "groups"), doctor.Fail, "nobody runs track")
	for _, r := range h.Plan.Consumers() {
		if strings.HasSuffix(r.Spec.Name, ".high") || r.Spec.Shape == topology.State || r.Spec.Name == "usage" || r.Spec.Name == "webhooks" {
			read(t, h, r.Group, r.Topic)
		}
	}
	expect(t, ask(t, h, "groups"), doctor.OK, "every stage has a reader; 0 records wait")
	write(t, c, h.Plan.Name("pages.cpu.low"), 3)
	expect(t, ask(t, h, "groups"), doctor.Fail, "3 records wait in pages.cpu.low and no layout reads them")

	adm := kadm.NewClient(c)
	var offsets kadm.Offsets
	for p := range int32(h.Plan.Lanes) {
		offsets.Add(kadm.Offset{Topic: h.Plan.Name("pages.cpu.low"), Partition: p, At: 3, LeaderEpoch: -1})
	}
	for _, g := range []string{h.Plan.Group("layout", "pages.cpu.low"), h.Plan.Prefix + "layout.old"} {
		if done, err := adm.CommitOffsets(t.Context(), g, offsets); err != nil || done.Error() != nil {
			t.Fatal(err, done.Error())
		}
	}
	expect(t, ask(t, h, "groups"), doctor.Warn, "layout.old has no members")
}

func TestRecordsThatExpiredUnread(t *testing.T) {
	h, c := kafka(t)
	topic := h.Plan.Name("usage")
	write(t, c, topic, 6)
	adm := kadm.NewClient(c)
	var offsets kadm.Offsets
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		offsets.Add(kadm.Offset{Topic: topic, Partition: o.Partition, At: 0, LeaderEpoch: -1})
	})
	if done, err := adm.CommitOffsets(t.Context(), h.Plan.Group("clickhouse", "usage"), offsets); err != nil || done.Error() != nil {
		t.Fatal(err, done.Error())
	}
	if _, err := adm.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	expect(t, ask(t, h, "groups"), doctor.Fail, "expired before clickhouse read them")
}

func TestDeadLetters(t *testing.T) {
	h, c := kafka(t)
	expect(t, ask(t, h, "dead letters"), doctor.OK, "no record was set aside")
	write(t, c, h.Plan.Name(topology.DeadLetters("ocr")), 3)
	expect(t, ask(t, h, "dead letters"), doctor.Warn, "ocr set 3 records aside in the last hour, 3 in the last day")
	write(t, c, h.Plan.Name(topology.DeadLetters("ocr")), 100)
	expect(t, ask(t, h, "dead letters"), doctor.Fail, "ocr set 103 records aside")
}

func TestObjects(t *testing.T) {
	cfg := testenv.S3(t)
	open := func(cfg blob.Config) *blob.S3 {
		cfg.Attempts = 1
		s, err := blob.Open(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	store := open(cfg)
	expect(t, ask(t, doctor.House{Objects: store}, "objects"), doctor.OK, "written once, read, read in part and deleted")
	expect(t, ask(t, doctor.House{Objects: store}, "clock"), doctor.OK, "agrees with that of the object store")
	left := 0
	if err := store.List(t.Context(), "work/doctor/", func(blob.Object) bool { left++; return true }); err != nil || left > 0 {
		t.Errorf("%d probes are left: %v", left, err)
	}
	for name, change := range map[string]func(*blob.Config){
		"no such bucket": func(c *blob.Config) { c.Bucket = "nothere" },
		"a wrong key":    func(c *blob.Config) { c.SecretKey = "wrongwrongwrong" },
	} {
		other := cfg
		change(&other)
		t.Run(name, func(t *testing.T) {
			expect(t, ask(t, doctor.House{Objects: open(other)}, "objects"), doctor.Fail, "cannot be written")
		})
	}
	t.Run("a store that ignores conditions", func(t *testing.T) {
		expect(t, ask(t, doctor.House{Objects: heedless{store}}, "objects"), doctor.Fail, "replaces an object")
	})
}

// heedless is a store that writes whatever the condition.
type heedless struct{ *blob.S3 }

func (h heedless) Put(ctx context.Context, key string, body []byte, o blob.Options) error {
	o.Once = false
	return h.S3.Put(ctx, key, body, o)
}

func TestModels(t *testing.T) {
	testenv.Cached(t, "layout-cdla.onnx")
	set := engine.DefaultModelSet()
	set.Dir = filepath.Join(testenv.CacheDir(), "parts")
	expect(t, ask(t, doctor.House{Models: set}, "models"), doctor.OK, "pinned digest")
	broken := t.TempDir()
	files, _ := filepath.Glob(filepath.Join(set.Dir, "*"))
	for _, f := range files {
		if err := os.Symlink(f, filepath.Join(broken, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	set.Dir = broken
	expect(t, ask(t, doctor.House{Models: set}, "models"), doctor.OK, "pinned digest")
	if err := os.Remove(filepath.Join(broken, "orientation.onnx")); err != nil {
		t.Fatal(err)
	}
	expect(t, ask(t, doctor.House{Models: set}, "models"), doctor.Fail, "orientation.onnx")
	if err := os.WriteFile(filepath.Join(broken, "orientation.onnx"), []byte("another model"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, ask(t, doctor.House{Models: set}, "models"), doctor.Fail, "not the pinned")
}

func TestDisk(t *testing.T) {
	here := t.TempDir()
	for name, c := range map[string]struct {
		folder doctor.Folder
		level  doctor.Level
		words  string
	}{
		"there is room":              {doctor.Folder{Name: "x", Path: here}, doctor.OK, "MiB free"},
		"a folder not yet made":      {doctor.Folder{Name: "x", Path: filepath.Join(here, "a", "b")}, doctor.OK, "MiB free"},
		"less than it may grow to":   {doctor.Folder{Name: "x", Path: here, Need: 1 << 60}, doctor.Warn, "may grow"},
		"a path that cannot be read": {doctor.Folder{Name: "x", Path: "/dev/null/x"}, doctor.Warn, "cannot be looked at"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ask(t, doctor.House{Folders: []doctor.Folder{c.folder}}, "disk"), c.level, c.words)
		})
	}
}

func TestAnalyticsAndJobs(t *testing.T) {
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = testenv.ClickHouse(t)
	connect := func(cfg clickhouse.Config) *clickhouse.Sink {
		s, err := clickhouse.Connect(cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	expect(t, ask(t, doctor.House{NoAnalysis: "libchdb is missing"}, "analytics"), doctor.Warn, "off: libchdb is missing")
	expect(t, ask(t, doctor.House{Analytics: connect(cfg)}, "analytics"), doctor.Fail, "")

	s, err := clickhouse.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := doctor.House{Analytics: s, Stuck: time.Hour}
	expect(t, ask(t, h, "analytics"), doctor.OK, "the newest")
	expect(t, ask(t, h, "clock"), doctor.OK, "agrees with that of ClickHouse")
	expect(t, ask(t, h, "jobs"), doctor.OK, "no job has stood still")

	change := func(n int, status string, ago time.Duration) {
		t.Helper()
		at := time.Now().Add(-ago)
		job := schemas.JobIDFor("doctor", fmt.Sprint(n))
		e := &schemas.JobChanged{Head: schemas.Head{EventID: schemas.EventIDFor(job, 0, "track", 0, "JobChanged", 1), Tenant: "acme", JobID: job, SubmittedAt: at, At: at}, Version: 1, Status: status, Stage: "ocr"}
		if err := s.Write(t.Context(), schemas.Batch{Topic: "job-events", First: int64(n), Last: int64(n), Events: []schemas.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	change(1, schemas.Processing, time.Minute)
	change(2, schemas.Completed, 48*time.Hour)
	expect(t, ask(t, h, "jobs"), doctor.OK, "no job has stood still")
	change(3, schemas.Processing, 2*time.Hour)
	expect(t, ask(t, h, "jobs"), doctor.Warn, schemas.JobIDFor("doctor", "3")+" of acme is processing in ocr")
	for n := 4; n < 12; n++ {
		change(n, schemas.Pending, 2*time.Hour)
	}
	expect(t, ask(t, h, "jobs"), doctor.Warn, "9 jobs in all")
	change(20, schemas.Processing, 80*time.Hour)
	expect(t, ask(t, h, "jobs"), doctor.Fail, schemas.JobIDFor("doctor", "20"))

	if err := s.Query(t.Context(), "INSERT INTO migrations (version_id, is_applied) VALUES (999, 1)", os.Stderr, "csv"); err != nil {
		t.Fatal(err)
	}
	expect(t, ask(t, h, "analytics"), doctor.Warn, "999")
}

// everything is a house whose parts all lie at one address.
func everything(t *testing.T, addr string) doctor.House {
	t.Helper()
	conn := stream.DefaultConnection()
	conn.Brokers, conn.Registry = []string{addr}, "http://"+addr
	objects := blob.DefaultConfig()
	objects.Endpoint, objects.AccessKey, objects.SecretKey, objects.Attempts = "http://"+addr, "a", "b", 1
	store, err := blob.Open(objects, nil)
	if err != nil {
		t.Fatal(err)
	}
	ch := clickhouse.DefaultConfig()
	ch.DSN = "http://" + addr
	sink, err := clickhouse.Connect(ch, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	set := engine.DefaultModelSet()
	set.Dir = filepath.Join(t.TempDir(), "nothing")
	return doctor.House{Kafka: conn, Plan: topology.DefaultConfig(), Principals: ops.Principals{Track: []string{"track"}}, Objects: store, Models: set, Analytics: sink,
		Folders: []doctor.Folder{{Name: "x", Path: "/dev/null/x"}}, Stuck: time.Hour}
}

// TestEveryPartAwayOrSilent: each check ends, in time, with a finding that is not ok.
func TestEveryPartAwayOrSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody ever answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, addr := range map[string]string{"away": "127.0.0.1:1", "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			h := everything(t, addr)
			began := time.Now()
			found := doctor.Run(t.Context(), h.Checks(), 2*time.Second)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the doctor took %s", took)
			}
			for _, c := range h.Checks() {
				if !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Check == c.Name && f.Level != doctor.OK }) {
					t.Errorf("%s is content with a part that is %s: %+v", c.Name, name, found)
				}
			}
		})
	}
}

func TestACheckThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	found := doctor.Run(t.Context(), []doctor.Check{{Name: "deaf", Ask: func(context.Context) []doctor.Finding { <-hang; return nil }}}, 100*time.Millisecond)
	expect(t, found, doctor.Fail, "no answer within 100ms")
}

func TestTheWorstFindingCounts(t *testing.T) {
	for _, c := range []struct {
		levels []doctor.Level
		want   doctor.Level
	}{{nil, doctor.OK}, {[]doctor.Level{doctor.OK, doctor.Warn, doctor.OK}, doctor.Warn}, {[]doctor.Level{doctor.Fail, doctor.Warn}, doctor.Fail}} {
		var found []doctor.Finding
		for _, l := range c.levels {
			found = append(found, doctor.Finding{Level: l})
		}
		if got := doctor.Worst(found); got != c.want {
			t.Errorf("%v: %s", c.levels, got)
		}
	}
}
