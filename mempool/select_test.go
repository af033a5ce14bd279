package mempool

import (
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"

	"pgregory.net/rapid"
)

// blank returns entries without transactions: enough to be selected. parents
// holds the indexes of each one's parents, all lower than its own.
func blank(fees []int64, weights []int, parents [][]int) (*Pool, []*Entry) {
	p := New(Config{})
	entries := make([]*Entry, len(fees))
	for i := range fees {
		e := &Entry{Tx: &consensus.Tx{LockTime: uint32(i)}, Fee: fees[i], Weight: weights[i]}
		e.TxID[0], e.TxID[1], e.TxID[2] = byte(i), byte(i>>8), byte(i>>16)
		e.WTxID = e.TxID
		for _, parent := range parents[i] {
			e.parents = append(e.parents, entries[parent])
		}
		entries[i] = e
		p.append(e)
	}
	return p, entries
}

func indexes(entries []*Entry) (list []int) {
	for _, e := range entries {
		list = append(list, int(e.Tx.LockTime))
	}
	return list
}

func TestSelectCases(t *testing.T) {
	none := []int(nil)
	cases := []struct {
		name    string
		fees    []int64
		weights []int
		parents [][]int
		room    int
		want    []int
	}{
		{"by rate", []int64{100, 300, 200}, []int{400, 400, 400}, [][]int{none, none, none}, 4000, []int{1, 2, 0}},
		{"by rate, not by fee", []int64{300, 200}, []int{4000, 400}, [][]int{none, none}, 9000, []int{1, 0}},
		{"older first", []int64{100, 100}, []int{400, 400}, [][]int{none, none}, 4000, []int{0, 1}},
		{"a child pays for its parent", []int64{0, 300, 100}, []int{400, 400, 400}, [][]int{none, {0}, none}, 4000, []int{0, 1, 2}},
		{"a poor child waits", []int64{300, 0, 100}, []int{400, 400, 400}, [][]int{none, {0}, none}, 4000, []int{0, 2, 1}},
		{"two children share a parent", []int64{0, 400, 390}, []int{400, 400, 400}, [][]int{none, {0}, {0}}, 4000, []int{0, 1, 2}},
		{"what does not fit is left out", []int64{900, 500, 100}, []int{4000, 1000, 400}, [][]int{none, none, none}, 1500, []int{1, 2}},
		{"too large with its parent, not without", []int64{10, 900, 500}, []int{400, 3700, 400}, [][]int{none, {0}, {0}}, 4000, []int{0, 2}},
		{"no room", []int64{900}, []int{400}, [][]int{none}, 399, nil},
		{"exact room", []int64{900}, []int{400}, [][]int{none}, 400, []int{0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _ := blank(c.fees, c.weights, c.parents)
			if got := indexes(p.Select(c.room)); !slices.Equal(got, c.want) {
				t.Errorf("selected %v, expected %v", got, c.want)
			}
		})
	}
}

// naiveSelect is Select's rule, word for word: again and again the best
// remaining package over the whole pool.
func naiveSelect(entries []*Entry, room int) (block []*Entry) {
	taken := make(map[*Entry]bool)
	left := func(e *Entry) (list []*Entry) {
		for _, a := range append(e.Ancestors(), e) {
			if !taken[a] {
				list = append(list, a)
			}
		}
		return list
	}
	for {
		var best []*Entry
		var bestRate rate
		for _, e := range entries {
			if taken[e] {
				continue
			}
			var sum rate
			for _, a := range left(e) {
				sum = sum.plus(a.rate())
			}
			if sum.weight <= int64(room) && (best == nil || sum.compare(bestRate) > 0) {
				best, bestRate = left(e), sum
			}
		}
		if best == nil {
			return block
		}
		for _, e := range best {
			taken[e] = true
		}
		room -= int(bestRate.weight)
		block = append(block, best...)
	}
}

func TestSelectAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "n")
		fees, weights, parents := make([]int64, n), make([]int, n), make([][]int, n)
		for i := range n {
			fees[i] = rapid.Int64Range(0, 5000).Draw(t, "fee")
			weights[i] = rapid.IntRange(minTxWeight, 3000).Draw(t, "weight")
			if i > 0 {
				parents[i] = rapid.SliceOfNDistinct(rapid.IntRange(max(0, i-9), i-1), 0, 2, rapid.ID).Draw(t, "parents")
			}
		}
		p, entries := blank(fees, weights, parents)
		room := rapid.IntRange(0, 40_000).Draw(t, "room")
		got := p.Select(room)
		if want := naiveSelect(entries, room); !slices.Equal(got, want) {
			t.Fatalf("selected %v, expected %v", indexes(got), indexes(want))
		}
		seen, weight := make(map[*Entry]bool), 0
		for _, e := range got {
			for _, parent := range e.parents {
				if !seen[parent] {
					t.Fatal("a parent is not before its child")
				}
			}
			seen[e] = true
			weight += e.Weight
		}
		if weight > room {
			t.Fatalf("weight %d, room for %d", weight, room)
		}
	})
}

// manyBlank returns n entries in clusters of the given size: chains.
func manyBlank(n, size int) *Pool {
	fees, weights, parents := make([]int64, n), make([]int, n), make([][]int, n)
	for i := range n {
		fees[i] = int64(i*7919%10_007) + 500
		weights[i] = 400 + i*31%600
		if i%size > 0 {
			parents[i] = []int{i - 1}
		}
	}
	p, _ := blank(fees, weights, parents)
	return p
}

func BenchmarkSelect(b *testing.B) {
	for _, size := range []int{1, 64} {
		p := manyBlank(10_000, size)
		b.Run(map[int]string{1: "singles", 64: "clusters"}[size], func(b *testing.B) {
			for b.Loop() {
				p.Select(4_000_000)
			}
		})
	}
}
