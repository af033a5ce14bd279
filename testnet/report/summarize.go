package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
)

const leastBlocks = record.LeastBlocks

// analysis is a run while its figures are computed.
type analysis struct {
	run *record.Run
	rng *rand.Rand
	s   *record.Summary

	window    span
	disturbed []disturbance
	calm      spans          // the window without the disturbed times
	found     []record.Block // in the window, in that order
	quiet     []record.Block // of these: in calm
	calmToEnd spans          // as calm, to whenever the run ended: arrivals go on after the window
}

// Summarize computes a run's figures. What there is too little data for is left out, and
// Summary.Missing says why. Randomness is for the bootstrap and the prediction of the
// stale rate. The run may be any that record.Open takes, incomplete ones too.
func Summarize(run *record.Run, rng *rand.Rand) *record.Summary {
	a := analyse(run, rng)
	a.ends()
	a.blocks()
	a.spacing()
	a.hashesPerFind()
	a.propagation()
	a.staleRate()
	a.payments()
	a.energy()
	a.attacks()
	return a.s
}

// analyse looks at what is when.
func analyse(run *record.Run, rng *rand.Rand) *analysis {
	m := &run.Manifest
	a := &analysis{run: run, rng: rng, window: measured(run), s: &record.Summary{
		Schema: record.Schema, Complete: m.Status == record.Complete,
		Nodes: len(m.Nodes), StartedInS: m.StartedInS, Payments: map[record.PaymentStatus]int{},
	}}
	a.s.MeasuredS = a.window.length()
	a.disturbed = disturbances(run)
	a.calm = without(a.window, a.disturbed)
	a.calmToEnd = without(span{a.window.from, math.Inf(1)}, a.disturbed)
	for _, b := range run.Blocks {
		if !a.window.has(b.FoundS) {
			continue
		}
		a.found = append(a.found, b)
		if a.calm.find(b.FoundS) >= 0 {
			a.quiet = append(a.quiet, b)
		}
	}
	return a
}

// measured is the part of the run that figures are taken from. Where its end is not
// known, it is the last moment that anything is known of.
func measured(run *record.Run) span {
	m := &run.Manifest
	s := span{m.MeasuredFromS, m.MeasuredToS}
	if s.to <= s.from {
		s.to = max(s.from, lastMoment(run))
		if m.MeasuredFromS <= 0 {
			s.to = s.from // the measured part did not begin
		}
	}
	return s
}

// lastMoment is the last moment that anything is known of.
func lastMoment(run *record.Run) float64 {
	last := 0.0
	for _, b := range run.Blocks {
		if b.FoundS > last {
			last = b.FoundS
		}
	}
	if n := len(run.Samples); n > 0 {
		last = max(last, run.Samples[n-1].TimeS)
	}
	if n := len(run.Events); n > 0 {
		last = max(last, run.Events[n-1].TimeS)
	}
	return last
}

// missing says why a figure is left out.
func (a *analysis) missing(format string, args ...any) {
	if sentence := fmt.Sprintf(format, args...); !slices.Contains(a.s.Missing, sentence) {
		a.s.Missing = append(a.s.Missing, sentence)
	}
}

// notEnough says that there are fewer of something than a figure rests on.
func (a *analysis) notEnough(n int, of string, least int, what string) {
	a.missing("Not enough data: %s, and at least %d are needed for %s.", count(n, of), least, what)
}

// count writes a number of things.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %ss", chart.Decimal(float64(n), 0), one)
}

// ends is how the nodes ended, and what they cost.
func (a *analysis) ends() {
	switch m := &a.run.Manifest; m.Status {
	case record.Complete:
	case record.Running:
		a.missing("The run has not ended, or its process was killed: what is here ends after %.0f s.", lastMoment(a.run))
	default:
		why := ""
		if m.Reason != "" {
			why = ": " + m.Reason
		}
		a.missing("The run was %s%s.", map[record.Status]string{record.Interrupted: "interrupted", record.Failed: "ended by an error"}[m.Status], why)
	}
	a.s.Missing = append(a.s.Missing, a.run.Notes...)
	e := a.run.Manifest.End
	if e == nil {
		a.missing("How the nodes ended is not known: whether they agree, the energy, and the memory.")
		a.hashRate()
		return
	}
	tips, sums := make(map[string]bool), make(map[string]bool)
	for _, n := range e.Nodes {
		tips[n.Tip], sums[n.CoinSum] = true, true
	}
	a.s.NodesAtEnd, a.s.Tips, a.s.CoinSums = len(e.Nodes), len(tips), len(sums)
	a.s.LagShare, a.s.PeakRSSBytes = e.WorstLag, e.PeakRSSBytes
	if a.s.MeasuredS > 0 {
		a.s.HashesPerS = e.Hashes / a.s.MeasuredS
	}
}

// hashRate is the hash rate and the lag as the samples have them.
func (a *analysis) hashRate() {
	for _, work := range hashing(a.run, spans{a.window}) {
		if work.seconds > 0 {
			a.s.HashesPerS += work.hashes / work.seconds
		}
		if work.due > 0 {
			a.s.LagShare = max(a.s.LagShare, 1-work.hashes/work.due)
		}
	}
}

// work is what a miner did in some time.
type work struct{ hashes, due, seconds float64 }

// hashing is the work of each node within spans of time, as far as samples reach: pairs of
// samples that follow each other in one span. Where a count begins anew, as that of a node
// that was restarted may, the pair is left out.
func hashing(run *record.Run, when spans) []work {
	nodes := make([]work, len(run.Manifest.Nodes))
	last := make([]*record.Sample, len(nodes))
	for i := range run.Samples {
		s := &run.Samples[i]
		before := last[s.Node-1]
		last[s.Node-1] = s
		if before == nil || !(s.Hashes >= before.Hashes) || !when.hold(before.TimeS, s.TimeS) {
			continue
		}
		w := &nodes[s.Node-1]
		w.hashes += s.Hashes - before.Hashes
		w.seconds += s.TimeS - before.TimeS
		if due := s.HashesDue - before.HashesDue; due > 0 {
			w.due += due
		}
	}
	return nodes
}

// energy divides what the measured part cost among what was done in it; what there was none
// of has no cost. Payments that were due before and confirmed in it are among these, and
// those that were confirmed after it are not: where they queue, these are many.
func (a *analysis) energy() {
	confirmed := 0
	for i := range a.run.Payments {
		if p := &a.run.Payments[i]; p.Status == record.Confirmed && p.Role == "" && a.window.has(p.Confirmed1S) {
			confirmed++
		}
	}
	a.s.Energy.Payments = confirmed
	e := a.run.Manifest.End
	if e == nil {
		return
	}
	per := func(n float64) record.Figure {
		if n <= 0 {
			return record.Figure(math.NaN())
		}
		return record.Figure(e.Joules / n)
	}
	a.s.Energy = record.Energy{
		Method: e.EnergyMethod, Measured: e.Measured, Joules: e.Joules, JoulesPerBlock: per(float64(a.s.Blocks)),
		Payments: confirmed, JoulesPerPayment: per(float64(confirmed)), JoulesPerHash: per(e.Hashes),
	}
}

// orZero is x, or 0 where there is none: JSON has no other number for that.
func orZero(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// micro rounds to the microsecond, which is what the files hold: differences of their
// times are not whole ones otherwise.
func micro(s float64) float64 { return math.Round(s*1e6) / 1e6 }
