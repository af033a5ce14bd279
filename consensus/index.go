package consensus

import (
	"slices"
)

// BlockIndex is a header in its place in the tree. A Tree makes them; whoever
// drives NextBits over headers of his own makes them with Child. The exported
// fields are not changed afterwards, but for TxCount, which belongs to whoever
// stores the bodies.
type BlockIndex struct {
	Hash    Hash
	Header  Header
	Parent  *BlockIndex // nil for genesis
	Height  uint32
	Work    Uint256 // of the chain that ends here (rule W1)
	MaxTime uint32  // highest time of the block and its ancestors
	TxCount uint32  // transactions in the body, 0 where unknown

	skip *BlockIndex // an ancestor further back, see skipHeight

	state  RecordFlags
	failed bool // itself or an ancestor carries RecordFailed
	lost   bool // see Tree.SetLost

	children *BlockIndex // first child; the others follow in sibling
	sibling  *BlockIndex

	arrival uint64 // of the body, counted from 1; 0 where there is none
	// complete is the arrival that made the branch down to genesis whole:
	// the highest one on it. 0 while a body is missing.
	complete uint64
	precious uint64 // later calls of Precious have higher numbers; 0 for most
	added    int    // position among all headers of the tree
}

// newIndex is the child of parent with this header; parent is nil for genesis.
func newIndex(parent *BlockIndex, h *Header, hash Hash) *BlockIndex {
	b := indexOn(parent, h, hash)
	if parent != nil {
		b.skip = parent.Ancestor(skipHeight(b.Height))
	}
	return &b
}

// indexOn is newIndex without the skip: every ancestor is a step further away.
func indexOn(parent *BlockIndex, h *Header, hash Hash) BlockIndex {
	b := BlockIndex{Hash: hash, Header: *h, Parent: parent, Work: WorkOf(h.Bits), MaxTime: h.Time}
	if parent != nil {
		b.Height = parent.Height + 1
		b.Work = parent.Work.Add(b.Work)
		b.MaxTime = max(parent.MaxTime, h.Time)
	}
	return b
}

// Child returns an index for h on top of b without judging it or entering it
// into a tree: for models of difficulty.
func (b *BlockIndex) Child(h *Header) *BlockIndex { return newIndex(b, h, h.Hash()) }

// HasBody reports whether the block's body is stored, and can be read.
func (b *BlockIndex) HasBody() bool { return b.state&RecordHasBody != 0 && !b.lost }

// Lost reports whether the body was stored, and is gone (SetLost).
func (b *BlockIndex) Lost() bool { return b.lost }

// Connected reports whether the block was once fully validated.
func (b *BlockIndex) Connected() bool { return b.state&RecordConnected != 0 }

// Failed reports whether the block or an ancestor is marked as failed.
func (b *BlockIndex) Failed() bool { return b.failed }

// Complete reports whether the bodies of the block and all its ancestors are
// stored.
func (b *BlockIndex) Complete() bool { return b.complete != 0 }

// skipHeight is where the skip pointer of a block at this height leads. As in
// Bitcoin Core, an even height loses its lowest set bit and an odd one, less
// one, its two lowest; any ancestor is then O(log n) steps away.
func skipHeight(height uint32) uint32 {
	if height < 2 {
		return 0
	}
	if height&1 == 0 {
		return height & (height - 1)
	}
	h := (height - 1) & (height - 2)
	return h&(h-1) + 1
}

// Ancestor returns the block at this height on the way from b to genesis, b
// itself included, or nil where b is lower.
func (b *BlockIndex) Ancestor(height uint32) *BlockIndex {
	if height > b.Height {
		return nil
	}
	for b.Height > height {
		// Take the skip, unless the parent's own skip comes closer.
		up, skip := skipHeight(b.Height), skipHeight(b.Height-1)
		if b.skip != nil && (up == height || up > height && !(skip+2 < up && skip >= height)) {
			b = b.skip
		} else {
			b = b.Parent
		}
	}
	return b
}

// medianBlocks is how many blocks the median time is taken over (rule H4).
const medianBlocks = 11

// MTP is the median time past: the median of the times of the last 11 blocks
// that end in b, of fewer near genesis. Unix seconds.
func (b *BlockIndex) MTP() int64 {
	var times [medianBlocks]uint32
	n := 0
	for ; b != nil && n < medianBlocks; b = b.Parent {
		times[n] = b.Header.Time
		n++
	}
	slices.Sort(times[:n])
	return int64(times[n/2])
}

// LastCommon returns the highest block that is an ancestor of both, either of
// them included. Both are of the same tree.
func LastCommon(a, b *BlockIndex) *BlockIndex {
	height := min(a.Height, b.Height)
	a, b = a.Ancestor(height), b.Ancestor(height)
	// Skips lead to equal heights on both sides, so as long as these differ
	// the two can be followed together.
	for a != b {
		if a.skip != b.skip {
			a, b = a.skip, b.skip
		} else {
			a, b = a.Parent, b.Parent
		}
	}
	return a
}
