package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// twoMiners is the stale share of two miners with a and b finds a second, whose blocks take
// dAB and dBA seconds to the other, in closed form. Let x be by how much B reaches a height
// later than A, from −dBA to dAB. Each mines on from there, so that at the next height it is
// x + Exp(b) − Exp(a), cut off at both ends: a walk as Lindley's of 1952 ("The theory of
// queues with a single server"), with a second wall. Its density c·e^{(a−b)x} and the
// weights of its ends, q = c·e^{(b−a)dBA}/a at −dBA and p = c·e^{(a−b)dAB}/b at dAB, solve
// the stationary equation, which is seen by putting them in. A takes
// E min(Exp(a), x + dBA + Exp(b)) = (1−q)/a for a height; each height has one block of the
// best chain, and there are a + b blocks a second.
func twoMiners(a, b, dAB, dBA float64) float64 {
	theta := a - b
	inside := dAB + dBA
	if theta != 0 {
		inside = (math.Exp(theta*dAB) - math.Exp(-theta*dBA)) / theta
	}
	c := 1 / (math.Exp(-theta*dBA)/a + math.Exp(theta*dAB)/b + inside)
	q := c * math.Exp(-theta*dBA) / a
	return 1 - a/((1-q)*(a+b))
}

// evenly is a table of delays that are always the same.
func evenly(n int, d float64) [][][]float64 {
	delays := make([][][]float64, n)
	for i := range delays {
		delays[i] = make([][]float64, n)
		for j := range delays[i] {
			if i != j {
				delays[i][j] = []float64{d}
			}
		}
	}
	return delays
}

func TestPredictStaleTwoMiners(t *testing.T) {
	near(t, "the closed form of equals", twoMiners(0.5, 0.5, 0.8, 0.8), 0.4/1.8, 1e-12) // rd/(1+2rd)
	near(t, "the closed form from the other side", twoMiners(0.7, 0.2, 0.3, 0.5), twoMiners(0.2, 0.7, 0.5, 0.3), 1e-12)
	random := rand.New(rand.NewPCG(1952, 1))
	cases := []struct{ a, b, ab, ba float64 }{
		{0.5, 0.5, 0.1, 0.1}, {0.5, 0.5, 1, 1}, {0.5, 0.5, 0.2, 1.4}, {0.8, 0.2, 0.3, 0.3}, {0.9, 0.1, 2, 0.5}, {0.3, 0.7, 5, 3},
	}
	z := normalQuantile(1 - (1-Sidak(0.999, len(cases)))/2)
	for _, c := range cases {
		delays := [][][]float64{{nil, {c.ab}}, {{c.ba}, nil}}
		share, stdErr := PredictStale(delays, []float64{1000 * c.a, 1000 * c.b}, 1/(c.a+c.b), 60_000, random)
		if want := twoMiners(c.a, c.b, c.ab, c.ba); math.Abs(share-want) > z*stdErr || stdErr > 0.01 {
			t.Errorf("%+v: %.4f ± %.4f, in closed form %.4f", c, share, stdErr, want)
		}
	}
}

// TestPredictStaleSmallDelays checks the limit for many miners with delays that differ, and
// that large delays are below it: two of three blocks of one height are found only once.
func TestPredictStaleSmallDelays(t *testing.T) {
	random := rand.New(rand.NewPCG(2013, 5))
	const n = 6
	delays := evenly(n, 0)
	rates := []float64{5, 3, 1, 1, 0, 2}
	for i := range delays {
		for j := range delays[i] {
			delays[i][j] = []float64{0.1 * float64(1+i), 0.05 * float64(1+j), 0.4 * random.Float64()}
		}
	}
	for _, c := range []struct{ interval, within float64 }{{50, 0.0006}, {1, 0.5}} {
		share, stdErr := PredictStale(delays, rates, c.interval, 150_000, random)
		limit := SmallDelayStale(delays, rates, c.interval)
		near(t, "the stale share", share, limit, c.within)
		if c.interval == 1 && !(share < limit-5*stdErr) {
			t.Errorf("with large delays %.4f ± %.4f are stale, not less than %.4f", share, stdErr, limit)
		}
	}
}

// TestPredictStaleEnds checks what needs no simulation to know.
func TestPredictStaleEnds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	if share, _ := PredictStale(evenly(5, 0), []float64{1, 1, 1, 1, 1}, 1, 3000, random); share != 0 {
		t.Errorf("without delays %g are stale", share)
	}
	if share, _ := PredictStale(evenly(2, 10), []float64{1, 0}, 1, 3000, random); share != 0 {
		t.Errorf("of one miner %g are stale", share)
	}
	// Two miners that never hear of each other: the blocks of the one with less are lost.
	apart := [][][]float64{{nil, nil}, {nil, nil}}
	share, stdErr := PredictStale(apart, []float64{3, 1}, 1, 30_000, random)
	near(t, "the share of the one cut off", share, 0.25, 5*stdErr)
	// A miner whom only the second one tells has all, through it.
	chain := [][][]float64{{nil, {0.001}, nil}, {{0.001}, nil, {0.001}}, {{0.001}, {0.001}, nil}}
	if share, _ := PredictStale(chain, []float64{1, 1, 1}, 1, 30_000, random); !(share > 0.01 && share < 0.3) {
		t.Errorf("%g are stale where one is told by one other", share)
	}
	good := evenly(2, 1)
	for name, f := range map[string]func() (float64, float64){
		"no rates":      func() (float64, float64) { return PredictStale(good, []float64{0, 0}, 1, 100, random) },
		"rates below 0": func() (float64, float64) { return PredictStale(good, []float64{2, -1}, 1, 100, random) },
		"three rates":   func() (float64, float64) { return PredictStale(good, []float64{1, 1, 1}, 1, 100, random) },
		"a short row": func() (float64, float64) {
			return PredictStale([][][]float64{{nil, {1}}, {{1}}}, []float64{1, 1}, 1, 100, random)
		},
		"no interval":   func() (float64, float64) { return PredictStale(good, []float64{1, 1}, 0, 100, random) },
		"few blocks":    func() (float64, float64) { return PredictStale(good, []float64{1, 1}, 1, 29, random) },
		"no delay":      func() (float64, float64) { return PredictStale(evenly(2, math.NaN()), []float64{1, 1}, 1, 100, random) },
		"negative ones": func() (float64, float64) { return PredictStale(evenly(2, -1), []float64{1, 1}, 1, 100, random) },
	} {
		if share, stdErr := f(); !math.IsNaN(share) || !math.IsNaN(stdErr) {
			t.Errorf("%s: %g ± %g", name, share, stdErr)
		}
	}
}

// TestStaleRegionCovers runs the same race as measurements of 1,000 blocks each: intervals
// of the effective count cover the long run's share as often as they say.
func TestStaleRegionCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(95, 1))
	delays, rates := evenly(4, 0.45), []float64{4, 3, 2, 1}
	const long, short, tries = 200_000, 1000, 400
	truth, stdErr := PredictStale(delays, rates, 1, long, random)
	n := EffectiveCount(truth, stdErr*stdErr*long/short)
	covered := 0
	for range tries {
		share, _ := PredictStale(delays, rates, 1, short, random)
		if low, high := WilsonAt(share*n, n, Confidence); low <= truth && truth <= high {
			covered++
		}
	}
	near(t, "the coverage", float64(covered)/tries, Confidence, 0.035)
	t.Logf("stale share %.4f ± %.4f: 1000 blocks tell as much as %.0f independent ones", truth, stdErr, n)
}

// TestMiningRaceRules checks what a miner mines on: the highest block it has, of equals the
// one it had first, and none before its parent.
func TestMiningRaceRules(t *testing.T) {
	race, ok := newMiningRace(evenly(3, 1), []float64{1, 1, 1}, 1, rand.New(rand.NewPCG(1, 1)))
	if !ok {
		t.Fatal("the race cannot be")
	}
	genesis := race.tips[0]
	find := func(who, index int, at float64, delays ...float64) *raceBlock {
		for j, d := range delays {
			race.delays[who][j] = []float64{d}
		}
		race.catchUp(who, at)
		race.tips[who] = race.found(who, index, at)
		return race.tips[who]
	}
	on := func(who int, at float64, want *raceBlock, why string) {
		t.Helper()
		if race.catchUp(who, at); race.tips[who] != want {
			t.Errorf("at %g miner %d is on block %d, want %d: %s", at, who, race.tips[who].index, want.index, why)
		}
	}
	first := find(0, 0, 10, 0, 5, 5)
	second := find(1, 1, 11, 2, 0, 1) // found later, and there before
	if first.parent != genesis || second.parent != genesis {
		t.Fatal("blocks found before any arrived are not on genesis")
	}
	on(2, 11.5, genesis, "none has arrived")
	on(0, 14, first, "its own is as high as the one that came")
	on(1, 16, second, "its own is as high as the one that came")
	on(2, 16, second, "of two as high as each other the first that came, both looked at late")
	third := find(0, 2, 17, 0, 1, 1)
	fourth := find(0, 3, 17.5, 0, 0.1, 0.1)
	if fourth.parent != third {
		t.Fatal("a miner does not mine on its own last block")
	}
	on(1, 17.9, second, "the block that overtook its parent waits for it")
	on(1, 18, fourth, "its parent has come")
	if fourth.arrival[2] != 18 {
		t.Errorf("the fourth block comes to miner 2 at %g, want 18, when its parent does", fourth.arrival[2])
	}
}
