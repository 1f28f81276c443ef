//go:build !linux

package supervise

import "syscall"

// attributes keep the terminal's signals from the child: the parent decides the order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// yield does nothing: elsewhere niceness belongs to the whole process.
func yield(int) error { return nil }
