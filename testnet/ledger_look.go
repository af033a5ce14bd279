package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

// learn takes a block for the tip of the best chain, and asks a node that has it what
// is in it, and in the blocks below it that were not asked for yet. Where it fails, the
// best chain is still the one from before.
func (g *ledger) learn(ctx context.Context, client *rpc.Client, tip consensus.Hash) error {
	if err := g.learnDown(ctx, client, tip); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.best = tip
	return nil
}

// learnDown asks a node what is in a block, and in those below it.
func (g *ledger) learnDown(ctx context.Context, client *rpc.Client, tip consensus.Hash) error {
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
			return nil
		}
		hash = parent
	}
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

// look asks all nodes that run what they have of the payments, in their mempools and in
// their chains, so that rows can tell what is lost: the nodes may be at different tips,
// and what is in a block of one of them is lost by nobody. It is to be called once all
// payments were answered. Where it fails, rows calls nothing lost.
func (g *ledger) look(ctx context.Context, nodes clients) error {
	held := make([]holding, len(g.nodes))
	errs := make([]error, len(g.nodes))
	asked := 0
	var calls sync.WaitGroup
	for node := range g.nodes {
		client := nodes(node)
		if client == nil {
			continue
		}
		asked++
		calls.Go(func() {
			var err error
			if held[node], err = g.holdingOf(ctx, client); err != nil {
				errs[node] = fmt.Errorf("asking node %d for its payments: %w", node+1, err)
			}
		})
	}
	calls.Wait()
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if asked == 0 && len(g.payments) > 0 {
		return errors.New("no node runs that could be asked for its payments")
	}
	g.pools, g.mined = make(map[consensus.Hash]bool), make(map[consensus.Hash]bool)
	for _, h := range held {
		for _, tx := range h.waiting {
			g.pools[tx] = true
		}
		for b := g.blocks[h.tip]; b != nil; b = g.blocks[b.parent] {
			for _, tx := range b.txs {
				g.mined[tx] = true
			}
		}
	}
	return nil
}

// holding is what a node has of the payments at one moment.
type holding struct {
	tip     consensus.Hash
	waiting []consensus.Hash // in its mempool
}

// maxLooks bounds how often a node is looked at whose tip moves meanwhile: a look takes
// milliseconds, and nobody mines.
const maxLooks = 20

// holdingOf asks a node for its mempool and its tip, of which both are of one moment: a
// payment that a block takes in between, or gives back, would be in neither.
func (g *ledger) holdingOf(ctx context.Context, client *rpc.Client) (h holding, err error) {
	if err := client.Call(ctx, "getbestblockhash", &h.tip); err != nil {
		return h, err
	}
	for range maxLooks {
		if err := client.Call(ctx, "getrawmempool", &h.waiting); err != nil {
			return h, err
		}
		before := h.tip
		if err := client.Call(ctx, "getbestblockhash", &h.tip); err != nil {
			return h, err
		}
		if h.tip == before {
			return h, g.learnDown(ctx, client, h.tip)
		}
	}
	return h, fmt.Errorf("its tip moved in each of %d looks", maxLooks)
}
