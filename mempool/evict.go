package mempool

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// trim evicts until the pool keeps its memory limit (M13): the entry with the
// lowest score first, with its descendants. What comes after must pay more than
// they did.
func (p *Pool) trim(now time.Time) {
	for p.bytes > p.cfg.MaxBytes {
		worst := p.worst[0]
		p.floor.raise(now, worst.family.perKvB()+p.cfg.MinRelayFee)
		p.removeFamily(worst)
	}
}

// MinFeeRate is the lowest fee rate that the pool takes, in units/kvB, as of
// the last transaction or block.
func (p *Pool) MinFeeRate() int64 { return max(p.cfg.MinRelayFee, p.floor.perKvB()) }

// floorHalfLife is how long the floor takes to halve once a block has come;
// in a pool that is less than half or a quarter full it halves two or four
// times as fast (Bitcoin Core, txmempool.h).
const floorHalfLife = 12 * time.Hour

// floor is the fee rate that whoever comes to a full pool must pay. It rises
// with each eviction and, after the next block, falls with time.
type floor struct {
	rate  float64   // units/kvB, 0 for none
	since time.Time // when the rate was true
	block bool      // a block came after the last eviction
}

// raise lifts the floor to a rate in units/kvB.
func (f *floor) raise(now time.Time, perKvB int64) {
	if float64(perKvB) > f.rate {
		*f = floor{rate: float64(perKvB), since: now}
	}
}

// blockCame lets the floor fall from now on.
func (f *floor) blockCame(now time.Time) {
	if !f.block {
		f.block, f.since = true, now
	}
}

// at returns the floor in units/kvB at a time and with a number of bytes in the
// pool, and forgets one of less than half the relay fee.
func (f *floor) at(now time.Time, bytes int64, cfg Config) int64 {
	if elapsed := now.Sub(f.since); f.rate > 0 && f.block && elapsed > 0 {
		life := floorHalfLife
		switch {
		case bytes < cfg.MaxBytes/4:
			life /= 4
		case bytes < cfg.MaxBytes/2:
			life /= 2
		}
		f.rate *= math.Exp2(-elapsed.Seconds() / life.Seconds())
		f.since = now
		if f.rate < float64(cfg.MinRelayFee)/2 {
			f.rate = 0
		}
	}
	return f.perKvB()
}

func (f *floor) perKvB() int64 { return int64(math.Ceil(f.rate)) }

// scoreHeap keeps the entry with the lowest score on top, of equals the latest.
// It implements heap.Interface.
type scoreHeap []*Entry

func (h scoreHeap) Len() int { return len(h) }

func (h scoreHeap) Less(i, j int) bool {
	return cmp.Or(h[i].score().compare(h[j].score()), cmp.Compare(h[j].seq, h[i].seq)) < 0
}

func (h scoreHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

// Push appends an entry; heap.Push moves it to its place.
func (h *scoreHeap) Push(x any) {
	e := x.(*Entry)
	e.heapAt = len(*h)
	*h = append(*h, e)
}

// Pop takes the last one off.
func (h *scoreHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = slices.Delete(*h, len(*h)-1, len(*h)) // clears the place
	return last
}
