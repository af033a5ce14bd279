package node

import (
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// Arrival is a body that was taken in just now. It is valid by itself and in its place; what
// it does to the coins is not judged yet, and it may never be part of the best chain.
type Arrival struct {
	Hash   consensus.Hash
	Header consensus.Header
	Height uint32
	From   p2p.PeerID // who sent it, or announced it and it was put together; "": our miner, or RPC
	Txs    int        // with the coinbase
	Size   int        // bytes
	Weight int        // units
	Fees   int64      // units that the coinbase claims above the subsidy; less than 0 where it claims less
}

// maxArrivals bounds those that nobody has asked for; the older half is forgotten
// then. Whoever asks after each call loses none.
const maxArrivals = 1000

// Arrivals hands over the bodies that were taken in, in order, and forgets them. Each comes
// once, before it is connected; one that was lost on our disk and is had again is none.
func (n *Node) Arrivals() []Arrival {
	arrivals := n.arrivals
	n.arrivals = nil
	return arrivals
}

func (n *Node) arrived(from p2p.PeerID, index *consensus.BlockIndex, block *consensus.Block) {
	if len(n.arrivals) == maxArrivals {
		n.arrivals = append(n.arrivals[:0:0], n.arrivals[maxArrivals/2:]...)
	}
	fees := -n.params.Subsidy(index.Height)
	for _, out := range block.Txs[0].Outputs {
		fees += out.Value
	}
	n.arrivals = append(n.arrivals, Arrival{
		Hash: index.Hash, Header: index.Header, Height: index.Height, From: from,
		Txs: len(block.Txs), Size: block.Size(), Weight: block.Weight(), Fees: fees,
	})
}

// SubmitBlock takes a block from this machine: our miner's, or one that came by
// RPC. Advance decides whether it connects; then the body is on disk.
func (n *Node) SubmitBlock(now time.Time, block *consensus.Block) (*consensus.BlockIndex, error) {
	return n.addBlock(now, "", block)
}

// addBlock is the one road of a block into the node, whoever it is from: its
// header is judged, then the block by itself and in its place, and the store takes
// the body. What it does to the coins is judged by the Step that connects it.
func (n *Node) addBlock(now time.Time, from p2p.PeerID, block *consensus.Block) (*consensus.BlockIndex, error) {
	index, err := n.addHeader(now, &block.Header)
	if err != nil {
		return index, err
	}
	if index.HasBody() {
		return index, &consensus.RuleError{Code: consensus.ErrDuplicate, Kind: consensus.Temporary, Detail: "the block is known"}
	}
	err = consensus.CheckBlock(n.params, block)
	if err == nil {
		err = consensus.CheckBlockContext(n.params, index.Parent, block)
	}
	if rule := consensus.AsRuleError(err); rule != nil && rule.Kind == consensus.Invalid {
		if err := n.fail(now, index, rule); err != nil {
			return index, err
		}
	}
	if err != nil {
		return index, err
	}
	if index.Lost() {
		return index, n.regain(index, block)
	}
	if len(n.unsaved) == 1 { // if it is this one, its record goes with the body
		delete(n.unsaved, index)
	}
	if err := n.saveHeaders(); err != nil {
		return index, err
	}
	index.TxCount = uint32(len(block.Txs))
	n.tree.SetBody(index)
	if err := n.store.PutBlock(n.tree.Record(index), block); err != nil {
		return index, fmt.Errorf("store block %s: %w", index.Hash, err)
	}
	n.taken++
	n.newest = block
	n.arrived(from, index, block)
	return index, nil
}

// addHeader finds a header in the tree, or judges it and adds it.
func (n *Node) addHeader(now time.Time, header *consensus.Header) (*consensus.BlockIndex, error) {
	index, err := n.tree.AddHeader(header, n.clock(now))
	if rule := consensus.AsRuleError(err); rule != nil && rule.Code == consensus.ErrDuplicate {
		return index, nil
	}
	if err != nil {
		return index, err
	}
	n.unsaved[index] = struct{}{}
	return index, nil
}

// tooWeak reports whether a branch that nobody asked for ends with so much less
// work than the tip, or with so little at all, that it is not worth a look.
func (n *Node) tooWeak(work consensus.Uint256) bool {
	if work.Cmp(n.params.MinWork) < 0 {
		return true
	}
	tip := n.tree.Tip()
	if tip.Height <= unsolicitedDepth {
		return false
	}
	return work.Cmp(tip.Ancestor(tip.Height-unsolicitedDepth).Work) < 0
}

// Failure returns the reason for which a block was refused, or nil.
func (n *Node) Failure(hash consensus.Hash) *consensus.RuleError { return n.failures.byHash[hash] }
