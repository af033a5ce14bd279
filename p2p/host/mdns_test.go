package host

import (
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// TestMDNS: two nodes of one network find each other in the local network, and one
// of another network finds nobody.
func TestMDNS(t *testing.T) {
	if !multicast() {
		t.Skip("no interface here is up and does multicast")
	}
	c := lean()
	c.Listen = []string{"0.0.0.0:0"}
	c.MDNS = true
	foreign := c
	foreign.GenesisHash[0]++
	f := start(t, foreign)
	a, b := start(t, c), start(t, c)
	a.waitFor(t, "connected", b.ID(), 1)
	b.waitFor(t, "connected", a.ID(), 1)
	if len(f.seen()) > 0 || a.session(f.ID()) != nil {
		t.Error("a node of another network was found")
	}
}

func multicast() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0 {
			return true
		}
	}
	return false
}

// TestCrowdInLocalNetwork: whoever announces nodes in the local network by the dozen gets
// eight connections, one attempt at a time, and none of what the node keeps for itself.
func TestCrowdInLocalNetwork(t *testing.T) {
	a := start(t, lean())
	l := newLAN(a.Host)
	for range maxLocal + 2 {
		b := start(t, lean())
		l.visit(peer.AddrInfo{ID: b.id, Addrs: b.swarm.ListenAddresses()})
	}
	if n := a.kinds()[peers.Local]; n != maxLocal {
		t.Errorf("%d peers of the local network, expected %d", n, maxLocal)
	}
	for range 10 * maxFound { // of which nobody takes any away
		l.HandlePeerFound(peer.AddrInfo{})
	}
	if n := len(l.found); n != maxFound {
		t.Errorf("%d announcements wait, expected %d", n, maxFound)
	}
}
