package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestDefaultsAreGolden(t *testing.T) {
	cfg, err := load(layers{})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := printYAML(&got, cfg); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "config.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the defaults changed; if that is meant, run go test ./cmd/docstream -update\n%s", got.String())
	}
}

func TestWhatIsPrintedCanBeRead(t *testing.T) {
	var text bytes.Buffer
	want, err := load(layers{flags: []string{"kafka.brokers=a:1,b:2", "stream.slots=7", "topics.retention=200h",
		`prepare.buckets=[{"tenant":"acme","bucket":"scans"},{"tenant":"acme","bucket":"post","prefix":"in/"}]`,
		`gateway.tokens.issuers=[{"url":"https://login.example.org","audience":"docstream","tenants":["acme"],"scopes":["docs=documents"]}]`}})
	if err != nil {
		t.Fatal(err)
	}
	if err := printYAML(&text, want); err != nil {
		t.Fatal(err)
	}
	got, err := load(layers{file: written(t, text.String())})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v\nwant\n%+v", got, want)
	}
}

func TestEachLayerIsStrongerThanTheOneBefore(t *testing.T) {
	file := written(t, "stream:\n  slots: 3\n  batch: 4\n  sink_linger: 2s\nkafka:\n  brokers: [one:1, two:2]\n")
	env := []string{"DOCSTREAM_STREAM_BATCH=5", "DOCSTREAM_STREAM_MAX_ATTEMPTS=6", "HOME=/nowhere", "DOCSTREAM_CACHE=/c"}
	cfg, err := load(layers{file: file, env: env, flags: []string{"stream.max_attempts=9"}})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Stream
	if s.Slots != 3 || s.Batch != 5 || s.MaxAttempts != 9 || s.SinkLinger != 2*time.Second || len(cfg.Kafka.Brokers) != 2 {
		t.Errorf("got %+v %v", s, cfg.Kafka.Brokers)
	}
}

func TestListsSizesAndDurationsInTheEnvironment(t *testing.T) {
	cfg, err := load(layers{env: []string{"DOCSTREAM_KAFKA_BROKERS=a:1, b:2", "DOCSTREAM_ENGINE_MEMORY_LIMIT=4GiB", "DOCSTREAM_ENGINE_PAGE_DEADLINE=90s", "DOCSTREAM_KAFKA_TLS=true"}})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg.Kafka.Brokers, []string{"a:1", "b:2"}) || cfg.Engine.MemoryLimit != 4<<30 || cfg.Engine.PageDeadline != 90*time.Second || !cfg.Kafka.TLS {
		t.Errorf("got %+v %+v", cfg.Kafka, cfg.Engine)
	}
}

func TestUnknownKeysAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		l    layers
		want string
	}{
		"key of the file":       {layers{file: written(t, "stream:\n  slot: 3\n")}, "unknown key stream.slot"},
		"section of the file":   {layers{file: written(t, "streams:\n  slots: 3\n")}, "unknown key streams.slots"},
		"scalar for a section":  {layers{file: written(t, "stream: 3\n")}, "unknown key stream"},
		"variable":              {layers{env: []string{"DOCSTREAM_STREAM_SLOT=3"}}, "unknown variable DOCSTREAM_STREAM_SLOT"},
		"flag":                  {layers{flags: []string{"stream.slot=3"}}, "unknown key stream.slot"},
		"flag without a value":  {layers{flags: []string{"stream.slots"}}, "want key=value"},
		"key that is derived":   {layers{flags: []string{"layout.device=cuda"}}, "unknown key layout.device"},
		"key of an entry":       {layers{file: written(t, "prepare:\n  buckets:\n    - {tenant: acme, bucket: scans, prefx: in/}\n")}, "prefx"},
		"entry that is no list": {layers{env: []string{"DOCSTREAM_PREPARE_BUCKETS=acme"}}, "want a list"},
		"our own bucket":        {layers{file: written(t, "prepare:\n  buckets:\n    - {tenant: acme, bucket: docstream}\n")}, "is the platform's own"},
		"value of a wrong type": {layers{flags: []string{"stream.slots=many"}}, "stream.slots"},
		"file that is missing":  {layers{file: filepath.Join(t.TempDir(), "none.yaml")}, "none.yaml"},
		"file that is no YAML":  {layers{file: written(t, "a: [")}, "yaml"},
		"refused by its owner":  {layers{flags: []string{"stream.slots=0"}}, "slots and batches must be at least 1"},
		"short house key":       {layers{env: []string{"DOCSTREAM_HOUSE_KEY_SECRET=short"}}, "at least 32 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(c.l)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEmptySectionsAreNoMistake(t *testing.T) {
	if _, err := load(layers{file: written(t, "stream:\nkafka:\n")}); err != nil {
		t.Error(err)
	}
}

func TestEveryKeyHasAVariableOfItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, s := range settings(reflect.ValueOf(defaults())) {
		if other, ok := seen[s.env()]; ok {
			t.Errorf("%s and %s share %s", other, s.key, s.env())
		}
		if ours[s.env()] != "" {
			t.Errorf("%s is set by %s, which means something else", s.key, s.env())
		}
		seen[s.env()] = s.key
	}
}

func TestEnvironmentHandsTheConfigurationOn(t *testing.T) {
	flags := []string{"kafka.brokers=a:1,b:2", "house_key.secret=" + strings.Repeat("k", 40), "prepare.dpi=200", "objects.stall=45s", "kafka.tls=true",
		`prepare.buckets=[{"tenant":"acme","bucket":"scans","prefix":"in, out/"}]`}
	want, err := load(layers{flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(layers{env: environment(want)})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("handed on\n%+v\nwant\n%+v", got, want)
	}
}

func TestNoSecretGoesToTheEngine(t *testing.T) {
	cfg, err := load(layers{flags: []string{"house_key.secret=" + strings.Repeat("k", 40), "prepare.dpi=200", "models.recognition=small", "objects.access_key=a", "objects.secret_key=b"}})
	if err != nil {
		t.Fatal(err)
	}
	got := environment(cfg, "models", "prepare")
	if want := []string{"DOCSTREAM_MODELS_RECOGNITION=small", "DOCSTREAM_PREPARE_DPI=200"}; !reflect.DeepEqual(got, want) {
		t.Errorf("handed on %v, want %v", got, want)
	}
	p := program{Main: Main{Env: []string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "DOCSTREAM_HOUSE_KEY_SECRET=y", "LD_LIBRARY_PATH=/l"}}}
	if got, want := p.plain(), []string{"PATH=/bin", "LD_LIBRARY_PATH=/l"}; !reflect.DeepEqual(got, want) {
		t.Errorf("inherited %v, want %v", got, want)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	secret := strings.Repeat("s3cr3t-", 6)
	flags := []string{"house_key.secret=" + secret, "kafka.password=" + secret, "objects.secret_key=" + secret, "objects.access_key=a", "clickhouse.password=" + secret, "kafka.registry_password=" + secret}
	for _, args := range [][]string{{"config"}, {"config", "--json"}} {
		for _, f := range flags {
			args = append(args, "--set", f)
		}
		code, out, errs := run(t, nil, args...)
		if code != 0 || strings.Contains(out+errs, secret) || strings.Count(out, "***") != 5 {
			t.Errorf("exit %d, %d masked\n%s%s", code, strings.Count(out, "***"), out, errs)
		}
	}
}

// written puts a file into the test's folder.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
