package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// found returns the platform of a cluster that runs already.
func found(t testing.TB, dir string) *platform {
	t.Helper()
	p := &platform{t: t, dir: dir, cluster: true}
	p.eventually(2*time.Minute, "the cluster in "+dir+" to be ready", func() bool { return p.reload() == nil && p.ready() })
	return p
}

// ready reports whether every process runs and the API answers.
func (p *platform) ready() bool {
	for _, pid := range p.dev.PIDs {
		if pid == 0 {
			return false
		}
	}
	for _, base := range append([]string{p.dev.API}, p.dev.Gateways...) {
		res, err := p.client().Get(base + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}

// processes are those of a role, by name: in a cluster a role may have several, role-1, role-2 and so on.
func (p *platform) processes(role string) (names []string) {
	p.t.Helper()
	if err := p.reload(); err != nil {
		p.t.Fatal(err)
	}
	for name, pid := range p.dev.PIDs {
		of, number, _ := strings.Cut(name, role+"-")
		if _, err := strconv.Atoi(number); pid != 0 && (name == role || (of == "" && err == nil)) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		p.t.Fatalf("there is no role %q in %v", role, p.dev.PIDs)
	}
	slices.Sort(names)
	return names
}

// kill ends every process of a role with signal 9, as the kernel would.
func (p *platform) kill(role string) {
	p.t.Helper()
	for _, name := range p.processes(role) {
		p.killProcess(name)
	}
}

// killProcess ends one process with signal 9.
func (p *platform) killProcess(name string) {
	p.t.Helper()
	pid := p.dev.PIDs[name]
	if pid < 2 { // 0 would be our own group
		p.t.Fatalf("%s does not run", name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

// notKilled are processes of a cluster that the end of everything spares: the one that starts the others again, and those that stand here
// for services that keep on disk what these keep in memory.
var notKilled = []string{"cluster", "registry", "prometheus"}

// endEverything kills all processes at once and waits until everything serves again.
func (p *platform) endEverything() {
	p.t.Helper()
	if !p.cluster {
		p.endDev()
		return
	}
	if err := p.reload(); err != nil {
		p.t.Fatal(err)
	}
	before := p.dev.PIDs
	for name := range before {
		if !slices.Contains(notKilled, name) {
			p.killProcess(name)
		}
	}
	p.eventually(2*time.Minute, "every process to be back", func() bool {
		if p.reload() != nil {
			return false
		}
		for name, pid := range p.dev.PIDs {
			if !slices.Contains(notKilled, name) && pid == before[name] {
				return false
			}
		}
		return p.ready()
	})
}

// endDev kills docstream dev, sees that nothing of it is left, and starts it again.
func (p *platform) endDev() {
	p.t.Helper()
	children := tree(p.cmd.Process.Pid)[1:]
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
	p.eventually(20*time.Second, "every process below to be gone", func() bool {
		for _, pid := range children {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
	p.boot()
}

// environment reads the environment of a running process.
func environment(t testing.TB, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// freePort returns an address on loopback that nobody listens on now, below the ports that the kernel gives to connections: a role that was
// killed finds it free again.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
