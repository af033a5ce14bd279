package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

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

// stages are what a payment goes through, in order. Confirmations hang together with those
// of the blocks before: each block is among the first so many of as many payments.
var stages = []struct {
	name, title string
	blocks      int
	waits       bool // for blocks
	at          func(*record.Payment) float64
}{
	{"submitted", "submitted", 1, false, func(p *record.Payment) float64 { return p.SubmittedS }},
	{"accepted", "accepted by its node", 1, false, func(p *record.Payment) float64 { return p.AcceptedS }},
	{"every_mempool", "in every mempool", 1, false, func(p *record.Payment) float64 { return p.EveryPoolS }},
	{"in_block", "in a block", 1, true, func(p *record.Payment) float64 { return p.InBlockS }},
	{"confirmed_1", "1 confirmation", 1, true, func(p *record.Payment) float64 { return p.Confirmed1S }},
	{"confirmed_3", "3 confirmations", 3, true, func(p *record.Payment) float64 { return p.Confirmed3S }},
	{"confirmed_6", "6 confirmations", 6, true, func(p *record.Payment) float64 { return p.Confirmed6S }},
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
	cluster := clusters(list)
	var few []string // blocks, for an interval
	for _, stage := range stages {
		d, ok := a.delay(list, cluster, stage.blocks, stage.at)
		if !ok {
			continue
		}
		d.Stage = stage.name
		a.s.Delays = append(a.s.Delays, d)
		if math.IsNaN(d.P50S.Low) && stage.waits {
			few = append(few, fmt.Sprintf("%s (%d blocks of %d)", stage.title, d.Blocks, stage.blocks*stats.ClustersNeeded(0.5)))
		}
	}
	if len(few) > 0 {
		a.missing("Not enough data: payments are in too few blocks, or nearly all in a few, for an interval of the median delay: %s.", strings.Join(few, ", "))
	}
	a.parts(list)
}

// clusters numbers the payments' blocks by height; payments in no block are in one of
// their own, behind the others.
func clusters(list []*record.Payment) map[string]int {
	blocks := make(map[string]uint32)
	for _, p := range list {
		blocks[p.Block] = p.Height
		if p.Block == "" {
			blocks[p.Block] = math.MaxUint32
		}
	}
	var order []string
	for hash := range blocks {
		order = append(order, hash)
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(blocks[a], blocks[b]), cmp.Compare(a, b)) })
	numbers := make(map[string]int)
	for i, hash := range order {
		numbers[hash] = i
	}
	return numbers
}

// delay summarises how long the payments took to one stage.
func (a *analysis) delay(list []*record.Payment, cluster map[string]int, length int, at func(*record.Payment) float64) (d record.Delay, ok bool) {
	var values []stats.Clustered
	var sorted []float64
	blocks := make(map[int]bool)
	for _, p := range list {
		if t := at(p); !math.IsNaN(t) {
			delay := micro(max(0, t-p.DueS))
			values = append(values, stats.Clustered{Value: delay, Cluster: cluster[p.Block]})
			sorted = append(sorted, delay)
			blocks[cluster[p.Block]] = true
		}
	}
	if len(values) == 0 {
		return d, false
	}
	slices.Sort(sorted)
	d = record.Delay{Payments: len(values), Blocks: len(blocks), P90S: stats.Quantile(sorted, 0.9), P99S: stats.Quantile(sorted, 0.99)}
	d.P50S = record.Interval{Value: stats.Quantile(sorted, 0.5), Low: math.NaN(), High: math.NaN()}
	if low, high, ok := stats.BootstrapQuantileSerial(values, 0.5, length, min(bootstrapRounds, max(200, bootstrapWork/len(values))), a.rng); ok {
		d.P50S.Low, d.P50S.High = low, high
	}
	d.P50 = record.Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	if s := a.run.Manifest.Network.SpacingS; s > 0 {
		d.P50 = record.Interval{Value: d.P50S.Value / s, Low: d.P50S.Low / s, High: d.P50S.High / s}
	}
	return d, true
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
