package node_test

import (
	"fmt"
	"testing"
	"time"

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

// TestPaymentCredit: a payment is to its peer's credit when it was accepted, and not
// when it was refused, was known, or waits for its parent.
func TestPaymentCredit(t *testing.T) {
	for _, gossip := range []bool{false, true} {
		w, n, c := met(t, p2p.Peer{ID: "peer"})
		good := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
		parent := c.Pay(chaintest.From(c.Coinbase("a2")), chaintest.To("bob", 49*chaintest.Coins))
		child := c.Pay(chaintest.From(c.Out(parent, 0)), chaintest.To("carol", 48*chaintest.Coins))
		for _, step := range []struct {
			name string
			tx   *consensus.Tx
			last bool
		}{
			{"of a coin too young", c.Pay(chaintest.From(c.Coinbase("a102")), chaintest.To("bob", 49*chaintest.Coins)), false},
			{"without a fee", c.Pay(chaintest.From(c.Coinbase("a3")), chaintest.To("bob", 50*chaintest.Coins)), false},
			{"orphan", child, false},
			{"good", good, true},
			{"known", good, false},
			{"the orphan's parent", parent, true},
		} {
			w.Now = w.Now.Add(time.Second)
			_, err := n.Receive(w.Now, "peer", &p2p.Tx{Tx: step.tx}, gossip)
			w.check(err)
			if last := n.Peers()[0].LastTx; last.Equal(w.Now) != step.last {
				t.Errorf("%s, gossip %v: last payment at %v, now is %v", step.name, gossip, last, w.Now)
			}
		}
	}
}

// TestBodyCredit: a body is to its peer's credit, and counted, when it was stored: not
// one that is not the block, however it was put together.
func TestBodyCredit(t *testing.T) {
	w, n, c := met(t, p2p.Peer{ID: "peer"})
	say := func(m p2p.Msg, credit bool, relay p2p.BlockRelay) {
		t.Helper()
		w.Now = w.Now.Add(time.Second)
		w.hear(n, "peer", m)
		p := n.Peers()[0]
		if p.LastBlock.Equal(w.Now) != credit || n.BlockRelay() != relay {
			t.Errorf("%T: last block at %v, now is %v; %+v, expected %+v", m, p.LastBlock, w.Now, n.BlockRelay(), relay)
		}
	}
	spend := func(name string) *consensus.Tx {
		return c.Pay(chaintest.From(c.Coinbase(name)), chaintest.To("bob", 49*chaintest.Coins))
	}
	known, unknown, other := spend("a1"), spend("a2"), spend("a3")
	_, err := n.SubmitTx(w.Now, known)
	w.check(err)
	c.Mine("a102", "b103", chaintest.Txs(known, unknown))
	b103 := c.Block("b103")

	say(&p2p.Headers{Headers: []consensus.Header{b103.Header}}, false, p2p.BlockRelay{})
	say(&p2p.Block{Block: &consensus.Block{Header: b103.Header, Txs: b103.Txs[:1]}}, false, p2p.BlockRelay{})
	say(p2p.NewAnnounce(b103, 1), false, p2p.BlockRelay{})
	say(&p2p.BlockTxs{Block: b103.Hash(), Txs: []*consensus.Tx{other}}, false, p2p.BlockRelay{})
	say(&p2p.Block{Block: b103}, true, p2p.BlockRelay{Whole: 1})
	say(&p2p.Block{Block: b103}, false, p2p.BlockRelay{Whole: 1})
	w.flush(n)

	// A version whose coinbase is another one is rebuilt at once, and wrong.
	c.Mine("b103", "b104")
	b104, forged := c.Block("b104"), p2p.NewAnnounce(c.Block("b104"), 2)
	forged.Coinbase = b103.Txs[0]
	w.Now = w.Now.Add(time.Second)
	w.hear(n, "peer", &p2p.Headers{Headers: []consensus.Header{b104.Header}})
	say(forged, false, p2p.BlockRelay{Whole: 1})
	n.Connected(w.Now, p2p.Peer{ID: "second"})
	w.hear(n, "second", &p2p.Hello{Version: p2p.Version, Genesis: c.Params.GenesisHash(), Nonce: 2})
	w.Now = w.Now.Add(time.Second)
	w.hear(n, "second", p2p.NewAnnounce(b104, 3))
	if p := n.Peers(); !p[1].LastBlock.Equal(w.Now) || n.BlockRelay() != (p2p.BlockRelay{Rebuilt: 1, Whole: 1}) {
		t.Errorf("rebuilt: %+v, %+v", p[1], n.BlockRelay())
	}
	w.flush(n)

	c.Mine("b104", "b105", chaintest.Txs(other))
	w.Now = w.Now.Add(time.Second)
	w.hear(n, "second", p2p.NewAnnounce(c.Block("b105"), 4))
	w.Now = w.Now.Add(time.Second)
	w.hear(n, "second", &p2p.BlockTxs{Block: c.Hash("b105"), Txs: []*consensus.Tx{other}})
	if p := n.Peers(); !p[1].LastBlock.Equal(w.Now) || n.BlockRelay() != (p2p.BlockRelay{Rebuilt: 1, Completed: 1, Whole: 1}) {
		t.Errorf("completed: %+v, %+v", p[1], n.BlockRelay())
	}
}
