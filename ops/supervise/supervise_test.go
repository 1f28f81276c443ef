package supervise_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"docstream/ops/supervise"
)

func keeper(t *testing.T, script string, says bool) *supervise.Keeper {
	t.Helper()
	return supervise.New(supervise.Spec{Name: "child", Command: []string{"/bin/sh", "-c", script}, Env: os.Environ(),
		Log: filepath.Join(t.TempDir(), "child.log"), Says: says}, slog.New(slog.DiscardHandler), nil)
}

func TestAChildYieldsTheCPUWithAllItStarts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("niceness belongs to a thread on Linux only")
	}
	for _, nice := range []int{0, 7} {
		k := supervise.New(supervise.Spec{Name: "child", Command: []string{"/bin/sh", "-c", "sh -c nice; cat"}, Env: os.Environ(), Nice: nice,
			Log: filepath.Join(t.TempDir(), "child.log"), Says: true}, slog.New(slog.DiscardHandler), nil)
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		own, err := exec.Command("nice").Output() // the tests may be niced themselves
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSpace(string(own))
		if nice > 0 {
			want = strconv.Itoa(nice)
		}
		if line, err := k.Said(soon(t)); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("niceness %q, want %s: %v", line, want, err)
		}
		k.Stop(5 * time.Second)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestALineSaysThatItServes(t *testing.T) {
	k := keeper(t, `echo '{"ready":true}'; cat`, true)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := k.Said(soon(t))
	if err != nil || strings.TrimSpace(line) != `{"ready":true}` {
		t.Errorf("said %q, %v", line, err)
	}
	k.Stop(5 * time.Second)
	if k.PID() != 0 {
		t.Error("stopped, but a pid is left")
	}
}

func TestAKilledChildComesBack(t *testing.T) {
	k := keeper(t, `echo up; cat`, true)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Said(soon(t)); err != nil {
		t.Fatal(err)
	}
	k.Settle()
	first := k.PID()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); k.PID() == 0 || k.PID() == first; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come back")
		}
	}
	k.Stop(5 * time.Second)
}

func TestAChildThatNeverServesIsGivenUpWithItsLastWords(t *testing.T) {
	k := keeper(t, `echo '{"level":"ERROR","msg":"stopped","error":"the port is taken"}' >&2; exit 1`, true)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	_, err := k.Said(soon(t))
	if err == nil || !strings.Contains(err.Error(), "child does not start: the port is taken") {
		t.Errorf("got %v", err)
	}
	if k.Failed() == nil {
		t.Error("the failure is forgotten")
	}
	k.Stop(time.Second)
}

func TestAChildThatDoesNotListenIsKilled(t *testing.T) {
	k := keeper(t, `trap '' TERM; echo up; while :; do sleep 1; done`, true)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Said(soon(t)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	k.Stop(100 * time.Millisecond)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestAMissingProgramIsAnError(t *testing.T) {
	k := supervise.New(supervise.Spec{Name: "none", Command: []string{filepath.Join(t.TempDir(), "none")}, Log: filepath.Join(t.TempDir(), "l")},
		slog.New(slog.DiscardHandler), nil)
	if err := k.Start(); err == nil {
		t.Error("started nothing without an error")
	}
	k.Stop(time.Second)
}

func TestLastWords(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain\n": "plain", "docstream: port taken\n": "port taken",
		`{"level":"INFO","msg":"x"}` + "\n": "", `{"level":"ERROR","msg":"bad"}` + "\n" + `{"level":"INFO","msg":"bye"}` + "\n": "bad",
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := supervise.LastWords(path); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
