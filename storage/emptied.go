package storage

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
)

// Badger removes a memtable, whose entries are in a table by then, in two calls: it
// cuts the file off to nothing and removes its name. A kill may come between. Then
// the file looks like one that something else emptied. Versions tell: they are
// numbered without a gap, one a commit.

// inTables reports whether the tables of a directory hold all that was committed
// before the first entry of a memtable. Where that has none, nobody knows.
func inTables(dir, memtable string) (bool, error) {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return false, err
	}
	first, err := firstVersion(filepath.Join(dir, memtable))
	if err != nil || first == 0 {
		return false, err
	}
	for _, table := range tables {
		last, err := lastVersion(table)
		if err != nil {
			return false, fmt.Errorf("index of %s: %w", table, err)
		}
		if last == first-1 {
			return true, nil
		}
	}
	return false, nil
}

// Of the log of a memtable (badger's memtable.go and structs.go).
const (
	logHeader   = 20             // bytes before the first entry
	entryHeader = 2 + 5 + 5 + 10 // bytes at most: meta, lengths of key and value, expiry
	versionSize = 8              // bytes at the end of a key
)

// firstVersion is the version of the first entry in a memtable's log, or 0.
func firstVersion(memtable string) (uint64, error) {
	f, err := os.Open(memtable)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, entryHeader)
	if n, err := f.ReadAt(head, logHeader); err != nil {
		if err == io.EOF {
			return 0, nil
		}
		return 0, fmt.Errorf("%d bytes read: %w", n, err)
	}
	at := 2
	var fields [3]uint64 // lengths of key and value, expiry
	for i := range fields {
		n := 0
		if fields[i], n = binary.Uvarint(head[at:]); n <= 0 {
			return 0, nil
		}
		at += n
	}
	if fields[0] < versionSize || fields[0] > math.MaxUint16 { // Badger's longest key
		return 0, nil
	}
	version := make([]byte, versionSize)
	if _, err := f.ReadAt(version, int64(logHeader+at)+int64(fields[0])-versionSize); err != nil {
		return 0, err
	}
	return math.MaxUint64 - binary.BigEndian.Uint64(version), nil
}

// lastVersion is the highest version in a table. Its file ends with the index, a
// checksum, and their lengths behind each (badger's table/table.go).
func lastVersion(table string) (version uint64, err error) {
	data, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	index := data
	for _, tail := range []string{"checksum", "index"} {
		if len(index) < 4 {
			return 0, fmt.Errorf("%s: %w", tail, ErrDamaged)
		}
		end := len(index) - 4
		size := int(binary.BigEndian.Uint32(index[end:]))
		if size > end {
			return 0, fmt.Errorf("%s: %w", tail, ErrDamaged)
		}
		if tail == "index" {
			index = index[end-size : end]
		} else {
			index = index[:end-size]
		}
	}
	defer func() { // a flatbuffer is not checked before it is read
		if r := recover(); r != nil {
			err = fmt.Errorf("%v: %w", r, ErrDamaged)
		}
	}()
	return fb.GetRootAsTableIndex(index, 0).MaxVersion(), nil
}
