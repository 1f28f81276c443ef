package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"docstream/internal/turn"
)

// child is one process as its parent sees it.
type child struct {
	pid     int
	process *os.Process
	in      *os.File // requests
	out     *os.File // answers
	reader  *bufio.Reader
	tail    *tail
	limit   int64 // bytes of a message

	gone  chan struct{}    // closed once the process was reaped
	state *os.ProcessState // valid once gone is closed

	nice     int // at the last call
	calls    int
	methods  map[string]bool // it was called with
	served   documents
	reported time.Duration // CPU time the answers told of
}

// spawn starts a process and waits until it says hello. On an error nothing is left running.
func spawn(ctx context.Context, command, env []string, cfg Config, log *slog.Logger) (*child, error) {
	if len(command) == 0 {
		return nil, errors.New("no command to start the engine with")
	}
	c := &child{gone: make(chan struct{}), nice: cfg.Nice, methods: map[string]bool{}, limit: cfg.MaxFrame, tail: &tail{}}
	if err := c.launch(command, append(append([]string{}, env...), cfg.limits().variable()), log); err != nil {
		return nil, err
	}
	greeted := make(chan error, 1)
	go func() { greeted <- c.greet() }()
	timer := time.NewTimer(cfg.StartDeadline)
	defer timer.Stop()
	var err error
	select {
	case err = <-greeted:
		if err == nil {
			return c, nil
		}
		err = fmt.Errorf("the engine did not say hello: %w", err)
	case <-timer.C:
		err = fmt.Errorf("the engine was not ready after %s", cfg.StartDeadline)
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.kill()
	if said := c.tail.String(); said != "" {
		err = fmt.Errorf("%w; its last words: %s", err, said)
	}
	return nil, err
}

// launch starts the process with three pipes.
func (c *child) launch(command, env []string, log *slog.Logger) error {
	inR, inW, err := os.Pipe()
	if err != nil {
		return err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inR.Close(), inW.Close())
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inR.Close(), inW.Close(), outR.Close(), outW.Close())
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	isolateCommand(cmd)

	started := make(chan error)
	heard := make(chan struct{})
	go func() {
		// The parent-death signal fires when the thread that started the child ends: this one lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_, _, _ = inR.Close(), outW.Close(), errW.Close() // the child has its own
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the state says how it ended
		select {
		case <-heard: // its last words are in the tail
		case <-time.After(time.Second): // something it started still holds the pipe
		}
		c.state = cmd.ProcessState
		close(c.gone)
	}()
	if err := <-started; err != nil {
		_, _, _ = inW.Close(), outR.Close(), errR.Close()
		return err
	}
	c.process, c.pid = cmd.Process, cmd.Process.Pid
	c.in, c.out, c.reader = inW, outR, bufio.NewReaderSize(outR, 64<<10)
	go func() {
		defer close(heard)
		defer errR.Close()
		c.tail.copy(errR, log.With("pid", c.pid))
	}()
	return nil
}

func (c *child) greet() error {
	h, err := readHeader(c.reader)
	if err != nil {
		return err
	}
	var say hello
	var none bytes.Buffer
	if err := readBody(c.reader, h, &say, &none, 0); err != nil {
		return err
	}
	if say.Protocol != protocol {
		return fmt.Errorf("it speaks %q, not %q", say.Protocol, protocol)
	}
	return nil
}

// exchange sends one request and reads its answer; the body of the answer is in buf.
func (c *child) exchange(req call, body []byte, buf *bytes.Buffer) (a answer, err error) {
	if err = writeMessage(c.in, req, body, c.limit); err != nil {
		return a, err
	}
	h, err := readHeader(c.reader)
	if err != nil {
		return a, err
	}
	return a, readBody(c.reader, h, &a, buf, c.limit)
}

// warm does what the first call of each method would do first. Where that takes longer than the patience the child is killed.
func (c *child) warm(methods []string, patience time.Duration) error {
	late := time.AfterFunc(patience, func() { _ = c.process.Kill() })
	defer late.Stop()
	for _, m := range methods {
		var none bytes.Buffer
		a, err := c.exchange(call{Method: warming + m}, nil, &none)
		if err != nil {
			return fmt.Errorf("warming %s: %w", m, err)
		}
		c.reported += a.CPU
		if a.Fault != nil {
			return fmt.Errorf("warming %s: %w", m, a.Fault.fault())
		}
	}
	return nil
}

// dead reports whether the process has ended.
func (c *child) dead() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// kill ends the process at once and waits until it was reaped.
func (c *child) kill() {
	_ = c.process.Kill() // it may be gone already
	c.reap()
}

// stop lets the process end by itself, for a while, then kills it.
func (c *child) stop(patience time.Duration) {
	_ = c.in.Close()
	select {
	case <-c.gone:
		c.reap()
	case <-time.After(patience):
		c.kill()
	}
}

func (c *child) reap() {
	<-c.gone
	_, _ = c.in.Close(), c.out.Close()
}

// unreported is the CPU time of a dead child that none of its answers told of.
func (c *child) unreported() time.Duration {
	if c.state == nil {
		return 0
	}
	return max(0, c.state.UserTime()+c.state.SystemTime()-c.reported)
}

// starved reports whether a dead child's last words are those of a program that was refused memory.
func (c *child) starved() bool {
	said := c.tail.String()
	for _, words := range []string{"out of memory", "cannot allocate memory", "std::bad_alloc"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// tail passes a child's standard error to the log, line by line, and remembers what was said since the last call began: the first lines,
// where a crash names itself, and the last ones.
type tail struct {
	mu      sync.Mutex
	first   []string
	last    []string
	skipped int
}

const (
	tailLines = 12 // of each end
	lineBytes = 4 << 10
)

func (t *tail) copy(r io.Reader, log *slog.Logger) {
	lines := bufio.NewReaderSize(r, lineBytes)
	for {
		line, err := lines.ReadSlice('\n') // a longer line arrives in pieces: memory stays bounded
		if s := strings.TrimRight(string(line), "\r\n"); s != "" {
			t.add(s)
			log.Warn("engine: " + s)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (t *tail) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.first) < tailLines {
		t.first = append(t.first, s)
		return
	}
	if len(t.last) == tailLines {
		t.last = t.last[:copy(t.last, t.last[1:])]
		t.skipped++
	}
	t.last = append(t.last, s)
}

// begin forgets what was said before.
func (t *tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.last, t.skipped = nil, nil, 0
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := append([]string{}, t.first...)
	if t.skipped > 0 {
		lines = append(lines, fmt.Sprintf("… %d lines …", t.skipped))
	}
	return strings.Join(append(lines, t.last...), "\n")
}

// documents counts those that a child has had a part in.
type documents struct {
	named   map[turn.Claim]struct{} // by tenant and job
	unnamed int
}

func (d *documents) count(c turn.Claim) {
	if c.Job == "" {
		d.unnamed++
		return
	}
	if d.named == nil {
		d.named = map[turn.Claim]struct{}{}
	}
	d.named[turn.Claim{Tenant: c.Tenant, Job: c.Job}] = struct{}{}
}

func (d *documents) number() int { return len(d.named) + d.unnamed }
