package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// missing says why something of a point is not there.
func (t *Tradeoffs) missing(o *Tradeoff, format string, args ...any) {
	t.Missing = append(t.Missing, fmt.Sprintf("Blocks every %s of %s: ", seconds(o.IntervalS), weight(o.MaxWeight))+fmt.Sprintf(format, args...))
}

// sweepMethods says how the figures came about.
func sweepMethods(s Sweep) map[string]string {
	each := 100 * stats.Sidak(stats.Confidence, len(s.Points))
	return map[string]string{
		"delay":        fmt.Sprintf("median from when a payment was due until the last node had so many blocks; payments that never got there count as the longest; interval by an expanded circular block bootstrap of blocks (where payments queue, full blocks in a row count as one with the block behind them), %d rounds, over all replicas: 95 %% by its method, and by simulation at least 90 %% with few blocks that have room, less where payments queue", bootstrapRounds),
		"stale":        fmt.Sprintf("share of valid blocks beside the best chain; Wilson intervals at %.4g %% each, which form a joint region of about 95 %% of %s (Šidák), with the error of the prediction's simulation, not of the delays it is made from, nor its bias: it is a little low, for its miners go over to a block at once; predicted by a simulated mining race from the measured block delays between miners and their hash rates", each, count(len(s.Points), "point")),
		"double_spend": "exact race: Grunspan and Pérez-Marco 2018, Rosenfeld 2014, in which it is enough to catch up, or one block is mined in advance; nodes that keep to the branch they saw first, as these do, ask for one block more; approximation: Nakamoto 2008, section 11; with stale blocks: the exact race of an attacker who loses none of its blocks against miners who lose the stale share of theirs, the predicted one unless what was measured speaks against it (Sompolinsky and Zohar 2015), and whose hash rate comes on top of theirs. Theory: these networks were not attacked",
		"energy":       "joules of nodes, load and recording in the measured time, over the payments confirmed in it; elsewhere: joules per hash of the model times hash rate, over as many payments a second",
	}
}

// meaning is one paragraph that says what the figures mean: what a shorter interval buys
// and costs, and what does not depend on it.
func (t *Tradeoffs) meaning(s Sweep) string {
	var known []*Tradeoff
	for i := range t.Points {
		if p := &t.Points[i]; p.Replicas > 0 && p.MaxWeight == t.Points[0].MaxWeight {
			known = append(known, p)
		}
	}
	if len(known) == 0 {
		return "No point of this sweep is complete, so that it says nothing yet."
	}
	short, long := known[0], known[len(known)-1]
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+" ", args...) }
	if short != long {
		say("From a block every %s to one every %s,", seconds(long.IntervalS), seconds(short.IntervalS))
	} else {
		say("With a block every %s,", seconds(short.IntervalS))
	}
	say("%s.", delaysInWords(long, short))
	if short.Stale != nil && long.Stale != nil {
		say("%s", staleInWords(long, short))
	} else {
		say("There are too few blocks to say how many go stale.")
	}
	if n := len(s.Attackers); n > 0 {
		say("%s", t.riskInWords(s.Attackers[n-1], long, short))
	}
	if text := energyInWords(known); text != "" {
		say("%s", text)
	}
	switch n := len(t.Missing); {
	case n == 1:
		say("One figure is missing or rests on too little: it is named.")
	case n > 1:
		say("%d figures are missing or rest on too little: each is named.", n)
	}
	return strings.TrimSpace(b.String())
}

// delaysInWords compares the delays of two points.
func delaysInWords(long, short *Tradeoff) string {
	var parts []string
	for _, c := range []struct {
		name string
		of   func(*Tradeoff) *SweepDelay
	}{
		{"first", func(o *Tradeoff) *SweepDelay { return o.Confirmed1 }},
		{"sixth", func(o *Tradeoff) *SweepDelay { return o.Confirmed6 }},
	} {
		a, b := c.of(long), c.of(short)
		switch {
		case a == nil || b == nil || math.IsNaN(a.P50S.Value) || math.IsNaN(b.P50S.Value):
			parts = append(parts, fmt.Sprintf("the median delay to the %s confirmation is not known", c.name))
		case long == short:
			parts = append(parts, fmt.Sprintf("the median payment has its %s confirmation after %s", c.name, withInterval(b.P50S, seconds)))
		default:
			parts = append(parts, fmt.Sprintf("the median delay to the %s confirmation goes from %s to %s%s", c.name, withInterval(a.P50S, seconds), withInterval(b.P50S, seconds), apart(a.P50S, b.P50S)))
		}
	}
	return strings.Join(parts, ", and ")
}

// apart says so where two intervals overlap, or one of them is not known. Overlap is no
// test: figures that differ may have such intervals, too.
func apart(a, b record.Interval) string {
	switch {
	case math.IsNaN(a.Low) || math.IsNaN(b.Low) || math.IsNaN(a.High) || math.IsNaN(b.High):
		return " (with no interval for want of blocks)"
	case a.Low <= b.High && b.Low <= a.High:
		return " (intervals that overlap: the difference may be chance)"
	}
	return ""
}

func staleInWords(long, short *Tradeoff) string {
	inside := func(o *Tradeoff) string {
		if o.Stale.Inside {
			return fmt.Sprintf("predicted %s", percent(o.Stale.Predicted))
		}
		return fmt.Sprintf("predicted %s, which is OUTSIDE", percent(o.Stale.Predicted))
	}
	if long == short {
		return fmt.Sprintf("%s of the blocks go stale (%s).", percents(short.Stale.Share), inside(short))
	}
	return fmt.Sprintf("What it costs is work that is lost: %s of the blocks go stale at the long interval (%s) and %s at the short one (%s), since the delays between miners stay what they are.",
		percents(long.Stale.Share), inside(long), percents(short.Stale.Share), inside(short))
}

// riskInWords says what the risk of a double spend makes of it.
func (t *Tradeoffs) riskInWords(attacker float64, long, short *Tradeoff) string {
	race, approximation := stats.DoubleSpendRace(attacker, 6), stats.Nakamoto(attacker, 6)
	text := fmt.Sprintf("An attacker with %s of the hash rate takes a payment with six confirmations back with a chance of %s by the exact race (%s by Nakamoto's approximation), at any interval, as long as nobody loses blocks.",
		percent(attacker), percent(race), percent(approximation))
	waits := func(o *Tradeoff) string {
		for _, safe := range o.Safe {
			if safe.Attacker != attacker {
				continue
			}
			z := safe.Race
			if o.Stale != nil {
				z = safe.RaceStale
			}
			if z < 0 {
				return "no number of confirmations is enough"
			}
			return fmt.Sprintf("%s, which take %s", count(z, "confirmation"), seconds(safe.WaitS))
		}
		return "not known"
	}
	if short.Stale != nil {
		faster := stats.EffectiveAttacker(attacker, short.Stale.best())
		text += fmt.Sprintf(" But stale blocks are the honest miners' loss alone: with a block every %s it is as if the attacker had %s, and six confirmations leave %s.",
			seconds(short.IntervalS), percent(faster), percent(stats.DoubleSpendRace(faster, 6)))
	}
	text += fmt.Sprintf(" For a risk below 0.1 %% it takes, with a block every %s, %s", seconds(long.IntervalS), waits(long))
	if long != short {
		text += fmt.Sprintf("; and with one every %s, %s", seconds(short.IntervalS), waits(short))
	}
	return text + "."
}

// energyInWords says what payments cost.
func energyInWords(points []*Tradeoff) string {
	low, high := math.Inf(1), 0.0
	var last *Tradeoff
	for _, o := range points {
		if o.Energy.Joules != nil {
			low, high, last = min(low, *o.Energy.Joules), max(high, *o.Energy.Joules), o
		}
	}
	if last == nil {
		return ""
	}
	how := "modelled"
	if last.Energy.Measured {
		how = "measured"
	}
	costs := chart.Quantity(low, "J")
	if most := chart.Quantity(high, "J"); most != costs {
		costs += " to " + most
	}
	text := fmt.Sprintf("Mining draws the same power whatever the interval is, so that a payment costs what power and payments a second make of it: here %s (%s)", costs, how)
	for _, c := range last.Energy.Elsewhere {
		if c.Assumed {
			text += fmt.Sprintf(", and %s where the network did %s (model: %s)", chart.Quantity(c.Joules, "J"), chart.Quantity(c.HashesPerS, "H/s"), c.Model)
		}
	}
	return text + "."
}

// Print writes the table for people.
func (t *Tradeoffs) Print(w io.Writer) {
	fmt.Fprintf(w, "%d nodes on %s, %d cores; kapok %s\n\n", t.Nodes, t.Machine.CPU, t.Machine.Cores, t.KapokVersion)
	fmt.Fprintf(w, "%-8s %-9s %-4s %6s  %-21s %-21s %-22s %-9s %12s %6s\n", "interval", "size", "runs", "blocks", "1 conf. [95 %] s", "6 conf. [95 %] s", "stale [joint 95 %] %", "predicted", "J/payment", "lag")
	for i := range t.Points {
		t.Points[i].print(w)
	}
	fmt.Fprintln(w)
	for i := range t.Points {
		t.Points[i].printRisks(w)
	}
	for _, m := range t.Missing {
		fmt.Fprintf(w, "not enough data: %s\n", m)
	}
	fmt.Fprintf(w, "\n%s\n", t.Meaning)
}

func (o *Tradeoff) print(w io.Writer) {
	delay := func(d *SweepDelay) string {
		if d == nil || math.IsNaN(d.P50S.Value) {
			return "–"
		}
		return withInterval(d.P50S, func(x float64) string { return fmt.Sprintf("%.2f", x) })
	}
	stale, predicted := "–", "–"
	if o.Stale != nil {
		stale = strings.TrimSuffix(percents(o.Stale.Share), " %")
		if predicted = fmt.Sprintf("%.2f", 100*o.Stale.Predicted); !o.Stale.Inside {
			predicted += " NO"
		}
	}
	joules := "–"
	if o.Energy.Joules != nil {
		joules = chart.Quantity(*o.Energy.Joules, "J")
	}
	fmt.Fprintf(w, "%-8s %-9s %d/%d  %6d  %-21s %-21s %-22s %-9s %12s %4.1f %%\n", seconds(o.IntervalS), strings.TrimSuffix(weight(o.MaxWeight), " weight units"), o.Replicas, o.Wanted, o.Blocks,
		delay(o.Confirmed1), delay(o.Confirmed6), stale, predicted, joules, 100*o.LagShare)
}

// printRisks writes the chances of double spends.
func (o *Tradeoff) printRisks(w io.Writer) {
	fmt.Fprintf(w, "blocks every %s of %s: chance of a double spend\n", seconds(o.IntervalS), weight(o.MaxWeight))
	fmt.Fprintf(w, "  %-14s %-13s %12s %12s %12s\n", "attacker has", "confirmations", "exact race", "Nakamoto", "with stale")
	for _, r := range o.Risks {
		stale := "–"
		if r.RaceStale != nil {
			stale = fmt.Sprintf("%.4f %%", 100**r.RaceStale)
		}
		fmt.Fprintf(w, "  %-14s %-13d %10.4f %% %10.4f %% %12s\n", percent(r.Attacker), r.Confirmations, 100*r.Race, 100*r.Nakamoto, stale)
	}
	for _, s := range o.Safe {
		with := ""
		if o.Stale != nil {
			with = fmt.Sprintf(", %s with stale blocks", enough(s.RaceStale))
		}
		fmt.Fprintf(w, "  below 0.1 %% against %s: %s by the exact race, %s by Nakamoto%s\n", percent(s.Attacker), enough(s.Race), enough(s.Nakamoto), with)
	}
	for _, c := range o.Energy.Elsewhere {
		fmt.Fprintf(w, "  %s a payment at %s on %s\n", chart.Quantity(c.Joules, "J"), chart.Quantity(c.HashesPerS, "H/s"), c.Model)
	}
	fmt.Fprintln(w)
}

// enough writes a number of confirmations, of which -1 is none.
func enough(z int) string {
	if z < 0 {
		return "no number"
	}
	return fmt.Sprint(z)
}

// withInterval writes a figure with its 95 % interval, if there is one.
func withInterval(i record.Interval, number func(float64) string) string {
	if math.IsNaN(i.Low) {
		return number(i.Value)
	}
	high := "∞"
	if !math.IsNaN(i.High) {
		high = number(i.High)
	}
	return fmt.Sprintf("%s [%s, %s]", number(i.Value), number(i.Low), high)
}

func weight(units int) string { return chart.Decimal(float64(units), 0) + " weight units" }
