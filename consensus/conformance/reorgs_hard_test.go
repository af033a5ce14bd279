package conformance

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// Group G, continued: deep reorganisations, peers that stall, crashes, and random
// orders.
var hardReorgCases = []conformanceCase{
	{number: 138, name: "reorg-missing-body", rules: "W2 N9 N10", run: missingBodies, door: "p2p, in virtual time"},
	{number: 139, name: "reorg-crash", rules: "W7 X1", run: crashInAReorg, door: "submit; a store in memory that forgets what a kill " +
		"would, after each step, and processes on Badger that are killed: after 3 of the steps, with KAPOK_LONG after all"},
	{number: 140, name: "reorg-tx-too-big", rules: "W7 X1", run: beyondOneTransaction, door: "submit, on Badger; " +
		"kills between the pieces: TestKilledAtEachCommit and TestBeyondTheLimit of storage"},
	// More trees and orders, without the wire: TestRandomOrders of node, KAPOK_ORDERS=1000.
	{number: 141, name: "order-random", rules: "W3", run: randomOrders},
}

// deepReorg takes a branch off and another one on, again and again: 100 blocks,
// in the long run 1,088 as in Core's test. Payments hang on the coins of either
// branch. One node is on disk: what its files and the memory grow by is logged,
// and has a bound in the long run. The few small blocks of the other one could
// not reach it.
func deepReorg(s *stage) {
	depth, rounds := size(100, 1088), size(2, 10)
	dir := s.t.TempDir()
	s.nodes[0].open(s.badger(dir))
	s.Grow("genesis - r1 - r2 - r3")
	a, b := s.busy("r3", "a", 1, depth), s.busy("r3", "b", 1, depth+1)
	s.sync(a)
	s.sync(b)
	var first, last usage
	for round := 1; round <= rounds; round++ {
		n := depth + 2*round
		a = s.busy(a, "a", n-1, n)
		s.sync(a)
		b = s.busy(b, "b", n, n+1)
		s.sync(b)
		if last = s.nodes[0].usage(dir); round == 1 {
			first = last
		}
	}
	heap, disk := last.heap-first.heap, last.disk-first.disk
	s.t.Logf("%d reorganisations of %d blocks: %d kB of memory and %d kB of disk more than after three", 2*rounds+1, depth, heap>>10, disk>>10)
	if longRun() && (heap > moreHeap || disk > moreDisk) {
		s.t.Errorf("%d bytes of memory and %d of disk more, allowed are %d and %d", heap, disk, moreHeap, moreDisk)
	}

	reorganised := s.nodes[0].store.Sum()
	s.freshNodes()
	s.sync(b)
	if fresh := s.nodes[0].store.Sum(); fresh != reorganised {
		s.t.Errorf("a node that never saw the other branch has coins %v, not %v", fresh, reorganised)
	}
}

// What a node may grow by however often it reorganises, in bytes.
const (
	moreHeap = 16 << 20 // the memtable, whose size each opening draws (10 MB more or less), and some noise
	moreDisk = 32 << 20 // what Badger has not compacted yet
)

// usage is what a node takes up, in bytes.
type usage struct{ heap, disk int64 }

// usage closes the node's store for a moment, so that its files have their true
// length.
func (n *seat) usage(dir string) usage {
	n.s.t.Helper()
	for _, other := range n.s.nodes { // nobody else hears of the news
		other.Outbox()
		other.Changes()
	}
	n.s.check(n.store.Close())
	var u usage
	n.s.check(filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		u.disk += info.Size()
		return err
	}))
	n.open(n.s.badger(dir))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap = int64(m.HeapAlloc)
	return u
}

// undoEveryBlock takes all blocks of a random chain off, one by one, and puts
// them on again: at every height the coin sum is what it was when the chain grew.
// One node is on disk, so that undo data come back from bytes.
func undoEveryBlock(s *stage) {
	rng := rand.New(rand.NewPCG(136, 0))
	names := s.randomChain(rng, size(200, 5000))
	s.now = s.now.Add(30 * 24 * time.Hour) // the chain takes 35 days
	s.nodes[0].open(s.badger(s.t.TempDir()))
	sums := []consensus.CoinSum{{}}
	for _, name := range names {
		s.give(name)
		sums = append(sums, s.nodes[0].store.Sum())
	}
	last := names[len(names)-1]
	s.at(last)
	for _, n := range s.nodes {
		s.check(n.Invalidate(s.now, n.Lookup(s.Hash(names[0]))))
		n.stepwise(sums)
		if n.Tip().Height != 0 {
			s.t.Errorf("%s: the tip is at height %d, not at genesis", n.door, n.Tip().Height)
		}
		s.check(n.Reconsider(n.Lookup(s.Hash(names[0]))))
		n.stepwise(sums)
	}
	s.at(last)
}

// stepwise walks to the best branch and checks the coin sum at each step.
func (n *seat) stepwise(sums []consensus.CoinSum) {
	n.s.t.Helper()
	for n.step() {
		if height := n.Tip().Height; n.store.Sum() != sums[height] {
			n.s.t.Fatalf("%s: at height %d the coin sum is %v, was %v", n.door, height, n.store.Sum(), sums[height])
		}
	}
}

// missingBodies lets a peer show headers with more work than all others have, and
// announce a block, and withhold the bodies. Nobody else is held up by it.
//
//	genesis - a1 - a2 - a3 - a4 - a5
//	genesis - b1 - b2 - b3 - b4 - b5 - b6
func missingBodies(s *stage) {
	const limit = 10 * time.Second
	s.Grow(`
		genesis - a1 - a2 - a3 - a4
		genesis - b1..b6
	`)
	rng := rand.New(rand.NewPCG(138, 0))
	n := s.nodes[slices.IndexFunc(s.nodes, func(n *seat) bool { return n.door == "p2p" })]
	s.nodes = []*seat{n}
	s.accept("a2")

	attacker := n.join("b6")
	attacker.withholds = true
	n.wait(limit, rng, func() bool { return false }, attacker)
	if n.Lookup(s.Hash("b6")) == nil || n.hasBody(s.Hash("b1")) {
		s.t.Error("the node does not know the headers, or has a body that nobody sent")
	}
	s.at("a2")

	// The own branch goes on, by a peer that has it.
	honest := n.join("a4")
	if waited := n.wait(limit, rng, n.tipIs("a4"), attacker, honest); waited >= limit {
		s.t.Errorf("a block of another branch took %v", waited)
	}
	s.at("a4")

	// A block that the attacker announces, without the payment in it that nobody
	// else has, comes from the peer that has the block.
	s.Mine("a4", "a5", chaintest.Txs(s.spendTo(s.Coinbase("a1"), "bob")))
	attacker.say(p2p.NewAnnounce(s.Block("a5"), 1))
	n.talk(rng, attacker, honest)
	s.at("a4")
	second := n.join("a5")
	if waited := n.wait(limit, rng, n.tipIs("a5"), attacker, honest, second); waited >= limit {
		s.t.Errorf("a block that was announced and withheld took %v", waited)
	}
	s.at("a5")

	// And the heavy branch itself, as soon as anybody has it.
	third := n.join("b6")
	if waited := n.wait(limit, rng, n.tipIs("b6"), attacker, honest, second, third); waited >= limit {
		s.t.Errorf("the withheld branch took %v from a peer that has it", waited)
	}
	s.at("b6")
}

// randomOrders gives the same tree of blocks to nodes in random orders: on this
// machine in a random order, with those again that came before their parents;
// over the network from eight peers with random branches, of whom it is random
// who is heard next.
func randomOrders(s *stage) {
	rng := rand.New(rand.NewPCG(141, 0))
	names := s.randomTree(rng, size(100, 500))
	for range size(3, 30) {
		s.freshNodes()
		for _, n := range s.nodes {
			if n.door == "submit" {
				n.submitShuffled(rng, names)
			} else {
				n.hearShuffled(rng, names)
			}
			for _, name := range names {
				s.told[name] = true
			}
		}
		s.at("top")
	}
}

// randomTree mines blocks with payments, each on one of the last ten, and one
// more, named top, on the highest.
func (s *stage) randomTree(rng *rand.Rand, blocks int) []string {
	s.t.Helper()
	names := []string{chaintest.Genesis}
	highest := chaintest.Genesis
	for len(names) < blocks {
		parent := names[max(0, len(names)-1-rng.IntN(10))]
		name := fmt.Sprint("x", len(names))
		s.mineBusy(parent, name)
		if s.Index(name).Height > s.Index(highest).Height {
			highest = name
		}
		names = append(names, name)
	}
	s.mineBusy(highest, "top")
	return append(names[1:], "top")
}

// submitShuffled submits the named blocks in a random order. Those whose parent
// is not there yet come again in the next round.
func (n *seat) submitShuffled(rng *rand.Rand, names []string) {
	n.s.t.Helper()
	left := slices.Clone(names)
	rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	for len(left) > 0 {
		var early []string
		for _, name := range left {
			if rule := n.take(n.s.Block(name)); rule != nil {
				n.s.wantRule(n.door, rule, consensus.ErrPrevNotFound, consensus.Temporary)
				early = append(early, name)
			}
		}
		if len(early) == len(left) {
			n.s.t.Fatalf("%s: none of %d blocks was taken", n.door, len(left))
		}
		left = early
	}
}

// hearShuffled connects eight peers, which stand at random blocks, one of them at
// the top. Each of the named blocks is told by one of them, whole or as an
// announcement, whether the node knows the parent or not.
func (n *seat) hearShuffled(rng *rand.Rand, names []string) {
	n.s.t.Helper()
	peers := []*remote{n.join("top")}
	for len(peers) < 8 {
		peers = append(peers, n.join(names[rng.IntN(len(names))]))
	}
	for _, i := range rng.Perm(len(names)) {
		block, peer := n.s.Block(names[i]), peers[rng.IntN(len(peers))]
		peer.bodies[block.Hash()] = block
		if rng.IntN(2) == 0 {
			peer.say(&p2p.Block{Block: block})
		} else {
			peer.say(p2p.NewAnnounce(block, rng.Uint64()))
		}
	}
	n.wait(time.Minute, rng, n.tipIs("top"), peers...)
	for _, peer := range peers {
		n.Disconnected(n.s.now, peer.id)
	}
}
