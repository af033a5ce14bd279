package node_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
)

// house is one real service: Badger files, libp2p on loopback.
type house struct {
	*node.Service
	stop  context.CancelFunc
	ended chan error
}

// openHouse starts a service that dials peers.
func openHouse(t *testing.T, params *consensus.Params, dir string, peers ...string) *house {
	t.Helper()
	s, err := node.Open(node.ServiceConfig{
		Params: params, DataDir: dir, Agent: "/test/", Version: "0.0.0", Lean: true, DisableQUIC: true,
		Listen: []string{"127.0.0.1:0"}, Peers: peers, RPCListen: "127.0.0.1:0", PagesListen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h := &house{Service: s, stop: cancel, ended: make(chan error, 1)}
	go func() { h.ended <- s.Run(ctx) }()
	return h
}

// close ends a service and makes sure that all of it has ended.
func (h *house) close(t *testing.T) {
	t.Helper()
	h.stop()
	if err := <-h.ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// reach waits until a service's tip is the given block.
func (h *house) reach(t *testing.T, ctx context.Context, c *chaintest.Chain, name string) {
	t.Helper()
	for {
		var tip consensus.Hash
		if err := h.Runner.Do(func(n *node.Node, _ time.Time) error { tip = n.Tip().Hash; return nil }); err != nil {
			t.Fatal(err)
		}
		if tip == c.Hash(name) {
			return
		}
		if err := h.Runner.WaitTip(ctx, tip); err != nil {
			t.Fatalf("stands at %s, want %s: %v", c.Name(tip), name, err)
		}
	}
}

func submitAll(t *testing.T, ctx context.Context, h *house, blocks ...*consensus.Block) {
	t.Helper()
	for _, block := range blocks {
		if active, err := h.Runner.SubmitBlock(ctx, block); err != nil || !active {
			t.Fatalf("block %s: active %v, %v", block.Hash(), active, err)
		}
	}
}

// Three services in a line: blocks and a payment go from one end to the other;
// one service closes, misses a block, and catches up when it is opened again.
func TestThreeServices(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second) // for slow machines
	defer cancel()

	dir := t.TempDir()
	first := openHouse(t, c.Params, filepath.Join(dir, "1"))
	middle := openHouse(t, c.Params, filepath.Join(dir, "2"), first.Host.Addrs()[0])
	last := openHouse(t, c.Params, filepath.Join(dir, "3"), middle.Host.Addrs()[0])

	submitAll(t, ctx, first, c.Path("a101")...)
	for _, h := range []*house{middle, last} {
		h.reach(t, ctx, c, "a101")
	}

	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	events := last.Runner.Events(ctx)
	if _, err := first.Runner.SubmitTx(ctx, pay); err != nil {
		t.Fatal(err)
	}
	for seen := false; !seen; {
		e, open := <-events
		if !open {
			t.Fatal("the payment did not come to the other end")
		}
		seen = e.Tx != nil && e.Tx.TxID == pay.TxID()
	}
	submitAll(t, ctx, last, c.Mine("a101", "a102", chaintest.Txs(pay)))
	first.reach(t, ctx, c, "a102")

	last.close(t)
	submitAll(t, ctx, first, c.Mine("a102", "a103"))
	middle.reach(t, ctx, c, "a103")
	last = openHouse(t, c.Params, filepath.Join(dir, "3"), middle.Host.Addrs()[0])
	last.reach(t, ctx, c, "a103")
	for _, h := range []*house{last, middle, first} {
		h.close(t)
	}
}

// Open gives back what it took when a port is taken, and Close may come twice.
func TestServiceGivesBackWhatItTook(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := node.ServiceConfig{Params: consensus.Regtest(), DataDir: t.TempDir(), Lean: true, RPCListen: "127.0.0.1:0",
		PagesListen: "127.0.0.1:" + strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)}
	if _, err := node.Open(cfg); err == nil {
		t.Fatal("a port that is taken was opened")
	}
	cfg.PagesListen = ""
	s, err := node.Open(cfg) // the directory is free again
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMinerClock: the miner dates its blocks by the clock of its node.
func TestMinerClock(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	began := time.Now()
	s, err := node.Open(node.ServiceConfig{
		Params: consensus.Regtest(), DataDir: t.TempDir(), Lean: true, ClockOffset: -2 * time.Hour,
		Miner: &miner.Config{Threads: 1, Payout: consensus.PayToKey([32]byte{1}), Blocks: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := s.Runner.Events(ctx), make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range 5 {
		var e node.Event
		for e.Block == nil {
			e = <-events
		}
		if at := time.Unix(int64(e.Block.Header.Time), 0).Add(2 * time.Hour); at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(5*time.Second)) {
			t.Errorf("block %d is dated %v, of two hours ago", e.Block.Height, at)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSnapshot: where two nodes with one chain stand differs by their mempools alone, and
// blocks are read wherever they are.
func TestSnapshot(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := chaintest.New(t, consensus.Regtest())
	c.Grow(`genesis - a1..a101
	            a100 - b101`)
	one, two := openHouse(t, c.Params, t.TempDir()), openHouse(t, c.Params, t.TempDir())
	defer one.close(t)
	defer two.close(t)
	for _, h := range []*house{one, two} {
		submitAll(t, t.Context(), h, c.Path("a101")...)
	}
	if _, err := one.Runner.SubmitBlock(t.Context(), c.Block("b101")); err != nil {
		t.Fatal(err)
	}
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	entry, err := one.Runner.SubmitTx(t.Context(), pay)
	if err != nil {
		t.Fatal(err)
	}
	got, want := one.Runner.Snapshot(), two.Runner.Snapshot()
	if want.Tip != c.Hash("a101") || want.Height != 101 || want.Coins.Count != 101 || want.MempoolTxs != 0 {
		t.Errorf("%+v", want)
	}
	want.MempoolTxs, want.MempoolVSize = 1, int64(entry.VSize)
	if got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if b, err := one.Block(c.Hash("b101")); err != nil || b.Hash() != c.Hash("b101") {
		t.Errorf("a block of a side branch: %v", err)
	}
	if _, err := two.Block(c.Hash("b101")); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("a block that did not come: %v", err)
	}
}
