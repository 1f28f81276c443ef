package s3_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/schemas"
)

// kept is an archive of one partition, in a bucket and as files on disk.
func kept(t *testing.T) (bucket string, dir string, log []schemas.Record) {
	cfg := testenv.S3(t)
	o := objects(t, cfg)
	log = written(rand.New(rand.NewPCG(20, 1)), "facts", 2, 400)
	for i := range log {
		if i%3 == 0 {
			e := finished(i, i+1)
			e.Tenant = "a\xffé契"
			log[i].Event, log[i].SchemaID, log[i].Schema = e, 7, `{"type":"record","name":"PageFinished","fields":[]}`
		}
	}
	s := sink(o, small())
	open(t, s, schemas.Partition{Topic: "facts", TopicID: "id", Number: 2})
	appendAll(t, s, log[:250])
	store(t, s)
	appendAll(t, s, log[250:])
	store(t, s)
	dir = t.TempDir()
	for i, key := range keys(t, o, "archive/") {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.avro", i)), content(t, o, key), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cfg.Endpoint + "/" + cfg.Bucket, dir, log
}

func TestPythonReadsTheFiles(t *testing.T) {
	_, dir, log := kept(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.avro"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	requirements, err := filepath.Abs("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", append([]string{"testdata/read.py"}, files...)...)
	cmd.Env, cmd.Stderr = testenv.Python(t, requirements), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []schemas.Record
	for i, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var r struct {
			Topic, Timestamp string
			Partition        int32
			Offset           int64
			Key, Value       *string
			Headers          []struct {
				Key   string
				Value *string
			}
			Kind, Tenant *string
			Page         *int
		}
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, r.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: at, Key: unhex(t, r.Key), Value: unhex(t, r.Value)}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, schemas.RecordHeader{Key: h.Key, Value: unhex(t, h.Value)})
		}
		got = append(got, rec)
		if want := log[i].Event != nil; want && (*r.Kind != "PageFinished" || *r.Tenant != "a\uFFFDé契" || *r.Page != i+1) || !want && r.Kind != nil {
			t.Errorf("record %d is said to be %s", i, l)
		}
	}
	same(t, got, log)
}

func unhex(t *testing.T, s *string) []byte {
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(*s)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

func TestClickHouseReadsTheFiles(t *testing.T) {
	bucket, dir, log := kept(t)
	dsn := testenv.ClickHouse(t)
	ask := func(sql string) string {
		res, err := http.Get(dsn + "/?query=" + url.QueryEscape(sql))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", sql, res.StatusCode, b, err)
		}
		return strings.TrimSpace(string(b))
	}
	var want strings.Builder
	for _, r := range log {
		value := `\N`
		if r.Value != nil {
			value = strings.ToUpper(hex.EncodeToString(r.Value))
		}
		fmt.Fprintf(&want, "facts\t2\t%d\t%d\t%s\n", r.Offset, r.Timestamp.UnixMilli(), value)
	}
	for name, from := range map[string]string{
		"s3":   "s3('" + bucket + "/archive/facts/dt=*/p=*/*.avro', 'test', 'testtesttest', 'Avro')",
		"file": "file('" + dir + "/*.avro', 'Avro')",
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask("SELECT topic, partition, offset, toUnixTimestamp64Milli(timestamp), hex(value) FROM " + from + " ORDER BY offset"); got != strings.TrimSpace(want.String()) {
				t.Errorf("%.400s\nwant\n%.400s", got, want.String())
			}
			if got := ask("SELECT kind, count(), uniqExact(event_id), max(page), any(headers.key) FROM " + from + " WHERE kind IS NOT NULL GROUP BY kind"); got != "PageFinished\t134\t134\t400\t['ce_id','','ce_id']" {
				t.Error(got)
			}
		})
	}
}
