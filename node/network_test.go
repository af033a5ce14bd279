package node_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/storage"
)

func TestBlocksAndPaymentsReachEveryNode(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	w := newWorld(t, c.Params, 1, 4)
	for i := range w.Nodes { // a ring
		w.link(w.Nodes[i], w.Nodes[(i+1)%len(w.Nodes)])
	}
	w.submit(w.Nodes[0], c.Path("a101")...)
	w.until(time.Minute, "all nodes on a101", func() bool { return w.agree(c.Hash("a101")) })

	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	w.check(w.Pay(w.Nodes[2], pay))
	w.until(time.Minute, "the payment in every mempool", func() bool {
		for _, r := range w.Nodes {
			if !r.InMempool(pay.TxID()) {
				return false
			}
		}
		return true
	})

	w.submit(w.Nodes[1], c.Mine("a101", "a102", chaintest.Txs(pay)))
	w.until(time.Minute, "all nodes on a102", func() bool { return w.agree(c.Hash("a102")) })
	for _, r := range w.Nodes {
		if r.InMempool(pay.TxID()) {
			t.Errorf("%s keeps a confirmed payment in its mempool", r.ID)
		}
	}
}

func TestLateNodeSyncs2000Blocks(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a2000")
	w := newWorld(t, c.Params, 2, 3)
	w.link(w.Nodes[0], w.Nodes[1])
	w.link(w.Nodes[1], w.Nodes[2])
	w.submit(w.Nodes[0], c.Path("a2000")...)
	w.until(5*time.Minute, "three nodes on a2000", func() bool { return w.agree(c.Hash("a2000")) })

	late := w.add(storage.OpenMemory(c.Params, true))
	w.link(late, w.Nodes[0])
	w.link(late, w.Nodes[2])
	began := w.Now
	w.until(5*time.Minute, "the late node on a2000", func() bool { return w.agree(c.Hash("a2000")) })
	t.Logf("2,000 blocks synced in %v of virtual time", w.Now.Sub(began))
}
