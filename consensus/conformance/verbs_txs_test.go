package conformance

import (
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// spend pays a coin on to one output of bob, less a fee.
func (s *stage) spend(coin chaintest.Coin, fee int64) *consensus.Tx {
	s.t.Helper()
	return s.Pay(chaintest.From(coin), chaintest.To("bob", coin.Value-fee))
}

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

// spread pays a coin, less a fee, to n outputs of alice in equal parts.
func (s *stage) spread(coin chaintest.Coin, n int) *consensus.Tx {
	s.t.Helper()
	each := (coin.Value - 100_000) / int64(n)
	return s.Pay(chaintest.From(coin), slices.Repeat([]chaintest.Output{chaintest.To("alice", each)}, n)...)
}

// outs are all coins that a transaction makes, of which every output pays to the
// same key as much.
func (s *stage) outs(tx *consensus.Tx) []chaintest.Coin {
	s.t.Helper()
	coins := slices.Repeat(chaintest.From(s.Out(tx, 0)), len(tx.Outputs))
	for i := range coins {
		coins[i].Index = uint32(i)
	}
	return coins
}

// split spreads a coin on the named block, in a new one that all nodes accept.
func (s *stage) split(on, name string, coin chaintest.Coin, n int) []chaintest.Coin {
	s.t.Helper()
	tx := s.spread(coin, n)
	s.acceptTxs(on, name, tx)
	return s.outs(tx)
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
