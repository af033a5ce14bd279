package p2p_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// attacker is a peer without an engine: the test says what it sends.
func (w *world) attacker(victim *node, id string, inbound bool) func(...p2p.Msg) {
	victim.engine.Connected(w.Now, p2p.Peer{ID: p2p.PeerID(id), Addr: "/" + id, Inbound: inbound})
	tip := victim.tree.Tip()
	say := func(msgs ...p2p.Msg) {
		for _, m := range msgs {
			msg, err := p2p.Decode(p2p.Encode(m))
			w.ok(err)
			_, err = victim.Receive(w.Now, p2p.PeerID(id), msg, false)
			w.ok(err)
			w.Settle(victim)
		}
	}
	say(&p2p.Hello{Version: p2p.Version, Genesis: w.params.GenesisHash(), Nonce: w.Rand.Uint64(), Tip: tip.Hash, Work: tip.Work})
	return say
}

func (n *node) info(id string) p2p.PeerInfo {
	for _, p := range n.engine.Peers() {
		if p.ID == p2p.PeerID(id) {
			return p
		}
	}
	return p2p.PeerInfo{}
}

// TestWithheldBlock: an attacker announces a block first and sends nothing more
// (CVE-2024-52922).
func TestWithheldBlock(t *testing.T) {
	w := newWorld(t, 21)
	victim, honest := w.add("victim"), w.add("honest")
	w.link(victim, honest)
	say := w.attacker(victim, "mallory", true)
	w.run(time.Second)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0), loose(2, 0)))
	say(p2p.NewAnnounce(w.chain.Block("a1"), 1))
	honest.give(w.chain.Block("a1"))
	w.until(3*time.Second, "the block from the honest peer", allAt(w.chain.Hash("a1"), victim))
	if len(victim.Dropped) > 0 {
		t.Error("dropped:", victim.Dropped)
	}
}

// TestGarbageShortIDs: five peers send the honest header with short ids of
// nothing; the block arrives within a second (attack 23).
func TestGarbageShortIDs(t *testing.T) {
	w := newWorld(t, 22)
	victim, honest := w.add("victim"), w.add("honest")
	w.link(victim, honest)
	var attackers []func(...p2p.Msg)
	for _, id := range []string{"m1", "m2", "m3", "m4", "m5"} {
		attackers = append(attackers, w.attacker(victim, id, true))
	}
	w.run(time.Second)
	known, unknown := loose(1, 0), loose(2, 0)
	honest.pay(known)
	w.run(time.Second)
	w.chain.Mine("genesis", "a1", holding(known, unknown))
	victim.scans = 0
	for i, say := range attackers {
		m := p2p.NewAnnounce(w.chain.Block("a1"), uint64(i))
		for j := range m.ShortIDs {
			m.ShortIDs[j] = p2p.ShortID{byte(i), byte(j), 0xbd}
		}
		say(m)
		for range 200 { // variants of it
			m := *m
			m.Nonce += 1000
			say(&m)
		}
	}
	if victim.scans > len(attackers) {
		t.Errorf("variants made the victim look through its mempool %d times", victim.scans)
	}
	honest.give(w.chain.Block("a1"))
	w.until(time.Second, "the block", allAt(w.chain.Hash("a1"), victim))
	for _, p := range victim.engine.Peers() {
		if p.ID == honest.ID && p.Score != 0 {
			t.Error("the honest peer lost score")
		}
	}
}

// TestSlots: peers that dialled us cannot take all three fetches of a block by
// versions that leave less and less open, and the peer that we chose gets one.
func TestSlots(t *testing.T) {
	w := newWorld(t, 31)
	victim, honest := w.add("victim"), w.add("honest")
	w.link(victim, honest)
	txs := make([]*consensus.Tx, 5)
	for i := range txs {
		txs[i] = loose(i, 0)
		if i > 0 {
			victim.addTx(txs[i])
		}
	}
	w.chain.Mine("genesis", "a1", holding(txs...))
	for i, id := range []string{"m1", "m2", "m3"} {
		m := p2p.NewAnnounce(w.chain.Block("a1"), 1)
		for j := range 4 - i { // 4, 3, 2 left open
			m.ShortIDs[j] = p2p.ShortID{byte(i), byte(j), 0xbd}
		}
		w.attacker(victim, id, true)(m)
	}
	if n := len(victim.info("m2").InFlight); n != 1 {
		t.Errorf("a version that leaves less open was asked for %d times", n)
	}
	if n := len(victim.info("m3").InFlight); n != 0 {
		t.Errorf("the last slot went to a peer that dialled us")
	}
	honest.give(w.chain.Block("a1"))
	w.until(time.Second, "the block", allAt(w.chain.Hash("a1"), victim))
}

// TestLateTransactions: where two peers were asked for what a block lacks, the slower one
// did what it was asked for.
func TestLateTransactions(t *testing.T) {
	w := newWorld(t, 34)
	victim := w.add("victim")
	first, second := w.attacker(victim, "first", true), w.attacker(victim, "second", false)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0), loose(2, 0)))
	hash := w.chain.Hash("a1")
	first(p2p.NewAnnounce(w.chain.Block("a1"), 1))
	victim.addTx(loose(1, 0))
	second(p2p.NewAnnounce(w.chain.Block("a1"), 2)) // leaves less open
	if len(victim.info("first").InFlight)+len(victim.info("second").InFlight) != 2 {
		t.Fatal("not both were asked")
	}
	first(&p2p.BlockTxs{Block: hash, Txs: []*consensus.Tx{loose(1, 0), loose(2, 0)}})
	if victim.tree.Tip().Hash != hash {
		t.Fatal("the block is not there")
	}
	late := &p2p.BlockTxs{Block: hash, Txs: []*consensus.Tx{loose(2, 0)}}
	second(late)
	if s := victim.info("second").Score; s != 0 {
		t.Errorf("an answer that came late cost %d points", s)
	}
	second(late)
	if s := victim.info("second").Score; s != 1 {
		t.Errorf("the same once more cost %d points", s)
	}
}

// TestGarbageFilled: the attacker's version is completed by its own wrong
// transactions. The hash is not marked, and the body comes by its hash.
func TestGarbageFilled(t *testing.T) {
	w := newWorld(t, 23)
	victim, honest := w.add("victim"), w.add("honest")
	w.link(victim, honest)
	say := w.attacker(victim, "mallory", false)
	w.run(time.Second)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	hash := w.chain.Hash("a1")
	say(p2p.NewAnnounce(w.chain.Block("a1"), 1), &p2p.BlockTxs{Block: hash, Txs: []*consensus.Tx{loose(99, 0)}})
	if s := victim.info("mallory").Score; s != 0 {
		t.Errorf("a failed reconstruction cost %d points", s)
	}
	if victim.tree.Lookup(hash).Failed() {
		t.Error("the hash is marked")
	}
	honest.give(w.chain.Block("a1"))
	w.until(3*time.Second, "the block", allAt(hash, victim))
}

// TestMutatedBody: a body whose Merkle root is wrong costs its sender, leaves
// another peer's request alone (CVE-2024-52921), and the hash unmarked.
func TestMutatedBody(t *testing.T) {
	w := newWorld(t, 24)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	block := w.chain.Block("a1")
	bad := &p2p.Block{Block: &consensus.Block{Header: block.Header, Txs: block.Txs[:1]}}
	victim, honest := w.add("victim"), w.add("honest")
	say := w.attacker(victim, "mallory", false)
	say(&p2p.Headers{Headers: []consensus.Header{block.Header}})
	if n := len(victim.info("mallory").InFlight); n != 1 {
		t.Fatalf("%d bodies in flight from the attacker, not 1", n)
	}
	honest.give(block)
	w.link(victim, honest)
	w.Shape(victim, honest).Delay = time.Second // there and back takes longer than a stall
	w.until(4*time.Second, "the other peer is asked", func() bool { return len(victim.info("honest").InFlight) == 1 })
	say(bad)
	if n := len(victim.info("honest").InFlight); n != 1 {
		t.Errorf("%d bodies in flight from the honest peer after the attack, not 1", n)
	}
	if s := victim.info("mallory").Score; s < 50 {
		t.Errorf("a mutated body cost %d points", s)
	}
	w.until(2*time.Second, "the block", allAt(w.chain.Hash("a1"), victim))
	if n := honest.told["GetBlocks"]; n != 1 {
		t.Errorf("the honest peer was asked %d times", n)
	}
}

// TestMutatedBodyAlone: the only peer that was asked sends a mutated body; the
// next one is asked at once, not after the stall.
func TestMutatedBodyAlone(t *testing.T) {
	w := newWorld(t, 25)
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	block := w.chain.Block("a1")
	victim, honest := w.add("victim"), w.add("honest")
	say := w.attacker(victim, "mallory", false)
	say(&p2p.Headers{Headers: []consensus.Header{block.Header}})
	honest.give(block)
	w.link(victim, honest)
	w.run(100 * time.Millisecond)
	say(&p2p.Block{Block: &consensus.Block{Header: block.Header, Txs: block.Txs[:1]}})
	w.until(time.Second, "the block", allAt(w.chain.Hash("a1"), victim))
}

// session makes three nodes use every kind of message.
func session(w *world) {
	w.chain.Grow("genesis - a1..a4")
	a, b, c := w.add("a"), w.add("b"), w.add("c")
	a.give(w.chain.Path("a4")...)
	parent := loose(1, 0)
	a.addTx(parent)
	w.link(a, b)
	w.link(b, c)
	w.run(time.Second)
	a.addTx(loose(3, 0))
	a.pay(childOf(parent))
	w.run(time.Second)
	w.chain.Mine("a4", "a5x", holding(parent, loose(5, 0)))
	a.give(w.chain.Block("a5x"))
	w.run(35 * time.Second)
	a.engine.FetchBody(w.Now, b.ID, w.chain.Hash("a4"))
	w.run(time.Second)
}

// TestRandomReplay delivers recorded messages, cut up and flipped as well, in a
// random order from random peers, with peers coming and going.
func TestRandomReplay(t *testing.T) {
	var recorded [][]byte
	w := newWorld(t, 27)
	w.Watch(func(d virtual.Delivery) { recorded = append(recorded, d.Wire) })
	session(w)
	rng := rand.New(rand.NewPCG(27, 27))
	w = newWorld(t, 28)
	victim := w.add("victim")
	ids := []p2p.PeerID{"p1", "p2", "p3", "p4"}
	accepted := 0
	for range 20_000 {
		id := ids[rng.IntN(len(ids))]
		switch rng.IntN(40) {
		case 0:
			victim.engine.Connected(w.Now, p2p.Peer{ID: id, Inbound: rng.IntN(2) == 0})
		case 1:
			victim.engine.Disconnected(w.Now, id)
		case 2:
			w.run(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		wire := bytes.Clone(recorded[rng.IntN(len(recorded))])
		if rng.IntN(4) == 0 {
			wire[rng.IntN(len(wire))] ^= 1 << rng.IntN(8)
		}
		msg, err := p2p.Decode(wire)
		if err != nil {
			victim.engine.Punish(w.Now, id, consensus.AsRuleError(err))
			continue
		}
		verdict, err := victim.Receive(w.Now, id, msg, rng.IntN(4) == 0)
		w.ok(err)
		if verdict == p2p.Accept {
			accepted++
		}
		w.Settle(victim)
		for _, drop := range victim.Dropped {
			victim.engine.Disconnected(w.Now, drop.ID)
		}
		victim.Dropped = nil
	}
	if accepted < 1000 {
		t.Errorf("only %d messages had any effect", accepted)
	}
}

func TestUnsolicited(t *testing.T) {
	w := newWorld(t, 29)
	w.chain.Grow("genesis - a1")
	victim := w.add("victim")
	say := w.attacker(victim, "mallory", true)
	hash := consensus.Hash{1}
	for _, m := range []p2p.Msg{
		&p2p.Pong{Nonce: 1}, &p2p.NotFound{Hashes: []consensus.Hash{hash}}, &p2p.TxsDone{},
		&p2p.GetBlockTxs{Block: hash}, &p2p.GetBlocks{Hashes: []consensus.Hash{hash, hash}},
		&p2p.GetTxs{Salt: 1, IDs: []uint64{1}, Hashes: []consensus.Hash{hash}}, &p2p.Unknown{T: 99},
		&p2p.BlockTxs{Block: hash}, &p2p.Headers{}, &p2p.Block{Block: w.chain.Block("a1")}, &p2p.Tx{Tx: loose(1, 0)},
	} {
		say(m, m)
	}
	if s := victim.info("mallory").Score; s == 0 || s >= 20 {
		t.Errorf("unsolicited messages cost %d points altogether", s)
	}
	for range 150 {
		say(&p2p.BlockTxs{Block: hash})
	}
	if len(victim.Dropped) != 1 {
		t.Error("a flood of unsolicited messages has no end")
	}
}

// TestFloods: each of them ends with the peer dropped or ignored, and what is
// sent back stays within bounds.
func TestFloods(t *testing.T) {
	w := newWorld(t, 30)
	w.chain.Grow("genesis - a1..a100")
	locator := []consensus.Hash{w.params.GenesisHash()}
	var hashes []consensus.Hash
	for _, b := range w.chain.Path("a100")[:16] {
		hashes = append(hashes, b.Hash())
	}
	for _, c := range []struct {
		m     p2p.Msg
		limit int // messages sent back
	}{
		{&p2p.GetHeaders{Locator: locator}, 110},
		{&p2p.GetBlocks{Hashes: hashes}, 33_000},
		{&p2p.MempoolIDs{Salt: 1, IDs: make([]uint64, 1000)}, 10},
		{&p2p.Ping{}, 2100},
		{&p2p.GetTxs{IDs: make([]uint64, 64)}, 110},
	} {
		name := kind(c.m)
		victim := w.add("victim-" + name)
		victim.give(w.chain.Path("a100")...)
		say := w.attacker(victim, "mallory-"+name, true)
		sent := 0
		victim.mute = func(p2p.Outgoing) bool { sent++; return true }
		for range 3000 {
			say(c.m)
		}
		if sent > c.limit {
			t.Errorf("%s: %d messages came back, not up to %d", name, sent, c.limit)
		}
		if len(victim.Dropped) == 0 {
			t.Errorf("%s: the peer is still there", name)
		}
	}
}

// TestOvertakenAnswer: transactions that a peer was asked for are no fault of its when
// the block comes from another one meanwhile, once; where nobody asked, they are.
func TestOvertakenAnswer(t *testing.T) {
	w := newWorld(t, 24)
	victim, faster := w.add("victim"), w.add("faster")
	w.link(victim, faster)
	say := w.attacker(victim, "slower", false)
	w.run(time.Second)
	missing := loose(1, 0)
	w.chain.Mine("genesis", "a1", holding(missing))
	w.chain.Mine("a1", "a2", holding(loose(2, 0)))
	say(p2p.NewAnnounce(w.chain.Block("a1"), 1))
	if n := len(victim.info("slower").InFlight); n != 1 {
		t.Fatalf("it was asked for %d blocks", n)
	}
	faster.give(w.chain.Block("a1"))
	w.until(5*time.Second, "the block from the other peer", allAt(w.chain.Hash("a1"), victim))
	w.run(2 * time.Second)
	answer := &p2p.BlockTxs{Block: w.chain.Hash("a1"), Txs: []*consensus.Tx{missing}}
	for i, want := range []int{0, 1, 2} {
		say(answer)
		if got := victim.info("slower").Score; got != want {
			t.Errorf("after answer %d it has %d points, expected %d", i+1, got, want)
		}
	}
	say(&p2p.BlockTxs{Block: w.chain.Hash("a2")})
	if got := victim.info("slower").Score; got != 3 {
		t.Errorf("unasked for, they are worth %d points, not 1", got-2)
	}
}
