package sources

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// claim takes a folder below dir that no living process has, empties it of what a dead one left there, and returns it with the lock that
// keeps it ours: several workers of one machine may be given the same dir. The kernel drops the lock with the process, however it ends.
func claim(dir string) (string, *os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	for n := 0; ; n++ {
		path := filepath.Join(dir, strconv.Itoa(n))
		lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return "", nil, err
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			lock.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				continue
			}
			return "", nil, err
		}
		if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)); err != nil {
			lock.Close()
			return "", nil, err
		}
		return path, lock, nil
	}
}
