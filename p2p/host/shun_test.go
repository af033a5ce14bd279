package host

import (
	"errors"
	"testing"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// TestShunCounts: a peer is shunned until everybody who shunned it has taken that back.
func TestShunCounts(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	for range 2 {
		if err := a.shun(b.id); err != nil {
			t.Fatal(err)
		}
	}
	a.unshun(b.id)
	if !a.gossip.shy.Contains(b.id) {
		t.Error("one of two took back what the other did")
	}
	a.unshun(b.id)
	if a.gossip.shy.Contains(b.id) || len(a.gossip.shy.ids) != 0 {
		t.Error("still shunned")
	}
	a.connect(t, b)
	if err := a.shun(b.id); !errors.Is(err, errConnected) {
		t.Errorf("shunning a peer with which gossip has begun: %v", err)
	}
	meshed(t, a, b)
}

// TestShunnedByChance: a peer is dialed for blocks alone, and meanwhile a session of
// another kind comes about. It would be one without gossip for good: so it ends, and the
// next one has gossip.
func TestShunnedByChance(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	if err := a.shun(b.id); err != nil { // as open does for blocks alone
		t.Fatal(err)
	}
	b.connect(t, a)
	a.waitFor(t, "connected", b.ID(), 1)
	a.unshun(b.id) // as it does then
	a.waitFor(t, "disconnected", b.ID(), 1)
	b.waitFor(t, "disconnected", a.ID(), 1)
	b.connect(t, a)
	meshed(t, a, b)
	// What is dialed in full over there is not dialed for blocks alone.
	if s, err := a.Host.connect(within(t), b.Addrs()[0], peers.BlockOnly); err != nil || s.kind != peers.Inbound {
		t.Errorf("session %v, error %v", s, err)
	}
	if a.gossip.shy.Contains(b.id) {
		t.Error("a peer that gossips is shunned")
	}
}

// TestBlockOnlyEnds: once a session for blocks alone has ended, the peer may gossip.
func TestBlockOnlyEnds(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	if _, err := a.Host.connect(within(t), b.Addrs()[0], peers.BlockOnly); err != nil {
		t.Fatal(err)
	}
	a.waitFor(t, "connected", b.ID(), 1)
	if !a.gossip.shy.Contains(b.id) {
		t.Error("not shunned")
	}
	a.Disconnect(b.ID())
	b.waitFor(t, "disconnected", a.ID(), 1)
	a.wait(t, "the end of it", func([]event) bool { return !a.gossip.shy.Contains(b.id) })
	if err := b.Keep(a.ShortAddrs()[0]); err != nil { // the first dial may meet the hanging up
		t.Fatal(err)
	}
	meshed(t, a, b)
}
