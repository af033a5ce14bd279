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

	// For counter-experiments:
	lax  bool                                                  // BIP54's timestamp rules are left out
	bits func(*consensus.Params, *consensus.BlockIndex) uint32 // NextBits, or a rule that is not Kapok's
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
		bits: consensus.NextBits,
	}
}

// clock is what a block says about its time, given the earliest and the latest
// that the rules allow and the true one.
type clock func(m *model, earliest, latest, now int64) int64

func honest(_ *model, earliest, _, now int64) int64 { return max(earliest, now) }

// mine draws one block.
func (m *model) mine(says clock) {
	bits := m.bits(m.p, m.tip)
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
	if m.lax {
		return m.tip.MTP() + 1
	}
	return consensus.MinTime(m.p, m.tip)
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
	return hashes(m.bits(m.p, m.tip)) / m.rate / float64(m.p.Spacing)
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

// Under Bitcoin's rule 12 hours are 72 blocks of a period of 2016: the next one
// is easier by as much, and the one after it is not.
func TestDifficultySleepBitcoin(t *testing.T) {
	const seeds = 30
	next, after := 0.0, 0.0
	for seed := range uint64(seeds) {
		m := newModel(bitcoinModel(t), seed)
		m.run(1000, honest)
		m.now += 12 * 3600
		m.run(1015, honest)
		next += m.difficulty() / seeds
		m.run(2016, honest)
		after += m.difficulty() / seeds
	}
	t.Logf("bitcoin-model: difficulty × %.3f in the next period, × %.3f in the one after", next, after)
	if want := 1 / (1 + 72.0/2015); off(next/want) > 0.01 || off(after) > 0.01 {
		t.Errorf("difficulty × %.3f and × %.3f, want %.3f and 1", next, after, want)
	}
}

// The rule that follows nothing: whatever happens, the bits are start_bits.
func TestDifficultyFixed(t *testing.T) {
	m := newModel(consensus.Regtest(), 1)
	for _, factor := range []float64{1, 100, 0.01} {
		m.now += 12 * 3600
		m.rate *= factor
		for range 100 {
			if m.mine(sometimes(0.5, past)); m.tip.Header.Bits != m.p.StartBits {
				t.Fatalf("block %d carries %08x", m.tip.Height, m.tip.Header.Bits)
			}
		}
	}
}

// The hash rate changes by a factor of 100: a network's difficulty is back within
// a factor of 1.3 after so many blocks, on average over many networks. Bitcoin's
// rule takes four periods, the first of which has 300 blocks behind it.
func TestDifficultyHashRateJumps(t *testing.T) {
	for _, test := range []struct {
		p           *consensus.Params
		factor      float64
		seeds       uint64
		about, most float64 // blocks
	}{
		{consensus.Local(), 100, 200, 245, 300},
		{consensus.Local(), 0.01, 200, 55, 100},
		{consensus.Dev(), 100, 50, 245, 300},
		{consensus.Dev(), 0.01, 50, 60, 100},
		{mainModel(t), 100, 20, 2400, 2600},
		{mainModel(t), 0.01, 20, 610, 700},
		{bitcoinModel(t), 100, 3, 4*2016 - 301, 4*2016 - 301},
		{bitcoinModel(t), 0.01, 3, 4*2016 - 301, 4*2016 - 301},
	} {
		var mean, longest, days float64
		for seed := range test.seeds {
			m := newModel(test.p, seed)
			m.run(300, honest)
			m.rate *= test.factor
			blocks, at := 0.0, m.now
			for math.Abs(math.Log(m.difficulty())) > math.Log(1.3) {
				m.mine(honest)
				blocks++
			}
			mean += blocks / float64(test.seeds)
			days += (m.now - at) / 86_400 / float64(test.seeds)
			longest = max(longest, blocks)
		}
		what := fmt.Sprintf("%s (%s), hash rate × %g", test.p.Name, test.p.Rule, test.factor)
		t.Logf("%s: back within a factor of 1.3 after %.0f blocks, %.0f at the most, %.2f days", what, mean, longest, days)
		if off(mean/test.about) > 0.15 || mean > test.most {
			t.Errorf("%s: back after %.0f blocks, want about %.0f", what, mean, test.about)
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
