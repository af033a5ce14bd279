package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// blocks counts what became of the blocks.
func (a *analysis) blocks() {
	for _, b := range a.found {
		switch b.Status {
		case record.Active:
			a.s.Blocks++
		case record.Stale:
			a.s.StaleBlocks++
		case record.Withheld:
			a.s.Withheld++
		}
	}
}

// fixedRule is the difficulty rule under which finds are a Poisson process whose rate is
// known.
const fixedRule = "fixed"

// spacing holds the times between finds against the exponential distribution. Finds that
// an attacker withheld count: they took as much work. Times are left out in which the rate of
// finds is not known, as gaps says.
func (a *analysis) spacing() {
	gaps, expected := a.gaps()
	if len(gaps) < leastBlocks {
		a.notEnough(len(gaps), "block interval", leastBlocks, "the block spacing")
		return
	}
	mean := 0.0
	for _, g := range gaps {
		mean += g / float64(len(gaps))
	}
	target := a.run.Manifest.Network.SpacingS
	s := &record.Spacing{TargetS: target, MeanS: record.Interval{Value: mean, Low: math.NaN(), High: math.NaN()}}
	if a.steady(expected) {
		s.MeanS.Low, s.MeanS.High = stats.ExponentialMean(mean, len(gaps))
	}
	s.Count, s.Mean = len(gaps), mean
	if expected != nil {
		s.D, s.P = stats.KSExponential(relative(gaps, expected), 1)
	} else {
		s.D, s.P = stats.KSExponential(gaps, 0)
	}
	s.D, s.P = orZero(s.D), orZero(s.P)
	a.s.Spacing = s
}

// steady reports whether all times between finds have one mean. Others are not exponential
// together, and a rule that moves the difficulty holds their mean closer to its target than
// as many of them would be by chance.
func (a *analysis) steady(expected []float64) bool {
	if a.run.Manifest.Network.Difficulty == fixedRule {
		return true
	}
	return len(expected) > 0 && slices.Min(expected) == slices.Max(expected)
}

// relative are times in units of what their means must be.
func relative(gaps, expected []float64) (units []float64) {
	for i, g := range gaps {
		units = append(units, g/expected[i])
	}
	return units
}

// Seconds that a find may be said to take on average. What a file has outside of that is no
// run's.
const (
	leastMean = 1e-6
	mostMean  = 1e9
)

// gaps are the times between finds while all miners ran, in seconds, and for each what its
// mean must be: the difficulty of the block that ends it over the hash rate, so that a
// difficulty that moves makes no mixture of them. No means where they are not all known.
// Where the difficulty moves, only undisturbed time counts: the branches of a partition, or an
// attacker's, each have a difficulty of their own, and finds come at a rate of both.
// Where there are several such times they are put behind each other, for finds have no
// memory: leaving out the times around their ends would leave out long ones above all.
func (a *analysis) gaps() (gaps, expected []float64) {
	n := &a.run.Manifest.Network
	up := a.calm
	if n.Difficulty == fixedRule {
		down := slices.DeleteFunc(slices.Clone(a.disturbed), func(d disturbance) bool { return !d.stops })
		up = without(a.window, down)
	}
	rates, _ := a.rates(up)
	total := 0.0
	for _, r := range rates {
		total += r
	}
	known := total > 0
	carry, next := 0.0, 0
	for _, s := range up {
		at := s.from
		for ; next < len(a.found) && a.found[next].FoundS <= s.to; next++ {
			b := &a.found[next]
			if !s.has(b.FoundS) {
				continue
			}
			difficulty := b.DifficultyHashes
			if n.Difficulty == fixedRule {
				difficulty = n.DifficultyHashes
			}
			mean := difficulty / total
			known = known && mean >= leastMean && mean <= mostMean
			gaps, expected = append(gaps, carry+b.FoundS-at), append(expected, mean)
			carry, at = 0, b.FoundS
		}
		carry += s.to - at
	}
	if !known {
		return gaps, nil
	}
	return gaps, expected
}

// hashesPerFind holds the hashes that finds took, in units of the difficulty, against the
// exponential distribution with mean 1.
//
// A run is so short that a miner finds few blocks, and its long searches are cut off at
// the end. Counting only finds would leave those out, and the finds of small miners would
// seem to come early. So the miners' work is put behind each other to one long search: what
// a miner did after its last find belongs to the first find of the next one. Searches have
// no memory, so that these are as exponential as the others.
//
// Miners whose work is not known to the end are left out: those that were stopped in
// between, and those that found a block in another way.
func (a *analysis) hashesPerFind() {
	finds := a.finds()
	if len(finds) < leastBlocks {
		a.notEnough(len(finds), "find", leastBlocks, "the hashes per find")
		return
	}
	f := &record.Fit{Count: len(finds)}
	for _, x := range finds {
		f.Mean += x / float64(len(finds))
	}
	f.D, f.P = stats.KSExponential(finds, 1)
	f.D, f.P = orZero(f.D), orZero(f.P)
	a.s.Nonces = f
}

// finds are the hashes that each find took, in units of its difficulty.
func (a *analysis) finds() (finds []float64) {
	nodes := a.run.Manifest.Nodes
	left := a.leftOut()
	done, found := make([]float64, len(nodes)), make([][]*record.Block, len(nodes))
	for _, s := range a.run.Samples {
		if s.Hashes > done[s.Node-1] {
			done[s.Node-1] = s.Hashes
		}
	}
	for i := range a.run.Blocks {
		if b := &a.run.Blocks[i]; b.Miner > 0 && b.DifficultyHashes > 0 {
			found[b.Miner-1] = append(found[b.Miner-1], b)
		}
	}
	carry := 0.0
	for i, n := range nodes {
		if n.HashesPerS <= 0 || left[i] {
			continue
		}
		counted, difficulty := 0.0, a.run.Manifest.Network.DifficultyHashes
		for _, b := range found[i] {
			difficulty = b.DifficultyHashes
			finds = append(finds, carry+b.Hashes/difficulty)
			carry, counted = 0, counted+b.Hashes
		}
		if difficulty > 0 {
			carry += max(0, done[i]-counted) / difficulty
		}
	}
	return finds
}

// leftOut are the nodes whose work is not known to the end.
func (a *analysis) leftOut() []bool {
	nodes := make([]bool, len(a.run.Manifest.Nodes))
	for i := range nodes {
		nodes[i] = true // unless there are samples of it
	}
	for _, s := range a.run.Samples {
		if s.Hashes >= 0 {
			nodes[s.Node-1] = false
		}
	}
	for _, b := range a.run.Blocks {
		if b.Miner > 0 && !(b.Hashes >= 0) {
			nodes[b.Miner-1] = true
		}
	}
	for _, e := range a.run.Events {
		if e.Kind == "kill" || e.Kind == "stop" {
			for _, n := range e.Nodes {
				if n > 0 {
					nodes[n-1] = true
				}
			}
		}
	}
	return nodes
}

// blockDelay is how long a block took to a node, counted from 0, in seconds: not its
// miner's, and not where something disturbed the network on the way. A node that was down
// in between has the block when it is back.
func (a *analysis) blockDelay(b *record.Block, node int) (float64, bool) {
	at := b.ArrivalS[node]
	if node+1 == b.Miner || math.IsNaN(at) || b.Status == record.Withheld {
		return 0, false
	}
	at = max(at, b.FoundS) // clocks tick in whole microseconds
	return micro(at - b.FoundS), a.calmToEnd.hold(b.FoundS, at)
}

// propagation is how long blocks took to the other nodes.
func (a *analysis) propagation() {
	p := &record.Propagation{ByNode: make([]float64, len(a.run.Manifest.Nodes))}
	var all, last []float64
	byNode := make([][]float64, len(p.ByNode))
	for _, b := range a.quiet {
		latest := math.Inf(-1)
		for i := range b.ArrivalS {
			delay, ok := a.blockDelay(&b, i)
			if !ok {
				continue
			}
			all, byNode[i] = append(all, delay), append(byNode[i], delay)
			latest = max(latest, delay)
		}
		if latest >= 0 {
			p.Blocks++
			last = append(last, latest)
		}
	}
	if p.Blocks < leastBlocks {
		a.notEnough(p.Blocks, "undisturbed block", leastBlocks, "the propagation")
		return
	}
	slices.Sort(all)
	slices.Sort(last)
	p.Arrivals = len(all)
	p.P50S, p.P90S, p.P95S = stats.Quantile(all, 0.5), stats.Quantile(all, 0.9), stats.Quantile(all, 0.95)
	p.LastP50S, p.LastP95S = stats.Quantile(last, 0.5), stats.Quantile(last, 0.95)
	for i, delays := range byNode {
		slices.Sort(delays)
		p.ByNode[i] = orZero(stats.Quantile(delays, 0.5))
	}
	a.s.Propagation = p
}

// predictedBlocks is how many blocks the prediction of the stale rate simulates: its
// error is then small beside the interval of any run.
const predictedBlocks = 100_000

// staleRate is the share of stale blocks, and its prediction.
func (a *analysis) staleRate() {
	blocks := a.s.Blocks + a.s.StaleBlocks
	if blocks < leastBlocks {
		a.notEnough(blocks, "block", leastBlocks, "the stale rate")
		return
	}
	r := &record.StaleRate{Share: share(a.s.StaleBlocks, blocks), Blocks: blocks}
	a.s.StaleRate = r
	stale := 0
	settled := a.settled()
	for _, b := range a.quiet {
		if settled.find(b.FoundS) < 0 {
			continue
		}
		if b.Status != record.Withheld {
			r.ComparedBlocks++
		}
		if b.Status == record.Stale {
			stale++
		}
	}
	r.Compared = share(stale, r.ComparedBlocks)
	if r.Disturbed() {
		r.Share.Low, r.Share.High = math.NaN(), math.NaN()
	}
	if r.ComparedBlocks < leastBlocks {
		a.notEnough(r.ComparedBlocks, "undisturbed block", leastBlocks, "a prediction of the stale rate")
		return
	}
	predicted, ok := a.predictStale()
	if !ok {
		return
	}
	r.Predicted, r.PredictedError, r.Method = predicted.share, predicted.err, predicted.method
	// Each height has one block that is not stale, so that blocks tell more of the rate than
	// as many that know nothing of each other: by simulation the variance of the share is
	// 0.1 to 1.1 times the binomial one. Wilson's interval is mostly on the wide side.
	r.Compared, _ = against(r, stats.Confidence)
	r.Inside = inside(r)
}

// settled is the undisturbed time less the last moments before something disturbed it, as
// many as 19 of 20 blocks take to come to all nodes: of one that had not, the disturbance may
// have decided whether it went stale.
func (a *analysis) settled() spans {
	p := a.s.Propagation
	if p == nil {
		return a.calm
	}
	early := slices.Clone(a.disturbed)
	for i := range early {
		early[i].from -= p.LastP95S
	}
	return without(a.window, early)
}

func share(k, n int) record.Interval {
	i := record.Interval{Value: math.NaN()}
	if n > 0 {
		i.Value = float64(k) / float64(n)
	}
	i.Low, i.High = stats.Wilson(k, n)
	return i
}

// prediction is a stale rate that delays and hash rates give.
type prediction struct {
	share, err float64
	method     string
}

// predictStale simulates the mining race with the delays and hash rates that were
// measured in the undisturbed time.
func (a *analysis) predictStale() (prediction, bool) {
	rates, byManifest := a.rates(a.calm)
	var miners []int
	total := 0.0
	for i, r := range rates {
		if r > 0 {
			miners = append(miners, i)
			total += r
		}
	}
	if len(miners) < 2 {
		a.missing("There is no prediction of the stale rate: it takes two miners.")
		return prediction{}, false
	}
	delays, never, borrowed := a.pairDelays(miners)
	if delays == nil {
		a.missing("There is no prediction of the stale rate: no block of a miner came to another one.")
		return prediction{}, false
	}
	var minersRates []float64
	for _, i := range miners {
		minersRates = append(minersRates, rates[i])
	}
	interval, how := a.calmInterval(total)
	p := prediction{}
	p.share, p.err = stats.PredictStale(delays, minersRates, interval, predictedBlocks, a.rng)
	if math.IsNaN(p.share) {
		a.missing("There is no prediction of the stale rate: the delays or hash rates that were measured cannot be.")
		return p, false
	}
	from := "measured"
	if byManifest {
		from = "configured"
	}
	p.method = fmt.Sprintf("a mining race of %s simulated with the %s hash rates of %d miners, the measured block delays between them (until a block was there, which is a little before work on it; a miner's own blocks excluded), and a mean of %.4g s between finds (%s)",
		count(predictedBlocks, "block"), from, len(miners), interval, how)
	if never > 0 {
		p.method += fmt.Sprintf("; blocks that never came to a miner are in no delay (%s)", count(never, "arrival"))
	}
	if borrowed > 0 {
		p.method += fmt.Sprintf("; %d of %d pairs had no block, and take the delays of all others to that miner", borrowed, len(miners)*(len(miners)-1))
	}
	return p, true
}

// rates are the nodes' hash rates in some time, by samples, or where these do not cover
// half of it by the manifest.
func (a *analysis) rates(when spans) (rates []float64, byManifest bool) {
	length := when.length()
	for i, w := range hashing(a.run, when) {
		rate := 0.0
		if w.seconds > 0 {
			rate = w.hashes / w.seconds
		}
		rates = append(rates, rate)
		if a.run.Manifest.Nodes[i].HashesPerS > 0 && w.seconds < length/2 {
			byManifest = true
		}
	}
	if byManifest {
		for i, n := range a.run.Manifest.Nodes {
			rates[i] = n.HashesPerS
		}
	}
	return rates, byManifest
}

// calmInterval is the mean time between finds in the undisturbed time, and where it is from.
func (a *analysis) calmInterval(hashesPerS float64) (seconds float64, how string) {
	n := &a.run.Manifest.Network
	if n.Difficulty == fixedRule && n.DifficultyHashes > 0 {
		return n.DifficultyHashes / hashesPerS, "the difficulty over the hash rate"
	}
	return a.calm.length() / float64(len(a.quiet)), "as measured"
}

// maxPairDelays bounds how many delays of a pair are kept; more tell nothing new.
const maxPairDelays = 10_000

// pairDelays are the times that undisturbed blocks took from each miner to each other one,
// and the number of those that never came there: blocks that lost before they were
// everywhere, of which nobody knows how long they would have taken. A pair without any
// borrows the delays of all others to that miner, and where there are none those of all
// pairs; nil where there are none at all.
func (a *analysis) pairDelays(miners []int) (delays [][][]float64, never, borrowed int) {
	place := make(map[int]int, len(miners))
	delays = make([][][]float64, len(miners))
	for k, i := range miners {
		place[i+1] = k
		delays[k] = make([][]float64, len(miners))
	}
	to := make([][]float64, len(miners))
	var all []float64
	for _, b := range a.quiet {
		from, mines := place[b.Miner]
		if !mines {
			continue
		}
		for k, i := range miners {
			if i+1 != b.Miner && b.Status != record.Withheld && math.IsNaN(b.ArrivalS[i]) {
				never++
			}
			if d, ok := a.blockDelay(&b, i); ok && len(delays[from][k]) < maxPairDelays {
				delays[from][k], to[k], all = append(delays[from][k], d), append(to[k], d), append(all, d)
			}
		}
	}
	if len(all) == 0 {
		return nil, never, 0
	}
	for i := range delays {
		for k := range delays[i] {
			if i == k || len(delays[i][k]) > 0 {
				continue
			}
			borrowed++
			if delays[i][k] = to[k]; len(to[k]) == 0 {
				delays[i][k] = all
			}
		}
	}
	return delays, never, borrowed
}
