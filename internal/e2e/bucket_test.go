package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// devTenant owns the key that docstream dev makes.
const devTenant = "default"

// TestObjectsOfABucketBecomeJobsOnce: an object is read where it lies, once, however often and however late it is announced; one that is
// gone, or that its tenant may not read, ends as a failed job with its code.
func TestObjectsOfABucketBecomeJobsOnce(t *testing.T) {
	p := &platform{t: t, dir: filepath.Join(t.TempDir(), "data"), args: []string{"--set",
		fmt.Sprintf(`prepare.buckets=[{"tenant":%q,"bucket":"scans","prefix":"in/"}]`, devTenant)}}
	p.boot()
	t.Cleanup(p.stop)
	var dev struct {
		TopicsPrefix string `json:"topics_prefix"`
		AccessKey    string `json:"s3_access_key"`
		SecretKey    string `json:"s3_secret_key"`
	}
	var secrets struct {
		HouseKey string `json:"house_key"`
	}
	for name, into := range map[string]any{"dev.json": &dev, "secrets": &secrets} {
		b, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.Bucket, cfg.AccessKey, cfg.SecretKey = p.dev.S3, "scans", dev.AccessKey, dev.SecretKey
	store, err := blob.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.dev.Kafka, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topic := dev.TopicsPrefix + "test.notifications"
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	announce := func(key string) (job string) {
		t.Helper()
		o, err := store.Head(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		tag := strings.Trim(o.ETag, `"`)
		body := fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":%q,"s3":{"bucket":{"name":"scans"},"object":{"key":%q,"size":%d,"eTag":%q}}}]}`,
			o.Modified.UTC().Format(time.RFC3339), url.QueryEscape(key), o.Size, tag)
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(body)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return schemas.JobIDForObject(devTenant, schemas.Source{Bucket: "scans", Key: key, ETag: tag})
	}
	put := func(key, text string) {
		t.Helper()
		if err := store.Put(t.Context(), key, []byte(text), blob.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), "DOCSTREAM_HOUSE_KEY_SECRET="+secrets.HouseKey, "DOCSTREAM_KAFKA_BROKERS="+p.dev.Kafka, "DOCSTREAM_KAFKA_REGISTRY="+p.dev.Registry,
		"DOCSTREAM_TOPICS_PREFIX="+dev.TopicsPrefix, "DOCSTREAM_OBJECTS_ENDPOINT="+p.dev.S3, "DOCSTREAM_OBJECTS_ACCESS_KEY="+dev.AccessKey, "DOCSTREAM_OBJECTS_SECRET_KEY="+dev.SecretKey,
		// This connector believes in a wider bucket than prepare does.
		fmt.Sprintf(`DOCSTREAM_PREPARE_BUCKETS=[{"tenant":%q,"bucket":"scans"}]`, devTenant), fmt.Sprintf(`DOCSTREAM_CONNECTORS_S3_RULES=[{"tenant":%q,"bucket":"scans"}]`, devTenant),
		"DOCSTREAM_CONNECTORS_S3_TOPIC="+topic, "DOCSTREAM_CONNECTORS_S3_RECENT=0") // no memory: every repeat reaches the lane
	cmd := exec.Command(testenv.Binary(t, "docstream"), "connector", "s3", "--from", "kafka")
	cmd.Env, cmd.Stderr = env, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	put("in/ä note + one.txt", "A note that lies in a bucket.\n")
	put("in/gone.txt", "gone")
	put("in/changed.txt", "first")
	put("out/theirs.txt", "not ours")
	first := announce("in/ä note + one.txt")
	if j := p.ending(first); j.Status != "completed" {
		t.Fatalf("%+v", j)
	}
	if text := p.result(first, "text"); !strings.Contains(text, "lies in a bucket") {
		t.Errorf("read %q", text)
	}
	ended := p.status(first)
	for range 3 { // after the job has ended
		announce("in/ä note + one.txt")
	}
	forbidden := announce("out/theirs.txt")
	if j := p.ending(forbidden); j.Status != "failed" || j.Error == nil || j.Error.Code != "SOURCE_FORBIDDEN" {
		t.Errorf("forbidden: %+v", j)
	}
	// The notification is made while the object is there, and read when it no longer is.
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	goneJob, changedJob := announce("in/gone.txt"), announce("in/changed.txt")
	if err := store.Delete(t.Context(), "in/gone.txt"); err != nil {
		t.Fatal(err)
	}
	put("in/changed.txt", "other")
	cmd = exec.Command(testenv.Binary(t, "docstream"), "connector", "s3", "--from", "kafka")
	cmd.Env, cmd.Stderr = env, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for job, code := range map[string]string{goneJob: "SOURCE_MISSING", changedJob: "SOURCE_CHANGED"} {
		if j := p.ending(job); j.Status != "failed" || j.Error == nil || j.Error.Code != code {
			t.Errorf("want %s: %+v", code, j)
		}
	}
	if again := p.status(first); again.Version != ended.Version || again.Run != 0 || again.Status != "completed" {
		t.Errorf("announced again, the job went from %+v to %+v", ended, again)
	}
	p.sql(fmt.Sprintf("SELECT count() FROM jobs WHERE job_id='%s'", first), "1")
	p.sql(fmt.Sprintf("SELECT count() FROM usage FINAL WHERE job_id='%s' AND page > 0", first), "1")
	p.sql("SELECT count() FROM jobs", "4")
}

// ending waits until a job that nobody answered for is known, and then until it has ended.
func (p *platform) ending(id string) job {
	p.t.Helper()
	p.eventually(2*time.Minute, "job "+id+" to be known", func() bool {
		a, err := p.request("GET", "/api/v1/jobs/"+id, nil, "")
		return err == nil && a.status == 200
	})
	return p.wait(id, time.Minute)
}
