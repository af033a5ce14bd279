package p2p_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// TestMuteForwarder: who is first to forward an announcement by gossip is asked for the
// payment that is missing, and says nothing, or that it lacks it. The copies of four
// honest peers are duplicates of gossip; the block comes from one of them within five
// seconds (attack 9).
func TestMuteForwarder(t *testing.T) {
	for _, c := range []struct {
		name  string
		lacks bool // it answers that it does not have it, instead of nothing
	}{{"silent", false}, {"without it", true}} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				w := newWorld(t, 700+seed)
				miner, mute, victim := w.add("miner"), w.add("mute"), w.add("victim")
				w.Link(miner, mute, virtual.Shape{Delay: time.Millisecond})
				w.Link(mute, victim, virtual.Shape{Delay: time.Millisecond})
				for _, id := range []string{"h1", "h2", "h3", "h4"} {
					honest := w.add(id)
					w.Link(miner, honest, virtual.Shape{Delay: 30 * time.Millisecond})
					w.Link(honest, victim, virtual.Shape{Delay: 30 * time.Millisecond})
				}
				w.run(time.Duration(10+5*seed) * time.Second) // at all places of the polls' rounds
				w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
				a1 := w.chain.Hash("a1")
				mute.mute = func(o p2p.Outgoing) bool {
					return o.To == victim.ID && (kind(o.Msg) == "BlockTxs" || kind(o.Msg) == "Block" || kind(o.Msg) == "Headers")
				}
				miner.give(w.chain.Block("a1"))
				if c.lacks {
					for i := range 100 {
						w.After(time.Duration(i)*50*time.Millisecond, func() {
							_, err := victim.Receive(w.Now, mute.ID, &p2p.NotFound{Hashes: []consensus.Hash{a1}}, false)
							w.ok(err)
							w.Settle(victim)
						})
					}
				}
				w.until(5*time.Second, "the block", allAt(a1, victim))
				if n := victim.told["Announce"]; n != 1 {
					t.Errorf("%d announcements were delivered: the honest ones are no duplicates", n)
				}
			}
		})
	}
}

// TestNobodyHasIt: a header whose body nobody has makes the node ask around less and
// less often.
func TestNobodyHasIt(t *testing.T) {
	w := newWorld(t, 710)
	victim, honest := w.add("victim"), w.add("honest")
	w.link(victim, honest)
	say := w.attacker(victim, "mallory", true)
	w.run(10 * time.Second)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	say(p2p.NewAnnounce(w.chain.Block("a1"), 1), &p2p.NotFound{Hashes: []consensus.Hash{w.chain.Hash("a1")}})
	asked := honest.told["GetHeaders"]
	w.run(20 * time.Second)
	if n := honest.told["GetHeaders"] - asked; n < 2 || n > 6 {
		t.Errorf("asked for headers %d times in 20 s", n)
	}
	asked = honest.told["GetHeaders"]
	w.run(2 * time.Minute)
	if n := honest.told["GetHeaders"] - asked; n < 3 || n > 8 {
		t.Errorf("asked for headers %d times in two minutes more", n)
	}
}
