package node_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/storage"
)

// submit gives a node blocks as its own miner would.
func (w *world) submit(r *resident, blocks ...*consensus.Block) {
	w.t.Helper()
	for _, block := range blocks {
		_, err := r.SubmitBlock(w.now, block)
		w.check(err)
		w.flush(r)
	}
}

// agree reports whether all nodes have the named tip and the same coins.
func (w *world) agree(hash consensus.Hash) bool {
	for _, r := range w.nodes {
		if r.Tip().Hash != hash || r.store.Sum() != w.nodes[0].store.Sum() {
			return false
		}
	}
	return true
}

func TestBlocksAndPaymentsReachEveryNode(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	w := newWorld(t, c.Params, 1, 4)
	for i := range w.nodes { // a ring
		w.link(w.nodes[i], w.nodes[(i+1)%len(w.nodes)])
	}
	w.submit(w.nodes[0], c.Path("a101")...)
	w.until(time.Minute, "all nodes on a101", func() bool { return w.agree(c.Hash("a101")) })

	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	_, err := w.nodes[2].SubmitTx(w.now, pay)
	w.check(err)
	w.flush(w.nodes[2])
	w.until(time.Minute, "the payment in every mempool", func() bool {
		for _, r := range w.nodes {
			if !r.InMempool(pay.TxID()) {
				return false
			}
		}
		return true
	})

	w.submit(w.nodes[1], c.Mine("a101", "a102", chaintest.Txs(pay)))
	w.until(time.Minute, "all nodes on a102", func() bool { return w.agree(c.Hash("a102")) })
	for _, r := range w.nodes {
		if r.InMempool(pay.TxID()) {
			t.Errorf("node%d keeps a confirmed payment in its mempool", r.number)
		}
	}
}

func TestLateNodeSyncs2000Blocks(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a2000")
	w := newWorld(t, c.Params, 2, 3)
	w.link(w.nodes[0], w.nodes[1])
	w.link(w.nodes[1], w.nodes[2])
	w.submit(w.nodes[0], c.Path("a2000")...)
	w.until(5*time.Minute, "three nodes on a2000", func() bool { return w.agree(c.Hash("a2000")) })

	late := w.add(storage.OpenMemory(c.Params, true))
	w.link(late, w.nodes[0])
	w.link(late, w.nodes[2])
	began := w.now
	w.until(5*time.Minute, "the late node on a2000", func() bool { return w.agree(c.Hash("a2000")) })
	t.Logf("2,000 blocks synced in %v of virtual time", w.now.Sub(began))
}

func TestPartitionHeals(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a110")
	w := newWorld(t, c.Params, 3, 4)
	n := w.nodes
	all := [][2]int{{0, 1}, {2, 3}, {0, 2}, {1, 3}}
	for _, l := range all {
		w.link(n[l[0]], n[l[1]])
	}
	w.submit(n[0], c.Path("a110")...)
	w.until(time.Minute, "a common start", func() bool { return w.agree(c.Hash("a110")) })

	// Cut: 0 and 1 on one side, 2 and 3 on the other.
	w.cut(n[0], n[2])
	w.cut(n[1], n[3])
	w.sides = []int{0, 0, 1, 1}
	w.across = 0
	left := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("left", 49*chaintest.Coins))
	right := c.Pay(chaintest.From(c.Coinbase("a2")), chaintest.To("right", 49*chaintest.Coins))
	waiting := c.Pay(chaintest.From(c.Coinbase("a3")), chaintest.To("waiting", 49*chaintest.Coins))
	for i, tx := range []*consensus.Tx{left, right, waiting} {
		_, err := n[[]int{0, 2, 3}[i]].SubmitTx(w.now, tx)
		w.check(err)
		w.flush(n[[]int{0, 2, 3}[i]])
	}
	c.Mine("a110", "l1", chaintest.Txs(left))
	c.Grow("l1 - l2 - l3")
	c.Mine("a110", "r1", chaintest.Txs(right))
	c.Grow("r1 - r2 - r3 - r4")
	w.submit(n[1], c.Block("l1"), c.Block("l2"), c.Block("l3"))
	w.submit(n[2], c.Block("r1"), c.Block("r2"), c.Block("r3"), c.Block("r4"))
	w.run(time.Minute)
	if n[0].Tip().Hash != c.Hash("l3") || n[3].Tip().Hash != c.Hash("r4") {
		t.Fatalf("the sides stand at %s and %s", c.Name(n[0].Tip().Hash), c.Name(n[3].Tip().Hash))
	}
	if w.across != 0 {
		t.Fatalf("%d messages went across the cut", w.across)
	}

	w.sides = []int{0, 0, 0, 0}
	w.link(n[0], n[2])
	w.link(n[3], n[1])
	w.until(30*time.Second, "one tip after healing", func() bool { return w.agree(c.Hash("r4")) })
	w.until(time.Minute, "the payments of both sides in every mempool or block", func() bool {
		for _, r := range n {
			if r.InMempool(right.TxID()) || !r.InMempool(left.TxID()) || !r.InMempool(waiting.TxID()) {
				return false
			}
		}
		return true
	})
}

func TestSameSeedSameWorld(t *testing.T) {
	tips := func() (string, time.Time) {
		c := chaintest.New(t, consensus.Regtest())
		c.Grow("genesis - a1..a30")
		w := newWorld(t, c.Params, 7, 3)
		w.link(w.nodes[0], w.nodes[1])
		w.link(w.nodes[1], w.nodes[2])
		w.submit(w.nodes[0], c.Path("a30")...)
		w.until(time.Minute, "one tip", func() bool { return w.agree(c.Hash("a30")) })
		return w.nodes[2].Tip().Hash.String(), w.now
	}
	hash1, at1 := tips()
	hash2, at2 := tips()
	if hash1 != hash2 || !at1.Equal(at2) {
		t.Errorf("two runs of one seed differ: %s at %v, %s at %v", hash1, at1, hash2, at2)
	}
}
