package mempool

import (
	"cmp"
	"math"
	"math/bits"

	"github.com/kapok-chain/kapok/consensus"
)

// rate is a fee rate as a fraction: units by weight units. Fractions compare
// exactly, in 128 bits.
type rate struct{ fee, weight int64 }

// compare returns -1 where a is the lower rate, 1 where b is.
func (a rate) compare(b rate) int {
	ah, al := bits.Mul64(uint64(a.fee), uint64(b.weight))
	bh, bl := bits.Mul64(uint64(b.fee), uint64(a.weight))
	return cmp.Or(cmp.Compare(ah, bh), cmp.Compare(al, bl))
}

// plus returns the rate of both together.
func (a rate) plus(b rate) rate { return rate{a.fee + b.fee, a.weight + b.weight} }

func (a rate) minus(b rate) rate { return rate{a.fee - b.fee, a.weight - b.weight} }

// perKvB returns the rate in units per 1,000 virtual bytes, rounded down. No
// overflow: fees together never exceed consensus.MaxMoney.
func (a rate) perKvB() int64 { return a.fee * 1000 * consensus.WitnessScale / a.weight }

// feeAt returns what vsize virtual bytes cost at a rate in units/kvB, rounded
// up, and more than anybody has where that does not fit.
func feeAt(perKvB int64, vsize int) int64 {
	if perKvB > (math.MaxInt64-999)/int64(vsize) {
		return math.MaxInt64
	}
	return (perKvB*int64(vsize) + 999) / 1000
}
