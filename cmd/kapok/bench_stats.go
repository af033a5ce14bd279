package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// percentile is the nearest-rank percentile: the least of the sorted values
// that a share p (0 to 1) of all of them does not exceed. NaN of none.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	// The tolerance keeps 0.9 of 10 values, 9.000000000000002, at the ninth.
	rank := int(math.Ceil(p*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// sortedCopy returns the values in ascending order.
func sortedCopy(values []float64) []float64 {
	s := slices.Clone(values)
	slices.Sort(s)
	return s
}

// observation is a value with the cluster that it belongs to, counted from 0.
type observation struct {
	value   float64
	cluster int
}

// bootstrapRounds is how many resamples an interval is taken from: its ends
// then differ from run to run by far less than its width.
const bootstrapRounds = 2000

// medianInterval is the 95 % bootstrap interval of the median where values come
// in clusters whose members share a fate, as payments share a block: whole
// clusters are drawn, with replacement (Davison and Hinkley 1997, 3.8). NaN for
// no values.
func medianInterval(values []observation, clusters int, random *rand.Rand) (low, high float64) {
	if len(values) == 0 || clusters == 0 {
		return math.NaN(), math.NaN()
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, func(a, b observation) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	sizes := make([]int, clusters)
	for _, v := range sorted {
		sizes[v.cluster]++
	}
	times := make([]int, clusters) // how often each was drawn
	medians := make([]float64, 0, bootstrapRounds)
	for range bootstrapRounds {
		clear(times)
		total := 0
		for range clusters {
			c := random.IntN(clusters)
			times[c]++
			total += sizes[c]
		}
		if total > 0 {
			medians = append(medians, weightedMedian(sorted, times, total))
		}
	}
	slices.Sort(medians)
	return percentile(medians, 0.025), percentile(medians, 0.975)
}

// weightedMedian is the nearest-rank median of sorted values, each counted as
// often as its cluster was drawn, total times in all.
func weightedMedian(sorted []observation, times []int, total int) float64 {
	below := 0
	for _, v := range sorted {
		if below += times[v.cluster]; 2*below >= total {
			return v.value
		}
	}
	return math.NaN()
}

// poisson is a schedule of payments that do not know of each other: the times
// between them are independent and exponentially distributed.
type poisson struct {
	rate   float64 // per second, above 0
	random *rand.Rand
	at     float64 // seconds since the start
}

// next returns when the next payment is due, since the start.
func (p *poisson) next() time.Duration {
	p.at += p.random.ExpFloat64() / p.rate
	return time.Duration(p.at * float64(time.Second))
}
