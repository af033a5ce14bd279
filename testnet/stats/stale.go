package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// batches is how many pieces a simulation is cut into for its standard error (Schmeiser
// 1982, "Batch size effects in the analysis of simulation output", Operations Research 30:
// 10 to 30 are enough, more gain little).
const batches = 30

// batchRatio is the share a/(a+b) of sums over batches, and its standard error: that of a
// ratio of means (Cochran 1977, Sampling Techniques, 6.4) over batches that are nearly
// independent.
func batchRatio(a, b []float64) (share, stdErr float64) {
	total := sum(a) + sum(b)
	n := float64(len(a))
	if total == 0 || n < 2 {
		return math.NaN(), math.NaN()
	}
	share = sum(a) / total
	squares := 0.0
	for i := range a {
		away := a[i] - share*(a[i]+b[i])
		squares += away * away
	}
	return share, math.Sqrt(squares/(n*(n-1))) / (total / n)
}

// PredictStale is the share of blocks that do not end on the best chain, as follows from
// delays and hash rates, and its standard error. It simulates the mining race of so many
// blocks (the model of Decker and Wattenhofer 2013, "Information propagation in the Bitcoin
// network", section 5, event by event): finds are a Poisson process with a mean of interval
// seconds between them, and miner i makes its share rates[i] of them, on the highest block
// that it has, of equals the one it had first. Its own block it has at once; miner j has
// it after a delay drawn from delays[i][j], in seconds, each as likely as the others, and not
// before its parent. No delays, where i is not j: i's blocks come to j only below another's.
// Of equals at the end the first found is the best.
//
// The variance of the share of n blocks is stdErr²·blocks/n, which is not that of n
// independent ones (EffectiveCount). NaN for what cannot be: no rates, negative ones or delays, a
// table that is not square, fewer blocks than batches.
func PredictStale(delays [][][]float64, rates []float64, interval float64, blocks int, random *rand.Rand) (share, stdErr float64) {
	race, ok := newMiningRace(delays, rates, interval, random)
	if !ok || blocks < batches {
		return math.NaN(), math.NaN()
	}
	stale := race.run(blocks)
	bad, good := make([]float64, batches), make([]float64, batches)
	for i, s := range stale {
		if s {
			bad[i*batches/blocks]++
		} else {
			good[i*batches/blocks]++
		}
	}
	return batchRatio(bad, good)
}

// SmallDelayStale is the limit of PredictStale where delays are short beside the interval:
// a block is stale where another miner finds one before it hears of it, Σᵢ Σⱼ≠ᵢ rᵢ·rⱼ·dᵢⱼ/T
// with shares r of the hash rate and mean delays d in seconds (the first order of Decker and
// Wattenhofer 2013, equation 3). Pairs without delays are left out.
func SmallDelayStale(delays [][][]float64, rates []float64, interval float64) (share float64) {
	if _, ok := newMiningRace(delays, rates, interval, nil); !ok {
		return math.NaN()
	}
	all := sum(rates)
	for i, row := range delays {
		for j, d := range row {
			if i != j && len(d) > 0 {
				share += rates[i] / all * rates[j] / all * sum(d) / float64(len(d)) / interval
			}
		}
	}
	return share
}

// miningRace is the state of a simulation.
type miningRace struct {
	delays   [][][]float64
	bounds   []float64 // of rates, summed up: whose find it is
	interval float64
	random   *rand.Rand

	tips    []*raceBlock // by miner: what it mines on
	pending [][]arrival  // by miner: on their way, or not looked at yet
	room    []int        // by miner: how many of these make it look
}

// arrival is a block that comes to a miner.
type arrival struct {
	block *raceBlock
	at    float64 // seconds
}

// raceBlock is a block of a simulation.
type raceBlock struct {
	parent  *raceBlock
	index   int // in the order of finds; -1 is genesis
	height  int
	arrival []float64 // by miner, seconds; +Inf never; nil once all that will have it do
	last    float64   // the latest that is not never
}

// newMiningRace checks the arguments.
func newMiningRace(delays [][][]float64, rates []float64, interval float64, random *rand.Rand) (*miningRace, bool) {
	n := len(rates)
	race := &miningRace{delays: delays, interval: interval, random: random,
		tips: make([]*raceBlock, n), pending: make([][]arrival, n), room: make([]int, n)}
	genesis := &raceBlock{index: -1}
	total := 0.0
	for i, r := range rates {
		if !(r >= 0) || math.IsInf(r, 0) {
			return nil, false
		}
		total += r
		race.bounds = append(race.bounds, total)
		race.tips[i] = genesis
	}
	if !(total > 0) || !(interval > 0) || len(delays) != n {
		return nil, false
	}
	for _, row := range delays {
		if len(row) != n {
			return nil, false
		}
		for _, d := range row {
			if slices.ContainsFunc(d, func(v float64) bool { return !(v >= 0) || math.IsInf(v, 0) }) {
				return nil, false
			}
		}
	}
	return race, true
}

// run mines so many blocks and tells which of them are stale.
func (r *miningRace) run(blocks int) (stale []bool) {
	now, best := 0.0, r.tips[0]
	for i := range blocks {
		now += r.interval * r.random.ExpFloat64()
		who := r.finder()
		r.catchUp(who, now)
		b := r.found(who, i, now)
		r.tips[who] = b
		if b.height > best.height {
			best = b
		}
	}
	stale = make([]bool, blocks)
	for i := range stale {
		stale[i] = true
	}
	for b := best; b.index >= 0; b = b.parent {
		stale[b.index] = false
	}
	return stale
}

// finder is whose the next find is.
func (r *miningRace) finder() int {
	at := r.random.Float64() * r.bounds[len(r.bounds)-1]
	return min(sort.Search(len(r.bounds), func(i int) bool { return r.bounds[i] > at }), len(r.bounds)-1)
}

// found is a new block of a miner, on its way to the others.
func (r *miningRace) found(who, index int, now float64) *raceBlock {
	parent := r.tips[who]
	b := &raceBlock{parent: parent, index: index, height: parent.height + 1, arrival: make([]float64, len(r.tips)), last: now}
	for j := range b.arrival {
		d := r.delays[who][j]
		switch {
		case j == who:
			b.arrival[j] = now
			continue
		case len(d) == 0:
			b.arrival[j] = math.Inf(1)
			continue
		}
		at := now + d[r.random.IntN(len(d))]
		if parent.arrival != nil && !math.IsInf(parent.arrival[j], 1) {
			at = max(at, parent.arrival[j])
		}
		b.arrival[j], b.last = at, max(b.last, at)
		r.send(j, arrival{b, at}, now)
	}
	if parent.last <= now {
		parent.arrival = nil // its other children wait for nothing
	}
	return b
}

// leastRoom is how many blocks may wait for a miner to find one itself, before it looks at
// them only so that they take no memory.
const leastRoom = 256

// send puts a block on its way.
func (r *miningRace) send(to int, a arrival, now float64) {
	r.pending[to] = append(r.pending[to], a)
	if len(r.pending[to]) > max(r.room[to], leastRoom) {
		r.catchUp(to, now)
		r.room[to] = 2 * len(r.pending[to])
	}
}

// catchUp puts a miner on the block that it mines on now: the highest it has, of equals
// the first. What it was on before came before all that is looked at here.
func (r *miningRace) catchUp(who int, now float64) {
	best := arrival{r.tips[who], math.Inf(-1)}
	waiting := r.pending[who][:0]
	for _, a := range r.pending[who] {
		switch {
		case a.at > now:
			waiting = append(waiting, a)
		case a.block.height > best.block.height || a.block.height == best.block.height && a.at < best.at:
			best = a
		}
	}
	clear(r.pending[who][len(waiting):])
	r.tips[who], r.pending[who] = best.block, waiting
}
