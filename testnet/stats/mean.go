package stats

import "math"

// ExponentialMean is the 95 % interval of the mean of an exponential distribution, from the
// mean of n values of it: 2·n·mean/χ², the quantiles of χ² being those of 2·n degrees of
// freedom, by the cube root (Wilson and Hilferty 1931, "The distribution of chi-square",
// PNAS 17), which is right to four digits from 30 values on. NaN of no values.
func ExponentialMean(mean float64, n int) (low, high float64) {
	if n < 1 || !(mean >= 0) {
		return math.NaN(), math.NaN()
	}
	k := 2 * float64(n)
	z := normalQuantile(1 - (1-Confidence)/2)
	chi := func(z float64) float64 {
		root := 1 - 2/(9*k) + z*math.Sqrt(2/(9*k))
		return k * root * root * root
	}
	return k * mean / chi(z), k * mean / chi(-z)
}
