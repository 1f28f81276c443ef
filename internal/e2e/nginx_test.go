package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
)

// replica is one gateway of the test's own: it is killed, told to stop, and started again on the same address and store.
type replica struct {
	p    *platform
	addr string
	dir  string
	env  []string
	cmd  *exec.Cmd
	done chan struct{}
	log  *lockedBuffer
}

// replicas starts n gateways beside the platform's own.
func (p *platform) replicas(n int) (out []*replica) {
	p.t.Helper()
	env := environment(p.t, p.dev.PIDs[p.processes("gateway")[0]])
	for range n {
		r := &replica{p: p, addr: freePort(p.t), dir: p.t.(*testing.T).TempDir(), env: env, log: &lockedBuffer{}}
		r.start()
		p.t.Cleanup(func() {
			r.end(syscall.SIGTERM)
			if p.t.Failed() {
				p.t.Logf("the gateway at %s said:\n%s", r.addr, r.log)
			}
		})
		out = append(out, r)
	}
	for _, r := range out {
		r.ready()
	}
	return out
}

func (r *replica) start() {
	r.p.t.Helper()
	cmd := exec.Command(testenv.Binary(r.p.t, "docstream"), "gateway", "--set", "gateway.listen="+r.addr, "--set", "view.dir="+r.dir, "--set", "telemetry.metrics=")
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, r.log, r.log
	if err := cmd.Start(); err != nil {
		r.p.t.Fatal(err)
	}
	done := make(chan struct{})
	r.cmd, r.done = cmd, done
	go func() { _ = cmd.Wait(); close(done) }()
}

// ready waits until the gateway says that it is.
func (r *replica) ready() {
	r.p.t.Helper()
	r.p.eventually(60*time.Second, "the gateway at "+r.addr, func() bool {
		res, err := http.Get("http://" + r.addr + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// end sends a signal and waits for the process to be gone.
func (r *replica) end(s syscall.Signal) {
	_ = r.cmd.Process.Signal(s)
	select {
	case <-r.done:
	case <-time.After(60 * time.Second):
		r.p.t.Errorf("the gateway at %s does not end", r.addr)
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}

// nginx starts Debian's nginx with the configuration of production before the replicas, and returns its address.
func (p *platform) nginx(replicas []*replica) string {
	p.t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") != "" {
			p.t.Fatal("missing in CI: nginx (package nginx on Debian)")
		}
		p.t.Skip("missing: nginx (package nginx on Debian)")
	}
	dir, addr := p.t.(*testing.T).TempDir(), freePort(p.t)
	source, err := os.ReadFile("../../ops/nginx/nginx.conf")
	if err != nil {
		p.t.Fatal(err)
	}
	changes := []string{
		"listen 8080;", "listen " + addr + ";", "/etc/nginx/gateways.conf", filepath.Join(dir, "gateways.conf"), "/tmp/", dir + "/",
		"access_log /dev/stdout line;", "access_log " + filepath.Join(dir, "access.log") + " line;", "error_log /dev/stderr warn;", "error_log stderr warn;",
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(source), changes[i]) {
			p.t.Fatalf("nginx.conf has no %q", changes[i])
		}
	}
	text := strings.NewReplacer(changes...).Replace(string(source))
	upstream := "upstream gateways {\n    zone gateways 64k;\n    least_conn;\n"
	for _, r := range replicas {
		upstream += "    server " + r.addr + " max_fails=0;\n"
	}
	for name, body := range map[string]string{"nginx.conf": text, "gateways.conf": upstream + "    keepalive 32;\n}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	log := &lockedBuffer{}
	cmd := exec.Command(program, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"), "-g", "daemon off; master_process off;")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if p.t.Failed() {
			access, _ := os.ReadFile(filepath.Join(dir, "access.log"))
			var bad strings.Builder
			for line := range strings.Lines(string(access)) {
				if strings.Contains(line, `"status":5`) {
					bad.WriteString(line)
				}
			}
			p.t.Logf("nginx said:\n%s\nand answered with 5xx:\n%s", log, tail([]byte(bad.String()), 4000))
		}
	})
	p.eventually(20*time.Second, "nginx", func() bool {
		res, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return "http://" + addr
}
