package consensus

import (
	"testing"
	"time"
)

// benchTxs is how many payments the block of the benchmarks holds.
const benchTxs = 2_000

// benchBlock is a block of payments with one input and two outputs each. Their
// signatures have the right form and are worthless: nobody looks at them here.
func benchBlock(b *testing.B) (*scene, *Block) {
	s := newScene(b)
	txs := make([]*Tx, benchTxs)
	for i := range txs {
		txs[i] = s.unsigned([]OutPoint{s.coin(10_000, 1)}, pay(6_000, 2), pay(3_000, 3))
		txs[i].Inputs[0].Witness = [][]byte{make([]byte, 64)}
	}
	return s, s.block(txs...)
}

func perTx(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchTxs, "ns/tx")
}

// BenchmarkCheckBlock is a block judged by itself and in its place: rules B1 to
// B11.
func BenchmarkCheckBlock(b *testing.B) {
	s, block := benchBlock(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckBlock(s.p, block); err != nil {
			b.Fatal(err)
		}
		if err := CheckBlockContext(s.p, s.parent, block); err != nil {
			b.Fatal(err)
		}
	}
	perTx(b)
}

// BenchmarkApplyBlock is the same block judged against its coins, which are in
// memory, but for signatures: rules B12 to B14, C3, and those of each payment.
func BenchmarkApplyBlock(b *testing.B) {
	s, block := benchBlock(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.apply(block); err != nil {
			b.Fatal(err)
		}
	}
	perTx(b)
}

// BenchmarkCheckHeader is one header judged in its place, without the tree.
func BenchmarkCheckHeader(b *testing.B) {
	p := Regtest()
	parent := chainOf(sceneHeight, sceneSpacing)
	h := Header{Version: 0x20000000, Prev: parent.Hash, Time: parent.Header.Time + 1, Bits: p.StartBits}
	for CheckPow(p, &h) != nil {
		h.Nonce++
	}
	now := time.Unix(int64(h.Time), 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckHeader(p, parent, &h, now); err != nil {
			b.Fatal(err)
		}
	}
}
