package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestExponentialMean holds it against χ² of 60 and of 100 degrees of freedom from a table
// (NIST/SEMATECH e-Handbook, 1.3.6.7.4), and counts how often it covers.
func TestExponentialMean(t *testing.T) {
	for _, c := range []struct {
		n                int
		chiLow, chiUpper float64
	}{{30, 40.482, 83.298}, {50, 74.222, 129.561}} {
		low, high := ExponentialMean(3, c.n)
		k := 2 * float64(c.n)
		near(t, "the lower end", low, 3*k/c.chiUpper, 3e-4*low)
		near(t, "the upper end", high, 3*k/c.chiLow, 3e-4*high)
	}
	r := rand.New(rand.NewPCG(1, 1))
	const tries, n = 4000, 30
	covered := 0
	for range tries {
		sum := 0.0
		for range n {
			sum += r.ExpFloat64()
		}
		if low, high := ExponentialMean(sum/n, n); low <= 1 && 1 <= high {
			covered++
		}
	}
	near(t, "the coverage", float64(covered)/tries, Confidence, 0.012) // 3.5 standard errors
	for _, none := range []struct {
		mean float64
		n    int
	}{{1, 0}, {math.NaN(), 5}, {-1, 5}} {
		if low, high := ExponentialMean(none.mean, none.n); !math.IsNaN(low) || !math.IsNaN(high) {
			t.Errorf("%+v: %g to %g", none, low, high)
		}
	}
}
