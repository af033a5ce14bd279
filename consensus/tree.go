package consensus

import (
	"fmt"
	"time"
)

// Tree holds every header that was found valid, says which of their chains is
// the best one, and in which single steps one gets there. It knows headers and
// what became of their bodies, but no coins: its owner takes the step that Next
// names and reports what happened.
//
//	for {
//		step, ok := tree.Next()
//		if !ok {
//			break // the tip is the best block
//		}
//		if err := connect or disconnect step.Block; the block is invalid {
//			tree.SetFailed(step.Block) // and Best is another one from here on
//			continue
//		}
//		tree.SetTip(step.Block or, after a detach, its parent)
//	}
//
// A Tree is not safe for concurrent use. Memory: about 300 bytes a header.
type Tree struct {
	params  *Params
	blocks  map[Hash]*BlockIndex
	ordered []*BlockIndex // as they were added: parents before children
	active  []*BlockIndex // from genesis to the tip, by height

	best       *BlockIndex
	bestHeader *BlockIndex
	arrivals   uint64 // bodies so far
	favours    uint64 // calls of Precious so far
}

// NewTree returns a tree that holds the connected genesis block as its tip.
func NewTree(p *Params) *Tree {
	t := &Tree{params: p, blocks: make(map[Hash]*BlockIndex)}
	genesis := newIndex(nil, &p.genesis.Header, p.genesisHash)
	genesis.TxCount = uint32(len(p.genesis.Txs))
	t.insert(genesis)
	t.active = []*BlockIndex{genesis}
	t.best = genesis
	t.SetBody(genesis)
	t.SetConnected(genesis)
	return t
}

// Lookup returns the block with this hash, or nil.
func (t *Tree) Lookup(hash Hash) *BlockIndex { return t.blocks[hash] }

// Genesis returns the genesis block.
func (t *Tree) Genesis() *BlockIndex { return t.active[0] }

// Len is the number of headers, genesis included.
func (t *Tree) Len() int { return len(t.ordered) }

// Tip is the block whose coins the owner holds.
func (t *Tree) Tip() *BlockIndex { return t.active[len(t.active)-1] }

// Best is the block with the most work among those that are complete and not
// failed (rules W2, W3); it is the tip, or the tip is on its way there.
func (t *Tree) Best() *BlockIndex { return t.best }

// BestHeader is the block with the most work that is not failed, whether the
// bodies are there or not; the first one added among equals.
func (t *Tree) BestHeader() *BlockIndex { return t.bestHeader }

// AddHeader judges a header and adds it. The errors, in this order: high-hash
// (nothing was looked up for it), duplicate and duplicate-invalid (with the
// index that is there already), prev-blk-not-found, bad-prevblk, and those of
// CheckHeader (rules H9 to H11).
func (t *Tree) AddHeader(h *Header, now time.Time) (*BlockIndex, error) {
	hash := h.Hash()
	if b := t.blocks[hash]; b != nil {
		if b.failed {
			return b, invalid(ErrDuplicateInvalid, fmt.Sprintf("block %s is known to be invalid", hash))
		}
		return b, temporary(ErrDuplicate, fmt.Sprintf("block %s is known", hash))
	}
	if err := checkPow(t.params, h, hash); err != nil {
		return nil, err
	}
	parent := t.blocks[h.Prev]
	if parent == nil {
		return nil, temporary(ErrPrevNotFound, fmt.Sprintf("parent %s of block %s is not known", h.Prev, hash))
	}
	if parent.failed {
		return nil, invalid(ErrPrevInvalid, fmt.Sprintf("parent %s of block %s is invalid", h.Prev, hash))
	}
	if err := CheckHeaderInPlace(t.params, parent, h, now); err != nil {
		return nil, err
	}
	b := newIndex(parent, h, hash)
	t.insert(b)
	return b, nil
}

// nearTip is how many blocks' work below the tip a chain may end and still be
// kept: more than any reorganisation that was ever seen on an honest network, and
// each header of it has to carry the work of a recent block. It is Bitcoin Core's.
const nearTip = 144

// Threshold is the work that a chain must have for its headers to be taken from a
// peer (rule W8): the network's minimum, and the tip's less that of 144 blocks.
func (t *Tree) Threshold() Uint256 {
	if tip := t.Tip(); tip.Height > nearTip {
		if near := t.At(tip.Height - nearTip).Work; near.Cmp(t.params.MinWork) > 0 {
			return near
		}
	}
	return t.params.MinWork
}

// insert makes b part of the tree.
func (t *Tree) insert(b *BlockIndex) {
	b.added = len(t.ordered)
	t.ordered = append(t.ordered, b)
	t.blocks[b.Hash] = b
	if b.Parent != nil {
		b.sibling, b.Parent.children = b.Parent.children, b
	}
	if t.bestHeader == nil || !b.failed && betterHeader(b, t.bestHeader) {
		t.bestHeader = b
	}
}

// betterHeader orders headers that are not failed.
func betterHeader(a, b *BlockIndex) bool {
	if c := a.Work.Cmp(b.Work); c != 0 {
		return c > 0
	}
	return a.added < b.added
}

// better orders complete blocks that are not failed (rule W3): by work, then
// those that Precious named, then whose branch was whole first.
func better(a, b *BlockIndex) bool {
	if c := a.Work.Cmp(b.Work); c != 0 {
		return c > 0
	}
	if a.precious != b.precious {
		return a.precious > b.precious
	}
	if a.complete != b.complete {
		return a.complete < b.complete
	}
	return a.arrival < b.arrival
}

// SetBody says that b's body is stored. It takes the next arrival number, which
// the record keeps, and may complete descendants whose bodies came earlier.
func (t *Tree) SetBody(b *BlockIndex) {
	if b.state&RecordHasBody != 0 {
		return
	}
	b.state |= RecordHasBody
	t.arrivals++
	b.arrival = t.arrivals
	t.settle(b)
}

// SetLost says that the stored body of a block of the active chain cannot be read any
// more, or that it is here again. It was judged, and its coins follow from it: neither
// the best block nor what is complete depends on it, and its record stays the same.
func (t *Tree) SetLost(b *BlockIndex, lost bool) { b.lost = lost }

// settle completes b and the descendants that waited for it.
func (t *Tree) settle(b *BlockIndex) {
	walk(b, func(d *BlockIndex) bool {
		if d.state&RecordHasBody == 0 || d.Parent != nil && d.Parent.complete == 0 {
			return false
		}
		d.complete = d.arrival
		if d.Parent != nil {
			d.complete = max(d.complete, d.Parent.complete)
		}
		if !d.failed && better(d, t.best) {
			t.best = d
		}
		return true
	})
}

// walk visits b and its descendants, parents first; below a block for which
// visit returns false it does not go.
func walk(b *BlockIndex, visit func(*BlockIndex) bool) {
	queue := []*BlockIndex{b}
	for len(queue) > 0 {
		next := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !visit(next) {
			continue
		}
		for c := next.children; c != nil; c = c.sibling {
			queue = append(queue, c)
		}
	}
}

// SetConnected says that b was fully validated.
func (t *Tree) SetConnected(b *BlockIndex) { b.state |= RecordConnected }

// SetFailed marks b as invalid: it and its descendants are no candidates any
// more (rule W4). Where the tip is among them, Next leads away from it.
// Genesis cannot fail.
func (t *Tree) SetFailed(b *BlockIndex) {
	if b.Parent == nil {
		return
	}
	b.state |= RecordFailed
	t.refail(b)
	t.choose()
}

// Reconsider takes the mark from b, its ancestors and its descendants (rule W5,
// Core's reconsiderblock).
func (t *Tree) Reconsider(b *BlockIndex) {
	top := b
	for a := b; a != nil; a = a.Parent {
		if a.failed {
			top = a
		}
		a.state &^= RecordFailed
	}
	walk(b, func(d *BlockIndex) bool {
		d.state &^= RecordFailed
		return true
	})
	t.refail(top)
	t.choose()
}

// refail passes the marks down from b to its descendants.
func (t *Tree) refail(b *BlockIndex) {
	walk(b, func(d *BlockIndex) bool {
		d.failed = d.state&RecordFailed != 0 || d.Parent != nil && d.Parent.failed
		return true
	})
}

// Precious prefers b to all others of the same work, as if it had come first
// (rule W6, Core's preciousblock). Blocks with less work than the tip stay as
// they are, and nothing of this is kept in records.
func (t *Tree) Precious(b *BlockIndex) {
	if b.Work.Cmp(t.Tip().Work) < 0 {
		return
	}
	t.favours++
	b.precious = t.favours
	if b.Complete() && !b.failed && better(b, t.best) {
		t.best = b
	}
}

// choose finds the best block and the best header anew.
func (t *Tree) choose() {
	t.best, t.bestHeader = t.Genesis(), t.Genesis()
	for _, b := range t.ordered {
		if b.failed {
			continue
		}
		if betterHeader(b, t.bestHeader) {
			t.bestHeader = b
		}
		if b.Complete() && better(b, t.best) {
			t.best = b
		}
	}
}
