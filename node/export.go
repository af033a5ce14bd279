package node

import (
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// Export writes blocks of a store's active chain to a block file, lowest first. Call
// Step until there is nothing left.
type Export struct {
	store  storage.Store
	hashes []consensus.Hash // of the blocks to write
	done   int
}

// HeightError says that the chain has no blocks, or no bodies, of the heights asked
// for.
type HeightError string

func (e HeightError) Error() string { return string(e) }

// NewExport prepares to write the blocks of the heights from one to another, both
// included; nil is the tip. HeightError where they are not all there, and
// storage.ErrPruned where they were once. Memory: about 250 bytes a header.
func NewExport(p *consensus.Params, store storage.Store, from uint32, to *uint32) (*Export, error) {
	state, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("load the chain: %w", err)
	}
	last := state.Height
	if to != nil {
		last = *to
	}
	if from > last || last > state.Height {
		return nil, HeightError(fmt.Sprintf("there are no blocks from height %d to %d: the tip is at %d", from, last, state.Height))
	}
	// Genesis is never pruned.
	if first := max(from, 1); first <= last && first < state.Pruned {
		return nil, fmt.Errorf("the blocks below height %d were pruned: %w", state.Pruned, storage.ErrPruned)
	}
	prev := make(map[consensus.Hash]consensus.Hash, len(state.Records))
	for i := range state.Records {
		prev[state.Records[i].Hash] = state.Records[i].Header.Prev
	}
	e := &Export{store: store}
	hash := state.Tip
	for height := state.Height; ; height-- {
		if height <= last {
			e.hashes = append(e.hashes, hash)
		}
		if height == from {
			break
		}
		parent, ok := prev[hash]
		if !ok {
			return nil, fmt.Errorf("the header of block %s is missing: %w", hash, storage.ErrDamaged)
		}
		hash = parent
	}
	slices.Reverse(e.hashes)
	return e, nil
}

// Step writes one block. It reports whether there is another.
func (e *Export) Step(w *storage.BlockWriter) (more bool, err error) {
	raw, err := e.store.RawBlock(e.hashes[e.done])
	if err != nil {
		return false, fmt.Errorf("read block %s: %w", e.hashes[e.done], err)
	}
	if err := w.Write(raw); err != nil {
		return false, err
	}
	e.done++
	return e.done < len(e.hashes), nil
}

// Progress is how many of its blocks are written.
func (e *Export) Progress() (done, total int) { return e.done, len(e.hashes) }
