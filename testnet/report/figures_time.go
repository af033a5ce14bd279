package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
)

// mostBuckets is how many stretches a time axis is cut into at most.
const mostBuckets = 150

// overTime shows the run from its beginning to its end.
func (v *view) overTime() section {
	s := section{ID: "time", Title: "Over time", Intro: "Shaded in grey: what disturbed the network, from its beginning until all nodes were at one tip again. Faintly shaded: before and after the measured time."}
	if v.end <= 0 {
		return s
	}
	if f, ok := v.hashRateFigure(); ok {
		s.Figures = append(s.Figures, f)
	}
	if f, ok := v.difficultyFigure(); ok {
		s.Figures = append(s.Figures, f)
	}
	if slices.ContainsFunc(v.run.Samples, func(s record.Sample) bool { return s.MempoolTxs > 0 }) {
		s.Figures = append(s.Figures, v.mempoolFigure())
	}
	if len(v.run.Samples) > 0 {
		s.Figures = append(s.Figures, v.tipsFigure())
	}
	return s
}

// timePlot is a plot over the time of the run, with what happened in it.
func (v *view) timePlot(id, title, desc, label string) chart.Plot {
	p := chart.Plot{ID: id, Title: title, Desc: desc, X: chart.Axis{Label: "time since the start, " + v.unitName, Max: v.end / v.unit}, Y: chart.Axis{Label: label}}
	if v.window.from > 0 {
		p.Bands = append(p.Bands, chart.Band{From: 0, To: v.window.from / v.unit, Faint: true})
	}
	if v.window.to > v.window.from && v.window.to < v.end {
		p.Bands = append(p.Bands, chart.Band{From: v.window.to / v.unit, To: v.end / v.unit, Faint: true})
	}
	const most = 40 // further ones are in the table of events
	for _, d := range v.disturbed[:min(len(v.disturbed), most)] {
		p.Bands = append(p.Bands, chart.Band{From: d.from / v.unit, To: min(d.to, v.end) / v.unit, Label: d.label})
	}
	return p
}

// looks is how many times the nodes were looked at.
func looks(run *record.Run) (n int) {
	for i := range run.Samples {
		if i == 0 || run.Samples[i].TimeS != run.Samples[i-1].TimeS {
			n++
		}
	}
	return n
}

// middles are the moments of the buckets, in units of the axis.
func (v *view) middles() []float64 {
	x := make([]float64, v.buckets)
	for i := range x {
		x[i] = (float64(i) + 0.5) * v.end / float64(v.buckets) / v.unit
	}
	return x
}

func (v *view) bucket(t float64) int {
	return min(max(int(t/v.end*float64(v.buckets)), 0), v.buckets-1)
}

func (v *view) hashRateFigure() (figure, bool) {
	done, due := v.hashRates()
	known := slices.DeleteFunc(slices.Concat(done, due), math.IsNaN)
	if len(known) == 0 || slices.Max(known) == 0 {
		return figure{}, false
	}
	factor, prefix := chart.Prefix(slices.Max(known))
	for i := range done {
		done[i], due[i] = done[i]/factor, due[i]/factor
	}
	p := v.timePlot("plot-hashrate", "Hash rate", "Hash rate of all miners together over time, and what their rates allow.", "hash rate, "+prefix+"H/s")
	p.Series = []chart.Series{{Name: "done", X: v.middles(), Y: done}, {Name: "due, by the miners' rates", X: v.middles(), Y: due, Colour: 1}}
	return figure{Title: "Hash rate", Picture: template.HTML(p.HTML()), Caption: "All miners that run. Where the lines part, the machine does not keep up; due counts only while there is something to mine."}, true
}

// hashRates are, by bucket, the hashes a second of all nodes: each pair of samples is
// spread over the buckets that it is in.
func (v *view) hashRates() (done, due []float64) {
	done, due = make([]float64, v.buckets), make([]float64, v.buckets)
	width := v.end / float64(v.buckets)
	last := make([]*record.Sample, len(v.run.Manifest.Nodes))
	known := make([]bool, v.buckets)
	for i := range v.run.Samples {
		s := &v.run.Samples[i]
		from := last[s.Node-1]
		last[s.Node-1] = s
		if from == nil || !(s.TimeS > from.TimeS) || !(s.Hashes >= from.Hashes) || from.TimeS < 0 {
			continue
		}
		rate, allowed := (s.Hashes-from.Hashes)/(s.TimeS-from.TimeS), max(0, s.HashesDue-from.HashesDue)/(s.TimeS-from.TimeS)
		for k := v.bucket(from.TimeS); k <= v.bucket(s.TimeS); k++ {
			share := (min(s.TimeS, float64(k+1)*width) - max(from.TimeS, float64(k)*width)) / width
			if share > 0 {
				done[k] += rate * share
				if !math.IsNaN(allowed) {
					due[k] += allowed * share
				}
				known[k] = true
			}
		}
	}
	// The buckets in which the samples begin and end are not covered to their ends.
	first, end := slices.Index(known, true), v.buckets-1
	for end >= 0 && !known[end] {
		end--
	}
	for k := range done {
		if k <= first || k >= end || !known[k] {
			done[k], due[k] = math.NaN(), math.NaN()
		}
	}
	return done, due
}

func (v *view) difficultyFigure() (figure, bool) {
	var x, y []float64
	for _, b := range v.run.Blocks {
		if b.Status == record.Active && b.FoundS >= 0 && !math.IsNaN(b.DifficultyHashes) {
			x, y = append(x, b.FoundS/v.unit), append(y, b.DifficultyHashes)
		}
	}
	if len(x) < 2 {
		return figure{}, false
	}
	step := max(1, len(x)/curvePoints)
	factor, prefix := chart.Prefix(slices.Max(y))
	line := chart.Series{Name: "difficulty", Steps: true}
	for i := 0; i < len(x); i += step {
		line.X, line.Y = append(line.X, x[i]), append(line.Y, y[i]/factor)
	}
	p := v.timePlot("plot-difficulty", "Difficulty", "Difficulty of the best chain's blocks over time.", "difficulty, "+prefix+" hashes a block")
	if prefix == "" {
		p.Y.Label = "difficulty, hashes a block"
	}
	p.Series = []chart.Series{line}
	return figure{Title: "Difficulty", Picture: template.HTML(p.HTML()), Caption: fmt.Sprintf("Hashes that a block takes on average, by the blocks of the best chain; rule %s.", v.run.Manifest.Network.Difficulty)}, true
}

func (v *view) mempoolFigure() figure {
	byBucket := make([]map[int]float64, v.buckets)
	for _, s := range v.run.Samples {
		k := v.bucket(s.TimeS)
		if byBucket[k] == nil {
			byBucket[k] = make(map[int]float64)
		}
		byBucket[k][s.Node] = float64(s.MempoolTxs)
	}
	low, median, high := make([]float64, v.buckets), make([]float64, v.buckets), make([]float64, v.buckets)
	for k, nodes := range byBucket {
		low[k], median[k], high[k] = math.NaN(), math.NaN(), math.NaN()
		var values []float64
		for _, n := range nodes {
			values = append(values, n)
		}
		if slices.Sort(values); len(values) > 0 {
			low[k], median[k], high[k] = values[0], values[(len(values)-1)/2], values[len(values)-1]
		}
	}
	p := v.timePlot("plot-mempool", "Mempool", "Payments in the mempools over time: the median of the nodes, and from the least to the most.", "payments waiting")
	p.Y.Whole = true
	p.Series = []chart.Series{{Name: "from the least to the most of the nodes", X: v.middles(), Y: high, Low: low}, {Name: "median of the nodes", X: v.middles(), Y: median}}
	return figure{Title: "Mempool", Picture: template.HTML(p.HTML()), Caption: "Payments that wait for a block."}
}

func (v *view) tipsFigure() figure {
	most := make([]float64, v.buckets)
	for k := range most {
		most[k] = math.NaN()
	}
	for i := 0; i < len(v.run.Samples); {
		at, tips := v.run.Samples[i].TimeS, make(map[string]bool)
		for ; i < len(v.run.Samples) && v.run.Samples[i].TimeS == at; i++ {
			tips[v.run.Samples[i].Tip] = true
		}
		if k := v.bucket(at); !(most[k] >= float64(len(tips))) {
			most[k] = float64(len(tips))
		}
	}
	p := v.timePlot("plot-tips", "Agreement", "Number of different tips among the nodes over time.", "different tips")
	p.Y.Whole = true
	p.Series = []chart.Series{{Name: "tips", X: v.middles(), Y: most, Steps: true}}
	return figure{Title: "How many tips there are", Picture: template.HTML(p.HTML()), Caption: "The most at any look in each stretch of time: 1 is agreement; a block on its way makes 2 for a moment."}
}
