package node_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/storage"
)

// grove is a random tree of valid blocks with payments in them, and for each
// block what its chain leaves, counted naively while the tree grows.
type grove struct {
	*chaintest.Chain
	rng    *rand.Rand
	names  []string // parents before children, genesis left out
	top    string   // the first of those with the most work; newGrove makes it the only one
	stands map[string]*stand
	paid   []*consensus.Tx // of all branches
}

// stand is what a chain leaves at one of its blocks.
type stand struct {
	coins     map[consensus.OutPoint]consensus.Coin
	sum       consensus.CoinSum
	subsidies int64 // of the heights from 1 on
	burnt     int64 // what coinbases did not claim
}

// quick are rules under which coins are soon spent, and subsidies soon halved.
func quick(t testing.TB) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	p.Name, p.Maturity, p.HalvingInterval = "quick", 3, 20
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// plant is a grove of the genesis block.
func plant(t testing.TB, seed uint64) *grove {
	return &grove{
		Chain: chaintest.New(t, quick(t)), rng: rand.New(rand.NewPCG(seed, 0)), top: chaintest.Genesis,
		stands: map[string]*stand{chaintest.Genesis: {coins: map[consensus.OutPoint]consensus.Coin{}}},
	}
}

// newGrove grows so many blocks. Four branches compete; now and then one of them
// is given up for a new one, which forks from another, a dozen blocks down at
// most.
func newGrove(t testing.TB, seed uint64, blocks int) *grove {
	g := plant(t, seed)
	tips := []string{chaintest.Genesis, chaintest.Genesis, chaintest.Genesis, chaintest.Genesis}
	for i := range blocks - 1 {
		branch := g.rng.IntN(len(tips))
		parent, name := tips[branch], fmt.Sprint("x", i)
		if g.rng.IntN(10) == 0 {
			other := g.Index(tips[g.rng.IntN(len(tips))])
			down := min(other.Height, g.rng.Uint32N(12))
			parent = g.Name(other.Ancestor(other.Height - down).Hash)
		}
		g.mine(parent, name)
		tips[branch] = name
	}
	g.mine(g.top, "top")
	return g
}

// mine mines a block with up to three payments whose coinbase may burn a part.
func (g *grove) mine(parent, name string) {
	before := g.stands[parent]
	height := g.Index(parent).Height + 1
	free := make(map[consensus.OutPoint]consensus.Coin)
	for op, coin := range before.coins {
		if !coin.Coinbase || coin.Height+g.Params.Maturity <= height {
			free[op] = coin
		}
	}
	var txs []*consensus.Tx
	for range max(0, g.rng.IntN(6)-2) {
		tx := g.known(free)
		if tx == nil || g.rng.IntN(3) > 0 {
			tx = g.pay(free)
		}
		if tx == nil {
			break
		}
		txs = append(txs, tx)
		follow(free, tx, height, false)
	}
	subsidy, burn := int64(50*chaintest.Coins)>>(height/20), int64(0) // quick's halving
	if g.rng.IntN(3) == 0 {
		burn = g.rng.Int64N(subsidy + 1)
	}
	block := g.Mine(parent, name, chaintest.Txs(txs...), chaintest.Claim(-burn), chaintest.PayTo(fmt.Sprint("owner", g.rng.IntN(3))))

	after := &stand{coins: maps.Clone(before.coins), subsidies: before.subsidies + subsidy, burnt: before.burnt + burn}
	for i, tx := range block.Txs {
		follow(after.coins, tx, height, i == 0)
	}
	for op, coin := range after.coins {
		after.sum.Add(op, &coin)
	}
	g.stands[name] = after
	g.names = append(g.names, name)
	if height > g.Index(g.top).Height {
		g.top = name
	}
}

// follow is the naive application of one transaction.
func follow(coins map[consensus.OutPoint]consensus.Coin, tx *consensus.Tx, height uint32, coinbase bool) {
	for _, in := range tx.Inputs {
		delete(coins, in.PrevOut)
	}
	id := tx.TxID()
	for i, out := range tx.Outputs {
		if key, ok := consensus.OutputKey(out.Script); ok {
			coins[consensus.OutPoint{TxID: id, Index: uint32(i)}] = consensus.Coin{Value: out.Value, Key: key, Height: height, Coinbase: coinbase}
		}
	}
}

// pay spends up to three coins, perhaps of the block itself.
func (g *grove) pay(free map[consensus.OutPoint]consensus.Coin) *consensus.Tx {
	ops := slices.SortedFunc(maps.Keys(free), func(a, b consensus.OutPoint) int { // so that the seed alone decides
		return cmp.Or(bytes.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Index, b.Index))
	})
	if len(ops) == 0 {
		return nil
	}
	g.rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	var from []chaintest.Coin
	left := int64(0)
	for _, op := range ops[:min(len(ops), 1+g.rng.IntN(3))] {
		from = append(from, chaintest.Coin{OutPoint: op, Coin: free[op]})
		left += free[op].Value
	}
	var to []chaintest.Output
	for range 1 + g.rng.IntN(3) {
		value := g.rng.Int64N(left + 1)
		left -= value // what is left in the end is the fee
		to = append(to, chaintest.To(fmt.Sprint("owner", g.rng.IntN(3)), value))
	}
	if g.rng.IntN(4) == 0 {
		to = append(to, chaintest.Data([]byte("memo")))
	}
	tx := g.Pay(from, to...)
	g.paid = append(g.paid, tx)
	return tx
}

// known returns a payment of another branch that is good here too, or nil.
func (g *grove) known(free map[consensus.OutPoint]consensus.Coin) *consensus.Tx {
	for _, tx := range slices.Backward(g.paid) {
		good := true
		for _, in := range tx.Inputs {
			_, ok := free[in.PrevOut]
			good = good && ok
		}
		if good {
			return tx
		}
	}
	return nil
}

// money is where the coins that a store counts along must stand.
func (g *grove) money(s storage.Store) error {
	name := g.Name(s.Tip())
	at, sum := g.stands[name], s.Sum()
	if at == nil {
		return fmt.Errorf("the tip %s is no block of this tree", name)
	}
	if sum.Value+at.burnt != at.subsidies {
		return fmt.Errorf("at %s there are %d units in coins and %d burnt of %d created", name, sum.Value, at.burnt, at.subsidies)
	}
	if sum != at.sum {
		return fmt.Errorf("at %s the coin sum is %v, counted naively %v", name, sum, at.sum)
	}
	return nil
}

// coins compares every coin of a store with the naive count.
func (g *grove) coins(s storage.Store) error {
	if err := g.money(s); err != nil {
		return err
	}
	got := make(map[consensus.OutPoint]consensus.Coin)
	err := s.ForEachCoin(func(op consensus.OutPoint, coin consensus.Coin) error {
		got[op] = coin
		return nil
	})
	if name := g.Name(s.Tip()); err == nil && !maps.Equal(got, g.stands[name].coins) {
		return fmt.Errorf("at %s there are other coins than counted naively: %d and %d", name, len(got), len(g.stands[name].coins))
	}
	return err
}
