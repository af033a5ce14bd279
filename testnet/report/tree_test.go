package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
)

// chainOf makes blocks of names as "a1<root a2<a1"; those in capitals are stale.
func chainOf(names string) *record.Run {
	run := &record.Run{}
	heights := map[string]uint32{}
	for i, name := range strings.Fields(names) {
		hash, parent, _ := strings.Cut(name, "<")
		status := record.Active
		if strings.ToUpper(hash) == hash {
			status = record.Stale
		}
		heights[hash] = heights[parent] + 1
		run.Blocks = append(run.Blocks, record.Block{Hash: hash, Parent: parent, Height: heights[hash], Status: status, FoundS: float64(i), Miner: 1})
	}
	return run
}

func TestForks(t *testing.T) {
	// A fork of two blocks with another branch on it; one that begins where that ends;
	// and one by itself.
	run := chainOf("a<root b<a B<a c<b C<B X<B d<c D<c e<d f<e g<f G<f h<g")
	var got []string
	for _, f := range forks(run) {
		text := fmt.Sprintf("%d-%d:", f.root, f.top)
		for _, b := range f.blocks {
			text += " " + b.Hash
		}
		got = append(got, text)
	}
	if s := strings.Join(got, "; "); s != "1-3: B C X; 3-4: D; 6-7: G" {
		t.Errorf("forks %s", s)
	}
	v := view{run: run}
	picture, caption := v.forks()
	text := string(picture)
	for _, want := range []string{"<title id=\"fork-1-t\">Fork after block 1</title>", "stale block 2 of node 1", ">3 stale</text>", ">7 stale</text>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if n := strings.Count(text, " stale</text>"); n != 5 {
		t.Errorf("%d stale blocks drawn, want 5", n)
	}
	// The branch X leaves B in the lane below C's.
	if n := strings.Count(text, `class="halo"`); n != 4 {
		t.Errorf("%d lines between lanes, want 4", n)
	}
	if strings.Contains(caption, "longest") {
		t.Errorf("all are drawn, and the caption says %s", caption)
	}
	if picture, _ := (&view{run: chainOf("a<root b<a")}).forks(); picture != "" {
		t.Errorf("without forks: %s", picture)
	}
}

// TestManyForks bounds what is drawn: of a long fork its ends, of a wide one some
// branches, and of many the longest.
func TestManyForks(t *testing.T) {
	names := "b0<root"
	for i := 1; i <= 40; i++ {
		names += fmt.Sprintf(" b%d<b%d B%d<%c%d", i, i-1, i, "bB"[min(i-1, 1)], i-1)
	}
	names += " b41<b40"
	for i := range mostLanes + 3 {
		names += fmt.Sprintf(" X%d<b41", i)
	}
	last := "b41"
	for i := range 30 {
		names += fmt.Sprintf(" y%d<%s z%d<y%d Z%d<y%d", i, last, i, i, i, i)
		last = fmt.Sprint("z", i)
	}
	picture, caption := (&view{run: chainOf(names)}).forks()
	text := string(picture)
	if !strings.Contains(text, "… 30 more …") || !strings.Contains(text, "and 3 blocks on further branches") {
		t.Errorf("the long or the wide one: %s", text)
	}
	if n := strings.Count(text, "<svg"); n != mostForks || !strings.Contains(caption, "The 12 longest of 32 forks.") {
		t.Errorf("%d forks drawn; %s", n, caption)
	}
}
