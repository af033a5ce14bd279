package consensus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// owner is a node reduced to its tree: bodies arrive, and it advances. Blocks in
// bad are found invalid when they are connected.
type owner struct {
	t     *testing.T
	chain *chaintest.Chain
	tree  *consensus.Tree
	bad   map[string]bool
}

func newOwner(t *testing.T, p *consensus.Params, drawing string) *owner {
	c := chaintest.New(t, p)
	c.Grow(drawing)
	return &owner{t: t, chain: c, tree: consensus.NewTree(p), bad: map[string]bool{}}
}

// hear adds headers; those of ancestors first.
func (o *owner) hear(names ...string) {
	o.t.Helper()
	for _, name := range names {
		for _, b := range o.chain.Path(name) {
			if o.tree.Lookup(b.Hash()) != nil {
				continue
			}
			if _, err := o.tree.AddHeader(&b.Header, o.chain.Now()); err != nil {
				o.t.Fatalf("%s: %v", o.chain.Name(b.Hash()), err)
			}
		}
	}
}

// get lets bodies arrive one by one, advances after each, and wants to end on
// tip.
func (o *owner) get(tip string, names ...string) {
	o.t.Helper()
	for _, name := range names {
		o.hear(name)
		o.tree.SetBody(o.at(name))
		o.advance()
	}
	o.on(tip)
}

func (o *owner) at(name string) *consensus.BlockIndex { return o.tree.Lookup(o.chain.Hash(name)) }

func (o *owner) on(tip string) {
	o.t.Helper()
	if got := o.chain.Name(o.tree.Tip().Hash); got != tip {
		o.t.Fatalf("the tip is %s, want %s", got, tip)
	}
}

// advance is the loop of DESIGN section 1, without coins.
func (o *owner) advance() {
	for step, ok := o.tree.Next(); ok; step, ok = o.tree.Next() {
		switch {
		case step.Detach:
			o.tree.SetTip(step.Block.Parent)
		case o.bad[o.chain.Name(step.Block.Hash)]:
			o.tree.SetFailed(step.Block)
		default:
			o.tree.SetConnected(step.Block)
			o.tree.SetTip(step.Block)
		}
	}
}

func TestChainChoice(t *testing.T) {
	p := consensus.Regtest()
	t.Run("reorg-equal-work", func(t *testing.T) {
		o := newOwner(t, p, `
			genesis - a1 - a2
			          a1 - b2
		`)
		o.get("a2", "a1", "a2", "b2")
	})
	t.Run("reorg-equal-work headers first", func(t *testing.T) {
		o := newOwner(t, p, `
			genesis - a1 - a2
			genesis - b1 - b2
		`)
		o.hear("b2", "a2") // the headers' order does not count, nor that of b2's body
		o.get("a2", "b2", "a1", "a2", "b1")
	})
	t.Run("reorg-more-work", func(t *testing.T) {
		o := newOwner(t, p, `
			genesis - a1 - a2 - a3 - a4 - a5
			          a1 - b2 - b3 - b4
		`)
		o.get("a3", "a1", "a2", "a3")
		o.get("b4", "b2", "b3", "b4")
		o.get("a5", "a4", "a5")
	})
	t.Run("reorg-longer-less-work", func(t *testing.T) {
		// Blocks of b come late and get easier; a's keep their difficulty.
		p := easy(t, consensus.RuleFixed)
		p.Rule, p.HalfLife, p.Spacing, p.FutureLimit, p.StartBits = consensus.RuleASERTRelative, 600, 300, 300, 0x1f100000
		if err := p.Init(); err != nil {
			t.Fatal(err)
		}
		o := newOwner(t, p, "genesis - a1 - a2 - a3 - a4 - a5")
		parent := "a1"
		for i := range uint32(6) {
			name := fmt.Sprintf("b%d", i+2)
			o.chain.Mine(parent, name, chaintest.At(o.chain.Block(parent).Header.Time+900))
			parent = name
		}
		o.get("a5", "a1", "a2", "a3", "a4", "a5", "b2", "b3", "b4", "b5", "b6", "b7")
		if a, b := o.at("a5"), o.at("b7"); b.Height <= a.Height || b.Work.Cmp(a.Work) >= 0 {
			t.Errorf("b is no longer chain with less work: heights %d, %d, work %s, %s", a.Height, b.Height, a.Work, b.Work)
		}
	})
	for k := 1; k <= 5; k++ {
		t.Run(fmt.Sprintf("reorg-to-invalid k=%d", k), func(t *testing.T) {
			o := newOwner(t, p, `
				genesis - a1 - a2 - a3 - a4
				          a1 - b2 - b3 - b4 - b5 - b6
			`)
			o.get("a4", "a1", "a2", "a3", "a4")
			bad := fmt.Sprintf("b%d", k+1)
			o.bad[bad] = true
			tip := "a4"
			if bad == "b6" {
				tip = "b5" // b5 alone has more work than a4
			}
			o.get(tip, "b2", "b3", "b4", "b5")
			if bad == "b6" {
				o.get(tip, "b6")
			}
			if b := o.at(bad); !b.Failed() {
				t.Errorf("%s is not marked", bad)
			}
			// The branch is dead, and a goes on.
			if bad != "b6" {
				_, err := o.tree.AddHeader(&o.chain.Block("b6").Header, o.chain.Now())
				want(t, err, consensus.ErrPrevInvalid, consensus.Invalid)
				o.chain.Mine("a4", "a5")
				o.get("a5", "a5")
			}
		})
	}
	t.Run("reorg-missing-body", func(t *testing.T) {
		o := newOwner(t, p, `
			genesis - a1 - a2 - a3
			genesis - b1 - b2 - b3 - b4 - b5
		`)
		o.get("a2", "a1", "a2")
		o.hear("b5")
		o.get("a2", "b1", "b2", "b4", "b5") // b3 never comes
		var missing []string
		for _, b := range o.tree.Missing(o.tree.BestHeader(), 10) {
			missing = append(missing, o.chain.Name(b.Hash))
		}
		if !slices.Equal(missing, []string{"b3"}) {
			t.Errorf("missing: %v", missing)
		}
		o.get("a3", "a3") // and the own branch goes on
		o.get("b5", "b3")
	})
}

// As Core's rpc_invalidateblock and rpc_preciousblock have it.
func TestInvalidateReconsiderPrecious(t *testing.T) {
	p := consensus.Regtest()
	drawing := `
		genesis - a1 - a2 - a3 - a4
		          a1 - b2 - b3
	`
	t.Run("invalidate and reconsider", func(t *testing.T) {
		o := newOwner(t, p, drawing)
		o.get("a4", "a1", "a2", "a3", "a4", "b2", "b3")
		o.tree.SetFailed(o.at("a2"))
		o.advance()
		o.on("b3")
		if got := o.chain.Name(o.tree.BestHeader().Hash); got != "b3" {
			t.Errorf("the best header is %s", got)
		}
		o.tree.SetFailed(o.at("b2"))
		o.advance()
		o.on("a1")
		o.tree.Reconsider(o.at("a3")) // its ancestors and descendants with it
		o.advance()
		o.on("a4")
		o.tree.Reconsider(o.at("b2"))
		o.advance()
		o.on("a4")
	})
	t.Run("reconsider the first of equals", func(t *testing.T) {
		o := newOwner(t, p, drawing)
		o.get("a3", "a1", "a2", "a3", "b2", "b3")
		o.tree.SetFailed(o.at("a3"))
		o.advance()
		o.on("b3")
		o.tree.Reconsider(o.at("a3"))
		o.advance()
		o.on("a3")
	})
	t.Run("precious", func(t *testing.T) {
		o := newOwner(t, p, drawing)
		o.get("a3", "a1", "a2", "a3", "b2", "b3")
		for _, name := range []string{"b3", "a3", "b3", "b3"} {
			o.tree.Precious(o.at(name))
			o.advance()
			o.on(name)
		}
		o.tree.Precious(o.at("a2")) // less work: nothing happens
		o.advance()
		o.on("b3")
		o.get("a4", "a4") // more work beats preference
		o.tree.Precious(o.at("b3"))
		o.advance()
		o.on("a4")
	})
	t.Run("genesis cannot fail", func(t *testing.T) {
		o := newOwner(t, p, drawing)
		o.get("a1", "a1")
		o.tree.SetFailed(o.tree.Genesis())
		o.advance()
		o.on("a1")
	})
}

// The same 500 blocks in random orders end on the same tip. With coins, peers and
// many more orders it is the node's test of the same name.
func TestRandomOrders(t *testing.T) {
	const blocks = 500
	c := chaintest.New(t, consensus.Regtest())
	rng := rand.New(rand.NewPCG(141, 0))
	names := []string{chaintest.Genesis}
	for i := range blocks - 1 {
		// Mostly on one of the last ten: a bushy tree with a long trunk.
		parent := names[len(names)-1-min(rng.IntN(10), len(names)-1)]
		name := fmt.Sprint("x", i)
		c.Mine(parent, name)
		names = append(names, name)
	}
	// One block more makes the highest branch the only best one.
	highest := slices.MaxFunc(names, func(a, b string) int { return int(c.Index(a).Height) - int(c.Index(b).Height) })
	c.Mine(highest, "top")
	names = append(names[1:], "top")

	for order := range 50 {
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		o := &owner{t: t, chain: c, tree: consensus.NewTree(c.Params)}
		for _, name := range names {
			o.hear(name)
		}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			o.tree.SetBody(o.at(name))
			o.advance()
		}
		if got := c.Name(o.tree.Tip().Hash); got != "top" {
			t.Fatalf("order %d ends on %s", order, got)
		}
	}
}

func TestLeavesAreInOrder(t *testing.T) {
	o := newOwner(t, consensus.Regtest(), `
		genesis - a1 - a2
		          a1 - b2
		genesis - c1
	`)
	o.hear("a2", "b2", "c1")
	var names []string
	for _, b := range o.tree.Leaves() {
		names = append(names, o.chain.Name(b.Hash))
	}
	if got := strings.Join(names, " "); got != "a2 b2 c1" {
		t.Errorf("leaves: %s", got)
	}
}
