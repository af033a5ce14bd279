package conformance

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// Group A: headers. Those of difficulty and time rules that need a long chain
// are in difficulty_test.go.
var headerCases = append(append([]conformanceCase{
	{number: 1, name: "hdr-pow-high", rules: "H2", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a1")
		s.rejectUnseen(s.unsolved("a2"), consensus.ErrHighHash)
		s.accept("a2")
	}},
	{number: 2, name: "hdr-bits-wrong", rules: "H3 D4", run: func(s *stage) {
		s.network(twoEncodings)
		s.Mine("genesis", "first", withBits(0x200fffff))
		s.reject("first", consensus.ErrBadDiffBits)
		s.Grow("genesis - a1 - a2")
		s.Mine("a2", "harder", withBits(0x200fffff))
		s.Mine("a2", "easier", withBits(0x20100001))
		s.accept("a2")
		s.reject("harder", consensus.ErrBadDiffBits)
		s.reject("easier", consensus.ErrBadDiffBits)
		if bits := s.Block("a2").Header.Bits; bits != 0x20100000 {
			s.t.Errorf("the difficulty is fixed, and a2 carries %08x", bits)
		}
	}},
	// Of each kind of broken bits one whose hash would do if the fault were not
	// seen: then these bits are no target at all, or not the ones asked for.
	{number: 3, name: "hdr-bits-negative", rules: "H2 D1", run: func(s *stage) {
		s.network(twoEncodings)
		s.brokenBits(0x20880000, 0x20080000)
		s.brokenBits(0x1d80ffff, 0x20080000)
	}},
	{number: 4, name: "hdr-bits-zero", rules: "D1", run: func(s *stage) {
		s.network(twoEncodings)
		for _, bits := range []uint32{0, 0x20000000, 0x20800000, 0x00123456, 0x01003456} {
			s.brokenBits(bits, 0x20080000)
		}
	}},
	{number: 5, name: "hdr-bits-overflow", rules: "H2 D1", run: func(s *stage) {
		s.network(twoEncodings)
		s.brokenBits(0x21010800, 0x20080000)
		s.brokenBits(0x22000110, 0x20080000)
		s.brokenBits(0xff7fffff, 0x20080000)
	}},
	{number: 6, name: "hdr-bits-above-limit", rules: "H2", run: func(s *stage) {
		s.network(twoEncodings)
		s.brokenBits(0x20200001, 0x20080000)
		// The limit itself is a target, though not the one asked for.
		s.Mine("genesis", "limit", withBits(0x20200000))
		s.reject("limit", consensus.ErrBadDiffBits)
	}},
	{number: 7, name: "hdr-bits-noncanonical", rules: "H3", run: func(s *stage) {
		s.network(twoEncodings)
		s.Mine("genesis", "other", withBits(0x21001000)) // 0x20100000's target
		s.reject("other", consensus.ErrBadDiffBits)
		s.Grow("genesis - a1")
		s.accept("a1")
	}},
	{number: 8, name: "hdr-time-mtp", rules: "H4", run: func(s *stage) {
		// Near genesis there are fewer than eleven; of two the later counts.
		s.Mine("genesis", "first", s.seconds("genesis", 0))
		s.Grow("genesis - a1")
		s.Mine("a1", "second", s.seconds("a1", 0))
		s.elevenBlocks()
		s.Mine("a24", "old", s.seconds("a19", 0))
		s.Mine("a24", "older", s.seconds("a19", -1))
		s.reject("first", consensus.ErrTimeTooOld)
		s.accept("a1")
		s.reject("second", consensus.ErrTimeTooOld)
		s.accept("a24")
		s.reject("old", consensus.ErrTimeTooOld)
		s.reject("older", consensus.ErrTimeTooOld)
	}},
	{number: 9, name: "hdr-time-mtp+1", rules: "H4", run: func(s *stage) {
		s.Mine("genesis", "a1", s.seconds("genesis", 1))
		s.Mine("a1", "a2", s.seconds("a1", 1))
		s.elevenBlocks()
		s.Mine("a24", "a25", s.seconds("a19", 1))
		s.accept("a25")
	}},
	{number: 10, name: "hdr-time-future", rules: "H7", run: func(s *stage) {
		s.Grow("genesis - a1")
		s.accept("a1")
		s.Mine("a1", "a2", chaintest.At(uint32(s.now.Unix()+s.Params.FutureLimit+1)))
		s.later("a2", consensus.ErrTimeTooNew)
		s.now = s.now.Add(time.Second)
		s.accept("a2")
	}},
	{number: 11, name: "hdr-time-future-edge", rules: "H7", run: func(s *stage) {
		s.Grow("genesis - a1")
		s.Mine("a1", "a2", chaintest.At(uint32(s.now.Unix()+s.Params.FutureLimit)))
		s.accept("a2")
	}},
	{number: 12, name: "hdr-time-wrap", rules: "H4 H7", run: func(s *stage) {
		const last = 1<<32 - 1 // second that a header can state
		s.Grow("genesis - a1")
		s.accept("a1")
		s.Mine("a1", "a2", chaintest.At(last))
		s.later("a2", consensus.ErrTimeTooNew)
		s.now = time.Unix(last-s.Params.FutureLimit-1, 0)
		s.later("a2", consensus.ErrTimeTooNew)
		s.now = time.Unix(last-s.Params.FutureLimit, 0) // clock and limit are 2^32 - 1
		s.accept("a2")
		s.now = time.Unix(last, 0) // and more
		s.Mine("a2", "a3", chaintest.At(last))
		s.accept("a3")
		// No time is after this median. The sum of it and 1 must not wrap.
		s.Mine("a3", "zero", chaintest.At(0))
		s.reject("zero", consensus.ErrTimeTooOld)
	}},
}, difficultyCases...), []conformanceCase{
	{number: 17, name: "hdr-version-old", rules: "H8", run: func(s *stage) {
		s.Grow("genesis - a1")
		s.accept("a1")
		for _, version := range []uint32{3, 2, 1, 0, 0xffffffff, 0x80000000} {
			name := fmt.Sprintf("old %08x", version)
			s.Mine("a1", name, withVersion(version))
			s.reject(name, consensus.ErrBadVersion)
		}
		s.Mine("a1", "a2", withVersion(4))
		s.Mine("a2", "a3", withVersion(0x20000000|consensus.VersionRollMask))
		s.Mine("a3", "a4", withVersion(0x7fffffff))
		s.accept("a4")
	}},
	{number: 18, name: "hdr-prev-unknown", rules: "H10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a1")
		s.later("a3", consensus.ErrPrevNotFound)
		s.wantHeadersAsked("a3")
		s.accept("a3")
	}},
	{number: 19, name: "hdr-prev-invalid", rules: "H11", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3
			          a1 - b2
		`)
		s.Mine("b2", "b3", chaintest.Claim(1))
		s.Grow("b3 - b4 - b5 - b6")
		s.accept("a2")
		s.store("b2")
		s.reject("b3", consensus.ErrCoinbaseAmount)
		s.reject("b4", consensus.ErrPrevInvalid)
		s.never("b5", consensus.ErrPrevNotFound) // its parent was never worth remembering
		s.accept("a3")
	}},
	{number: 20, name: "hdr-duplicate", rules: "H9", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3
			          a1 - b2
		`)
		s.accept("a3")
		s.store("b2")
		for _, name := range []string{"a3", "a2", "b2", chaintest.Genesis} {
			s.again(name, consensus.ErrDuplicate, consensus.Temporary)
		}
		s.hearHeaders("a3") // likewise nobody's fault
		s.at("a3")
	}},
	{number: 21, name: "hdr-dup-invalid", rules: "H9 W4", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.Mine("a1", "b2", chaintest.Claim(1))
		s.Grow("b2 - b3 - b4 - b5")
		s.accept("a1")
		s.hearHeaders("b4") // before anybody can know what is wrong with b2
		s.reject("b2", consensus.ErrCoinbaseAmount)
		for _, name := range []string{"b2", "b3", "b4"} {
			s.again(name, consensus.ErrDuplicateInvalid, consensus.Invalid)
		}
		s.reject("b5", consensus.ErrPrevInvalid)
		s.accept("a2")
	}},
	{number: 22, name: "hdr-low-work-chain", rules: "W8", door: "p2p, and consensus.Presync", run: lowWorkChain},
	{number: 23, name: "hdr-genesis-fork", rules: "H10 N6", run: func(s *stage) {
		s.Grow("genesis - a1")
		s.accept("a1")
		elsewhere := *s.Params
		elsewhere.GenesisText = "another seed"
		s.check(elsewhere.Init())
		other := chaintest.New(s.t, &elsewhere)
		other.Grow("genesis - x1")
		for _, name := range []string{chaintest.Genesis, "x1"} {
			s.refused(other.Block(name), consensus.ErrPrevNotFound, consensus.Temporary)
		}
		for _, n := range s.nodes {
			n.Connected(s.now, p2p.Peer{ID: "stranger"})
			n.hear("stranger", &p2p.Hello{Version: p2p.Version, Genesis: elsewhere.GenesisHash(), Nonce: 1, Agent: "/stranger/"})
			if n.dropped("stranger", consensus.Temporary) == nil {
				s.t.Errorf("%s: a peer on another genesis is not dropped", n.door)
			}
			n.Disconnected(s.now, "stranger")
		}
	}},
}...)

// lowWorkChain is case 22: below min_work, and below the tip's work less 144 blocks.
func lowWorkChain(s *stage) {
	const enough = 2050 // blocks, more than one message has headers
	s.network(func(p *consensus.Params) {
		p.MinWork = consensus.Uint256{consensus.WorkOf(p.StartBits)[0] * (enough + 1)} // and genesis
	})
	s.Grow("genesis - a1..a2060")
	rng := rand.New(rand.NewPCG(22, 22))
	for _, n := range s.nodes {
		weak := n.join("a2049")
		n.talk(rng, weak)
		if n.Lookup(s.Hash("a1")) != nil || n.Tip().Height != 0 {
			s.t.Errorf("%s: headers of a chain below min_work are kept", n.door)
		}
		n.talk(rng, weak, n.join("a2060"))
	}
	s.at("a2060")

	genesis := consensus.NewTree(s.Params).Genesis()
	look := consensus.NewPresync(s.Params, genesis, s.Params.MinWork, s.now, rng)
	_, err := look.Next(headersOf(s.Path("a2049")), false, s.now)
	s.wantErr("the chain up to a2049", err, consensus.ErrTooLittleWork, consensus.Temporary)

	s.network(nil)
	s.Grow(`
		genesis - a1..a160
		a14 - b15
		a15 - c16
	`)
	s.accept("a160")
	for _, n := range s.nodes {
		peer := n.meet()
		for name, kept := range map[string]bool{"b15": false, "c16": true} {
			n.hear(peer, &p2p.Headers{Headers: []consensus.Header{s.Block(name).Header}})
			if got := n.Lookup(s.Hash(name)) != nil; got != kept {
				s.t.Errorf("%s: the header of %s, the tip being a160, is kept: %v, want %v", n.door, name, got, kept)
			}
		}
		if rule := n.dropped(peer, consensus.Temporary); rule != nil {
			s.t.Errorf("%s: the sender of headers of little work is dropped: %v", n.door, rule)
		}
	}
	s.at("a160")
}

// twoEncodings is a fixed difficulty of 16 hashes, whose target has two
// encodings and is harder than the limit.
func twoEncodings(p *consensus.Params) {
	p.StartBits, p.PowLimitBits = 0x20100000, 0x20200000
}

// brokenBits is a block on genesis with bits that are no target of the network,
// while its hash meets another one.
func (s *stage) brokenBits(bits, meets uint32) {
	s.t.Helper()
	name := fmt.Sprintf("bits %08x", bits)
	s.Mine(chaintest.Genesis, name, withBits(bits))
	s.rejectUnseen(s.solvedAs(name, meets), consensus.ErrHighHash)
}

// elevenBlocks grows the chain to a24. The last eleven are in order, a19 in
// their middle; the one before them, a13, is far ahead, so that ten or twelve
// would have another median.
func (s *stage) elevenBlocks() {
	s.t.Helper()
	s.Grow("genesis - a1..a12")
	s.Mine("a12", "a13", s.seconds("a12", 100_000))
	for i := range 11 {
		s.Mine(fmt.Sprint("a", 13+i), fmt.Sprint("a", 14+i), s.seconds("a12", 600*int64(i+1)))
	}
}
