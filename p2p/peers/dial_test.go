package peers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNoTwoLinksInAGroup: whatever the book holds and whichever links come and go,
// no two of the links lead to one public net group, and there are never too many.
func TestNoTwoLinksInAGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := testRand(rapid.Uint64().Draw(t, "seed"))
		b := NewBook(false)
		groups := rapid.IntRange(1, 30).Draw(t, "groups")
		for range rapid.IntRange(0, 200).Draw(t, "addresses") {
			b.Add(start, rng, group(100+rng.IntN(5)), v4(rng.IntN(groups), rng.IntN(5)))
		}
		private := netip.MustParseAddrPort("192.168.1.1:9420")
		links := []Link{{Manual, private}, {Manual, private}, {Manual, v4(0, 7)}}
		d := &Dialer{Anchors: []netip.AddrPort{v4(0, 1), v4(1, 1), private}}
		now := start
		for range 100 {
			now = now.Add(time.Duration(rng.IntN(90)) * time.Second)
			if len(links) > 3 && rng.IntN(4) == 0 {
				i := 3 + rng.IntN(len(links)-3)
				links = append(links[:i], links[i+1:]...)
			}
			extra := rng.IntN(2) == 0
			l, ok := d.Next(now, rng, b, links, extra)
			if !ok {
				continue
			}
			if l.Kind == Feeler {
				b.Succeeded(now, rng, l.Addr)
				continue
			}
			links = append(links, l)
			count, used := make(map[Kind]int), make(map[netip.Prefix]bool)
			for _, l := range links {
				count[l.Kind]++
				if g := GroupOf(l.Addr.Addr()); Public(l.Addr.Addr()) && used[g] {
					t.Fatalf("two links to %s: %v", g, links)
				} else {
					used[g] = true
				}
			}
			if most := TargetFull + 1; count[Full] > most || count[Full] == most && !extra && l.Kind == Full || count[BlockOnly] > TargetBlockOnly {
				t.Fatalf("%v", count)
			}
		}
	})
}

// TestTargets: a book with enough groups gives eight links, two for blocks alone,
// the anchors first, then feelers to fresh addresses; and one more when asked.
func TestTargets(t *testing.T) {
	rng, b := testRand(2), NewBook(false)
	for i := range 200 {
		b.Add(start, rng, group(300+i%7), v4(i, 1))
	}
	d := &Dialer{Anchors: []netip.AddrPort{v4(210, 1), v4(211, 1)}}
	var links []Link
	count := make(map[Kind]int)
	feelers := 0
	for now := start; now.Before(start.Add(time.Hour)); now = now.Add(500 * time.Millisecond) {
		l, ok := d.Next(now, rng, b, links, false)
		if !ok {
			continue
		}
		if n := len(links); n < 2 && (l.Kind != BlockOnly || l.Addr != v4(210+n, 1)) {
			t.Fatalf("link %d is %v, expected an anchor", n, l)
		}
		if l.Kind == Feeler {
			feelers++
			if b.known[l.Addr].tried {
				t.Fatal("a feeler for a tried address")
			}
			b.Succeeded(now, rng, l.Addr)
			continue
		}
		b.Succeeded(now, rng, l.Addr)
		count[l.Kind]++
		links = append(links, l)
	}
	if count[Full] != TargetFull || count[BlockOnly] != TargetBlockOnly {
		t.Errorf("links %v", count)
	}
	if feelers < 15 || feelers > 50 { // 30 in the mean
		t.Errorf("%d feelers in an hour", feelers)
	}
	if l, ok := d.Next(start.Add(2*time.Hour), rng, b, links, true); !ok || l.Kind != Full {
		t.Errorf("asked for one more: %v, %v", l, ok)
	}
}

func TestSurplus(t *testing.T) {
	now := start.Add(time.Hour)
	var full []Candidate
	for i := range TargetFull {
		full = append(full, Candidate{ID: fmt.Sprint(i), Since: start.Add(time.Duration(i) * time.Second), LastBlock: now.Add(-time.Duration(i) * time.Second)})
	}
	if id, ok := Surplus(now, full); ok {
		t.Errorf("%s leaves, and is not too many", id)
	}
	if id, _ := Surplus(now, append(full, Candidate{ID: "silent", Since: start})); id != "silent" {
		t.Errorf("%s leaves, expected the silent one", id)
	}
	young := Candidate{ID: "young", Since: now.Add(-time.Second)}
	if id, ok := Surplus(now, append(full, young)); ok {
		t.Errorf("%s leaves while the newcomer is on trial", id)
	}
	if id, ok := Surplus(now.Add(surplusAge), append(full, young)); !ok || id != "young" {
		t.Errorf("%s leaves, expected the newcomer, of which no block came", id)
	}
	young.LastBlock = now.Add(time.Second)
	if id, ok := Surplus(now.Add(surplusAge), append(full, young)); !ok || id != "7" {
		t.Errorf("%s leaves, expected the one whose block is the oldest", id)
	}
	full[3].LastBlock = time.Time{}
	if id, ok := Surplus(now, append(full, young)); !ok || id != "3" {
		t.Errorf("%s leaves, expected the one of which no block ever came", id)
	}
}
