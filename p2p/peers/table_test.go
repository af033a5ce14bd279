package peers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func testRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// v4 is the i-th address of net group g; every one is publicly routable.
func v4(g, i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + g/256), byte(g), byte(i / 250), byte(1 + i%250)}), 9420)
}

// checkTable compares a table's counts with what is in it.
func checkTable(t interface{ Fatalf(string, ...any) }, tab *table) {
	size := 0
	for _, group := range tab.order {
		n := len(tab.groups[group])
		if n == 0 || n > tab.perGroup {
			t.Fatalf("group %s has %d addresses of at most %d", group, n, tab.perGroup)
		}
		size += n
	}
	if size != tab.size || size > tab.max || len(tab.order) != len(tab.groups) {
		t.Fatalf("%d addresses counted, %d there, of at most %d; %d groups listed, %d there", tab.size, size, tab.max, len(tab.order), len(tab.groups))
	}
}

// TestFairShare: whoever asks for no more than an equal share, and no more than
// the cap, keeps everything, whatever the others do and in which order.
func TestFairShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable(rapid.IntRange(1, 60).Draw(t, "max"), rapid.IntRange(1, 20).Draw(t, "perGroup"))
		rng := testRand(rapid.Uint64().Draw(t, "seed"))
		var asks []int // group of each request
		groups := rapid.IntRange(1, 8).Draw(t, "groups")
		asked := make([]int, groups)
		for g := range groups {
			asked[g] = rapid.IntRange(1, 80).Draw(t, "asked")
			for range asked[g] {
				asks = append(asks, g)
			}
		}
		rng.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
		next := make([]int, groups)
		for _, g := range asks {
			addr := v4(g, next[g])
			next[g]++
			tab.add(rng, GroupOf(addr.Addr()), addr)
			checkTable(t, &tab)
			if !tab.has(GroupOf(addr.Addr()), addr) {
				t.Fatalf("the newest address is not there")
			}
		}
		for g := range groups {
			if asked[g] > min(tab.perGroup, tab.max/groups) {
				continue
			}
			for i := range asked[g] {
				if addr := v4(g, i); !tab.has(GroupOf(addr.Addr()), addr) {
					t.Fatalf("group %d asked for %d of %d places among %d groups and lost one", g, asked[g], tab.max, groups)
				}
			}
		}
	})
}

// TestChooseIsFairToGroups: a group of one is drawn as often as a group of many.
func TestChooseIsFairToGroups(t *testing.T) {
	tab, rng := newTable(1000, 500), testRand(1)
	tab.add(rng, GroupOf(v4(0, 0).Addr()), v4(0, 0))
	for i := range 500 {
		tab.add(rng, GroupOf(v4(1, i).Addr()), v4(1, i))
	}
	alone := 0
	for range 2000 {
		if addr, ok := tab.choose(rng, func(netip.AddrPort) bool { return true }); ok && addr == v4(0, 0) {
			alone++
		}
	}
	if alone < 850 || alone > 1150 {
		t.Errorf("the lone address was drawn %d times of 2000, expected about half", alone)
	}
	if _, ok := tab.choose(rng, func(netip.AddrPort) bool { return false }); ok {
		t.Error("an address was drawn that nobody wanted")
	}
}

// TestEqualSharesStay: where all groups have their share, who wants more pushes out
// one of his own.
func TestEqualSharesStay(t *testing.T) {
	for seed := range uint64(20) {
		tab, rng := newTable(6, 6), testRand(seed)
		for i := range 6 {
			tab.add(rng, GroupOf(v4(i%3, 0).Addr()), v4(i%3, i))
		}
		for i := range 20 {
			tab.add(rng, GroupOf(v4(0, 0).Addr()), v4(0, 100+i))
		}
		for i := range 6 {
			if group := GroupOf(v4(i%3, 0).Addr()); i%3 != 0 && !tab.has(group, v4(i%3, i)) {
				t.Fatalf("group %s lost an address to one that has as many", group)
			}
		}
	}
}

func (t *table) has(group netip.Prefix, addr netip.AddrPort) bool {
	return slices.Contains(t.groups[group], addr)
}
