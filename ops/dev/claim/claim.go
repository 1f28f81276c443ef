// Package claim keeps a data directory to one process at a time. None of the embedded parts survives two writers.
package claim

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long a claim waits for the one before it: a process that was killed still holds its claim while the
// kernel takes its memory apart, and its successor is often started in that very moment.
const patience = 5 * time.Second

// Directory creates dir when it is missing and claims it until release is called or the process ends, however it
// ends: the kernel drops the claim of a killed process. A directory that stays claimed is an error
// that names it.
func Directory(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".claim"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claiming data directory: %w", err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { _ = f.Close() }, nil
		}
		if time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("data directory %s is in use by another process", dir)
		}
	}
}
