package host

import (
	"errors"
	"fmt"
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
