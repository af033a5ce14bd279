package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/testnet/report/chart"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// TradeoffsHTML writes a sweep as one page that needs no network and no scripts.
func TradeoffsHTML(w io.Writer, t *Tradeoffs) error {
	p := page{
		Style: template.CSS(styleText + chart.Style), Kind: "Kapok tradeoffs", Unit: "sweep", Name: "What a block interval buys and costs", Facts: t.facts(), Missing: t.Missing,
		Sections: []section{
			{ID: "meaning", Title: "What it means", Intro: t.Meaning, Tables: []table{t.table()}},
			{ID: "delay", Title: "Delay", Figures: []figure{
				t.delayFigure("plot-delay-1", "first", func(o *Tradeoff) *SweepDelay { return o.Confirmed1 }),
				t.delayFigure("plot-delay-6", "sixth", func(o *Tradeoff) *SweepDelay { return o.Confirmed6 }),
			}},
			{ID: "stale", Title: "Stale blocks", Figures: []figure{t.staleFigure()}},
			{ID: "risk", Title: "Risk of a double spend", Figures: t.riskFigures(), Tables: []table{t.riskTable()}},
			{ID: "energy", Title: "Energy for a payment", Figures: []figure{t.energyFigure()}, Tables: []table{t.energyTable()}},
			{ID: "runs", Title: "Runs", Tables: []table{t.runTable()}},
		},
	}
	if !t.Complete {
		p.Warnings = []string{"This sweep is incomplete. Figures are of what there is."}
	}
	return p.write(w)
}

func (t *Tradeoffs) facts() []fact {
	runs, measured := 0, 0.0
	for i := range t.Points {
		runs += t.Points[i].Replicas
		measured += t.Points[i].MeasuredS
	}
	return []fact{
		{"Network", fmt.Sprintf("%s that all mine, difficulty fixed", count(t.Nodes, "node"))},
		{"Runs", fmt.Sprintf("%s at %s, %s measured", count(runs, "run"), count(len(t.Points), "point"), seconds(measured))},
		{"Machine", machine(&t.Machine)},
		{"Made by", "Kapok " + t.KapokVersion},
	}
}

// sizes are the block sizes, each of which is a line of its own.
func (t *Tradeoffs) sizes() (list []int) {
	for i := range t.Points {
		if !slices.Contains(list, t.Points[i].MaxWeight) {
			list = append(list, t.Points[i].MaxWeight)
		}
	}
	return list
}

// points are those of one size.
func (t *Tradeoffs) points(size int) (list []*Tradeoff) {
	for i := range t.Points {
		if t.Points[i].MaxWeight == size {
			list = append(list, &t.Points[i])
		}
	}
	return list
}

// name is a point's.
func (t *Tradeoffs) name(o *Tradeoff) string {
	if len(t.sizes()) > 1 {
		return fmt.Sprintf("%s, %s", seconds(o.IntervalS), chart.Decimal(float64(o.MaxWeight), 0))
	}
	return seconds(o.IntervalS)
}

// lines are the series of a figure over the interval: for each size its points with their
// intervals and a line through them.
func (t *Tradeoffs) lines(what string, at func(*Tradeoff) (value, low, high float64)) (list []chart.Series) {
	for i, size := range t.sizes() {
		marks := chart.Series{Name: what, Points: true, Colour: i}
		if len(t.sizes()) > 1 {
			marks.Name = fmt.Sprintf("%s, blocks of %s", what, weight(size))
		}
		for _, o := range t.points(size) {
			value, low, high := at(o)
			marks.X, marks.Y = append(marks.X, o.IntervalS), append(marks.Y, value)
			marks.Low, marks.High = append(marks.Low, low), append(marks.High, high)
		}
		list = append(list, chart.Series{X: marks.X, Y: marks.Y, Colour: i}, marks)
	}
	return list
}

// intervalAxis begins at 0, and leaves room for the last points' marks.
func (t *Tradeoffs) intervalAxis() chart.Axis {
	most := 0.0
	for i := range t.Points {
		most = max(most, t.Points[i].IntervalS)
	}
	return chart.Axis{Label: "block interval, s", Max: 1.05 * most}
}

func (t *Tradeoffs) delayFigure(id, which string, of func(*Tradeoff) *SweepDelay) figure {
	plot := chart.Plot{ID: id, Title: "Delay to the " + which + " confirmation", Desc: "Median delay over the block interval, with 95 % intervals.",
		X: t.intervalAxis(), Y: chart.Axis{Label: "median delay, s"}}
	plot.Series = t.lines("median, 95 % interval", func(o *Tradeoff) (float64, float64, float64) {
		if d := of(o); d != nil {
			return d.P50S.Value, d.P50S.Low, d.P50S.High
		}
		return math.NaN(), math.NaN(), math.NaN()
	})
	return figure{Title: plot.Title, Picture: template.HTML(plot.HTML()), Caption: sentenceOf(t.Method["delay"])}
}

func (t *Tradeoffs) staleFigure() figure {
	plot := chart.Plot{ID: "plot-stale", Title: "Stale blocks", Desc: "Share of stale blocks over the block interval, measured and predicted.",
		X: t.intervalAxis(), Y: chart.Axis{Label: "share of stale blocks, %"}}
	unknown := math.NaN()
	measured := t.lines("measured, joint 95 % region", func(o *Tradeoff) (float64, float64, float64) {
		if s := o.Stale; s != nil {
			return 100 * s.Share.Value, 100 * s.Share.Low, 100 * s.Share.High
		}
		return unknown, unknown, unknown
	})
	for i := range measured { // the line is the prediction's
		if measured[i].Points {
			plot.Series = append(plot.Series, measured[i])
		}
	}
	for i, size := range t.sizes() {
		line := chart.Series{Name: "predicted from delays and hash rates", Colour: len(t.sizes()) + i}
		if len(t.sizes()) > 1 {
			line.Name += fmt.Sprintf(", blocks of %s", weight(size))
		}
		for _, o := range t.points(size) {
			if o.Stale != nil {
				line.X, line.Y = append(line.X, o.IntervalS), append(line.Y, 100*o.Stale.Predicted)
			}
		}
		plot.Series = append(plot.Series, line)
	}
	return figure{Title: plot.Title, Picture: template.HTML(plot.HTML()), Caption: sentenceOf(t.Method["stale"])}
}

// mostConfirmations and leastRisk, in percent, end the curves of risks.
const (
	mostConfirmations = 12
	leastRisk         = 0.001
)

// risk is a curve of risks in percent.
type risk struct{ chart.Series }

// add takes what is not below the axis, where it would seem to be on it.
func (r *risk) add(x, percent float64) {
	if percent >= leastRisk {
		r.X, r.Y = append(r.X, x), append(r.Y, percent)
	}
}

// riskFigures are the risk over confirmations, which is the same for all points, and over
// the time that these take, which is not.
func (t *Tradeoffs) riskFigures() []figure {
	attackers := t.attackers()
	if len(attackers) == 0 {
		return nil
	}
	plot := chart.Plot{ID: "plot-risk", Title: "By confirmations", Desc: "Chance of a double spend over confirmations, exact and by Nakamoto's approximation.",
		X: chart.Axis{Label: "confirmations"}, Y: chart.Axis{Label: "chance of a double spend, %", Log: true, Min: leastRisk, Max: 100}}
	for i, q := range attackers {
		exact := risk{chart.Series{Name: fmt.Sprintf("exact race, attacker with %s", percent(q)), Colour: 2 * i}}
		approximate := risk{chart.Series{Name: "Nakamoto's approximation", Colour: 2*i + 1, Points: true}}
		for z := 1; z <= mostConfirmations; z++ {
			exact.add(float64(z), 100*stats.DoubleSpendRace(q, z))
			approximate.add(float64(z), 100*stats.Nakamoto(q, z))
		}
		plot.Series = append(plot.Series, exact.Series, approximate.Series)
	}
	strongest := attackers[len(attackers)-1]
	waited := chart.Plot{ID: "plot-wait", Title: "By time waited", Desc: "Chance of a double spend over the time that confirmations take, for each block interval.",
		X: chart.Axis{Label: "mean time for that many blocks, s"}, Y: chart.Axis{Label: "chance of a double spend, %", Log: true, Min: 0.1, Max: 100}}
	for i := range t.Points {
		o := &t.Points[i]
		q := strongest
		if o.Stale != nil {
			q = stats.EffectiveAttacker(q, o.Stale.best())
		}
		line := chart.Series{Name: t.name(o), Colour: i}
		for z := 1; z <= 4*mostConfirmations; z++ {
			if chance := stats.DoubleSpendRace(q, z); chance >= acceptedRisk || z == 1 {
				line.X, line.Y = append(line.X, float64(z)*o.ChainIntervalS), append(line.Y, 100*chance)
			}
		}
		waited.Series = append(waited.Series, line)
	}
	return []figure{
		{Title: plot.Title, Picture: template.HTML(plot.HTML()), Caption: "At any block interval, as long as no honest block is stale. " + sentenceOf(t.Method["double_spend"])},
		{Title: waited.Title, Picture: template.HTML(waited.HTML()), Caption: fmt.Sprintf("Exact race against an attacker with %s of the hash rate, where honest miners lose their stale blocks; each line is a block interval. A shorter one makes each confirmation worth less, and there are more of them.", percent(strongest))},
	}
}

// attackers are the shares that risks were worked out for.
func (t *Tradeoffs) attackers() (list []float64) {
	for i := range t.Points {
		for _, r := range t.Points[i].Risks {
			if !slices.Contains(list, r.Attacker) {
				list = append(list, r.Attacker)
			}
		}
	}
	return list
}

// energyFigure is what a payment costs as run and at the hash rate that was assumed; what
// lies decades below, other hardware at the measured rate, is in the table.
func (t *Tradeoffs) energyFigure() figure {
	rows := chart.Rows{ID: "plot-energy", Title: "Energy for a payment", Desc: "Joules for a confirmed payment, as run and at the assumed hash rate.",
		X: chart.Axis{Label: "joules for a payment", Log: true}, Names: []string{"as run", ""}}
	for i := range t.Points {
		o := &t.Points[i]
		row := chart.Row{Label: t.name(o), Marks: []chart.Value{mark(math.NaN()), mark(math.NaN())}}
		if o.Energy.Joules != nil {
			row.Marks[0].At = *o.Energy.Joules
			row.Text = chart.Quantity(*o.Energy.Joules, "J")
		}
		for _, c := range o.Energy.Elsewhere {
			if c.Assumed {
				row.Marks[1].At = c.Joules
				rows.Names[1] = fmt.Sprintf("at %s (%s)", chart.Quantity(c.HashesPerS, "H/s"), c.Model)
			}
		}
		rows.Rows = append(rows.Rows, row)
	}
	return figure{Title: rows.Title, Picture: template.HTML(rows.HTML()), Caption: sentenceOf(t.Method["energy"])}
}
