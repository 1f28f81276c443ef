package s3_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/connectors/s3"
	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// notifications is how many objects the kill tests announce: 1,000, or DOCSTREAM_TEST_NOTIFICATIONS.
func notifications(t *testing.T) int {
	t.Helper()
	n := 1000
	if v := os.Getenv("DOCSTREAM_TEST_NOTIFICATIONS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 100 {
			t.Fatalf("DOCSTREAM_TEST_NOTIFICATIONS is %q", v)
		}
	}
	return n
}

// flow is what the kill tests send: 10 % duplicated, 10 % out of order, 1 % broken, 1 % withheld.
type flow struct {
	bodies   []string
	jobs     map[string]bool // of every object, withheld ones too
	withheld map[string]bool
	broken   int
}

// fill writes n small objects into the bucket scans and makes their notifications.
func fill(t *testing.T, store *blob.S3, n int) flow {
	t.Helper()
	f := flow{jobs: map[string]bool{}, withheld: map[string]bool{}}
	events := make([]event, n)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			key := fmt.Sprintf("in/note %05d + ü.txt", i)
			if err := store.Put(t.Context(), key, fmt.Appendf(nil, "Note %d.\n", i), blob.Options{}); err != nil {
				return err
			}
			o, err := store.Head(t.Context(), key)
			events[i] = event{name: "ObjectCreated:Put", bucket: "scans", key: key, etag: strings.Trim(o.ETag, `"`), size: o.Size, sequencer: fmt.Sprintf("%016X", i), at: o.Modified}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, e := range events {
		job := schemas.JobIDForObject("acme", schemas.Source{Bucket: e.bucket, Key: e.key, ETag: e.etag})
		f.jobs[job] = true
		if i%100 == 50 {
			f.withheld[job] = true
			continue
		}
		f.bodies = append(f.bodies, message(e.record()))
		if i%10 == 3 {
			f.bodies = append(f.bodies, message(e.record()))
		}
		if i%100 == 70 {
			f.bodies = append(f.bodies, fmt.Sprintf(`{"Records":[{"eventSource":"aws:s3","broken":%d`, i))
			f.broken++
		}
	}
	for range len(f.bodies) / 10 {
		i, j := r.IntN(len(f.bodies)), r.IntN(len(f.bodies))
		f.bodies[i], f.bodies[j] = f.bodies[j], f.bodies[i]
	}
	return f
}

// program runs the very program against the world.
type program struct {
	t   *testing.T
	bin string
	env []string
}

func newProgram(w *world, t *testing.T, objects blob.Config) *program {
	rules, _ := json.Marshal([]map[string]any{{"bucket": "scans", "prefix": "in/", "tenant": "acme"}})
	return &program{t: t, bin: testenv.Binary(t, "docstream"), env: append(os.Environ(),
		"DOCSTREAM_HOUSE_KEY_SECRET="+string(houseKey.Secret), "DOCSTREAM_KAFKA_BROKERS="+strings.Join(w.conn.Brokers, ","), "DOCSTREAM_KAFKA_REGISTRY="+w.conn.Registry,
		"DOCSTREAM_TOPICS_PREFIX="+w.plan.Prefix, "DOCSTREAM_OBJECTS_ENDPOINT="+objects.Endpoint, "DOCSTREAM_OBJECTS_ACCESS_KEY="+objects.AccessKey,
		"DOCSTREAM_OBJECTS_SECRET_KEY="+objects.SecretKey, `DOCSTREAM_PREPARE_BUCKETS=[{"tenant":"acme","bucket":"scans","prefix":"in/"}]`,
		"DOCSTREAM_CONNECTORS_S3_RULES="+string(rules), "DOCSTREAM_CONNECTORS_S3_QUEUE="+w.cfg.Queue, "DOCSTREAM_CONNECTORS_S3_ENDPOINT="+w.cfg.Endpoint,
		"DOCSTREAM_CONNECTORS_S3_ACCESS_KEY="+w.cfg.AccessKey, "DOCSTREAM_CONNECTORS_S3_SECRET_KEY="+w.cfg.SecretKey, "DOCSTREAM_CONNECTORS_S3_VISIBILITY=6s",
		"DOCSTREAM_CONNECTORS_S3_TOPIC="+w.cfg.Topic, "DOCSTREAM_TELEMETRY_METRICS=127.0.0.1:0", "DOCSTREAM_CONNECTORS_S3_BATCH=50")}
}

// start starts a connector; kill -9 ends it.
func (p *program) start(from string) (kill func()) {
	cmd := exec.Command(p.bin, "connector", "s3", "--from", from)
	cmd.Env = p.env
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			p.t.Errorf("the connector ended by itself: %v\n%s", err, said.String())
		}
	})
}

func (p *program) scan(args ...string) s3.ScanSummary {
	p.t.Helper()
	cmd := exec.Command(p.bin, append([]string{"connector", "s3", "scan", "--json"}, args...)...)
	cmd.Env = p.env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var sum s3.ScanSummary
	if err != nil || json.Unmarshal(out, &sum) != nil {
		p.t.Fatalf("scan: %v\n%s\n%s", err, out, said.String())
	}
	return sum
}

// TestKilledEveryFewSecondsItStillMakesOneJobOfEachObject kills the connector while notifications arrive, and lets a scan find the rest.
func TestKilledEveryFewSecondsItStillMakesOneJobOfEachObject(t *testing.T) {
	for _, from := range []string{"kafka", "sqs"} {
		t.Run(from, func(t *testing.T) {
			w := newWorld(t)
			send := w.notify
			var q *queue
			if from == "sqs" {
				q = w.useQueue()
				send = q.send
			}
			objects := testenv.S3(t)
			cfg := objects
			cfg.Bucket = "scans"
			store, err := blob.Open(cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.EnsureBucket(t.Context()); err != nil {
				t.Fatal(err)
			}
			f := fill(t, store, notifications(t))
			p := newProgram(w, t, objects)
			kills := p.whileKilled(from, func() {
				const parts = 10
				for i := range parts {
					send(f.bodies[i*len(f.bodies)/parts : (i+1)*len(f.bodies)/parts]...)
					time.Sleep(time.Second)
				}
			}, func() bool { return len(w.jobs()) >= len(f.jobs)-len(f.withheld) && len(w.broken()) >= f.broken })
			announced := w.jobs()
			if kills < 3 || len(announced) != len(f.jobs)-len(f.withheld) || len(w.broken()) != f.broken {
				visible, hidden := 0, 0
				if q != nil {
					visible, hidden = q.depth()
				}
				t.Fatalf("%d kills; %d jobs of %d announced; %d broken of %d; in the queue %d visible, %d hidden", kills, len(announced), len(f.jobs)-len(f.withheld),
					len(w.broken()), f.broken, visible, hidden)
			}
			for job := range announced {
				if !f.jobs[job] || f.withheld[job] {
					t.Errorf("nobody announced %s", job)
				}
			}
			t.Logf("%d kills, %d submissions for %d jobs", kills, len(w.submissions()), len(announced))
			for i, want := range []s3.ScanSummary{{Missing: len(f.withheld), DryRun: true}, {Missing: len(f.withheld), Submitted: len(f.withheld)}, {}} {
				var args []string
				if want.DryRun {
					args = append(args, "--dry-run")
				}
				got := p.scan(args...)
				if got.Missing != want.Missing || got.Submitted != want.Submitted || got.Listed != len(f.jobs) || got.Known != len(f.jobs)-want.Missing {
					t.Errorf("scan %d found %+v, want %+v", i, got, want)
				}
			}
			if got := w.jobs(); len(got) != len(f.jobs) {
				t.Errorf("%d jobs in the end, %d objects", len(got), len(f.jobs))
			}
		})
	}
}

// whileKilled runs the connector, killing it every two seconds until everything was sent and taken.
func (p *program) whileKilled(from string, send func(), done func() bool) (kills int) {
	sent := make(chan struct{})
	go func() { defer close(sent); send() }()
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); {
		kill := p.start(from)
		time.Sleep(2*time.Second + time.Duration(rand.IntN(1000))*time.Millisecond)
		select {
		case <-sent: // the last one may live a little: a killed member of a group holds its partitions until its session ends
			for end := time.Now().Add(3 * time.Minute); time.Now().Before(end) && !done(); {
				time.Sleep(300 * time.Millisecond)
			}
			kill()
			return kills + 1
		default:
			kill()
			kills++
		}
	}
	p.t.Fatal("it took more than fifteen minutes")
	return 0
}

// jobs returns the ids of the submissions, each once.
func (w *world) jobs() map[string]bool {
	out := map[string]bool{}
	for _, s := range w.submissions() {
		out[s.JobID] = true
	}
	return out
}

// broken returns the bytes of the dead letters, each once.
func (w *world) broken() map[string]bool {
	out := map[string]bool{}
	for _, l := range w.letters() {
		out[string(l.Value)] = true
	}
	return out
}
