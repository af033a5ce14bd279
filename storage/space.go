package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// Badger writes to files that it maps into memory, and makes them longer than what
// is in them. On a full disk such a write does not fail: the kernel ends the process
// with SIGBUS. So every commit asks beforehand whether there is room.

// reserve is the room that a commit must find, in bytes. It may be followed by what
// goes on behind it: all memtables become tables, and a compaction of the first level
// writes all its tables anew before it removes them; one memtable's worth is for the
// commit itself and the next level. Only a compaction deep in a large database takes
// more.
func reserve(o badger.Options) uint64 {
	size := max(o.MemTableSize, leanMemTable) // whatever smaller one was drawn
	return uint64(o.NumMemtables+o.NumLevelZeroTables+1) * uint64(size)
}

// room fails with ErrNoSpace where the disk has less than that. A file system that
// says nothing of itself is taken at its word when a write fails.
func room(o badger.Options) error {
	free, known, err := freeSpace(o.Dir)
	if errors.Is(err, fs.ErrNotExist) { // it is made in the directory above
		free, known, err = freeSpace(filepath.Dir(o.Dir))
	}
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if need := reserve(o); known && free < need {
		return fmt.Errorf("%w: %d MB are free for %s, at least %d MB are needed", ErrNoSpace, free>>20, o.Dir, need>>20)
	}
	return nil
}
