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
	return miner.NewTemplate(n.params, n.tree.Tip(), now, txs, fees)
}
