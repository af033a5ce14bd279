package conformance

import (
	"fmt"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/frugal"
)

// Bytes that are no block.
var encodingCases = []conformanceCase{
	{number: 36, name: "blk-noncanonical-varint", rules: "E1 F1", run: func(s *stage) {
		s.opening()
		many := s.pay(s.Coinbase("a1"), func(tx *consensus.Tx) { // as many outputs as take three bytes to count
			tx.Outputs = slices.Repeat([]consensus.TxOut{{Script: []byte{0x6a, 0x01, 0x07}}}, 253)
		})
		s.Mine("a2", "b3", chaintest.Txs(many))
		block, loose := s.wireOf("b3"), new(onWire).tx(many)
		for _, size := range block.sizes {
			for _, form := range longer(size.n) {
				s.malformed(block.with(size.at, size.end, form), consensus.ErrDecodeCompactSize)
			}
		}
		for _, size := range loose.sizes {
			for _, form := range longer(size.n) {
				s.malformedTx(loose.with(size.at, size.end, form), consensus.ErrDecodeCompactSize)
			}
		}
		count := block.sizes[0] // of 252, 2^16 - 1 and 2^32 - 1 transactions
		for _, form := range []string{"\xfd\xfc\x00", "\xfe\xff\xff\x00\x00", "\xff\xff\xff\xff\xff\x00\x00\x00\x00"} {
			s.malformed(block.with(count.at, count.end, []byte(form)), consensus.ErrDecodeCompactSize)
		}
		s.reads(block.raw)
		s.accept("b3")
	}},
	{number: 37, name: "blk-trailing-bytes", rules: "E2", run: func(s *stage) {
		s.Mine(chaintest.Genesis, "a1")
		raw := s.Block("a1").Bytes()
		for _, more := range []int{1, 4, 80} {
			s.malformed(slices.Concat(raw, make([]byte, more)), consensus.ErrDecodeTrailing)
		}
		s.reads(raw)
		s.accept("a1")
	}},
	{number: 38, name: "blk-truncated", rules: "E3 E4", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay, s.payOn(pay, "carol")))
		w := s.wireOf("b3")
		for n := range w.raw {
			s.malformed(w.raw[:n], w.cut(n))
		}
		s.reads(w.raw)
		s.accept("b3")
	}},
	{number: 39, name: "blk-huge-count", rules: "E4 E7", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay))
		s.hugeCounts(s.wireOf("b3"), s.malformed)
		s.hugeCounts(new(onWire).tx(pay), s.malformedTx)
		header := s.Block("b3").Header.Bytes()
		s.reads(slices.Concat(header[:], []byte{3}, make([]byte, 3*10))) // three times ten bytes: as many as fit
		crowded := s.copied(s.Block("b3"))                               // with items that are there, but take a byte each
		reserved(make([][]byte, 11)...)(crowded)
		s.malformed(new(onWire).block(crowded).raw, consensus.ErrDecodeCount)
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(make([][]byte, 10)...))
		s.accept("b3")
	}},
}

// hugeCounts puts counts of what is not there, followed by a hundred bytes, in
// the place of each size: refused before anything is allocated for them.
func (s *stage) hugeCounts(w *onWire, malformed func([]byte, consensus.Code)) {
	s.t.Helper()
	const follow = 100
	for _, size := range w.sizes {
		code := consensus.ErrDecodeCount
		if size.least == 0 {
			code = consensus.ErrDecodeTruncated
		}
		tooMany := follow/max(size.least, 1) + 1
		for _, claim := range []uint64{tooMany, 1 << 20, 1 << 25, 1<<32 - 1, 1 << 32, 1 << 63, math.MaxUint64} {
			raw := slices.Concat(w.raw[:size.at], consensus.AppendCompactSize(nil, claim), make([]byte, follow))
			frugal.Call(s.t, fmt.Sprint(claim, " ", size.what), len(raw), func() { malformed(raw, code) })
		}
	}
}
