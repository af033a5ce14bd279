package host

import (
	"fmt"
	"slices"
	"testing"
	"time"

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
