package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// partitionsEnv says how many partitions TestPartitionsHeal makes and heals:
//
//	KAPOK_PARTITIONS=50 go test ./sim -run PartitionsHeal -v -timeout 0
const partitionsEnv = "KAPOK_PARTITIONS"

// TestPartitionsHeal is attack 10: ten nodes are cut into five and five, and each side
// finds up to 100 blocks and makes payments, some of which spend what the other side
// spends. Passed where nothing went across while they were cut, all are on the tip of
// the longer side 30 s after it, and every payment of the losing side is in its payer's
// mempool or in the chain then, and in everybody's within another minute: all but
// those whose coin, or whose parent's, the winning side spent otherwise.
func TestPartitionsHeal(t *testing.T) {
	partitions := howMany(t, partitionsEnv, 4, 2)
	var slowest, everybody time.Duration
	blocks, payments, doubles := 0, 0, 0
	for seed := range partitions {
		p := newParted(t, uint64(seed))
		p.live()
		slowest, everybody = max(slowest, p.heal()), max(everybody, p.settle())
		blocks, payments, doubles = blocks+p.found[0]+p.found[1], payments+len(p.paid[0])+len(p.paid[1]), doubles+p.doubles
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d partitions, %d blocks, %d payments, %d of them double spends: one tip after %v, every payment everywhere after another %v at the most",
		partitions, blocks, payments, doubles, slowest, everybody)
}

// parted is ten nodes, the first five of which are on one side.
type parted struct {
	*world
	sides   [2][]*sim.Node
	found   [2]int             // blocks
	paid    [2][]*consensus.Tx // by side, in order
	payer   map[consensus.Hash]*sim.Node
	lost    map[consensus.Hash]bool
	doubles int
}

func newParted(t *testing.T, seed uint64) *parted {
	p := &parted{world: newWorld(t, seed, 10, 2*coinsAMake), payer: make(map[consensus.Hash]*sim.Node), lost: make(map[consensus.Hash]bool)}
	p.weave(0.02)
	p.sides = [2][]*sim.Node{p.Nodes[:5], p.Nodes[5:]}
	p.run(10 * time.Second)
	return p
}

// live is the time of the partition.
func (p *parted) live() {
	sideOf := func(h *virtual.Host) bool {
		return slices.ContainsFunc(p.sides[0], func(n *sim.Node) bool { return n.Host == h })
	}
	cut, across := true, 0
	p.Watch(func(d virtual.Delivery) {
		if cut && sideOf(d.From) != sideOf(d.To) {
			across++
		}
	})
	side := make([]virtual.Resident, 5)
	for i, n := range p.sides[0] {
		side[i] = n
	}
	p.Partition(side...)
	p.connect()
	p.Rand.Shuffle(2, func(i, j int) { p.sides[i], p.sides[j] = p.sides[j], p.sides[i] })
	most := 2 + p.Rand.IntN(99)
	target := [2]int{most, 1 + p.Rand.IntN(most-1)} // the first one wins
	for range most {
		for s := range p.sides {
			if p.found[s] < target[s] && p.Rand.IntN(4) > 0 || s == 0 {
				p.find(p.somebody(s))
				p.found[s]++
			}
		}
		if len(p.coins) > 0 && p.Rand.IntN(3) > 0 {
			p.shop()
		}
		p.run(time.Duration(p.Rand.IntN(2000)) * time.Millisecond)
	}
	p.run(40 * time.Second)  // a block that gossip lost is asked for within 30
	for s := range p.sides { // of two branches with the same work neither wins
		p.find(p.somebody(s))
		p.run(10 * time.Second)
	}
	for p.sides[0][0].Tip().Height <= p.sides[1][0].Tip().Height {
		p.find(p.sides[0][0])
		p.run(10 * time.Second)
	}
	if cut = false; across > 0 {
		p.t.Errorf("%d messages went across the cut", across)
	}
	if !p.Agree(p.sides[0]...) || !p.Agree(p.sides[1]...) || p.Agree() {
		p.t.Error("the sides are not each on a tip of its own")
	}
}

// connect makes sure that each side is in one piece.
func (p *parted) connect() {
	for _, nodes := range p.sides {
		for i, n := range nodes {
			if next := nodes[(i+1)%len(nodes)]; p.Shape(n, next) == nil {
				p.Link(n, next, wide)
			}
		}
	}
}

func (p *parted) somebody(side int) *sim.Node { return p.sides[side][p.Rand.IntN(5)] }

// shop makes a payment on one side, and sometimes another one of the same coin on the
// other, or one that spends the first.
func (p *parted) shop() {
	coin, side := p.coins[0], p.Rand.IntN(2)
	tx := p.payment("alice")
	n := p.spends(side, tx)
	switch p.Rand.IntN(4) {
	case 0:
		p.spends(1-side, p.spend(coin, "mallory"))
		p.doubles++
		if side == 1 {
			p.lost[tx.TxID()] = true
		} else {
			p.lost[p.paid[1][len(p.paid[1])-1].TxID()] = true
		}
	case 1:
		child := p.childOf(tx)
		p.spendsAt(n, side, child)
	}
}

// spends lets somebody on a side make a payment.
func (p *parted) spends(side int, tx *consensus.Tx) *sim.Node {
	n := p.somebody(side)
	p.spendsAt(n, side, tx)
	return n
}

func (p *parted) spendsAt(n *sim.Node, side int, tx *consensus.Tx) {
	p.pay(n, tx)
	p.paid[side], p.payer[tx.TxID()] = append(p.paid[side], tx), n
}

// heal ends the partition, and returns how long one tip took.
func (p *parted) heal() time.Duration {
	want := p.sides[0][0].Tip().Hash
	p.Heal()
	took := p.until(30*time.Second, "one tip", func() bool { return p.Agree() && p.Nodes[0].Tip().Hash == want })
	for _, tx := range p.paid[1] {
		p.has(p.payer[tx.TxID()], []*consensus.Tx{tx})
	}
	return took
}

// settle waits until everybody has every payment, and then for the last one to be in
// a block. It returns how long the first took.
func (p *parted) settle() time.Duration {
	took := p.until(time.Minute, "every payment in a mempool or in the chain, everywhere", func() bool {
		return !slices.ContainsFunc(p.Nodes, func(n *sim.Node) bool {
			return len(p.missing(n, p.paid[0]))+len(p.missing(n, p.paid[1])) > 0
		})
	})
	p.find(p.somebody(1))
	p.until(time.Minute, "one tip after another block", p.agree)
	for _, n := range p.Nodes {
		p.has(n, p.paid[0])
		p.has(n, p.paid[1])
		if got := len(n.Mempool()); got > 0 {
			p.t.Errorf("%s: %d payments wait still", n.ID, got)
		}
		if len(n.Dropped) > 0 {
			p.t.Errorf("%s dropped %v", n.ID, n.Dropped)
		}
	}
	return took
}

// missing are the payments that a node should have in its mempool or in its chain,
// and has not.
func (p *parted) missing(n *sim.Node, txs []*consensus.Tx) (missing []*consensus.Tx) {
	for _, tx := range txs {
		if alive(n, tx) == p.lost[tx.TxID()] {
			missing = append(missing, tx)
		}
	}
	return missing
}

func (p *parted) has(n *sim.Node, txs []*consensus.Tx) {
	p.t.Helper()
	for _, tx := range p.missing(n, txs) {
		p.t.Errorf("%s: payment %.8s, which is lost: %v, is in its mempool or chain: %v", n.ID, tx.TxID(), p.lost[tx.TxID()], alive(n, tx))
	}
}
