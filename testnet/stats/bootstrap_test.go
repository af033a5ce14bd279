package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantile(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, c := range [][2]float64{{0, 1}, {0.1, 1}, {0.11, 2}, {0.5, 5}, {0.9, 9}, {0.91, 10}, {1, 10}} {
		if got := Quantile(ten, c[0]); got != c[1] {
			t.Errorf("the quantile %g of 1 to 10 is %g, want %g", c[0], got, c[1])
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("no values have a median")
	}
}

// waits are the times of payments to their k-th confirmation on a chain of so many blocks,
// a block every second on average: the longer a block takes, the more payments share it.
func waits(blocks, k int, random *rand.Rand) (values []Clustered) {
	const rate = 10
	gaps := make([]float64, blocks+k)
	for i := range gaps {
		gaps[i] = random.ExpFloat64()
	}
	for i := range blocks {
		after := sum(gaps[i+1 : i+k])
		for at := random.ExpFloat64() / rate; at < gaps[i]; at += random.ExpFloat64() / rate {
			values = append(values, Clustered{gaps[i] - at + after, i})
		}
	}
	return values
}

// erlangQuantile is the quantile of a sum of k exponential times of mean 1, which is what
// such a payment waits.
func erlangQuantile(k int, q float64) float64 {
	low, high := 0.0, 100.0
	for range 60 {
		x := (low + high) / 2
		term, below := math.Exp(-x), 1.0
		for i := range k {
			below -= term
			term *= x / float64(i+1)
		}
		if below < q {
			low = x
		} else {
			high = x
		}
	}
	return low
}

// TestBootstrapCovers checks by simulation that the interval covers the true quantile in
// at least 90 % of cases, from the least number of blocks on, and that runs are needed
// where confirmations overlap.
func TestBootstrapCovers(t *testing.T) {
	const tries, rounds = 400, 200
	for _, c := range []struct {
		k, blocks int
		q         float64
	}{{1, 18, 0.5}, {1, 30, 0.5}, {1, 100, 0.5}, {3, 56, 0.5}, {6, 105, 0.5}, {6, 150, 0.5}, {1, 175, 0.9}} {
		t.Run(fmt.Sprintf("k=%d blocks=%d q=%g", c.k, c.blocks, c.q), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(c.blocks), 2))
			truth := erlangQuantile(c.k, c.q)
			covered, given := 0, 0
			for range tries {
				values := waits(c.blocks, c.k, random)
				low, high, ok := BootstrapQuantileSerial(values, c.q, c.k, rounds, random)
				if !ok {
					continue // a block with no payment is one too few
				}
				given++
				if low <= truth && truth <= high {
					covered++
				}
			}
			// Two standard errors of 400 tries at 0.9 are 0.03.
			if share := float64(covered) / float64(given); given < tries*8/10 || share < 0.90-0.03 {
				t.Errorf("covers in %.3f of %d cases", share, given)
			} else {
				t.Logf("covers in %.3f of %d cases", share, given)
			}
		})
	}
	random := rand.New(rand.NewPCG(6, 6))
	covered := 0
	for range tries {
		low, high, _ := BootstrapQuantile(waits(100, 6, random), 0.5, rounds, random)
		if truth := erlangQuantile(6, 0.5); low <= truth && truth <= high {
			covered++
		}
	}
	if share := float64(covered) / tries; share > 0.88 {
		t.Errorf("single blocks cover six confirmations in %.3f of cases: then runs are not needed", share)
	}
}

func TestBootstrapTooFew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for q, want := range map[float64]int{0.5: 15, 0.9: 151, 0.1: 151, 0.99: 1681, 0: 0, 1: 0, -1: 0} {
		if got := ClustersNeeded(q); got != want {
			t.Errorf("the quantile %g needs %d clusters, want %d", q, got, want)
		}
	}
	clusters := func(n int) (values []Clustered) {
		for i := range 3 * n {
			values = append(values, Clustered{random.Float64(), 10 * (i % n)})
		}
		return values
	}
	for _, c := range []struct {
		n, length int
		q         float64
		ok        bool
	}{{14, 1, 0.5, false}, {15, 1, 0.5, true}, {44, 3, 0.5, false}, {45, 3, 0.5, true}, {150, 1, 0.9, false}, {151, 1, 0.9, true}, {0, 1, 0.5, false}, {50, 0, 0.5, false}, {50, 1, 0, false}} {
		low, high, ok := BootstrapQuantileSerial(clusters(c.n), c.q, c.length, 200, random)
		if ok != c.ok || ok == math.IsNaN(low) || ok == math.IsNaN(high) {
			t.Errorf("%d clusters in runs of %d for %g: ok %v, [%g, %g]", c.n, c.length, c.q, ok, low, high)
		}
	}
	// Many clusters, of which one is nearly all.
	lopsided := clusters(100)
	for range 1_000_000 / 100 {
		lopsided = append(lopsided, Clustered{0.5, 0})
	}
	if _, _, ok := BootstrapQuantile(lopsided, 0.5, 200, random); ok {
		t.Error("one cluster with nearly all values has an interval")
	}
	if _, _, ok := BootstrapQuantile(append(clusters(50), Clustered{math.NaN(), 1}), 0.5, 200, random); ok {
		t.Error("NaN has an interval")
	}
	// The order of the values does not matter, and only the order of clusters counts.
	values := clusters(40)
	low, high, _ := BootstrapQuantile(values, 0.5, 500, rand.New(rand.NewPCG(5, 5)))
	random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	if l, h, _ := BootstrapQuantile(values, 0.5, 500, rand.New(rand.NewPCG(5, 5))); l != low || h != high {
		t.Errorf("shuffled values have [%g, %g], not [%g, %g]", l, h, low, high)
	}
}

// TestDrawnRuns checks that clusters are drawn in runs, around the end, and as many as
// there are.
func TestDrawnRuns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	sizes := []int{1, 2, 3, 4, 5, 6, 7}
	times := make([]int, len(sizes))
	if total := draw(times, sizes, len(sizes), random); total != 28 || !slices.Equal(times, []int{1, 1, 1, 1, 1, 1, 1}) {
		t.Errorf("a run of all is %v, %d values", times, total)
	}
	for range 100 {
		total := draw(times, sizes, 4, random)
		want, clusters := 0, 0
		for i, n := range times {
			want += n * sizes[i]
			clusters += n
		}
		if total != want || clusters != len(sizes) || slices.Max(times) > 2 {
			t.Fatalf("runs of four and three are %v, %d values", times, total)
		}
	}
}
