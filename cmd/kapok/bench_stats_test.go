package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{ten, 0, 1}, {ten, 0.1, 1}, {ten, 0.11, 2}, {ten, 0.5, 5}, {ten, 0.9, 9}, {ten, 0.99, 10}, {ten, 1, 10},
		{[]float64{7}, 0.5, 7}, {[]float64{1, 2}, 0.5, 1}, {[]float64{1, 2, 3}, 0.5, 2},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile %g of %v is %g, expected %g", c.p, c.values, got, c.want)
		}
	}
	if got := percentile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("percentile of nothing is %g", got)
	}
}

func TestWeightedMedian(t *testing.T) {
	sorted := []observation{{1, 0}, {2, 1}, {3, 0}, {9, 2}}
	for _, c := range []struct {
		times []int
		want  float64
	}{
		{[]int{1, 1, 1}, 2}, {[]int{3, 0, 0}, 1}, {[]int{0, 3, 0}, 2}, {[]int{0, 0, 3}, 9}, {[]int{0, 1, 2}, 9},
	} {
		var all []float64 // the same by writing it out
		for _, v := range sorted {
			for range c.times[v.cluster] {
				all = append(all, v.value)
			}
		}
		got := weightedMedian(sorted, c.times, len(all))
		if got != c.want || got != percentile(all, 0.5) {
			t.Errorf("drawn %v: median %g, expected %g", c.times, got, c.want)
		}
	}
}

// The interval must contain the true median about 95 times in 100, though the
// values of a cluster are nearly the same; taking them one by one it would not.
func TestMedianIntervalCovers(t *testing.T) {
	const trials, clusters, members = 100, 40, 5
	random := rand.New(rand.NewPCG(3, 4))
	covered, coveredSingly := 0, 0
	for range trials {
		var values, singly []observation
		for c := range clusters {
			centre := random.NormFloat64()
			for range members {
				v := centre + 0.1*random.NormFloat64()
				values = append(values, observation{v, c})
				singly = append(singly, observation{v, len(singly)})
			}
		}
		if low, high := medianInterval(values, clusters, random); low <= 0 && 0 <= high {
			covered++
		}
		if low, high := medianInterval(singly, len(singly), random); low <= 0 && 0 <= high {
			coveredSingly++
		}
	}
	if share := float64(covered) / trials; share < 0.90 || share > 0.99 {
		t.Errorf("the 95 %% interval covers the median in %.1f %% of the trials", 100*share)
	}
	if coveredSingly > trials*8/10 {
		t.Errorf("the test tells nothing: values one by one cover as well (%d of %d)", coveredSingly, trials)
	}
}

func TestMedianIntervalOfFew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	if low, high := medianInterval([]observation{{5, 0}}, 1, random); low != 5 || high != 5 {
		t.Errorf("one value: [%g, %g]", low, high)
	}
	if low, high := medianInterval(nil, 0, random); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Errorf("no value: [%g, %g]", low, high)
	}
}

// The times between payments are exponential with the mean of the rate: the
// Kolmogorov-Smirnov distance of n of them stays below its 1 % bound, 1.63/√n.
func TestPoissonIsExponential(t *testing.T) {
	const n, rate = 20_000, 5.0
	p := &poisson{rate: rate, random: rand.New(rand.NewPCG(7, 0))}
	gaps := make([]float64, n)
	var last time.Duration
	for i := range gaps {
		at := p.next()
		if at < last {
			t.Fatalf("payment %d is due before the one before it", i)
		}
		gaps[i], last = (at - last).Seconds(), at
	}
	if mean := last.Seconds() / n; math.Abs(mean*rate-1) > 0.03 {
		t.Errorf("mean gap %.4f s, expected %.4f", mean, 1/rate)
	}
	slices.Sort(gaps)
	distance := 0.0
	for i, gap := range gaps {
		cdf := 1 - math.Exp(-rate*gap)
		distance = max(distance, cdf-float64(i)/n, float64(i+1)/n-cdf)
	}
	if bound := 1.63 / math.Sqrt(n); distance > bound {
		t.Errorf("distance to the exponential distribution is %.4f, more than %.4f", distance, bound)
	}
}

func TestPoissonIsRepeatable(t *testing.T) {
	a := &poisson{rate: 2, random: rand.New(rand.NewPCG(9, 0))}
	b := &poisson{rate: 2, random: rand.New(rand.NewPCG(9, 0))}
	for range 100 {
		if x, y := a.next(), b.next(); x != y {
			t.Fatalf("the same seed gives %v and %v", x, y)
		}
	}
}
