package conformance

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// The stage's verbs that give transactions to all nodes, loose or in a block of
// the tip, and ask what the mempools hold.

// acceptTxs mines transactions on the named block into a new one, which all
// nodes accept.
func (s *stage) acceptTxs(on, name string, txs ...*consensus.Tx) {
	s.t.Helper()
	s.Mine(on, name, chaintest.Txs(txs...))
	s.accept(name)
}

// rejectTxs mines transactions on the named block into a new one, which all
// nodes refuse for good with this code.
func (s *stage) rejectTxs(on, name string, code consensus.Code, txs ...*consensus.Tx) {
	s.t.Helper()
	s.Mine(on, name, chaintest.Txs(txs...))
	s.reject(name, code)
}

// confirm mines a block with these transactions on the tip. All nodes accept it.
func (s *stage) confirm(txs ...*consensus.Tx) {
	s.t.Helper()
	s.accept(s.mineWith(txs...))
}

// rejectTx gives the transaction to all nodes, loose and in a block on the tip:
// they refuse it for good.
func (s *stage) rejectTx(tx *consensus.Tx, code consensus.Code) {
	s.t.Helper()
	s.refuse(tx, code, consensus.Invalid)
	s.reject(s.mineWith(tx), code)
}

// mineWith mines a block with these transactions on the tip, and names it.
func (s *stage) mineWith(txs ...*consensus.Tx) string {
	s.t.Helper()
	tip := s.nodes[0].Tip()
	name := fmt.Sprintf("block %d up to %s", tip.Height+1, txs[len(txs)-1].WTxID())
	s.Mine(s.Name(tip.Hash), name, chaintest.Txs(txs...))
	return name
}

// waiting wants all mempools to hold the transactions.
func (s *stage) waiting(txs ...*consensus.Tx) {
	s.t.Helper()
	for _, n := range s.nodes {
		n.holds(true, txs...)
	}
}

// gone wants no mempool to hold any of the transactions.
func (s *stage) gone(txs ...*consensus.Tx) {
	s.t.Helper()
	for _, n := range s.nodes {
		n.holds(false, txs...)
	}
}

// holds wants the node's mempool to hold the transactions, or none of them.
func (n *seat) holds(want bool, txs ...*consensus.Tx) {
	n.s.t.Helper()
	for i, tx := range txs {
		if got := n.InMempool(tx.TxID()); got != want {
			n.s.t.Errorf("%s: transaction %d of %d is in the mempool: %v, want %v", n.door, i+1, len(txs), got, want)
		}
	}
}
