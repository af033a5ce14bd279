package node

import (
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// source is the read-only view of the node that the p2p engine answers from.
type source struct{ n *Node }

func (s source) Tip() *consensus.BlockIndex        { return s.n.tree.Tip() }
func (s source) BestHeader() *consensus.BlockIndex { return s.n.tree.BestHeader() }

func (s source) Lookup(hash consensus.Hash) *consensus.BlockIndex { return s.n.tree.Lookup(hash) }

func (s source) Locator() []consensus.Hash { return s.n.tree.Locator(s.n.tree.BestHeader()) }

// HeadersAfter lists headers of the active chain after the last block that the
// locator shares with it, up to stop or max of them.
func (s source) HeadersAfter(locator []consensus.Hash, stop consensus.Hash, max int) []consensus.Header {
	fork := s.n.tree.FindFork(locator)
	var headers []consensus.Header
	for height := fork.Height + 1; len(headers) < max; height++ {
		index := s.n.tree.At(height)
		if index == nil {
			break
		}
		headers = append(headers, index.Header)
		if index.Hash == stop {
			break
		}
	}
	return headers
}

func (s source) Body(hash consensus.Hash) (*consensus.Block, error) { return s.n.body(hash) }

func (s source) Pruned(b *consensus.BlockIndex) bool { return s.n.isPruned(b) }

// MissingBodies lists blocks towards best whose bodies are not stored, lowest
// first, at most max of them, but for those that are about to be put together.
func (s source) MissingBodies(best *consensus.BlockIndex, max int) []consensus.Hash {
	missing := s.n.tree.Missing(best, max)
	hashes := make([]consensus.Hash, 0, len(missing))
	for _, b := range missing {
		if !s.n.awaits(b.Hash) {
			hashes = append(hashes, b.Hash)
		}
	}
	return hashes
}

func (s source) MempoolTxs() []p2p.TxRef {
	entries := s.n.pool.Entries()
	refs := make([]p2p.TxRef, len(entries))
	for i, e := range entries {
		refs[i] = p2p.TxRef{TxID: e.TxID, WTxID: e.WTxID}
	}
	return refs
}

func (s source) MempoolTx(wtxid consensus.Hash) *consensus.Tx {
	if entry := s.n.pool.ByWTxID(wtxid); entry != nil {
		return entry.Tx
	}
	return nil
}

func (s source) MempoolByTxID(txid consensus.Hash) *consensus.Tx {
	if entry := s.n.pool.Get(txid); entry != nil {
		return entry.Tx
	}
	return nil
}

func (s source) MempoolArrivals() int64 { return s.n.pool.Arrivals() }

func (s source) MempoolLen() int { return s.n.pool.Len() }
