package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	upstream "docstream/producers/clients/go"
	"docstream/schemas"
)

// outside is what an upstream system knows of a platform: where Kafka, the registry and its bucket are.
type outside struct {
	*platform
	prefix string
	bucket *blob.S3
	kafka  *kgo.Client
	key    string // of the tenant
}

const scansLane = "documents.cpu.normal"

// reached starts a platform that has a bucket of the tenant registered. On Apache Kafka the registry is a real one too.
func reached(t *testing.T) *outside {
	t.Helper()
	p := &platform{t: t, dir: filepath.Join(t.TempDir(), "data"), args: []string{"--set",
		fmt.Sprintf(`prepare.buckets=[{"tenant":%q,"bucket":"scans","prefix":"in/"}]`, devTenant)}}
	if brokers := os.Getenv("DOCSTREAM_TEST_KAFKA"); brokers != "" {
		p.args = append(p.args, "--kafka", brokers, "--registry", testenv.Apicurio(t), "--set", "topics.prefix="+testenv.Plan(t).Prefix)
	}
	p.boot()
	t.Cleanup(p.stop)
	var dev struct {
		TopicsPrefix string `json:"topics_prefix"`
		AccessKey    string `json:"s3_access_key"`
		SecretKey    string `json:"s3_secret_key"`
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	if err != nil || json.Unmarshal(b, &dev) != nil {
		t.Fatalf("dev.json: %v", err)
	}
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.Bucket, cfg.AccessKey, cfg.SecretKey = p.dev.S3, "scans", dev.AccessKey, dev.SecretKey
	o := &outside{platform: p, prefix: dev.TopicsPrefix}
	if o.bucket, err = blob.Open(cfg, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.bucket.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.kafka, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(p.dev.Kafka, ",")...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.kafka.Close)
	o.key = o.run("keys", "create", "--kind", "producer", "--tenant", devTenant, "--name", "upstream")
	return o
}

// run runs a command of the program against the platform.
func (o *outside) run(args ...string) string {
	o.t.Helper()
	cmd := exec.Command(testenv.Binary(o.t, "docstream"), args...)
	cmd.Env = append(os.Environ(), "DOCSTREAM_DATA="+o.dir)
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("docstream %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// put lays a text into the bucket and returns how it is submitted.
func (o *outside) put(key, text string) upstream.Document {
	o.t.Helper()
	if err := o.bucket.Put(o.t.Context(), key, []byte(text), blob.Options{}); err != nil {
		o.t.Fatal(err)
	}
	return upstream.Document{Bucket: "scans", Key: key, Size: int64(len(text))}
}

// submitted is the job that the Go client submits.
func (o *outside) submitted(tenant, key string, d upstream.Document) string {
	o.t.Helper()
	p, err := upstream.New(o.t.Context(), upstream.Config{Brokers: strings.Split(o.dev.Kafka, ","), Registry: o.dev.Registry, Prefix: o.prefix, Tenant: tenant, Key: key})
	if err != nil {
		o.t.Fatal(err)
	}
	defer p.Close()
	job, err := p.Submit(o.t.Context(), d)
	if err != nil {
		o.t.Fatal(err)
	}
	return job
}

// dead is the code in the dead letter of a record, by the key it was written under.
func (o *outside) dead(job string) (code string) {
	o.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.dev.Kafka, ",")...), kgo.ConsumeTopics(o.prefix+"dlq.prepare"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		o.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	for {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			o.t.Fatalf("no dead letter of %s", job)
		}
		for _, r := range f.Records() {
			if string(r.Key) != job {
				continue
			}
			for _, h := range r.Headers {
				if h.Key == schemas.HeaderDeadCode {
					return string(h.Value)
				}
			}
		}
	}
}

// client is a program of another language that submits one document; more are its last arguments.
type client struct {
	name string
	env  []string
	args []string
}

func (o *outside) clients() []client {
	o.t.Helper()
	dir := filepath.Join(testenv.Root(o.t), "producers", "clients")
	return []client{
		{"Python", testenv.Python(o.t, filepath.Join(dir, "python", "requirements.txt")), []string{"python3", filepath.Join(dir, "python", "submit.py")}},
		{"Java", os.Environ(), []string{"java", "-cp", testenv.Jars(o.t, filepath.Join(dir, "java")), filepath.Join(dir, "java", "Submit.java")}},
	}
}

// submit runs the program and returns the job id it prints.
func (c client) submit(o *outside, tenant, key string, d upstream.Document) string {
	o.t.Helper()
	args := append(c.args[1:len(c.args):len(c.args)], "--brokers", o.dev.Kafka, "--registry", o.dev.Registry, "--prefix", o.prefix, "--tenant", tenant,
		"--bucket", d.Bucket, "--object-key", d.Key, "--size", fmt.Sprint(d.Size))
	cmd := exec.Command(c.args[0], args...)
	cmd.Env, cmd.Stderr = append(c.env, "PRODUCER_KEY="+key), o.t.Output()
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("%s: %v", c.name, err)
	}
	return strings.TrimSpace(string(out))
}

// TestUpstreamProducersAreServed: a record that a Go, a Python or a Java program writes straight into a documents lane is a job like any
// other; what does not prove its tenant, cannot be read or breaks a limit is set aside with its code, and the lane goes on.
func TestUpstreamProducersAreServed(t *testing.T) {
	o := reached(t)
	done := func(name, job string) {
		t.Helper()
		if j := o.ending(job); j.Status != "completed" {
			t.Fatalf("%s: %+v", name, j)
		}
		if text := o.result(job, "text"); !strings.Contains(text, "written by "+name) {
			t.Errorf("%s: read %q", name, text)
		}
	}
	first := o.submitted(devTenant, o.key, o.put("in/Go.txt", "A note written by Go.\n"))
	done("Go", first)
	for _, c := range o.clients() {
		d := o.put("in/"+c.name+".txt", "A note written by "+c.name+".\n")
		done(c.name, c.submit(o, devTenant, o.key, d))
		forged := c.submit(o, "rival", o.key, d)
		if code := o.dead(forged); code != "TENANT_FORGED" {
			t.Errorf("%s, a forged tenant: %s", c.name, code)
		}
	}
	o.refusals(t)
	o.sql("SELECT count() FROM jobs WHERE status = 'failed' AND error_code = 'RECORD_UNDECODABLE'", "5") // as job-events tell it
	done("Go at last", o.submitted(devTenant, o.key, o.put("in/last.txt", "A note written by Go at last.\n")))
	o.page(t)

	// What a retired key signed before is still believed, by a replay too; what it signs now is not.
	o.run("keys", "retire", o.key)
	if said := o.run("replay", "--job", first, "--json"); !strings.Contains(said, `"completed"`) {
		t.Errorf("the replay says %s", said)
	}
	if j := o.wait(first, time.Minute); j.Run != 1 || j.Status != "completed" {
		t.Errorf("after the replay: %+v", j)
	}
	late := o.put("in/late.txt", "Too late.\n")
	o.eventually(time.Minute, "the retirement to reach the workers", func() bool { return o.dead(o.submitted(devTenant, o.key, late)) == "SIGNATURE_INVALID" })
}

// refusals: every bad record has its code; only where the tenant is proved is there a job.
func (o *outside) refusals(t *testing.T) {
	note := o.put("in/note.txt", "A note.\n")
	raw := func(value string) string {
		job, topic := schemas.NewJobID(time.Now()), o.prefix+scansLane
		id, secret, _ := strings.Cut(strings.TrimPrefix(o.key, "dpk_"), "_")
		sign := schemas.SigningKey{ID: id, Secret: []byte(secret)}.Sign(topic, []byte(value))
		if err := o.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(job), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: schemas.HeaderSignature, Value: []byte(sign)}}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return job
	}
	changed := func(change func(*upstream.Document)) string {
		d := note
		change(&d)
		return o.submitted(devTenant, o.key, d)
	}
	for _, c := range []struct {
		name, job, code string
		known           bool // the API has a job that failed with the code
	}{
		{"a forged tenant", o.submitted("rival", o.key, note), "TENANT_FORGED", false},
		{"a stripped signature", o.submitted(devTenant, "", note), "SIGNATURE_INVALID", false},
		{"a key of one's own", o.submitted(devTenant, "dpk_0123456789abcdef_secret", note), "SIGNATURE_INVALID", false},
		{"plain JSON", raw(`{"tenant":"default"}`), "RECORD_UNDECODABLE", true},
		{"a schema nobody knows", raw("\x00\x00\x0f\x42\x3f\x02"), "RECORD_UNDECODABLE", true},
		{"the last schema id", raw("\x00\xff\xff\xff\xff\x02"), "RECORD_UNDECODABLE", true},
		{"schema id 0", raw("\x00\x00\x00\x00\x00\x02"), "RECORD_UNDECODABLE", true},
		{"a body cut short", raw("\x00\x00\x00\x00\x01\x02"), "RECORD_UNDECODABLE", true},
		{"an object that is not there", changed(func(d *upstream.Document) { d.Key = "in/gone.txt" }), "SOURCE_MISSING", true},
		{"another's bucket", changed(func(d *upstream.Document) { d.Bucket = "secrets" }), "SOURCE_FORBIDDEN", true},
		{"another's source", changed(func(d *upstream.Document) { d.Bucket, d.Key = "", "sources/rival/x" }), "SOURCE_FORBIDDEN", true},
		{"too large", changed(func(d *upstream.Document) { d.Size = 1 << 40 }), "FILE_TOO_LARGE", true},
		{"an unknown format", changed(func(d *upstream.Document) { d.OutputFormats = []string{"docx"} }), "INVALID_OPTION", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code := o.dead(c.job); code != c.code {
				t.Errorf("the dead letter says %s, want %s", code, c.code)
			}
			if !c.known {
				if a := o.get("/api/v1/jobs/" + c.job); a.status != http.StatusNotFound {
					t.Errorf("the API answers %d: %s", a.status, a.body)
				}
				return
			}
			if j := o.ending(c.job); j.Status != "failed" || j.Error == nil || j.Error.Code != c.code {
				t.Errorf("the API says %+v", j)
			}
		})
	}
}

// page runs ops/docs/producers.md as an upstream team would.
func (o *outside) page(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "ops", "docs", "producers.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	root := testenv.Root(t)
	g := page{p: o.platform, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	d := o.put("in/page.txt", "A note of the page.\n")
	python := testenv.Python(t, filepath.Join(root, "producers", "clients", "python", "requirements.txt"))
	known := fmt.Sprintf("declare -x %s\ndeclare -x KAFKA=%q\ndeclare -x REGISTRY=%q\ndeclare -x PREFIX=%q\ndeclare -x SIZE=%d\ndeclare -x CLASSES=%q\ndeclare -x CLIENTS=%q\n",
		python[len(python)-1], o.dev.Kafka, o.dev.Registry, o.prefix, d.Size, testenv.Jars(t, filepath.Join(root, "producers", "clients", "java")), filepath.Join(root, "producers", "clients"))
	if err := os.WriteFile(g.state, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if !g.run(t, b) {
			return
		}
	}
}
