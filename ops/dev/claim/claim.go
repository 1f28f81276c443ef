// Package claim keeps a data directory to one process at a time. None of the embedded parts survives two writers.
package claim

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Directory creates dir when it is missing and claims it until release is called or the process ends, however it
// ends: the kernel drops the claim of a killed process. A claimed directory is an error that names it.
func Directory(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".claim"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claiming data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data directory %s is in use by another process", dir)
	}
	return func() { _ = f.Close() }, nil
}
