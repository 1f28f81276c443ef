// Package testenv gives tests the real parts: a Kafka broker, a schema registry, an S3 server, ClickHouse's engine, the models and the
// sample documents. A part that is missing skips the test on a developer's machine and fails it where CI is set: a check that skips in CI
// checks nothing.
//
// Kafka is the embedded broker unless DOCSTREAM_TEST_KAFKA names another; then the same tests run there, under topics of their own.
package testenv

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
)

// Kafka returns a connection to a broker and a registry that live as long as the test.
func Kafka(t testing.TB) stream.Connection {
	t.Helper()
	if brokers := os.Getenv("DOCSTREAM_TEST_KAFKA"); brokers != "" {
		return connection(t, strings.Split(brokers, ","))
	}
	conn, _ := Embedded(t, 1)
	return conn
}

// Embedded is Kafka on embedded brokers whatever the environment says: a real one cannot be told to fail or to move a leader.
func Embedded(t testing.TB, brokers int) (stream.Connection, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatalf("starting the embedded brokers: %v", err)
	}
	t.Cleanup(cluster.Close)
	return connection(t, cluster.ListenAddrs()), cluster
}

// connection is one to brokers and to a registry of the test.
func connection(t testing.TB, brokers []string) stream.Connection {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	conn := stream.DefaultConnection()
	conn.Brokers, conn.Registry = brokers, registry.URL()
	return conn
}

// Plan returns a plan whose topics are the test's own, small enough to start fast.
func Plan(t testing.TB) topology.Config {
	plan := topology.DefaultConfig()
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == '#' {
			return '-'
		}
		return r
	}, t.Name())
	plan.Prefix = fmt.Sprintf("t%x.%.40s.", time.Now().UnixNano(), name)
	plan.Lanes, plan.State = 2, 2
	return plan
}

// S3 starts an S3 server on a directory of the test and returns how to reach it.
func S3(t testing.TB) blob.Config {
	t.Helper()
	keys := []string{"DOCSTREAM_PARTS_S3_ACCESS_KEY=test", "DOCSTREAM_PARTS_S3_SECRET_KEY=testtesttest"}
	ready := PartIn(t, keys, "s3", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--bucket", "docstream")
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.Bucket = "http://"+ready.Addr, "docstream"
	cfg.AccessKey, cfg.SecretKey, cfg.PathStyle = "test", "testtesttest", true
	return cfg
}

// ClickHouse starts ClickHouse's engine on a directory of the test and returns its DSN.
func ClickHouse(t testing.TB) string {
	t.Helper()
	lib := Cached(t, "libchdb.so")
	return "http://" + Part(t, "clickhouse", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--lib", lib).Addr
}

// Ready is what a part says when it serves.
type Ready struct {
	Addr     string `json:"addr"`
	Registry string `json:"registry"`
	PID      int    `json:"pid"`
}

// Part starts one of the embedded parts as a process of its own and ends it, by its id, with the test.
func Part(t testing.TB, args ...string) Ready {
	t.Helper()
	return PartIn(t, nil, args...)
}

// PartIn is Part with variables added to the environment: what must not stand on a command line.
func PartIn(t testing.TB, env []string, args ...string) Ready {
	t.Helper()
	bin := Binary(t, "docstream-parts")
	cmd := exec.Command(bin, append(args, "--lifeline")...)
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", args[0], err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		stop := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer stop.Stop()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", args[0], tail(log.String(), 4000))
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready Ready
	if err != nil || json.Unmarshal(line, &ready) != nil {
		t.Fatalf("%s did not start: %v %s\n%s", args[0], err, line, tail(log.String(), 2000))
	}
	return ready
}

// Binary returns the path of a built program.
func Binary(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		Missing(t, "bin/"+name+" (make build)")
	}
	return path
}

// Cached returns the path of a fetched part, such as a model.
func Cached(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(CacheDir(), "parts", name)
	if _, err := os.Stat(path); err != nil {
		Missing(t, name+" (make parts)")
	}
	return path
}

// CacheDir is where fetched parts lie.
func CacheDir() string {
	if d := os.Getenv("DOCSTREAM_CACHE"); d != "" {
		return d
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "docstream")
	}
	return filepath.Join(d, "docstream")
}

// Samples returns the folder of real documents: DOCSTREAM_SAMPLES, or ../shared/samples beside the repository.
func Samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DOCSTREAM_SAMPLES")
	if dir == "" {
		dir = filepath.Join(Root(t), "..", "shared", "samples")
	}
	if _, err := os.Stat(dir); err != nil {
		Missing(t, "the sample documents (DOCSTREAM_SAMPLES)")
	}
	return dir
}

// Root is the folder of the main module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if b, err := os.ReadFile(filepath.Join(d, "go.mod")); err == nil && strings.HasPrefix(string(b), "module docstream\n") {
			return d
		}
	}
	t.Fatal("no go.mod of docstream above " + dir)
	return ""
}

// Missing ends a test that lacks a real part: skipped here, failed in CI.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("missing in CI: " + what)
	}
	t.Skip("missing: " + what)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
