package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// planned is the cluster of the compose file, with nothing started.
func planned(t *testing.T) *cluster {
	t.Helper()
	c, err := newCluster(project(t), root, t.TempDir(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryServiceHasAStandInOrAReason(t *testing.T) {
	c := planned(t)
	for name, s := range project(t).Services {
		_, planned := c.services[name]
		if _, out := leftOut[repository(s.Image)]; planned == out {
			t.Errorf("%s: planned %v, left out %v", name, planned, out)
		}
	}
	if n := len(c.instances["gateway"]); n != 2 {
		t.Errorf("%d gateways", n)
	}
	var other types.ServiceConfig
	other.Image = "somebody/else:1.0"
	if _, err := runnerOf(instance{"x", other}); err == nil {
		t.Error("an image nobody stands for is accepted")
	}
}

// TestOnlyAddressesPathsAndSizesDiffer: what a process gets is what its container would get.
func TestOnlyAddressesPathsAndSizesDiffer(t *testing.T) {
	c := planned(t)
	place := regexp.MustCompile(`:[0-9]{2,5}\b|^/`)
	for _, all := range c.instances {
		for _, in := range all {
			env := c.book.environment(in)
			if len(env) != len(in.service.Environment) {
				t.Errorf("%s has %d variables, its container %d", in.name, len(env), len(in.service.Environment))
			}
			for name, want := range in.service.Environment {
				if _, small := smaller[name]; !small && env[name] != *want && !place.MatchString(*want) {
					t.Errorf("%s: %s is %q, in the file %q", in.name, name, env[name], *want)
				}
			}
		}
	}
}

func TestNothingReachesBeyondThisMachine(t *testing.T) {
	c := planned(t)
	address := regexp.MustCompile(`([a-z0-9.-]+):([0-9]{2,5})\b`)
	for _, all := range c.instances {
		for _, in := range all {
			for name, value := range c.book.environment(in) {
				for _, m := range address.FindAllStringSubmatch(value, -1) {
					if m[1] != "127.0.0.1" {
						t.Errorf("%s: %s leads to %s", in.name, name, m[0])
					}
				}
				if strings.HasPrefix(value, "/var/") || strings.HasPrefix(value, "/data") {
					t.Errorf("%s: %s is %s", in.name, name, value)
				}
			}
		}
	}
}

func TestAnAddressIsTheSameForAllWhoUseIt(t *testing.T) {
	c := planned(t)
	gateway, sink, kafka := c.instances["gateway"], c.instances["sink"][0], c.instances["kafka-2"][0]
	if c.book.local(gateway[0], "0.0.0.0:8080") == c.book.local(gateway[1], "0.0.0.0:8080") {
		t.Error("two gateways listen at one address")
	}
	for _, v := range []struct{ asked, listens string }{
		{c.book.local(sink, "kafka-2:9092"), c.book.address(kafka, "9092")},
		{c.book.local(sink, "http://clickhouse:8123"), "http://" + c.book.address(c.instances["clickhouse"][0], "8123")},
		{c.book.local(sink, "kafka:9092"), c.book.local(sink, "kafka-1:9092")},
		{c.book.local(kafka, "INSIDE://:9092"), "INSIDE://" + c.book.address(kafka, "9092")},
		{c.book.local(kafka, "OUTSIDE://localhost:29092"), "OUTSIDE://" + c.book.address(kafka, "29092")},
		{c.book.local(sink, "nobody:9092 12:30 a:b"), "nobody:9092 12:30 a:b"},
	} {
		if v.asked != v.listens {
			t.Errorf("%s, but it listens at %s", v.asked, v.listens)
		}
	}
}

func TestABrokersVariablesAreItsProperties(t *testing.T) {
	got := properties(map[string]string{"KAFKA_NODE_ID": "1", "KAFKA_LOG_DIRS": "/d", "KAFKA_A__B___C_D": "x", "KAFKA_HEAP_OPTS": "-Xmx1g", "CLUSTER_ID": "y"})
	if want := "a_b-c.d=x\nlog.dirs=/d\nnode.id=1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAHealthCheckIsAskedFromOutside(t *testing.T) {
	for _, c := range []struct {
		test string
		want question
		bad  bool
	}{
		{test: "CMD-SHELL nc -z 127.0.0.1 9092", want: question{port: "9092"}},
		{test: "CMD-SHELL curl -fsS http://127.0.0.1:8080/health/ready >/dev/null", want: question{url: "http://127.0.0.1:8080/health/ready"}},
		{test: "CMD docstream ready http://127.0.0.1:9100/readyz", want: question{url: "http://127.0.0.1:9100/readyz"}},
		{test: "CMD true", bad: true},
	} {
		got, err := questionOf(strings.Fields(c.test))
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %+v, %v", c.test, got, err)
		}
	}
}

func TestAnAnswerIsA200(t *testing.T) {
	c := planned(t)
	in := c.instances["prepare"][0]
	_, port, _ := net.SplitHostPort(c.book.address(in, "9100"))
	q := question{url: "http://127.0.0.1:9100/readyz"}
	if c.answers(t.Context(), q, in) || c.answers(t.Context(), question{port: "9100"}, in) {
		t.Error("nobody listens, and answers")
	}
	status := http.StatusServiceUnavailable
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = l
	server.Start()
	defer server.Close()
	if c.answers(t.Context(), q, in) {
		t.Error("503 counts as an answer")
	}
	status = http.StatusOK
	if !c.answers(t.Context(), q, in) || !c.answers(t.Context(), question{port: "9100"}, in) {
		t.Error("200 does not count")
	}
}

// TestNginxSpeaksTheErrorsOfTheAPI starts nginx with the cluster's own configuration, before no gateway and then before two.
func TestNginxSpeaksTheErrorsOfTheAPI(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("missing in CI: nginx (package nginx on Debian)")
		}
		t.Skip("missing: nginx (package nginx on Debian)")
	}
	c := planned(t)
	in := c.instances["nginx"][0]
	spec, err := c.nginx(in)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, nginx, spec.Command[1:]...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if b, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("nginx said:\n%s", b)
		}
	})
	base := "http://" + c.book.address(in, "8080")
	get := func(method, path string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		for tries := 0; err != nil && tries < 100; tries++ { // it is starting
			time.Sleep(50 * time.Millisecond)
			res, err = http.DefaultClient.Do(req)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b := make([]byte, 4096)
		n, _ := res.Body.Read(b)
		return res, string(b[:n])
	}
	for path, want := range map[string]string{"/api/v1/jobs": "SERVICE_UNAVAILABLE", "/metrics": "ROUTE_NOT_FOUND"} {
		res, body := get(http.MethodPost, path)
		var e struct {
			Error     struct{ Code, Message string }
			RequestID string `yaml:"request_id"`
			Timestamp string
		}
		if err := yaml.Unmarshal([]byte(body), &e); err != nil || e.Error.Code != want || e.RequestID == "" || e.RequestID != res.Header.Get("X-Request-Id") || !strings.HasSuffix(e.Timestamp, "Z") {
			t.Errorf("%s: %d %s: %v", path, res.StatusCode, body, err)
		}
	}
	// One gateway that says it is not ready, one that is: a GET finds the one that is, a POST is not said twice.
	var posts atomic.Int64
	for i, g := range c.instances["gateway"] {
		l, err := net.Listen("tcp", c.book.address(g, "8080"))
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				posts.Add(1)
			}
			w.Header().Set("X-Gateway", strconv.Itoa(i))
			if i == 0 || r.Method == http.MethodPost {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})}
		go func() { _ = s.Serve(l) }()
		defer s.Close()
	}
	for range 4 {
		if res, _ := get(http.MethodGet, "/api/v1/jobs/x"); res.StatusCode != http.StatusOK || res.Header.Get("X-Gateway") != "1" {
			t.Errorf("a GET got %d from gateway %s", res.StatusCode, res.Header.Get("X-Gateway"))
		}
	}
	if res, _ := get(http.MethodPost, "/api/v1/documents"); res.StatusCode != http.StatusServiceUnavailable || posts.Load() != 1 {
		t.Errorf("a POST got %d and was said %d times", res.StatusCode, posts.Load())
	}
}

func TestPrometheusFindsEveryInstance(t *testing.T) {
	c := planned(t)
	conf, err := c.prometheusFile(c.instances["prometheus"][0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, all := range c.instances {
		s := all[0].service
		if !isOurs(s) || s.Restart == types.RestartPolicyOnFailure {
			continue
		}
		port := "9100"
		if name == "gateway" {
			port = "8080"
		}
		for _, in := range all {
			if !strings.Contains(text, c.book.address(in, port)) {
				t.Errorf("nobody scrapes %s", in.name)
			}
		}
	}
	if strings.Contains(text, "dns_sd_configs") || strings.Contains(text, "/etc/") {
		t.Errorf("something is not of this machine:\n%s", text)
	}
}

// TestPrometheusTakesItsConfiguration asks Prometheus's own checker, for the file as it stands and as it is rewritten.
func TestPrometheusTakesItsConfiguration(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("missing in CI: promtool (package prometheus on Debian)")
		}
		t.Skip("missing: promtool (package prometheus on Debian)")
	}
	c := planned(t)
	conf, err := c.prometheusFile(c.instances["prometheus"][0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(root, "ops", "prometheus", "prometheus.yml"), conf} {
		if out, err := exec.Command(promtool, "check", "config", "--syntax-only", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

func TestAFolderBelongsToOneCluster(t *testing.T) {
	dir := t.TempDir()
	first, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second cluster: %v", err)
	}
	first.Close()
	again, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestTheServiceFileIsPrivateAndNamesWhatRuns(t *testing.T) {
	c := planned(t)
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, serviceName)); err == nil {
		t.Error("it is written before everything serves")
	}
	c.serving, c.file = true, service{API: "http://x"}
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(c.dir, serviceName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if c.file.PIDs["cluster"] != os.Getpid() {
		t.Errorf("pids %v", c.file.PIDs)
	}
}

func TestATopicIsCreatedFromItsCommandLine(t *testing.T) {
	in := instance{name: "x"}
	for _, words := range [][]string{{"kafka-topics.sh", "--create", "--topic", "t"}, {"kafka-topics.sh", "--delete", "--topic", "t", "--partitions", "1", "--replication-factor", "1", "--config", "a=b"}} {
		in.service.Command = words
		if err := planned(t).createTopic(t.Context(), in); err == nil || !strings.Contains(err.Error(), "creates no topic") {
			t.Errorf("%v: %v", words, err)
		}
	}
}

func TestEverythingThatIsMissingIsSaidAtOnce(t *testing.T) {
	c := planned(t)
	c.root = t.TempDir()
	t.Setenv("PATH", t.TempDir())
	err := c.needs()
	for _, what := range []string{"java is missing", "nginx is missing: install", "prometheus is missing: install", "Apache Kafka is missing", "the schema registry is missing", "bin/docstream is missing"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q is not said: %v", what, err)
		}
	}
}
