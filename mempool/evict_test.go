package mempool

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// One input and one output with a signature, in the pool's memory.
func (w *world) oneByOne() int64 { return memory(w.spend(w.Coinbase("a1"), 0)) }

// full returns a world whose pool has room for n transactions, and coins for
// more.
func full(t *testing.T, n int64) *world {
	w := newWorld(t, Config{}, "genesis - a1..a20", "a20")
	w.pool = New(Config{MaxBytes: n * w.oneByOne()})
	return w
}

func TestEvictionTakesTheWorst(t *testing.T) { // 146 mp-full
	w := full(t, 3)
	a := w.spend(w.Coinbase("a1"), 3000)
	b := w.spend(w.Coinbase("a2"), 1000)
	c := w.spend(w.Coinbase("a3"), 2000)
	w.add(a, b, c)
	if got := w.pool.MinFeeRate(); got != 1000 {
		t.Errorf("the floor is %d before anything was evicted", got)
	}
	d := w.spend(w.Coinbase("a4"), 5000)
	w.add(d)
	w.holds(a, c, d)

	// The floor is what the evicted one paid, and the relay fee.
	vsize := int64(b.VSize())
	floor := 1000*4000/int64(b.Weight()) + 1000
	if got := w.pool.MinFeeRate(); got != floor {
		t.Errorf("the floor is %d, expected %d", got, floor)
	}
	w.refused(w.spend(w.Coinbase("a5"), feeAt(floor, int(vsize))-1), ErrPoolFee, consensus.Policy)
	w.refused(w.spend(w.Coinbase("a5"), 1), ErrPoolFee, consensus.Policy)
}

func TestMempoolFull(t *testing.T) { // 146 mp-full
	w := full(t, 2)
	w.add(w.spend(w.Coinbase("a1"), 3000), w.spend(w.Coinbase("a2"), 3000))
	w.refused(w.spend(w.Coinbase("a3"), 2000), ErrPoolFull, consensus.Policy)
	if w.pool.Len() != 2 {
		t.Errorf("%d entries", w.pool.Len())
	}
}

// A parent that pays little stays for the child that pays for both, and a rich
// parent does not save a poor child.
func TestEvictionCountsDescendants(t *testing.T) {
	w := full(t, 4)
	poor := w.chainOf(w.Coinbase("a1"), 1, 200)[0]
	child := w.spend(w.Out(poor, 0), 9000)
	middle := w.spend(w.Coinbase("a2"), 2000)
	rich := w.spend(w.Coinbase("a3"), 50_000)
	w.add(poor, child, middle, rich)
	fourth := w.spend(w.Coinbase("a4"), 6000)
	w.add(fourth)
	w.holds(poor, child, rich, fourth)

	w = full(t, 4)
	rich = w.spend(w.Coinbase("a1"), 50_000)
	child = w.spend(w.Out(rich, 0), 500)
	low := w.spend(w.Coinbase("a2"), 1000)
	w.add(rich, child, low, w.spend(w.Coinbase("a3"), 5000), w.spend(w.Coinbase("a4"), 5000))
	if w.pool.Get(child.TxID()) != nil || w.pool.Get(rich.TxID()) == nil || w.pool.Get(low.TxID()) == nil {
		t.Error("another one than the poor child was evicted")
	}
}

func TestFloorFallsAfterABlock(t *testing.T) {
	w := full(t, 2)
	w.add(w.spend(w.Coinbase("a1"), 30_000), w.spend(w.Coinbase("a2"), 40_000), w.spend(w.Coinbase("a3"), 50_000))
	high := w.pool.MinFeeRate()
	at := func(later time.Duration) int64 {
		return w.pool.floor.at(w.now.Add(later), w.pool.bytes, w.pool.cfg)
	}
	if got := at(100 * time.Hour); got != high {
		t.Errorf("the floor fell to %d without a block", got)
	}
	w.mine("a21") // nothing is confirmed: the pool stays full
	if got := at(floorHalfLife); got < high/2 || got > high/2+1 {
		t.Errorf("the floor is %d after a half-life, it was %d", got, high)
	}
	if got := at(20 * floorHalfLife); got != 0 {
		t.Errorf("the floor is %d in the end", got)
	}
	if got := w.pool.MinFeeRate(); got != 1000 {
		t.Errorf("the least rate is %d in the end", got)
	}
}

func TestFloorFallsFasterWithRoom(t *testing.T) {
	cfg := Config{MaxBytes: 1000}.withDefaults()
	start := time.Unix(1, 0)
	for _, c := range []struct {
		bytes  int64
		halves time.Duration
	}{{900, floorHalfLife}, {499, floorHalfLife / 2}, {249, floorHalfLife / 4}} {
		f := floor{rate: 1_000_000, since: start, block: true}
		if got := f.at(start.Add(c.halves), c.bytes, cfg); got != 500_000 {
			t.Errorf("%d of 1000 bytes: %d after %v", c.bytes, got, c.halves)
		}
	}
}

// A rate that nobody can pay must not wrap into one that everybody does.
func TestFeeAtDoesNotWrap(t *testing.T) {
	highest := rate{consensus.MaxMoney, minTxWeight}.perKvB()
	for vsize := 100; vsize <= MaxTxWeight/consensus.WitnessScale; vsize += 100 {
		if fee := feeAt(highest, vsize); fee <= consensus.MaxMoney {
			t.Fatalf("%d vB cost %d", vsize, fee)
		}
	}
}
