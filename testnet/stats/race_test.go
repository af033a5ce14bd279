package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// nakamotoTables are both of section 11, to the printed digit.
const nakamotoTables = `q=0.1
z=0 P=1.0000000
z=1 P=0.2045873
z=2 P=0.0509779
z=3 P=0.0131722
z=4 P=0.0034552
z=5 P=0.0009137
z=6 P=0.0002428
z=7 P=0.0000647
z=8 P=0.0000173
z=9 P=0.0000046
z=10 P=0.0000012
q=0.3
z=0 P=1.0000000
z=5 P=0.1773523
z=10 P=0.0416605
z=15 P=0.0101008
z=20 P=0.0024804
z=25 P=0.0006132
z=30 P=0.0001522
z=35 P=0.0000379
z=40 P=0.0000095
z=45 P=0.0000024
z=50 P=0.0000006
P < 0.001
q=0.10 z=5
q=0.15 z=8
q=0.20 z=11
q=0.25 z=15
q=0.30 z=24
q=0.35 z=41
q=0.40 z=89
q=0.45 z=340
`

func TestNakamotosTables(t *testing.T) {
	var b strings.Builder
	fmt.Fprintln(&b, "q=0.1")
	for z := range 11 {
		fmt.Fprintf(&b, "z=%d P=%.7f\n", z, Nakamoto(0.1, z))
	}
	fmt.Fprintln(&b, "q=0.3")
	for z := 0; z <= 50; z += 5 {
		fmt.Fprintf(&b, "z=%d P=%.7f\n", z, Nakamoto(0.3, z))
	}
	fmt.Fprintln(&b, "P < 0.001")
	for q := 10; q <= 45; q += 5 {
		fmt.Fprintf(&b, "q=%.2f z=%d\n", float64(q)/100, NakamotoZ(float64(q)/100, 0.001))
	}
	if got := b.String(); got != nakamotoTables {
		t.Errorf("the tables of section 11 come out as\n%s\nwant\n%s", got, nakamotoTables)
	}
}

// rosenfeld is the sum of Rosenfeld 2014, section 5, equation 1, by the ratio of its terms.
func rosenfeld(q float64, n int) float64 {
	p := 1 - q
	if q >= p {
		return 1
	}
	r := 1.0
	for m := 0; m <= n; m++ {
		choose := math.Exp(logGamma(float64(m+n)) - logGamma(float64(m+1)) - logGamma(float64(n)))
		r -= choose * (math.Pow(p, float64(n))*math.Pow(q, float64(m)) - math.Pow(p, float64(m))*math.Pow(q, float64(n)))
	}
	return r
}

// TestDoubleSpendRace holds the incomplete beta function against Rosenfeld's sum, his
// printed table 1, and the walk summed up state by state.
func TestDoubleSpendRace(t *testing.T) {
	for q, table := range map[float64][]float64{ // percent, for 1, 2, … confirmations
		0.1: {20, 5.6, 1.712, 0.546, 0.178, 0.059},
		0.3: {60, 43.2, 32.616, 25.207, 19.762, 15.645, 12.475, 10.003},
	} {
		for i, percent := range table {
			near(t, "Rosenfeld's table", 100*DoubleSpendRace(q, i+1), percent, 0.0005)
		}
	}
	for _, q := range []float64{0.001, 0.02, 0.1, 0.25, 0.3, 0.4, 0.45, 0.49, 0.499} {
		for _, z := range []int{1, 2, 3, 6, 10, 20, 60} {
			race := DoubleSpendRace(q, z)
			near(t, fmt.Sprintf("Rosenfeld's sum for q=%g z=%d", q, z), race, rosenfeld(q, z), 1e-11)
			near(t, "the walk to a tie", race, Race{Share: q, Confirmations: z}.Chance(), 1e-11)
		}
	}
	if DoubleSpendRace(0.5, 6) != 1 || DoubleSpendRace(0.7, 600) != 1 || DoubleSpendRace(0.2, 0) != 1 || DoubleSpendRace(0, 1) != 0 {
		t.Error("the ends are wrong")
	}
	for _, f := range []func(float64, int) float64{DoubleSpendRace, Nakamoto} {
		if !math.IsNaN(f(-0.1, 1)) || !math.IsNaN(f(1.1, 1)) || !math.IsNaN(f(0.1, -1)) || !math.IsNaN(f(math.NaN(), 1)) {
			t.Error("what is no share has a chance")
		}
	}
	// Nakamoto takes the attacker for weaker than it is.
	if n, race := NakamotoZ(0.1, 0.001), DoubleSpendRaceZ(0.1, 0.001); n != 5 || race != 6 {
		t.Errorf("below 0.1 %% after %d confirmations by the approximation and %d exactly, want 5 and 6", n, race)
	}
	if NakamotoZ(0.5, 0.001) != -1 || NakamotoZ(0.1, 0) != -1 || NakamotoZ(0.1, 2) != 0 {
		t.Error("a search without an answer has one")
	}
}

// TestRacesSimulated runs races block by block, beside the exact chance.
func TestRacesSimulated(t *testing.T) {
	random := rand.New(rand.NewPCG(2008, 11))
	const tries = 40_000
	cases := []Race{
		{Share: 0.1, Confirmations: 1}, {Share: 0.1, Confirmations: 2}, {Share: 0.1, Confirmations: 3},
		{Share: 0.3, Confirmations: 1}, {Share: 0.3, Confirmations: 3}, {Share: 0.3, Confirmations: 6}, {Share: 0.3, Confirmations: 10},
		{Share: 0.3, Confirmations: 2, Lead: 1}, {Share: 0.3, Confirmations: 2, Lead: 1, GiveUp: 2},
		{Share: 0.3, Confirmations: 2, Lead: 1, GiveUp: 5}, {Share: 0.4, Confirmations: 6, Lead: 1, GiveUp: 3},
		{Share: 0.5, Confirmations: 1, Lead: 1, GiveUp: 4}, {Share: 0.7, Confirmations: 3, Lead: 2, GiveUp: 2},
		{Share: 0.3, Confirmations: 0, Lead: 1, GiveUp: 3},
	}
	each := Sidak(0.999, len(cases)) // all at once: a test that fails once in a thousand seeds
	for _, race := range cases {
		won := SimulateRace(race, tries, random)
		low, high := ClopperPearsonAt(won, tries, each)
		if chance := race.Chance(); !(low <= chance && chance <= high) {
			t.Errorf("%+v: exact %.5f, simulated %.5f in [%.5f, %.5f]", race, chance, float64(won)/tries, low, high)
		}
	}
	for _, bad := range []Race{{Share: -1}, {Share: 2}, {Confirmations: -1}, {Lead: -1}, {GiveUp: -1}, {Confirmations: 1 << 20}} {
		if won := SimulateRace(bad, 10, random); won != -1 || !math.IsNaN(bad.Chance()) {
			t.Errorf("%+v was run", bad)
		}
	}
	if SimulateRace(Race{Share: 0.6, Confirmations: 2}, 10, random) != 10 || SimulateRace(Race{Confirmations: 1}, 10, random) != 0 {
		t.Error("the ends are wrong")
	}
}

// TestGivingUp holds the walk with an end against its limits.
func TestGivingUp(t *testing.T) {
	for _, q := range []float64{0.05, 0.2, 0.3, 0.45} {
		for _, z := range []int{1, 2, 6} {
			ratio := q / (1 - q)
			limit := ratio*DoubleSpendRace(q, z) + (1-ratio)*incompleteBeta(q, float64(z+1), float64(z))
			near(t, "the chance with endless patience", DoubleSpendGivingUp(q, z, 500), limit, 1e-12)
			near(t, "the chance of one that never gives up", DoubleSpendGivingUp(q, z, 0), limit, 1e-12)
			// Who stops at the first block behind wins only with z+1 blocks in front of, or
			// level with, each honest one: the ballot numbers; for z = 1 that is q·q, or
			// q·p·q after a tie.
			before := 0.0
			for behind := 1; behind < 12; behind++ {
				now := DoubleSpendGivingUp(q, z, behind)
				if !(now > before) {
					t.Errorf("q=%g z=%d: %g with %d blocks of patience, %g with one less", q, z, now, behind, before)
				}
				before = now
			}
		}
		near(t, "z=1, no patience", DoubleSpendGivingUp(q, 1, 1), q*q+q*(1-q)*q, 1e-15)
	}
	near(t, "half against half: the ruin of a fair game", Race{Share: 0.5, Lead: 1, GiveUp: 4}.Chance(), 4.0/5, 1e-15)
	near(t, "all of the hash rate", DoubleSpendGivingUp(1, 3, 2), 1, 0)
	near(t, "none of it", DoubleSpendGivingUp(0, 3, 2), 0, 0)
}

// TestEffectiveAttacker checks that a stale share weakens the honest miners alone.
func TestEffectiveAttacker(t *testing.T) {
	near(t, "the share without delays", EffectiveAttacker(0.3, 0), 0.3, 0)
	near(t, "a third against two, of which half is lost", EffectiveAttacker(1.0/3, 0.5), 0.5, 1e-15)
	// The chain of two miners who are both honest grows by their blocks that are not stale:
	// an attacker beside them with as much as grows has even odds.
	stale := twoMiners(0.5, 0.5, 0.8, 0.8)
	near(t, "even odds", EffectiveAttacker((1-stale)/(2-stale), stale), 0.5, 1e-15)
	if EffectiveAttacker(0, 0.5) != 0 || EffectiveAttacker(1, 0.5) != 1 {
		t.Error("the ends are wrong")
	}
	for _, bad := range [][2]float64{{-0.1, 0}, {1.1, 0}, {0.1, -0.1}, {0.1, 1}, {math.NaN(), 0}} {
		if !math.IsNaN(EffectiveAttacker(bad[0], bad[1])) {
			t.Errorf("%v has an effective share", bad)
		}
	}
}
