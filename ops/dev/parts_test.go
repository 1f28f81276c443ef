package main_test

import (
	"bufio"
	"context"
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
)

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docstream-parts")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "docstream-parts")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// ready is the line that a part prints when it serves.
type ready struct {
	Ready    bool   `json:"ready"`
	Role     string `json:"role"`
	Addr     string `json:"addr"`
	Registry string `json:"registry"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
}

// running is one part as a process.
type running struct {
	ready
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    logFile
	exited chan struct{}
}

// logFile is where a part's standard error goes: a file, which holds all of it once the process ended.
type logFile string

func (l logFile) String() string {
	text, _ := os.ReadFile(string(l))
	return string(text)
}

// start runs a part and waits until it serves; it is stopped with the test.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	p := launch(t, args...)
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		<-p.exited
		t.Fatalf("%s did not start: %v\n%s", args[0], err, p.log)
	}
	if err := json.Unmarshal([]byte(line), &p.ready); err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	return p
}

// launch runs a part without waiting for it.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{t: t, cmd: exec.Command(binary, args...), exited: make(chan struct{})}
	stderr, err := os.CreateTemp(t.TempDir(), "log")
	check(t, err)
	defer stderr.Close()
	p.log, p.cmd.Stderr = logFile(stderr.Name()), stderr
	p.stdin, _ = p.cmd.StdinPipe()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = p.cmd.Process.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *running) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("%s did not end on %s", p.Role, s)
	}
}

// kill is kill -9: the process has no chance to save anything.
func (p *running) kill() { p.signal(syscall.SIGKILL) }

// stop ends the process in order; more than once is fine.
func (p *running) stop() {
	select {
	case <-p.exited:
	default:
		p.signal(syscall.SIGTERM)
	}
}

// within is a context that ends long before go test does.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// keys puts the owner's keys into the environment of the parts that the test starts.
func keys(t *testing.T, access, secret string) {
	t.Setenv("DOCSTREAM_PARTS_S3_ACCESS_KEY", access)
	t.Setenv("DOCSTREAM_PARTS_S3_SECRET_KEY", secret)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPartEndsWithItsLifeline(t *testing.T) {
	p := start(t, "broker", "--data", t.TempDir(), "--lifeline")
	check(t, p.stdin.Close())
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("still running after its standard input ended")
	}
}

func TestReadyIsTheOnlyLineOnStandardOutput(t *testing.T) {
	keys(t, "key", "secret-secret")
	p := start(t, "s3", "--data", t.TempDir())
	if p.Role != "s3" || !p.Ready || p.PID != p.cmd.Process.Pid {
		t.Errorf("ready line says %+v", p.ready)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(p.stdout)
	if len(rest) > 0 {
		t.Errorf("more on standard output: %q", rest)
	}
	<-p.exited
	for line := range strings.Lines(p.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %q", line)
		}
	}
}

func TestWrongUseIsSaidInOneLine(t *testing.T) {
	busy := t.TempDir()
	start(t, "broker", "--data", busy)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"data missing":       {[]string{"broker"}, "--data is required"},
		"data in use":        {[]string{"broker", "--data", busy}, "is in use by another process"},
		"public address":     {[]string{"broker", "--data", t.TempDir(), "--listen", "0.0.0.0:0"}, "loopback address only"},
		"no keys":            {[]string{"s3", "--data", t.TempDir()}, "DOCSTREAM_PARTS_S3_ACCESS_KEY and DOCSTREAM_PARTS_S3_SECRET_KEY are required in the environment"},
		"keys as flags":      {[]string{"s3", "--data", t.TempDir(), "--secret-key", "s"}, "flag provided but not defined: -secret-key"},
		"no library":         {[]string{"clickhouse", "--data", t.TempDir()}, "--lib is required"},
		"library missing":    {[]string{"clickhouse", "--data", t.TempDir(), "--lib", "/nowhere/libchdb.so"}, "is missing: run python3 ops/parts/fetch.py"},
		"not a library":      {[]string{"clickhouse", "--data", t.TempDir(), "--lib", "go.mod"}, "cannot be loaded"},
		"public clickhouse":  {[]string{"clickhouse", "--data", t.TempDir(), "--listen", ":0"}, "loopback address only"},
		"too small a broker": {[]string{"broker", "--data", t.TempDir(), "--max-bytes", "0"}, "must be positive"},
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, c.args...)
			<-p.exited
			if !strings.Contains(p.log.String(), c.want) {
				t.Errorf("log lacks %q:\n%s", c.want, p.log)
			}
		})
	}
}
