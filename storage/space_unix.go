//go:build !windows

package storage

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace is the room that an ordinary user has where a directory is, in bytes.
func freeSpace(dir string) (free uint64, known bool, err error) {
	var s unix.Statfs_t
	for {
		err = unix.Statfs(dir, &s)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return uint64(s.Bavail) * uint64(s.Bsize), s.Blocks > 0, nil
}
