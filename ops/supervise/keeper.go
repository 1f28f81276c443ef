package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Keeper keeps one child running.
type Keeper struct {
	spec    Spec
	log     *slog.Logger
	started func() // called after each start

	mu       sync.Mutex
	pid      int
	restarts int
	settled  bool

	line    chan string // the first line of the first run that said one
	failure chan error  // why it does not start
	stopped chan struct{}
	done    chan struct{}
	last    time.Duration // patience of Stop
}

// tries is how often a child may end before it was settled.
const tries = 3

// New returns a keeper that does nothing yet. started is called after each start of the child; it may be nil.
func New(s Spec, log *slog.Logger, started func()) *Keeper {
	if started == nil {
		started = func() {}
	}
	return &Keeper{spec: s, log: log.With("role", s.Name), started: started, line: make(chan string, 1), failure: make(chan error, 1),
		stopped: make(chan struct{}), done: make(chan struct{})}
}

// Name is the child's.
func (k *Keeper) Name() string { return k.spec.Name }

// PID is that of the running child, 0 between two runs.
func (k *Keeper) PID() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid
}

// Start rotates the log and starts the child; from then on it is kept running until Stop.
func (k *Keeper) Start() error {
	err := rotate(k.spec.Log, logSize)
	var p *process
	if err == nil {
		p, err = start(k.spec)
	}
	if err != nil {
		close(k.done)
		return err
	}
	go k.keep(p)
	return nil
}

// Settle says that the child has served: from now on it is restarted however often it ends.
func (k *Keeper) Settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
}

// Said waits for the line with which a child says that it serves.
func (k *Keeper) Said(ctx context.Context) (string, error) {
	select {
	case line := <-k.line:
		return line, nil
	case err := <-k.failure:
		k.failure <- err
		return "", err
	case <-ctx.Done():
		return "", fmt.Errorf("%s is not ready: %w (see %s)", k.spec.Name, context.Cause(ctx), k.spec.Log)
	}
}

// Failed returns why the child does not start, nil while it may yet.
func (k *Keeper) Failed() error {
	select {
	case err := <-k.failure:
		k.failure <- err
		return err
	default:
		return nil
	}
}

// Stop ends the child, by force where asking does not help within the patience, and waits until it is gone.
func (k *Keeper) Stop(patience time.Duration) {
	k.mu.Lock()
	k.last = patience
	k.mu.Unlock()
	close(k.stopped)
	<-k.done
}

// keep waits for each run to end and starts the next.
func (k *Keeper) keep(p *process) {
	defer close(k.done)
	wait := 200 * time.Millisecond
	for {
		began := time.Now()
		k.set(p.cmd.Process.Pid)
		k.started()
		if !k.run(p) {
			return
		}
		k.set(0)
		state := p.cmd.ProcessState.String()
		if time.Since(began) > 10*time.Second {
			wait = 200 * time.Millisecond
		}
		if k.gaveUp(state) {
			return
		}
		k.log.Warn("ended by itself; starting it again", "state", state, "wait", wait.String())
		next, err := k.again(&wait)
		if err != nil || next == nil {
			return
		}
		p = next
	}
}

// run waits for the end of a run; false means that it was stopped.
func (k *Keeper) run(p *process) bool {
	said := p.said
	for {
		select {
		case line := <-said:
			select {
			case k.line <- line:
			default: // only the first run's is waited for
			}
			said = nil
		case <-p.gone:
			_ = p.hold.Close()
			return true
		case <-k.stopped:
			k.mu.Lock()
			patience := k.last
			k.mu.Unlock()
			if !p.stop(patience) {
				k.log.Warn("killed: it did not end when asked", "patience", patience.String())
			}
			k.set(0)
			return false
		}
	}
}

// again starts the next run after a while; nil without an error means stopped.
func (k *Keeper) again(wait *time.Duration) (*process, error) {
	for {
		select {
		case <-k.stopped:
			return nil, nil
		case <-time.After(*wait):
		}
		*wait = min(2**wait, 5*time.Second)
		p, err := start(k.spec)
		if err == nil {
			return p, nil
		}
		k.log.Error("does not start", "error", err)
		if k.gaveUp(err.Error()) {
			return nil, err
		}
	}
}

// gaveUp counts an end; a child that never served is given up after a few, and what it said last is the reason.
func (k *Keeper) gaveUp(state string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.restarts++
	if k.settled || k.restarts < tries {
		return false
	}
	reason := LastWords(k.spec.Log)
	if reason == "" {
		reason = state
	}
	k.failure <- fmt.Errorf("%s does not start: %s (see %s)", k.spec.Name, reason, k.spec.Log)
	return true
}

func (k *Keeper) set(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid = pid
}

// logSize is where a log is put aside.
const logSize = 32 << 20

// rotate puts a log aside that has grown past size; one older log is kept.
func rotate(path string, size int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && info.Size() < size) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(path, path+".1")
}
