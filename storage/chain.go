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
	known := len(records)
	for i := range records {
		if records[i].Hash == genesis {
			known--
		}
	}
	ordered := order(genesis, records)
	if len(ordered) != known {
		return nil, fmt.Errorf("%d of %d headers do not descend from genesis: %w", known-len(ordered), known, ErrDamaged)
	}
	return ordered, nil
}

// order is parentsFirst for those records that do descend from genesis.
func order(genesis consensus.Hash, records []consensus.Record) []consensus.Record {
	children := make(map[consensus.Hash][]int, len(records))
	for i := range records {
		if records[i].Hash == genesis {
			continue
		}
		prev := records[i].Header.Prev
		children[prev] = append(children[prev], i)
	}
	ordered := make([]consensus.Record, 0, len(records))
	add := func(parent consensus.Hash) {
		for _, i := range children[parent] {
			ordered = append(ordered, records[i])
		}
	}
	add(genesis)
	for next := 0; next < len(ordered); next++ {
		add(ordered[next].Hash)
	}
	return ordered
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

// event is a coin that comes or goes in a block.
type event struct {
	pos      int // of the transaction
	n        int // input or output number
	spend    bool
	outpoint consensus.OutPoint
	coin     consensus.Coin
}

// events lists what a block does to coins, in the order in which it does it;
// coins that it creates and spends itself come and go. The coins in undo are
// those of the inputs, the coinbase's aside, in block order.
func events(b *consensus.Block, txids []consensus.Hash, height uint32, undo *consensus.Undo) ([]event, error) {
	var list []event
	spent := undo.Spent
	for pos, tx := range b.Txs {
		if pos > 0 {
			if len(spent) < len(tx.Inputs) {
				return nil, fmt.Errorf("the undo data has too few coins: %w", ErrDamaged)
			}
			for n := range tx.Inputs {
				list = append(list, event{pos, n, true, tx.Inputs[n].PrevOut, spent[n]})
			}
			spent = spent[len(tx.Inputs):]
		}
		for n := range tx.Outputs {
			key, ok := consensus.OutputKey(tx.Outputs[n].Script)
			if !ok {
				continue
			}
			coin := consensus.Coin{Value: tx.Outputs[n].Value, Key: key, Height: height, Coinbase: pos == 0}
			list = append(list, event{pos, n, false, consensus.OutPoint{TxID: txids[pos], Index: uint32(n)}, coin})
		}
	}
	if len(spent) != 0 {
		return nil, fmt.Errorf("the undo data has %d coins too many: %w", len(spent), ErrDamaged)
	}
	return list, nil
}

// entry is the event as the history of the coin's key tells it.
func (e *event) entry(txids []consensus.Hash, height uint32) HistoryEntry {
	return HistoryEntry{
		Height: height, TxPos: uint32(e.pos), N: uint32(e.n), TxID: txids[e.pos], Spend: e.spend,
		OutPoint: e.outpoint, Value: e.coin.Value, Coinbase: e.coin.Coinbase,
	}
}

func txids(b *consensus.Block) []consensus.Hash {
	ids := make([]consensus.Hash, len(b.Txs))
	for i, tx := range b.Txs {
		ids[i] = tx.TxID()
	}
	return ids
}
