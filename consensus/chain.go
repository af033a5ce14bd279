package consensus

// Step is one block on the way from the tip to the best block.
type Step struct {
	Block *BlockIndex
	// Detach: Block is the tip and is to be taken off. Otherwise it is a
	// child of the tip and is to be put on.
	Detach bool
}

// Change is a whole reorganisation as observers see it, without the tips in
// between.
type Change struct {
	From, To *BlockIndex
	Detached []*BlockIndex // from the old tip downwards
	Attached []*BlockIndex // upwards to the new tip
}

// Next is advance(): the one step from the tip towards the best block, and false
// where they are the same (rule W7).
func (t *Tree) Next() (Step, bool) {
	tip := t.Tip()
	if tip == t.best {
		return Step{}, false
	}
	if t.best.Ancestor(tip.Height) != tip {
		return Step{Block: tip, Detach: true}, true
	}
	return Step{Block: t.best.Ancestor(tip.Height + 1)}, true
}

// SetTip says whose coins the owner holds now. Any block will do: after a start
// it is the one that storage names.
func (t *Tree) SetTip(b *BlockIndex) {
	fork := b
	for !t.InActiveChain(fork) {
		fork = fork.Parent
	}
	t.active = t.active[:fork.Height+1]
	for range b.Height - fork.Height {
		t.active = append(t.active, nil)
	}
	for a := b; a != fork; a = a.Parent {
		t.active[a.Height] = a
	}
}

// InActiveChain reports whether b is the tip or one of its ancestors.
func (t *Tree) InActiveChain(b *BlockIndex) bool { return t.At(b.Height) == b }

// At returns the block of the active chain at this height, nil above the tip.
func (t *Tree) At(height uint32) *BlockIndex {
	if uint64(height) >= uint64(len(t.active)) {
		return nil
	}
	return t.active[height]
}

// Leaves returns the blocks without children, in the order in which they were
// added (for getchaintips).
func (t *Tree) Leaves() []*BlockIndex {
	var leaves []*BlockIndex
	for _, b := range t.ordered {
		if b.children == nil {
			leaves = append(leaves, b)
		}
	}
	return leaves
}

// Missing returns up to max blocks on the way to b whose bodies are not stored,
// the lowest first.
func (t *Tree) Missing(b *BlockIndex, max int) []*BlockIndex {
	// Complete blocks lie below incomplete ones: search for the border.
	low, high := uint32(0), b.Height+1
	for low < high {
		mid := low + (high-low)/2
		if b.Ancestor(mid).Complete() {
			low = mid + 1
		} else {
			high = mid
		}
	}
	var missing []*BlockIndex
	for height := low; height <= b.Height && len(missing) < max; height++ {
		if a := b.Ancestor(height); !a.HasBody() {
			missing = append(missing, a)
		}
	}
	return missing
}

// locatorDense is how many hashes a locator begins with before its steps double.
const locatorDense = 10

// Locator names the chain that ends in from by hashes that get sparser towards
// genesis, which is always the last one: at most 42 for any 32-bit height.
func (t *Tree) Locator(from *BlockIndex) []Hash {
	var locator []Hash
	step := uint32(1)
	for b := from; ; b = b.Ancestor(b.Height - min(step, b.Height)) {
		locator = append(locator, b.Hash)
		if b.Height == 0 {
			return locator
		}
		if len(locator) >= locatorDense {
			step *= 2
		}
	}
}

// FindFork returns the last block of the active chain that a locator's chain has
// in common with it, as far as the locator tells; genesis where it tells
// nothing.
func (t *Tree) FindFork(locator []Hash) *BlockIndex {
	for _, hash := range locator {
		b := t.blocks[hash]
		if b == nil {
			continue
		}
		if t.InActiveChain(b) {
			return b
		}
		if b.Ancestor(t.Tip().Height) == t.Tip() {
			return t.Tip() // the sender is ahead on the same chain
		}
	}
	return t.Genesis()
}
