package consensus_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/vectors"
)

// ok stands in tables for "is accepted".
const ok consensus.Code = ""

// want fails unless err is a RuleError with this code and kind, or nil for ok.
func want(t *testing.T, err error, code consensus.Code, kind consensus.Kind) {
	t.Helper()
	rule := consensus.AsRuleError(err)
	switch {
	case code == ok:
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case rule == nil:
		t.Errorf("got %v, want %s (%s)", err, code, kind)
	case rule.Code != code || rule.Kind != kind:
		t.Errorf("got %v (%s), want %s (%s)", err, rule.Kind, code, kind)
	}
}

// easy is regtest under another rule, with targets that have two encodings.
func easy(t *testing.T, rule consensus.Rule) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	p.Name, p.Rule = "easy", rule
	p.StartBits, p.PowLimitBits = 0x20100000, 0x20100000 // 16 hashes
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

// The rules on a header in its place, by Tree.AddHeader and CheckHeader. The
// conformance suite asks the same of whole nodes.
func TestHeaderRules(t *testing.T) {
	const future = 7200
	clock := time.Unix(1_000_000_000, 0) // far after the chain
	seal := func(edit func(h *consensus.Header)) chaintest.Option {
		return chaintest.Seal(func(b *consensus.Block) { edit(&b.Header) })
	}
	bits := func(n uint32) chaintest.Option {
		return seal(func(h *consensus.Header) { h.Bits = n })
	}
	version := func(n uint32) chaintest.Option {
		return seal(func(h *consensus.Header) { h.Version = int32(n) })
	}
	atMTP := func(c *chaintest.Chain, more int64) chaintest.Option {
		return chaintest.At(uint32(c.Index("a12").MTP() + more))
	}
	at := func(unix int64) chaintest.Option { return chaintest.At(uint32(unix)) }

	for _, test := range []struct {
		name   string
		option func(c *chaintest.Chain) chaintest.Option
		spoil  bool // the nonce, after mining
		code   consensus.Code
		kind   consensus.Kind
	}{
		{name: "hash above the target", spoil: true, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "harder than asked for", option: func(*chaintest.Chain) chaintest.Option { return bits(0x200fffff) }, code: consensus.ErrBadDiffBits, kind: consensus.Invalid},
		{name: "bits negative", option: func(*chaintest.Chain) chaintest.Option { return bits(0x1d80ffff) }, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "bits zero", option: func(*chaintest.Chain) chaintest.Option { return bits(0) }, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "bits with mantissa zero", option: func(*chaintest.Chain) chaintest.Option { return bits(0x20000000) }, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "bits overflow", option: func(*chaintest.Chain) chaintest.Option { return bits(0xff7fffff) }, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "bits above the limit", option: func(*chaintest.Chain) chaintest.Option { return bits(0x20100001) }, code: consensus.ErrHighHash, kind: consensus.Invalid},
		{name: "another encoding", option: func(*chaintest.Chain) chaintest.Option { return bits(0x21001000) }, code: consensus.ErrBadDiffBits, kind: consensus.Invalid},
		{name: "time at the median", option: func(c *chaintest.Chain) chaintest.Option { return atMTP(c, 0) }, code: consensus.ErrTimeTooOld, kind: consensus.Invalid},
		{name: "time after the median", option: func(c *chaintest.Chain) chaintest.Option { return atMTP(c, 1) }, code: ok},
		{name: "time beyond the limit", option: func(*chaintest.Chain) chaintest.Option { return at(clock.Unix() + future + 1) }, code: consensus.ErrTimeTooNew, kind: consensus.Temporary},
		{name: "time at the limit", option: func(*chaintest.Chain) chaintest.Option { return at(clock.Unix() + future) }, code: ok},
		{name: "time at the end of 32 bits", option: func(*chaintest.Chain) chaintest.Option { return at(0xffffffff) }, code: consensus.ErrTimeTooNew, kind: consensus.Temporary},
		{name: "version 3", option: func(*chaintest.Chain) chaintest.Option { return version(3) }, code: consensus.ErrBadVersion, kind: consensus.Invalid},
		{name: "version 0", option: func(*chaintest.Chain) chaintest.Option { return version(0) }, code: consensus.ErrBadVersion, kind: consensus.Invalid},
		{name: "version -1", option: func(*chaintest.Chain) chaintest.Option { return version(0xffffffff) }, code: consensus.ErrBadVersion, kind: consensus.Invalid},
		{name: "version 0x80000000", option: func(*chaintest.Chain) chaintest.Option { return version(0x80000000) }, code: consensus.ErrBadVersion, kind: consensus.Invalid},
		{name: "version 4", option: func(*chaintest.Chain) chaintest.Option { return version(4) }, code: ok},
		{name: "version rolled", option: func(*chaintest.Chain) chaintest.Option { return version(0x20000000 | consensus.VersionRollMask) }, code: ok},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := easy(t, consensus.RuleFixed)
			c := chaintest.New(t, p)
			c.Grow("genesis - a1..a12")
			tree := treeOf(t, c, clock, "a12")
			var options []chaintest.Option
			if test.option != nil {
				options = append(options, test.option(c))
			}
			h := c.Mine("a12", "x", options...).Header
			for test.spoil && consensus.CheckPow(p, &h) == nil {
				h.Nonce++
			}

			tip, size := tree.BestHeader(), tree.Len()
			b, err := tree.AddHeader(&h, clock)
			want(t, err, test.code, test.kind)
			want(t, consensus.CheckHeader(p, tip, &h, clock), test.code, test.kind)
			if test.code == ok {
				if tree.BestHeader() != b || b.Hash != h.Hash() || b.Height != 13 || b.Parent != tip {
					t.Errorf("the accepted header is not the best one")
				}
				return
			}
			if tree.BestHeader() != tip || tree.Len() != size || tree.Lookup(h.Hash()) != nil {
				t.Errorf("the refused header left a trace")
			}
			good := c.Mine("a12", "good").Header
			if _, err := tree.AddHeader(&good, clock); err != nil {
				t.Errorf("a good header after the refused one: %v", err)
			}
		})
	}
}

// Bits that overflow, or are negative, are refused even where the digits that
// are left of them would make a target that the hash meets.
func TestBitsThatLookLikeATarget(t *testing.T) {
	p := easy(t, consensus.RuleFixed)
	for _, test := range []struct{ bits, looks uint32 }{
		{0x21010800, 0x20080000}, // overflows
		{0x20880000, 0x20080000}, // negative
	} {
		h := consensus.Header{Version: 4, Prev: p.GenesisHash(), Bits: test.bits}
		target, _, _ := consensus.CompactToTarget(test.looks)
		for !consensus.HashMeetsTarget(h.Hash(), target) {
			h.Nonce++
		}
		want(t, consensus.CheckPow(p, &h), consensus.ErrHighHash, consensus.Invalid)
	}
}

// The median is that of eleven blocks, of fewer near genesis, and of an even
// number the higher one, as in Bitcoin Core.
func TestMedianTime(t *testing.T) {
	p := consensus.Regtest()
	b := consensus.NewTree(p).Genesis()
	g := p.GenesisTime
	for _, step := range []struct{ time, median uint32 }{
		{100, 100}, {50, 50}, {60, 60}, {10, 50}, {70, 60}, {80, 60}, {90, 70}, {95, 70}, {96, 80},
		{97, 80}, // eleven blocks before it with genesis, which leaves the window now
		{1, 80}, {2, 70},
	} {
		b = b.Child(&consensus.Header{Version: 4, Prev: b.Hash, Time: g + step.time, Bits: p.StartBits})
		if got := b.MTP() - int64(g); got != int64(step.median) {
			t.Errorf("height %d: median %d, want %d", b.Height, got, step.median)
		}
	}
}

// treeOf returns a tree that holds the headers of the named paths.
func treeOf(t *testing.T, c *chaintest.Chain, clock time.Time, names ...string) *consensus.Tree {
	t.Helper()
	tree := consensus.NewTree(c.Params)
	for _, name := range names {
		for _, b := range c.Path(name) {
			if tree.Lookup(b.Hash()) != nil {
				continue
			}
			if _, err := tree.AddHeader(&b.Header, clock); err != nil {
				t.Fatalf("%s: %v", c.Name(b.Hash()), err)
			}
		}
	}
	return tree
}

// What depends on the tree.
func TestHeadersInATree(t *testing.T) {
	p := easy(t, consensus.RuleFixed)
	c := chaintest.New(t, p)
	c.Grow(`
		genesis - a1 - a2 - a3
		          a1 - b2 - b3
	`)
	now := c.Now()
	add := func(tree *consensus.Tree, name string) (*consensus.BlockIndex, error) {
		return tree.AddHeader(&c.Block(name).Header, now)
	}
	t.Run("parent unknown", func(t *testing.T) {
		tree := treeOf(t, c, now, "a1")
		_, err := add(tree, "a3")
		want(t, err, consensus.ErrPrevNotFound, consensus.Temporary)
		add(tree, "a2")
		_, err = add(tree, "a3")
		want(t, err, ok, 0)
	})
	t.Run("parent invalid", func(t *testing.T) {
		tree := treeOf(t, c, now, "b2")
		tree.SetFailed(tree.Lookup(c.Hash("b2")))
		_, err := add(tree, "b3")
		want(t, err, consensus.ErrPrevInvalid, consensus.Invalid)
		if tree.Lookup(c.Hash("b3")) != nil {
			t.Error("b3 was added")
		}
	})
	t.Run("duplicate", func(t *testing.T) {
		tree := treeOf(t, c, now, "a3")
		b, err := add(tree, "a2")
		want(t, err, consensus.ErrDuplicate, consensus.Temporary)
		if b != tree.Lookup(c.Hash("a2")) || tree.Len() != 4 {
			t.Error("the duplicate is not the block that was there")
		}
	})
	t.Run("duplicate of an invalid one", func(t *testing.T) {
		tree := treeOf(t, c, now, "a3")
		tree.SetFailed(tree.Lookup(c.Hash("a2")))
		for _, name := range []string{"a2", "a3"} {
			b, err := add(tree, name)
			want(t, err, consensus.ErrDuplicateInvalid, consensus.Invalid)
			if b != tree.Lookup(c.Hash(name)) {
				t.Errorf("%s: the index is not there", name)
			}
		}
	})
	t.Run("another genesis", func(t *testing.T) {
		other := easy(t, consensus.RuleFixed)
		other.GenesisText = "another seed"
		if err := other.Init(); err != nil {
			t.Fatal(err)
		}
		_, err := consensus.NewTree(p).AddHeader(&other.Genesis().Header, now)
		want(t, err, consensus.ErrPrevNotFound, consensus.Temporary)
	})
}

// A header that breaks several rules is answered with the first, in Core's
// order.
func TestHeaderChecksAreOrdered(t *testing.T) {
	p := easy(t, consensus.RuleFixed)
	c := chaintest.New(t, p)
	c.Grow("genesis - a1..a12")
	now := c.Now()
	parent := c.Index("a12")
	h := c.Mine("a12", "x", chaintest.Seal(func(b *consensus.Block) {
		b.Header.Version, b.Header.Time, b.Header.Bits = 1, 0, 0x207fffff
	})).Header
	solve := func() {
		for consensus.CheckPow(p, &h) != nil {
			h.Nonce++
		}
	}
	want(t, consensus.CheckHeader(p, parent, &h, now), consensus.ErrHighHash, consensus.Invalid)
	h.Bits = 0x200fffff
	solve()
	want(t, consensus.CheckHeader(p, parent, &h, now), consensus.ErrBadDiffBits, consensus.Invalid)
	h.Bits = p.StartBits
	solve()
	want(t, consensus.CheckHeader(p, parent, &h, now), consensus.ErrTimeTooOld, consensus.Invalid)
	h.Time = 0xffffffff
	solve()
	want(t, consensus.CheckHeader(p, parent, &h, now), consensus.ErrTimeTooNew, consensus.Temporary)
	h.Time = uint32(now.Unix())
	solve()
	want(t, consensus.CheckHeader(p, parent, &h, now), consensus.ErrBadVersion, consensus.Invalid)
	h.Version = 4
	solve()
	want(t, consensus.CheckHeader(p, parent, &h, now), ok, 0)
}

// BIP54's timestamp rules, at their edges, on the blocks that they are about and
// on their neighbours.
func TestPeriodTimes(t *testing.T) {
	const grace = 7200
	for _, test := range []struct {
		name   string
		rule   consensus.Rule
		height uint32
		time   func(first, parent int64) int64
		code   consensus.Code
	}{
		{"timewarp", consensus.RuleBitcoin, 2016, func(_, parent int64) int64 { return parent - grace - 1 }, consensus.ErrTimeWarp},
		{"timewarp edge", consensus.RuleBitcoin, 2016, func(_, parent int64) int64 { return parent - grace }, ok},
		{"timewarp next block", consensus.RuleBitcoin, 2017, func(_, parent int64) int64 { return parent - grace - 1 }, ok},
		{"timewarp under another rule", consensus.RuleFixed, 2016, func(_, parent int64) int64 { return parent - grace - 1 }, ok},
		{"negative period", consensus.RuleBitcoin, 2015, func(first, _ int64) int64 { return first - 1 }, consensus.ErrTimeNegative},
		{"negative period edge", consensus.RuleBitcoin, 2015, func(first, _ int64) int64 { return first }, ok},
		{"negative period block before", consensus.RuleBitcoin, 2014, func(first, _ int64) int64 { return first - 1 }, ok},
		{"negative period under another rule", consensus.RuleFixed, 2015, func(first, _ int64) int64 { return first - 1 }, ok},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := easy(t, test.rule)
			// Times creep up from genesis' less a day, so that the median is
			// low, and the parent of the block in question is far ahead.
			genesis := consensus.Header{Version: 4, Time: p.GenesisTime, Bits: p.StartBits}
			chain := consensus.NewTree(p).Genesis()
			for chain.Height+1 < test.height {
				time := genesis.Time - 86_400 + chain.Height
				if chain.Height+2 == test.height {
					time = genesis.Time + 86_400
				}
				chain = chain.Child(&consensus.Header{Version: 4, Prev: chain.Hash, Time: time, Bits: consensus.NextBits(p, chain)})
			}
			h := consensus.Header{
				Version: 4,
				Prev:    chain.Hash,
				Time:    uint32(test.time(int64(genesis.Time), int64(chain.Header.Time))),
				Bits:    consensus.NextBits(p, chain),
			}
			for consensus.CheckPow(p, &h) != nil {
				h.Nonce++
			}
			now := time.Unix(int64(genesis.Time)+2*86_400, 0)
			want(t, consensus.CheckHeader(p, chain, &h, now), test.code, consensus.Invalid)
		})
	}
}

// Bitcoin's first blocks carry the work that they claim, and link.
func TestMainnetHeaders(t *testing.T) {
	vectors.Dir(t)
	p := consensus.Main() // the same limit as Bitcoin's
	n := 0
	for _, file := range []string{"mainnet_headers_1_11", "mainnet_1_256"} {
		var prev consensus.Hash
		lines := bufio.NewScanner(bytes.NewReader(vectors.Read(t, "blocks/"+file+".hex")))
		for lines.Scan() {
			b, err := hex.DecodeString(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			h, err := consensus.DecodeHeader(b[:consensus.HeaderSize])
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Bytes(); !bytes.Equal(got[:], b[:consensus.HeaderSize]) {
				t.Fatalf("%s: header comes back as %x", h.Hash(), got)
			}
			if err := consensus.CheckPow(p, &h); err != nil {
				t.Errorf("%s: %v", h.Hash(), err)
			}
			if !prev.IsZero() && h.Prev != prev {
				t.Errorf("%s does not link to %s", h.Hash(), prev)
			}
			prev = h.Hash()
			n++
		}
	}
	vectors.Ran(t, "blocks/mainnet headers", n)
}
