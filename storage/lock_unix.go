//go:build !windows

package storage

import (
	"errors"
	"os"
	"syscall"
)

// lockPath takes an exclusive lock, which the kernel releases with the process:
// ErrLocked when somebody else has it.
func lockPath(path string) (*os.File, error) { return lockFlags(path, os.O_CREATE|os.O_RDWR) }

// lockExisting is lockPath for a file that is there already, and stays as it is.
func lockExisting(path string) (*os.File, error) { return lockFlags(path, os.O_RDONLY) }

func lockFlags(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
