//go:build unix && !linux

package engine

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// Isolate makes the process a child of the engine and returns the two ends of the protocol; standard output becomes standard error.
func Isolate(l Limits) (in, out *os.File, err error) {
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil, nil, fmt.Errorf("save standard output: %w", err)
	}
	syscall.CloseOnExec(fd)
	if err := syscall.Dup2(2, 1); err != nil {
		return nil, nil, fmt.Errorf("redirect standard output: %w", err)
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(l.MemoryLimit / 4 * 3)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, l.Nice); err != nil {
		fmt.Fprintln(os.Stderr, "engine: niceness not set:", err)
	}
	return os.Stdin, os.NewFile(uintptr(fd), "protocol"), nil
}

// mayRenice says no: children of all lanes are equally nice here.
func mayRenice() bool { return false }

func renice(int, int) error { return nil }

// isolateCommand keeps terminal signals from the child; the end of its standard input tells it that the parent is gone.
func isolateCommand(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// residentSize is not known here: only the deadlines bound a child.
func residentSize(int) int64 { return 0 }
