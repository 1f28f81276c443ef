// Package mutants proves that tests hold the rules of a package: it drops one rule at a time and sees whether a test notices.
//
// A rule is what the source says: a condition, a part of one, an assignment, a call, a value a record is made with. All of them are written
// into one copy of the package, each behind a switch, which is compiled over the original (go test -overlay) once; then the tests run once for
// each rule, with that rule off. The tree is not touched.
package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// variable names the rule that is off, for the compiled copy.
const variable = "DOCSTREAM_TEST_MUTANT"

// Proof says what holds which rules.
type Proof struct {
	Tests  string            // regular expression of the tests that must notice: never one that calls Hold
	Args   []string          // more arguments for them
	Spared map[string]string // rules nothing can notice the loss of, as Rule.String writes them, and why
}

// Rule is one thing the source says.
type Rule struct {
	Func string // where it stands
	Text string // what it says
	Drop string // how it is dropped
	ID   int    // from 1
}

// String names the rule; equal ones of a function share a name.
func (r Rule) String() string { return r.Func + ": " + r.Drop + ": " + r.Text }

// limit ends a run that does not come to an end without its rule: that too is noticed.
const limit = 30 * time.Second

// Hold drops every rule of the package in the current folder, one after the other, and fails for each that no test misses. The table of the
// rules and of what noticed goes to the log.
func Hold(t *testing.T, p Proof) {
	t.Helper()
	if os.Getenv(variable) != "" {
		t.Fatal("Proof.Tests names the test that calls Hold")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rules, over, err := rewrite(dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	binary := compile(t, over)
	if said, ok := (run{binary, p, 0}).test(); !ok {
		t.Fatalf("the tests fail with every rule in place:\n%s", said)
	}
	noticed := make([]string, len(rules))
	var all sync.WaitGroup
	turn := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range turn {
				if said, ok := (run{binary, p, rules[i].ID}).test(); !ok {
					noticed[i] = by(said)
				}
			}
		})
	}
	for i := range rules {
		turn <- i
	}
	close(turn)
	all.Wait()
	report(t, p, rules, noticed)
}

// report writes the table and fails for what is not as it should be.
func report(t *testing.T, p Proof, rules []Rule, noticed []string) {
	t.Helper()
	met := map[string]bool{}
	held := 0
	for i, r := range rules {
		why, spared := p.Spared[r.String()]
		met[r.String()] = true
		switch {
		case noticed[i] != "":
			held++
			t.Logf("%-90s %s", r, noticed[i])
		case spared:
			t.Logf("%-90s spared: %s", r, why)
		default:
			t.Errorf("no test misses a rule:  %s", r)
		}
	}
	for name := range p.Spared {
		if !met[name] {
			t.Errorf("a spared rule is not there any more: %s", name)
		}
	}
	t.Logf("%d rules, %d held", len(rules), held)
}

// compile builds the tests of the current folder with the rewritten files laid over it.
func compile(t *testing.T, over map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(map[string]any{"Replace": over})
	if err != nil {
		t.Fatal(err)
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutants.test")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("compiling the switchable copy: %v\n%s", err, out)
	}
	return binary
}

// run is one run of the tests with one rule off; 0: none.
type run struct {
	binary string
	proof  Proof
	off    int
}

func (r run) test() (said string, ok bool) {
	args := append([]string{"-test.run", r.proof.Tests, "-test.failfast", "-test.timeout", limit.String()}, r.proof.Args...)
	cmd := exec.Command(r.binary, args...)
	cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(r.off))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// by names the test that noticed.
func by(said string) string {
	lines := strings.Split(said, "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "--- FAIL: ") }); i >= 0 {
		return strings.Fields(lines[i])[2]
	}
	if strings.Contains(said, "panic:") {
		return "a panic"
	}
	return fmt.Sprintf("%.60q", said)
}
