package testnet

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/record"
)

// town is two honest nodes and an attacker's, over libp2p on loopback, with miners.
type town struct {
	t               *testing.T
	c               *chaintest.Chain
	public, private *node.Service
	honest          [2]*node.Service
	ctx             context.Context
	cancel          context.CancelFunc
	lives           sync.WaitGroup
}

// fixedParams is a network whose blocks all take 2^12 hashes.
func fixedParams(t *testing.T) *consensus.Params {
	p := &consensus.Params{
		Name: "attacks", Spacing: 1, Rule: consensus.RuleFixed, StartBits: 0x1f0fffff, PowLimitBits: 0x1f0fffff, FutureLimit: 7200,
		Maturity: 2, MaxWeight: 400_000, HalvingInterval: 150, GenesisTime: 1767225600, GenesisText: "attacks", HRP: "kpka",
	}
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// newTown has all nodes stand at the end of a drawing, and connected.
func newTown(t *testing.T, drawing, tip string) *town {
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
	dir := t.TempDir()
	w := &town{t: t, c: chaintest.New(t, fixedParams(t))}
	w.c.Grow(drawing)
	w.ctx, w.cancel = context.WithTimeout(context.Background(), 2*time.Minute) // for slow machines
	t.Cleanup(func() { w.cancel(); w.lives.Wait() })
	open := func(name string, listen []string, peers ...string) *node.Service {
		s, err := node.Open(node.ServiceConfig{
			Params: w.c.Params, DataDir: filepath.Join(dir, name), Agent: "/test/", Version: "0.0.0", Lean: true, DisableQUIC: true,
			OnlyPeers: true, Listen: listen, Peers: peers,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.lives.Go(func() {
			if err := s.Run(w.ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		return s
	}
	local := []string{"127.0.0.1:0"}
	w.honest[0] = open("honest1", local)
	at := w.honest[0].Host.Addrs()[0]
	w.honest[1] = open("honest2", local, at)
	w.public = open("public", local, at, w.honest[1].Host.Addrs()[0])
	w.private = open("private", nil)
	for _, block := range w.c.Path(tip) {
		for _, s := range []*node.Service{w.honest[0], w.private} {
			if _, err := s.Runner.SubmitBlock(w.ctx, block); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range []*node.Service{w.honest[1], w.public} { // which shows that they are connected
		w.reach(s, w.c.Index(tip))
	}
	return w
}

// reach waits until a block is on a node's chain.
func (w *town) reach(s *node.Service, b *consensus.BlockIndex) {
	w.t.Helper()
	for {
		tip, err := tipOf(w.ctx, s.Runner)
		if err != nil {
			w.t.Fatal(err)
		}
		if contains(tip, b) {
			return
		}
		if err := s.Runner.WaitTip(w.ctx, tip.Hash); err != nil {
			w.t.Fatalf("block %s at height %d does not come: %v", b.Hash, b.Height, err)
		}
	}
}

// mine lets a service mine at a rate, to a named key.
func (w *town) mine(s *node.Service, hashesPerS float64, name string) {
	m := miner.New(miner.Config{Threads: 1, MaxHashrate: hashesPerS, Payout: consensus.PayToKey(w.c.Key(name))}, s.Source())
	w.lives.Go(func() {
		if err := m.Run(w.ctx); err != nil && w.ctx.Err() == nil {
			w.t.Errorf("the miner of %s: %v", name, err)
		}
	})
}

// config is the attacker's.
func (w *town) config(share float64, tell func(record.Event)) attackConfig {
	return attackConfig{
		Node: 2, Share: share, Public: w.public.Runner, Private: w.private.Runner, Began: time.Now(), Now: time.Now,
		Tell: tell, Log: slog.New(slog.DiscardHandler),
	}
}

// chain reads the blocks of a node's chain above a height, from the top.
func (w *town) chain(r *node.Runner, above uint32) (blocks []*consensus.Block) {
	w.t.Helper()
	tip, err := tipOf(w.ctx, r)
	if err != nil {
		w.t.Fatal(err)
	}
	for b := tip; b.Height > above; b = b.Parent {
		block, err := r.Block(b.Hash)
		if err != nil {
			w.t.Fatal(err)
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// pay counts the blocks whose coinbase pays a named key.
func (w *town) pay(name string, blocks []*consensus.Block) (count int) {
	script := consensus.PayToKey(w.c.Key(name))
	for _, block := range blocks {
		if bytes.Equal(block.Txs[0].Outputs[0].Script, script) {
			count++
		}
	}
	return count
}

// A selfish miner with 35 % among two honest ones: the blocks that it calls its own are
// those that pay it.
func TestSelfishMinerAmongOthers(t *testing.T) {
	const start, blocks = 3, 12
	w := newTown(t, "genesis - a1..a3", "a3")
	var events []record.Event
	s, err := newSelfish(w.config(0.35, func(e record.Event) { events = append(events, e) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(w.ctx)
	var outcome record.Attack
	var attack sync.WaitGroup
	attack.Go(func() { outcome, err = s.run(ctx) })
	const rate = 1 << 14 // hashes a second of all: 4 blocks
	w.mine(w.honest[0], 0.40*rate, "honest1")
	w.mine(w.honest[1], 0.25*rate, "honest2")
	w.mine(w.private, 0.35*rate, "attacker")
	for {
		tip, err := tipOf(w.ctx, w.public.Runner)
		if err != nil {
			t.Fatal(err)
		}
		if tip.Height >= start+blocks {
			break
		}
		if err := w.public.Runner.WaitTip(w.ctx, tip.Hash); err != nil {
			t.Fatal(err)
		}
	}
	end()
	attack.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Blocks < blocks || outcome.Own > outcome.Blocks || outcome.TiesOwn+outcome.TiesWon > outcome.Ties {
		t.Errorf("the outcome is %+v", outcome)
	}
	if len(events) != 2 || events[1].Attack == nil {
		t.Errorf("the events are %+v", events)
	}
	// The public node has no miner: but for blocks of the others that came since, its
	// chain is the one that was counted.
	chain := w.chain(w.public.Runner, start)
	paid := w.pay("attacker", chain)
	if len(chain) == outcome.Blocks && paid != outcome.Own {
		t.Errorf("%d blocks pay the attacker, and it counted %d", paid, outcome.Own)
	}
	t.Logf("%+v; %s", outcome, events[1].Text)
}

// A double spender with three quarters of the hash rate: what it won is undone on an
// honest node, and what it did not win is paid.
func TestDoubleSpenderAmongOthers(t *testing.T) {
	const start = 10
	w := newTown(t, "genesis - a1..a10", "a10")
	var pays, backs []*consensus.Tx
	next := func(context.Context) (*spentTwice, error) {
		if len(pays) == 8 {
			return nil, nil
		}
		from := chaintest.From(w.c.Coinbase("a" + string(rune('1'+len(pays)))))
		coin := &spentTwice{
			Pay:  w.c.Pay(from, chaintest.To("merchant", 24*chaintest.Coins)),
			Back: w.c.Pay(from, chaintest.To("attacker", 23*chaintest.Coins)),
		}
		pays, backs = append(pays, coin.Pay), append(backs, coin.Back)
		return coin, nil
	}
	var events []record.Event
	d, err := newDoubleSpend(
		w.config(0.75, func(e record.Event) { events = append(events, e) }),
		doubleSpendConfig{Confirmations: 1, Tries: 2, GiveUp: 4, Settle: func(time.Duration) time.Duration { return 300 * time.Millisecond }, Next: next})
	if err != nil {
		t.Fatal(err)
	}
	const rate = 1 << 14 // 4 blocks a second
	w.mine(w.honest[0], 0.15*rate, "honest1")
	w.mine(w.honest[1], 0.10*rate, "honest2")
	w.mine(w.private, 0.75*rate, "attacker")
	outcome, err := d.run(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v; %s", outcome, events[len(events)-1].Text)
	if outcome.Tries != 2 || outcome.Won == 0 || outcome.Won+outcome.GivenUp > outcome.Tries {
		t.Errorf("the outcome is %+v", outcome)
	}
	tip, err := tipOf(w.ctx, w.public.Runner)
	if err != nil {
		t.Fatal(err)
	}
	w.reach(w.honest[1], tip)
	in := make(map[consensus.Hash]bool)
	for _, block := range w.chain(w.honest[1].Runner, start) {
		for _, tx := range block.Txs {
			in[tx.TxID()] = true
		}
	}
	undone := 0
	for i := range pays {
		if in[backs[i].TxID()] {
			undone++
		}
		if in[pays[i].TxID()] && in[backs[i].TxID()] {
			t.Errorf("coin %d was spent twice in one chain", i+1)
		}
	}
	if undone != outcome.Won {
		t.Errorf("%d payments were undone, and the attacker won %d tries", undone, outcome.Won)
	}
}
