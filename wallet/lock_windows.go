package wallet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// errSharingViolation is ERROR_SHARING_VIOLATION of winerror.h.
const errSharingViolation syscall.Errno = 32

// lockFile takes the lock of a wallet for this process: a file opened with no
// sharing, which Windows closes when the process ends.
func lockFile(path string) (io.Closer, error) {
	name := path + ".lock"
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("locking the wallet file: %w", err)
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, inUse(path)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the wallet file: %w", err)
	}
	return os.NewFile(uintptr(h), name), nil
}

// syncDir does nothing: a rename on NTFS is journalled, and folders cannot be
// synced.
func syncDir(string) error { return nil }
