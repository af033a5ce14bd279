package storage

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// What both stores share: the order of records, the checks of Connect and
// Disconnect, and the index entries of a block.

// parentsFirst orders the records of a tree by height. It leaves out genesis
// and fails where a parent is missing.
func parentsFirst(genesis consensus.Hash, records []consensus.Record) ([]consensus.Record, error) {
	children := make(map[consensus.Hash][]int, len(records))
	known := 0
	for i := range records {
		if records[i].Hash == genesis {
			continue
		}
		known++
		prev := records[i].Header.Prev
		children[prev] = append(children[prev], i)
	}
	ordered := make([]consensus.Record, 0, known)
	add := func(parent consensus.Hash) {
		for _, i := range children[parent] {
			ordered = append(ordered, records[i])
		}
	}
	add(genesis)
	for next := 0; next < len(ordered); next++ {
		add(ordered[next].Hash)
	}
	if len(ordered) != known {
		return nil, fmt.Errorf("%d of %d headers do not descend from genesis: %w", known-len(ordered), known, ErrDamaged)
	}
	return ordered, nil
}

// checkConnect makes sure that b is the child of the tip that it is said to be.
// A mistake here is one of the caller, and nothing has been written yet.
func checkConnect(tip point, rec *consensus.Record, height uint32, b *consensus.Block) error {
	switch {
	case b.Header.Prev != tip.Hash:
		return fmt.Errorf("storage: connect %v: its parent is %v, the tip is %v", rec.Hash, b.Header.Prev, tip.Hash)
	case height != tip.Height+1:
		return fmt.Errorf("storage: connect %v: at height %d, the tip is at %d", rec.Hash, height, tip.Height)
	case rec.Header != b.Header:
		return fmt.Errorf("storage: connect %v: the record is of another block", rec.Hash)
	}
	return nil
}

// checkDisconnect makes sure that b is the tip and rec its parent's record.
func checkDisconnect(tip point, rec *consensus.Record, height uint32, b *consensus.Block) error {
	hash := b.Hash()
	switch {
	case hash != tip.Hash || height == 0:
		return fmt.Errorf("storage: disconnect %v: the tip is %v", hash, tip.Hash)
	case height != tip.Height:
		return fmt.Errorf("storage: disconnect %v: at height %d, the tip is at %d", hash, height, tip.Height)
	case rec.Hash != b.Header.Prev:
		return fmt.Errorf("storage: disconnect %v: the record is of %v, the parent is %v", hash, rec.Hash, b.Header.Prev)
	}
	return nil
}

// keyed is a history entry with the key that it belongs to.
type keyed struct {
	key   [consensus.KeySize]byte
	entry HistoryEntry
}

// history returns the entries of a block in chain order. The coins in undo are
// those of the inputs, the coinbase's aside, in block order.
func history(b *consensus.Block, txids []consensus.Hash, height uint32, undo *consensus.Undo) ([]keyed, error) {
	var entries []keyed
	spent := undo.Spent
	for pos, tx := range b.Txs {
		if pos > 0 {
			if len(spent) < len(tx.Inputs) {
				return nil, fmt.Errorf("undo data of block %v has too few coins: %w", b.Hash(), ErrDamaged)
			}
			for n := range tx.Inputs {
				coin := &spent[n]
				entries = append(entries, keyed{coin.Key, HistoryEntry{
					Height: height, TxPos: uint32(pos), N: uint32(n), TxID: txids[pos], Spend: true,
					OutPoint: tx.Inputs[n].PrevOut, Value: coin.Value, Coinbase: coin.Coinbase,
				}})
			}
			spent = spent[len(tx.Inputs):]
		}
		for n := range tx.Outputs {
			key, ok := consensus.OutputKey(tx.Outputs[n].Script)
			if !ok {
				continue
			}
			entries = append(entries, keyed{key, HistoryEntry{
				Height: height, TxPos: uint32(pos), N: uint32(n), TxID: txids[pos],
				OutPoint: consensus.OutPoint{TxID: txids[pos], Index: uint32(n)},
				Value:    tx.Outputs[n].Value, Coinbase: pos == 0,
			}})
		}
	}
	if len(spent) != 0 {
		return nil, fmt.Errorf("undo data of block %v has %d coins too many: %w", b.Hash(), len(spent), ErrDamaged)
	}
	return entries, nil
}

func txids(b *consensus.Block) []consensus.Hash {
	ids := make([]consensus.Hash, len(b.Txs))
	for i, tx := range b.Txs {
		ids[i] = tx.TxID()
	}
	return ids
}
