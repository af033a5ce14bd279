package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// trend is a straight line through a series: its mean, and how much it rises in a
// minute, with half the width of the 95 % interval.
type trend struct{ level, perMinute, within float64 }

// fitTrend draws the line by least squares. Neighbours resemble each other (a buffer
// fills, and empties), so that n values say as much as fewer that do not: as many as
// the correlation of the residuals with those before them leaves. The interval is
// infinite where too few are left to say anything.
func fitTrend(minutes, values []float64) trend {
	n := float64(len(values))
	if n < 3 {
		return trend{within: math.Inf(1)}
	}
	var x, y float64
	for i := range values {
		x, y = x+minutes[i]/n, y+values[i]/n
	}
	var xx, xy float64
	for i := range values {
		xx += (minutes[i] - x) * (minutes[i] - x)
		xy += (minutes[i] - x) * (values[i] - y)
	}
	t := trend{level: y, perMinute: xy / xx, within: math.Inf(1)}
	var rest, neighbours, before float64
	for i := range values {
		r := values[i] - y - t.perMinute*(minutes[i]-x)
		rest, neighbours, before = rest+r*r, neighbours+r*before, r
	}
	if rest == 0 {
		t.within = 0
		return t
	}
	alike := min(max(neighbours/rest, 0), 0.99)
	free := n*(1-alike)/(1+alike) - 2
	if free < 1 {
		return t
	}
	// Student's quantile, to a hundredth from six degrees of freedom on, and above it below.
	quantile := 1.96 + 2.4/free + 6/(free*free)
	t.within = quantile * math.Sqrt(rest/free/xx)
	return t
}

// rises reports whether the line, less what has a right to grow, surely rises by more
// than a share of its level in a minute.
func (t trend) rises(allowed, share float64) bool {
	return t.perMinute-allowed-t.within > share*t.level
}

func (t trend) String() string {
	return fmt.Sprintf("%.4g, %+.4g ± %.3g a minute (%+.3f %%)", t.level, t.perMinute, t.within, 100*t.perMinute/t.level)
}

// TestFitTrend: the slope of a noisy line is found, nineteen times in twenty within its
// interval, also where neighbours are alike; a leak is seen, and a level is none.
func TestFitTrend(t *testing.T) {
	for _, memory := range []float64{0, 0.6} {
		r := rand.New(rand.NewPCG(1, 1))
		within, leaks, levels := 0, 0, 0
		for range 1000 {
			minutes, leak, level, noise := make([]float64, 60), make([]float64, 60), make([]float64, 60), 0.0
			for i := range minutes {
				noise = memory*noise + r.NormFloat64()
				minutes[i] = float64(i) / 6
				level[i] = 1000 + 2*noise
				leak[i] = level[i] + 10*minutes[i]
			}
			line := fitTrend(minutes, leak)
			if math.Abs(line.perMinute-10) <= line.within {
				within++
			}
			if line.rises(1, 0.005) {
				leaks++
			}
			if fitTrend(minutes, level).rises(0, 0) {
				levels++
			}
		}
		if within < 900 || leaks < 990 || levels > 50 {
			t.Errorf("memory %g: of 1,000 lines %d slopes are within their interval, %d leaks are seen, and %d where there are none", memory, within, leaks, levels)
		}
	}
	flat := fitTrend([]float64{0, 1, 2, 3}, []float64{7, 7, 7, 7})
	if flat != (trend{level: 7}) || flat.rises(0, 0) {
		t.Errorf("a level line is %v", flat)
	}
	if few := fitTrend([]float64{0, 1}, []float64{1, 2}); !math.IsInf(few.within, 1) || few.rises(0, 0) {
		t.Errorf("two values say %v", few)
	}
}
