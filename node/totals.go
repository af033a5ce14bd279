package node

import "github.com/kapok-chain/kapok/consensus"

// txTotals counts the transactions of the active chain, so that the number up
// to any of its blocks is one look away (getchaintxstats).
type txTotals []uint64 // by height: transactions from genesis up to that block

// totalsOf counts along the chain that ends in tip.
func totalsOf(tip *consensus.BlockIndex) txTotals {
	totals := make(txTotals, tip.Height+1)
	for b := tip; b != nil; b = b.Parent {
		totals[b.Height] = uint64(b.TxCount)
	}
	totals[0] = 1 // genesis has its coinbase
	for i := 1; i < len(totals); i++ {
		totals[i] += totals[i-1]
	}
	return totals
}

// attach counts the transactions of a block on top.
func (t *txTotals) attach(txs int) { *t = append(*t, (*t)[len(*t)-1]+uint64(txs)) }

// detach takes the topmost block's count away.
func (t *txTotals) detach() { *t = (*t)[:len(*t)-1] }

// upTo is the number of transactions from genesis to the block at height.
func (t txTotals) upTo(height uint32) uint64 {
	if int(height) >= len(t) {
		return 0
	}
	return t[height]
}
