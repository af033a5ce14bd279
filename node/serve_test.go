package node_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// TestPartsGoOnBeforeTheBlockIsConnected: on a line of nodes whose mempools lack a
// payment each waits for the one before, but not until that one has connected the block.
// A whole body is another matter: whoever hands on an invalid one is to blame.
func TestPartsGoOnBeforeTheBlockIsConnected(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", chaintest.Coins))
	bad := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", chaintest.Coins))
	bad.Inputs[0].Witness[0][40] ^= 1
	for _, test := range []struct {
		name  string
		tx    *consensus.Tx
		whole int // bodies that are handed on when the block was judged
	}{{"valid", pay, 1}, {"invalid, as its signature shows", bad, 0}} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, c.Params, 1, 0)
			b := &bench{world: w, victim: w.reside(storage.OpenMemory(c.Params, true))}
			w.submit(b.victim, c.Path("a101")...)
			w.flush(b.victim)
			block := c.Mine("a101", test.name, chaintest.Txs(test.tx))
			sender, asker := newBait("sender", nil, b.genesis()), newBait("asker", nil, b.genesis())
			b.meet(sender, 0, true)
			b.meet(asker, 0, true)
			b.victim.Outbox()

			b.say(sender, p2p.NewAnnounce(block, 7))
			b.say(asker, &p2p.GetBlockTxs{Block: block.Hash(), Indexes: []uint32{1}})
			b.say(asker, &p2p.GetBlocks{Hashes: []consensus.Hash{block.Hash()}})
			answers := func() (parts, bodies int) {
				for _, out := range b.victim.Outbox() {
					switch m := out.Msg.(type) {
					case *p2p.BlockTxs:
						if parts++; out.To != asker.id || len(m.Txs) != 1 || m.Txs[0].WTxID() != test.tx.WTxID() {
							t.Errorf("%+v to %s", m, out.To)
						}
					case *p2p.Block:
						bodies++
					}
				}
				return parts, bodies
			}
			if parts, bodies := answers(); parts+bodies != 0 {
				t.Fatalf("%d parts and %d bodies before anything was there", parts, bodies)
			}
			b.say(sender, &p2p.BlockTxs{Block: block.Hash(), Txs: block.Txs[1:]})
			if parts, bodies := answers(); parts != 1 || bodies != 0 {
				t.Errorf("%d parts and %d bodies before the block was connected, not 1 and none", parts, bodies)
			}
			b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
			b.Now = b.Now.Add(200 * time.Millisecond)
			b.check(b.victim.Tick(b.Now))
			if parts, bodies := answers(); parts != 0 || bodies != test.whole {
				t.Errorf("%d parts and %d bodies after the block was judged, not none and %d", parts, bodies, test.whole)
			}
			if drops := b.victim.Drops(); len(drops) > 0 {
				t.Errorf("dropped %+v", drops)
			}
			for _, p := range b.victim.Peers() {
				if p.Score != 0 {
					t.Errorf("%s has %v points", p.ID, p.Score)
				}
			}
		})
	}
}
