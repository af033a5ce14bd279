package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/miner"
)

func TestMineLines(t *testing.T) {
	target, _, _ := consensus.CompactToTarget(0x1e00ffff)
	work := &miner.Template{Height: 2015, CoinbaseValue: 50_0000_1000, Target: target}
	stats := miner.Stats{Kernel: "go", Rate: 3e6, ThreadRates: []float64{1e6, 2e6}, Height: 2015, Best: consensus.Hash{29: 1}, ExpectedSeconds: 5.61, Luck: 1.5, Found: 3, Stale: 1}
	used := energyOf(energy.Reading{Joules: 6, Method: "a model"}, 3, 2, 0)
	want := []string{
		"3.00 MH/s by go (1.00 MH/s, 2.00 MH/s)",
		"height 2015 with 0 payments, worth 50.00001 KPK, spendable from height 2025; difficulty: changes with every block",
		"target 24 leading zero bits, best hash so far 23",
		"a block every 5.6s expected, luck 1.50; found 3, stale 1, refused 0",
		"2 J a hash, 3 J a block (a model)",
	}
	if got := mineLines(stats, work, consensus.Local(), used); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := energyOf(energy.Reading{Joules: 7.2e6}, 2, 0, 4).perUnit(), "3.6e+06 J a hash, 0.5 kWh a payment"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	stats.Waiting = "too early"
	if got := mineLines(stats, work, consensus.Local(), used); len(got) != 2 || got[1] != "too early" {
		t.Errorf("waiting: %q", got)
	}
	for rule, want := range map[consensus.Rule]string{consensus.RuleFixed: "the same for ever", consensus.RuleBitcoin: "changes at height 2016"} {
		if got := nextDifficulty(&consensus.Params{Rule: rule}, 2015); got != want {
			t.Errorf("%s: %s", rule, got)
		}
	}
	if got := leadingZeros(consensus.Hash{}); got != 256 {
		t.Errorf("zero has %d", got)
	}
}

// The live lines are written over themselves, and a block goes above them.
func TestMineViewDraws(t *testing.T) {
	var out bytes.Buffer
	r := &mineReport{w: &out, live: true}
	r.draw([]string{"a", "b"})
	r.draw([]string{"c"})
	r.found(7, &consensus.Block{Txs: make([]*consensus.Tx, 1)}, miner.ErrStale)
	got := out.String()
	if want := "  a\n  b\n\x1b[2A\r\x1b[J  c\n\x1b[1A\r\x1b[J"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "  stale\n") || r.drawn != 0 {
		t.Errorf("%q", got)
	}
}
