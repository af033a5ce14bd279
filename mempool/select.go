package mempool

import (
	"cmp"
	"container/heap"
	"math/bits"
)

// Select returns the transactions of a block with room for maxWeight weight
// units, in an order in which they may stand there. It takes, again and again,
// the entry that pays best together with those of its ancestors that are not
// taken yet; of equals the older one (M15).
//
// Each cluster offers its best such package, and what is taken out of one
// changes no other's offer, so that the work is near n log n for n entries.
func (p *Pool) Select(maxWeight int) []*Entry {
	offers := p.offers()
	heap.Init(&offers)
	room := int64(maxWeight)
	var block []*Entry
	for failures := 0; len(offers) > 0 && room >= minTxWeight; {
		best := offers[0]
		if best.rate.weight <= room {
			room -= best.rate.weight
			block = best.take(block)
			failures = 0
		} else {
			best.skip()
			if failures++; failures > maxFailures && room < nearlyFull {
				break
			}
		}
		if best.candidates == 0 {
			heap.Pop(&offers)
		} else {
			heap.Fix(&offers, 0)
		}
	}
	return block
}

const (
	minTxWeight = 4 * MinTxSize // weight units; nothing smaller is in the pool

	// After so many packages in a row that did not fit, a block with less
	// room than that (weight units) is full enough (Bitcoin Core, miner.cpp).
	maxFailures = 1000
	nearlyFull  = 4000
)

// offer is a cluster and the best package that is left of it. Its sets are
// bits: a cluster has at most 64 entries.
type offer struct {
	entries    []*Entry // in order: ancestors before descendants
	ancestors  []uint64 // of each entry, with itself
	left       uint64   // not taken yet
	candidates uint64   // left and not known to be too large
	best       int      // candidate with the highest rate
	rate       rate     // of best and its ancestors that are left
}

// offers puts every entry into its cluster.
func (p *Pool) offers() offerHeap {
	var all offerHeap
	seen := make(map[*Entry]bool, p.Len())
	for at := p.order.Front(); at != nil; at = at.Next() {
		e := at.Value.(*Entry)
		if seen[e] {
			continue
		}
		cluster := []*Entry{e}
		if len(e.parents)+len(e.children) > 0 {
			cluster = inOrder(reach(cluster, relatives))
		}
		for _, member := range cluster {
			seen[member] = true
		}
		all = append(all, newOffer(cluster))
	}
	return all
}

func newOffer(cluster []*Entry) *offer {
	o := &offer{entries: cluster, ancestors: make([]uint64, len(cluster))}
	index := make(map[*Entry]int, len(cluster))
	for i, e := range cluster {
		index[e] = i
		o.ancestors[i] = 1 << i
		for _, parent := range e.parents {
			o.ancestors[i] |= o.ancestors[index[parent]]
		}
		o.left |= 1 << i
	}
	o.candidates = o.left
	o.choose()
	return o
}

// choose finds the best package among the candidates.
func (o *offer) choose() {
	o.best = -1
	for set := o.candidates; set != 0; set &= set - 1 {
		i := bits.TrailingZeros64(set)
		var sum rate
		for members := o.ancestors[i] & o.left; members != 0; members &= members - 1 {
			sum = sum.plus(o.entries[bits.TrailingZeros64(members)].rate())
		}
		if o.best < 0 || sum.compare(o.rate) > 0 {
			o.best, o.rate = i, sum
		}
	}
}

// take appends the best package to the block. Those that were too large may
// fit now, without the ancestors that they shared with it.
func (o *offer) take(block []*Entry) []*Entry {
	members := o.ancestors[o.best] & o.left
	o.left &^= members
	for ; members != 0; members &= members - 1 {
		block = append(block, o.entries[bits.TrailingZeros64(members)])
	}
	o.candidates = o.left
	o.choose()
	return block
}

// skip leaves the best package out: it does not fit.
func (o *offer) skip() {
	o.candidates &^= 1 << o.best
	o.choose()
}

// offerHeap keeps the best package on top. It implements heap.Interface.
type offerHeap []*offer

func (h offerHeap) Len() int { return len(h) }

func (h offerHeap) Less(i, j int) bool {
	older := cmp.Compare(h[i].entries[h[i].best].seq, h[j].entries[h[j].best].seq)
	return cmp.Or(h[j].rate.compare(h[i].rate), older) < 0
}

func (h offerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends an offer; heap.Push would move it to its place.
func (h *offerHeap) Push(x any) { *h = append(*h, x.(*offer)) }

// Pop takes the last one off.
func (h *offerHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
