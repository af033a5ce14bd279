package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Clustered is a value that shares its fate with the others of its cluster, as payments
// share a block. Clusters are numbered in the order in which they came.
type Clustered struct {
	Value   float64
	Cluster int
}

// Quantile is the nearest-rank quantile: the least of the sorted values that a share q of
// them does not exceed (Hyndman and Fan 1996, "Sample quantiles in statistical packages",
// definition 1). NaN of none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 || math.IsNaN(q) {
		return math.NaN()
	}
	return sorted[rank(q, len(sorted))]
}

// rank is the nearest rank of a quantile, from 0. The tolerance keeps 0.9 of 10 values,
// 9.000000000000002, at the ninth.
func rank(q float64, n int) int {
	return min(max(int(math.Ceil(q*float64(n)-1e-9)), 1), n) - 1
}

// BootstrapQuantile is the 95 % interval of a quantile (nearest rank) whose values come in
// clusters that know nothing of each other: whole clusters are drawn, with replacement,
// so many rounds (Davison and Hinkley 1997, Bootstrap Methods and their Application, 3.8).
// Not ok where there are fewer than ClustersNeeded, since an interval would then claim
// more than it covers. Clusters that overlap in time need BootstrapQuantileSerial.
func BootstrapQuantile(values []Clustered, q float64, rounds int, r *rand.Rand) (low, high float64, ok bool) {
	return BootstrapQuantileSerial(values, q, 1, rounds, r)
}

// BootstrapQuantileSerial is BootstrapQuantile for clusters of which so many in a row hang
// together: the times of payments to their sixth confirmation share five of six blocks with
// those of the next block, so that length is 6. Runs of that many clusters are drawn, from
// a circle (Politis and Romano 1992, "A circular block-resampling procedure for stationary
// data"). It takes length times as many clusters.
//
// The ends are not the 2.5th and 97.5th percentiles but further out, by as much as
// Student's distribution is wider than the normal one (Hesterberg 2015, "What teachers
// should know about the bootstrap", 5.3: the expanded percentile interval), at the
// effective number of runs (EffectiveClusters). Without it, the interval of a median over
// 30 blocks that come at random covers in 89 % of cases, over six confirmations in 72 %.
func BootstrapQuantileSerial(values []Clustered, q float64, length, rounds int, r *rand.Rand) (low, high float64, ok bool) {
	if length < 1 || rounds < 1 || !(q > 0 && q < 1) || slices.ContainsFunc(values, func(v Clustered) bool { return math.IsNaN(v.Value) }) {
		return math.NaN(), math.NaN(), false
	}
	sorted, sizes := ordered(values)
	runs := EffectiveClusters(sizes) / float64(length)
	if len(sizes) < length*ClustersNeeded(q) || runs < leastRuns {
		return math.NaN(), math.NaN(), false
	}
	times := make([]int, len(sizes)) // how often each cluster was drawn
	found := make([]float64, rounds)
	for i := range found {
		total := draw(times, sizes, length, r)
		found[i] = weightedQuantile(sorted, times, rank(q, total)+1)
	}
	slices.Sort(found)
	t := studentQuantile(1-(1-Confidence)/2, runs-1) * math.Sqrt(runs/(runs-1))
	tail := math.Erfc(t/math.Sqrt2) / 2
	return Quantile(found, tail), Quantile(found, 1-tail), true
}

// leastRuns is how many effective runs there must be for a spread among them to mean
// anything, however many clusters there are: fewer, and some are nearly all.
const leastRuns = 2

// ClustersNeeded is how many clusters, or runs of clusters, BootstrapQuantile wants before
// it gives an interval of a quantile: 15 for the median, 151 for the 90th percentile. From
// there on the interval covers in at least 90 % of cases where blocks come at random and
// the longer the wait the more payments share it, as simulation shows (TestBootstrapCovers);
// in the tails it takes more, since few clusters reach there. 0 for what is no quantile.
func ClustersNeeded(q float64) int {
	if !(q > 0 && q < 1) {
		return 0
	}
	const median, slope = 15, 17
	tail := min(q, 1-q)
	return int(min(math.Ceil(median+slope*((1-tail)/tail-1)-1e-9), math.MaxInt32))
}

// EffectiveClusters is how many clusters of equal size tell as much as those of these
// sizes: (Σn)²/Σn² (Kish 1965, Survey Sampling, 11.7).
func EffectiveClusters(sizes []int) float64 {
	total, squares := 0.0, 0.0
	for _, n := range sizes {
		total += float64(n)
		squares += float64(n) * float64(n)
	}
	if squares == 0 {
		return 0
	}
	return total * total / squares
}

// ordered returns the values in ascending order, with their clusters numbered from 0
// without gaps, and the clusters' sizes.
func ordered(values []Clustered) (sorted []Clustered, sizes []int) {
	sorted = slices.Clone(values)
	slices.SortStableFunc(sorted, func(a, b Clustered) int { return cmp.Compare(a.Cluster, b.Cluster) })
	for i, last := 0, 0; i < len(sorted); i++ {
		if i == 0 || sorted[i].Cluster != last {
			last = sorted[i].Cluster
			sizes = append(sizes, 0)
		}
		sorted[i].Cluster = len(sizes) - 1
		sizes[len(sizes)-1]++
	}
	slices.SortStableFunc(sorted, func(a, b Clustered) int { return cmp.Compare(a.Value, b.Value) })
	return sorted, sizes
}

// draw counts into times a resample of as many clusters as there are, in runs, and returns
// how many values that is.
func draw(times, sizes []int, length int, r *rand.Rand) (total int) {
	clear(times)
	for drawn := 0; drawn < len(sizes); {
		first := r.IntN(len(sizes))
		for k := 0; k < length && drawn < len(sizes); k++ {
			c := (first + k) % len(sizes)
			times[c]++
			total += sizes[c]
			drawn++
		}
	}
	return total
}

// weightedQuantile is the value of a rank, from 1, where each value counts as often as its
// cluster was drawn.
func weightedQuantile(sorted []Clustered, times []int, rank int) float64 {
	below := 0
	for _, v := range sorted {
		if below += times[v.Cluster]; below >= rank {
			return v.Value
		}
	}
	return math.NaN()
}
