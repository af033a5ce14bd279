package node_test

import (
	"fmt"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// met is a node with a chain of 102 blocks and a peer that has said hello.
func met(t *testing.T, peer p2p.Peer, extra ...byte) (w *world, n *resident, c *chaintest.Chain) {
	c = chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a102")
	w = newWorld(t, c.Params, 1, 0)
	n = w.reside(storage.OpenMemory(c.Params, true))
	w.submit(n, c.Path("a102")...)
	n.Connected(w.Now, peer)
	_, err := n.Receive(w.Now, peer.ID, &p2p.Hello{Version: p2p.Version, Genesis: c.Params.GenesisHash(), Nonce: 1, Extra: extra}, false)
	w.check(err)
	return w, n, c
}

// TestBlockOnlyPayments: a peer on a connection for blocks alone cannot hand a payment
// in, whichever side asked for blocks alone.
func TestBlockOnlyPayments(t *testing.T) {
	for _, c := range []struct {
		name  string
		peer  p2p.Peer
		extra []byte
		takes bool
	}{
		{"full", p2p.Peer{ID: "peer"}, nil, true},
		{"we asked", p2p.Peer{ID: "peer", BlockOnly: true}, nil, false},
		{"they asked", p2p.Peer{ID: "peer", Inbound: true}, []byte{1}, false},
	} {
		for _, gossip := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gossip %v", c.name, gossip), func(t *testing.T) {
				w, n, chain := met(t, c.peer, c.extra...)
				tx := chain.Pay(chaintest.From(chain.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
				verdict, err := n.Receive(w.Now, "peer", &p2p.Tx{Tx: tx}, gossip)
				w.check(err)
				if took := n.InMempool(tx.TxID()); took != c.takes || (verdict == p2p.Accept) != c.takes {
					t.Errorf("taken %v, verdict %v", took, verdict)
				}
			})
		}
	}
}
