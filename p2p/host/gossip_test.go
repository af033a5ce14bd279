package host

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// payment returns a transaction told apart by n, with a script of size bytes.
func payment(n uint32, size int) *p2p.Tx {
	return &p2p.Tx{Tx: &consensus.Tx{
		Version: 2, LockTime: n,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{TxID: consensus.Hash{1}}, Witness: [][]byte{make([]byte, 64)}}},
		Outputs: []consensus.TxOut{{Value: 1, Script: make([]byte, size)}},
	}}
}

func number(m p2p.Msg) uint32 {
	if tx, ok := m.(*p2p.Tx); ok {
		return tx.Tx.LockTime
	}
	return 0
}

func hasTx(from p2p.PeerID, n uint32) func([]event) bool {
	return func(events []event) bool {
		for _, e := range events {
			if e.what == "gossip" && e.from == from && number(e.msg) == n {
				return true
			}
		}
		return false
	}
}

// meshed waits until a node and each of its peers gossip in both topics.
func meshed(t *testing.T, n *node, peers ...*node) {
	t.Helper()
	in := func(a, b *node) bool {
		return a.gossip.mesh.has(a.cfg.txTopic(), b.id) && a.gossip.mesh.has(a.cfg.blockTopic(), b.id)
	}
	for _, p := range peers {
		n.wait(t, "the mesh", func([]event) bool { return in(n, p) && in(p, n) }) // ticks wake it
	}
}

// TestGossipVerdicts runs a line of three: what the middle accepts reaches the
// end in its name, what it ignores does not.
func TestGossipVerdicts(t *testing.T) { transports(t, gossipVerdicts) }

func gossipVerdicts(t *testing.T, config Config, dial func(a, b *node) error) {
	const ignored, accepted = 1, 2
	judge := newRecorder()
	judge.judge = func(m p2p.Msg) p2p.Verdict {
		if number(m) == ignored {
			return p2p.Ignore
		}
		return p2p.Accept
	}
	a, b, c := start(t, config), startWith(t, config, judge), start(t, config)
	if err := errors.Join(dial(a, b), dial(c, b)); err != nil {
		t.Fatal(err)
	}
	b.waitFor(t, "connected", "", 2)
	meshed(t, b, a, c)

	a.Send(p2p.Outgoing{Msg: payment(ignored, 100)})
	b.wait(t, "the transaction at b", hasTx(a.ID(), ignored))
	a.Send(p2p.Outgoing{Msg: payment(accepted, 200)})
	a.Send(p2p.Outgoing{Msg: &p2p.Announce{Nonce: 7, Coinbase: payment(9, 10).Tx}})
	c.wait(t, "the transaction at c, from b", hasTx(b.ID(), accepted))
	c.waitFor(t, "gossip", b.ID(), 2)
	if hasTx(b.ID(), ignored)(c.seen()) {
		t.Error("an ignored transaction was forwarded")
	}
	a.recorder.mu.Lock()
	defer a.recorder.mu.Unlock()
	if n := has(a.events, "gossip", ""); n != 0 {
		t.Errorf("a heard %d messages of its own", n)
	}
}

// TestGossipGarbage: what does not decode, or stands in the wrong topic, or is
// too large, reaches no handler and is not forwarded; nor is what was rejected.
// It costs the sender its place in the mesh and its score, and others nothing.
func TestGossipGarbage(t *testing.T) {
	const rejected, accepted = 1, 2
	judge := newRecorder()
	judge.judge = func(m p2p.Msg) p2p.Verdict {
		if number(m) == rejected {
			return p2p.Reject
		}
		return p2p.Accept
	}
	bad, b, c, good := start(t, lean()), startWith(t, lean(), judge), start(t, lean()), start(t, lean())
	for _, n := range []*node{bad, c, good} {
		n.connect(t, b)
	}
	b.waitFor(t, "connected", "", 3)
	meshed(t, b, bad, c, good)

	for _, p := range []publication{
		{bad.gossip.txs, []byte{byte(p2p.TypeTx), 1, 2, 3}},
		{bad.gossip.txs, []byte{200, 1}}, // a type of the future: ignored
		{bad.gossip.blocks, p2p.Encode(payment(7, 100))},
		{bad.gossip.blocks, bytes.Repeat([]byte{byte(p2p.TypeTx)}, p2p.MaxGossip+1)},
		{bad.gossip.txs, p2p.Encode(payment(rejected, 100))},
	} {
		bad.publish <- p
	}
	b.wait(t, "the rejected transaction at b", hasTx(bad.ID(), rejected))
	good.Send(p2p.Outgoing{Msg: payment(accepted, 200)})
	c.wait(t, "the transaction at c, from b", hasTx(b.ID(), accepted))
	for _, n := range []*node{b, c} {
		n.recorder.mu.Lock()
		for _, e := range n.events {
			if tx := number(e.msg); e.what == "gossip" && tx != accepted && !(n == b && tx == rejected) {
				t.Errorf("%s heard %#v", n.ID(), e.msg)
			}
		}
		n.recorder.mu.Unlock()
	}
	// Two that are wrong in each topic: -1000 for their square, by a tenth.
	b.wait(t, "a score of the sender's", func([]event) bool { return b.Conn(bad.ID()).GossipScore < -700 })
	for _, n := range []*node{good, c} {
		if score := b.Conn(n.ID()).GossipScore; score < 0 {
			t.Errorf("%s has a score of %g", n.ID(), score)
		}
	}
}

// TestLargeGossipGoesByStream: what GossipSub would not carry still arrives.
func TestLargeGossipGoesByStream(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	a.Send(p2p.Outgoing{Msg: payment(5, p2p.MaxGossip)})
	b.waitFor(t, "message", a.ID(), 1)
	if n := number(b.messages("message", a.ID())[0]); n != 5 {
		t.Errorf("message %d arrived", n)
	}
}

// TestPaymentsLeaveRoomForBlocks: more payments than gossip takes do not keep a block's
// announcement out.
func TestPaymentsLeaveRoomForBlocks(t *testing.T) {
	h, err := New(lean()) // which does not run, so that nothing is published
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const surplus = 50
	for i := range uint32(maxPublishTxs + surplus) {
		h.Send(p2p.Outgoing{Msg: payment(i, 34)})
	}
	h.Send(p2p.Outgoing{Msg: &p2p.Announce{Coinbase: payment(0, 34).Tx}})
	if got := h.unpublished.Load(); got != surplus {
		t.Errorf("%d messages found no room, expected %d", got, surplus)
	}
	var last publication
	for len(h.publish) > 0 {
		last = <-h.publish
	}
	if last.topic != h.gossip.blocks {
		t.Errorf("the last message is of topic %s, not a block's", last.topic)
	}
}

// judged returns two hosts that gossip, of which the second judges.
func judged(t *testing.T, judge *recorder) (a, b *node) {
	a, b = start(t, lean()), startWith(t, lean(), judge)
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	meshed(t, a, b)
	return a, b
}

// TestGossipWhileBusy: payments and announcements that come while the node is at
// something else wait for it; a payment that gossip drops would come by reconciliation
// only, and others after it would be kept out.
func TestGossipWhileBusy(t *testing.T) {
	const payments, announcements = 100, 40
	busy := make(chan struct{})
	judge := newRecorder()
	judge.judge = func(m p2p.Msg) p2p.Verdict {
		if number(m) == 0 {
			<-busy
		}
		return p2p.Accept
	}
	a, b := judged(t, judge)
	for i := range uint32(payments) {
		a.Send(p2p.Outgoing{Msg: payment(i, 100)})
	}
	for i := range uint64(announcements) {
		a.Send(p2p.Outgoing{Msg: &p2p.Announce{Nonce: i, Coinbase: payment(9, 10).Tx}})
	}
	a.wait(t, "everything at b", func([]event) bool {
		in := b.Messages().GossipIn
		return in[p2p.TypeTx].Messages == payments && in[p2p.TypeAnnounce].Messages == announcements
	})
	a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{}}) // behind them
	close(busy)
	b.waitFor(t, "gossip", a.ID(), payments+announcements)
	if got := b.Messages(); got.Dropped != (Tally{}) || got.Throttled != 0 {
		t.Errorf("dropped %v, throttled %d", got.Dropped, got.Throttled)
	}
}

// TestDroppedGossipIsCounted: what comes beyond all that may wait is not looked at.
func TestDroppedGossipIsCounted(t *testing.T) {
	const payments = 2 * txValidators
	busy := make(chan struct{})
	judge := newRecorder()
	judge.judge = func(p2p.Msg) p2p.Verdict {
		<-busy
		return p2p.Accept
	}
	a, b := judged(t, judge)
	for i := range uint32(payments) {
		for len(a.publish) >= maxPublishTxs/2 {
			pause(t.Context(), time.Millisecond)
		}
		a.Send(p2p.Outgoing{Msg: payment(i, 100)})
	}
	a.wait(t, "dropped payments", func([]event) bool { return b.Messages().Dropped[p2p.TypeTx].Messages > 0 })
	close(busy)
	b.waitFor(t, "gossip", a.ID(), txValidators)
}

// TestStrangersGossip: what a peer without a session gossips is looked at by nobody, and
// so does not keep an honest peer's copy out, nor anything else, however much it is.
func TestStrangersGossip(t *testing.T) {
	victim, good := start(t, lean()), start(t, lean())
	good.connect(t, victim)
	victim.waitFor(t, "connected", good.ID(), 1)
	meshed(t, victim, good)
	bad, err := New(lean()) // opens no session
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bad.Close() })
	if err := bad.lib.Connect(within(t), peer.AddrInfo{ID: victim.id, Addrs: victim.swarm.ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	victim.wait(t, "the stranger's mesh", func([]event) bool { return bad.gossip.mesh.has(bad.cfg.blockTopic(), victim.id) })
	announce := func(nonce uint64) *p2p.Announce { return &p2p.Announce{Nonce: nonce, Coinbase: payment(9, 10).Tx} }
	const many = blockValidators + 16
	for nonce := range uint64(many) {
		if err := bad.gossip.blocks.Publish(t.Context(), p2p.Encode(announce(nonce))); err != nil {
			t.Fatal(err)
		}
	}
	victim.wait(t, "the stranger's gossip", func([]event) bool {
		m := victim.Messages()
		return m.Strangers[p2p.TypeAnnounce].Messages+m.GossipIn[p2p.TypeAnnounce].Messages == many
	})
	good.Send(p2p.Outgoing{Msg: announce(many - 1)}) // which the stranger was first with
	good.Send(p2p.Outgoing{Msg: announce(many)})
	victim.waitFor(t, "gossip", good.ID(), 2)
	if n := has(victim.seen(), "gossip", ""); n != 2 {
		t.Errorf("%d messages were heard, expected 2", n)
	}
	if m := victim.Messages(); m.Dropped != (Tally{}) || m.Throttled != 0 {
		t.Errorf("dropped %v, throttled %d", m.Dropped, m.Throttled)
	}
}

// TestAnnouncementsOnce: what the engine sends to a peer by stream, and gossip would send
// it so as well since the peer is in no mesh yet, is sent once, whichever comes first.
func TestAnnouncementsOnce(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	announce := func(nonce uint64) *p2p.Announce { return &p2p.Announce{Nonce: nonce, Coinbase: payment(9, 10).Tx} }
	const many = 8
	for n := range uint64(many) {
		m := announce(n)
		if n%2 == 0 {
			a.Send(p2p.Outgoing{To: b.ID(), Msg: m})
		}
		a.gossip.bypass(a.gossip.blocks, p2p.Encode(m), a.id) // as if outside of the mesh, or young
		a.session(b.ID()).announce(newFrame(p2p.Encode(m)))
		if n%2 == 1 {
			a.Send(p2p.Outgoing{To: b.ID(), Msg: m})
		}
	}
	for range maxAnnounced {
		a.Send(p2p.Outgoing{To: b.ID(), Msg: announce(many)})
	}
	a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{}}) // behind them
	b.waitFor(t, "message", a.ID(), many+2)
	heard := b.messages("message", a.ID())
	for n, m := range heard[:many+1] {
		if got, ok := m.(*p2p.Announce); !ok || got.Nonce != uint64(n) {
			t.Errorf("message %d is %#v", n, m)
		}
	}
	if _, ok := heard[many+1].(*p2p.Ping); !ok || len(heard) != many+2 {
		t.Errorf("%d messages, expected %d", len(heard), many+2)
	}
}
