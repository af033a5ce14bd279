package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// TestPaymentsWaitForABlock: while an announced block lacks a payment, what comes by stream
// waits, and what gossip brings is judged as ever, since it goes on by the verdict. When the
// block is in the rest is judged; where it is withheld, after two seconds.
func TestPaymentsWaitForABlock(t *testing.T) {
	for _, withheld := range []bool{false, true} {
		b := newBench(t, consensus.Regtest())
		c := chaintest.New(t, b.Params)
		c.Grow("genesis - a1..a103")
		pay := func(height string) *consensus.Tx {
			return c.Pay(chaintest.From(c.Coinbase(height)), chaintest.To("bob", 49*chaintest.Coins))
		}
		inside, pulled, gossiped := pay("a1"), pay("a2"), pay("a3")
		c.Mine("a103", "b104", chaintest.Txs(inside))
		b.submit(b.victim, c.Path("a103")...)
		peer := newBait("peer", nil, b.genesis())
		b.meet(peer, 0, true)
		b.listen()
		hear := func(m p2p.Msg, gossip bool) p2p.Verdict {
			t.Helper()
			verdict, err := b.victim.Receive(b.Now, peer.id, m, gossip)
			b.check(err)
			return verdict
		}
		hear(p2p.NewAnnounce(c.Block("b104"), 1), false)
		b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
		if v := hear(&p2p.Tx{Tx: pulled}, false); v != p2p.Ignore || b.victim.InMempool(pulled.TxID()) {
			t.Errorf("a payment that was pulled was judged: %v", v)
		}
		if v := hear(&p2p.Tx{Tx: gossiped}, true); v != p2p.Accept || !b.victim.InMempool(gossiped.TxID()) {
			t.Errorf("a payment from gossip was not judged: %v", v)
		}
		hear(&p2p.Tx{Tx: inside}, false) // confirmed before its turn comes
		if withheld {
			b.Now = b.Now.Add(1900 * time.Millisecond)
			b.check(b.victim.Tick(b.Now))
			if b.victim.InMempool(pulled.TxID()) {
				t.Error("it did not wait")
			}
			b.Now = b.Now.Add(200 * time.Millisecond)
			b.check(b.victim.Tick(b.Now))
		} else {
			hear(&p2p.BlockTxs{Block: c.Hash("b104"), Txs: []*consensus.Tx{inside}}, false)
			b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
			if b.victim.Tip().Hash != c.Hash("b104") {
				t.Fatalf("the tip is %v", b.victim.Tip())
			}
		}
		if !b.victim.InMempool(pulled.TxID()) || b.victim.InMempool(inside.TxID()) == !withheld {
			t.Errorf("withheld %v: pulled %v, inside %v", withheld, b.victim.InMempool(pulled.TxID()), b.victim.InMempool(inside.TxID()))
		}
	}
}

// TestNoRoomToWait: what finds no room among those that wait for a block is judged at once,
// and they are judged in several calls.
func TestNoRoomToWait(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a102")
	const payments, room, batch = 450, 400, 64
	outputs := make([]chaintest.Output, payments)
	for i := range outputs {
		outputs[i] = chaintest.To("alice", 100_000)
	}
	fan := c.Pay(chaintest.From(c.Coinbase("a1")), outputs...)
	c.Mine("a102", "b103", chaintest.Txs(fan))
	c.Mine("b103", "w104", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a2")), chaintest.To("bob", chaintest.Coins))))
	b.submit(b.victim, c.Path("b103")...)
	peer := newBait("peer", nil, b.genesis())
	b.meet(peer, 0, true)
	b.listen()
	_, err := b.victim.Receive(b.Now, peer.id, p2p.NewAnnounce(c.Block("w104"), 1), false)
	b.check(err)
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	for i := range payments {
		_, err := b.victim.Receive(b.Now, peer.id, &p2p.Tx{Tx: c.Pay(chaintest.From(c.Out(fan, uint32(i))), chaintest.To("bob", 90_000))}, false)
		b.check(err)
	}
	for _, want := range []int{payments - room, payments - room + batch, payments - room + 2*batch} {
		if got := len(b.victim.Mempool()); got != want {
			t.Errorf("%d are in the mempool, want %d", got, want)
		}
		b.Now = b.Now.Add(2100 * time.Millisecond)
		b.check(b.victim.Tick(b.Now))
	}
}

// TestHeavyPaymentsWait: payments that waited are judged as many at once as one may weigh,
// each of them once, and those of a peer that broke the rules not at all.
func TestHeavyPaymentsWait(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a105")
	heavy := func(height string) *consensus.Tx {
		outputs := make([]chaintest.Output, 1300) // more than half of what one may weigh
		for i := range outputs {
			outputs[i] = chaintest.To("bob", 1000)
		}
		return c.Pay(chaintest.From(c.Coinbase(height)), outputs...)
	}
	light := func(height string) *consensus.Tx {
		return c.Pay(chaintest.From(c.Coinbase(height)), chaintest.To("bob", 49*chaintest.Coins))
	}
	one, two, bad, after := heavy("a1"), heavy("a2"), light("a3"), light("a4")
	bad.Inputs[0].Witness[0][40] ^= 1
	c.Mine("a105", "w106", chaintest.Txs(light("a5")))
	b.submit(b.victim, c.Path("a105")...)
	honest, rude := newBait("honest", nil, b.genesis()), newBait("rude", nil, b.genesis())
	b.meet(honest, 0, true)
	b.meet(rude, 0, true)
	b.listen()
	_, err := b.victim.Receive(b.Now, honest.id, p2p.NewAnnounce(c.Block("w106"), 1), false)
	b.check(err)
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	for _, tx := range []*consensus.Tx{one, one, two} {
		_, err := b.victim.Receive(b.Now, honest.id, &p2p.Tx{Tx: tx}, false)
		b.check(err)
	}
	for _, tx := range []*consensus.Tx{bad, after} {
		_, err := b.victim.Receive(b.Now, rude.id, &p2p.Tx{Tx: tx}, false)
		b.check(err)
	}
	for tick, want := range [][]*consensus.Tx{{one}, {one, two}, {one, two}} {
		b.Now = b.Now.Add(2100 * time.Millisecond)
		b.check(b.victim.Tick(b.Now))
		for _, tx := range []*consensus.Tx{one, two, bad, after} {
			if in := b.victim.InMempool(tx.TxID()); in != slices.Contains(want, tx) {
				t.Errorf("tick %d: payment of weight %d is in the mempool: %v", tick, tx.Weight(), in)
			}
		}
	}
}

// TestRepeatedAnnouncement: whoever repeats the announcement of a block, and does not send
// what is missing, does not keep it from being asked for elsewhere.
func TestRepeatedAnnouncement(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a102")
	c.Mine("a102", "w103", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", chaintest.Coins))))
	b.submit(b.victim, c.Path("a102")...)
	thief, honest := newBait("thief", nil, b.genesis()), newBait("honest", nil, b.genesis())
	b.meet(thief, 0, true)
	b.meet(honest, 0, true)
	b.listen()
	announce := func(from *bait) {
		t.Helper()
		_, err := b.victim.Receive(b.Now, from.id, p2p.NewAnnounce(c.Block("w103"), 1), false)
		b.check(err)
	}
	announce(thief)
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	announce(honest)
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	b.victim.Outbox()
	asked := false
	for wait := time.Duration(0); !asked; wait += 200 * time.Millisecond {
		if wait > 2400*time.Millisecond {
			t.Fatal("nobody else was asked for the block")
		}
		b.Now = b.Now.Add(200 * time.Millisecond)
		announce(thief)
		b.check(b.victim.Tick(b.Now))
		for _, out := range b.victim.Outbox() {
			_, ok := out.Msg.(*p2p.GetBlocks)
			asked = asked || ok && out.To == honest.id
		}
	}
}
