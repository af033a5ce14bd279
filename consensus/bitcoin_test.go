package consensus

import (
	"math/big"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
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

// oracle lets btcd judge bits: a BlockIndex as its HeaderCtx, Bitcoin's main
// network as its ChainCtx.
type oracle struct{ b *BlockIndex }

func (o oracle) Height() int32    { return int32(o.b.Height) }
func (o oracle) Bits() uint32     { return o.b.Header.Bits }
func (o oracle) Timestamp() int64 { return int64(o.b.Header.Time) }
func (o oracle) Parent() blockchain.HeaderCtx {
	if o.b.Parent == nil {
		return nil
	}
	return oracle{o.b.Parent}
}
func (o oracle) RelativeAncestorCtx(distance int32) blockchain.HeaderCtx {
	if a := o.b.Ancestor(o.b.Height - uint32(distance)); a != nil {
		return oracle{a}
	}
	return nil
}

type oracleChain struct{}

func (oracleChain) ChainParams() *chaincfg.Params { return &chaincfg.MainNetParams }
func (oracleChain) BlocksPerRetarget() int32      { return 2016 }
func (oracleChain) MinRetargetTimespan() int64    { return 14 * 86400 / 4 }
func (oracleChain) MaxRetargetTimespan() int64    { return 14 * 86400 * 4 }
func (oracleChain) VerifyCheckpoint(int32, *chainhash.Hash) bool {
	return true
}
func (oracleChain) FindPreviousCheckpoint() (blockchain.HeaderCtx, error) { return nil, nil }

func oracleAccepts(parent *BlockIndex, bits uint32) bool {
	h := &wire.BlockHeader{Version: 0x20000000, Bits: bits, Timestamp: time.Unix(int64(parent.MaxTime)+10_000, 0)}
	return blockchain.CheckBlockHeaderContext(h, oracle{parent}, blockchain.BFNone, oracleChain{}, true) == nil
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

// Case 15 of the conformance list: periods four times too fast and too slow,
// on the clamps and beside them, are worth exactly what btcd says.
func TestRetargetClampAgainstOracle(t *testing.T) {
	p := bitcoinParams(t)
	const schedule = 14 * 86400
	for _, start := range []uint32{0x1d00ffff, 0x1c7fff00, 0x1b0404cb, 0x17053894} {
		spans := []int64{
			schedule, schedule / 4, schedule/4 - 1, schedule/4 + 1, 1, 0,
			schedule - 1, schedule + 1, schedule / 2, schedule * 2,
			schedule * 4, schedule*4 - 1, schedule*4 + 1, schedule * 5,
		}
		epochs(p, start, spans, func(parent *BlockIndex) {
			bits := NextBits(p, parent)
			if !oracleAccepts(parent, bits) {
				t.Errorf("height %d, bits %08x after %08x: the oracle refuses", parent.Height+1, bits, parent.Header.Bits)
			}
			if oracleAccepts(parent, bits-1) || oracleAccepts(parent, bits+1) {
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
