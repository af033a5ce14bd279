package consensus

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive is a second tree that keeps nothing but what happened, and computes every
// answer from scratch.
type naive struct {
	blocks []*naiveBlock // genesis first, parents before children
	tip    *naiveBlock
	events int // bodies and calls of Precious so far
}

type naiveBlock struct {
	index    *BlockIndex // the same block in the tree under test
	parent   *naiveBlock
	work     *big.Int // of the chain
	body     int      // event at which the body came, 0 without
	whole    int      // event at which no body was missing any more
	marked   bool
	precious int // event of the last call that counted
}

func (b *naiveBlock) path() (path []*naiveBlock) {
	for ; b != nil; b = b.parent {
		path = append(path, b)
	}
	return path // from b down to genesis
}

func (b *naiveBlock) bad() bool {
	return slices.ContainsFunc(b.path(), func(a *naiveBlock) bool { return a.marked })
}

func (b *naiveBlock) isWhole() bool {
	return !slices.ContainsFunc(b.path(), func(a *naiveBlock) bool { return a.body == 0 })
}

// arrive notes the body of b and what became whole by it.
func (n *naive) arrive(b *naiveBlock) {
	n.events++
	b.body = n.events
	for _, d := range n.blocks {
		if d.whole == 0 && d.isWhole() {
			d.whole = n.events
		}
	}
}

// first returns the best of the blocks that pass, by the orders given.
func (n *naive) first(pass func(*naiveBlock) bool, orders ...func(a, b *naiveBlock) int) *naiveBlock {
	var passed []*naiveBlock
	for _, b := range n.blocks {
		if !b.bad() && pass(b) {
			passed = append(passed, b)
		}
	}
	return slices.MinFunc(passed, func(a, b *naiveBlock) int {
		for _, order := range orders {
			if c := order(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
}

func moreWork(a, b *naiveBlock) int { return b.work.Cmp(a.work) }

func (n *naive) best() *naiveBlock {
	return n.first((*naiveBlock).isWhole, moreWork,
		func(a, b *naiveBlock) int { return b.precious - a.precious },
		func(a, b *naiveBlock) int { return a.whole - b.whole },
		func(a, b *naiveBlock) int { return a.body - b.body })
}

func (n *naive) bestHeader() *naiveBlock {
	return n.first(func(*naiveBlock) bool { return true }, moreWork) // MinFunc keeps the first of equals
}

// way returns the names of all steps from the tip to the best block.
func (n *naive) way() (steps []string) {
	from, to := n.tip.path(), n.best().path()
	for _, b := range from {
		if !slices.Contains(to, b) {
			steps = append(steps, fmt.Sprintf("-%d", b.index.added))
		}
	}
	slices.Reverse(to)
	for _, b := range to {
		if !slices.Contains(from, b) {
			steps = append(steps, fmt.Sprintf("+%d", b.index.added))
		}
	}
	return steps
}

// graft adds a block that nobody mined: only the work in its bits counts here.
func graft(tree *Tree, parent *BlockIndex, bits uint32) *BlockIndex {
	h := Header{Version: 4, Prev: parent.Hash, Time: parent.Header.Time + 1, Bits: bits}
	var hash Hash
	binary.LittleEndian.PutUint32(hash[:], uint32(tree.Len()))
	b := newIndex(parent, &h, hash)
	tree.insert(b)
	return b
}

func TestTreeAgainstNaive(t *testing.T) {
	for range 10 { // one run of rapid is too few to meet the rare ties
		rapid.Check(t, treeAgainstNaive)
	}
}

func treeAgainstNaive(t *rapid.T) {
	tree := NewTree(Regtest())
	genesis := &naiveBlock{index: tree.Genesis(), work: tree.Genesis().Work.Big(), whole: 1, body: 1}
	n := &naive{blocks: []*naiveBlock{genesis}, tip: genesis, events: 1}
	pick := func(t *rapid.T) *naiveBlock {
		// Late blocks more often, so that branches get long.
		k := rapid.OneOf(rapid.IntRange(0, 4), rapid.IntRange(0, len(n.blocks)-1)).Draw(t, "block")
		return n.blocks[len(n.blocks)-1-min(k, len(n.blocks)-1)]
	}
	t.Repeat(map[string]func(*rapid.T){
		"header": func(t *rapid.T) {
			parent := pick(t)
			if parent.bad() {
				t.Skip("AddHeader refuses it")
			}
			bits := rapid.SampledFrom([]uint32{0x207fffff, 0x207fffff, 0x203fffff}).Draw(t, "bits")
			b := &naiveBlock{index: graft(tree, parent.index, bits), parent: parent}
			b.work = new(big.Int).Add(parent.work, WorkOf(bits).Big())
			n.blocks = append(n.blocks, b)
		},
		"body": func(t *rapid.T) {
			b := pick(t)
			if b.body == 0 {
				n.arrive(b)
			}
			tree.SetBody(b.index)
		},
		"fail": func(t *rapid.T) {
			b := pick(t)
			b.marked = b != genesis
			tree.SetFailed(b.index)
		},
		"reconsider": func(t *rapid.T) {
			b := pick(t)
			for _, d := range n.blocks {
				if slices.Contains(d.path(), b) || slices.Contains(b.path(), d) {
					d.marked = false
				}
			}
			tree.Reconsider(b.index)
		},
		"precious": func(t *rapid.T) {
			b := pick(t)
			n.events++
			if b.work.Cmp(n.tip.work) >= 0 {
				b.precious = n.events
			}
			tree.Precious(b.index)
		},
		"advance": func(t *rapid.T) {
			got, want := walkToBest(t, tree), n.way()
			if !slices.Equal(got, want) {
				t.Fatalf("steps %v, want %v", got, want)
			}
			n.tip = n.best()
		},
		"restart": func(t *rapid.T) {
			tree = restored(t, tree)
			for i, b := range n.blocks {
				b.index = tree.ordered[i]
				b.precious = 0 // is not kept
			}
		},
		"": func(t *rapid.T) { checkAgainst(t, tree, n) },
	})
}

// walkToBest takes all steps and names them.
func walkToBest(t *rapid.T, tree *Tree) (steps []string) {
	for step, ok := tree.Next(); ok; step, ok = tree.Next() {
		if step.Detach {
			if step.Block != tree.Tip() {
				t.Fatalf("detach %d, which is not the tip", step.Block.added)
			}
			steps = append(steps, fmt.Sprintf("-%d", step.Block.added))
			tree.SetTip(step.Block.Parent)
		} else {
			if step.Block.Parent != tree.Tip() {
				t.Fatalf("attach %d, which is no child of the tip", step.Block.added)
			}
			steps = append(steps, fmt.Sprintf("+%d", step.Block.added))
			tree.SetTip(step.Block)
		}
	}
	return steps
}

// restored is the tree after its records went through storage.
func restored(t *rapid.T, old *Tree) *Tree {
	tree := NewTree(old.params)
	for _, b := range old.ordered {
		if _, err := tree.Restore(old.Record(b)); err != nil {
			t.Fatal(err)
		}
	}
	tree.SetTip(tree.Lookup(old.Tip().Hash))
	return tree
}

func checkAgainst(t *rapid.T, tree *Tree, n *naive) {
	if got, want := tree.Best(), n.best().index; got != want {
		t.Fatalf("best is %d, want %d", got.added, want.added)
	}
	if got, want := tree.BestHeader(), n.bestHeader().index; got != want {
		t.Fatalf("best header is %d, want %d", got.added, want.added)
	}
	if tree.Tip() != n.tip.index {
		t.Fatalf("tip is %d, want %d", tree.Tip().added, n.tip.index.added)
	}
	active := n.tip.path()
	var leaves []*BlockIndex
	for _, b := range n.blocks {
		if b.index.Failed() != b.bad() || b.index.HasBody() != (b.body > 0) || b.index.Complete() != b.isWhole() {
			t.Fatalf("block %d: failed %v, body %v, complete %v", b.index.added, b.index.Failed(), b.index.HasBody(), b.index.Complete())
		}
		if b.index.Work.Big().Cmp(b.work) != 0 {
			t.Fatalf("block %d: work %s, want %x", b.index.added, b.index.Work, b.work)
		}
		if tree.InActiveChain(b.index) != slices.Contains(active, b) {
			t.Fatalf("block %d is in the active chain: %v", b.index.added, tree.InActiveChain(b.index))
		}
		if !slices.ContainsFunc(n.blocks, func(c *naiveBlock) bool { return c.parent == b }) {
			leaves = append(leaves, b.index)
		}
		path := b.path()
		for height := range path {
			if b.index.Ancestor(uint32(height)) != path[len(path)-1-height].index {
				t.Fatalf("block %d: wrong ancestor at height %d", b.index.added, height)
			}
		}
		if b.index.Ancestor(b.index.Height+1) != nil {
			t.Fatalf("block %d has an ancestor above itself", b.index.added)
		}
		var missing []*BlockIndex
		for _, a := range slices.Backward(path) {
			if a.body == 0 && len(missing) < 3 {
				missing = append(missing, a.index)
			}
		}
		if got := tree.Missing(b.index, 3); !slices.Equal(got, missing) {
			t.Fatalf("block %d: %d missing bodies, want %d", b.index.added, len(got), len(missing))
		}
		if got := LastCommon(b.index, n.tip.index); !tree.InActiveChain(got) || b.index.Ancestor(got.Height) != got ||
			got != b.index && got != n.tip.index && b.index.Ancestor(got.Height+1) == n.tip.index.Ancestor(got.Height+1) {
			t.Fatalf("block %d and the tip have %d as last common block", b.index.added, got.added)
		}
		if got := tree.FindFork(tree.Locator(b.index)); b.index.Ancestor(got.Height) != got && n.tip.index != got || !tree.InActiveChain(got) {
			t.Fatalf("block %d: its locator leads to %d", b.index.added, got.added)
		}
	}
	if !slices.Equal(tree.Leaves(), leaves) {
		t.Fatalf("%d leaves, want %d", len(tree.Leaves()), len(leaves))
	}
	if tree.At(n.tip.index.Height+1) != nil {
		t.Fatal("there is a block above the tip")
	}
}

func TestSkipsOnALongChain(t *testing.T) {
	tree := NewTree(Regtest())
	b := tree.Genesis()
	chain := []*BlockIndex{b}
	for range 5000 {
		b = graft(tree, b, 0x207fffff)
		chain = append(chain, b)
	}
	for height := range chain {
		if b.Ancestor(uint32(height)) != chain[height] {
			t.Fatalf("wrong ancestor at height %d", height)
		}
	}
	locator := tree.Locator(b)
	var heights []uint32
	for _, hash := range locator {
		heights = append(heights, tree.Lookup(hash).Height)
	}
	want := []uint32{5000, 4999, 4998, 4997, 4996, 4995, 4994, 4993, 4992, 4991, 4989, 4985, 4977, 4961, 4929, 4865, 4737, 4481, 3969, 2945, 897, 0}
	if !slices.Equal(heights, want) {
		t.Errorf("a locator of heights %d, want %d", heights, want)
	}
	tree.SetTip(chain[4000])
	if fork := tree.FindFork(locator); fork != chain[4000] {
		t.Errorf("a peer that is ahead forks at height %d", fork.Height)
	}
	tree.SetTip(b)
	if fork := tree.FindFork(tree.Locator(chain[300])); fork != chain[300] {
		t.Errorf("a peer that is behind forks at height %d", fork.Height)
	}
	if fork := tree.FindFork([]Hash{{1, 2, 3}, chain[300].Hash}); fork != chain[300] {
		t.Errorf("a peer on a branch that is not known forks at height %d", fork.Height)
	}
	if fork := tree.FindFork([]Hash{{1, 2, 3}}); fork != tree.Genesis() {
		t.Errorf("an unknown locator forks at height %d", fork.Height)
	}
}

func TestRestoreWantsParentsFirst(t *testing.T) {
	tree := NewTree(Regtest())
	a := graft(tree, tree.Genesis(), 0x207fffff)
	b := graft(tree, a, 0x207fffff)
	if _, err := NewTree(Regtest()).Restore(tree.Record(b)); err == nil || AsRuleError(err) != nil {
		t.Errorf("got %v, want an error that is no RuleError", err)
	}
}
