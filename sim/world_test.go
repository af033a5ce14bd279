package sim_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/sim/virtual"
	"github.com/kapok-chain/kapok/storage"
)

// world is a sim.World for tests: what goes wrong ends them. All nodes begin with a
// short chain whose last block makes coins of one coin each, for payments.
type world struct {
	*sim.World
	t     testing.TB
	chain *chaintest.Chain
	coins []chaintest.Coin // that were not paid yet

	payout []byte // where miners want their coins: to the key "miner"
}

// quick are rules under which coins are soon spent: a block every ten seconds, at two
// hashes, dated at most so many seconds ahead.
func quick(t testing.TB, futureLimit int64) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	p.Name, p.Spacing, p.Maturity, p.FutureLimit = "virtual", 10, 2, futureLimit
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// coinsAMake is how many coins one transaction makes: all that a coinbase has, but for
// the fee.
const coinsAMake = 49

// newWorld makes n nodes without links, and some coins.
func newWorld(t testing.TB, seed uint64, n, coins int) *world {
	t.Helper()
	return newWorldOn(t, quick(t, 7200), seed, n, coins)
}

func newWorldOn(t testing.TB, p *consensus.Params, seed uint64, n, coins int) *world {
	t.Helper()
	c := chaintest.New(t, p)
	makes := (coins + coinsAMake - 1) / coinsAMake
	ready := fmt.Sprint("a", makes+int(c.Params.Maturity))
	c.Grow("genesis - a1.." + ready)
	w := &world{t: t, chain: c, payout: consensus.PayToKey(c.Key("miner"))}
	var txs []*consensus.Tx
	for i := range makes {
		outputs := make([]chaintest.Output, coinsAMake)
		for j := range outputs {
			outputs[j] = chaintest.To("bob", chaintest.Coins)
		}
		tx := c.Pay(chaintest.From(c.Coinbase(fmt.Sprint("a", i+1))), outputs...)
		for j := range outputs {
			w.coins = append(w.coins, c.Out(tx, uint32(j)))
		}
		txs = append(txs, tx)
	}
	c.Mine(ready, "coins", chaintest.Txs(txs...))
	w.World = sim.New(c.Params, c.Now().Add(time.Minute), seed)
	w.Every = 500 * time.Millisecond
	for range n {
		w.add(mempool.Config{})
	}
	return w
}

// add is one more node, with the chain that all begin with.
func (w *world) add(pool mempool.Config) *sim.Node {
	w.t.Helper()
	n, err := w.Add(node.Config{Store: storage.OpenMemory(w.Params, true), Mempool: pool})
	w.ok(err)
	w.ok(w.Submit(n, w.chain.Path("coins")...))
	n.Changes()
	w.Start(n)
	return n
}

// wide is a link over a wide area.
var wide = virtual.Shape{Delay: 20 * time.Millisecond, Jitter: 40 * time.Millisecond}

// weave links the nodes at random, all of them together and each with some others,
// by links of all kinds.
func (w *world) weave(loss float64) {
	for i := range w.Nodes {
		for range 2 {
			if i == 0 {
				continue
			}
			a, b := w.Nodes[i], w.Nodes[w.Rand.IntN(i)]
			if w.Shape(a, b) != nil {
				continue
			}
			if w.Rand.IntN(2) == 0 {
				a, b = b, a
			}
			s := virtual.Shape{
				Delay:  time.Duration(1+w.Rand.IntN(150)) * time.Millisecond,
				Jitter: time.Duration(w.Rand.IntN(50)) * time.Millisecond,
				Loss:   loss * w.Rand.Float64(),
			}
			if w.Rand.IntN(3) == 0 {
				s.Bandwidth = 20_000 + w.Rand.IntN(200_000)
			}
			w.Link(a, b, s)
		}
	}
}

// payment spends the next coin, with a fee of a thousandth of it.
func (w *world) payment(to string) *consensus.Tx {
	w.t.Helper()
	if len(w.coins) == 0 {
		w.t.Fatal("no coins are left")
	}
	coin := w.coins[0]
	w.coins = w.coins[1:]
	return w.spend(coin, to)
}

func (w *world) spend(coin chaintest.Coin, to string) *consensus.Tx {
	return w.chain.Pay(chaintest.From(coin), chaintest.To(to, coin.Value-chaintest.Coins/1000))
}

// childOf spends a payment.
func (w *world) childOf(tx *consensus.Tx) *consensus.Tx {
	return w.spend(w.chain.Out(tx, 0), "child")
}

// pay hands a node a payment that it must take.
func (w *world) pay(n *sim.Node, tx *consensus.Tx) {
	w.t.Helper()
	w.ok(w.Pay(n, tx))
}

// find lets a node find a block now.
func (w *world) find(n *sim.Node) *consensus.Block {
	w.t.Helper()
	block, err := n.Find(w.payout)
	w.ok(err)
	return block
}

// rateFor finds a block every so often, in the mean: two hashes each.
func rateFor(every time.Duration) float64 { return 2 / every.Seconds() }

// confirmed reports whether a payment is in a node's chain.
func confirmed(n *sim.Node, tx *consensus.Tx) bool {
	_, _, err := n.Store.TxLocation(tx.TxID())
	return err == nil
}

// alive reports whether a payment is in a node's mempool or in its chain.
func alive(n *sim.Node, tx *consensus.Tx) bool { return n.InMempool(tx.TxID()) || confirmed(n, tx) }

func (w *world) run(d time.Duration) {
	w.t.Helper()
	w.ok(w.Run(d))
}

// until lets time pass until the condition holds, at most d, and returns how long
// that took.
func (w *world) until(d time.Duration, what string, done func() bool) time.Duration {
	w.t.Helper()
	began := w.Now
	came, err := w.Until(d, done)
	if w.ok(err); !came {
		w.t.Fatalf("not within %v: %s", d, what)
	}
	return w.Now.Sub(began)
}

func (w *world) agree() bool { return w.Agree() }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// howMany is what an environment variable says, or else normal, or less in short
// mode.
func howMany(t *testing.T, env string, normal, short int) int {
	t.Helper()
	value := os.Getenv(env)
	if value == "" && testing.Short() {
		return short
	} else if value == "" {
		return normal
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", env, value)
	}
	return n
}

// line links the nodes in a row, 20 to 60 ms each.
func (w *world) line() {
	for i, n := range w.Nodes[1:] {
		w.Link(n, w.Nodes[i], wide)
	}
}

// everywhere reports whether payments are in all mempools.
func (w *world) everywhere(txs ...*consensus.Tx) func() bool {
	return func() bool {
		for _, n := range w.Nodes {
			for _, tx := range txs {
				if !n.InMempool(tx.TxID()) {
					return false
				}
			}
		}
		return true
	}
}

// peaceful makes sure that nobody was dropped, and that no honest peer has lost
// score with any node.
func (w *world) peaceful() {
	w.t.Helper()
	for _, n := range w.Nodes {
		for _, drop := range n.Dropped {
			w.t.Errorf("%s dropped %s: %s", n.ID, drop.ID, drop.Reason)
		}
		for _, p := range n.Peers() {
			if p.Score != 0 {
				w.t.Errorf("%s counts %d points against %s", n.ID, p.Score, p.ID)
			}
		}
	}
}
