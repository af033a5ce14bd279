package stats

import "math"

// Confidence is that of all intervals that name no other.
const Confidence = 0.95

// Wilson is the 95 % score interval of a share of which k of n were seen (Wilson, 1927,
// "Probable inference, the law of succession, and statistical inference", JASA 22; Brown,
// Cai and DasGupta 2001, "Interval estimation for a binomial proportion", 3.1.1). [0, 1] of
// none; NaN for counts that cannot be.
func Wilson(k, n int) (low, high float64) {
	return WilsonAt(float64(k), float64(n), Confidence)
}

// WilsonAt is Wilson with another confidence. Counts need not be whole: where
// observations hang together, n is the EffectiveCount and k the share of it.
func WilsonAt(k, n, confidence float64) (low, high float64) {
	if !(n >= 0) || !(k >= 0) || k > n || !(confidence > 0 && confidence < 1) {
		return math.NaN(), math.NaN()
	}
	if n == 0 {
		return 0, 1
	}
	z := normalQuantile(1 - (1-confidence)/2)
	share, z2 := k/n, z*z
	middle := (share + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(share*(1-share)/n+z2/(4*n*n))
	low, high = max(0, middle-half), min(1, middle+half)
	if k == 0 {
		low = 0
	}
	if k == n {
		high = 1
	}
	return low, high
}

// ClopperPearson is the exact 95 % interval of a share of which k of n were seen, which
// covers in at least 95 % of cases whatever the share is (Clopper and Pearson 1934, "The
// use of confidence or fiducial limits", Biometrika 26).
func ClopperPearson(k, n int) (low, high float64) {
	return ClopperPearsonAt(k, n, Confidence)
}

// ClopperPearsonAt is ClopperPearson with another confidence.
func ClopperPearsonAt(k, n int, confidence float64) (low, high float64) {
	if n < 0 || k < 0 || k > n || !(confidence > 0 && confidence < 1) {
		return math.NaN(), math.NaN()
	}
	tail := (1 - confidence) / 2
	low, high = 0, 1
	if k > 0 {
		low = inverseBeta(tail, float64(k), float64(n-k+1))
	}
	if k < n {
		high = inverseBeta(1-tail, float64(k+1), float64(n-k))
	}
	return low, high
}

// Sidak is the confidence that each of several independent intervals needs, so that all
// of them together cover with the given one: confidence^(1/points) (Šidák 1967,
// "Rectangular confidence regions for the means of multivariate normal distributions",
// JASA 62). The intervals form a joint region: a box. Runs with seeds of their own are
// independent.
func Sidak(confidence float64, points int) float64 {
	return math.Pow(confidence, 1/float64(max(points, 1)))
}

// EffectiveCount is how many independent observations would tell a share as well as those
// that gave it this variance (Kish 1965, Survey Sampling, 8.2: n over the design effect).
// Stale blocks come in company: one long fork makes several.
func EffectiveCount(share, variance float64) float64 {
	if !(variance > 0) || !(share > 0 && share < 1) {
		return math.NaN()
	}
	return share * (1 - share) / variance
}

// Power is the chance that SampleSize gives a difference to show.
const Power = 0.8

// SampleSize is how many independent observations it takes to tell share p from share p0,
// by a two-sided test at 5 % that notices in 80 % of cases (Fleiss, Levin and Paik 2003,
// Statistical Methods for Rates and Proportions, 2.4). Where p0 is 0 or 1 a single
// observation refutes it, and the answer is exact: until one comes with a chance of 80 %.
// 0 where the two are equal or no shares: no number is enough.
func SampleSize(p0, p float64) int {
	if !(p0 >= 0 && p0 <= 1 && p >= 0 && p <= 1) || p0 == p {
		return 0
	}
	if p0 == 1 {
		p0, p = 0, 1-p
	}
	var n float64
	if p0 == 0 {
		n = math.Log(1-Power) / math.Log1p(-p)
	} else {
		root := normalQuantile(1-(1-Confidence)/2)*math.Sqrt(p0*(1-p0)) + normalQuantile(Power)*math.Sqrt(p*(1-p))
		n = (root / (p - p0)) * (root / (p - p0))
	}
	return int(min(max(math.Ceil(n), 1), math.MaxInt32))
}

// SampleSizeWithin is how many independent observations it takes until the 95 % interval
// of a share near p reaches no further than half to either side (Cochran 1977, Sampling
// Techniques, 4.4). 0 where no number is enough.
func SampleSizeWithin(p, half float64) int {
	if !(p >= 0 && p <= 1) || !(half > 0) {
		return 0
	}
	z := normalQuantile(1 - (1-Confidence)/2)
	return int(min(max(math.Ceil(z*z*p*(1-p)/(half*half)), 1), math.MaxInt32))
}
