package testnet

import (
	"context"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// realNodes are services in this process, all of which the first one dials, on the
// blocks of a prelude; a ledger is told what they say.
type realNodes struct {
	services []*node.Service
	rpc      []*rpc.Client
	g        *ledger
}

func startNodes(t *testing.T, s *spec.Spec, g *ledger, blocks []*consensus.Block) *realNodes {
	t.Helper()
	n := &realNodes{g: g}
	ctx, cancel := context.WithCancel(context.Background())
	var lives sync.WaitGroup
	dir := t.TempDir()
	t.Cleanup(func() {
		cancel()
		lives.Wait()
	})
	var peers []string
	for i := range s.Nodes {
		service, err := node.Open(node.ServiceConfig{
			Params: s.Network, DataDir: filepath.Join(dir, strconv.Itoa(i)), Agent: "/test/", Listen: []string{"127.0.0.1:0"},
			Peers: peers, OnlyPeers: true, RPCListen: "127.0.0.1:0", Lean: true, DisableQUIC: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		events := service.Runner.Events(ctx)
		lives.Go(func() {
			for e := range events {
				if e.Tx != nil {
					g.accepted(i, e.Tx.TxID, e.Time)
				}
				if e.Change != nil {
					g.tip(i, e.Change.To.Hash, e.Change.To.Height, e.Time)
				}
			}
		})
		lives.Go(func() {
			if err := service.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		g.nodeStarted(i, time.Now())
		for _, block := range blocks {
			// A peer may have been faster.
			if _, err := service.Runner.SubmitBlock(ctx, block); err != nil && !known(err) {
				t.Fatalf("node %d, a block of the prelude: %v", i, err)
			}
		}
		n.services = append(n.services, service)
		n.rpc = append(n.rpc, rpc.NewClient(rpc.Dial{URL: "http://" + service.RPCAddr(), CookieFile: service.CookieFile()}))
		peers = append(peers, service.Host.Addrs()[0])
	}
	return n
}

func known(err error) bool {
	rule := consensus.AsRuleError(err)
	return rule != nil && rule.Code == consensus.ErrDuplicate
}

func (n *realNodes) client(node int) *rpc.Client { return n.rpc[node] }

// mine makes a block on one node, of what is in its mempool, and waits until all have it.
func (n *realNodes) mine(t *testing.T, at int) {
	t.Helper()
	template, err := n.services[at].Runner.Template(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	block := template.Block(consensus.PayToKey([32]byte{31: 1}), 0, "")
	if !miner.Solve(block, sha256d.Best()) {
		t.Fatal("no nonce")
	}
	if _, err := n.services[at].Runner.SubmitBlock(t.Context(), block); err != nil {
		t.Fatal(err)
	}
	for i, client := range n.rpc {
		if _, height, err := client.WaitHeight(t.Context(), template.Height, time.Minute); err != nil || height < template.Height {
			t.Fatalf("node %d is at %d, expected %d: %v", i, height, template.Height, err)
		}
	}
}

// Real wallets pay through real nodes; every payment is followed to its third block.
func TestLoadOnRealNodes(t *testing.T) {
	s := easySpec(t, 3, 200, 100)
	began := time.Now()
	g := newLedger(began, len(s.Nodes), s.Prelude)
	l := newTestLoad(t, s, g)
	blocks, err := l.prelude(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := startNodes(t, s, g, blocks)
	start := time.Now()
	l.stop(start.Add(time.Second))
	if err := l.run(t.Context(), n.client, start); err != nil {
		t.Fatal(err)
	}
	rows := g.rows()
	if len(rows) < 60 {
		t.Fatalf("%d payments in a second, expected about 100", len(rows))
	}
	if err := g.look(t.Context(), n.client); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.rows() {
		if p.Status != record.Pending {
			t.Errorf("%+v", p)
		}
	}
	for i := range 3 {
		// A payment that reached the miner late is in the next block.
		n.mine(t, i)
	}
	if err := g.look(t.Context(), n.client); err != nil {
		t.Fatal(err)
	}
	tip, err := n.rpc[0].Chain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.learn(t.Context(), n.rpc[0], tip.Tip); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.rows() {
		if p.Status != record.Confirmed || p.Block == "" || p.Height <= s.Prelude || math.IsNaN(p.InBlockS) || math.IsNaN(p.Confirmed1S) ||
			p.AcceptedS < p.SubmittedS-0.001 || p.InBlockS < p.AcceptedS || p.Confirmed1S < p.InBlockS {
			t.Errorf("%+v", p)
		}
		if p.Height == s.Prelude+1 && (math.IsNaN(p.Confirmed3S) || p.Confirmed3S <= p.Confirmed1S) {
			t.Errorf("%+v", p)
		}
	}
}
