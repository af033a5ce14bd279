package mempool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"

	"pgregory.net/rapid"
)

// player makes random payments, blocks and reorganisations of a world.
type player struct {
	*world
	blocks int
	moves  int // see move
}

// maxMoves bounds a game. Most of a move is spent on signing, and a game of a
// dozen finds what a longer one does.
const maxMoves = 16

// move counts a move, and returns false where the game is over.
func (p *player) move() bool {
	p.moves++
	return p.moves <= maxMoves
}

// spendable lists the coins and the outputs of entries, in a fixed order.
func (p *player) spendable() (coins []chaintest.Coin) {
	for b := p.tip; b.Height > 0; b = b.Parent {
		for _, tx := range p.Block(p.Name(b.Hash)).Txs {
			coins = append(coins, p.outputs(tx)...)
		}
	}
	coins = slices.DeleteFunc(coins, func(c chaintest.Coin) bool {
		coin, ok := p.coins[c.OutPoint]
		return !ok || coin.Coinbase && coin.Height+testMaturity > p.tip.Height+1
	})
	for _, e := range p.pool.Entries() {
		coins = append(coins, p.outputs(e.Tx)...)
	}
	return coins
}

func (p *player) outputs(tx *consensus.Tx) (coins []chaintest.Coin) {
	for i := range tx.Outputs {
		if _, ok := consensus.OutputKey(tx.Outputs[i].Script); ok {
			coins = append(coins, p.Out(tx, uint32(i)))
		}
	}
	return coins
}

// draw makes a payment of one to three spendable coins, spent by entries or
// not.
func (p *player) draw(t *rapid.T, from []chaintest.Coin) *consensus.Tx {
	n := rapid.IntRange(1, min(3, len(from))).Draw(t, "inputs")
	var spent []chaintest.Coin
	var value int64
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(from)-1), n, n, rapid.ID).Draw(t, "from") {
		spent = append(spent, from[i])
		value += from[i].Value
	}
	fee := rapid.Int64Range(0, 5000).Draw(t, "fee")
	tx := p.Unsigned(spent, chaintest.To("alice", (value-fee)/2), chaintest.To("bob", (value-fee)/2))
	tx.Version = rapid.SampledFrom([]uint32{1, 2}).Draw(t, "version")
	for i := range tx.Inputs {
		tx.Inputs[i].Sequence = rapid.SampledFrom([]uint32{0xffffffff, 0xfffffffe, 0, 1, 2, 1<<22 | 1}).Draw(t, "sequence")
	}
	tx.LockTime = rapid.SampledFrom([]uint32{0, 0, p.tip.Height, p.tip.Height + 1}).Draw(t, "lock")
	return p.Sign(tx, spent, consensus.SigHashDefault)
}

func (p *player) name() string {
	p.blocks++
	return fmt.Sprint("r", p.blocks)
}

// branch mines a few blocks upon a block a few below the tip, out of what waits
// and of payments that contradict it, and returns the last one's name.
func (p *player) branch(t *rapid.T) string {
	base := p.tip
	for range rapid.IntRange(0, int(min(4, p.tip.Height))).Draw(t, "depth") {
		base = base.Parent
	}
	// A second world builds the branch: it has the coins along the way.
	w := &player{world: &world{Chain: p.Chain, t: p.t, pool: New(Config{}), tip: p.tip, coins: make(map[consensus.OutPoint]consensus.Coin), undo: p.undo, now: p.now}}
	for op, coin := range p.coins {
		w.coins[op] = coin
	}
	w.to(p.Name(base.Hash))
	old := p.pool.Entries()
	for range rapid.IntRange(1, 4).Draw(t, "length") {
		w.pool = New(Config{})
		for _, e := range old {
			if rapid.Bool().Draw(t, "mined") {
				w.pool.Add(w.now, w.chain(), e.Tx)
			}
		}
		if coins := w.spendable(); len(coins) > 0 && rapid.Bool().Draw(t, "rival") {
			w.pool.Add(w.now, w.chain(), w.draw(t, coins))
		}
		name := p.name()
		w.mine(name, transactions(w.pool.Select(4_000_000))...)
	}
	return w.Name(w.tip.Hash)
}

func transactions(entries []*Entry) (txs []*consensus.Tx) {
	for _, e := range entries {
		txs = append(txs, e.Tx)
	}
	return txs
}

// model says what a pool must hold after a change, given what it held: of the
// detached transactions and then the entries, each one that the next block may
// hold after those kept before it. The player's coins are the new tip's.
func (p *player) model(detached, entries []*consensus.Tx) (keep []*consensus.Tx) {
	coins := make(map[consensus.OutPoint]consensus.Coin)
	for op, coin := range p.coins {
		coins[op] = coin
	}
	for _, tx := range slices.Concat(detached, entries) {
		var spent []consensus.Coin
		for i := range tx.Inputs {
			if coin, ok := coins[tx.Inputs[i].PrevOut]; ok {
				spent = append(spent, coin)
			}
		}
		if len(spent) < len(tx.Inputs) || tx.IsCoinbase() || !consensus.CheckFinal(tx, p.tip.Height+1, p.tip.MTP()) {
			continue
		}
		if _, err := consensus.SpendTx(p.Params, p.tip, tx, spent); err != nil {
			continue
		}
		keep = append(keep, tx)
		for i := range tx.Inputs {
			delete(coins, tx.Inputs[i].PrevOut)
		}
		for _, out := range p.outputs(tx) {
			out.Coin.Height = p.tip.Height + 1
			coins[out.OutPoint] = out.Coin
		}
	}
	return keep
}

// follow moves to a block and compares the pool with the model.
func (p *player) follow(t *rapid.T, name string) {
	entries := transactions(p.pool.Entries())
	var detached []*consensus.Tx
	for b := p.tip; b != consensus.LastCommon(p.tip, p.Index(name)); b = b.Parent {
		detached = slices.Concat(p.Block(p.Name(b.Hash)).Txs, detached)
	}
	p.to(name)
	want := p.model(detached, entries)
	if got := transactions(p.pool.Entries()); !slices.Equal(got, want) {
		t.Fatalf("%d entries, expected %d", len(got), len(want))
	}
}

// Whatever comes and goes, the pool is what its rules say (audit), every
// selection is a valid block, and Follow leaves what the model leaves.
func TestPoolAgainstModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := &player{world: newWorld(t, Config{}, "genesis - a1..a8", "a8")}
		r.Repeat(map[string]func(*rapid.T){
			"pay": func(t *rapid.T) {
				if coins := p.spendable(); p.move() && len(coins) > 0 {
					tx := p.draw(t, coins)
					if _, err := p.pool.Add(p.now, p.chain(), tx); err != nil && consensus.AsRuleError(err) == nil {
						t.Fatal(err)
					}
				}
			},
			"mine": func(t *rapid.T) {
				if !p.move() {
					return
				}
				room := rapid.SampledFrom([]int{2000, 4_000_000}).Draw(t, "room")
				name := p.name()
				p.Mine(p.Name(p.tip.Hash), name, chaintest.Txs(transactions(p.pool.Select(room))...))
				p.follow(t, name)
			},
			"reorganise": func(t *rapid.T) {
				if p.move() {
					p.follow(t, p.branch(t))
				}
			},
			"": func(*rapid.T) { p.check() },
		})
	})
}

// A small pool keeps its limit, and whoever is evicted had the lowest score of
// all.
func TestSmallPool(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := &player{world: newWorld(t, Config{}, "genesis - a1..a12", "a12")}
		p.pool = New(Config{MaxBytes: 6 * p.oneByOne()})
		r.Repeat(map[string]func(*rapid.T){
			"pay": func(t *rapid.T) {
				coins := p.spendable()
				if !p.move() || len(coins) == 0 {
					return
				}
				worst := lowestScore(p.pool)
				before := p.pool.Entries()
				e, err := p.pool.Add(p.now, p.chain(), p.draw(t, coins))
				p.check()
				if err != nil || worst == nil || len(p.pool.Entries()) > len(before) {
					return
				}
				if p.pool.Get(worst.TxID) == worst && !slices.Contains(e.Ancestors(), worst) {
					t.Fatal("an entry was evicted, and not the one with the lowest score")
				}
			},
			"block": func(t *rapid.T) {
				if !p.move() {
					return
				}
				p.now = p.now.Add(rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour}).Draw(t, "later"))
				name := p.name()
				p.Mine(p.Name(p.tip.Hash), name, chaintest.Txs(transactions(p.pool.Select(1500))...))
				p.to(name)
			},
		})
	})
}

// lowestScore searches, where the pool keeps a heap.
func lowestScore(p *Pool) (worst *Entry) {
	for _, e := range p.Entries() {
		if worst == nil || e.score().compare(worst.score()) <= 0 {
			worst = e
		}
	}
	return worst
}
