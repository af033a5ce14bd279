package storage

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errorSharingViolation is Windows' answer to an open file that is not shared.
const errorSharingViolation = syscall.Errno(32)

// LockFile makes a file, unless it is there, and opens it so that nobody else can open it
// meanwhile. Closing the file gives it free, and so does the end of the process, whatever
// ended it. ErrLocked when somebody else has it.
func LockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}

// lockExisting fails: Badger has no read-only mode here.
func lockExisting(string) (*os.File, error) {
	return nil, fmt.Errorf("reading a directory without writing to it: %w on Windows", errors.ErrUnsupported)
}
