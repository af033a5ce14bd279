//go:build !windows

package storage

import (
	"io/fs"
	"syscall"
)

// blockUnit is what st_blocks counts, whatever the file system's block size, in bytes.
const blockUnit = 512

// allocatedBytes is what the file system gave to a file.
func allocatedBytes(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * blockUnit
	}
	return info.Size()
}
