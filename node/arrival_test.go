package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// TestArrivals: observers hear of each body once, before its step: of the best chain, of a
// side branch, and of one that turns out to be invalid, but not of one that is so by itself.
func TestArrivals(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow(`genesis - a1..a101 - a102
	                  a100 - b101`)
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	c.Mine("a102", "bare", chaintest.Txs(pay), chaintest.NoCommitment())
	forged := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	forged.Inputs[0].Witness[0][0] ^= 1
	c.Mine("a102", "forged", chaintest.Txs(forged))
	c.Mine("a102", "a103", chaintest.Txs(pay))
	r, _ := startRunner(t, storage.OpenMemory(c.Params, true), c.Params)
	r.SetMockTime(c.Now())
	ctx, cancel := context.WithCancel(t.Context())
	events := r.Events(ctx)
	began := time.Now()
	for _, b := range c.Path("a102") {
		if _, err := r.SubmitBlock(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []struct {
		name string
		err  bool
	}{{"b101", false}, {"a101", true}, {"bare", true}, {"forged", true}, {"a103", false}, {"a103", true}} {
		if _, err := r.SubmitBlock(ctx, c.Block(w.name)); (err != nil) != w.err {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	ended := time.Now()
	cancel()
	var want []string
	for _, b := range c.Path("a102") {
		want = append(want, c.Name(b.Hash()))
	}
	want = append(want, "b101", "forged", "a103")
	came := make(map[consensus.Hash]bool)
	for e := range events {
		if e.Time.Before(began) || e.Time.After(ended) {
			t.Errorf("an event is timed %v, between %v and %v", e.Time, began, ended)
		}
		if e.Change != nil && !came[e.Change.To.Hash] {
			t.Errorf("the tip %s came before it arrived", c.Name(e.Change.To.Hash))
		}
		a := e.Block
		if a == nil {
			continue
		}
		name := c.Name(a.Hash)
		if len(want) == 0 || name != want[0] {
			t.Fatalf("%s arrived, expected the next ones to be %v", name, want)
		}
		want, came[a.Hash] = want[1:], true
		block := c.Block(name)
		fees := int64(0)
		for _, tx := range block.Txs[1:] {
			fees += c.Fee(tx)
		}
		if *a != (node.Arrival{Hash: block.Hash(), Header: block.Header, Height: c.Index(name).Height,
			Txs: len(block.Txs), Size: block.Size(), Weight: block.Weight(), Fees: fees}) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if len(want) != 0 {
		t.Errorf("%v did not arrive", want)
	}
}

// TestArrivalsFromPeers: an arrival names who sent the body, or announced the block.
func TestArrivalsFromPeers(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1 - a2 - a3")
	sender, announcer := newBait("sender", nil, b.genesis()), newBait("announcer", nil, b.genesis())
	b.meet(sender, 0, true)
	b.meet(announcer, 0, true)
	b.listen()
	b.say(sender, &p2p.Block{Block: c.Block("a1")})
	b.listen()
	b.say(announcer, p2p.NewAnnounce(c.Block("a2"), 1))
	b.listen()
	b.submit(b.victim, c.Block("a3"))
	var from []p2p.PeerID
	for i, a := range b.victim.Arrivals() {
		if a.Height != uint32(i+1) {
			t.Errorf("arrival %d is %s", i, c.Name(a.Hash))
		}
		from = append(from, a.From)
	}
	if len(from) != 3 || from[0] != sender.id || from[1] != announcer.id || from[2] != "" {
		t.Errorf("they came from %q, expected %q, %q and this machine", from, sender.id, announcer.id)
	}
	if again := b.victim.Arrivals(); len(again) != 0 {
		t.Errorf("%d are handed over again", len(again))
	}
}

// TestArrivalsBounded: a node that nobody observes keeps the last ones, not all.
func TestArrivalsBounded(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a2500")
	w := newWorld(t, c.Params, 1, 1)
	w.submit(w.Nodes[0], c.Path("a2500")...)
	got := w.Nodes[0].Arrivals()
	if len(got) < 500 || len(got) > 1000 || got[len(got)-1].Hash != c.Hash("a2500") {
		t.Errorf("%d arrivals are kept", len(got))
	}
}
