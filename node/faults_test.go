package node_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// greet connects a peer that says hello and claims nothing.
func (w *world) greet(r *resident, id p2p.PeerID) {
	w.t.Helper()
	r.Connected(w.Now, p2p.Peer{ID: id})
	_, err := r.Receive(w.Now, id, &p2p.Hello{Version: p2p.Version, Genesis: w.Params.GenesisHash(), Nonce: 7, Agent: "/peer/"}, false)
	w.check(err)
	r.Drops()
}

// spared makes sure that a node holds nothing against its peers.
func (w *world) spared(r *resident, what string) {
	w.t.Helper()
	for _, drop := range r.Drops() {
		w.t.Errorf("%s: %s is dropped: %s", what, drop.ID, drop.Reason)
	}
}

// Announcements go on before the block is connected, so whoever forwards one,
// or its child's, may not know yet what this node knows of it.
func TestForwardedAnnouncementOfAFailedBlockIsNobodysFault(t *testing.T) {
	w, r, c := alone(t, "genesis - a1 - a2")
	w.submit(r, c.Path("a2")...)
	w.refused(r, c.Mine("a2", "greedy", chaintest.Claim(1)), consensus.ErrCoinbaseAmount, consensus.Invalid)
	c.Mine("greedy", "child")
	w.greet(r, "honest")
	for _, name := range []string{"greedy", "child"} {
		verdict, err := r.Receive(w.Now, "honest", p2p.NewAnnounce(c.Block(name), 1), true)
		w.check(err)
		if verdict != p2p.Ignore {
			t.Errorf("the verdict on %s is %v, want ignore", name, verdict)
		}
		w.spared(r, name)
	}
}

// What an operator invalidated is a good block to everybody else.
func TestPeersAreSparedForWhatAnOperatorInvalidated(t *testing.T) {
	w, r, c := alone(t, "genesis - a1 - a2 - a3 - a4")
	w.submit(r, c.Path("a3")...)
	w.check(r.Invalidate(w.Now, r.Tip()))
	w.flush(r)
	w.greet(r, "honest")
	for _, msg := range []p2p.Msg{
		&p2p.Headers{Headers: []consensus.Header{c.Block("a3").Header, c.Block("a4").Header}},
		&p2p.Headers{Headers: []consensus.Header{c.Block("a4").Header}},
		&p2p.Block{Block: c.Block("a3")},
		&p2p.Block{Block: c.Block("a4")},
	} {
		_, err := r.Receive(w.Now, "honest", msg, false)
		w.check(err)
		w.spared(r, "after an invalidated block")
	}
}

// A block that breaks a rule only when it is connected costs its maker a proof
// of work. The nodes that hand it on before they connected it must not lose
// each other over it.
func TestBlockThatFailsWhenConnectedDoesNotPartHonestNodes(t *testing.T) {
	w, a, c := alone(t, "genesis - a1 - a2")
	b := w.add(storage.OpenMemory(c.Params, true))
	w.link(a, b)
	w.submit(a, c.Path("a2")...)
	w.until(time.Minute, "both on a2", func() bool { return w.agree(c.Hash("a2")) })

	bad := c.Mine("a2", "greedy", chaintest.Claim(1))
	w.greet(a, "attacker")
	_, err := a.Receive(w.Now, "attacker", &p2p.Headers{Headers: []consensus.Header{bad.Header}}, false)
	w.check(err)
	_, err = a.Receive(w.Now, "attacker", &p2p.Block{Block: bad}, false) // stored, not connected
	w.check(err)
	_, err = b.Receive(w.Now, a.ID, &p2p.Headers{Headers: []consensus.Header{bad.Header}}, false)
	w.check(err)
	_, err = a.Receive(w.Now, b.ID, &p2p.GetBlocks{Hashes: []consensus.Hash{bad.Hash()}}, false)
	w.check(err)
	for _, out := range a.Outbox() {
		if block, ok := out.Msg.(*p2p.Block); ok && block.Block.Hash() == bad.Hash() {
			t.Error("a body is handed on before it was connected")
		}
	}
}

// What waited for a reorganisation is judged although it led back to where it began.
func TestPaymentDeferredDuringAReorganisationThatWalksBack(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	c.Mine("a100", "b101")
	c.Mine("b101", "b102", chaintest.Claim(1))
	w.submit(r, c.Path("a101")...)
	w.greet(r, "peer")
	for _, name := range []string{"b101", "b102"} {
		_, err := r.SubmitBlock(w.Now, c.Block(name))
		w.check(err)
	}
	w.stepOnce(r) // a101 is off
	if !r.Reorganising() {
		t.Fatal("the node does not reorganise")
	}
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	_, err := r.Receive(w.Now, "peer", &p2p.Tx{Tx: pay}, true)
	w.check(err)
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "a101")
	if !r.InMempool(pay.TxID()) {
		t.Error("the payment was forgotten")
	}
}

func (w *world) stepOnce(r *resident) {
	w.t.Helper()
	job, err := r.Gather()
	w.check(err)
	job.Verify(consensus.Verifier{Workers: 1})
	w.check(r.Commit(w.Now, job))
}

// An operator may stop a reorganisation where it stands.
func TestInvalidateInTheMiddleOfAReorganisation(t *testing.T) {
	w, r, c := alone(t, `
		genesis - a1 - a2 - a3
		          a1 - b2 - b3 - b4
	`)
	w.submit(r, c.Path("a3")...)
	for _, name := range []string{"b2", "b3", "b4"} {
		_, err := r.SubmitBlock(w.Now, c.Block(name))
		w.check(err)
	}
	r.Changes()
	w.stepOnce(r)
	w.stepOnce(r)
	w.standsAt(r, c, "a1")
	w.check(r.Invalidate(w.Now, r.Lookup(c.Hash("a2"))))
	w.check(r.Invalidate(w.Now, r.Lookup(c.Hash("b2"))))
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "a1")
	if r.Reorganising() {
		t.Error("the node waits for a reorganisation that has ended")
	}
	if changes := r.Changes(); len(changes) != 1 || changes[0].To.Hash != c.Hash("a1") {
		t.Errorf("observers were told %+v", changes)
	}
}

// A kill between two writes never leaves a header on disk without its parents.
func TestHeadersAreWrittenParentsFirst(t *testing.T) {
	for _, bad := range []bool{false, true} {
		c := chaintest.New(t, consensus.Regtest())
		if c.Mine("genesis", "a1"); bad {
			c.Mine("genesis", "a1x", chaintest.Edit(func(b *consensus.Block) {
				b.Txs[0].Inputs[0].ScriptSig = []byte{1, 99, 0}
			}))
		}
		name := map[bool]string{false: "a1", true: "a1x"}[bad]
		c.Mine(name, "a2")
		store := &dyingStore{Store: storage.OpenMemory(c.Params, true)}
		w := newWorld(t, c.Params, 1, 0)
		r := w.add(store)
		w.greet(r, "peer")
		for _, block := range []*consensus.Block{c.Block(name), c.Block("a2")} {
			_, err := r.Receive(w.Now, "peer", p2p.NewAnnounce(headless(block), 1), true)
			w.check(err)
		}
		store.writes = 1
		if _, err := r.SubmitBlock(w.Now, c.Block(name)); err == nil {
			t.Fatal("the store did not die")
		}
		state, err := store.Load()
		if err != nil {
			t.Fatalf("bad %v: the store cannot be opened again: %v", bad, err)
		}
		known := map[consensus.Hash]bool{c.Params.GenesisHash(): true, {}: true}
		for _, record := range state.Records {
			if !known[record.Header.Prev] {
				t.Errorf("bad %v: a header is kept without its parent", bad)
			}
			known[record.Hash] = true
		}
	}
}

// headless is an announcement's block whose body must be fetched: one more
// transaction than anybody knows.
func headless(b *consensus.Block) *consensus.Block {
	return &consensus.Block{Header: b.Header, Txs: append([]*consensus.Tx{b.Txs[0]}, b.Txs[0])}
}
