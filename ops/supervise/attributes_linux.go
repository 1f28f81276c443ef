package supervise

import "syscall"

// attributes make the kernel kill the child with its parent, and keep the terminal's signals from it: the parent decides the order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// yield sets the niceness of the calling thread, which a child started from it inherits.
func yield(nice int) error {
	if nice == 0 {
		return nil
	}
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
}
