package storage

import "io/fs"

// allocatedBytes is what the file system gave to a file, taken for its length.
func allocatedBytes(info fs.FileInfo) int64 { return info.Size() }
