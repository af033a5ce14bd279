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

// A header whose body is withheld, and which came first, keeps nobody from hearing of a
// block that is here.
func TestAnnouncedBesideAWithheldHeader(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a103 - b104")
	c.Mine("a103", "w104", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))))
	c.Mine("w104", "w105")
	b.submit(b.victim, c.Path("a103")...)
	thief := newBait("thief", nil, b.genesis())
	b.meet(thief, 0, true)
	b.listen()
	b.say(thief, p2p.NewAnnounce(c.Block("w104"), 1)) // and never the payment in it
	b.say(thief, p2p.NewAnnounce(c.Block("w105"), 1))
	b.listen()
	_, err := b.victim.SubmitBlock(b.Now, c.Block("b104"))
	b.check(err)
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	told := 0
	for _, out := range b.victim.Outbox() {
		if m, ok := out.Msg.(*p2p.Announce); ok && m.Header.Hash() == c.Hash("b104") && out.To == p2p.Everyone {
			told++
		}
	}
	if b.victim.Tip().Hash != c.Hash("b104") || told != 1 {
		t.Errorf("the tip is %v, and it was announced %d times", b.victim.Tip(), told)
	}
}

// An announcement goes on before anything is known of the body, which nobody is asked for
// as a whole before it was tried to put it together.
func TestForwardedBeforeItIsRebuilt(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a101")
	b.submit(b.victim, c.Path("a100")...)
	peer, other := newBait("peer", nil, b.genesis()), newBait("other", nil, b.genesis())
	b.meet(peer, 0, true)
	b.meet(other, 0, true)
	b.listen()
	for name, later := range map[string]func() error{
		"called":   func() error { _, err := b.victim.Rebuild(b.Now); return err },
		"advanced": func() error { return b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}) },
	} {
		block := c.Mine("a100", name)
		verdict, err := b.victim.Receive(b.Now, peer.id, p2p.NewAnnounce(block, 1), false)
		b.check(err)
		gossip := 0
		for _, out := range b.victim.Outbox() {
			if _, ok := out.Msg.(*p2p.Announce); ok && out.To == p2p.Everyone {
				gossip++
			}
		}
		_, err = b.victim.Receive(b.Now, other.id, &p2p.Headers{Headers: []consensus.Header{block.Header}}, false)
		b.check(err)
		for _, out := range b.victim.Outbox() {
			if _, ok := out.Msg.(*p2p.GetBlocks); ok {
				t.Errorf("%s: the whole body was asked for", name)
			}
		}
		index := b.victim.Lookup(block.Hash())
		if verdict != p2p.Accept || gossip != 1 || index == nil || index.HasBody() {
			t.Errorf("%s: verdict %v, %d messages, %+v", name, verdict, gossip, index)
		}
		b.check(later())
		if !index.HasBody() {
			t.Errorf("%s: the block was not put together", name)
		}
	}
}

// Many announcements at once are all looked at.
func TestManyAnnounced(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a100")
	b.submit(b.victim, c.Path("a100")...)
	peer := newBait("peer", nil, b.genesis())
	b.meet(peer, 0, true)
	var all []*consensus.Block
	for i := range 40 {
		all = append(all, c.Mine("a100", fmt.Sprint("b", i), chaintest.PayTo(fmt.Sprint("miner", i))))
		_, err := b.victim.Receive(b.Now, peer.id, p2p.NewAnnounce(all[i], 1), true)
		b.check(err)
	}
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	for i, block := range all {
		if index := b.victim.Lookup(block.Hash()); index == nil || !index.HasBody() {
			t.Errorf("block %d was forgotten", i)
		}
	}
}

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
