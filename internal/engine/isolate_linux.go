package engine

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
)

const garbage = 400 // per cent of what is in use that may pile up before it is collected

// Isolate makes the process a child of the engine and returns the two ends of the protocol. Whatever native code prints on standard
// output goes to standard error from then on; the process yields the CPU and is the first to go when memory is short; an interrupt or
// SIGTERM sent to the whole process group does not end it: it ends when its parent closes in, kills it or dies.
func Isolate(l Limits) (in, out *os.File, err error) {
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil, nil, fmt.Errorf("save standard output: %w", err)
	}
	syscall.CloseOnExec(fd)
	if err := syscall.Dup3(2, 1, 0); err != nil {
		return nil, nil, fmt.Errorf("redirect standard output: %w", err)
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	runtime.GOMAXPROCS(1) // a slot is one thread of work; the pool scales by slots
	debug.SetMemoryLimit(l.MemoryLimit / 4 * 3)
	debug.SetGCPercent(garbage) // what is its own is small beside what native code holds; the bound above ends it earlier
	if l.MemoryBurst > 0 {
		// What it starts inherits the bound: a converter is no way around it.
		most := uint64(l.MemoryLimit + l.MemoryBurst)
		if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			fmt.Fprintln(os.Stderr, "engine: the bound of memory was not set:", err)
		}
	}
	// Neither may fail the child: a container can forbid both.
	if err := renice(os.Getpid(), l.Nice); err != nil {
		fmt.Fprintln(os.Stderr, "engine: niceness not set:", err)
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0); err != nil {
		fmt.Fprintln(os.Stderr, "engine: oom_score_adj not set:", err)
	}
	return os.Stdin, os.NewFile(uintptr(fd), "protocol"), nil
}

// mayRenice reports whether this process may take niceness back that it gave: without that right, what was slowed down once would stay slow.
func mayRenice() bool {
	may := make(chan bool)
	go func() {
		runtime.LockOSThread() // for good: whatever becomes of the thread, it ends with this function
		id := syscall.Gettid()
		given, err := syscall.Getpriority(syscall.PRIO_PROCESS, id) // 20 less the niceness
		nice := 20 - given
		may <- err == nil && nice < 19 && syscall.Setpriority(syscall.PRIO_PROCESS, id, nice+1) == nil && syscall.Setpriority(syscall.PRIO_PROCESS, id, nice) == nil
	}()
	return <-may
}

// renice sets the niceness of every thread of a process: on Linux it belongs to the thread, and one started later inherits its creator's. The second
// round catches threads that one not yet reached started during the first.
func renice(pid, nice int) error {
	for range 2 {
		tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil && err != syscall.ESRCH {
				return err
			}
		}
	}
	return nil
}

// isolateCommand makes the kernel kill the child when the thread that started it ends, and keeps terminal signals from it.
func isolateCommand(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// residentSize is the memory of a process in bytes, 0 where it is gone.
func residentSize(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
