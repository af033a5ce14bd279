package node

import (
	"context"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/rpc"
)

func (b rpcBackend) Mining() rpc.MiningInfo {
	if b.Miner == nil {
		return rpc.MiningInfo{}
	}
	stats := b.Miner.Stats()
	return rpc.MiningInfo{Threads: len(stats.ThreadRates), Hashrate: stats.Rate}
}

func (b rpcBackend) Template() (*rpc.Template, error) {
	t, err := b.Runner.Template(b.life)
	if err != nil {
		return nil, err
	}
	out := &rpc.Template{
		Height: t.Height, Parent: t.Parent, Version: t.Version, Bits: t.Bits,
		Time: t.Time, MinTime: t.MinTime, CoinbaseValue: t.CoinbaseValue,
		Txs: t.Txs, TxIDs: t.TxIDs, WTxIDs: t.WTxIDs, Fees: t.TxFees, Commitment: t.Commitment,
	}
	if b.payout != nil {
		out.Coinbase = t.Block(b.payout, 0, coinbaseText).Txs[0]
	}
	return out, nil
}

// coinbaseText marks this program's blocks, as BIP34 leaves room for.
const coinbaseText = "/kapok/"

func (b rpcBackend) SubmitBlock(block *consensus.Block) (onTip bool, err error) {
	return b.Runner.SubmitBlock(b.life, block)
}

// ProposeBlock judges an unsolved block on the tip: all but its proof of work
// and its signatures under the lock, the signatures after it.
func (b rpcBackend) ProposeBlock(block *consensus.Block) error {
	var delta *consensus.Delta
	err := b.Runner.DoSettled(b.life, func(n *Node, now time.Time) (err error) {
		delta, err = n.Propose(now, block)
		return err
	})
	if err != nil {
		return err
	}
	return b.Runner.verifier.Verify(delta.Checks)
}

// Mine searches real nonces for a block on the tip, and hands it in.
func (b rpcBackend) Mine(ctx context.Context, payout []byte, txs []*consensus.Tx, tries uint64, submit bool) (*consensus.Block, error) {
	select {
	case b.mining <- struct{}{}:
		defer func() { <-b.mining }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	template, err := b.template(ctx, payout, txs)
	if err != nil {
		return nil, err
	}
	known := func(hash consensus.Hash) bool {
		_, ok := b.BlockByHash(hash)
		return ok
	}
	block, err := mine(ctx, template, payout, tries, known)
	if err != nil || block == nil || !submit {
		return block, err
	}
	if _, err := b.SubmitBlock(block); err != nil {
		return nil, fmt.Errorf("the block mined here is refused: %w", err)
	}
	return block, nil
}

// mine searches at most tries nonces, extranonce after extranonce. A nil block
// says that none of them solved it. Blocks that are known are passed over: who
// mines after invalidateblock finds the same one again.
func mine(ctx context.Context, template *miner.Template, payout []byte, tries uint64, known func(consensus.Hash) bool) (*consensus.Block, error) {
	for extranonce := uint64(0); tries > 0; extranonce++ {
		block := template.Block(payout, extranonce, coinbaseText)
		n := min(tries, 1<<32)
		if miner.SolveWithin(ctx, block, sha256d.Best(), n) {
			if !known(block.Hash()) {
				return block, nil
			}
			n = uint64(block.Header.Nonce) + 1
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tries -= n
	}
	return nil, nil
}

// template is the node's own where txs is nil, else one of these transactions,
// judged in full but for the proof of work.
func (b rpcBackend) template(ctx context.Context, payout []byte, txs []*consensus.Tx) (*miner.Template, error) {
	if txs == nil {
		return b.Runner.Template(ctx)
	}
	var template *miner.Template
	var delta *consensus.Delta
	err := b.Runner.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
		if err := checkRoom(n.params, txs); err != nil {
			return err
		}
		// The fees are not known before the block was judged.
		if template, err = miner.NewTemplate(n.params, n.tree.Tip(), n.clock(now), txs, make([]int64, len(txs))); err != nil {
			return err
		}
		delta, err = n.Propose(now, template.Block(payout, 0, coinbaseText))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := b.Runner.verifier.Verify(delta.Checks); err != nil {
		return nil, err
	}
	template.Fees = delta.Fees
	template.CoinbaseValue += delta.Fees
	return template, nil
}

// checkRoom makes sure that transactions fit into a block.
func checkRoom(p *consensus.Params, txs []*consensus.Tx) error {
	weight := 0
	for _, tx := range txs {
		if weight += tx.Weight(); weight > miner.Room(p) {
			return &consensus.RuleError{Code: consensus.ErrBlockWeight, Kind: consensus.Invalid,
				Detail: fmt.Sprintf("the transactions do not fit into a block's %d weight units", miner.Room(p))}
		}
	}
	return nil
}
