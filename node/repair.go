package node

import (
	"context"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// A store that met damage says so when it is opened. What follows from the blocks is
// made anew from them; bodies are fetched again from peers, by their hash.

// Repaired is what Repair found.
type Repaired struct {
	// Lost are blocks of the active chain whose bodies are gone. The chain stands all the
	// same: coins and undo data are there. A node is told of them in Config.Lost.
	Lost []consensus.Hash
	// Aside counts other blocks whose bodies are gone. Their records say so now, as if the
	// bodies had never come.
	Aside int
	// Rebuild: coins, undo data and index were dropped, and the tip is genesis. The next
	// steps make them anew from the blocks that are there.
	Rebuild bool
}

// Repair looks at every body, at the undo data of the active chain and at its coins, and
// makes the store fit for a node to start from. It takes about as long as reading
// everything does. Errors are of a store that fails.
func Repair(ctx context.Context, p *consensus.Params, store storage.Store) (r Repaired, err error) {
	state, err := store.Load()
	if err != nil {
		return r, err
	}
	records := make(map[consensus.Hash]*consensus.Record, len(state.Records))
	for i := range state.Records {
		records[state.Records[i].Hash] = &state.Records[i]
	}
	heights := map[consensus.Hash]uint32{p.GenesisHash(): 0}
	active := make(map[consensus.Hash]bool)
	for hash := state.Tip; hash != p.GenesisHash(); {
		rec := records[hash]
		if rec == nil {
			return r, fmt.Errorf("the headers from the tip %s do not lead to genesis: %w", state.Tip, storage.ErrDamaged)
		}
		active[hash] = true
		hash = rec.Header.Prev
	}
	var lost []*consensus.Record
	for i := range state.Records {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		rec := &state.Records[i]
		height := heights[rec.Header.Prev] + 1 // parents come first
		if heights[rec.Hash] = height; height < state.Pruned {
			continue
		}
		gone, undone, err := examine(store, rec, active[rec.Hash])
		if err != nil {
			return r, err
		}
		if gone {
			lost = append(lost, rec)
		}
		r.Rebuild = r.Rebuild || undone
	}
	found, kept, err := store.Recount(ctx)
	if err != nil && !isDamage(err) {
		return r, err
	}
	r.Rebuild = r.Rebuild || err != nil || found != kept
	if r.Rebuild && state.Pruned > 0 {
		return r, fmt.Errorf("coins or undo data are damaged, and cannot be made anew: %w (there are none below height %d)", storage.ErrPruned, state.Pruned)
	}
	if len(lost) == 0 && !r.Rebuild {
		store.Vouch()
		return r, nil
	}
	return r, r.settle(store, lost, active)
}

// examine reads what is stored of a block: whether its body is gone, and whether the
// coins must be made anew because its undo data are, or because its record does not know
// that it was connected.
func examine(store storage.Store, rec *consensus.Record, active bool) (gone, undone bool, err error) {
	block, err := store.Block(rec.Hash)
	if err != nil && !isDamage(err) {
		return false, false, err
	}
	gone = err != nil && rec.Flags&consensus.RecordHasBody != 0
	if !active {
		return gone, false, nil
	}
	const connected = consensus.RecordHasBody | consensus.RecordConnected
	undone = rec.Flags&connected != connected
	undo, err := store.Undo(rec.Hash)
	if err != nil && !isDamage(err) {
		return false, false, err
	}
	undone = undone || err != nil || block != nil && len(undo.Spent) != spends(block)
	return gone, undone, nil
}

// spends counts the coins that a block's payments spend.
func spends(b *consensus.Block) (n int) {
	for _, tx := range b.Txs[1:] {
		n += len(tx.Inputs)
	}
	return n
}

// settle writes down what was found. Bodies that are gone go to their records first,
// so that a reset cut short is no different from one that never began.
func (r *Repaired) settle(store storage.Store, lost []*consensus.Record, active map[consensus.Hash]bool) error {
	var changed []consensus.Record
	for _, rec := range lost {
		if err := store.Forget(rec.Hash); err != nil {
			return fmt.Errorf("forget the body of block %s: %w", rec.Hash, err)
		}
		if active[rec.Hash] && !r.Rebuild {
			r.Lost = append(r.Lost, rec.Hash)
			continue
		}
		r.Aside++
		rec.Flags &^= consensus.RecordHasBody | consensus.RecordConnected
		rec.Seq = 0
		changed = append(changed, *rec)
	}
	if len(changed) > 0 {
		if err := store.PutHeaders(changed); err != nil {
			return fmt.Errorf("write down that bodies are gone: %w", err)
		}
		if err := store.Sync(); err != nil {
			return fmt.Errorf("write down that bodies are gone: %w", err)
		}
	}
	if r.Rebuild {
		if err := store.ResetCoins(); err != nil {
			return fmt.Errorf("reset the coins: %w", err)
		}
	}
	return nil
}

// maxLostAsked is how many lost bodies a tick asks for: half of what one peer may have
// on its way.
const maxLostAsked = 8

// fetchLost asks for bodies that were lost, in turns.
func (n *Node) fetchLost(now time.Time) {
	for range min(len(n.lost), maxLostAsked) {
		index := n.lost[0]
		n.lost = n.lost[1:]
		if index.Lost() {
			n.engine.FetchBody(now, "", index.Hash)
			n.lost = append(n.lost, index)
		}
	}
}

// regain takes the body of a block that had lost it, and was judged long ago.
func (n *Node) regain(index *consensus.BlockIndex, block *consensus.Block) error {
	if err := n.store.PutBlock(n.tree.Record(index), block); err != nil {
		return fmt.Errorf("store block %s again: %w", index.Hash, err)
	}
	n.taken++
	n.tree.SetLost(index, false)
	return nil
}
