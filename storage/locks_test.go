package storage

import (
	"errors"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// While the disk is at work on a sync, blocks are put and connected, and everything is
// read, without waiting for it; the next sync waits, and writes what has come meanwhile.
func TestNobodyWaitsForASync(t *testing.T) {
	w := newWorld(1)
	db := openTiny(t)
	defer func() { must(t, db.Close()) }()
	kv := newKV(db, newBadgerLog(nil))
	var gate sync.Mutex // held: the disk is slow
	begun := make(chan struct{}, 10)
	kv.commit = func(txn *badger.Txn) error {
		begun <- struct{}{}
		gate.Lock()
		defer gate.Unlock()
		return txn.Commit()
	}
	s, err := open(w.params, kv, Options{Index: true})
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
		_, err := s.Block(n.hash)
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
