package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestKolmogorovTables holds the chance against published tables: critical values of
// Miller 1956 ("Table of percentage points of Kolmogorov statistics", JASA 51), exact
// chances of Marsaglia, Tsang and Wang 2003 (section 3), and the limits of Smirnov 1948.
func TestKolmogorovTables(t *testing.T) {
	chance := func(n int, d float64) float64 {
		root := math.Sqrt(float64(n))
		return kolmogorov((root + 0.12 + 0.11/root) * d)
	}
	for _, c := range []struct {
		n    int
		d, p float64
	}{
		{10, 0.40925, 0.05}, {20, 0.29408, 0.05}, {30, 0.24170, 0.05}, {50, 0.18845, 0.05}, {100, 0.13403, 0.05},
		{20, 0.26473, 0.10}, {20, 0.35241, 0.01}, {100, 0.16081, 0.01},
		{10, 0.274, 1 - 0.6284796154565842},
		{2000, 0.04, 1 - 0.99676943191713676985},
		{16000, 0.016, 1 - 0.99945234913828052085},
	} {
		near(t, "the chance", chance(c.n, c.d), c.p, max(0.04*c.p, 2e-5))
	}
	near(t, "the limit at 1.2238", kolmogorov(1.2238478), 0.10, 1e-6)
	near(t, "the limit at 1.3581", kolmogorov(1.3580986), 0.05, 1e-6)
	near(t, "the limit at 1.6276", kolmogorov(1.6276236), 0.01, 1e-6)
	near(t, "where the series meet", kolmogorov(0.8-1e-12), kolmogorov(0.8), 1e-9)
	if kolmogorov(0) != 1 || kolmogorov(0.01) != 1 || kolmogorov(10) > 1e-80 {
		t.Error("the ends are wrong")
	}
}

// TestLillieforsTable holds the chance with an estimated mean against D'Agostino and
// Stephens 1986, table 4.11: critical values of the modified D.
func TestLillieforsTable(t *testing.T) {
	for _, n := range []int{5, 20, 100, 1000} {
		root := math.Sqrt(float64(n))
		for _, c := range [][2]float64{{0.990, 0.10}, {1.094, 0.05}, {1.308, 0.01}} {
			d := c[0]/(root+0.26+0.5/root) + 0.2/float64(n)
			near(t, "the chance", lilliefors(n, d), c[1], 0.004+0.05*c[1])
		}
	}
}

// TestKSUniformUnderTheNull checks what a chance has to be: below x in a share x of cases
// where the values are what they are tested for, and small where they are not.
func TestKSUniformUnderTheNull(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 3))
	for mean, tries := range map[float64]int{2.5: 1000, 0: 60} { // the second simulates each time
		var chances []float64
		for range tries {
			x := make([]float64, 20)
			for i := range x {
				x[i] = 2.5 * random.ExpFloat64()
			}
			_, p := KSExponential(x, mean)
			chances = append(chances, p)
		}
		// They are uniform if −log of them is exponential: the test judges itself.
		for i, p := range chances {
			chances[i] = -math.Log(max(p, 1e-12))
		}
		if d, p := KSExponential(chances, 1); p < 0.01 {
			t.Errorf("mean %g: the chances are not uniform: D = %.3f, p = %.5f", mean, d, p)
		}
	}
	var even, slow []float64 // as a miner that sleeps between blocks makes them; and at another rate
	for range 200 {
		even = append(even, 1.5+2*random.Float64())
		slow = append(slow, 3.5*random.ExpFloat64())
	}
	if _, p := KSExponential(even, 2.5); p > 1e-6 {
		t.Errorf("even spacing passes with p = %g", p)
	}
	if _, p := KSExponential(even, 0); p > 1e-6 {
		t.Errorf("even spacing passes with an estimated mean, p = %g", p)
	}
	if _, p := KSExponential(slow, 2.5); p > 0.01 {
		t.Errorf("spacing of another mean passes with p = %g", p)
	}
	if _, p := KSExponential(slow, 0); p < 0.01 {
		t.Errorf("exponential spacing fails with an estimated mean, p = %g", p)
	}
}

func TestKSOfNothing(t *testing.T) {
	for _, x := range [][]float64{nil, {math.NaN(), 1}, {math.Inf(1)}} {
		if d, p := KSExponential(x, 1); !math.IsNaN(d) || !math.IsNaN(p) {
			t.Errorf("%v has D %g, p %g", x, d, p)
		}
	}
	if d, p := KSExponential([]float64{0, 0, 0, 0, 0, 0, 0, 0}, 0); d != 1 || p != 0 {
		t.Errorf("zeros have D %g, p %g", d, p)
	}
	if d, p := KSExponential([]float64{-1, -1, -1, -1, -1, -1, -1}, 1); d != 1 || p > 1e-4 {
		t.Errorf("negative values have D %g, p %g", d, p)
	}
}
