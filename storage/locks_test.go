package storage

import (
	"errors"
	"strings"
	"sync"
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

// The same while the coins are flushed, which a sync does when half of their budget is used
// up. What is read then comes from what is on its way, and what has come since.
func TestNobodyWaitsForAFlush(t *testing.T) {
	w := newWorld(2)
	disk := &slowDisk{badgerLog: newBadgerLog(nil), begun: make(chan struct{}, 10)}
	db, err := badger.Open(settings(t.TempDir(), true, disk.badgerLog).WithLogger(disk).WithSyncWrites(false))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	s, err := open(w.params, newKV(db, disk.badgerLog), Options{Index: true})
	must(t, err)
	first := w.root
	for range 6 {
		first = w.grow(first, 3)
		must(t, s.PutBlock(first.record(hasBody), first.block))
		must(t, s.Connect(first.record(connected), first.height, first.block, first.delta))
	}
	s.budget = 2*len(s.cache) - 1 // full by more than half, with room for the next block
	second := w.grow(first, 3)
	for len(disk.begun) > 0 {
		<-disk.begun
	}

	disk.gate.Lock()
	synced := make(chan error, 1)
	go func() { synced <- s.Sync() }()
	<-disk.begun
	must(t, s.PutBlock(second.record(hasBody), second.block))
	must(t, s.Connect(second.record(connected), second.height, second.block, second.delta))
	must(t, agree(s, second, false)) // but for the index, which takes its steps from the disk
	if s.flushed.Height != 0 {
		t.Error("the flush has ended")
	}
	disk.gate.Unlock()
	must(t, <-synced)
	if s.flushed.Height != first.height {
		t.Errorf("flushed to height %d", s.flushed.Height)
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
