package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// KSExponential is the Kolmogorov–Smirnov test of values against the exponential
// distribution of the given mean: the largest distance D between the two distribution
// functions, and the chance of one at least as large if the values are such. The chance is
// Kolmogorov's with the correction of Stephens 1970 ("Use of the Kolmogorov–Smirnov,
// Cramér–von Mises and related statistics without extensive tables", JRSS B 32, table 1),
// right to three decimals or so from 10 values on.
//
// Where mean is 0 or less, it is estimated from the values, which makes D smaller: then
// the chance is that of Lilliefors' test (1969, "On the Kolmogorov–Smirnov test for the
// exponential distribution with mean unknown", JASA 64), by lillieforsRounds simulated
// samples, always the same. NaN for no values, or some that are no finite numbers.
func KSExponential(x []float64, mean float64) (d, p float64) {
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 || math.IsNaN(sorted[0]) || math.IsInf(sorted[0], 0) || math.IsInf(sorted[n-1], 0) {
		return math.NaN(), math.NaN()
	}
	estimated := !(mean > 0)
	if estimated {
		if mean = sum(sorted) / float64(n); !(mean > 0) {
			return 1, 0 // all are 0, or most below
		}
	}
	d = distanceExponential(sorted, mean)
	if !estimated {
		root := math.Sqrt(float64(n))
		return d, kolmogorov((root + 0.12 + 0.11/root) * d)
	}
	return d, lilliefors(n, d)
}

// distanceExponential is the largest distance of the sorted values' distribution function
// from the exponential one.
func distanceExponential(sorted []float64, mean float64) (d float64) {
	n := float64(len(sorted))
	for i, v := range sorted {
		f := -math.Expm1(-max(v, 0) / mean)
		if v < 0 {
			f = 0
		}
		d = max(d, float64(i+1)/n-f, f-float64(i)/n)
	}
	return d
}

// kolmogorov is the chance that the limit of √n·D exceeds x (Kolmogorov 1933; the second
// series, for small x, is Jacobi's form of the first: Marsaglia, Tsang and Wang 2003,
// "Evaluating Kolmogorov's distribution", section 1).
func kolmogorov(x float64) float64 {
	const change = 0.8 // where both converge in a few terms
	var total float64
	if x <= 0 {
		return 1
	}
	if x < change {
		for k := 1.0; k <= 9; k += 2 {
			total += math.Exp(-k * k * math.Pi * math.Pi / (8 * x * x))
		}
		return min(max(1-math.Sqrt(2*math.Pi)/x*total, 0), 1)
	}
	for k, sign := 1.0, 1.0; k <= 10; k, sign = k+1, -sign {
		total += sign * math.Exp(-2*k*k*x*x)
	}
	return min(max(2*total, 0), 1)
}

// lillieforsRounds is how many samples stand for the distribution of D with an estimated
// mean: the chance is then right within a percentage point.
const lillieforsRounds = 10_000

// lillieforsSize is the size of sample above which Stephens' modified D no longer depends
// on it (D'Agostino and Stephens 1986, Goodness-of-Fit Techniques, table 4.11).
const lillieforsSize = 100

// lilliefors is the chance that n exponential values are at least d away from the
// exponential distribution with their own mean.
func lilliefors(n int, d float64) float64 {
	modified := func(d float64, n int) float64 {
		root := math.Sqrt(float64(n))
		return (d - 0.2/float64(n)) * (root + 0.26 + 0.5/root)
	}
	if n > lillieforsSize {
		root := math.Sqrt(lillieforsSize)
		d = modified(d, n)/(root+0.26+0.5/root) + 0.2/lillieforsSize
		n = lillieforsSize
	}
	random := rand.New(rand.NewPCG(1969, uint64(n)))
	sample := make([]float64, n)
	reached := 0
	for range lillieforsRounds {
		sortedExponentials(sample, random)
		if distanceExponential(sample, sum(sample)/float64(n)) >= d {
			reached++
		}
	}
	return float64(reached) / lillieforsRounds
}

// sortedExponentials fills in an ordered sample of Exp(1): the gaps between order
// statistics are independent and exponential (Rényi 1953, "On the theory of order
// statistics").
func sortedExponentials(into []float64, random *rand.Rand) {
	at := 0.0
	for i := range into {
		at += random.ExpFloat64() / float64(len(into)-i)
		into[i] = at
	}
}

func sum(x []float64) (total float64) {
	for _, v := range x {
		total += v
	}
	return total
}
