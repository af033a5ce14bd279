package consensus

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// bitcoinParams is main with the 2016 rule, at Bitcoin's limit.
func bitcoinParams(t testing.TB) *Params {
	t.Helper()
	p := *Regtest()
	p.Name, p.Rule, p.Spacing = "bitcoin", RuleBitcoin, 600
	p.StartBits, p.PowLimitBits = 0x1d00ffff, 0x1d00ffff
	p.powLimit, _, _ = CompactToTarget(p.PowLimitBits)
	return &p
}

// epochs grows a chain of whole periods with the given spans in seconds from
// each period's first block to its last, and calls visit with the parent of each
// block that retargets.
func epochs(p *Params, startBits uint32, spans []int64, visit func(parent *BlockIndex)) {
	tip := modelGenesis(p, startBits)
	for _, span := range spans {
		first := int64(tip.Header.Time)
		for i := int64(1); i < epochBlocks; i++ {
			tip = extend(tip, uint32(first+span*i/(epochBlocks-1)), tip.Header.Bits)
		}
		visit(tip)
		tip = extend(tip, tip.Header.Time+600, NextBits(p, tip))
	}
}

// modelGenesis is a genesis block with these bits for a chain that is not mined.
func modelGenesis(p *Params, bits uint32) *BlockIndex {
	return newIndex(nil, &Header{Version: genesisVersion, Time: p.GenesisTime, Bits: bits}, Hash{1})
}

// extend is a child that nobody mined.
func extend(parent *BlockIndex, time, bits uint32) *BlockIndex {
	return newIndex(parent, &Header{Version: genesisVersion, Time: time, Bits: bits}, Hash{})
}

// Periods four times too fast and too slow,
// on the clamps and beside them, are worth exactly what btcd says.
func TestRetargetClamp(t *testing.T) {
	p, main := bitcoinParams(t), newBtcdMain()
	for _, start := range []uint32{0x1d00ffff, 0x1c7fff00, 0x1b0404cb, 0x17053894} {
		spans := []int64{
			schedule * 4, // at the limit, for the first of these bits
			schedule, schedule / 4, schedule/4 - 1, schedule/4 + 1, 1, 0,
			schedule - 1, schedule + 1, schedule / 2, schedule * 2,
			schedule * 4, schedule*4 - 1, schedule*4 + 1, schedule * 5,
		}
		epochs(p, start, spans, func(parent *BlockIndex) {
			bits := NextBits(p, parent)
			if !main.needsBits(parent, bits) {
				t.Errorf("height %d, bits %08x after %08x: the oracle refuses", parent.Height+1, bits, parent.Header.Bits)
			}
			if main.needsBits(parent, bits-1) || main.needsBits(parent, bits+1) {
				t.Errorf("height %d: the oracle accepts bits beside %08x", parent.Height+1, bits)
			}
		})
	}
}

func TestBitcoinRuleAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := *Regtest()
		p.Rule = RuleBitcoin
		p.Spacing = rapid.Int64Range(1, maxSpacing).Draw(t, "spacing")
		schedule := epochBlocks * p.Spacing
		old := drawTarget(t, p.powLimit)
		span := rapid.Int64Range(-schedule, 5*schedule).Draw(t, "span")
		base := int64(1 << 31)
		base = min(base, 1<<32-1-max(span, 0))
		if base+span < 0 || base < 0 {
			t.Skip("does not fit into a header")
		}
		first := &BlockIndex{Height: epochBlocks, Header: Header{Time: uint32(base), Bits: old}}
		last := &BlockIndex{Height: 2*epochBlocks - 1, Header: Header{Time: uint32(base + span), Bits: old}}

		want := new(big.Int).Mul(bigTarget(old), big.NewInt(min(max(span, schedule/4), schedule*4)))
		want.Quo(want, big.NewInt(schedule))
		if limit := p.powLimit.Big(); want.Cmp(limit) > 0 {
			want = limit
		}
		if got := bitcoinRetarget(&p, first, last); got != bigCompact(want) {
			t.Fatalf("bits %08x, want %08x", got, bigCompact(want))
		}
	})
}
