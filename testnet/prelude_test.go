package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// easySpec is a testnet whose blocks take two hashes, with payments.
func easySpec(t *testing.T, nodes, coins int, rate float64) *spec.Spec {
	t.Helper()
	p := *consensus.Dev()
	p.Name, p.PowLimitBits, p.StartBits, p.Rule = "easy", 0x207fffff, 0x207fffff, consensus.RuleFixed
	p.HalfLife, p.Spacing, p.Maturity, p.GenesisNonce = 0, 1, 3, 0
	s := &spec.Spec{
		Seed: 5, Nodes: make([]spec.Node, nodes), Coins: coins, Network: &p,
		Payments: spec.Payments{Rate: rate, Wallets: 5, Fees: spec.Fees{Kind: spec.Uniform, Min: 1, Max: 20}},
	}
	s.Prelude = p.Maturity + uint32((coins+spec.CoinsPerFan-1)/spec.CoinsPerFan)
	p.GenesisTime = uint32(time.Now().Unix()) - s.Prelude
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestLoad(t *testing.T, s *spec.Spec, g *ledger) *load {
	t.Helper()
	l, err := newLoad(s, rand.New(rand.NewPCG(s.Seed, 0)), g)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The coins are unspent outputs of the chain that the prelude is, each of the wallet
// that thinks so, and there are as many as were asked for. No difficulty rule moves.
func TestPrelude(t *testing.T) {
	for _, rule := range []consensus.Rule{consensus.RuleFixed, consensus.RuleASERT, consensus.RuleASERTRelative} {
		coins := 10
		if rule == consensus.RuleFixed {
			coins += spec.CoinsPerFan // of two rewards
		}
		s := easySpec(t, 3, coins, 1)
		s.Network.Rule, s.Network.StartBits, s.Network.GenesisNonce = rule, 0x200fffff, 0
		if rule != consensus.RuleFixed {
			s.Network.HalfLife = 60
		}
		if err := s.Network.Init(); err != nil {
			t.Fatal(err)
		}
		l := newTestLoad(t, s, nil)
		told := uint32(0)
		blocks, err := l.prelude(t.Context(), func(done, total uint32) {
			if told++; done != told || total != s.Prelude {
				t.Errorf("%d of %d", done, total)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) != int(s.Prelude) || told != s.Prelude || len(l.coins) != s.Coins {
			t.Fatalf("%d blocks, %d told, %d coins", len(blocks), told, len(l.coins))
		}
		outputs := make(map[consensus.OutPoint]consensus.TxOut)
		for i, block := range blocks {
			if block.Header.Bits != s.Network.StartBits || block.Header.Time != s.Network.GenesisTime+uint32(i)+1 {
				t.Errorf("%s: block %d has bits %08x and time %d", rule, i+1, block.Header.Bits, block.Header.Time)
			}
			for _, tx := range block.Txs {
				for _, in := range tx.Inputs {
					delete(outputs, in.PrevOut)
				}
				for j, out := range tx.Outputs {
					outputs[consensus.OutPoint{TxID: tx.TxID(), Index: uint32(j)}] = out
				}
			}
		}
		for i, c := range l.coins {
			out, there := outputs[c.coin.OutPoint]
			delete(outputs, c.coin.OutPoint)
			if !there || out.Value != c.coin.Value || string(out.Script) != string(scriptOf(t, s.Network, l.payers[c.owner].address)) {
				t.Fatalf("coin %d of payer %d: %+v", i, c.owner, out)
			}
		}
	}
}

// A file's seed makes the same wallets, on the same nodes, evenly.
func TestWalletsAreRepeatable(t *testing.T) {
	s := easySpec(t, 2, 0, 1)
	a, b := newTestLoad(t, s, nil), newTestLoad(t, s, nil)
	on := make([]int, 2)
	for i := range a.payers {
		if a.payers[i].address != b.payers[i].address || a.payers[i].node != b.payers[i].node {
			t.Errorf("wallet %d: %+v and %+v", i, a.payers[i], b.payers[i])
		}
		on[a.payers[i].node]++
	}
	if min(on[0], on[1]) != 2 {
		t.Errorf("the nodes have %v wallets", on)
	}
	s.Seed++
	if c := newTestLoad(t, s, nil); c.payers[0].address == a.payers[0].address {
		t.Error("another seed makes the same wallets")
	}
}

// The prelude that a file asks for is long enough, whatever fits into its blocks.
func TestPreludesOfFiles(t *testing.T) {
	for _, c := range []struct {
		weight  int
		seconds float64 // with 200 payments each
	}{{8000, 1}, {40_000, 10}, {150_000, 20}, {280_000, 24}, {300_000, 10}, {4_000_000, 30}} {
		text := fmt.Sprintf(`duration = "1m"
[network]
spacing = 3
coinbase_maturity = 2
max_weight = %d
[nodes]
count = 1
hashrate = "100 H/s"
[payments]
wallets = 1
curve = [{ from = "0s", rate = 200 }, { from = "%gs", rate = 0 }]
`, c.weight, c.seconds)
		s, err := spec.Parse([]byte(text), t.TempDir(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		l := newTestLoad(t, s, nil)
		if _, err := l.prelude(t.Context(), nil); err != nil || len(l.coins) != s.Coins {
			t.Errorf("weight %d: %d of %d coins after %d blocks: %v", c.weight, len(l.coins), s.Coins, s.Prelude, err)
		}
	}
}

func TestPreludeFails(t *testing.T) {
	s := easySpec(t, 1, 10, 1)
	s.Prelude--
	_, err := newTestLoad(t, s, nil).prelude(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "makes 0 coins at most, and 10 are needed") {
		t.Errorf("too short: %v", err)
	}
	s = easySpec(t, 1, 10, 1)
	s.Network.MaxWeight = 4000
	_, err = newTestLoad(t, s, nil).prelude(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "raise max_weight") {
		t.Errorf("small blocks: %v", err)
	}
	s = easySpec(t, 1, 10, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = newTestLoad(t, s, nil).prelude(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	s.Payments.Wallets = 0
	if _, err := newLoad(s, rand.New(rand.NewPCG(1, 0)), nil); err == nil {
		t.Error("coins for nobody")
	}
}

// Blocks too small for a whole reward's coins hold them in parts.
func TestPreludeOfSmallBlocks(t *testing.T) {
	s := easySpec(t, 1, 60, 1)
	s.Network.MaxWeight, s.Prelude = 8000, 12
	l := newTestLoad(t, s, nil)
	blocks, err := l.prelude(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	fans := 0
	for _, b := range blocks {
		if b.Weight() > s.Network.MaxWeight {
			t.Errorf("a block of %d weight units", b.Weight())
		}
		fans += len(b.Txs) - 1
	}
	if len(l.coins) != 60 || fans < 4 {
		t.Errorf("%d coins in %d transactions", len(l.coins), fans)
	}
}

func scriptOf(t *testing.T, params *consensus.Params, text string) []byte {
	t.Helper()
	key, err := address.Decode(params.HRP, text)
	if err != nil {
		t.Fatal(err)
	}
	return consensus.PayToKey(key)
}
