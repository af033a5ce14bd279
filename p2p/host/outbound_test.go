package host

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// The hosts of these tests listen on addresses of many net groups of the loopback's
// 127.0.0.0/8, and LimitPrivate makes them count like public ones.

// inGroup is the Config of a host in a net group.
func inGroup(group int) Config {
	c := lean()
	c.LimitPrivate = true
	c.Listen = []string{fmt.Sprintf("127.%d.0.1:0", group)}
	return c
}

// bookOf returns a book that one source told of some hosts.
func bookOf(path string, hosts ...*node) *Book {
	b := OpenBook(path, testGenesis, true, nil)
	for i, h := range hosts {
		b.Heard(time.Now(), p2p.Peer{Addr: fmt.Sprintf("/ip4/127.%d.0.9/tcp/1", 200+i%20)}, []string{h.swarm.ListenAddresses()[0].String()}, false)
	}
	return b
}

// kinds counts the live sessions of a host by their kind.
func (n *node) kinds() map[peers.Kind]int {
	count := make(map[peers.Kind]int)
	for _, s := range n.all() {
		if s.stopped() == nil {
			count[s.kind]++
		}
	}
	return count
}

// heardOf looks for a payment, whichever way it came.
func heardOf(n uint32) func([]event) bool {
	return func(events []event) bool {
		return slices.ContainsFunc(events, func(e event) bool { return number(e.msg) == n })
	}
}

func (n *node) waitKinds(t *testing.T, full, blockOnly int) {
	t.Helper()
	n.wait(t, fmt.Sprintf("%d full and %d block-only peers (%v)", full, blockOnly, n.kinds()), func([]event) bool {
		k := n.kinds()
		return k[peers.Full] == full && k[peers.BlockOnly] == blockOnly
	})
}

// TestOutboundDiversity: a node dials eight peers and two for blocks alone, in
// different net groups, and no more; the two take no part in gossip, and are the
// first to be dialed at the next start.
func TestOutboundDiversity(t *testing.T) {
	var all []*node
	for i := range 18 {
		all = append(all, start(t, inGroup(1+i/3*3))) // three in each of six groups
	}
	var others []*node
	for i := range 5 {
		others = append(others, start(t, inGroup(100+i)))
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	c := inGroup(50)
	c.Book = bookOf(path, append(all, others...)...)
	a := start(t, c)
	a.waitKinds(t, 8, 2)
	groups := make(map[netip.Prefix]bool)
	var blockOnly []netip.AddrPort
	gossiping := make(map[p2p.PeerID]bool)
	for _, s := range a.all() {
		addr, _ := addrPort(s.stream.Conn().RemoteMultiaddr())
		if groups[peers.GroupOf(addr.Addr())] {
			t.Errorf("two peers in the group of %s", addr)
		}
		groups[peers.GroupOf(addr.Addr())] = true
		if s.kind == peers.BlockOnly {
			blockOnly = append(blockOnly, addr)
		} else {
			gossiping[s.peer.ID] = true
		}
	}
	// The eight gossip with us, and the two do not.
	a.wait(t, "gossip with the eight", func([]event) bool { return len(a.gossip.txs.ListPeers()) >= len(gossiping) })
	for _, id := range a.gossip.txs.ListPeers() {
		if !gossiping[name(id)] {
			t.Errorf("%s gossips over a connection for blocks alone", id)
		}
	}
	// A payment reaches the eight, and neither of the two: by gossip, or by stream as
	// long as there are no meshes, and a large one by stream.
	a.Send(p2p.Outgoing{Msg: payment(1, 100)})
	a.Send(p2p.Outgoing{Msg: payment(2, p2p.MaxGossip)})
	reached := make(map[p2p.PeerID]*node)
	for _, n := range append(all, others...) {
		reached[n.ID()] = n
	}
	for id := range gossiping {
		reached[id].wait(t, "the payment", heardOf(1))
		reached[id].wait(t, "the large payment", heardOf(2))
	}
	for _, s := range a.all() {
		if heard := reached[s.peer.ID].seen(); s.kind == peers.BlockOnly && (heardOf(1)(heard) || heardOf(2)(heard)) {
			t.Errorf("%s heard of a payment over a connection for blocks alone", s.peer.ID)
		}
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(a.log.String(), "blacklisted") {
		t.Error("GossipSub complains about the peers that it is kept from")
	}
	// The next start.
	c.Book = OpenBook(path, testGenesis, true, nil)
	if got := slices.Clone(c.Book.dialer.Anchors); len(got) != 2 || !slices.Contains(blockOnly, got[0]) || !slices.Contains(blockOnly, got[1]) {
		t.Fatalf("anchors %v, expected %v", got, blockOnly)
	}
	b := start(t, c)
	b.waitKinds(t, 8, 2)
	for _, s := range b.all() {
		if addr, _ := addrPort(s.stream.Conn().RemoteMultiaddr()); s.kind == peers.BlockOnly && !slices.Contains(blockOnly, addr) {
			t.Errorf("%s was no anchor", addr)
		}
	}
}

// TestOneMoreWhileQuiet: while no block comes a ninth peer is dialed; once there are
// blocks, and it had its time, one of the nine leaves: not the one that a block came
// from.
func TestOneMoreWhileQuiet(t *testing.T) {
	var all []*node
	for i := range 12 {
		all = append(all, start(t, inGroup(1+i)))
	}
	c := inGroup(50)
	c.Book = bookOf("", all...)
	a := start(t, c)
	a.waitKinds(t, 8, 2)
	a.recorder.mu.Lock()
	a.recorder.quiet = true
	a.recorder.mu.Unlock()
	a.waitKinds(t, 9, 2)
	full := a.kind(peers.Full)
	var infos []p2p.PeerInfo
	for _, s := range full[1:] {
		infos = append(infos, p2p.PeerInfo{Peer: s.peer, LastBlock: time.Now()})
	}
	a.recorder.mu.Lock()
	a.recorder.quiet, a.recorder.infos = false, infos
	a.recorder.mu.Unlock()
	a.dropSurplus(time.Now().Add(time.Minute)) // when the youngest has had its time
	a.waitFor(t, "disconnected", full[0].peer.ID, 1)
	a.waitKinds(t, 8, 2)
}

// TestPrivateBook: what a book holds of private addresses is not dialed, unless
// asked: a testnet on one machine connects as its operator says.
func TestPrivateBook(t *testing.T) {
	b := start(t, lean())
	c := lean()
	c.Book = OpenBook("", testGenesis, false, nil)
	c.Book.Heard(time.Now(), p2p.Peer{Addr: "/ip4/11.0.0.1/tcp/1"}, []string{b.swarm.ListenAddresses()[0].String()}, false)
	c.Book.Heard(time.Now(), p2p.Peer{Addr: "/ip4/127.0.0.1/tcp/1"}, []string{b.swarm.ListenAddresses()[0].String()}, true)
	if addrs := known(c.Book); len(addrs) != 0 {
		t.Errorf("the book holds %v", addrs)
	}
}

// TestProbe: a feeler finds a node of our network, and says so of nothing else.
func TestProbe(t *testing.T) {
	foreign := lean()
	foreign.GenesisHash[0]++
	a, b, f := start(t, lean()), start(t, lean()), start(t, foreign)
	if err := a.probe(within(t), b.swarm.ListenAddresses()[0].String()); err != nil {
		t.Errorf("a node of our network: %v", err)
	}
	b.waitFor(t, "disconnected", a.ID(), 1)
	if n := len(a.seen()); n != 0 {
		t.Errorf("the node was told of a feeler: %v", a.seen())
	}
	for name, addr := range map[string]string{
		"other network": f.swarm.ListenAddresses()[0].String(), "nobody": "/ip4/127.0.0.1/tcp/1", "ourselves": a.swarm.ListenAddresses()[0].String(),
	} {
		if err := a.probe(within(t), addr); err == nil {
			t.Errorf("%s answered a feeler", name)
		}
	}
	a.connect(t, b) // afterwards all is as usual, gossip too
	meshed(t, a, b)
}

// TestRoomForOwnChoice: peers that an operator names do not take the connections that the
// node keeps for those of its book.
func TestRoomForOwnChoice(t *testing.T) {
	c := inGroup(1)
	c.MaxOut = reservedOut + 2
	c.Book = OpenBook("", testGenesis, true, nil)
	a := start(t, c)
	for i := range 2 {
		a.connect(t, start(t, inGroup(10+i)))
	}
	third := start(t, inGroup(20))
	if err := a.Connect(within(t), third.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "the most allowed") {
		t.Errorf("error %v of the third", err)
	}
	a.Disconnect(a.kind(peers.Manual)[0].peer.ID) // which gives its place back
	a.waitFor(t, "disconnected", "", 1)
	a.wait(t, "the place", func([]event) bool { return a.Connect(within(t), third.Addrs()[0]) == nil })
}

// TestConnectedAlready: that a peer is connected already says nothing about the address
// at which it is tried.
func TestConnectedAlready(t *testing.T) {
	c := lean()
	c.Book = OpenBook("", testGenesis, true, nil)
	a, b := start(t, lean()), start(t, c)
	addr, _ := addrPort(a.swarm.ListenAddresses()[0])
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	tried := func(what string) {
		t.Helper()
		for _, k := range c.Book.book.All() {
			if k.Tried || !k.Success.IsZero() {
				t.Errorf("%s: the book says that %s was tried", what, k.Addr)
			}
		}
	}
	for range 12 { // more often than failures would be forgiven
		for _, kind := range []peers.Kind{peers.Full, peers.BlockOnly, peers.Feeler} {
			c.Book.Heard(time.Now(), p2p.Peer{Addr: "/ip4/127.200.0.9/tcp/1"}, []string{multiaddr(addr)}, false)
			err := b.try(within(t), peers.Link{Kind: kind, Addr: addr})
			if !errors.Is(err, errConnected) {
				t.Fatalf("%s: error %v", kind, err)
			}
			c.Book.dialed(time.Now(), addr, err, true)
		}
	}
	tried("a peer that dialed us")
	if n := len(known(c.Book)); n != 1 {
		t.Errorf("the book holds %d addresses", n)
	}
	// A connection that the peer opened is no proof of where it came from.
	bare, err := New(lean())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	bare.lib.SetStreamHandler(bare.cfg.protocol(), func(s network.Stream) { _, _ = s.Write([]byte{byte(answerAccept)}) })
	if err := bare.lib.Connect(within(t), peer.AddrInfo{ID: b.id, Addrs: b.swarm.ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Host.connect(within(t), bare.Addrs()[0], peers.Full); err != nil {
		t.Fatal(err)
	}
	b.waitFor(t, "connected", bare.ID(), 1)
	tried("a connection that the peer opened")
}
