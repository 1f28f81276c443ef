package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// collector takes traces, as an OpenTelemetry collector does.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	took bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is cut short holds no more secrets than the whole
		c.mu.Lock()
		defer c.mu.Unlock()
		c.took.Write(b)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) all() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.took.Bytes())
}

// send makes a request with whatever a client may write into it, and returns the answer's body.
func (p *platform) send(method, path, body string, headers ...string) []byte {
	p.t.Helper()
	req, err := http.NewRequest(method, p.dev.API+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.client().Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// TestNoSecretLeavesItsPlace: the secrets of a whole platform, and what clients write where it is none of ours, are looked for in everything
// that platform says and keeps (P8), but what dev tells the person who started it: logs, traces, metrics, every record of every topic, every row, every object, every error.
func TestNoSecretLeavesItsPlace(t *testing.T) {
	traces := newCollector(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer receiver.Close()
	p := start(t, "--set", "telemetry.traces_endpoint="+traces.URL+"/v1/traces", "--set", "telemetry.traces_ratio=1", "--set", "telemetry.level=debug",
		"--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports=80,443,"+receiver.URL[strings.LastIndexByte(receiver.URL, ':')+1:])
	const written, text, hook = "canary0that0a0client0wrote", "canary0in0the0document", "canary0in0a0webhook0address"
	secrets := p.secrets()
	bearer := "Bearer " + p.dev.APIKey
	var key, rotated struct {
		ID  string `json:"key_id"`
		Key string `json:"key"`
	}
	var endpoint, again, tenant struct {
		ID     string `json:"endpoint_id"`
		Secret string
	}
	into := func(v any, b []byte) {
		t.Helper()
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
	}
	const kind = "application/json"
	into(&key, p.send(http.MethodPost, "/api/v1/keys", `{"name":"importer"}`, "Authorization", bearer, "Content-Type", kind))
	into(&rotated, p.send(http.MethodPost, "/api/v1/keys/"+key.ID+"/rotate", `{}`, "Authorization", bearer, "Content-Type", kind))
	into(&endpoint, p.send(http.MethodPost, "/api/v1/webhooks", `{"url":"`+receiver.URL+`/"}`, "Authorization", bearer, "Content-Type", kind))
	into(&again, p.send(http.MethodPost, "/api/v1/webhooks/"+endpoint.ID+"/rotate", `{}`, "Authorization", bearer, "Content-Type", kind))
	into(&tenant, p.send(http.MethodGet, "/api/v1/webhook-secret", "", "Authorization", bearer))
	secret := func(name, value string) {
		t.Helper()
		if len(value) < 16 {
			t.Fatalf("%s is %q", name, value)
		}
		secrets[name] = value
	}
	part := func(token string) string { return token[strings.LastIndexByte(token, '_')+1:] }
	secret("a new key", part(key.Key))
	secret("a rotated key", part(rotated.Key))
	made, err := p.command("keys", "create", "--kind", "producer", "--tenant", devTenant, "--name", "erp")
	if err != nil {
		t.Fatalf("%v %s", err, made)
	}
	secret("a producer's key", part(strings.TrimSpace(made)))
	for name, s := range map[string]string{"an endpoint's secret": endpoint.Secret, "its next secret": again.Secret, "the tenant's webhook secret": tenant.Secret} {
		secret(name, strings.TrimPrefix(s, "whsec_"))
		raw, err := base64.StdEncoding.DecodeString(secrets[name])
		if err != nil {
			t.Fatal(err)
		}
		secret(name+" as it is", string(raw))
	}
	secret("what a client wrote", written)

	// Work that goes well and work that does not, so that every part says something.
	good := p.submit("note.txt", []byte("A note with "+text+".\n"), map[string]string{"webhook_url": receiver.URL + "/" + hook})
	bad := p.submit("broken.pdf", []byte("%PDF-1.7 "+text), map[string]string{"webhook_url": receiver.URL + "/?token=" + hook})
	for _, id := range []string{good, bad} {
		p.wait(id, 2*time.Minute)
	}
	said := [][]byte{
		p.send(http.MethodGet, "/api/v1/jobs/"+good+"?token="+written, "", "Authorization", bearer),
		p.send(http.MethodGet, "/api/v1/jobs?limit="+written, "", "Authorization", bearer, "Cookie", "session="+written),
		p.send(http.MethodGet, "/api/v1/jobs?key="+rotated.Key, "", "Authorization", "Bearer "+rotated.Key+"x"),
		p.send(http.MethodGet, "/"+written, "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("a:"+written))),
		p.send(http.MethodPost, "/api/v1/webhooks", `{"url":"http://user:`+written+`@example.org/"}`, "Authorization", bearer, "Content-Type", kind),
		p.send(http.MethodPost, "/api/v1/keys", `{"secret":"`+written+`"}`, "Authorization", bearer, "Content-Type", kind),
		p.send(http.MethodPost, "/api/v1/documents?webhook_url="+url.QueryEscape("http://10.0.0.1/"+written), text, "Authorization", bearer, "Content-Type", "text/plain"),
		p.send(http.MethodPost, "/api/v1/documents", `{"base64":"`+written+`*"}`, "Authorization", bearer, "Content-Type", kind),
		p.send(http.MethodPost, "/v1/convert/file", written, "X-Api-Key", rotated.Key+"x", "Content-Type", "multipart/form-data; boundary="+written),
		p.send(http.MethodGet, "/api/v1/keys", "", "Authorization", bearer),
		p.send(http.MethodGet, "/api/v1/audit", "", "Authorization", bearer),
		p.send(http.MethodGet, "/api/v1/webhooks", "", "Authorization", bearer),
		p.send(http.MethodGet, "/api/v1/jobs", "", "Authorization", bearer),
		p.send(http.MethodGet, "/metrics", ""),
	}
	p.eventually(time.Minute, "a delivery to have failed", func() bool { return strings.Contains(string(p.get("/api/v1/webhook-deliveries").body), "answered 500") })
	p.eventually(time.Minute, "traces of both jobs", func() bool {
		return bytes.Contains(traces.all(), []byte(good)) && bytes.Contains(traces.all(), []byte(bad))
	})
	p.sql("SELECT count() FROM jobs WHERE job_id IN ('"+good+"', '"+bad+"')", "2")

	places := map[string][]byte{"answers": bytes.Join(said, nil), "traces": traces.all(), "metrics": p.get(p.dev.Metrics).body,
		"records": p.records(), "rows": p.rows(), "objects": p.files("s3"), "logs": p.files("logs")}
	for place, all := range places {
		if seen := map[string]string{"metrics": "docstream_", "objects": text}[place]; !bytes.Contains(all, []byte(seen)) || seen == "" && !bytes.Contains(all, []byte(good)) {
			t.Errorf("these are not the %s of the platform: %.200s", place, all)
		}
		for name, s := range secrets {
			if bytes.Contains(all, []byte(s)) {
				t.Errorf("%s is in %s", name, place)
			}
		}
	}
	for _, place := range []string{"answers", "traces", "metrics", "logs"} { // elsewhere it belongs
		for _, canary := range []string{text, hook} {
			if i := bytes.Index(places[place], []byte(canary)); i >= 0 {
				t.Errorf("%s is in %s: …%q", canary, place, places[place][max(0, i-200):min(len(places[place]), i+100)])
			}
		}
	}
}

// secrets are those the platform made for itself.
func (p *platform) secrets() map[string]string {
	p.t.Helper()
	var s struct {
		HouseKey    string `json:"house_key"`
		S3SecretKey string `json:"s3_secret_key"`
		APIKey      string `json:"api_key"`
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "secrets"))
	if err != nil || json.Unmarshal(b, &s) != nil || s.HouseKey == "" || s.S3SecretKey == "" || s.APIKey == "" {
		p.t.Fatalf("the secrets of %s: %v", p.dir, err)
	}
	return map[string]string{"the house key": s.HouseKey, "the object store's key": s.S3SecretKey, "the first API key": s.APIKey[strings.LastIndexByte(s.APIKey, '_')+1:]}
}

// records are all records of the platform's topics: keys, values and headers.
func (p *platform) records() (all []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.dev.Kafka, ",")...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	left := map[string]map[int32]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if !strings.HasPrefix(o.Topic, p.dev.Prefix) || o.Offset == 0 {
			return
		}
		if left[o.Topic] == nil {
			left[o.Topic], from[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[o.Topic][o.Partition], from[o.Topic][o.Partition] = o.Offset, kgo.NewOffset().AtStart()
	})
	read, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.dev.Kafka, ",")...), kgo.ConsumePartitions(from), kgo.KeepControlRecords())
	if err != nil {
		p.t.Fatal(err)
	}
	defer read.Close()
	for len(left) > 0 {
		f := read.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			p.t.Fatalf("%v; not read to their ends: %v", err, left)
		}
		f.EachRecord(func(r *kgo.Record) {
			all = append(append(all, r.Key...), r.Value...)
			for _, h := range r.Headers {
				all = append(all, h.Value...)
			}
			if r.Offset+1 >= left[r.Topic][r.Partition] {
				if delete(left[r.Topic], r.Partition); len(left[r.Topic]) == 0 {
					delete(left, r.Topic)
				}
			}
		})
	}
	return all
}

// rows are all rows of ClickHouse.
func (p *platform) rows() (all []byte) {
	p.t.Helper()
	for table := range strings.FieldsSeq(p.ask("SELECT concat(database, '.', name) FROM system.tables WHERE database = 'docstream' AND engine LIKE '%MergeTree'")) {
		all = append(all, p.ask("SELECT * FROM "+table+" FORMAT JSONEachRow")...)
	}
	return all
}

// files are all files below a folder of the platform's data.
func (p *platform) files(folder string) (all []byte) {
	p.t.Helper()
	err := filepath.WalkDir(filepath.Join(p.dir, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}
