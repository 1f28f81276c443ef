// Package supervise keeps child processes alive and takes them down with their parent.
//
// A child is restarted with a growing delay when it ends by itself. It does not outlive its parent, however that ends: on Linux the
// kernel kills it, everywhere it notices that its standard input has ended.
package supervise

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Spec describes a child.
type Spec struct {
	Name    string
	Command []string // program and arguments
	Env     []string // its whole environment
	Log     string   // file to which its output is appended
	Says    bool     // it prints one line on standard output when it serves
	Nice    int      // how far it yields the CPU to others: 0 to 19
}

// process is one run of a child.
type process struct {
	cmd  *exec.Cmd
	hold io.Closer // the write end of its standard input: the lifeline
	said chan string
	gone chan struct{}
}

// start starts the child. Waiting for it happens in the goroutine that started it, locked to its thread: the child inherits the niceness of
// that thread, and the parent-death signal fires when it ends.
func start(s Spec) (*process, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	p := &process{cmd: exec.Command(s.Command[0], s.Command[1:]...), said: make(chan string, 1), gone: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.Env, log, log
	p.cmd.SysProcAttr = attributes()
	if p.hold, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	var out *os.File
	if s.Says {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer write.Close()
		out, p.cmd.Stdout = read, write
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its niceness when the child does
		err := yield(s.Nice)
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the state says how it ended
			close(p.gone)
		}
	}()
	if err := <-started; err != nil {
		if out != nil {
			out.Close()
		}
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	if out != nil {
		go p.listen(out)
	}
	return p, nil
}

// listen hands on the first line and drops what follows.
func (p *process) listen(out *os.File) {
	defer out.Close()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err == nil {
		p.said <- line
	}
	_, _ = io.Copy(io.Discard, lines) // until it ends
}

// stop asks the process to end, and kills it when it has not after a while. It reports whether asking was enough.
func (p *process) stop(patience time.Duration) bool {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	_ = p.hold.Close()
	select {
	case <-p.gone:
		return true
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.gone
		return false
	}
}
