package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Brokers are brokers of Apache Kafka that a test has for itself: it may kill them.
type Brokers struct {
	Addresses []string

	t    testing.TB
	data string
	env  []string
}

// StartBrokers starts one broker or three, as ops/dev/kafka.sh does, with more variables in its environment. They end with the test.
func StartBrokers(t testing.TB, n int, env ...string) *Brokers {
	t.Helper()
	if jars, _ := filepath.Glob(filepath.Join(CacheDir(), "kafka", "libs-*", ".verified")); len(jars) == 0 {
		Missing(t, "Apache Kafka's jars (ops/dev/kafka.sh resolve)")
	}
	if _, err := exec.LookPath("java"); err != nil {
		Missing(t, "a Java 17 runtime")
	}
	data := t.TempDir()
	b := &Brokers{t: t, data: data, env: append([]string{"KAFKA_DATA=" + data, fmt.Sprintf("KAFKA_PORT=%d", freePorts(t, n))}, env...)}
	t.Cleanup(func() { _, _ = b.script("stop") })
	out, err := b.script("start", strconv.Itoa(n))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.Addresses = strings.Split(strings.TrimSpace(string(out)), ",")
	return b
}

func (b *Brokers) script(verb ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(Root(b.t), "ops", "dev", "kafka.sh"), verb...)
	cmd.Env = append(os.Environ(), b.env...)
	return cmd.CombinedOutput()
}

// Running returns the pids of the brokers that run, by number from 1.
func (b *Brokers) Running() map[int]int {
	out := map[int]int{}
	for n := range b.Addresses {
		text, err := os.ReadFile(b.file(n + 1))
		if pid, _ := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 && syscall.Kill(pid, 0) == nil {
			out[n+1] = pid
		}
	}
	return out
}

// Kill ends a broker with signal 9; false where it does not run.
func (b *Brokers) Kill(n int) bool {
	pid := b.Running()[n]
	return pid != 0 && os.Remove(b.file(n)) == nil && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// Revive starts the brokers that were killed on what they have on disk, and returns when each of them answers.
func (b *Brokers) Revive() error {
	out, err := b.script("revive")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (b *Brokers) file(n int) string { return filepath.Join(b.data, fmt.Sprintf("%d.pid", n)) }

// freePorts returns the first of the ports that n brokers and their controllers take, below those that the kernel gives to clients.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		first, free := 20000+rand.IntN(10000), true
		for i := range n {
			for _, port := range []int{first + 10*i, first + 10*i + 1} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					free = false
					continue
				}
				l.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatalf("no free ports for %d brokers", n)
	return 0
}
