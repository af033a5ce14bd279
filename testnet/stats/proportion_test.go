package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// near fails unless got is want within so much.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %.10g, want %.10g within %.2g", what, got, want, within)
	}
}

// TestIntervalsOfShares holds both intervals against Newcombe 1998, "Two-sided confidence
// intervals for the single proportion", Statistics in Medicine 17, table I.
func TestIntervalsOfShares(t *testing.T) {
	for _, c := range []struct {
		k, n                           int
		wilson, wilsonHigh, exact, top float64
	}{
		{81, 263, 0.2553, 0.3662, 0.2527, 0.3676},
		{15, 148, 0.0624, 0.1605, 0.0578, 0.1617},
		{0, 20, 0, 0.1611, 0, 0.1684},
		{1, 29, 0.0061, 0.1718, 0.0009, 0.1776},
	} {
		low, high := Wilson(c.k, c.n)
		near(t, "Wilson's low end", low, c.wilson, 0.00005)
		near(t, "Wilson's high end", high, c.wilsonHigh, 0.00005)
		low, high = ClopperPearson(c.k, c.n)
		near(t, "the exact low end", low, c.exact, 0.00005)
		near(t, "the exact high end", high, c.top, 0.00005)
		// The interval of what was not seen is the mirror image.
		mirrorLow, mirrorHigh := ClopperPearson(c.n-c.k, c.n)
		near(t, "the mirrored low end", mirrorLow, 1-high, 1e-12)
		near(t, "the mirrored high end", mirrorHigh, 1-low, 1e-12)
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("of no observations, Wilson claims [%g, %g]", low, high)
	}
	if low, high := Wilson(5, 5); !(low > 0.5) || high != 1 {
		t.Errorf("Wilson(5, 5) is [%g, %g]", low, high)
	}
	for _, bad := range [][2]int{{-1, 5}, {6, 5}, {1, -1}} {
		low, _ := Wilson(bad[0], bad[1])
		exact, _ := ClopperPearson(bad[0], bad[1])
		if !math.IsNaN(low) || !math.IsNaN(exact) {
			t.Errorf("%d of %d has an interval", bad[0], bad[1])
		}
	}
}

// TestJointRegion checks that a box of three intervals covers three shares at once.
func TestJointRegion(t *testing.T) {
	near(t, "the confidence of each of three", Sidak(0.95, 3), 0.983048, 1e-6)
	random := rand.New(rand.NewPCG(7, 1))
	const tries, n = 4000, 1000
	together, alone := 0, 0
	for range tries {
		inside, insideAlone := true, true
		for _, share := range []float64{0.05, 0.15, 0.3} {
			k := 0
			for range n {
				if random.Float64() < share {
					k++
				}
			}
			low, high := WilsonAt(float64(k), n, Sidak(Confidence, 3))
			inside = inside && low <= share && share <= high
			low, high = Wilson(k, n)
			insideAlone = insideAlone && low <= share && share <= high
		}
		if inside {
			together++
		}
		if insideAlone {
			alone++
		}
	}
	near(t, "the coverage of the joint region", float64(together)/tries, 0.95, 0.012)
	near(t, "the coverage of three single intervals", float64(alone)/tries, 0.95*0.95*0.95, 0.02)
}

func TestEffectiveCount(t *testing.T) {
	near(t, "the count of plain trials", EffectiveCount(0.2, 0.2*0.8/500), 500, 1e-9)
	near(t, "the count where each came twice", EffectiveCount(0.2, 2*0.2*0.8/500), 250, 1e-9)
	if !math.IsNaN(EffectiveCount(0.2, 0)) || !math.IsNaN(EffectiveCount(0, 0.1)) {
		t.Error("a share without variance has an effective count")
	}
}

// TestSampleSize checks that the sample sizes have the power they claim, by the exact
// binomial distribution.
func TestSampleSize(t *testing.T) {
	if n := SampleSize(0.5, 0.6); n != 194 { // ((1.96·0.5 + 0.8416·0.4899) / 0.1)²
		t.Errorf("0.6 is told from 0.5 by %d, want 194", n)
	}
	for _, c := range [][2]float64{{0.1, 0.15}, {0.3, 0.25}, {0.25, 0.4}, {0.05, 0.1}} {
		p0, p := c[0], c[1]
		n := SampleSize(p0, p)
		z := normalQuantile(0.975) * math.Sqrt(p0*(1-p0)/float64(n))
		power := 0.0
		for k := 0; k <= n; k++ {
			if share := float64(k) / float64(n); math.Abs(share-p0) > z {
				power += binomial(n, k, p)
			}
		}
		near(t, "the power", power, Power, 0.04) // the normal approximation, and whole numbers
	}
	for _, p := range []float64{0.01, 0.2, 0.9} { // none is expected: one refutes it
		n := float64(SampleSize(0, p))
		if seen := 1 - math.Pow(1-p, n); seen < Power {
			t.Errorf("%g tries show an event of chance %g in %.3f of cases", n, p, seen)
		}
		if seen := 1 - math.Pow(1-p, n-1); seen >= Power {
			t.Errorf("%g tries are more than it takes for %g", n, p)
		}
		if m := SampleSize(1, 1-p); float64(m) != n {
			t.Errorf("the mirror image takes %d, not %g", m, n)
		}
	}
	if SampleSize(0.2, 0.2) != 0 || SampleSize(-1, 0.2) != 0 || SampleSize(0.2, math.NaN()) != 0 {
		t.Error("no difference can be told")
	}
	if n := SampleSizeWithin(0.5, 0.03); n != 1068 { // the pollsters' thousand
		t.Errorf("half of them within 3 points takes %d, want 1068", n)
	}
}

func binomial(n, k int, p float64) float64 {
	a, b := float64(k), float64(n-k)
	return math.Exp(logGamma(a+b+1) - logGamma(a+1) - logGamma(b+1) + a*math.Log(p) + b*math.Log1p(-p))
}

// TestIncompleteBeta holds it against closed forms and itself.
func TestIncompleteBeta(t *testing.T) {
	for _, x := range []float64{0, 1e-9, 0.1, 0.36, 0.5, 0.84, 0.999999, 1} {
		near(t, "I_x(1, 1/2)", incompleteBeta(x, 1, 0.5), 1-math.Sqrt(1-x), 1e-14)
		near(t, "I_x(1/2, 1/2)", incompleteBeta(x, 0.5, 0.5), 2/math.Pi*math.Asin(math.Sqrt(x)), 1e-13)
		near(t, "I_x(7, 1)", incompleteBeta(x, 7, 1), math.Pow(x, 7), 1e-14)
		if x > 0 && x < 1 {
			near(t, "the inverse", inverseBeta(incompleteBeta(x, 4, 0.5), 4, 0.5), x, 1e-6)
		}
	}
	tail := 0.0
	for k := 40; k <= 100; k++ {
		tail += binomial(100, k, 0.3)
	}
	near(t, "a binomial tail", incompleteBeta(0.3, 40, 61), tail, 1e-12)
	// Student's table, and the normal distribution as its limit.
	near(t, "t with 1 degree of freedom", studentQuantile(0.975, 1), 12.7062, 5e-5)
	near(t, "t with 10 degrees of freedom", studentQuantile(0.975, 10), 2.2281, 5e-5)
	near(t, "t with many", studentQuantile(0.975, 1e7), normalQuantile(0.975), 1e-4)
}
