package conformance

import (
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Group A, 13 to 16: difficulty, and the times that it is made from.
var difficultyCases = []conformanceCase{
	{number: 13, name: "hdr-timewarp-boundary", rules: "H5", run: func(s *stage) {
		draw := func() {
			s.paced("genesis", "a", 1, 2013, s.time("genesis")+600, 600)
			s.Mine("a2013", "a2014", s.seconds("a2013", 200_000))
			s.Mine("a2014", "a2015", s.seconds("a2014", -7201)) // ends its period
			s.Mine("a2015", "b2016", s.seconds("a2015", -7201))
			s.Mine("a2015", "a2016", s.seconds("a2015", -7200))
			s.Mine("a2016", "a2017", s.seconds("a2016", -7201))
		}
		s.network(nil) // a fixed difficulty has no periods
		draw()
		s.hearHeaders("b2016")
		s.network(periods)
		draw()
		s.accept("a2015")
		s.reject("b2016", consensus.ErrTimeWarp)
		s.accept("a2017")
	}},
	{number: 14, name: "hdr-murch-zawy", rules: "H6", run: func(s *stage) {
		// The first period cannot go back behind genesis, because of the
		// median. The first block of the second one is far ahead of the rest.
		draw := func() {
			s.paced("genesis", "a", 1, 2015, s.time("genesis")+600, 600)
			s.Mine("a2015", "a2016", s.seconds("a2015", 500_000))
			s.paced("a2016", "a", 2017, 4030, s.time("a2015")+60, 60)
			s.Mine("a4030", "b4031", s.seconds("a2016", -1))
			s.Mine("a4030", "a4031", s.seconds("a2016", 0))
		}
		s.network(nil)
		draw()
		s.hearHeaders("b4031")
		s.network(periods)
		draw()
		s.accept("a4030")
		s.reject("b4031", consensus.ErrTimeNegative)
		s.accept("a4031")
	}},
	{number: 15, name: "hdr-retarget-clamp", rules: "D8 H3", door: "headers from a peer; a refused block by all doors " +
		"(the bodies of 18,144 blocks would show nothing more); btcd judges in TestOracle/retargets of consensus",
		run: retargetClamp},
	{number: 16, name: "hdr-asert-vectors", rules: "D3 D5 D6", run: asertExact, door: "submit, p2p, announcement, proposal for lateness in steps; " +
		"the published rows: TestASERTVectors of consensus, by the function (their targets are too hard to mine)"},
}

// periods is Bitcoin's difficulty rule on easy targets.
func periods(p *consensus.Params) { p.Rule = consensus.RuleBitcoin }

// retargetClamp lets periods take a quarter of their schedule and four times it,
// and a little more and less, until the target is as easy as the limit.
func retargetClamp(s *stage) {
	const schedule = 2016 * 600 // seconds
	s.network(func(p *consensus.Params) { p.Rule, p.StartBits = consensus.RuleBitcoin, 0x201fffff })
	s.now = s.now.Add(365 * 24 * time.Hour)
	parent, old := "genesis", s.Params.StartBits
	for i, period := range []struct {
		span int64 // seconds from its first block to its last
		bits uint32
	}{
		{schedule/4 - 1, 0x2007ffff}, // as if it were schedule / 4
		{4*schedule + 6, 0x201ffffc}, // as if it were 4 · schedule
		{schedule / 4, 0x2007ffff},
		{4 * schedule, 0x201ffffc},
		{schedule/4 + 1, 0x20080000},
		{4*schedule - 1, 0x201fffff},
		{4 * schedule, 0x207ffffc},
		{schedule * 3 / 2, 0x207fffff}, // the limit
		{4 * schedule, 0x207fffff},     // whose fourfold has more than 256 bits
	} {
		height, first := 2016*i, s.time(parent)
		s.paced(parent, "a", height+1, height+2014, first+period.span/2015, period.span/2015)
		last, next := fmt.Sprint("a", height+2015), fmt.Sprint("a", height+2016)
		s.Mine(fmt.Sprint("a", height+2014), last, chaintest.At(uint32(first+period.span)))
		s.wantBits(last, next, period.bits)
		if after := next + "-too-late"; period.bits != old {
			s.Mine(next, after, withBits(old))
			s.reject(after, consensus.ErrBadDiffBits)
			s.Mine(fmt.Sprint("a", height+2014), last+"-too-early", withBits(period.bits))
			s.reject(last+"-too-early", consensus.ErrBadDiffBits)
		}
		parent, old = next, period.bits
	}
}

// wantBits mines the named child and checks that nodes ask for exactly these
// bits: those beside them are refused, by whatever door.
func (s *stage) wantBits(parent, child string, bits uint32) {
	s.t.Helper()
	s.Mine(parent, child)
	if got := s.Block(child).Header.Bits; got != bits {
		s.t.Errorf("%s carries bits %08x, want %08x", child, got, bits)
	}
	s.hearHeaders(child)
	for _, beside := range []uint32{bits - 1, bits + 1} {
		if beside > s.Params.PowLimitBits {
			continue // no target at all
		}
		name := fmt.Sprintf("%s with %08x", child, beside)
		s.Mine(parent, name, withBits(beside))
		s.reject(name, consensus.ErrBadDiffBits)
	}
}

// asertExact is a network with the published vectors' spacing and half-life. Its
// first block comes a year late, which counts for nothing; the second one is so
// many seconds late, or early.
//
//	genesis ---- a1 - late … - child
func asertExact(s *stage) {
	const halfLife = 172_800
	s.network(func(p *consensus.Params) {
		p.Rule, p.HalfLife, p.StartBits = consensus.RuleASERT, halfLife, 0x20080000
	})
	s.now = s.now.Add(3 * 365 * 24 * time.Hour)
	s.Mine("genesis", "a1", s.seconds("genesis", 365*24*3600))
	s.wantBits("a1", "a2", 0x20080000)
	for _, c := range []struct {
		late int64
		bits uint32
	}{
		{0, 0x20080000},
		{2, 0x20080000}, {3, 0x20080008}, // a 65,536th of a half-life and its fractions
		{-2, 0x20080000}, {-3, 0x2007fffc}, // are rounded towards zero
		{600, 0x200804f0}, {-599, 0x2007fb1c},
		{halfLife / 2, 0x200b5010}, {halfLife - 1, 0x200ffff8},
		{halfLife, 0x20100000}, {halfLife * 3 / 2, 0x2016a020}, {2 * halfLife, 0x20200000},
		{4 * halfLife, 0x207fffff}, {40 * halfLife, 0x207fffff}, // the limit
	} {
		name := fmt.Sprintf("late %d", c.late)
		s.Mine("a1", name, s.seconds("a1", 600+c.late))
		s.deliver(name)
		s.wantBits(name, name+" child", c.bits)
		s.deliver(name + " child")
	}
	// 320 blocks that take a minute each are a half-life ahead of schedule.
	s.paced("a1", "b", 2, 321, s.time("a1")+60, 60)
	s.deliver("b321")
	s.wantBits("b321", "b322", 0x20040000)
	s.accept("b322")
}

// paced mines the blocks prefix+from to prefix+to on a parent: the first one at
// the given time, each step seconds after the one before.
func (s *stage) paced(parent, prefix string, from, to int, unix, step int64) {
	s.t.Helper()
	for n := from; n <= to; n++ {
		name := fmt.Sprint(prefix, n)
		s.Mine(parent, name, chaintest.At(uint32(unix)))
		parent = name
		unix += step
	}
}
