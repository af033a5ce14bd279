package p2p_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

func allAt(hash consensus.Hash, nodes ...*node) func() bool {
	return func() bool {
		for _, n := range nodes {
			if n.tree.Tip().Hash != hash {
				return false
			}
		}
		return true
	}
}

func TestLateJoinerSyncsFromAll(t *testing.T) {
	w := newWorld(t, 1)
	w.chain.Grow("genesis - a1..a2100")
	a, b, c := w.add("a"), w.add("b"), w.add("c")
	for _, n := range []*node{a, b, c} {
		n.give(w.chain.Path("a2100")...)
	}
	late := w.add("late")
	for _, n := range []*node{a, b, c} {
		w.link(late, n)
	}
	w.until(20*time.Second, "the late joiner at the tip", allAt(w.chain.Hash("a2100"), late))
	if n := late.told["Headers"]; n < 2 || n > 5 {
		t.Errorf("%d Headers came: the bulk is not asked from one peer only", n)
	}
	for _, n := range []*node{a, b, c} {
		if n.told["GetBlocks"] < 10 {
			t.Errorf("%s was asked for bodies %d times only", n.ID, n.told["GetBlocks"])
		}
	}
	if n := late.told["Block"]; n != 2100 {
		t.Errorf("%d bodies came, not 2100 once each", n)
	}
	if len(late.Dropped)+len(a.Dropped)+len(b.Dropped)+len(c.Dropped) > 0 {
		t.Error("somebody was dropped")
	}
}

func TestPartitionHeals(t *testing.T) {
	w := newWorld(t, 2)
	w.chain.Grow("genesis - l1..l30\n genesis - r1..r31")
	a, b, c, d := w.add("a"), w.add("b"), w.add("c"), w.add("d")
	w.link(a, b)
	w.link(c, d)
	w.run(time.Second)
	left, right := loose(1, 0), loose(2, 0)
	for i, block := range w.chain.Path("l30") {
		w.After(time.Duration(i)*time.Second, func() { a.give(block) })
	}
	for i, block := range w.chain.Path("r31") {
		w.After(time.Duration(i)*time.Second, func() { d.give(block) })
	}
	a.pay(left)
	d.pay(right)
	w.run(40 * time.Second)
	if !allAt(w.chain.Hash("l30"), a, b)() || !allAt(w.chain.Hash("r31"), c, d)() {
		t.Fatal("the sides are not each at their own tip")
	}
	w.link(b, c)
	w.until(5*time.Second, "one tip", allAt(w.chain.Hash("r31"), a, b, c, d))
	w.until(60*time.Second, "every payment everywhere", func() bool {
		for _, n := range []*node{a, b, c, d} {
			if n.pool[left.WTxID()] == nil || n.pool[right.WTxID()] == nil {
				return false
			}
		}
		return true
	})
}

// TestBlockBetweenHellos: a block found after the hello that it is missing from,
// and before the peer may be talked to, is not announced to it. It asks soon.
func TestBlockBetweenHellos(t *testing.T) {
	w := newWorld(t, 5)
	w.chain.Grow("genesis - b1")
	miner, joiner := w.add("miner"), w.add("joiner")
	miner.mute = func(out p2p.Outgoing) bool { return out.To == p2p.Everyone } // no mesh yet
	w.link(joiner, miner)
	miner.give(w.chain.Block("b1"))
	w.until(3*time.Second, "the joiner has the block", allAt(w.chain.Hash("b1"), joiner))
}

// TestLongForkIsSynced: the better branch needs more than one Headers, and ends
// below our own best header for the first of them.
func TestLongForkIsSynced(t *testing.T) {
	w := newWorld(t, 3)
	w.chain.Grow("genesis - a1..a2050\n genesis - b1..b2060")
	a, b := w.add("a"), w.add("b")
	a.give(w.chain.Path("a2050")...)
	b.give(w.chain.Path("b2060")...)
	w.link(a, b)
	w.until(20*time.Second, "the longer branch", allAt(w.chain.Hash("b2060"), a, b))
}

func TestStalledPeer(t *testing.T) {
	w := newWorld(t, 4)
	w.chain.Grow("genesis - a1..a200")
	good, mute, late := w.add("good"), w.add("mute"), w.add("late")
	good.give(w.chain.Path("a200")...)
	mute.give(w.chain.Path("a200")...)
	mute.mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "Block" }
	w.link(late, mute)
	w.run(time.Second) // it is asked first, and alone
	w.link(late, good)
	w.until(5*time.Second, "the bodies from the other peer", allAt(w.chain.Hash("a200"), late))
	w.run(3 * time.Minute)
	if len(late.Dropped) > 0 {
		t.Error("dropped, though its requests were taken back:", late.Dropped)
	}
}

// withHeaders is a peer of the victim, who knows from it the headers of a path and has
// asked it alone for the first bodies.
func (w *world) withHeaders(victim *node, id string, path []*consensus.Block) *puppet {
	p := w.puppets(victim, id)[0]
	m := &p2p.Headers{}
	for _, b := range path {
		m.Headers = append(m.Headers, b.Header)
	}
	p.says(victim, m)
	return p
}

// trickle lets a peer send one body each 1.5 s of those that it owes, the last one
// first, and never the first.
func (p *puppet) trickle(victim *node, path []*consensus.Block) {
	p.w.run(1400 * time.Millisecond)
	if owes := victim.info(string(p.ID)).InFlight; len(owes) > 0 && owes[len(owes)-1] != 1 {
		p.says(victim, &p2p.Block{Block: path[owes[len(owes)-1]-1]})
	}
}

// TestTrickle: a peer that answers its other requests, one each 1.5 s, but never the
// lowest, stalls all the same: the bodies come from another peer.
func TestTrickle(t *testing.T) {
	w := newWorld(t, 10)
	w.chain.Grow("genesis - a1..a60")
	victim, honest := w.add("victim"), w.add("honest")
	honest.give(w.chain.Path("a60")...)
	trickler := w.withHeaders(victim, "trickler", w.chain.Path("a60"))
	w.link(victim, honest)
	began := w.Now
	for !allAt(w.chain.Hash("a60"), victim)() && w.Now.Sub(began) < time.Minute {
		trickler.trickle(victim, w.chain.Path("a60"))
	}
	if took := w.Now.Sub(began); took > 10*time.Second {
		t.Errorf("all bodies after %v", took)
	}
}

// TestTricklerIsDropped: where nobody else has them, it is dropped when the lowest is
// two minutes late, though something came from it all the time.
func TestTricklerIsDropped(t *testing.T) {
	w := newWorld(t, 11)
	w.chain.Grow("genesis - a1..a200")
	victim := w.add("victim")
	trickler := w.withHeaders(victim, "trickler", w.chain.Path("a200"))
	began := w.Now
	for len(victim.Dropped) == 0 && w.Now.Sub(began) < 5*time.Minute {
		trickler.trickle(victim, w.chain.Path("a200"))
	}
	if took := w.Now.Sub(began); len(victim.Dropped) != 1 || victim.Dropped[0].Reason != "no block within 2m0s" || took > 2*time.Minute+2*time.Second {
		t.Errorf("after %v: %v", took, victim.Dropped)
	}
}

// TestSlowPeer: who sends one body each 1.5 s, in the order asked for, is slow and
// nothing else: nobody else is asked for what it is sending.
func TestSlowPeer(t *testing.T) {
	w := newWorld(t, 12)
	w.chain.Grow("genesis - a1..a16")
	path := w.chain.Path("a16")
	victim, honest := w.add("victim"), w.add("honest")
	honest.give(path...)
	slow := w.withHeaders(victim, "slow", path)
	w.link(victim, honest)
	for _, b := range path {
		w.run(1400 * time.Millisecond)
		slow.says(victim, &p2p.Block{Block: b})
	}
	w.until(0, "the tip", allAt(w.chain.Hash("a16"), victim))
	if n := honest.told["GetBlocks"]; n != 0 {
		t.Errorf("the other peer was asked %d times", n)
	}
}

func TestSilentPeerIsDropped(t *testing.T) {
	w := newWorld(t, 5)
	w.chain.Grow("genesis - a1..a20")
	mute, late := w.add("mute"), w.add("late")
	mute.give(w.chain.Path("a20")...)
	mute.mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "Block" }
	w.link(late, mute)
	w.run(3 * time.Minute)
	if len(late.Dropped) != 1 || late.Dropped[0].Reason != "no block within 2m0s" {
		t.Error("drops:", late.Dropped)
	}
}

func TestHeadersFromSilentPeer(t *testing.T) {
	w := newWorld(t, 6)
	w.chain.Grow("genesis - a1..a20")
	mute, good, late := w.add("mute"), w.add("good"), w.add("late")
	mute.give(w.chain.Path("a20")...)
	good.give(w.chain.Path("a19")...)
	mute.mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "Headers" }
	w.link(late, mute)
	w.link(late, good)
	w.until(15*time.Second, "headers from the other peer", allAt(w.chain.Hash("a19"), late))
	w.until(30*time.Second, "the silent one dropped", func() bool { return len(late.Dropped) == 1 })
}

// TestUnservedBranch: the best header's bodies are withheld by all; the next
// best branch is followed meanwhile (conformance 138).
func TestUnservedBranch(t *testing.T) {
	w := newWorld(t, 7)
	w.chain.Grow("genesis - a1..a40\n genesis - b1..b30")
	mute, good, late := w.add("mute"), w.add("good"), w.add("late")
	mute.give(w.chain.Path("a40")...)
	mute.mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "Block" }
	good.give(w.chain.Path("b30")...)
	w.link(late, mute)
	w.run(time.Second)
	w.link(late, good)
	w.chain.Grow("b30 - b31")
	w.run(time.Second)
	good.give(w.chain.Block("b31"))
	w.until(10*time.Second, "the branch that is served", allAt(w.chain.Hash("b31"), late))
}

// A peer that comes while the best header's bodies are withheld, and has a branch
// with less work than that header but more than the tip, need not mine to be
// heard.
func TestPeerWithALesserBranch(t *testing.T) {
	w := newWorld(t, 8)
	w.chain.Grow("genesis - a1..a40\n genesis - b1..b30")
	mute, good, late := w.add("mute"), w.add("good"), w.add("late")
	mute.give(w.chain.Path("a40")...)
	mute.mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "Block" }
	good.give(w.chain.Path("b30")...)
	w.link(late, mute)
	w.run(time.Second)
	w.link(late, good)
	w.until(5*time.Second, "the branch that is served", allAt(w.chain.Hash("b30"), late))
}

// A peer that answers with full batches of headers that are all known, one and
// the other in turn, brings nothing: nobody has to wait for it.
func TestHeadersInACircle(t *testing.T) {
	w := newWorld(t, 9)
	w.chain.Grow("genesis - a1..a2100 - g1 - g2\n a2100 - e1 - e2 - e3")
	evil, good, late := w.add("evil"), w.add("good"), w.add("late")
	late.give(w.chain.Path("a2100")...)
	evil.give(w.chain.Path("e3")...)
	good.give(w.chain.Path("g2")...)
	turn := 0
	evil.mute = func(o p2p.Outgoing) bool {
		if kind(o.Msg) != "Headers" {
			return kind(o.Msg) == "Announce"
		}
		batch := o.Msg.(*p2p.Headers)
		batch.Headers = nil
		for _, block := range w.chain.Path("a2100")[turn%2:][:p2p.MaxHeaders] {
			batch.Headers = append(batch.Headers, block.Header)
		}
		turn++
		return false
	}
	w.link(late, evil)
	w.run(time.Second)
	w.link(late, good)
	w.until(10*time.Second, "the branch of the other peer", allAt(w.chain.Hash("g2"), late))
	if turn > 3 {
		t.Errorf("the peer that brings nothing was asked %d times", turn)
	}
}

// TestSlowReaderWaits: bodies wait while many bytes wait to be sent to a peer, and come
// when they have left. A network that does not say is one where nothing waits.
func TestSlowReaderWaits(t *testing.T) {
	w := newWorld(t, 58)
	w.chain.Grow("genesis - a1..a4")
	n := w.add("n")
	n.give(w.chain.Path("a4")...)
	p := w.puppets(n, "p")[0]
	ask := func(names ...string) {
		m := &p2p.GetBlocks{}
		for _, name := range names {
			m.Hashes = append(m.Hashes, w.chain.Hash(name))
		}
		p.says(n, m)
	}
	for _, step := range []struct {
		backlog int // what the host says before the node is asked
		ask     []string
		bodies  int // that have come after it
	}{{-1, []string{"a1"}, 1}, {p2p.MaxMessage, []string{"a2", "a3"}, 1}, {p2p.MaxMessage - 1, nil, 2}, {0, []string{"a4"}, 4}} {
		n.engine.Backlog("p", step.backlog)
		if step.ask != nil {
			ask(step.ask...)
		}
		w.run(500 * time.Millisecond)
		if p.bodies != step.bodies {
			t.Errorf("%d bytes wait: %d bodies came, want %d", step.backlog, p.bodies, step.bodies)
		}
	}
}

// TestPartsArePaidFor: a few transactions of a block cost the peer as much as the block, which
// has to be read for them.
func TestPartsArePaidFor(t *testing.T) {
	w := newWorld(t, 59)
	var payments []*consensus.Tx
	for i := range 10 {
		payments = append(payments, loose(i, 100_000))
	}
	w.chain.Mine("genesis", "a1", holding(payments...))
	n := w.add("n")
	n.give(w.chain.Block("a1"))
	p := w.puppets(n, "p")[0]
	p.says(n, slices.Repeat([]p2p.Msg{&p2p.GetBlockTxs{Block: w.chain.Hash("a1"), Indexes: []uint32{1}}}, 20)...)
	if p.parts < 7 || p.parts > 10 {
		t.Errorf("%d answers came at once, for blocks of 1 MB; 8 MB are allowed", p.parts)
	}
	w.run(2 * time.Second)
	if p.parts != 20 || n.info("p").Score != 0 {
		t.Errorf("%d answers came, %d points", p.parts, n.info("p").Score)
	}
}

// TestOneLookAtAnAnnouncement: while a peer owes what an announcement leaves open, the mempool is
// not looked through again for the same announcement of another peer, unless something came into
// it. One with other short ids may leave less open.
func TestOneLookAtAnAnnouncement(t *testing.T) {
	w, n, p, q := played(t, 67)
	payment := loose(1, 0)
	w.chain.Mine("genesis", "a1", holding(payment))
	others := w.puppets(n, "r", "s")
	for _, step := range []struct {
		by    *puppet
		nonce uint64
		scans int
	}{{p, 1, 1}, {q, 1, 0}, {others[0], 2, 1}} {
		n.scans = 0
		step.by.says(n, p2p.NewAnnounce(w.chain.Block("a1"), step.nonce))
		if n.scans != step.scans {
			t.Errorf("%d looks through the mempool at an announcement of %s, want %d", n.scans, step.by.ID, step.scans)
		}
	}
	n.addTx(payment)
	others[1].says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	w.until(0, "the block, whose payment came meanwhile", allAt(w.chain.Hash("a1"), n))
}

// TestLookBehindASilentPeer: who announces what another peer has owed for too long is asked for
// the rest.
func TestLookBehindASilentPeer(t *testing.T) {
	w, n, p, q := played(t, 68)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	p.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	w.run(3 * time.Second)
	n.scans = 0
	q.says(n, p2p.NewAnnounce(w.chain.Block("a1"), 1))
	if owes := n.info("q").InFlight; n.scans != 1 || len(owes) != 1 {
		t.Errorf("%d looks through the mempool, %d requests", n.scans, len(owes))
	}
}

// dialled is a puppet that has connected to a node.
func (w *world) dialled(n *node, id string) *puppet {
	p := &puppet{w: w}
	p.Host = w.Add(p2p.PeerID(id), p)
	w.Link(p, n, virtual.Shape{})
	w.run(time.Second)
	return p
}

// TestRoomForBodies: what waits for all peers together bounds what is served: first to whom
// something is waiting already, then to all that dialled the node, then to all; and at last
// small parts of blocks. Where there is room again it goes round.
func TestRoomForBodies(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		inbound     bool
		own, others int
		bodies      int // of three
		part, large int // of one
	}{
		{true, 0, 0, 3, 1, 1}, {true, 1, 15 * mb, 3, 1, 1}, {true, 1, 16 * mb, 0, 1, 0},
		{true, 0, 20*mb - 1, 1, 1, 1}, {true, 0, 20 * mb, 0, 1, 0},
		{false, 0, 24*mb - 1, 1, 1, 1}, {false, 1, 24*mb - 1, 0, 1, 0}, {false, 0, 24 * mb, 0, 1, 0},
		{false, 0, 28*mb - 1, 0, 1, 0}, {false, 0, 28 * mb, 0, 0, 0}, {true, 0, 28 * mb, 0, 0, 0},
		{true, p2p.MaxMessage, 0, 0, 0, 0}, {false, p2p.MaxMessage, 0, 0, 0, 0},
	} {
		asked := func(list ...func(*world) p2p.Msg) *puppet {
			w := newWorld(t, 69)
			w.chain.Mine("genesis", "a1", holding(loose(1, 0), loose(2, 300_000)))
			w.chain.Mine("a1", "a2")
			w.chain.Mine("a2", "a3")
			n := w.add("n")
			n.give(w.chain.Path("a3")...)
			p := w.puppets(n, "p", "other")[0]
			if c.inbound {
				p = w.dialled(n, "in")
			}
			n.engine.Backlog(p.ID, c.own)
			n.engine.Backlog("other", c.others)
			for _, m := range list {
				p.out = append(p.out, p2p.Outgoing{To: n.ID, Msg: m(w)})
			}
			p.says(n)
			return p
		}
		bodies := func(w *world) p2p.Msg {
			return &p2p.GetBlocks{Hashes: []consensus.Hash{w.chain.Hash("a1"), w.chain.Hash("a2"), w.chain.Hash("a3")}}
		}
		part := func(index uint32) func(*world) p2p.Msg {
			return func(w *world) p2p.Msg {
				return &p2p.GetBlockTxs{Block: w.chain.Hash("a1"), Indexes: []uint32{index}}
			}
		}
		behind := asked(bodies, part(1)) // what waits does not hold up what has room
		if large := asked(part(2)); behind.bodies != c.bodies || behind.parts != c.part || large.parts != c.large {
			t.Errorf("%+v: %d bodies came, %d small parts, %d large ones", c, behind.bodies, behind.parts, large.parts)
		}
	}

	w := newWorld(t, 70)
	w.chain.Grow("genesis - a1..a16")
	n := w.add("n")
	n.give(w.chain.Path("a16")...)
	w.puppets(n, "full", "idle1", "idle2")
	list := []*puppet{w.dialled(n, "p1"), w.dialled(n, "p2"), w.dialled(n, "idle3"), w.dialled(n, "p3")}
	list = slices.Delete(list, 2, 3)
	all := &p2p.GetBlocks{}
	for _, b := range w.chain.Path("a16") {
		all.Hashes = append(all.Hashes, b.Hash())
	}
	gone := w.puppets(n, "gone")[0]
	full := n.engine.Backlog
	full("gone", 24*mb)
	w.Unlink(n, gone)
	full("full", 20*mb)
	for _, p := range list {
		p.says(n, all)
	}
	for round := range 12 { // room for one body each time
		for _, id := range []p2p.PeerID{"p1", "p2", "p3"} {
			full(id, 0)
		}
		full("full", 20*mb-1)
		w.run(200 * time.Millisecond)
		if total := list[0].bodies + list[1].bodies + list[2].bodies; total < round+1 {
			t.Fatalf("%d bodies after %d rounds", total, round+1)
		}
	}
	for _, p := range list {
		if p.bodies < 3 {
			t.Errorf("%s has %d bodies of the first 12: it had to wait for the others", p.ID, p.bodies)
		}
	}
}
