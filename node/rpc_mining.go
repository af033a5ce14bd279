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
		Txs: t.Txs, Fees: t.TxFees, Commitment: t.Commitment,
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

// Mine searches real nonces for a block on the tip.
func (b rpcBackend) Mine(ctx context.Context, payout []byte, txs []*consensus.Tx, tries uint64) (*consensus.Block, error) {
	template, err := b.Runner.Template(ctx)
	if err != nil {
		return nil, err
	}
	if txs != nil {
		if template, err = b.templateOf(template, txs); err != nil {
			return nil, err
		}
	}
	return mine(ctx, template, payout, tries)
}

// mine searches at most tries nonces, extranonce after extranonce. A nil block
// says that none of them solved it.
func mine(ctx context.Context, template *miner.Template, payout []byte, tries uint64) (*consensus.Block, error) {
	for extranonce := uint64(0); tries > 0; extranonce++ {
		block := template.Block(payout, extranonce, coinbaseText)
		n := min(tries, 1<<32)
		if miner.SolveWithin(ctx, block, sha256d.Best(), n) {
			return block, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tries -= n
	}
	return nil, nil
}

// templateOf replaces the transactions of a template by those given, whose
// inputs must be confirmed or among them.
func (b rpcBackend) templateOf(template *miner.Template, txs []*consensus.Tx) (*miner.Template, error) {
	var out *miner.Template
	err := b.Runner.DoSettled(b.life, func(n *Node, now time.Time) error {
		fees, err := n.feesOf(txs)
		if err != nil {
			return err
		}
		out, err = miner.NewTemplate(n.params, n.tree.Tip(), now, txs, fees)
		return err
	})
	return out, err
}

// feesOf judges transactions in order, as the next block would, but for their
// signatures, and returns the fee of each.
func (n *Node) feesOf(txs []*consensus.Tx) ([]int64, error) {
	tip := n.tree.Tip()
	made := make(map[consensus.OutPoint]consensus.Coin)
	fees := make([]int64, len(txs))
	weight := 0
	for i, tx := range txs {
		if weight += tx.Weight(); weight > miner.Room(n.params) {
			return nil, &consensus.RuleError{Code: consensus.ErrBlockWeight, Kind: consensus.Invalid,
				Detail: fmt.Sprintf("the transactions do not fit into a block's %d weight units", miner.Room(n.params))}
		}
		outpoints := make([]consensus.OutPoint, len(tx.Inputs))
		for k := range tx.Inputs {
			outpoints[k] = tx.Inputs[k].PrevOut
		}
		stored, err := n.store.Coins(outpoints)
		if err != nil {
			return nil, err
		}
		coins := make([]consensus.Coin, len(outpoints))
		for k, op := range outpoints {
			coin, ok := made[op]
			if !ok {
				coin, ok = stored[op]
			}
			if !ok {
				return nil, &consensus.RuleError{Code: consensus.ErrInputsMissingOrSpent, Kind: consensus.Invalid, Detail: op.String()}
			}
			coins[k] = coin
		}
		if fees[i], err = consensus.SpendTx(n.params, tip, tx, coins); err != nil {
			return nil, err
		}
		txid := tx.TxID()
		for k := range tx.Outputs {
			if key, ok := consensus.OutputKey(tx.Outputs[k].Script); ok {
				made[consensus.OutPoint{TxID: txid, Index: uint32(k)}] = consensus.Coin{
					Value: tx.Outputs[k].Value, Key: key, Height: tip.Height + 1,
				}
			}
		}
	}
	return fees, nil
}
