package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// curvePoints is how many points a line has at most: more than pixels that it goes through.
const curvePoints = 400

// cumulative is the distribution function of values as a line from 0 to 100 %, in units
// of the X axis, up to its end. The values are of so many things, some of which may have
// none.
func cumulative(name string, colour int, values []float64, of int, unit, end float64) chart.Series {
	sorted := slices.Sorted(slices.Values(values))
	s := chart.Series{Name: name, Colour: colour, Steps: true}
	if len(sorted) == 0 || of == 0 {
		return s
	}
	add := func(x, share float64) {
		s.X, s.Y = append(s.X, min(x, end)/unit), append(s.Y, 100*share)
	}
	add(min(0, sorted[0]), 0)
	within, _ := slices.BinarySearch(sorted, math.Nextafter(end, math.Inf(1)))
	for i := range min(within, curvePoints) {
		k := (i+1)*within/min(within, curvePoints) - 1
		add(sorted[k], float64(k+1)/float64(of))
	}
	add(end, float64(within)/float64(of))
	return s
}

// widest is a value that most of the values are below: where a plot of them ends.
func widest(lists ...[]float64) float64 {
	end := 0.0
	for _, values := range lists {
		sorted := slices.Sorted(slices.Values(values))
		if len(sorted) > 0 {
			end = max(end, stats.Quantile(sorted, 0.99))
		}
	}
	return end * 1.05
}

// delays is how long confirmations take, and why.
func (v *view) delays() section {
	s := section{ID: "delay", Title: "Confirmation delay",
		Intro: "Delays count from the moment at which a payment was due, not from when its call began, so that a node that is slow to answer is not flattered. A confirmation counts when the last node that runs has it."}
	list := paid(v.run, v.window)
	values := make(map[string][]float64)
	for _, stage := range stages {
		for _, p := range list {
			if t := stage.at(p); !math.IsNaN(t) {
				values[stage.name] = append(values[stage.name], max(0, t-p.DueS))
			}
		}
	}
	if len(values["confirmed_1"]) > 0 {
		s.Figures = append(s.Figures, v.delayCurves(list, values))
		s.Figures = append(s.Figures, v.partFigures(list)...)
	}
	if len(v.s.Delays) > 0 {
		s.Tables = append(s.Tables, v.delayTable())
	}
	return s
}

func (v *view) delayCurves(list []*record.Payment, values map[string][]float64) figure {
	due := 0
	for _, p := range list {
		if p.Status != record.Refused && p.Status != record.Conflicted {
			due++
		}
	}
	end := widest(values["confirmed_1"], values["confirmed_3"], values["confirmed_6"])
	unit, name := chart.TimeUnit(end)
	plot := chart.Plot{ID: "plot-delay", Title: "Confirmation delay", Desc: "Share of payments that had 1, 3 and 6 confirmations within a time.",
		X: chart.Axis{Label: "time since due, " + name, Max: end / unit}, Y: chart.Axis{Label: "share of payments, %", Max: 100}, Lines: []float64{50}}
	var medians []string
	for i, stage := range []string{"confirmed_1", "confirmed_3", "confirmed_6"} {
		if n := len(values[stage]); n > 0 {
			title := titleOf(stage)
			plot.Series = append(plot.Series, cumulative(title, i, values[stage], due, unit, end))
			for _, d := range v.s.Delays {
				if d.Stage == stage {
					medians = append(medians, fmt.Sprintf("%s: %s", title, seconds(d.P50S.Value)))
				}
			}
		}
	}
	return figure{Title: "How long until payments are confirmed", Picture: template.HTML(plot.HTML()),
		Caption: fmt.Sprintf("Of %s that were due in the measured time, and neither refused nor taken back. Medians since due, in which a payment that never got there counts as the longest: %s. The axis ends at the 99th percentile.", count(due, "payment"), strings.Join(medians, "; "))}
}

func titleOf(stage string) string {
	for _, s := range stages {
		if s.name == stage {
			return s.title
		}
	}
	return stage
}

// partFigures show what a confirmation's delay consists of.
func (v *view) partFigures(list []*record.Payment) []figure {
	if len(v.s.Parts) == 0 {
		return nil
	}
	values := splits(v.run, list)
	total := 0.0
	rows := chart.Rows{ID: "plot-parts", Title: "Parts of the confirmation delay", Desc: "Mean time of each part of the delay to one confirmation.", X: chart.Axis{}}
	for _, p := range v.s.Parts {
		total += p.MeanS
	}
	unit, name := chart.TimeUnit(total)
	rows.X.Label = "mean time, " + name
	before := 0.0
	for _, p := range v.s.Parts {
		rows.Rows = append(rows.Rows, chart.Row{Label: partTitle(p.Part), Skip: before / unit, Parts: []float64{p.MeanS / unit}, Text: seconds(p.MeanS)})
		before += p.MeanS
	}
	rows.Rows = append(rows.Rows, chart.Row{Label: "all", Parts: []float64{0, total / unit}, Text: seconds(total)})
	bars := figure{Title: "What a confirmation waits for", Picture: template.HTML(rows.HTML()),
		Caption: fmt.Sprintf("Means over %s, which add up. Accepting: its node took it. Gossip: until every mempool had it, or a block. Queue: until the last block that did not take it. Block wait: until its block was found. Propagation: until all nodes had that.", count(len(values[0]), "confirmed payment"))}

	end := widest(values[:]...)
	unit, name = chart.TimeUnit(end)
	plot := chart.Plot{ID: "plot-split", Title: "Distribution of the parts", Desc: "Share of payments for which each part of the delay took no longer than a time.",
		X: chart.Axis{Label: "time, " + name + " (logarithmic)", Log: true, Min: min(1e-3, end/10) / unit, Max: end / unit}, Y: chart.Axis{Label: "share of payments, %", Max: 100}}
	for i, part := range partNames {
		if i > 0 { // accepting is a matter of milliseconds, and in the table
			plot.Series = append(plot.Series, cumulative(part.title, i-1, values[i], len(values[i]), unit, end))
		}
	}
	curves := figure{Title: "How long each part takes", Picture: template.HTML(plot.HTML()),
		Caption: "A part that took no time at all, as the queue of a payment that was in the next block, stands at the left edge."}
	return []figure{bars, curves}
}

func partTitle(name string) string {
	for _, p := range partNames {
		if p.name == name {
			return p.title
		}
	}
	return name
}

func (v *view) delayTable() table {
	t := table{Title: "Delays since due", Words: 1, Head: []string{"until", "payments", "median", "95 % interval", "90th percentile", "99th", "median in block intervals"},
		Caption: fmt.Sprintf("Percentiles are nearest ranks; payments that never got there count as the longest, and a percentile among them is left out. The interval is of the median: %s resamples of whole blocks with their payments, of as many in a row as there are confirmations, where full blocks in a row count as one with the block behind them; 95 %% by its method, and by simulation at least 90 %% with few blocks that have room, and less where payments queue.", whole(bootstrapRounds))}
	for _, d := range v.s.Delays {
		between := "–"
		if !math.IsNaN(d.P50S.Low) {
			between = seconds(d.P50S.Low) + " – " + seconds(d.P50S.High)
		}
		intervals := "–"
		if !math.IsNaN(d.P50.Value) {
			if intervals = chart.Number(d.P50.Value); d.P50.Value < 0.001 {
				intervals = "< 0.001"
			}
		}
		t.Rows = append(t.Rows, []string{titleOf(d.Stage), whole(d.Payments), seconds(d.P50S.Value), between, seconds(float64(d.P90S)), seconds(float64(d.P99S)), intervals})
	}
	return t
}

// mostRows is how many nodes a figure of them shows.
const mostRows = 60

// propagation is how long blocks take to the nodes.
func (v *view) propagation() section {
	s := section{ID: "propagation", Title: "Block propagation",
		Intro: "From the moment at which a miner's node had its block until another node had the body and had judged the header. Blocks that were found while the network was disturbed are left out."}
	if v.s.Propagation == nil {
		return s
	}
	all, last, byNode := v.blockDelays()
	end := widest(all, last)
	unit, name := chart.TimeUnit(end)
	plot := chart.Plot{ID: "plot-propagation", Title: "Block propagation", Desc: "Share of arrivals of blocks at nodes, and of blocks at their last node, within a time.",
		X: chart.Axis{Label: "time since found, " + name, Max: end / unit}, Y: chart.Axis{Label: "share, %", Max: 100}, Lines: []float64{50, 90},
		Series: []chart.Series{cumulative("any other node", 0, all, len(all), unit, end), cumulative("the last node", 1, last, len(last), unit, end)}}
	p := v.s.Propagation
	s.Figures = append(s.Figures, figure{Title: "How fast blocks spread", Picture: template.HTML(plot.HTML()),
		Caption: fmt.Sprintf("%s arrivals of %s. Any other node: median %s, 90th percentile %s, 95th %s. The last one: median %s, 95th percentile %s. The lines are at 50 and 90 %%.",
			whole(p.Arrivals), count(p.Blocks, "block"), seconds(p.P50S), seconds(p.P90S), seconds(p.P95S), seconds(p.LastP50S), seconds(p.LastP95S))})
	rows := chart.Rows{ID: "plot-nodes", Title: "Block propagation by node", Desc: "Median and 90th percentile of the time that blocks took to each node.",
		X: chart.Axis{Label: "time since found, " + name}, Names: []string{"median", "90th percentile"}}
	for i, values := range byNode {
		if len(values) == 0 || len(rows.Rows) == mostRows {
			continue
		}
		slices.Sort(values)
		median, most := stats.Quantile(values, 0.5), stats.Quantile(values, 0.9)
		rows.Rows = append(rows.Rows, chart.Row{Label: v.nodeLabel(i), Text: seconds(median) + " / " + seconds(most),
			Marks: []chart.Value{mark(median / unit), mark(most / unit)}})
	}
	caption := "Blocks of other miners, at each node."
	if len(byNode) > mostRows {
		caption += fmt.Sprintf(" The first %d nodes.", mostRows)
	}
	s.Figures = append(s.Figures, figure{Title: "How fast blocks come to each node", Picture: template.HTML(rows.HTML()), Caption: caption})
	return s
}

func mark(x float64) chart.Value { return chart.Value{At: x, Low: math.NaN(), High: math.NaN()} }

func (v *view) nodeLabel(i int) string {
	n := &v.run.Manifest.Nodes[i]
	if n.Region != "" {
		return fmt.Sprintf("%d %s", n.Node, n.Region)
	}
	return fmt.Sprintf("%d %s", n.Node, n.Name)
}

// blockDelays are the times of undisturbed blocks to any other node, to the last one, and
// by node.
func (v *view) blockDelays() (all, last []float64, byNode [][]float64) {
	a := analyse(v.run, nil)
	byNode = make([][]float64, len(v.run.Manifest.Nodes))
	for i := range a.quiet {
		latest := math.Inf(-1)
		for node := range byNode {
			if d, ok := a.blockDelay(&a.quiet[i], node); ok {
				all, byNode[node] = append(all, d), append(byNode[node], d)
				latest = max(latest, d)
			}
		}
		if latest >= 0 {
			last = append(last, latest)
		}
	}
	return all, last, byNode
}

// paymentsAndEnergy is what became of the payments, and what it all cost.
func (v *view) paymentsAndEnergy() section {
	s := section{ID: "payments", Title: "Payments and energy"}
	rows := chart.Rows{ID: "plot-status", Title: "Payments by what became of them", Desc: "Number of payments for each outcome.", X: chart.Axis{Label: "payments", Whole: true}}
	total := 0
	for _, status := range []record.PaymentStatus{record.Confirmed, record.Pending, record.Refused, record.Unanswered, record.Conflicted, record.Died, record.Lost} {
		n := v.s.Payments[status]
		total += n
		rows.Rows = append(rows.Rows, chart.Row{Label: string(status), Parts: []float64{float64(n)}, Text: whole(n)})
	}
	if total > 0 {
		s.Figures = append(s.Figures, figure{Title: "What became of the payments", Picture: template.HTML(rows.HTML()),
			Caption: fmt.Sprintf("Of %s that were due in the measured time. Pending: in a mempool at the end. Died: in no other mempool when its node went down. Lost: accepted, and neither in the chain nor in any mempool.", count(total, "payment"))})
	}
	e := v.s.Energy
	if e.Joules <= 0 {
		return s
	}
	bars := chart.Rows{ID: "plot-energy", Title: "Energy", Desc: "Energy per block and per payment, in joules.", X: chart.Axis{Label: "joules (logarithmic)", Log: true}}
	for _, row := range []struct {
		label string
		value float64
	}{{"all of it", e.Joules}, {"per block", float64(e.JoulesPerBlock)}, {"per payment", float64(e.JoulesPerPayment)}} {
		if row.value > 0 {
			bars.Rows = append(bars.Rows, chart.Row{Label: row.label, Marks: []chart.Value{mark(row.value)}, Text: chart.Quantity(row.value, "J")})
		}
	}
	kind := "Modelled, not measured"
	if e.Measured {
		kind = "Measured"
	}
	s.Figures = append(s.Figures, figure{Title: "What it cost", Picture: template.HTML(bars.HTML()),
		Caption: fmt.Sprintf("%s: %s. Nodes, load and recording together, over the measured time; per block of the best chain, and per payment that was confirmed in that time. One hash: %s.", kind, strings.TrimPrefix(e.Method, "model: "), joules(e.JoulesPerHash))})
	return s
}
