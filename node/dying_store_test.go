package node_test

import (
	"errors"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

var errKilled = errors.New("killed")

// dyingStore takes a number of writes, or of reads, and none after them. It is
// dead to writes from then on, as a store is whose disk failed once.
type dyingStore struct {
	storage.Store
	writes int  // that it still takes
	reads  int  // that it still takes; 0 for any number
	late   bool // what it dies of was written all the same
	dead   bool
	after  int              // writes that were tried on the dead store
	tips   []consensus.Hash // after each write
}

func (s *dyingStore) write(do func() error) error {
	if s.dead {
		s.after++
		return errKilled
	}
	last := s.writes == 0
	if s.dead = last; last && !s.late {
		return errKilled
	}
	s.writes--
	err := do()
	s.tips = append(s.tips, s.Store.Tip())
	if last && err == nil {
		err = errKilled
	}
	return err
}

func (s *dyingStore) read() error {
	switch s.reads {
	case 0:
		return nil
	case 1:
		s.dead = true
		return errKilled
	}
	s.reads--
	return nil
}

func (s *dyingStore) PutHeaders(r []consensus.Record) error {
	return s.write(func() error { return s.Store.PutHeaders(r) })
}

func (s *dyingStore) PutBlock(r consensus.Record, b *consensus.Block) error {
	return s.write(func() error { return s.Store.PutBlock(r, b) })
}

func (s *dyingStore) Sync() error { return s.write(s.Store.Sync) }

func (s *dyingStore) SyncIndex() error { return s.write(s.Store.SyncIndex) }

func (s *dyingStore) Connect(r consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	return s.write(func() error { return s.Store.Connect(r, height, b, d) })
}

func (s *dyingStore) Disconnect(r consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	return s.write(func() error { return s.Store.Disconnect(r, height, b, d) })
}

func (s *dyingStore) ResetCoins() error { return s.write(s.Store.ResetCoins) }

func (s *dyingStore) Flush() error { return s.write(s.Store.Flush) }

func (s *dyingStore) Load() (*storage.State, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Load()
}

func (s *dyingStore) Block(hash consensus.Hash) (*consensus.Block, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Block(hash)
}

func (s *dyingStore) Undo(hash consensus.Hash) (*consensus.Undo, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Undo(hash)
}

func (s *dyingStore) Coins(outpoints []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Coins(outpoints)
}
