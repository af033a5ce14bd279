package p2p_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// puppet is a peer without an engine: it greets, answers pings, knows of no headers,
// and says what the test lets it say.
type puppet struct {
	*virtual.Host
	w   *world
	out []p2p.Outgoing

	asked  int              // for headers
	ids    *p2p.MempoolIDs  // the last ones
	got    []consensus.Hash // wtxids of payments
	bodies int
	parts  int
	absent []consensus.Hash // bodies that the node said are not there
	done   int              // TxsDone
	wanted []consensus.Hash // payments that the node asked for by hash, last
	again  p2p.Msg          // said at each of them; nil: nothing
}

// puppets are peers of a node; the node dials.
func (w *world) puppets(n *node, ids ...string) (list []*puppet) {
	for _, id := range ids {
		p := &puppet{w: w}
		p.Host = w.Add(p2p.PeerID(id), p)
		w.Link(n, p, virtual.Shape{Delay: 10 * time.Millisecond})
		list = append(list, p)
	}
	w.run(time.Second)
	return list
}

// says lets the puppet speak, and waits for the answer.
func (p *puppet) says(to *node, msgs ...p2p.Msg) {
	for _, m := range msgs {
		p.out = append(p.out, p2p.Outgoing{To: to.ID, Msg: m})
	}
	p.w.Settle(p)
	p.w.run(100 * time.Millisecond)
}

func (p *puppet) Connected(now time.Time, peer p2p.Peer) {
	p.out = append(p.out, p2p.Outgoing{To: peer.ID, Msg: &p2p.Hello{
		Version: p2p.Version, Genesis: p.w.params.GenesisHash(), Nonce: 1, Tip: p.w.params.GenesisHash(), Time: now.Unix(), Agent: "/puppet/",
	}})
}

func (p *puppet) Receive(_ time.Time, from p2p.PeerID, m p2p.Msg, _ bool) (p2p.Verdict, error) {
	switch m := m.(type) {
	case *p2p.Ping:
		p.out = append(p.out, p2p.Outgoing{To: from, Msg: &p2p.Pong{Nonce: m.Nonce}})
	case *p2p.GetHeaders:
		p.asked++
		p.out = append(p.out, p2p.Outgoing{To: from, Msg: &p2p.Headers{}})
	case *p2p.MempoolIDs:
		p.ids = m
	case *p2p.Block:
		p.bodies++
	case *p2p.BlockTxs:
		p.parts++
	case *p2p.NotFound:
		p.absent = append(p.absent, m.Hashes...)
	case *p2p.GetTxs:
		p.wanted = m.Hashes
	case *p2p.Tx:
		p.got = append(p.got, m.Tx.WTxID())
	case *p2p.TxsDone:
		if p.done++; p.again != nil {
			p.out = append(p.out, p2p.Outgoing{To: from, Msg: p.again})
		}
	}
	return p2p.Ignore, nil
}

func (p *puppet) Disconnected(time.Time, p2p.PeerID)          {}
func (p *puppet) Tick(time.Time) error                        { return nil }
func (p *puppet) Advance(time.Time, consensus.Verifier) error { return nil }
func (p *puppet) Drops() []p2p.Drop                           { return nil }
func (p *puppet) Outbox() (out []p2p.Outgoing)                { out, p.out = p.out, nil; return out }

// played is a world with a transcript, a node and the puppets p and q.
func played(t *testing.T, seed uint64) (w *world, n *node, p, q *puppet) {
	w = newWorld(t, seed)
	w.script = new(strings.Builder)
	n = w.add("n")
	list := w.puppets(n, "p", "q")
	return w, n, list[0], list[1]
}

func TestTranscriptMissingTxs(t *testing.T) {
	w, n, p, q := played(t, 61)
	known, one, two := loose(1, 0), loose(2, 0), loose(3, 0)
	n.addTx(known)
	w.chain.Mine("genesis", "a1", holding(known, one, two))
	a1 := w.chain.Hash("a1")
	missing := &p2p.BlockTxs{Block: a1, Txs: []*consensus.Tx{one, two}}

	w.say("p announces a block of which n lacks two payments, and does not have them; q announces it as well")
	p.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	p.says(n, &p2p.NotFound{Hashes: []consensus.Hash{a1}})
	q.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 2))
	q.says(n, missing)
	w.until(0, "n at the tip", allAt(a1, n))

	w.say("a block whose short ids q made up: what q sends does not fit, so the whole block is asked for")
	w.chain.Mine("a1", "a2", holding(loose(4, 0)))
	a2 := w.chain.Hash("a2")
	q.says(n, p2p.NewAnnounce(w.chain.Block("a2"), 3))
	q.says(n, &p2p.BlockTxs{Block: a2, Txs: []*consensus.Tx{loose(99, 0)}})
	w.say("q does not have it either; p, which announces it now, is asked")
	q.says(n, &p2p.NotFound{Hashes: []consensus.Hash{a2}})
	p.says(n, p2p.NewAnnounce(w.chain.Block("a2"), 4))
	p.says(n, &p2p.NotFound{Hashes: []consensus.Hash{a2}})
	w.say("after five seconds whoever lacked it is asked again, for the whole block")
	w.run(6 * time.Second)
	q.says(n, &p2p.Block{Block: w.chain.Block("a2")})
	p.says(n, &p2p.Block{Block: w.chain.Block("a2")})
	w.until(0, "n at the tip", allAt(a2, n))
	w.blameless(n)
	w.golden()
}

func TestTranscriptRefusal(t *testing.T) {
	w, n, p, q := played(t, 62)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	a1 := w.chain.Hash("a1")
	w.say("both announce a block; p is asked for what is missing, and refuses: q is asked for the whole block at once")
	p.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	q.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 2))
	p.says(n, &p2p.NotFound{Hashes: []consensus.Hash{a1}})
	q.says(n, &p2p.Block{Block: w.chain.Block("a1")})
	w.until(0, "n at the tip", allAt(a1, n))
	w.blameless(n)
	w.golden()
}

func TestTranscriptStall(t *testing.T) {
	w, n, p, q := played(t, 63)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	a1 := w.chain.Hash("a1")
	w.say("both announce a block; p is asked for what is missing, and says nothing: after two seconds q is asked for the whole block")
	p.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	q.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 2))
	w.until(2100*time.Millisecond, "q is asked", func() bool { return len(n.info("q").InFlight) == 1 })
	w.run(10 * time.Millisecond)
	q.says(n, &p2p.Block{Block: w.chain.Block("a1")})
	w.until(0, "n at the tip", allAt(a1, n))
	w.say("p wakes up: what it sends is of no use any more")
	p.says(n, &p2p.BlockTxs{Block: a1, Txs: []*consensus.Tx{loose(1, 0)}})
	w.golden()
}

func TestTranscriptBlockFirst(t *testing.T) {
	w, n, p, q := played(t, 66)
	inside, outside := loose(1, 0), loose(2, 0)
	w.chain.Mine("genesis", "a1", holding(inside))
	a1 := w.chain.Hash("a1")
	w.say("p announces a block of which n lacks a payment; q offers that payment and another: neither is asked for")
	p.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	q.says(n, &p2p.Offer{WTxIDs: []consensus.Hash{inside.WTxID(), outside.WTxID()}})
	w.say("with the block they are: n does not know by which name the block holds them")
	p.says(n, &p2p.BlockTxs{Block: a1, Txs: []*consensus.Tx{inside}})
	w.until(0, "n at the tip", allAt(a1, n))
	w.until(time.Second, "q is asked", func() bool { return len(q.wanted) == 2 })
	q.says(n, &p2p.Tx{Tx: outside}, &p2p.TxsDone{})
	w.until(0, "n has it", everywhere([]*node{n}, outside))

	w.say("p announces another, and does not send what is missing: payments wait for two seconds")
	w.chain.Mine("a1", "a2", holding(loose(3, 0)))
	p.says(n, p2p.NewAnnounce(w.chain.Block("a2"), 2))
	q.wanted = nil
	q.says(n, &p2p.Offer{WTxIDs: []consensus.Hash{loose(4, 0).WTxID()}})
	w.run(1700 * time.Millisecond)
	if len(q.wanted) > 0 {
		t.Error("q was asked for a payment while a block was awaited")
	}
	w.until(500*time.Millisecond, "q is asked", func() bool { return len(q.wanted) == 1 })
	w.golden()
}

func TestTranscriptOrphanHeader(t *testing.T) {
	w, n, p, q := played(t, 64)
	w.chain.Grow("genesis - a1..a3 - a4")
	var headers []consensus.Header
	for _, block := range w.chain.Path("a3") {
		headers = append(headers, block.Header)
	}
	w.run(5 * time.Second) // until n has asked for news, as it does two seconds after a hello
	w.say("p announces a block whose parent n has not heard of: n asks for what leads to it, and not twice at once")
	p.says(n, p2p.NewAnnounce(w.chain.Block("a3"), 1), p2p.NewAnnounce(w.chain.Block("a4"), 2))
	w.say("p knew of nothing then; for the second announcement n asks again when a second is over")
	w.until(1200*time.Millisecond, "n asks again", func() bool { return p.asked == 3 })
	p.says(n, &p2p.Headers{Headers: headers})
	for _, block := range w.chain.Path("a3") {
		p.says(n, &p2p.Block{Block: block})
	}
	w.until(0, "n at a3", allAt(w.chain.Hash("a3"), n))
	w.say("q announces the next one, which follows")
	q.says(n, p2p.NewAnnounce(w.chain.Block("a4"), 3))
	w.until(0, "n at a4", allAt(w.chain.Hash("a4"), n))
	w.golden()
}

func TestTranscriptOrphanTx(t *testing.T) {
	w, n, p, q := played(t, 65)
	parent := loose(1, 0)
	child := childOf(parent)
	w.say("p sends a child, and is asked for the parent; with it both are offered to q")
	p.says(n, &p2p.Tx{Tx: child})
	p.says(n, &p2p.Tx{Tx: parent}, &p2p.TxsDone{})
	w.until(0, "n has both", everywhere([]*node{n}, parent, child))
	q.says(n, &p2p.GetTxs{Hashes: []consensus.Hash{parent.WTxID(), child.WTxID()}})

	parent = loose(2, 0)
	child = childOf(parent)
	w.say("p sends a child, and lacks the parent; q sends the child as well, eleven seconds later, and is asked")
	p.says(n, &p2p.Tx{Tx: child})
	p.says(n, &p2p.TxsDone{})
	w.run(11 * time.Second)
	q.says(n, &p2p.Tx{Tx: child})
	q.says(n, &p2p.Tx{Tx: parent}, &p2p.TxsDone{})
	w.until(0, "n has both", everywhere([]*node{n}, parent, child))
	w.blameless(n)
	w.golden()
}

// blameless makes sure that nobody has points with a node.
func (w *world) blameless(n *node) {
	w.t.Helper()
	for _, p := range n.engine.Peers() {
		if p.Score != 0 {
			w.t.Errorf("%s has %d points", p.ID, p.Score)
		}
	}
}
