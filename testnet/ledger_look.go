package testnet

import (
	"context"
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

// learn takes a block for the tip of the best chain, and asks a node that has it what
// is in it, and in the blocks below it that were not asked for yet. Where it fails, the
// best chain is still the one from before.
func (g *ledger) learn(ctx context.Context, client *rpc.Client, tip consensus.Hash) error {
	for hash := tip; ; {
		height, parent, known := g.learnt(hash)
		if !known {
			var got struct {
				Height   uint32           `json:"height"`
				Previous consensus.Hash   `json:"previousblockhash"`
				TxIDs    []consensus.Hash `json:"tx"`
			}
			if err := client.Call(ctx, "getblock", &got, hash, 1); err != nil {
				return fmt.Errorf("asking for block %s: %w", hash, err)
			}
			height, parent = got.Height, got.Previous
			if height > g.base {
				g.learnBlock(hash, height, parent, got.TxIDs)
			}
		}
		if height <= g.base+1 {
			break
		}
		hash = parent
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.best = tip
	return nil
}

// learnt returns what lies below a block that need not be asked for.
func (g *ledger) learnt(hash consensus.Hash) (height uint32, parent consensus.Hash, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.blocks[hash]; b != nil && b.learnt {
		return b.height, b.parent, true
	}
	return 0, parent, false
}

// learnBlock notes what is in a block, as far as payments and their rivals go.
func (g *ledger) learnBlock(hash consensus.Hash, height uint32, parent consensus.Hash, txs []consensus.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.block(hash, height)
	b.learnt, b.parent, b.txs = true, parent, nil
	for _, tx := range txs {
		if g.known[tx] != nil || g.rivals[tx] {
			b.txs = append(b.txs, tx)
		}
	}
}

// look asks all nodes that run what waits in their mempools, so that payments can tell
// what is lost. It is to be called once all payments were answered, and before learn: a
// payment that a block takes from the mempools in between is in the chain then.
func (g *ledger) look(ctx context.Context, nodes clients) error {
	pools := make(map[consensus.Hash]bool)
	for node := range g.nodes {
		client := nodes(node)
		if client == nil {
			continue
		}
		var waiting []consensus.Hash
		if err := client.Call(ctx, "getrawmempool", &waiting); err != nil {
			return fmt.Errorf("asking node %d for its mempool: %w", node+1, err)
		}
		for _, tx := range waiting {
			pools[tx] = true
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pools = pools
	return nil
}
