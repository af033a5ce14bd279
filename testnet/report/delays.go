package report

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// bootstrapRounds is how many resamples an interval is taken from: its ends then differ
// from run to run by far less than its width. Of very many payments it is less, so that
// no more than bootstrapWork values are looked at.
const (
	bootstrapRounds = 2000
	bootstrapWork   = 400_000_000
)

// stage is something that payments get to.
type stage struct {
	name, title string
	blocks      int
	waits       bool // for blocks
	at          func(*record.Payment) float64
}

// stages are what a payment goes through, in order. Confirmations hang together with those
// of the blocks before: each block is among the first so many of as many payments.
var stages = []stage{
	{"submitted", "submitted", 1, false, func(p *record.Payment) float64 { return p.SubmittedS }},
	{"accepted", "accepted by its node", 1, false, func(p *record.Payment) float64 { return p.AcceptedS }},
	{"every_mempool", "in every mempool", 1, false, func(p *record.Payment) float64 { return p.EveryPoolS }},
	{"in_block", "in a block", 1, true, func(p *record.Payment) float64 { return p.InBlockS }},
	{"confirmed_1", "1 confirmation", 1, true, func(p *record.Payment) float64 { return p.Confirmed1S }},
	{"confirmed_3", "3 confirmations", 3, true, func(p *record.Payment) float64 { return p.Confirmed3S }},
	{"confirmed_6", "6 confirmations", 6, true, func(p *record.Payment) float64 { return p.Confirmed6S }},
}

// confirmed is the stage of a payment with so many confirmations, of which there is one.
func confirmed(confirmations int) *stage {
	i := slices.IndexFunc(stages, func(s stage) bool { return s.name == fmt.Sprintf("confirmed_%d", confirmations) })
	return &stages[i]
}

// paid are the payments of the load that were due in the measured time. Those of an
// attacker are part of its attack: they pay the highest fee, and are to be taken back.
func paid(run *record.Run, window span) (list []*record.Payment) {
	for i := range run.Payments {
		if p := &run.Payments[i]; p.DueS >= window.from && p.DueS < window.to && p.Role == "" {
			list = append(list, p)
		}
	}
	return list
}

// payments is what became of the payments, and how long it took.
func (a *analysis) payments() {
	list := paid(a.run, a.window)
	for _, p := range list {
		a.s.Payments[p.Status]++
	}
	if len(list) == 0 {
		if a.run.Manifest.Load.RatePerS > 0 {
			a.missing("No payment was due in the measured time.")
		}
		return
	}
	var few []string   // blocks, for an interval
	var never []string // got so far
	for i := range stages {
		stage := &stages[i]
		d, ok := a.delay(list, stage)
		if d.Never > 0 {
			never = append(never, fmt.Sprintf("%s (%s of %s)", stage.title, whole(d.Never), whole(d.Never+d.Payments)))
		}
		if !ok {
			continue
		}
		a.s.Delays = append(a.s.Delays, d)
		if !math.IsNaN(d.P50S.Value) && math.IsNaN(d.P50S.Low) && stage.waits {
			few = append(few, fmt.Sprintf("%s (%s)", stage.title, stage.tooFew(d.Blocks)))
		}
	}
	if len(never) > 0 {
		a.missing("Some payments never came that far: %s. They count as the longest, and percentiles among them are left out.", strings.Join(never, ", "))
	}
	if len(few) > 0 {
		a.missing("Not enough data: payments are in too few blocks, or in such as hang together, for an interval of the median delay: %s.", strings.Join(few, ", "))
	}
	a.parts(list)
}

// tooFew says what an interval lacks: blocks, or such as tell something of their own. Where
// payments queue, or are nearly all in a few blocks, it takes more of them.
func (s *stage) tooFew(blocks int) string {
	if need := s.blocks * stats.ClustersNeeded(0.5); blocks < need {
		return fmt.Sprintf("%s of %d", count(blocks, "block"), need)
	}
	return fmt.Sprintf("%s, in which payments queue, or nearly all are in a few", count(blocks, "block"))
}

// clusters numbers, in the order of the best chain, what shares its fate: a block, or where
// payments queue all full blocks in a row with the one behind them, which takes the last of
// those that had to wait. What comes then knows nothing of that queue (Crane and Iglehart
// 1975, "Simulating stable stochastic systems III: regenerative processes"). Payments in no
// block are behind them all, and wait for the last one if it was full.
func clusters(run *record.Run, list []*record.Payment) (numbers map[string]int, n int) {
	type block struct {
		hash   string
		height uint32
		full   bool
	}
	var chain []block
	seen := map[string]bool{"": true}
	add := func(b block) {
		if !seen[b.hash] {
			seen[b.hash] = true
			chain = append(chain, b)
		}
	}
	const unitsPerVByte = 4
	largest := 0 // weight of a payment
	for _, p := range list {
		largest = max(largest, unitsPerVByte*p.VSizeBytes)
	}
	// A template leaves room for the coinbase. What that does not take of it is a payment or
	// two, by which a block counts as full a little early.
	limit := run.Manifest.Network.MaxWeight - miner.ReservedWeight
	for _, b := range run.Blocks {
		if b.Status == record.Active {
			add(block{b.Hash, b.Height, limit > 0 && b.WeightUnits+largest > limit})
		}
	}
	for _, p := range list { // a table of blocks may be torn
		add(block{hash: p.Block, height: p.Height})
	}
	slices.SortFunc(chain, func(a, b block) int { return cmp.Or(cmp.Compare(a.height, b.height), cmp.Compare(a.hash, b.hash)) })
	numbers = make(map[string]int)
	for _, b := range chain {
		numbers[b.hash] = n
		if !b.full {
			n++
		}
	}
	numbers[""] = n
	return numbers, n + 1
}

// delaySample is how long payments took to one stage, of one run or of several. A payment
// that never got there counts as the longest: those that are missing are the late ones, and
// without them a network would look the faster the fuller it is.
type delaySample struct {
	stage  *stage
	values []stats.Clustered // seconds; +Inf: never
	sorted []float64
	never  int
	blocks int // that payments which got there were in
	next   int // number of the next run's first cluster
}

// add takes a run's payments, and returns their delays in ascending order. What a node
// refused, and what a double spend took back, was not to get there.
func (d *delaySample) add(run *record.Run, list []*record.Payment) (own []float64) {
	cluster, n := clusters(run, list)
	blocks := make(map[string]bool)
	for _, p := range list {
		at := d.stage.at(p)
		if math.IsNaN(at) {
			if p.Status == record.Refused || p.Status == record.Conflicted || p.Block != "" && !d.stage.waits {
				continue // or it was in a block before anybody saw it there
			}
			at = math.Inf(1)
			d.never++
		} else if p.Block != "" {
			blocks[p.Block] = true
		}
		delay := micro(max(0, at-p.DueS))
		d.values = append(d.values, stats.Clustered{Value: delay, Cluster: d.next + cluster[p.Block]})
		own = append(own, delay)
	}
	slices.Sort(own)
	d.sorted = slices.Sorted(slices.Values(append(d.sorted, own...)))
	d.blocks += len(blocks)
	d.next += n
	return own
}

// quantile is a quantile of them, or NaN where so many never got there.
func (d *delaySample) quantile(q float64) float64 { return finiteOrNaN(stats.Quantile(d.sorted, q)) }

// median is the median with its interval. An upper end that is not there, beside a lower
// one, is infinite.
func (d *delaySample) median(rng *rand.Rand) record.Interval {
	m := record.Interval{Value: d.quantile(0.5), Low: math.NaN(), High: math.NaN()}
	if math.IsNaN(m.Value) {
		return m
	}
	rounds := min(bootstrapRounds, max(200, bootstrapWork/len(d.values)))
	if low, high, ok := stats.BootstrapQuantileSerial(d.values, 0.5, d.stage.blocks, rounds, rng); ok {
		m.Low, m.High = finiteOrNaN(low), finiteOrNaN(high)
	}
	return m
}

// delay summarises how long the payments took to one stage; not ok where none came to it.
func (a *analysis) delay(list []*record.Payment, stage *stage) (d record.Delay, ok bool) {
	sample := delaySample{stage: stage}
	sample.add(a.run, list)
	d = record.Delay{Stage: stage.name, Payments: len(sample.values) - sample.never, Never: sample.never, Blocks: sample.blocks}
	if d.Payments == 0 {
		return d, false
	}
	d.P50S, d.P90S, d.P99S = sample.median(a.rng), record.Figure(sample.quantile(0.9)), record.Figure(sample.quantile(0.99))
	d.P50 = inIntervals(d.P50S, a.run.Manifest.Network.SpacingS)
	return d, true
}

// inIntervals is a time in units of the block interval, if that is known.
func inIntervals(t record.Interval, spacing float64) record.Interval {
	if !(spacing > 0) {
		return record.Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	return record.Interval{Value: t.Value / spacing, Low: t.Low / spacing, High: t.High / spacing}
}

// partNames are the parts of a confirmation, in order; see record.DelayPart.
var partNames = []struct{ name, title string }{
	{"accepting", "accepting"}, {"gossip", "gossip"}, {"queue", "queue"}, {"block_wait", "block wait"}, {"propagation", "propagation"},
}

// parts splits the delay to one confirmation.
func (a *analysis) parts(list []*record.Payment) {
	values := splits(a.run, list)
	if len(values[0]) == 0 {
		return
	}
	for i, part := range partNames {
		d := record.DelayPart{Part: part.name}
		for _, v := range values[i] {
			d.MeanS += v / float64(len(values[i]))
		}
		sorted := slices.Sorted(slices.Values(values[i]))
		d.P50S, d.P90S = stats.Quantile(sorted, 0.5), stats.Quantile(sorted, 0.9)
		a.s.Parts = append(a.s.Parts, d)
	}
}

// splits are the parts of each confirmed payment's delay, in seconds, by part. Those of one
// payment add up to its delay.
func splits(run *record.Run, list []*record.Payment) (values [5][]float64) {
	found := make(map[string]float64)
	parent := make(map[string]string)
	for _, b := range run.Blocks {
		found[b.Hash], parent[b.Hash] = b.FoundS, b.Parent
	}
	for _, p := range list {
		if math.IsNaN(p.AcceptedS) || math.IsNaN(p.InBlockS) || math.IsNaN(p.Confirmed1S) {
			continue
		}
		ends := [5]float64{p.AcceptedS, p.EveryPoolS, math.NaN(), p.InBlockS, p.Confirmed1S}
		if !(ends[1] < p.InBlockS) {
			ends[1] = p.InBlockS // it was in a block before all mempools had it
		}
		ends[2] = ends[1]
		if before, known := found[parent[p.Block]]; known && before > ends[1] {
			ends[2] = before // that block could have taken it
		}
		at := p.DueS
		for i, end := range ends {
			end = min(max(end, at), max(p.Confirmed1S, at))
			values[i] = append(values[i], end-at)
			at = end
		}
	}
	return values
}
