package node_test

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// carrier takes note of whom the node wants to be rid of.
type carrier struct{ dropped, denied []p2p.PeerID }

func (c *carrier) Send(p2p.Outgoing)           {}
func (c *carrier) Disconnect(id p2p.PeerID)    { c.dropped = append(c.dropped, id) }
func (c *carrier) Deny(id p2p.PeerID)          { c.denied = append(c.denied, id) }
func (c *carrier) Backlog() map[p2p.PeerID]int { return nil }

// TestWhoIsKeptOut: a peer that breaks rules is kept out; one that is of no use, or of
// another network, is only dropped.
func TestWhoIsKeptOut(t *testing.T) {
	params := consensus.Regtest()
	w := newWorld(t, params, 1, 0)
	n := w.reside(storage.OpenMemory(params, true))
	var c carrier
	r := node.NewRunner(n.Node, &c, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
	hello := func(genesis consensus.Hash) *p2p.Hello {
		return &p2p.Hello{Version: p2p.Version, Genesis: genesis, Nonce: 1, Tip: params.GenesisHash(), Time: r.Now().Unix()}
	}
	for _, id := range []p2p.PeerID{"foreign", "rude", "honest"} {
		r.Connected(p2p.Peer{ID: id, Addr: "/ip4/11.0.0.1/tcp/1"})
	}
	r.Receive("honest", hello(params.GenesisHash()), false)
	r.Receive("foreign", hello(consensus.Hash{1}), false)
	for range 20 { // a second hello is nonsense
		r.Receive("rude", hello(params.GenesisHash()), false)
	}
	if want := []p2p.PeerID{"foreign"}; !slices.Equal(c.dropped, want) {
		t.Errorf("dropped %v, expected %v", c.dropped, want)
	}
	if want := []p2p.PeerID{"rude"}; !slices.Equal(c.denied, want) {
		t.Errorf("kept out %v, expected %v", c.denied, want)
	}
}
