package failpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"docstream/internal/failpoint"
)

// TestMain passes a point twice where the variable of the tests says so.
func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_PASS") != "" {
		failpoint.At("here")
		failpoint.At("here")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAnArmedPointKillsOnce(t *testing.T) {
	dir := t.TempDir()
	pass := func(env ...string) *os.ProcessState {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(env, "FAILPOINT_PASS=1")
		_ = cmd.Run() // the state says how it ended
		return cmd.ProcessState
	}
	arm := func() {
		if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s := pass(failpoint.Variable + "=" + dir); !s.Success() {
		t.Errorf("unarmed: %s", s)
	}
	arm()
	if s := pass(); !s.Success() {
		t.Errorf("without the variable: %s", s)
	}
	if s := pass(failpoint.Variable + "=" + dir); s.String() != "signal: killed" {
		t.Errorf("armed: %s", s)
	}
	if s := pass(failpoint.Variable + "=" + dir); !s.Success() {
		t.Errorf("a second time: %s", s)
	}
}
