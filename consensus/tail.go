package consensus

import "time"

// tail is a chain of headers of which only the end is kept: the last blocks, over
// which the median time is taken, and the one further back that the difficulty
// rule looks at (farthest). The oldest of the last has that one for its parent, so
// that every rule finds what it needs where it always does, and nothing else.
// It takes 3 kB, however long the chain is, and must not be copied.
type tail struct {
	params *Params
	last   *BlockIndex // where the chain begins, or in recent
	length uint32      // headers added

	recent [medianBlocks]BlockIndex // a ring
	far    *BlockIndex              // in the tree, or kept
	kept   BlockIndex               // a copy: its place in recent is used again
}

// begin makes t the empty chain on top of start, which is part of a tree.
func (t *tail) begin(p *Params, start *BlockIndex) {
	t.params, t.last, t.length = p, start, 0
	t.far = start.Ancestor(farthest(p, start.Height))
}

// add judges a header as a child of the last one, as CheckHeader does, and makes
// it the last.
func (t *tail) add(h *Header, hash Hash, now time.Time) error {
	if err := checkPow(t.params, h, hash); err != nil {
		return err
	}
	if err := CheckHeaderInPlace(t.params, t.last, h, now); err != nil {
		return err
	}
	b := &t.recent[t.length%medianBlocks]
	*b = indexOn(t.last, h, hash)
	t.last = b
	t.length++
	if farthest(t.params, b.Height) == b.Height {
		t.kept, t.far = *b, &t.kept
	}
	if t.length >= medianBlocks {
		t.recent[t.length%medianBlocks].Parent = t.far
	}
	return nil
}
