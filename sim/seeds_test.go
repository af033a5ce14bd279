package sim_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// seedsEnv says of how many seeds TestSeeds tells the history:
//
//	KAPOK_SEEDS=1000 go test ./sim -run Seeds -v -timeout 0
const seedsEnv = "KAPOK_SEEDS"

// TestSeeds: one seed is one history. Each of 100 has a topology, links, miners,
// payments (some spend the same coin) and a partition of its own, and ends on one tip
// with equal coins. Every tenth is told twice, and is the same to the last message;
// no two seeds are the same.
func TestSeeds(t *testing.T) {
	seen := make(map[[sha256.Size]byte]int)
	var all history
	seeds := howMany(t, seedsEnv, 100, 20)
	for seed := range seeds {
		h := tell(t, uint64(seed))
		if other, twice := seen[h.digest]; twice {
			t.Errorf("seeds %d and %d have one digest", other, seed)
		}
		seen[h.digest] = seed
		if seed%10 == 0 {
			if again := tell(t, uint64(seed)); again != h {
				t.Errorf("seed %d told twice: %+v, %+v", seed, h, again)
			}
		}
		if t.Failed() {
			return
		}
		all.add(h)
	}
	t.Logf("%d seeds: %d nodes, %d messages, %d blocks, %d reorganisations of up to %d blocks, %d payments, %d double spends; one tip %v after the last block at the most",
		seeds, all.nodes, all.messages, all.blocks, all.reorgs, all.deepest, all.payments, all.doubles, all.settled)
}

// history is what came of a seed.
type history struct {
	digest                                                      [sha256.Size]byte
	nodes, messages, blocks, reorgs, deepest, payments, doubles int
	settled                                                     time.Duration // from the last block to one tip
}

func (h *history) add(o history) {
	h.nodes, h.messages, h.blocks, h.reorgs = h.nodes+o.nodes, h.messages+o.messages, h.blocks+o.blocks, h.reorgs+o.reorgs
	h.payments, h.doubles = h.payments+o.payments, h.doubles+o.doubles
	h.deepest, h.settled = max(h.deepest, o.deepest), max(h.settled, o.settled)
}

// tell lets a seed's history happen.
func tell(t *testing.T, seed uint64) history {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	w := newWorld(t, seed, 4+int(seed%5), coinsAMake)
	h := history{nodes: len(w.Nodes)}
	w.Watch(func(virtual.Delivery) { h.messages++ })
	w.weave(0.05)
	somebody := func() *sim.Node { return w.Nodes[w.Rand.IntN(len(w.Nodes))] }
	for range 2 + w.Rand.IntN(2) {
		somebody().Mine(rateFor(time.Duration(10+w.Rand.IntN(20))*time.Second), w.payout)
	}
	paid := []*consensus.Tx{}
	var shop func()
	shop = func() {
		h.payments++
		coin := w.coins[0]
		tx := w.payment("alice")
		w.pay(somebody(), tx)
		paid = append(paid, tx)
		switch w.Rand.IntN(4) {
		case 0:
			h.doubles++
			rival := w.spend(coin, "mallory")
			if _, err := somebody().SubmitTx(w.Now, rival); err != nil && consensus.AsRuleError(err) == nil {
				t.Fatal(err)
			}
		case 1:
			child := w.childOf(paid[w.Rand.IntN(len(paid))])
			if _, err := somebody().SubmitTx(w.Now, child); err != nil && consensus.AsRuleError(err) == nil {
				t.Fatal(err)
			}
		}
		if len(w.coins) > 0 {
			w.After(time.Duration(w.Rand.IntN(10_000))*time.Millisecond, shop)
		}
	}
	w.After(0, shop)

	w.run(time.Minute)
	var side []virtual.Resident
	for _, i := range w.Rand.Perm(len(w.Nodes))[:1+w.Rand.IntN(len(w.Nodes)-1)] {
		side = append(side, w.Nodes[i])
	}
	w.Partition(side...)
	w.run(time.Minute)
	w.Heal()
	w.run(20 * time.Second)
	for _, n := range w.Nodes {
		n.Mine(0, nil)
	}
	w.run(40 * time.Second) // a block that gossip lost is asked for within 30
	w.find(w.Nodes[0])      // of two branches with the same work neither wins
	h.settled = w.until(time.Minute, "one tip", w.agree)
	h.blocks = int(w.Nodes[0].Tip().Height)
	for _, n := range w.Nodes {
		for _, change := range n.Changes() {
			if depth := len(change.Detached); depth > 0 {
				h.reorgs++
				h.deepest = max(h.deepest, depth)
			}
		}
		if len(n.Dropped) > 0 {
			t.Errorf("%s dropped %v", n.ID, n.Dropped)
		}
	}
	h.digest = w.Digest()
	return h
}
