package storage

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// While the disk is at work on a sync, blocks are put and connected, and everything is
// read, without waiting for it; the next sync waits, and writes what has come meanwhile.
func TestNobodyWaitsForASync(t *testing.T) {
	w := newWorld(1)
	disk := &slowDisk{badgerLog: newBadgerLog(nil), begun: make(chan struct{}, 10)}
	db, err := badger.Open(settings(t.TempDir(), true, disk.badgerLog).WithLogger(disk).WithSyncWrites(false))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	gate, begun := &disk.gate, disk.begun
	s, err := open(w.params, newKV(db, disk.badgerLog), Options{Index: true})
	must(t, err)
	for len(begun) > 0 {
		<-begun
	}
	first := w.grow(w.root, 3)
	second := w.grow(first, 3)
	must(t, s.PutBlock(first.record(hasBody), first.block))

	gate.Lock()
	synced := make(chan error, 2)
	go func() { synced <- s.Sync() }()
	<-begun // the first body is on its way
	must(t, s.Connect(first.record(connected), first.height, first.block, first.delta))
	must(t, s.PutBlock(second.record(hasBody), second.block))
	must(t, s.Connect(second.record(connected), second.height, second.block, second.delta))
	for _, n := range []*node{first, second} {
		_, err = s.Block(n.hash)
		must(t, err)
		_, err = s.Undo(n.hash)
		must(t, err)
	}
	_, err = s.Coins([]consensus.OutPoint{{TxID: second.hash}})
	must(t, err)
	if s.Tip() != second.hash {
		t.Error("the tip is not the second block")
	}
	go func() { synced <- s.Sync() }()
	select {
	case <-synced:
		t.Error("a sync ended while the disk was at work")
	default:
	}
	gate.Unlock()
	must(t, errors.Join(<-synced, <-synced))
	if n := len(s.waiting.list) + len(s.waiting.last) + len(s.waiting.blocks) + s.waiting.bytes; n != 0 {
		t.Errorf("%d things wait after a sync", n)
	}
}

// The same while coins are flushed, and syncs go on as well. What is read then comes from
// what is on its way, and what has come since.
func TestNobodyWaitsForAFlush(t *testing.T) {
	w := newWorld(2)
	db, err := badger.Open(settings(t.TempDir(), true, newBadgerLog(nil)).WithSyncWrites(false))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	disk := newKV(db, newBadgerLog(nil))
	s, err := open(w.params, disk, Options{Index: true})
	must(t, err)
	take := func(b *node) {
		t.Helper()
		must(t, s.PutBlock(b.record(hasBody), b.block))
		must(t, s.Connect(b.record(connected), b.height, b.block, b.delta))
	}
	first := w.root
	for range 6 {
		first = w.grow(first, 3)
		take(first)
	}
	must(t, s.FlushWhenDue())
	if s.flushed.Height != 0 {
		t.Fatal("coins were flushed though few have changed")
	}
	s.budget = 2*len(s.cache) - 1 // full by more than half, with room for the next block

	begun, gate := make(chan struct{}), make(chan struct{})
	commits, commit := atomic.Int32{}, disk.commit
	disk.commit = func(txn *badger.Txn) error {
		if commits.Add(1) == 2 { // the first one is the note, the second one has the coins
			close(begun)
			<-gate
		}
		return commit(txn)
	}
	flushed := make(chan error, 1)
	go func() { flushed <- s.FlushWhenDue() }()
	<-begun
	second := w.grow(first, 3)
	take(second)
	must(t, s.Sync())
	must(t, s.FlushWhenDue())        // which is under way
	must(t, agree(s, second, false)) // but for the index, whose steps are taken by reads
	if s.flushed.Height != 0 {
		t.Error("the flush has ended")
	}
	whole := make(chan error, 1)
	go func() { whole <- s.Flush() }() // waits for it
	close(gate)
	must(t, <-flushed)
	must(t, <-whole)
	if s.flushed.Height != second.height || s.below != nil {
		t.Errorf("flushed to height %d, %d coins below the cache", s.flushed.Height, len(s.below))
	}
	must(t, agree(s, second, true))
}

// slowDisk stops Badger in the middle of a write while its gate is locked. Badger says
// when it is there.
type slowDisk struct {
	*badgerLog
	gate  sync.Mutex
	begun chan struct{}
}

func (d *slowDisk) Debugf(format string, args ...any) {
	if strings.HasPrefix(format, "writeRequests called") {
		d.begun <- struct{}{}
		d.gate.Lock()
		defer d.gate.Unlock()
	}
	d.badgerLog.Debugf(format, args...)
}
