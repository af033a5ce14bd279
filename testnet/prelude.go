package testnet

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// fanFees is the share of a reward, 1 in so many, that is kept for the fees of the
// transactions that split it, each spending the change of the one before it: at the least
// fee rate they take a five-hundredth of that from a reward of 50 KPK.
const fanFees = 100

// prelude is the chain that a testnet begins with: real blocks, with real proof of work
// at the network's start difficulty, whose rewards the load's wallets split into the
// coins that they are going to spend. The headers' times are a spacing apart, so that no
// difficulty rule has a reason to move.
type prelude struct {
	load   *load
	tip    *consensus.BlockIndex
	blocks []*consensus.Block
	fans   int // rewards that were split
	coins  int // that were made
	// waiting are fan-outs that no block holds yet, in order.
	waiting []*wallet.Receipt
}

// prelude mines the blocks, on all cores and as fast as they can, and tells how many
// there are. The wallets have their coins then.
func (l *load) prelude(ctx context.Context, progress func(done, total uint32)) ([]*consensus.Block, error) {
	p := &prelude{load: l, tip: consensus.NewTree(l.params).Genesis()}
	for done := uint32(0); done < l.blocks; done++ {
		if err := p.fanOut(ctx); err != nil {
			return nil, fmt.Errorf("the prelude's block %d: %w", p.tip.Height+1, err)
		}
		if err := p.mine(ctx); err != nil {
			return nil, fmt.Errorf("the prelude's block %d: %w", p.tip.Height+1, err)
		}
		if progress != nil {
			progress(done+1, l.blocks)
		}
	}
	if p.coins < l.wanted || len(p.waiting) > 0 {
		return nil, fmt.Errorf("a prelude of %d blocks makes %d coins at most, and %d are needed: lower the rate of the payments or the duration, or raise max_weight",
			l.blocks, p.coins, l.wanted)
	}
	return p.blocks, nil
}

// owner is whom a block of the prelude pays: the wallets in turn.
func (p *prelude) owner(height uint32) *payer {
	return p.load.payers[int(height-1)%len(p.load.payers)]
}

// fanOut splits the rewards that have matured for the next block.
func (p *prelude) fanOut(ctx context.Context) error {
	height := p.tip.Height + 1
	for p.coins < p.load.wanted {
		from := uint32(p.fans) + 1
		if from+p.load.params.Maturity > height {
			return nil
		}
		if err := p.split(ctx, from); err != nil {
			return fmt.Errorf("making coins of the reward of block %d: %w", from, err)
		}
		p.fans++
	}
	return nil
}

// split makes coins of the reward of a block, each for a wallet that is drawn.
func (p *prelude) split(ctx context.Context, from uint32) error {
	l, owner, coinbase := p.load, p.owner(from), p.blocks[from-1].Txs[0]
	reward := coinbase.Outputs[0].Value
	coin := wallet.Coin{
		OutPoint: consensus.OutPoint{TxID: coinbase.TxID()}, Address: owner.address, Value: reward, Height: from, Coinbase: true,
	}
	tip := wallet.Tip{Height: p.tip.Height, Hash: p.tip.Hash}
	value := (reward - reward/fanFees) / spec.CoinsPerFan
	perFan := spec.FanOut(l.params)
	left := min(spec.CoinsPerFan, l.wanted-p.coins)
	for left > 0 {
		n := min(perFan, left)
		owners := make([]int, n)
		payments := make([]wallet.Payment, n)
		for i := range payments {
			owners[i] = l.draw.IntN(len(l.payers))
			payments[i] = wallet.Payment{Address: l.payers[owners[i]].address, Amount: value}
		}
		receipt, err := owner.pay(ctx, coin, tip, payments, wallet.MinFeeRate, l.sign)
		if err != nil {
			return err
		}
		change, err := p.collect(receipt, owners)
		if err != nil {
			return err
		}
		coin = wallet.Coin{OutPoint: change, Address: receipt.ChangeTo, Value: receipt.Change, Height: p.tip.Height}
		p.waiting = append(p.waiting, receipt)
		p.coins += n
		left -= n
	}
	return nil
}

// collect notes the coins that a fan-out makes, and returns where its change is: the
// outputs are the payments in order, with the change somewhere among them.
func (p *prelude) collect(r *wallet.Receipt, owners []int) (change consensus.OutPoint, err error) {
	key, err := address.Decode(p.load.params.HRP, r.ChangeTo)
	if err != nil {
		return change, fmt.Errorf("a fan-out without change: %w", err)
	}
	mine := consensus.PayToKey(key)
	for i, out := range r.Tx.Outputs {
		at := consensus.OutPoint{TxID: r.TxID, Index: uint32(i)}
		if bytes.Equal(out.Script, mine) {
			change = at
			continue
		}
		p.load.coins = append(p.load.coins, prepared{owners[0], wallet.Coin{
			OutPoint: at, Address: p.load.payers[owners[0]].address, Value: out.Value, Height: p.tip.Height + 1,
		}})
		owners = owners[1:]
	}
	return change, nil
}

// mine makes the next block, with as many of the fan-outs as fit.
func (p *prelude) mine(ctx context.Context) error {
	params := p.load.params
	var txs []*consensus.Tx
	var fees []int64
	weight := 0
	for len(p.waiting) > 0 {
		first := p.waiting[0]
		if weight += first.Tx.Weight(); weight > miner.Room(params) {
			break
		}
		txs, fees = append(txs, first.Tx), append(fees, first.Fee)
		p.waiting = p.waiting[1:]
	}
	at := time.Unix(int64(params.GenesisTime)+int64(p.tip.Height+1)*params.Spacing, 0)
	template, err := miner.NewTemplate(params, p.tip, at, txs, fees)
	if err != nil {
		return err
	}
	key, err := address.Decode(params.HRP, p.owner(p.tip.Height+1).address)
	if err != nil {
		return err
	}
	block, err := solve(ctx, template, consensus.PayToKey(key))
	if err != nil {
		return err
	}
	p.tip = p.tip.Child(&block.Header)
	p.blocks = append(p.blocks, block)
	return nil
}

// nonces is how many a header has.
const nonces = 1 << 32

// solve searches a block on all cores.
func solve(parent context.Context, t *miner.Template, payout []byte) (*consensus.Block, error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	threads := runtime.GOMAXPROCS(0)
	solved := make(chan *consensus.Block, threads)
	var extranonce atomic.Uint64
	var searches sync.WaitGroup
	for range threads {
		searches.Go(func() {
			for ctx.Err() == nil {
				block := t.Block(payout, extranonce.Add(1), "")
				if miner.SolveWithin(ctx, block, sha256d.Best(), nonces) {
					solved <- block
					cancel()
				}
			}
		})
	}
	searches.Wait()
	select {
	case block := <-solved:
		return block, nil
	default:
		return nil, cmp.Or(context.Cause(parent), context.Canceled)
	}
}
