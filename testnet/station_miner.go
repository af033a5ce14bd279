package testnet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// mine starts the node's miner: one thread of real hashing, held to the node's rate. It
// does nothing where the node has none, or it is at work.
func (s *station) mine() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.setup.HashesPerS == 0 || s.mining != nil {
		return nil
	}
	if s.life == nil || s.ended {
		return fmt.Errorf("node %d does not run: it cannot mine", s.setup.Node+1)
	}
	ctx, cancel := context.WithCancel(s.life)
	m := miner.New(miner.Config{
		Threads: 1, MaxHashrate: s.setup.HashesPerS, Payout: s.setup.Payout, Text: fmt.Sprintf("/kapok testnet node %d/", s.setup.Node+1),
		Now: s.Runner.Now,
		Solved: func(block consensus.Hash, hashes uint64) {
			s.watch(sighting{At: time.Now(), Find: &find{Hash: block, Hashes: hashes}})
		},
	}, s.Source())
	s.miner = m
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Where the node was stopped over RPC its store is closed before the miner is told.
		if err := m.Run(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrClosed) {
			select {
			case s.failure <- err:
			default: // one reason is enough
			}
		}
	}()
	s.mining = func() { cancel(); <-done }
	return nil
}

// rest stops the miner.
func (s *station) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mining == nil {
		return
	}
	s.mining()
	s.hashes += float64(s.miner.Stats().Hashes)
	s.due += s.miner.Due()
	s.mining, s.miner = nil, nil
}

// mined is how many hashes the node's miners did since it was opened, and how many its
// rate allowed while they had something to do.
func (s *station) mined() (hashes, due float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hashes, due = s.hashes, s.due
	if s.miner != nil {
		hashes += float64(s.miner.Stats().Hashes)
		due += s.miner.Due()
	}
	return hashes, due
}

// sighting translates what the node tells; false where nobody wants to know.
func (s *station) sighting(e *node.Event) (sighting, bool) {
	switch {
	case e.Block != nil:
		b := e.Block
		return sighting{At: e.Time, Block: &blockSighting{
			Hash: b.Hash, Header: b.Header, Height: b.Height, Own: b.From == "", Txs: b.Txs, Size: b.Size, Weight: b.Weight, Fees: b.Fees,
		}}, true
	case e.Tx != nil:
		return sighting{At: e.Time, Tx: &e.Tx.TxID}, true
	case e.Change != nil:
		return sighting{At: e.Time, Tip: &tipSighting{Hash: e.Change.To.Hash, Height: e.Change.To.Height, Work: e.Change.To.Work}}, true
	}
	return sighting{}, false
}
