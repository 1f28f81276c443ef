package testenv

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var motoServes = regexp.MustCompile(`Running on (http://\S+)`)

// motoProgram starts the server. Its queues put a new list in place of the old one when a message is deleted, without a lock, and lose a
// message that is sent at that moment: here one thread at a time changes them.
const motoProgram = `
import sys, threading
from moto.server import main
from moto.sqs.models import Queue

lock = threading.RLock()

def alone(change):
    def locked(*args, **kwargs):
        with lock:
            return change(*args, **kwargs)
    return locked

Queue.add_message, Queue.delete_message = alone(Queue.add_message), alone(Queue.delete_message)
main(sys.argv[1:])
`

// Moto starts moto's server, an implementation of SQS and S3 among others, and returns its address. Any key opens it. It ends, by its
// id, with the test.
func Moto(t testing.TB) string {
	t.Helper()
	python, folder := motoPython(t)
	cmd := exec.Command(python, "-c", motoProgram, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+folder, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting moto: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := motoServes.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		close(found)
	}()
	select {
	case addr := <-found:
		if addr != "" {
			return addr
		}
	case <-time.After(time.Minute):
	}
	t.Fatal("moto did not start")
	return ""
}

// motoPython returns the interpreter that moto was fetched for, and moto's folder.
func motoPython(t testing.TB) (python, folder string) {
	t.Helper()
	python = "python3"
	if p := os.Getenv("PYTHON"); p != "" {
		python = p
	}
	version, err := exec.Command(python, "-c", "import sys; print(f'py{sys.version_info.major}{sys.version_info.minor}')").Output()
	if err != nil {
		Missing(t, "python3")
	}
	folder = filepath.Join(CacheDir(), "moto", strings.TrimSpace(string(version)))
	if _, err := os.Stat(filepath.Join(folder, ".verified")); err != nil {
		Missing(t, "moto (python3 ops/parts/fetch.py --only moto)")
	}
	return python, folder
}
