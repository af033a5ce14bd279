package p2p_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

func (w *world) line(ids ...string) []*node {
	var nodes []*node
	for i, id := range ids {
		nodes = append(nodes, w.add(id))
		if i > 0 {
			w.link(nodes[i-1], nodes[i])
		}
	}
	w.run(time.Second)
	return nodes
}

func everywhere(nodes []*node, txs ...*consensus.Tx) func() bool {
	return func() bool {
		for _, n := range nodes {
			for _, tx := range txs {
				if n.pool[tx.WTxID()] == nil {
					return false
				}
			}
		}
		return true
	}
}

// TestIgnoredOnce: a payment that a node in the middle ignores is not forwarded
// by gossip again; it is everywhere within 60 s (attack 25).
func TestIgnoredOnce(t *testing.T) {
	w := newWorld(t, 41)
	nodes := w.line("a", "b", "c", "d", "e")
	tx := loose(1, 0)
	nodes[1].refuse[tx.WTxID()] = 1
	nodes[0].pay(tx)
	w.run(5 * time.Second)
	if everywhere(nodes[1:2], tx)() {
		t.Fatal("it was not ignored")
	}
	w.until(55*time.Second, "the payment everywhere", everywhere(nodes, tx))
}

func TestChildBeforeParentOnALine(t *testing.T) {
	w := newWorld(t, 42)
	nodes := w.line("a", "b", "c", "d", "e")
	parent := loose(1, 0)
	child := childOf(parent)
	nodes[0].addTx(parent) // never gossiped
	nodes[0].pay(child)
	w.until(2*time.Second, "both everywhere", everywhere(nodes, parent, child))
}

// TestRefusedForGood: what a node always refuses is not pulled for ever.
func TestRefusedForGood(t *testing.T) {
	w := newWorld(t, 43)
	nodes := w.line("a", "b")
	tx := loose(1, 0)
	nodes[1].refuse[tx.WTxID()] = 1000
	nodes[0].pay(tx)
	w.run(9 * time.Minute)
	if n := nodes[1].told["Tx"]; n < 3 || n > 5 {
		t.Errorf("the payment came %d times", n)
	}
}

func TestLargeMempoolsReconcile(t *testing.T) {
	w := newWorld(t, 44)
	a, b := w.add("a"), w.add("b")
	for i := range 1000 {
		a.addTx(loose(i, 0))
		b.addTx(loose(i+900, 0))
	}
	w.link(a, b)
	w.until(10*time.Second, "equal mempools", func() bool { return len(a.pool) == 1900 && len(b.pool) == 1900 })
}

// TestGetTxs: what is asked for by hash is looked up, in the order asked for and each
// once; only ids that were given make the node look through its mempool; and a request
// for nothing is answered, and costs a point.
func TestGetTxs(t *testing.T) {
	w := newWorld(t, 46)
	n := w.add("n")
	txs := make([]*consensus.Tx, 5)
	for i := range txs {
		txs[i] = loose(i, 0)
		n.addTx(txs[i])
	}
	peer := w.puppets(n, "peer")[0]
	salt, ids := peer.ids.Salt, peer.ids.IDs
	if len(ids) != len(txs) {
		t.Fatalf("%d ids were sent", len(ids))
	}
	by := func(i int) consensus.Hash { return txs[i].WTxID() }
	for _, c := range []struct {
		name   string
		m      p2p.GetTxs
		answer []int
		scans  int
		points int
	}{
		{"nothing", p2p.GetTxs{Salt: salt}, nil, 0, 1},
		{"hashes", p2p.GetTxs{Salt: salt, Hashes: []consensus.Hash{by(3), txs[1].TxID(), by(3), {9}, txs[3].TxID()}}, []int{3, 1}, 0, 0},
		{"ids of another salt", p2p.GetTxs{Salt: salt + 1, IDs: ids}, nil, 0, 0},
		{"ids", p2p.GetTxs{Salt: salt, IDs: []uint64{ids[4], ids[0], 7}}, []int{0, 4}, 1, 0},
		{"both", p2p.GetTxs{Salt: salt, IDs: []uint64{ids[4], ids[2]}, Hashes: []consensus.Hash{by(4)}}, []int{4, 2}, 1, 0},
	} {
		points := n.info("peer").Score
		n.scans, peer.got, peer.done = 0, nil, 0
		peer.says(n, &c.m)
		var want []consensus.Hash
		for _, i := range c.answer {
			want = append(want, by(i))
		}
		if !slices.Equal(peer.got, want) || peer.done != 1 {
			t.Errorf("%s: %d came and %d TxsDone, want %v", c.name, len(peer.got), peer.done, c.answer)
		}
		if n.scans != c.scans || n.info("peer").Score-points != c.points {
			t.Errorf("%s: %d looks through the mempool, %d points", c.name, n.scans, n.info("peer").Score-points)
		}
	}
}

// TestGetTxsIsPaidFor: with a large mempool each look through it costs the peer so much
// that it may do so a few times a second only, and honest peers wait for their turn.
func TestGetTxsIsPaidFor(t *testing.T) {
	w := newWorld(t, 47)
	n := w.add("n")
	const many = 100_000
	for i := range many {
		n.addTx(loose(i, 0))
	}
	peer := w.puppets(n, "peer")[0]
	ask := &p2p.GetTxs{Salt: peer.ids.Salt, IDs: peer.ids.IDs[:p2p.MaxGetTxs]}
	n.scans = 0
	peer.again = ask
	peer.says(n, ask)
	w.run(10 * time.Second)
	if n.scans < 15 || n.scans > 25 { // 542 units each
		t.Errorf("%d looks through the mempool in 10 s", n.scans)
	}
	if peer.done < n.scans-1 || len(peer.got) < (n.scans-1)*p2p.MaxGetTxs {
		t.Errorf("%d looks, %d answers with %d payments", n.scans, peer.done, len(peer.got))
	}
	w.blameless(n)
	n.scans, peer.again = 0, nil
	for range 90 { // whoever does not wait is not answered
		peer.out = append(peer.out, p2p.Outgoing{To: n.ID, Msg: ask})
	}
	w.Settle(peer)
	w.run(time.Second)
	if n.scans > 8 || n.info("peer").Score < 80 {
		t.Errorf("%d looks through the mempool in a second, %d points", n.scans, n.info("peer").Score)
	}
}

// TestLargeTx: what gossip does not carry goes by stream, down a line.
func TestLargeTx(t *testing.T) {
	w := newWorld(t, 45)
	nodes := w.line("a", "b", "c")
	tx := loose(1, p2p.MaxGossip)
	nodes[0].pay(tx)
	w.until(2*time.Second, "the payment everywhere", everywhere(nodes, tx))
}

// TestAskedBeforeItIsThere: an announcement overtakes the body. Whoever asks for
// a part of it meanwhile waits, and is answered as soon as it is there.
func TestAskedBeforeItIsThere(t *testing.T) {
	w := newWorld(t, 52)
	nodes := w.line("a", "b", "c")
	w.Shape(nodes[0], nodes[1]).Delay = 300 * time.Millisecond
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	nodes[0].give(w.chain.Block("a1"))
	w.until(1100*time.Millisecond, "the block at the end of the line", allAt(w.chain.Hash("a1"), nodes...))
	if n := nodes[2].told["NotFound"]; n > 0 {
		t.Errorf("%d requests were refused", n)
	}
}

// TestNeverThere: the body does not come, and the request that waited is refused.
func TestNeverThere(t *testing.T) {
	w := newWorld(t, 53)
	nodes := w.line("a", "b", "c")
	nodes[0].mute = func(o p2p.Outgoing) bool { return kind(o.Msg) == "BlockTxs" || kind(o.Msg) == "Block" }
	w.chain.Mine("genesis", "a1", holding(loose(1, 0)))
	nodes[0].give(w.chain.Block("a1"))
	w.run(11 * time.Second)
	if n := nodes[2].told["NotFound"]; n != 1 {
		t.Errorf("%d requests were refused, not 1", n)
	}
}

// TestAbsentNeedsNoRoom: that a block is not here is said at once, to a peer with no room
// for one that is, and whatever that waits behind.
func TestAbsentNeedsNoRoom(t *testing.T) {
	w := newWorld(t, 54)
	w.chain.Mine("genesis", "a1")
	n := w.add("n")
	n.give(w.chain.Block("a1"))
	p := w.puppets(n, "p")[0]
	n.engine.Backlog(p.ID, p2p.MaxMessage)
	first, second := consensus.Hash{1}, consensus.Hash{2}
	p.says(n, &p2p.GetBlocks{Hashes: []consensus.Hash{w.chain.Hash("a1"), first}}, &p2p.GetBlockTxs{Block: second, Indexes: []uint32{0}})
	if !slices.Equal(p.absent, []consensus.Hash{first, second}) || p.bodies > 0 {
		t.Errorf("%v are said not to be there, and %d bodies came", p.absent, p.bodies)
	}
	n.engine.Backlog(p.ID, 0)
	w.run(time.Second)
	if len(p.absent) != 2 || p.bodies != 1 {
		t.Errorf("then %v are said not to be there, and %d bodies came", p.absent, p.bodies)
	}
}

func TestHello(t *testing.T) {
	good := func(w *world) *p2p.Hello {
		return &p2p.Hello{Version: p2p.Version, Genesis: w.params.GenesisHash(), Nonce: 1, Agent: "/x/", Extra: []byte("later")}
	}
	for _, c := range []struct {
		name   string
		edit   func(*p2p.Hello)
		reason string // "" is welcome
	}{
		{"good", func(*p2p.Hello) {}, ""},
		{"newer", func(h *p2p.Hello) { h.Version = 99 }, ""},
		{"other network", func(h *p2p.Hello) { h.Genesis = consensus.Hash{1} }, "is on another network: its genesis is 00"},
		{"old", func(h *p2p.Hello) { h.Version = 0 }, "speaks version 0, the oldest one understood is 1"},
	} {
		w := newWorld(t, 46)
		n := w.add("n")
		n.engine.Connected(w.Now, p2p.Peer{ID: "x"})
		hello := good(w)
		c.edit(hello)
		_, err := n.engine.Handle(w.Now, "x", hello)
		w.ok(err)
		drops := n.engine.Drops()
		switch {
		case c.reason == "" && len(drops) > 0:
			t.Errorf("%s: dropped: %s", c.name, drops[0].Reason)
		case c.reason != "" && (len(drops) != 1 || !strings.HasPrefix(drops[0].Reason, c.reason)):
			t.Errorf("%s: drops %v, want %q", c.name, drops, c.reason)
		}
	}
}

func TestSelfConnection(t *testing.T) {
	w := newWorld(t, 47)
	n := w.add("n")
	n.engine.Connected(w.Now, p2p.Peer{ID: "me"})
	hello := n.engine.Outbox()[0].Msg
	_, err := n.engine.Handle(w.Now, "me", hello)
	w.ok(err)
	if drops := n.engine.Drops(); len(drops) != 1 || drops[0].Reason != "is this node itself" {
		t.Error("drops:", drops)
	}
}

func TestSilenceIsNotGolden(t *testing.T) {
	w := newWorld(t, 48)
	n := w.add("n")
	n.engine.Connected(w.Now, p2p.Peer{ID: "no hello"})
	w.run(11 * time.Second)
	w.attacker(n, "no pong", true)
	for range 3 { // it answers all but pings
		w.run(25 * time.Second)
		n.engine.GotHeaders(w.Now, "no pong", nil, 0)
	}
	reasons := []string{"no hello within 10s", "no answer to a ping within 1m0s"}
	for i, reason := range reasons {
		if len(n.Dropped) <= i || n.Dropped[i].Reason != reason {
			t.Fatalf("drops: %v, want %q", n.Dropped, reasons)
		}
	}
}

func TestPeerInfo(t *testing.T) {
	w := newWorld(t, 49)
	w.chain.Grow("genesis - a1..a3")
	a, b := w.add("a"), w.add("b")
	a.give(w.chain.Path("a3")...)
	w.link(b, a)
	w.run(2 * time.Second)
	p := b.info("a")
	rtt := 2 * w.Shape(a, b).Delay
	if !p.Greeted || p.Agent != "/a/" || p.Version != p2p.Version || p.Inbound || p.StartHeight != 3 ||
		p.BestHeight != 3 || p.Ping != rtt || p.MinPing != rtt || p.LastBlock.IsZero() || p.Score != 0 || p.TimeOffset != 0 {
		t.Errorf("%+v", p)
	}
	if q := a.info("b"); !q.Inbound || q.StartHeight != 0 || q.BestHeight != 3 {
		t.Errorf("%+v", q)
	}
	if addrs := b.book; !slices.Contains(addrs, "/dns4/a") {
		t.Error("addresses:", addrs)
	}
}

// TestAddresses: nodes hear of others through those they know, within bounds.
func TestAddresses(t *testing.T) {
	w := newWorld(t, 50)
	nodes := w.line("a", "b", "c")
	w.run(11 * time.Minute)
	if addrs := nodes[0].book; !slices.Contains(addrs, "/dns4/c") {
		t.Error("a has not heard of c:", addrs)
	}
	say := w.attacker(nodes[0], "mallory", true)
	for i := range 20 {
		m := &p2p.Peers{}
		for j := range p2p.MaxPeers {
			m.Addrs = append(m.Addrs, strings.Repeat("x", i+1)+strings.Repeat("y", j))
		}
		say(m)
	}
	if n := len(nodes[0].book); n > 70 {
		t.Errorf("one peer filled the book with %d addresses", n)
	}
}

// TestBlockOnly: between a node and a peer that it dialled for blocks alone, blocks
// travel both ways, and neither payments nor addresses do.
func TestBlockOnly(t *testing.T) {
	w := newWorld(t, 52)
	a, b := w.add("a"), w.add("b")
	for _, n := range []*node{a, b} { // the host lets no gossip through
		n.mute = func(out p2p.Outgoing) bool { return out.To == p2p.Everyone }
	}
	a.blocksFrom = "b"
	w.link(a, b)
	w.run(time.Second)
	if !a.info("b").BlockOnly || !b.info("a").BlockOnly {
		t.Fatal("one of the two does not know")
	}
	w.chain.Grow("genesis - a1 - a2")
	a.give(w.chain.Block("a1"))
	w.run(time.Second)
	b.give(w.chain.Block("a2"))
	w.run(time.Second)
	if a.tree.Tip().Hash != w.chain.Hash("a2") || b.tree.Tip().Hash != w.chain.Hash("a2") {
		t.Error("a block did not come")
	}
	if last := a.info("b").LastBlock; last.IsZero() {
		t.Error("b's block is not to its credit")
	}
	for i, n := range []*node{a, b} {
		n.pay(loose(i, 0))
		tx := loose(2+i, 0) // that came by stream, as if from another peer
		n.addTx(tx)
		n.engine.AnnounceTx(w.Now, tx, "c")
		w.Settle(n)
	}
	w.run(11 * time.Minute)
	for _, n := range []*node{a, b} {
		for _, kind := range []string{"Tx", "MempoolIDs", "Offer", "Peers"} {
			if n.told[kind] > 0 {
				t.Errorf("%s was sent %d × %s", n.ID, n.told[kind], kind)
			}
		}
		if len(n.pool) != 2 {
			t.Errorf("%s has %d payments, expected its own two", n.ID, len(n.pool))
		}
	}
	if len(a.book) != 1 || len(b.book) != 0 {
		t.Errorf("addresses %v and %v, expected only b's, by its hello", a.book, b.book)
	}
}

// TestBlockOnlyKeepsQuiet: who watches a node over a connection for blocks alone,
// from either end of it, can neither ask it for a payment nor hand one in.
func TestBlockOnlyKeepsQuiet(t *testing.T) {
	for _, dialled := range []bool{true, false} {
		t.Run(fmt.Sprintf("dialled %v", dialled), func(t *testing.T) {
			w := newWorld(t, 802)
			n, watcher := w.add("n"), w.add("watcher")
			if dialled {
				n.blocksFrom = watcher.ID
				w.link(n, watcher)
			} else {
				watcher.blocksFrom = n.ID
				w.link(watcher, n)
			}
			w.run(time.Second)
			known, foreign := loose(1, 0), loose(2, 0)
			n.addTx(known)
			clear(watcher.told)
			say := func(m p2p.Msg, gossip bool) {
				_, err := n.Receive(w.Now, watcher.ID, m, gossip)
				w.ok(err)
				w.Settle(n)
				w.run(time.Second)
			}
			for _, gossip := range []bool{false, true} {
				say(&p2p.GetTxs{Hashes: []consensus.Hash{known.TxID(), known.WTxID()}}, gossip)
				say(&p2p.MempoolIDs{Salt: 1, IDs: []uint64{1, 2}}, gossip)
				say(&p2p.Offer{WTxIDs: []consensus.Hash{foreign.WTxID()}}, gossip)
				say(&p2p.TxsDone{}, gossip)
				say(&p2p.Tx{Tx: foreign}, gossip)
				say(&p2p.Tx{Tx: childOf(loose(3, 0))}, gossip)
				say(&p2p.Peers{Addrs: []string{"/ip4/8.8.8.8/tcp/1"}}, gossip)
				if n.engine.AskParents(w.Now, watcher.ID, []consensus.Hash{{7}}); len(n.Outbox()) > 0 {
					t.Error("it was asked for parents")
				}
			}
			for kind, count := range watcher.told {
				if !slices.Contains([]string{"Ping", "Pong", "GetHeaders", "Headers"}, kind) {
					t.Errorf("the watcher was sent %d × %s", count, kind)
				}
			}
			if len(n.pool) != 1 || len(n.orphans) != 0 {
				t.Errorf("%d payments and %d orphans, expected the one that was there", len(n.pool), len(n.orphans))
			}
			if info := n.info("watcher"); !info.LastTx.IsZero() || info.Score != 0 {
				t.Errorf("payments are to its credit, or its blame: %+v", info)
			}
			if slices.Contains(n.book, "/ip4/8.8.8.8/tcp/1") {
				t.Error("its addresses were taken")
			}
		})
	}
}

// TestFaultIsOurs: an error of the source comes back from the engine, and no
// peer is blamed.
func TestFaultIsOurs(t *testing.T) {
	w := newWorld(t, 51)
	w.chain.Grow("genesis - a1")
	n := w.add("n")
	n.give(w.chain.Path("a1")...)
	fault := errors.New("disk on fire")
	engine := p2p.New(p2p.Config{Params: w.params}, broken{n, fault}, w.Rand)
	engine.Connected(w.Now, p2p.Peer{ID: "x"})
	_, err := engine.Handle(w.Now, "x", &p2p.Hello{Version: 1, Genesis: w.params.GenesisHash()})
	w.ok(err)
	if _, err = engine.Handle(w.Now, "x", &p2p.GetBlocks{Hashes: []consensus.Hash{w.chain.Hash("a1")}}); !errors.Is(err, fault) {
		t.Errorf("%v, not the source's error", err)
	}
	if p := engine.Peers()[0]; p.Score != 0 {
		t.Errorf("the peer was blamed: %d", p.Score)
	}
}

type broken struct {
	*node
	fault error
}

func (b broken) Body(consensus.Hash) (*consensus.Block, error) { return nil, b.fault }
