package node

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
)

// Template proposes the next block: the best-paying transactions on the tip.
func (n *Node) Template(now time.Time) (*miner.Template, error) {
	entries := n.pool.Select(miner.Room(n.params))
	txs := make([]*consensus.Tx, len(entries))
	fees := make([]int64, len(entries))
	for i, e := range entries {
		txs[i], fees[i] = e.Tx, e.Fee
	}
	return miner.NewTemplate(n.params, n.tree.Tip(), n.clock(now), txs, fees)
}

// Propose judges an unsolved block on the tip, but for its work and for the
// signatures, which the Delta names, and changes nothing.
func (n *Node) Propose(now time.Time, block *consensus.Block) (*consensus.Delta, error) {
	tip := n.tree.Tip()
	if block.Header.Prev != tip.Hash {
		return nil, &consensus.RuleError{Code: "inconclusive-not-best-prevblk", Kind: consensus.Temporary,
			Detail: "a proposal is judged on the tip only"}
	}
	err := consensus.CheckHeaderInPlace(n.params, tip, &block.Header, n.clock(now))
	if err == nil {
		err = consensus.CheckBlock(n.params, block)
	}
	if err == nil {
		err = consensus.CheckBlockContext(n.params, tip, block)
	}
	if err != nil {
		return nil, err
	}
	coins, err := n.store.Coins(consensus.Prevouts(block))
	if err != nil {
		return nil, err
	}
	return consensus.ApplyBlock(n.params, tip, block, coins)
}
