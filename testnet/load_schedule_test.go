package testnet

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// drawPayments is some rate, or some curve that does not end at zero.
func drawPayments(t *rapid.T) *spec.Payments {
	p := &spec.Payments{Rate: rapid.Float64Range(0.1, 50).Draw(t, "rate"), Regular: rapid.Bool().Draw(t, "regular")}
	at := time.Duration(0)
	for range rapid.IntRange(0, 5).Draw(t, "steps") {
		p.Curve = append(p.Curve, spec.CurveStep{From: at, Rate: rapid.SampledFrom([]float64{0, 0.5, 3, 40}).Draw(t, "step")})
		at += time.Duration(rapid.Float64Range(0.1, 30).Draw(t, "for") * float64(time.Second))
	}
	if n := len(p.Curve); n > 0 {
		p.Curve[n-1].Rate = 7
	}
	return p
}

// Between two payments the rate's integral grows by 1 where they are evenly spaced.
func TestRegularArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPayments(t)
		p.Regular = true
		a := newArrivals(p, nil)
		for i := range 200 {
			at, more := a.next()
			if !more {
				t.Fatalf("there is no payment %d", i+1)
			}
			if got := p.Expected(at); math.Abs(got-float64(i+1)) > 1e-4*float64(i+1) {
				t.Fatalf("payment %d is due when %.6f are", i+1, got)
			}
		}
	})
}

// Whatever the curve, the integral between two payments of a Poisson process is
// exponentially distributed with mean 1: the Kolmogorov-Smirnov distance of n of them
// stays below its 0.1 % bound, 1.95/√n, or the test fails one time in 1000 for a seed.
func TestPoissonArrivals(t *testing.T) {
	curves := map[string]*spec.Payments{
		"rate":  {Rate: 5},
		"curve": {Curve: []spec.CurveStep{{From: time.Second, Rate: 30}, {From: 20 * time.Second}, {From: 21 * time.Second, Rate: 0.5}, {From: 2 * time.Minute, Rate: 80}}},
	}
	for name, p := range curves {
		t.Run(name, func(t *testing.T) {
			const n = 20_000
			a := newArrivals(p, rand.New(rand.NewPCG(7, 0)))
			gaps := make([]float64, n)
			last := 0.0
			for i := range gaps {
				at, _ := a.next()
				sum := p.Expected(at)
				gaps[i], last = sum-last, sum
			}
			slices.Sort(gaps)
			distance := 0.0
			for i, gap := range gaps {
				cdf := -math.Expm1(-gap)
				distance = max(distance, cdf-float64(i)/n, float64(i+1)/n-cdf)
			}
			if bound := 1.95 / math.Sqrt(n); distance > bound {
				t.Errorf("distance to the exponential distribution is %.4f, more than %.4f", distance, bound)
			}
		})
	}
}

// The schedule follows from its seed, and only goes forward.
func TestArrivalsAreRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, seed := drawPayments(t), rapid.Uint64().Draw(t, "seed")
		a, b := newArrivals(p, rand.New(rand.NewPCG(seed, 0))), newArrivals(p, rand.New(rand.NewPCG(seed, 0)))
		var last time.Duration
		for range 100 {
			x, _ := a.next()
			if y, _ := b.next(); x != y || x < last {
				t.Fatalf("%v, then %v and %v", last, x, y)
			}
			last = x
		}
	})
}

func TestArrivalsEnd(t *testing.T) {
	for name, p := range map[string]*spec.Payments{
		"no rate":         {},
		"a curve to zero": {Curve: []spec.CurveStep{{Rate: 2}, {From: 10 * time.Second}}, Regular: true},
		"an endless wait": {Rate: 1e-12, Regular: true},
	} {
		a := newArrivals(p, rand.New(rand.NewPCG(1, 0)))
		n := 0
		for n < 30 {
			if _, more := a.next(); !more {
				break
			}
			n++
		}
		if _, more := a.next(); more || (n > 0) != (len(p.Curve) > 0) || n > 20 {
			t.Errorf("%s: %d payments, and more: %v", name, n, more)
		}
	}
}

// Fee rates keep within the file's bounds and the wallet's, and about half of those that
// have a median are below it.
func TestDrawFee(t *testing.T) {
	for name, f := range map[string]spec.Fees{
		"constant":   {Kind: spec.Constant, Median: 3},
		"uniform":    {Kind: spec.Uniform, Min: 2, Max: 4, Median: 3},
		"log-normal": {Kind: spec.LogNormal, Min: 1, Max: 9, Median: 3, Sigma: 0.8},
		"unlimited":  {Kind: spec.LogNormal, Median: 9000, Sigma: 4},
	} {
		random := rand.New(rand.NewPCG(2, 0))
		low, high := max(f.Min, 1), min(f.Max, 10_000)
		switch name {
		case "constant":
			low, high = 3, 3
		case "unlimited":
			high = 10_000
		}
		var below float64
		const n = 4000
		for range n {
			rate := float64(drawFee(&f, random)) / 1000
			if rate < low || rate > high {
				t.Fatalf("%s: %g units/vB", name, rate)
			}
			if rate < f.Median {
				below++
			}
		}
		if share := below / n; name != "constant" && math.Abs(share-0.5) > 0.04 {
			t.Errorf("%s: %.0f %% are below the median", name, 100*share)
		}
	}
	if rate := drawFee(&spec.Fees{}, nil); rate != wallet.MinFeeRate {
		t.Errorf("without a distribution it is %v", rate)
	}
}

func TestLoadText(t *testing.T) {
	p := &spec.Payments{Curve: []spec.CurveStep{{Rate: 2}, {From: 10 * time.Second, Rate: 6}}, Fees: spec.Fees{Kind: spec.Uniform, Min: 1, Max: 5}}
	if got := loadOf(p, 40); got.RatePerS != 5 || got.Arrivals != "open loop, Poisson" || got.Fees != "uniform from 1 to 5 units/vB" {
		t.Errorf("%+v", got)
	}
	if got := loadOf(&spec.Payments{Rate: 3, Regular: true}, 40); got.RatePerS != 3 || got.Arrivals != "open loop, evenly spaced" || got.Fees != "constant, 1 units/vB" {
		t.Errorf("%+v", got)
	}
}
