package consensus_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// model is a network whose blocks are drawn, not mined: NextBits says how hard
// the next one is, and the time that it takes is exponential. What is measured
// is always the true time, whatever the headers state.
type model struct {
	p    *consensus.Params
	rng  *rand.Rand
	tip  *consensus.BlockIndex
	now  float64 // Unix seconds
	rate float64 // hashes per second
	// lax leaves BIP54's timestamp rules out, for the counter-experiment.
	lax bool
}

// hashesAtDifficulty1 is the work of bits 1d00ffff.
const hashesAtDifficulty1 = 0x100010001

func hashes(bits uint32) float64 { return consensus.Difficulty(bits) * hashesAtDifficulty1 }

// newModel is a network at genesis whose hash rate fits start_bits.
func newModel(p *consensus.Params, seed uint64) *model {
	return &model{
		p:    p,
		rng:  rand.New(rand.NewPCG(seed, 0x6b61706f6b)),
		tip:  consensus.NewTree(p).Genesis(),
		now:  float64(p.GenesisTime),
		rate: hashes(p.StartBits) / float64(p.Spacing),
	}
}

// clock is what a block says about its time, given the earliest and the latest
// that the rules allow and the true one.
type clock func(m *model, earliest, latest, now int64) int64

func honest(_ *model, earliest, _, now int64) int64 { return max(earliest, now) }

// mine draws one block.
func (m *model) mine(says clock) {
	bits := consensus.NextBits(m.p, m.tip)
	m.now += m.rng.ExpFloat64() * hashes(bits) / m.rate
	earliest := m.earliest()
	// A miner whose earliest time is too far ahead waits.
	m.now = max(m.now, float64(earliest-m.p.FutureLimit))
	now := int64(m.now)
	time := says(m, earliest, now+m.p.FutureLimit, now)
	m.tip = m.tip.Child(&consensus.Header{Version: 4, Prev: m.tip.Hash, Time: uint32(time), Bits: bits})
}

// earliest is the least time that the rules allow to the next block.
func (m *model) earliest() int64 {
	earliest := m.tip.MTP() + 1
	if m.p.Rule != consensus.RuleBitcoin || m.lax {
		return earliest
	}
	switch height := m.tip.Height + 1; height % 2016 {
	case 0:
		return max(earliest, int64(m.tip.Header.Time)-7200)
	case 2015:
		return max(earliest, int64(m.tip.Ancestor(height-2015).Header.Time))
	}
	return earliest
}

// run mines n blocks and returns their mean spacing in true seconds.
func (m *model) run(n int, says clock) float64 {
	start := m.now
	for range n {
		m.mine(says)
	}
	return (m.now - start) / float64(n)
}

// difficulty is the next block's, relative to one that fits the hash rate.
func (m *model) difficulty() float64 {
	return hashes(consensus.NextBits(m.p, m.tip)) / m.rate / float64(m.p.Spacing)
}

// bitcoinModel is the 2016 rule with room above the starting target.
func bitcoinModel(t *testing.T) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	p.Name, p.Rule, p.StartBits = "bitcoin-model", consensus.RuleBitcoin, 0x1f100000
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// mainModel is main with room above the starting target.
func mainModel(t *testing.T) *consensus.Params {
	t.Helper()
	p := consensus.Main()
	p.Name, p.StartBits, p.PowLimitBits = "main-model", 0x1f100000, 0x207fffff
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// off is how far a ratio is from 1.
func off(ratio float64) float64 { return math.Abs(ratio - 1) }

func percent(ratio float64) string {
	if math.IsInf(ratio, 1) {
		return "infinite: it stalls"
	}
	return fmt.Sprintf("%+.2f %%", 100*(ratio-1))
}

// Block 1 comes a year after genesis. The anchored rule does not notice; the
// relative one counts half a halving and no more.
func TestDifficultyGenesisAYearOld(t *testing.T) {
	for _, test := range []struct {
		p     *consensus.Params
		least float64 // difficulty of block 2
		most  float64
	}{
		{mainModel(t), 1, 1},
		{consensus.Local(), 0.5, 0.52},
		{consensus.Dev(), 0.5, 0.52},
		{bitcoinModel(t), 1, 1},
	} {
		const seeds = 200
		var spacing float64
		var second float64
		for seed := range uint64(seeds) {
			m := newModel(test.p, seed)
			m.now += 365 * 86_400
			m.mine(honest)
			second = m.difficulty()
			m.run(99, honest)
			spacing += m.run(10, honest) / float64(test.p.Spacing) / seeds
		}
		t.Logf("%s: difficulty of block 2 %.3f, spacing after 100 blocks %s", test.p.Name, second, percent(spacing))
		if second < test.least*0.999 || second > test.most*1.001 {
			t.Errorf("%s: the difficulty of block 2 is %.3f", test.p.Name, second)
		}
		if off(spacing) > 0.10 {
			t.Errorf("%s: spacing is %s after 100 blocks", test.p.Name, percent(spacing))
		}
	}
}

// Nobody mines for 12 hours. On waking the difficulty has at most halved, and
// 100 blocks later the spacing is within 10 % of its target.
func TestDifficultySleep(t *testing.T) {
	for _, p := range []*consensus.Params{consensus.Local(), consensus.Dev(), mainModel(t)} {
		const seeds = 200
		least, at100, after := math.Inf(1), 0.0, 0.0
		for seed := range uint64(seeds) {
			m := newModel(p, seed)
			m.run(500, honest)
			before := m.difficulty()
			m.now += 12 * 3600
			m.mine(honest)
			least = min(least, m.difficulty()/before)
			m.run(99, honest)
			at100 += m.run(10, honest) / float64(p.Spacing) / seeds
			after += m.run(90, honest) / float64(p.Spacing) / seeds
		}
		t.Logf("%s: difficulty × %.3f at the least; spacing %s at blocks 100 to 110, %s at 110 to 200", p.Name, least, percent(at100), percent(after))
		if least < 0.5 {
			t.Errorf("%s: the difficulty fell to %.3f", p.Name, least)
		}
		// main makes good what it lost, over its half-life of 288 blocks.
		if mark := 0.10; p.Rule == consensus.RuleASERTRelative && (off(at100) > mark || off(after) > mark) {
			t.Errorf("%s: spacing is %s and %s", p.Name, percent(at100), percent(after))
		}
	}
}

// The hash rate changes by a factor of 100: a network's difficulty is back within
// a factor of 1.3 after so many blocks, on average over many networks.
func TestDifficultyHashRateJumps(t *testing.T) {
	for _, test := range []struct {
		factor      float64
		about, most float64 // blocks
	}{
		{100, 245, 300},
		{0.01, 55, 100},
	} {
		const seeds = 200
		var mean, longest float64
		for seed := range uint64(seeds) {
			m := newModel(consensus.Local(), seed)
			m.run(300, honest)
			m.rate *= test.factor
			blocks := 0.0
			for math.Abs(math.Log(m.difficulty())) > math.Log(1.3) {
				m.mine(honest)
				blocks++
			}
			mean += blocks / seeds
			longest = max(longest, blocks)
		}
		t.Logf("local, hash rate × %g: back within a factor of 1.3 after %.0f blocks, %.0f at the most", test.factor, mean, longest)
		if off(mean/test.about) > 0.15 || mean > test.most {
			t.Errorf("hash rate × %g: back after %.0f blocks, want about %.0f", test.factor, mean, test.about)
		}
	}
}

// In the steady state blocks come on schedule, and the difficulty swings as a
// random walk with that half-life must: sqrt(ln 2 · spacing / (2 · half-life)).
func TestDifficultySteadyState(t *testing.T) {
	for _, test := range []struct {
		p      *consensus.Params
		spread float64
	}{
		{consensus.Local(), 0.1075},
		{consensus.Dev(), 0.1075},
		{mainModel(t), 0.0347},
		{bitcoinModel(t), 0.0223}, // 1/sqrt(2015): one period's noise
	} {
		const blocks = 50_000
		m := newModel(test.p, 1)
		m.run(2016*3, honest)
		start := m.now
		var sum, squares float64
		for range blocks {
			m.mine(honest)
			l := math.Log(m.difficulty())
			sum += l
			squares += l * l
		}
		spacing := (m.now - start) / blocks / float64(test.p.Spacing)
		spread := math.Sqrt(squares/blocks - sum/blocks*sum/blocks)
		t.Logf("%s: mean spacing %s, difficulty spread %.1f %%", test.p.Name, percent(spacing), 100*spread)
		if off(spacing) > 0.01 {
			t.Errorf("%s: mean spacing is %s", test.p.Name, percent(spacing))
		}
		if off(spread/test.spread) > 0.25 {
			t.Errorf("%s: difficulty spread is %.3f, want about %.3f", test.p.Name, spread, test.spread)
		}
	}
}

// Miners with a share of the hash rate state whatever times they like. Those that
// state the past keep the median of the last blocks back.
var warps = []struct {
	name string
	past bool
	says clock
}{
	{"future", false, func(_ *model, _, latest, _ int64) int64 { return latest }},
	{"flip", false, func(m *model, earliest, latest, _ int64) int64 {
		if m.tip.Height%2 == 0 {
			return latest
		}
		return earliest
	}},
	{"random", false, func(m *model, earliest, latest, _ int64) int64 {
		return earliest + m.rng.Int64N(latest-earliest+1)
	}},
	{"warp", true, func(m *model, earliest, latest, _ int64) int64 {
		if m.tip.Height%2016 == 2014 { // the last block of a period
			return latest
		}
		return earliest
	}},
	{"seesaw", true, func(m *model, earliest, latest, _ int64) int64 {
		if m.tip.Height%12 == 0 {
			return latest
		}
		return earliest
	}},
	{"past", true, func(_ *model, earliest, _, _ int64) int64 { return earliest }},
}

// warped runs a network of which a share of the miners warps the time. It returns
// the spacing relative to its target after ten half-lives, or ten periods, and
// the same from the first block on; +Inf where the network stalls.
func warped(p *consensus.Params, share float64, says clock, lax bool) (settled, all float64) {
	const century = 100 * 365 * 86_400 // the headers' times stay within 32 bits
	warmUp, blocks := int(10*p.HalfLife/p.Spacing), 10_000
	if p.Rule == consensus.RuleBitcoin {
		warmUp, blocks = 10*2016, 10*2016
	}
	m := newModel(p, 7)
	m.lax = lax
	begin, start := m.now, m.now
	mixed := func(m *model, earliest, latest, now int64) int64 {
		if m.rng.Float64() < share {
			return says(m, earliest, latest, now)
		}
		return honest(m, earliest, latest, now)
	}
	for i := range warmUp + blocks {
		if i == warmUp {
			start = m.now
		}
		if m.mine(mixed); m.now > begin+century/2 {
			return math.Inf(1), math.Inf(1)
		}
	}
	spacing := float64(p.Spacing)
	return (m.now - start) / float64(blocks) / spacing, (m.now - begin) / float64(warmUp+blocks) / spacing
}

// Whatever times 51 % or 90 % of the miners state, blocks come on schedule. The
// one exception harms those who try it: with 90 % of the hash rate, stating the
// past raises the difficulty against oneself until asert and bitcoin, as on the
// chains that they come from, stall, and asert makes good for it later. So much
// hash rate can stall any chain by leaving it, and the schedule since the first
// block is never run ahead of. asert-relative stays within its mark even then.
func TestDifficultyTimeWarp(t *testing.T) {
	for _, test := range []struct {
		p     *consensus.Params
		marks [2]float64
	}{
		{mainModel(t), [2]float64{0.05, 0.05}},
		{consensus.Local(), [2]float64{0.05, 0.20}},
		{bitcoinModel(t), [2]float64{0.05, 0.05}},
	} {
		for i, share := range []float64{0.51, 0.90} {
			for _, warp := range warps {
				what := fmt.Sprintf("%s, %.0f %% of the miners, %s", test.p.Name, 100*share, warp.name)
				settled, all := warped(test.p, share, warp.says, false)
				t.Logf("%s: spacing %s (from the first block on %s)", what, percent(settled), percent(all))
				if warp.past && share == 0.90 && test.p.Rule != consensus.RuleASERTRelative {
					if all < 1-test.marks[i] {
						t.Errorf("%s: the network runs ahead of its schedule", what)
					}
				} else if off(settled) > test.marks[i] {
					t.Errorf("%s: spacing %s", what, percent(settled))
				}
			}
		}
	}
}

// Without BIP54's rules the warp breaks the 2016 rule: the attack that the test
// above withstands is a real one.
func TestDifficultyTimeWarpWithoutBIP54(t *testing.T) {
	for _, warp := range warps {
		if warp.name != "warp" {
			continue
		}
		spacing, _ := warped(bitcoinModel(t), 0.90, warp.says, true)
		t.Logf("2016 rule without BIP54, 90 %% of the miners, %s: spacing %s", warp.name, percent(spacing))
		if spacing > 0.5 {
			t.Errorf("spacing is %s", percent(spacing))
		}
	}
}
