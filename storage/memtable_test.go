package storage

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// A memtable that a kill left behind is read again by a store with smaller ones. Badger
// would end the process where it does not fit.
func TestLeanStoreReadsALargeMemtable(t *testing.T) {
	const keys = 230_000
	dir, killed := t.TempDir(), t.TempDir()
	db, err := badger.Open(settings(dir, false, newBadgerLog(nil)).WithSyncWrites(false))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	batch := db.NewWriteBatch()
	for i := range uint32(keys) { // some 25 MB
		must(t, batch.Set(binary.BigEndian.AppendUint32(nil, i), make([]byte, 64)))
	}
	must(t, batch.Flush())
	must(t, os.CopyFS(killed, os.DirFS(dir)))
	left, err := filepath.Glob(filepath.Join(killed, "*.mem"))
	must(t, err)
	for _, path := range left { // as a start does that was killed as well
		raw, err := os.ReadFile(path)
		must(t, err)
		must(t, os.Truncate(path, int64(len(bytes.TrimRight(raw, "\x00")))))
	}

	o := settings(killed, true, newBadgerLog(nil))
	if o.MemTableSize != fullMemTable {
		t.Fatalf("memtables of %d MB, one of %d MB was left", o.MemTableSize>>20, fullMemTable>>20)
	}
	again, err := badger.Open(o)
	must(t, err)
	defer func() { must(t, again.Close()) }()
	must(t, again.View(func(txn *badger.Txn) error {
		_, err := txn.Get(binary.BigEndian.AppendUint32(nil, keys-1))
		return err
	}))
}

// Stores of one machine differ in when their memtables are full.
func TestLeanMemtablesDiffer(t *testing.T) {
	sizes := make(map[int64]bool)
	for range 20 {
		size := settings(t.TempDir(), true, newBadgerLog(nil)).MemTableSize
		if size < leanMemTable/2 || size > leanMemTable {
			t.Errorf("a memtable of %d bytes", size)
		}
		sizes[size] = true
	}
	if len(sizes) < 2 {
		t.Error("all are of one size")
	}
}

// Memtables are full when the index was written, and become tables then: hardly ever when the
// next block is.
func TestMemtablesFlushBesideTheIndex(t *testing.T) {
	w := newWorld(3)
	log := &flushes{badgerLog: newBadgerLog(nil)}
	db, err := badger.Open(settings(t.TempDir(), true, log.badgerLog).WithLogger(log).WithMemTableSize(512 << 10).WithSyncWrites(false))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	s, err := open(w.params, newKV(db, log.badgerLog), Options{Index: true})
	must(t, err)
	at := w.root
	for range 200 {
		at = w.grow(at, 60)
		log.count = &log.blocks
		must(t, s.PutBlock(at.record(hasBody), at.block))
		must(t, s.Connect(at.record(connected), at.height, at.block, at.delta))
		must(t, s.Sync())
		log.count = &log.index
		must(t, s.SyncIndex())
	}
	if blocks, index := log.blocks.Load(), log.index.Load(); index < 5 || blocks > index/4 {
		t.Errorf("%d memtables became tables when a block was written, %d when the index was", blocks, index)
	}
}

// flushes counts memtables that become tables.
type flushes struct {
	*badgerLog
	count         *atomic.Int32
	blocks, index atomic.Int32
}

func (f *flushes) Debugf(format string, args ...any) {
	if strings.HasPrefix(format, "Flushing memtable") {
		f.count.Add(1)
	}
	f.badgerLog.Debugf(format, args...)
}
