package host

import (
	"testing"

	"github.com/kapok-chain/kapok/p2p"
)

// TestMessagesAreCounted: by type, by way, in all and for the peer; copies of what
// gossip had brought before are told apart.
func TestMessagesAreCounted(t *testing.T) {
	a, b, c := start(t, lean()), start(t, lean()), start(t, lean())
	a.connect(t, b)
	a.connect(t, c)
	b.connect(t, c)
	for _, n := range []*node{a, b, c} {
		n.waitFor(t, "connected", "", 2)
	}
	meshed(t, a, b, c)
	meshed(t, b, c)

	ping, unknown, tx := &p2p.Ping{Nonce: 1}, &p2p.Unknown{T: 200}, payment(1, 100)
	for _, m := range []p2p.Msg{ping, ping, unknown} {
		a.Send(p2p.Outgoing{To: b.ID(), Msg: m})
	}
	b.waitFor(t, "message", a.ID(), 3)
	a.Send(p2p.Outgoing{Msg: tx})
	b.wait(t, "a copy of the payment", func([]event) bool { // whoever is first forwards it to the other
		copies := uint64(0)
		for _, n := range []*node{b, c} {
			m := n.Messages()
			again := m.Duplicates[p2p.TypeTx].Messages
			if m.GossipIn[p2p.TypeTx].Messages != 1+again {
				return false
			}
			copies += again
		}
		return copies >= 1
	})

	size := uint64(len(p2p.Encode(tx)))
	in := b.Messages()
	if got := in.StreamIn[p2p.TypePing]; got != (MessageCount{2, 18}) {
		t.Errorf("pings %+v", got)
	}
	if got := in.StreamIn[0]; got != (MessageCount{1, 1}) {
		t.Errorf("messages of unknown types %+v", got)
	}
	if got := in.GossipIn[p2p.TypeTx]; got.Messages == 0 || got.Bytes != got.Messages*size {
		t.Errorf("payments by gossip %+v, each of %d bytes", got, size)
	}
	if got := in.Duplicates[p2p.TypeTx]; got.Bytes != got.Messages*size {
		t.Errorf("duplicates %+v", got)
	}
	// A new session is told by stream what is gossiped.
	out := a.Messages()
	if got := out.GossipOut[p2p.TypeTx]; got != (MessageCount{2, 2 * size}) {
		t.Errorf("payments sent by gossip %+v", got)
	}
	if got := out.StreamOut[p2p.TypePing]; got != (MessageCount{2, 18}) {
		t.Errorf("pings sent %+v", got)
	}
	if got := a.Conn(b.ID()).Sent; got[p2p.TypePing].Messages != 2 || got[p2p.TypeTx].Messages < 1 {
		t.Errorf("sent to b: %+v", got)
	}
	if got := b.Conn(a.ID()).Received; got[p2p.TypePing].Bytes != 18 || got[p2p.TypeTx].Bytes%size != 0 || got[p2p.TypeTx].Bytes == 0 {
		t.Errorf("received from a: %+v", got)
	}
}
