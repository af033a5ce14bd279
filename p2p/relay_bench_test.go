package p2p_test

import (
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// BenchmarkPull is what requests about a mempool of 100,000 payments cost the node
// that answers them: what p2p's units (N18) are held against.
func BenchmarkPull(b *testing.B) {
	w := newWorld(b, 1)
	n := w.add("n")
	for i := range 100_000 {
		n.addTx(loose(i, 0))
	}
	var salt uint64
	connect := func() {
		n.engine.Connected(w.Now, p2p.Peer{ID: "peer"})
		_, _ = n.engine.Handle(w.Now, "peer", &p2p.Hello{Version: p2p.Version, Genesis: w.params.GenesisHash(), Nonce: 1})
		for _, out := range n.engine.Outbox() {
			if m, ok := out.Msg.(*p2p.MempoolIDs); ok {
				salt = m.Salt
			}
		}
	}
	ids := make([]uint64, p2p.MaxMempoolIDs)
	for i := range ids {
		ids[i] = uint64(i)
	}
	for _, c := range []struct {
		name string
		msg  func() p2p.Msg
	}{
		{"GetTxs by hash", func() p2p.Msg { return &p2p.GetTxs{Hashes: make([]consensus.Hash, p2p.MaxGetTxs)} }},
		{"GetTxs by id", func() p2p.Msg { return &p2p.GetTxs{Salt: salt, IDs: ids[:p2p.MaxGetTxs]} }},
		{"MempoolIDs", func() p2p.Msg { return &p2p.MempoolIDs{Salt: 1, IDs: ids} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				connect() // its allowance is whole again
				b.StartTimer()
				if _, err := n.engine.Handle(w.Now, "peer", c.msg()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
