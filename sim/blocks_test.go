package sim_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/storage"
)

// TestWithheldBranch is attack 13: a miner keeps six blocks to himself while the
// others find five, and lets them go at once. Passed where all others take the five
// off and the six on in one move that observers see, 30 s after it at the latest, have
// the coins of the miner, who never saw the five, the payments of the five are back in
// the mempool or in the chain but for the one that the miner spent otherwise, and
// nobody is counted twice: what the history of a key says it has is what the coins say.
func TestWithheldBranch(t *testing.T) {
	for _, c := range []struct {
		name    string
		release func(w *world, branch []*consensus.Block)
	}{
		{"to whoever connects", func(w *world, _ []*consensus.Block) { w.Heal() }},
		{"handed to one node", func(w *world, branch []*consensus.Block) { w.ok(w.Submit(w.Nodes[2], branch...)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 13, 6, 10)
			w.weave(0.01)
			w.run(10 * time.Second)
			miner, honest := w.Nodes[5], w.Nodes[:5]
			w.Partition(miner)
			w.line() // the others are one network without him
			coin := w.coins[0]
			stolen, taken := w.payment("alice"), w.spend(coin, "mallory")
			w.pay(miner, taken)
			var branch []*consensus.Block
			for range 6 {
				branch = append(branch, w.find(miner))
			}
			w.pay(honest[0], stolen)
			paid := []*consensus.Tx{stolen}
			for i := range 5 {
				tx := w.payment("alice")
				w.pay(honest[i], tx)
				w.run(5 * time.Second)
				w.find(honest[4-i])
				w.run(5 * time.Second)
				paid = append(paid, tx, w.childOf(tx))
				w.pay(honest[i], paid[len(paid)-1])
			}
			for _, n := range honest {
				if changes := n.Changes(); len(changes) != 5 || n.Tip().Height != miner.Tip().Height-1 || !confirmed(n, stolen) {
					t.Fatalf("%s: %d changes, height %d", n.ID, len(changes), n.Tip().Height)
				}
			}

			c.release(w, branch)
			want := branch[5].Hash()
			took := w.until(30*time.Second, "the branch of six", func() bool { return w.Agree() && w.Nodes[0].Tip().Hash == want })
			for _, n := range honest {
				changes := n.Changes()
				if len(changes) != 1 || len(changes[0].Detached) != 5 || len(changes[0].Attached) != 6 {
					t.Errorf("%s: observers see %d changes: %+v", n.ID, len(changes), changes)
				}
				for i, tx := range paid {
					if alive(n, tx) != (i > 0) {
						t.Errorf("%s: payment %d is in the mempool or the chain: %v", n.ID, i, alive(n, tx))
					}
				}
				w.counts(n, "alice", "mallory", "child", "miner")
			}
			w.sums()
			w.peaceful()
			t.Logf("one tip after %v", took)
		})
	}
}

// counts makes sure that the index counts nothing twice: a key has what the coins say.
func (w *world) counts(n *sim.Node, names ...string) {
	w.t.Helper()
	coins := make(map[[consensus.KeySize]byte]int64)
	w.ok(n.Store.ForEachCoin(func(_ consensus.OutPoint, c consensus.Coin) error {
		coins[c.Key] += c.Value
		return nil
	}))
	for _, name := range names {
		var has int64
		key := w.chain.Key(name)
		history, err := n.Store.History(key, storage.Cursor{}, storage.MaxHistory)
		w.ok(err)
		for _, e := range history {
			if e.Spend {
				has -= e.Value
			} else {
				has += e.Value
			}
		}
		if has != coins[key] {
			w.t.Errorf("%s: by its history %s has %d units, by the coins %d", n.ID, name, has, coins[key])
		}
	}
}

// TestClockSkew is attack 14, with a limit of a minute on how far a block may be dated
// ahead. Passed where a node whose clock is off by less stays on the tip; where one
// that is off by three times as much, or that jumps there and back, blames nobody and
// is blamed by nobody, says within 45 s that its clock is off, as no other does, and it is
// on the tip, and says so no more, within 30 and 45 s of its clock being put right, without
// a restart, once that tip has more work than what it found for itself meanwhile.
//
// What is off here is all of a node's time. A running node's timers do not follow when
// the wall clock is set.
func TestClockSkew(t *testing.T) {
	for _, c := range []struct {
		name  string
		skews []time.Duration // one after the other, two minutes each; then it is put right
		apart bool            // it loses the tip meanwhile
	}{
		{"ahead within the limit", []time.Duration{50 * time.Second}, false},
		{"behind within the limit", []time.Duration{-50 * time.Second}, false},
		{"ahead by three limits", []time.Duration{180 * time.Second}, true},
		{"behind by three limits", []time.Duration{-180 * time.Second}, true},
		{"a jump ahead and a leap back", []time.Duration{0, 50 * time.Second, -50 * time.Second, 50 * time.Second}, false},
		{"a jump far ahead and a leap far back", []time.Duration{0, 180 * time.Second, 0, -180 * time.Second, 180 * time.Second}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorldOn(t, quick(t, 60), 14, 5, 10)
			off := w.Nodes[2]
			off.Skew = c.skews[0]
			w.line()
			w.Link(w.Nodes[0], w.Nodes[4], wide)
			w.Link(off, w.Nodes[0], wide)
			w.Link(off, w.Nodes[4], wide)
			for i, n := range w.Nodes {
				n.Mine(rateFor(time.Minute), w.payout)
				if i != 2 {
					n.Skew = time.Duration(i-2) * 2 * time.Second
				}
			}
			apart := 0
			for _, skew := range c.skews {
				off.Skew = skew
				for look := range 12 {
					if skew > time.Minute {
						w.find(off) // which the others refuse for now
					}
					w.run(10 * time.Second)
					w.warned(off, skew, look >= 5)
					if off.Tip().Hash != w.Nodes[0].Tip().Hash {
						apart++
					}
					w.peaceful()
				}
			}
			if c.apart != (apart > len(c.skews)) {
				t.Errorf("it was on another tip in %d of %d looks", apart, 12*len(c.skews))
			}
			off.Skew = 0
			for _, n := range w.Nodes {
				n.Mine(0, nil)
			}
			honest := w.Nodes[4]
			w.find(honest)
			for mine := off.Tip().Height; honest.Tip().Height <= mine; { // what it found for itself counts, too
				w.find(honest)
			}
			took := w.until(30*time.Second, "one tip", w.agree)
			content := took + w.until(45*time.Second-took, "a clock that is right", func() bool { return off.ClockOff() == 0 })
			w.run(time.Minute)
			w.warned(off, 0, true)
			w.peaceful()
			t.Logf("on another tip in %d of %d looks; one tip after %v; no warning after %v", apart, 12*len(c.skews), took, content)
		})
	}
}

// warned makes sure that a node says that its clock is off where it is by more than the
// network allows, once it can know; and that nobody else says so.
func (w *world) warned(off *sim.Node, skew time.Duration, settled bool) {
	w.t.Helper()
	for _, n := range w.Nodes {
		said, want := n.ClockOff(), time.Duration(0)
		if n == off && skew.Abs() > time.Minute {
			want = skew
		}
		if (n != off || settled) && ((said != 0) != (want != 0) || (said-want).Abs() > 10*time.Second) {
			w.t.Errorf("%s says that its clock is %v off, expected %v", n.ID, said, want)
		}
	}
}
