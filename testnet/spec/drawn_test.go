package spec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// build reads a text that is fine.
func build(t testing.TB, text string) *spec.Spec {
	t.Helper()
	s, err := spec.Build([]byte(text), examples, now)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s
}

// Random topologies are connected, simple, regular, and the same for the same seed.
func TestRandomTopologies(t *testing.T) {
	changed := 0
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(3, 50).Draw(r, "nodes")
		degree := rapid.IntRange(2, 49).Draw(r, "degree")
		seed := rapid.Uint64Range(0, 1<<62-1).Draw(r, "seed")
		text := func(seed uint64) string {
			return fmt.Sprintf("seed = %d\n[nodes]\ncount = %d\n[topology]\nkind = \"random\"\ndegree = %d\n", seed, n, degree)
		}
		s := build(t, text(seed))
		checkEdges(t, n, s.Edges)
		near := make([]int, n)
		for _, e := range s.Edges {
			near[e.From]++
			near[e.To]++
		}
		slices.Sort(near)
		want := min(degree, n-1)
		if low := want - n*want%2; near[0] != low || near[1] != want || near[n-1] != want {
			t.Fatalf("%d nodes of degree %d have %v neighbours", n, degree, near)
		}
		if again := build(t, text(seed)); !slices.Equal(again.Edges, s.Edges) {
			t.Fatal("the same seed draws another graph")
		}
		if other := build(t, text(seed+1)); !slices.Equal(other.Edges, s.Edges) {
			changed++
		}
	})
	if changed == 0 {
		t.Error("no other seed draws another graph")
	}
}

// WithSeed draws what the file would with that seed in it.
func TestWithSeed(t *testing.T) {
	text := "seed = %d\n[nodes]\ncount = 20\n[topology]\nkind = \"random\"\n[links]\npreset = \"simblock-2019\"\n[[event]]\nat = \"1m\"\ndo = \"partition\"\nshare = 0.5\n"
	want := dump(build(t, fmt.Sprintf(text, 5)))
	s, err := spec.Parse(fmt.Appendf(nil, text, 1), examples, now, spec.WithSeed(5))
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What is drawn in one place does not depend on what is in others.
	more := build(t, strings.Replace(fmt.Sprintf(text, 5), `"random"`, "\"random\"\ndegree = 7", 1))
	for i, node := range more.Nodes {
		if node.Region != s.Nodes[i].Region {
			t.Fatalf("another degree moves node %d from %s to %s", i+1, s.Nodes[i].Region, node.Region)
		}
	}
}

// Regions are dealt by their shares; the file's word counts first.
func TestRegions(t *testing.T) {
	count := func(text string) string {
		regions := make(map[string]int)
		for _, n := range build(t, text).Nodes {
			regions[n.Region]++
		}
		return fmt.Sprint(regions)
	}
	const head = "[nodes]\ncount = 20\n"
	const links = "[links]\npreset = \"simblock-2019\"\n"
	for _, c := range []struct{ text, want string }{
		// 6.632, 9.996, 0.18, 2.354, 0.448 and 0.39 of 20: the last three seats go to .996, .632 and .448.
		{head + links, "map[ASIA_PACIFIC:2 EUROPE:10 JAPAN:1 NORTH_AMERICA:7]"},
		{head + links + "regions = { JAPAN = 3, AUSTRALIA = 1 }\n", "map[AUSTRALIA:5 JAPAN:15]"},
		{head + "[[nodes.node]]\nnode = 3\nregion = \"SOUTH_AMERICA\"\n" + links + "regions = { JAPAN = 1 }\n", "map[JAPAN:19 SOUTH_AMERICA:1]"},
		{"[nodes]\ncount = 2\n" + links + "regions = [\"JAPAN\", \"EUROPE\"]\n", "map[EUROPE:1 JAPAN:1]"},
	} {
		if got := count(c.text); got != c.want {
			t.Errorf("got %s, want %s of\n%s", got, c.want, c.text)
		}
	}
	s := build(t, "[nodes]\ncount = 2\n"+links+"regions = [\"JAPAN\", \"EUROPE\"]\n")
	want := spec.Link{Delay: 247 * time.Millisecond, Jitter: 10 * time.Millisecond} // a mean of 252 ms
	if s.Links[0][1] != want || s.Links[1][0] != want || s.Nodes[0].Uplink != 10_200_000/8 {
		t.Errorf("Japan to Europe: %+v, back %+v, uplink %d B/s", s.Links[0][1], s.Links[1][0], s.Nodes[0].Uplink)
	}
}

func TestExpectedPayments(t *testing.T) {
	p := spec.Payments{Curve: []spec.CurveStep{{0, 2}, {10 * time.Second, 5}, {20 * time.Second, 0.5}}}
	for _, c := range []struct {
		length time.Duration
		want   float64
	}{{0, 0}, {5 * time.Second, 10}, {10 * time.Second, 20}, {15 * time.Second, 45}, {time.Minute, 90}} {
		if got := p.Expected(c.length); got != c.want {
			t.Errorf("%g in %v, want %g", got, c.length, c.want)
		}
	}
	if got := (&spec.Payments{Rate: 3}).Expected(time.Minute); got != 180 {
		t.Errorf("%g at a constant rate", got)
	}
}

// The network's start difficulty is what the miners' hash rate needs, and the blocks
// before the run end when it begins.
func TestNetwork(t *testing.T) {
	s := build(t, "[network]\nspacing = \"500ms\"\ndifficulty = \"fixed\"\n[nodes]\ncount = 2\nhashrate = \"64 kH/s\"\n[payments]\nrate = 10\n")
	if s.SpacingS != 0.5 || s.Network.Spacing != 1 || s.Network.PowLimitBits != s.Network.StartBits {
		t.Errorf("%g s, %d s, limit %08x of %08x", s.SpacingS, s.Network.Spacing, s.Network.PowLimitBits, s.Network.StartBits)
	}
	// 6,300 payments in 10.5 minutes: with 4 × √(6,300 × 4) and 40 to spare, 6,975 coins of four rewards.
	if s.Coins != 6975 || s.Prelude != 10+4 || int64(s.Network.GenesisTime) != now.Unix()-14 {
		t.Errorf("%d coins after %d blocks, which begin at %d", s.Coins, s.Prelude, s.Network.GenesisTime)
	}
	s = build(t, "[network]\nspacing = 5\nstart_bits = \"1f00ffff\"\n[nodes]\ncount = 2\nhashrate = \"16384 H/s\"\n")
	if s.SpacingS < 3.99 || s.SpacingS > 4.01 || s.Network.Spacing != 5 {
		t.Errorf("2^16 hashes at 2^14 a second take %g s, and the rule aims at %d s", s.SpacingS, s.Network.Spacing)
	}
	if s.Coins != 0 || s.Prelude != 0 || int64(s.Network.GenesisTime) != now.Unix() {
		t.Errorf("nobody pays: %d coins after %d blocks", s.Coins, s.Prelude)
	}
}
