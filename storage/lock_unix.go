//go:build !windows

package storage

import (
	"errors"
	"os"
	"syscall"
)

// LockFile makes a file, unless it is there, and takes an exclusive lock on it. Closing the
// file gives the lock free, and so does the end of the process, whatever ended it; the file
// stays, for who removed it might remove one that another process has locked by then.
// ErrLocked when somebody else has it.
func LockFile(path string) (*os.File, error) { return lockFlags(path, os.O_CREATE|os.O_RDWR) }

// lockExisting is LockFile for a file that is there already, and stays as it is.
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
