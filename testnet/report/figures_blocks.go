package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
)

// blocks is how often blocks come, and how many go to waste.
func (v *view) blocks() section {
	s := section{ID: "blocks", Title: "Blocks and forks"}
	if r := v.s.StaleRate; r != nil {
		s.Figures = append(s.Figures, v.staleFigure(r))
	}
	a := analyse(v.run, nil)
	if p := v.s.Spacing; p != nil {
		s.Figures = append(s.Figures, v.spacingFigure(p, a))
	}
	if p := v.s.Nonces; p != nil {
		finds := a.finds()
		f := v.exponential("plot-nonces", "Hashes per find", "hashes per find, in units of the difficulty", finds, 1, false)
		f.Caption = fmt.Sprintf("%s of the whole run, the searches of one miner behind those of another: mean %s, expected 1: %s.", count(p.Count, "find"), chart.Number(p.Mean), kolmogorov(*p))
		s.Figures = append(s.Figures, f)
	}
	if picture, caption := v.forks(); picture != "" {
		s.Figures = append(s.Figures, figure{Title: "Forks", Picture: picture, Caption: caption, Wide: true})
	}
	return s
}

// spacingFigure draws the times between finds in seconds, or where their difficulties differ
// in units of what each must take.
func (v *view) spacingFigure(p *record.Spacing, a *analysis) figure {
	const id, title = "plot-spacing", "Time between blocks"
	gaps, expected := a.gaps()
	var f figure
	var against string
	mean := seconds(p.MeanS.Value)
	if !math.IsNaN(p.MeanS.Low) {
		mean += fmt.Sprintf(" (%s)", interval(p.MeanS, seconds))
	}
	switch {
	case expected == nil:
		f = v.exponential(id, title, "time between blocks", gaps, p.Mean, true)
		against = fmt.Sprintf("the exponential distribution with their own mean of %s, for the hash rate or a difficulty is not known", seconds(p.Mean))
	case slices.Min(expected) == slices.Max(expected):
		f = v.exponential(id, title, "time between blocks", gaps, expected[0], true)
		against = fmt.Sprintf("the exponential distribution with a mean of %s, as difficulty and hash rate give", seconds(expected[0]))
	default:
		f = v.exponential(id, title, "time between blocks over difficulty ÷ hash rate", relative(gaps, expected), 1, false)
		against = fmt.Sprintf("the exponential distribution, each in units of its block's difficulty over the hash rate: %s to %s", seconds(slices.Min(expected)), seconds(slices.Max(expected)))
	}
	f.Caption = fmt.Sprintf("%s between finds of any miner, stale ones too: mean %s. Held against %s: %s.",
		count(p.Count, "time"), mean, against, kolmogorov(p.Fit))
	return f
}

// kolmogorov says how a test came out.
func kolmogorov(f record.Fit) string {
	verdict := "not rejected"
	if f.P < 0.05 {
		verdict = "rejected"
	}
	p := chart.Number(math.Round(f.P*1e3) / 1e3)
	if f.P < 0.001 {
		p = "< 0.001"
	}
	return fmt.Sprintf("Kolmogorov–Smirnov D = %s, p = %s, %s at 5 %%", chart.Number(f.D), p, verdict)
}

func (v *view) staleFigure(r *record.StaleRate) figure {
	rows := chart.Rows{ID: "plot-stale", Title: "Stale rate", Desc: "Share of stale blocks with its interval, and the predicted share.", X: chart.Axis{Label: "share of stale blocks, %"}, Names: []string{"measured, with its 95 % interval"}}
	value := func(i record.Interval) chart.Value {
		return chart.Value{At: 100 * i.Value, Low: 100 * i.Low, High: 100 * i.High}
	}
	if r.Disturbed() {
		rows.Rows = append(rows.Rows, chart.Row{Label: "all of the time", Marks: []chart.Value{value(r.Share)}, Text: percent(r.Share.Value)})
		if !r.MostlyDisturbed() {
			rows.Rows = append(rows.Rows, chart.Row{Label: "undisturbed", Marks: []chart.Value{value(r.Compared)}, Text: percent(r.Compared.Value)})
		}
	} else {
		rows.Rows = append(rows.Rows, chart.Row{Label: "measured", Marks: []chart.Value{value(r.Compared)}, Text: percent(r.Compared.Value)})
	}
	f := figure{Title: "Stale blocks"}
	f.Caption = fmt.Sprintf("%s of %s are stale (%s). ", percent(r.Share.Value), count(r.Blocks, "block"), interval(r.Share, percent))
	switch {
	case r.MostlyDisturbed():
		f.Caption = fmt.Sprintf("%s of %s are stale, nearly all found while something disturbed the network or just before. ", percent(r.Share.Value), count(r.Blocks, "block"))
	case r.Disturbed():
		f.Caption = fmt.Sprintf("%s of %s are stale; of the %s in the undisturbed time %s (%s). ", percent(r.Share.Value), count(r.Blocks, "block"), whole(r.ComparedBlocks), percent(r.Compared.Value), interval(r.Compared, percent))
	}
	if r.Method == "" {
		f.Caption += "There is no prediction."
	} else {
		rows.Names = append(rows.Names, "predicted")
		margin := 1.96 * r.PredictedError
		rows.Rows = append(rows.Rows, chart.Row{Label: "predicted", Marks: []chart.Value{mark(math.NaN()), {At: 100 * r.Predicted, Low: 100 * max(0, r.Predicted-margin), High: 100 * (r.Predicted + margin)}}, Text: percent(r.Predicted)})
		where := "outside"
		if r.Inside {
			where = "inside"
		}
		f.Caption += fmt.Sprintf("Predicted for the %s of the undisturbed time: %s, which is %s the interval there. Method: %s.", count(r.ComparedBlocks, "block"), percent(r.Predicted), where, r.Method)
	}
	f.Picture = template.HTML(rows.HTML())
	return f
}

// exponential draws values against the exponential distribution of a mean.
func (v *view) exponential(id, title, axis string, values []float64, mean float64, timed bool) figure {
	end := max(widest(values), 4*mean)
	unit := 1.0
	if timed {
		var name string
		unit, name = chart.TimeUnit(end)
		axis += ", " + name
	}
	theory := chart.Series{Name: "exponential", Colour: 1}
	for i := range 101 {
		x := end * float64(i) / 100
		theory.X, theory.Y = append(theory.X, x/unit), append(theory.Y, -100*math.Expm1(-x/mean))
	}
	plot := chart.Plot{ID: id, Title: title, Desc: "Distribution function of what was measured, and of the exponential distribution.",
		X: chart.Axis{Label: axis, Max: end / unit}, Y: chart.Axis{Label: "share, %", Max: 100},
		Series: []chart.Series{cumulative("measured", 0, values, len(values), unit, end), theory}}
	return figure{Title: title, Picture: template.HTML(plot.HTML())}
}

// attacks are held against their theory.
func (v *view) attacks() section {
	s := section{ID: "attacks", Title: "Attacks"}
	if len(v.s.Attacks) == 0 {
		return s
	}
	const most = 20
	rows := chart.Rows{ID: "plot-attacks", Title: "Attacks", Desc: "Measured success of each attack with its interval, and what theory predicts.", X: chart.Axis{Label: "share, %"}, Names: []string{"measured, with its 95 % interval", "predicted"}}
	t := table{Title: "Attacks against theory", Words: 2, Head: []string{"attack", "what is measured", "hash share", "measured", "95 % interval", "predicted", "inside", "have", "needed"},
		Caption: "Needed: how many blocks, or tries, it takes to tell the prediction from an honest miner's share, or from none, at 5 % and a power of 80 %."}
	for _, r := range v.s.Attacks[:min(len(v.s.Attacks), most)] {
		what, label, have := "share of the chain's blocks", fmt.Sprintf("Selfish, node %d", r.Node), r.Blocks
		if r.Kind == record.DoubleSpend {
			have = r.Tries
			what, label = fmt.Sprintf("share of %d tries won", have), fmt.Sprintf("Double spend, node %d", r.Node)
		}
		inside := "–"
		if r.Inside != nil {
			inside = map[bool]string{true: "yes", false: "no"}[*r.Inside]
		}
		rows.Rows = append(rows.Rows, chart.Row{Label: label, Text: percent(r.Measured.Value),
			Marks: []chart.Value{{At: 100 * r.Measured.Value, Low: 100 * r.Measured.Low, High: 100 * r.Measured.High}, mark(100 * r.Predicted)}})
		t.Rows = append(t.Rows, []string{label, what, percent(power(r.Attack)), percent(r.Measured.Value), percent(r.Measured.Low) + " – " + percent(r.Measured.High), percent(r.Predicted), inside, whole(have), whole(r.Needed)})
		s.Intro += fmt.Sprintf("%s from %s to %s: %s. ", label, seconds(r.FromS), seconds(r.ToS), r.Theory)
	}
	s.Figures = []figure{{Title: "How far attackers got", Picture: template.HTML(rows.HTML()), Caption: "A selfish miner's share of the best chain, and a double spend's share of tries."}}
	s.Tables = []table{t}
	return s
}

// forked is a fork: the blocks beside the best chain that began at one block of it.
type forked struct {
	root   int64 // height of the last block that all have
	blocks []*record.Block
	top    int64
}

// forks finds what is beside the best chain, in order of heights. Branches that share
// heights are one fork.
func forks(run *record.Run) (list []forked) {
	places := make(map[string]*record.Block, len(run.Blocks))
	for i := range run.Blocks {
		places[run.Blocks[i].Hash] = &run.Blocks[i]
	}
	var beside []*record.Block
	for i := range run.Blocks {
		if b := &run.Blocks[i]; b.Status != record.Active {
			beside = append(beside, b)
		}
	}
	slices.SortStableFunc(beside, func(a, b *record.Block) int { return cmp.Compare(a.Height, b.Height) })
	for _, b := range beside {
		root := int64(b.Height) - 1
		last := len(list) - 1
		if last < 0 || root > list[last].top || root == list[last].top && places[b.Parent] != nil && places[b.Parent].Status == record.Active {
			list = append(list, forked{root: root, top: int64(b.Height)})
			last++
		}
		list[last].blocks = append(list[last].blocks, b)
		list[last].top = max(list[last].top, int64(b.Height))
	}
	return list
}
