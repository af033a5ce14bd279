package storage

import (
	"os"

	"golang.org/x/sys/windows"
)

// freeSpace is the room that this user has where a directory is, in bytes.
func freeSpace(dir string) (free uint64, known bool, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	}
	if err != nil {
		return 0, false, &os.PathError{Op: "free space", Path: dir, Err: err}
	}
	return free, true, nil
}
