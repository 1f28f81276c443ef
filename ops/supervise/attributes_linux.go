package supervise

import "syscall"

// attributes make the kernel kill the child with its parent, and keep the terminal's signals from it: the parent decides the order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
