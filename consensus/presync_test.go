package consensus

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// presyncScene is a tree, a chain that leaves it, and the Presync that looks at it.
type presyncScene struct {
	p     *Params
	now   time.Time
	tree  *Tree
	start *BlockIndex
	s     *Presync
}

// growOn draws a chain of n headers on parent; salt tells it from others.
func growOn(t *rapid.T, p *Params, parent *BlockIndex, n int, salt byte) []Header {
	headers := make([]Header, n)
	for i := range headers {
		headers[i] = headerOn(p, parent, rapid.Int64Range(-100, 2000).Draw(t, "seconds"), salt)
		parent = parent.Child(&headers[i])
	}
	return headers
}

// workOf is the work of the chain that ends with these headers on parent.
func workOf(parent *BlockIndex, headers []Header) Uint256 {
	work := parent.Work
	for i := range headers {
		work = work.Add(WorkOf(headers[i].Bits))
	}
	return work
}

// newPresyncScene draws a tree of a few headers and begins a look at a chain
// that leaves it somewhere.
func newPresyncScene(t *rapid.T, networks []*Params, sizes presyncSizes) *presyncScene {
	p := networks[rapid.IntRange(0, len(networks)-1).Draw(t, "network")]
	c := &presyncScene{p: p, tree: NewTree(p), now: time.Unix(int64(p.GenesisTime), 0).Add(30 * 24 * time.Hour)}
	for _, h := range growOn(t, p, c.tree.Genesis(), rapid.IntRange(0, 15).Draw(t, "tree"), 'T') {
		if _, err := c.tree.AddHeader(&h, c.now); err != nil {
			t.Fatal(err)
		}
	}
	c.start = c.tree.BestHeader().Ancestor(uint32(rapid.IntRange(0, c.tree.Len()-1).Draw(t, "start")))
	c.s = newPresync(p, c.start, Uint256{}, c.now, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), sizes)
	return c
}

// drawSizes draws small limits, so that short chains reach them.
func drawSizes(t *rapid.T) presyncSizes {
	return presyncSizes{
		commitEvery: uint32(rapid.IntRange(1, 6).Draw(t, "commit every")),
		hold:        uint32(rapid.IntRange(1, 40).Draw(t, "hold")),
		maxBits:     1000,
	}
}

// pass lets a peer that has this chain answer until it has no more, or the work
// was shown, or the end, in messages of drawn lengths. What is let through enters
// the tree. It returns the error that ended the look, if one did.
func (c *presyncScene) pass(t *rapid.T, chain []Header) error {
	first := c.s.FirstPass()
	for messages := 0; !c.s.Over() && c.s.FirstPass() == first; messages++ {
		if messages > len(chain) {
			t.Fatal("the look never ends")
		}
		at := 0
		if c.s.Last() != c.start.Hash {
			at = 1 + slices.IndexFunc(chain, func(h Header) bool { return h.Hash() == c.s.Last() })
		}
		n := min(rapid.IntRange(1, 30).Draw(t, "message"), len(chain)-at)
		enter, err := c.s.Next(chain[at:at+n], at+n < len(chain), c.now)
		if err != nil {
			if len(enter) > 0 {
				t.Fatalf("%d headers enter in spite of %v", len(enter), err)
			}
			return err
		}
		for i := range enter {
			if _, err := c.tree.AddHeader(&enter[i], c.now); err != nil {
				t.Fatalf("a header that may enter is refused by the tree: %v", err)
			}
		}
	}
	return nil
}

// entered is how many headers of a chain the tree has; those that it has come
// first.
func (c *presyncScene) entered(t *rapid.T, chain []Header) int {
	n := 0
	for i := range chain {
		if c.tree.Lookup(chain[i].Hash()) == nil {
			continue
		}
		if n++; n != i+1 {
			t.Fatalf("header %d of a chain is in the tree, and one before it is not", i)
		}
	}
	return n
}

func wantTooLittle(t rapid.TB, err error) {
	t.Helper()
	if rule := AsRuleError(err); rule == nil || rule.Code != ErrTooLittleWork || rule.Kind != Temporary {
		t.Fatalf("got %v, want %s for now", err, ErrTooLittleWork)
	}
}

// A chain that has the work ends in the tree up to where it has it, at least, and
// one that has not leaves no trace, however it is cut into messages.
func TestPresyncByWork(t *testing.T) {
	networks := presyncNetworks(t)
	rapid.Check(t, func(t *rapid.T) {
		c := newPresyncScene(t, networks, drawSizes(t))
		chain := growOn(t, c.p, c.start, rapid.IntRange(1, 120).Draw(t, "chain"), 'A')
		before := c.tree.Len()
		enough := rapid.IntRange(1, len(chain)+10).Draw(t, "work of")
		c.s.need = workOf(c.start, chain[:min(enough, len(chain))])
		if enough > len(chain) {
			c.s.need = c.s.need.Add(Uint256{1})
			wantTooLittle(t, c.pass(t, chain))
			if c.tree.Len() != before || !c.s.Over() {
				t.Fatalf("%d headers of a chain of too little work are in the tree", c.tree.Len()-before)
			}
			return
		}
		if err := c.pass(t, chain); err != nil {
			t.Fatal(err)
		}
		if !c.s.Over() { // it did not come in one message
			if c.tree.Len() != before {
				t.Fatal("headers enter in the first pass")
			}
			if err := c.pass(t, chain); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.entered(t, chain); !c.s.Over() || n < enough {
			t.Fatalf("%d of %d headers entered, and %d have the work", n, len(chain), enough)
		}
	})
}

// A peer that serves another chain in the second pass gets none of it into the
// tree, unless that has the work itself. What both have in common may enter.
func TestPresyncOfAChainThatChanges(t *testing.T) {
	networks := presyncNetworks(t)
	rapid.Check(t, func(t *rapid.T) {
		// Every header has its bit: to get one through, all of 40 must be right.
		c := newPresyncScene(t, networks, presyncSizes{commitEvery: 1, hold: 40, maxBits: 1000})
		chain := growOn(t, c.p, c.start, rapid.IntRange(31, 150).Draw(t, "chain"), 'A')
		c.s.need = workOf(c.start, chain)
		if err := c.pass(t, chain); err != nil {
			t.Fatal(err)
		}
		if c.s.Over() {
			t.Fatal("a chain that came in several messages is let through at once")
		}
		common := rapid.IntRange(0, len(chain)-1).Draw(t, "common")
		fork := c.start
		for i := range chain[:common] {
			fork = fork.Child(&chain[i])
		}
		other := append(slices.Clone(chain[:common]), growOn(t, c.p, fork, rapid.IntRange(0, 150).Draw(t, "other"), 'B')...)
		err := c.pass(t, other)
		if !c.s.Over() {
			t.Fatal("the look goes on")
		}
		if n := c.entered(t, other); n <= common {
			wantTooLittle(t, err)
		} else if workOf(c.start, other[:n]).Cmp(c.s.need) < 0 {
			t.Fatalf("%d headers entered, %d more than those in common, and have not the work", n, n-common)
		}
	})
}

// Nor does one that is longer than what was shown, where no bit tells them apart:
// with less work a header it never comes to an end.
func TestPresyncOfALongerChain(t *testing.T) {
	p := presyncNetworks(t)[0] // asert
	now, genesis := time.Unix(int64(p.GenesisTime), 0).Add(30*24*time.Hour), NewTree(p).Genesis()
	grow := func(n int, seconds int64) (headers []Header) {
		for last := genesis; len(headers) < n; {
			headers = append(headers, headerOn(p, last, seconds, 0))
			last = last.Child(&headers[len(headers)-1])
		}
		return headers
	}
	shown, longer := grow(20, 1), grow(40, 3000)
	s := NewPresync(p, genesis, workOf(genesis, shown), now, rand.New(rand.NewPCG(1, 1)))
	s.offset = 0 // no bit is due among so few
	if workOf(genesis, longer).Cmp(s.need) >= 0 {
		t.Fatal("the longer chain has the work")
	}
	for _, half := range [][]Header{shown[:10], shown[10:]} {
		if enter, err := s.Next(half, true, now); err != nil || len(enter) > 0 {
			t.Fatalf("%d headers enter in the first pass; %v", len(enter), err)
		}
	}
	enter, err := s.Next(longer, true, now)
	if wantTooLittle(t, err); len(enter) > 0 || !s.Over() {
		t.Fatalf("%d headers enter", len(enter))
	}
}

// A header that breaks a rule ends the look, in either pass, with the error that
// the tree would have for it. A gap ends it without blame.
func TestPresyncOfAWrongHeader(t *testing.T) {
	networks := presyncNetworks(t)
	rapid.Check(t, func(t *rapid.T) {
		c := newPresyncScene(t, networks, drawSizes(t))
		chain := growOn(t, c.p, c.start, rapid.IntRange(35, 80).Draw(t, "chain"), 'A')
		c.s.need = workOf(c.start, chain)
		if rapid.Bool().Draw(t, "in the second pass") {
			if err := c.pass(t, chain); err != nil {
				t.Fatal(err)
			}
		}
		at := rapid.IntRange(0, len(chain)-1).Draw(t, "wrong")
		parent := c.start
		for i := range chain[:at] {
			parent = parent.Child(&chain[i])
		}
		wrong := slices.Clone(chain)
		h := &wrong[at]
		switch rapid.SampledFrom([]string{"pow", "bits", "time", "version", "gap", "future"}).Draw(t, "fault") {
		case "pow":
			target, _, _ := CompactToTarget(h.Bits)
			for HashMeetsTarget(h.Hash(), target) {
				h.Nonce++
			}
		case "bits":
			h.Bits--
			solveHeader(h)
		case "time":
			h.Time = uint32(parent.MTP())
			solveHeader(h)
		case "version":
			h.Version = MinVersion - 1
			solveHeader(h)
		case "gap":
			h.Prev = Hash{1}
			solveHeader(h)
			if rule := AsRuleError(c.pass(t, wrong)); rule == nil || rule.Kind != Temporary {
				t.Fatalf("got %v, want nobody to be blamed", rule)
			}
			return
		case "future":
			h.Time = uint32(c.now.Unix() + c.p.FutureLimit + 1)
			solveHeader(h)
			wantTooLittle(t, c.pass(t, wrong))
			return
		}
		err := c.pass(t, wrong)
		if second := c.s.shown > 0; second && errors.Is(err, ErrTooLittleWork) {
			return // its bit gave it away, or an earlier one did
		}
		want := AsRuleError(CheckHeader(c.p, parent, h, c.now))
		if rule := AsRuleError(err); rule == nil || rule.Code != want.Code || rule.Kind != Invalid {
			t.Fatalf("got %v, want %v", err, want)
		}
		if !c.s.Over() || c.entered(t, wrong) > at {
			t.Fatal("the wrong header, or one behind it, entered")
		}
	})
}

// The work that a chain must have is the network's minimum, and the tip's less
// that of 144 blocks where that is more.
func TestThreshold(t *testing.T) {
	p := *Regtest()
	p.MinWork = Uint256{20}
	tree := NewTree(&p)
	b := tree.Genesis()
	for height := uint32(1); height <= 160; height++ {
		h := headerOn(&p, b, 600, 0)
		b, _ = tree.AddHeader(&h, time.Unix(1<<32-1, 0))
		tree.SetBody(b)
		tree.SetTip(b)
		want := p.MinWork
		if height > 144 && b.Ancestor(height-144).Work.Cmp(want) > 0 {
			want = b.Ancestor(height - 144).Work
		}
		if got := tree.Threshold(); got != want {
			t.Fatalf("at height %d a chain needs work %s, want %s", height, got, want)
		}
	}
	if tree.Threshold() == p.MinWork {
		t.Error("the tip's work never counts")
	}
}

// The fastest chain that rule H4 allows just fits into the number of headers that
// a Presync takes; with less room it is given up without blame.
func TestPresyncLength(t *testing.T) {
	p := Regtest()
	rapid.Check(t, func(t *rapid.T) {
		start := NewTree(p).Genesis()
		before, fast := rapid.IntRange(0, 30).Draw(t, "before"), rapid.Bool().Draw(t, "fast before")
		for range before {
			seconds := rapid.Int64Range(-20, 20).Draw(t, "seconds")
			if fast {
				seconds = -1000
			}
			h := headerOn(p, start, seconds, 0)
			start = start.Child(&h)
		}
		latest := start.MTP() + rapid.Int64Range(0, 60).Draw(t, "seconds of room")
		now := time.Unix(latest-p.FutureLimit, 0)
		s := newPresync(p, start, Uint256{0, 0, 0, 1}, now, rand.New(rand.NewPCG(1, 1)), presyncDefaults)
		var fastest []Header
		for last := start; MinTime(p, last) <= latest; {
			h := headerOn(p, last, -1000, 0)
			fastest = append(fastest, h)
			last = last.Child(&h)
		}
		full := fast && before >= 2*medianBlocks
		if n := uint32(len(fastest)); n > s.most || full && n+12 < s.most {
			t.Fatalf("%d headers are possible, and %d allowed", n, s.most)
		}
		if len(fastest) == 0 {
			return
		}
		if _, err := s.Next(fastest, true, now); err != nil || s.Over() {
			t.Fatal("the fastest chain is given up:", err)
		}
		s = newPresync(p, start, Uint256{0, 0, 0, 1}, now, rand.New(rand.NewPCG(1, 1)), presyncDefaults)
		s.most = uint32(len(fastest)) - 1
		enter, err := s.Next(fastest, true, now)
		if wantTooLittle(t, err); len(enter) > 0 || !s.Over() {
			t.Fatal("a chain with more headers than can be goes on")
		}
	})
}
