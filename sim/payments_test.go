package sim_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/sim"
)

// TestIgnoredOnce is attack 25, on a line of five nodes: gossip has marked a payment
// as seen, and will not carry it again, when a node in the middle could not take it.
// Passed where it is in every mempool within 60 s, and nobody lost score.
func TestIgnoredOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(w *world) []*consensus.Tx
	}{
		{"queue full", func(w *world) []*consensus.Tx {
			tx := w.payment("alice")
			w.deaf(w.Nodes[1], w.Nodes[2], func() {
				w.pay(w.Nodes[0], tx)
				w.run(time.Second)
			})
			if w.Nodes[2].InMempool(tx.TxID()) {
				w.t.Error("it went through")
			}
			return []*consensus.Tx{tx}
		}},
		{"orphan", func(w *world) []*consensus.Tx {
			parent := w.payment("alice")
			child := w.childOf(parent)
			w.deaf(w.Nodes[0], w.Nodes[1], func() { w.pay(w.Nodes[0], parent) })
			w.pay(w.Nodes[0], child)
			return []*consensus.Tx{parent, child}
		}},
		{"orphan of a stranger", func(w *world) []*consensus.Tx { // before the hello
			parent := w.payment("alice")
			child := w.childOf(parent)
			w.Unlink(w.Nodes[0], w.Nodes[1])
			w.pay(w.Nodes[0], parent)
			w.Link(w.Nodes[0], w.Nodes[1], wide)
			w.pay(w.Nodes[0], child)
			return []*consensus.Tx{parent, child}
		}},
		{"from both ends", func(w *world) []*consensus.Tx { // the parent comes from where the child goes
			parent := w.payment("alice")
			child := w.childOf(parent)
			w.deaf(w.Nodes[1], w.Nodes[0], func() {
				w.deaf(w.Nodes[3], w.Nodes[2], func() {
					w.pay(w.Nodes[4], parent)
					w.run(time.Second)
				})
			})
			w.pay(w.Nodes[3], child)
			return []*consensus.Tx{parent, child}
		}},
		{"premature", func(w *world) []*consensus.Tx { // two of the nodes lack the block that makes it good
			block := w.find(w.Nodes[0])
			for range w.Params.Maturity - 2 {
				w.find(w.Nodes[0])
			}
			w.until(time.Minute, "one tip", w.agree)
			w.chain.Add("mined", block)
			w.Unlink(w.Nodes[2], w.Nodes[3])
			w.find(w.Nodes[0])
			tx := w.spend(w.chain.Coinbase("mined"), "alice")
			w.run(10 * time.Second)
			w.Link(w.Nodes[2], w.Nodes[3], wide)
			w.pay(w.Nodes[0], tx)
			return []*consensus.Tx{tx}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var slowest time.Duration
			for seed := range uint64(20) {
				w := newWorld(t, seed, 5, 3)
				w.line()
				w.run(10*time.Second + time.Duration(w.Rand.IntN(60_000))*time.Millisecond)
				txs := c.make(w)
				slowest = max(slowest, w.until(time.Minute, "it in every mempool", w.everywhere(txs...)))
				w.peaceful()
			}
			t.Logf("in every mempool after %v at the most", slowest)
		})
	}
}

// deaf does something while gossip from a to b is lost.
func (w *world) deaf(a, b *sim.Node, do func()) {
	s := w.Shape(a, b)
	before := *s
	s.Loss = 1
	do()
	*s = before
}

// pairsEnv says how many coins TestDoubleSpendRace spends twice:
//
//	KAPOK_PAIRS=1000 go test ./sim -run DoubleSpendRace -v
const pairsEnv = "KAPOK_PAIRS"

// TestDoubleSpendRace is attack 8: two payments of each of 1,000 coins go to two
// halves of the network at the same moment, while both halves mine. Passed where
// exactly one of each pair is in everybody's chain and the other one in nobody's
// mempool, and all coins together are what the coinbases created.
func TestDoubleSpendRace(t *testing.T) {
	pairs := howMany(t, pairsEnv, 250, 100)
	w := newWorld(t, 8, 10, pairs)
	w.line()
	w.weave(0.01)
	for _, i := range []int{0, 3, 7, 9} {
		w.Nodes[i].Mine(rateFor(40*time.Second), w.payout)
	}
	var rivals [][2]*consensus.Tx
	for range pairs {
		coin := w.coins[0]
		rivals = append(rivals, [2]*consensus.Tx{w.payment("alice"), w.spend(coin, "mallory")})
	}
	for _, pair := range rivals {
		w.pay(w.Nodes[w.Rand.IntN(5)], pair[0])
		w.pay(w.Nodes[5+w.Rand.IntN(5)], pair[1])
		w.run(time.Duration(w.Rand.IntN(400)) * time.Millisecond)
	}
	w.run(time.Minute)
	for _, n := range w.Nodes {
		n.Mine(0, nil)
	}
	w.run(10 * time.Second)
	w.find(w.Nodes[0])
	w.until(time.Minute, "one tip", w.agree)
	w.run(time.Minute) // mempools are reconciled
	w.find(w.Nodes[0])
	w.until(time.Minute, "one tip", w.agree)
	won := [2]int{}
	for i, pair := range rivals {
		for side, tx := range pair {
			if confirmed(w.Nodes[0], tx) {
				won[side]++
			}
		}
		for _, n := range w.Nodes {
			if confirmed(n, pair[0]) == confirmed(n, pair[1]) {
				t.Errorf("%s: of pair %d confirmed are %v and %v", n.ID, i, confirmed(n, pair[0]), confirmed(n, pair[1]))
			}
			if n.InMempool(pair[0].TxID()) || n.InMempool(pair[1].TxID()) {
				t.Errorf("%s: one of pair %d waits still", n.ID, i)
			}
		}
	}
	if won[0]+won[1] != pairs || min(won[0], won[1]) < pairs/10 {
		t.Errorf("the halves won %v of %d pairs", won, pairs)
	}
	w.sums()
	w.peaceful()
	t.Logf("%d pairs in %d blocks: the halves won %v", pairs, w.Nodes[0].Tip().Height, won)
}

// sums makes sure that all nodes' coins are what the coinbases created.
func (w *world) sums() {
	w.t.Helper()
	var want int64
	for height := uint32(1); height <= w.Nodes[0].Tip().Height; height++ {
		want += w.Params.Subsidy(height)
	}
	for _, n := range w.Nodes {
		if got := n.Store.Sum().Value; got != want {
			w.t.Errorf("%s: the coins are %d units, the subsidies were %d", n.ID, got, want)
		}
	}
}

// hoursEnv says how many hours TestLocalStateCostsNothing lasts:
//
//	KAPOK_HOURS=24 go test ./sim -run LocalStateCostsNothing -v -timeout 0
const hoursEnv = "KAPOK_HOURS"

// TestLocalStateCostsNothing is attack 12: nodes whose mempools take other payments
// than their peers', for want of fee, room, time or the parent, whose clocks differ
// and who are cut off now and then, all of them honest. Passed where in 24 hours no
// node ever counts a point against another.
func TestLocalStateCostsNothing(t *testing.T) {
	hours := howMany(t, hoursEnv, 1, 1)
	w := newWorld(t, 12, 1, 60*hours)
	for _, pool := range []mempool.Config{
		{MinRelayFee: 5_000},
		{MinRelayFee: 500_000},
		{MaxBytes: 5_000},
		{Expiry: 3 * time.Minute, MaxOrphans: 1},
		{MaxPeerOrphans: 1, OrphanExpiry: time.Minute},
		{},
	} {
		w.add(pool)
	}
	for i, n := range w.Nodes {
		n.Skew = time.Duration(i-3) * 15 * time.Minute
	}
	w.weave(0.05)
	for i, n := range w.Nodes {
		if i%2 == 0 {
			n.Mine(rateFor(3*time.Minute), w.payout)
		}
	}
	paid, refused, end := 0, 0, w.Now.Add(time.Duration(hours)*time.Hour)
	submit := func(tx *consensus.Tx) {
		n := w.Nodes[w.Rand.IntN(len(w.Nodes))]
		if err := w.Pay(n, tx); err == nil {
			paid++
		} else if consensus.AsRuleError(err) != nil {
			refused++
		} else {
			t.Fatal(err)
		}
	}
	var shop func()
	shop = func() {
		if len(w.coins) == 0 {
			return
		}
		coin := w.coins[0]
		w.coins = w.coins[1:]
		fee := int64(200) << w.Rand.IntN(14) // units
		tx := w.chain.Pay(chaintest.From(coin), chaintest.To("alice", coin.Value-fee))
		submit(tx)
		switch w.Rand.IntN(3) {
		case 0:
			submit(w.spend(coin, "mallory"))
		case 1:
			submit(w.childOf(tx))
		}
		w.After(time.Duration(w.Rand.IntN(120))*time.Second, shop)
	}
	w.After(0, shop)
	for minute := 0; w.Now.Before(end); minute++ {
		if minute%20 == 15 {
			w.Partition(w.Nodes[w.Rand.IntN(len(w.Nodes))])
		} else if minute%20 == 18 {
			w.Heal()
		}
		for range 6 {
			w.run(10 * time.Second)
			if w.peaceful(); t.Failed() {
				t.Fatalf("after %v", w.Now.Sub(end.Add(-time.Duration(hours)*time.Hour)))
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	t.Logf("%d h, height %d, %d payments, %d refused where they were made", hours, w.Nodes[0].Tip().Height, paid, refused)
}
