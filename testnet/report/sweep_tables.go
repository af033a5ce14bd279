package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kapok-chain/kapok/testnet/report/chart"
)

// table is the figures of all points.
func (t *Tradeoffs) table() table {
	o := table{Title: "All points", Words: 1, Caption: "In brackets 95 % intervals; those of the stale rates hold all together.",
		Head: []string{"interval", "replicas", "blocks", "1 confirmation", "6 confirmations", "stale", "predicted", "a payment", "lag"}}
	for i := range t.Points {
		p := &t.Points[i]
		stale, predicted := "–", "–"
		if p.Stale != nil {
			stale, predicted = percents(p.Stale.Share), percent(p.Stale.Predicted)
			if !p.Stale.Inside {
				predicted += " (outside)"
			}
		}
		o.Rows = append(o.Rows, []string{t.name(p), fmt.Sprintf("%d of %d", p.Replicas, p.Wanted), whole(p.Blocks),
			delayText(p.Confirmed1), delayText(p.Confirmed6), stale, predicted, joulesText(p.Energy.Joules), percent(p.LagShare)})
	}
	return o
}

func delayText(d *SweepDelay) string {
	if d == nil || math.IsNaN(d.P50S.Value) {
		return "–"
	}
	return withInterval(d.P50S, seconds)
}

func joulesText(j *float64) string {
	if j == nil {
		return "–"
	}
	return chart.Quantity(*j, "J")
}

// riskTable is the chances of double spends.
func (t *Tradeoffs) riskTable() table {
	o := table{Title: "Chance of a double spend", Words: 1, Caption: sentenceOf(t.Method["double_spend"]) + " Below 0.1 %: how many confirmations that takes, with stale blocks, and the mean time for them.",
		Head: []string{"interval", "attacker", "by"}}
	for _, z := range sweepConfirmations {
		o.Head = append(o.Head, count(z, "confirmation"))
	}
	o.Head = append(o.Head, "below 0.1 %")
	o.Words = 3
	for i := range t.Points {
		p := &t.Points[i]
		for _, safe := range p.Safe {
			race := []string{t.name(p), percent(safe.Attacker), "exact race"}
			nakamoto := []string{t.name(p), percent(safe.Attacker), "Nakamoto"}
			stale := []string{t.name(p), percent(safe.Attacker), "with stale blocks"}
			for _, r := range p.Risks {
				if r.Attacker != safe.Attacker {
					continue
				}
				race, nakamoto = append(race, percent(r.Race)), append(nakamoto, percent(r.Nakamoto))
				if r.RaceStale != nil {
					stale = append(stale, percent(*r.RaceStale))
				}
			}
			o.Rows = append(o.Rows, append(race, enough(safe.Race)), append(nakamoto, enough(safe.Nakamoto)))
			if p.Stale != nil {
				last := enough(safe.RaceStale)
				if safe.RaceStale > 0 {
					last += ", " + seconds(safe.WaitS)
				}
				o.Rows = append(o.Rows, append(stale, last))
			}
		}
	}
	return o
}

// energyTable is what payments cost.
func (t *Tradeoffs) energyTable() table {
	o := table{Title: "Energy for a confirmed payment", Words: 2, Head: []string{"interval", "on", "hash rate", "payments a second", "for a payment"}}
	sources := map[string]bool{}
	for i := range t.Points {
		p := &t.Points[i]
		row := func(on string, hashes float64, joules *float64) {
			o.Rows = append(o.Rows, []string{t.name(p), on, chart.Quantity(hashes, "H/s"), chart.Number(p.PaymentsPerS), joulesText(joules)})
		}
		if p.Energy.Joules != nil {
			row("as run", p.HashesPerS, p.Energy.Joules)
			sources["as run: "+p.Energy.Method] = true
		}
		for _, c := range p.Energy.Elsewhere {
			row(c.Model, c.HashesPerS, &c.Joules)
			sources[c.Model+": "+c.Source] = true
		}
	}
	o.Caption = sentenceOf(strings.Join(slices.Sorted(maps.Keys(sources)), "; "))
	return o
}

// runTable is the runs, with the figures of each.
func (t *Tradeoffs) runTable() table {
	o := table{Title: "Replicas", Words: 2, Caption: "Each directory has a report of its own.",
		Head: []string{"interval", "directory", "1 confirmation", "6 confirmations", "stale", "energy for a payment"}}
	for i := range t.Points {
		p := &t.Points[i]
		for k, dir := range p.Runs {
			row := []string{t.name(p), dir, "–", "–", "–", "–"}
			for column, d := range map[int]*SweepDelay{2: p.Confirmed1, 3: p.Confirmed6} {
				if d != nil && d.ByReplica[k] != nil {
					row[column] = seconds(*d.ByReplica[k])
				}
			}
			if s := p.Stale; s != nil && len(s.ByReplica) == len(p.Runs) {
				row[4] = percent(s.ByReplica[k])
			}
			if e := p.Energy.ByReplica; len(e) == len(p.Runs) {
				row[5] = joulesText(e[k])
			}
			o.Rows = append(o.Rows, row)
		}
	}
	return o
}

// sentenceOf begins a text with a capital letter and ends it with a full stop.
func sentenceOf(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
