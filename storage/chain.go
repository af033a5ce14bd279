package storage

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// What both stores share: the order of records, the checks of Connect and
// Disconnect, and the index entries of a block.

const noChild = -1

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
	// The children of a block are linked: first by the parent's hash, then in next.
	first, next := make(map[consensus.Hash]int32, len(records)), make([]int32, len(records))
	for i := int32(len(records)) - 1; i >= 0; i-- {
		if records[i].Hash == genesis {
			continue
		}
		prev := &records[i].Header.Prev
		next[i] = noChild
		if sibling, found := first[*prev]; found {
			next[i] = sibling
		}
		first[*prev] = i
	}
	ordered := make([]consensus.Record, 0, len(records))
	add := func(parent consensus.Hash) {
		if i, found := first[parent]; found {
			for ; i != noChild; i = next[i] {
				ordered = append(ordered, records[i])
			}
		}
	}
	add(genesis)
	for done := 0; done < len(ordered); done++ {
		add(ordered[done].Hash)
	}
	return ordered
}

// checkConnect makes sure that b is the child of the tip that it is said to be, and undo
// of b. A mistake here is one of the caller, and nothing has been written yet.
func checkConnect(tip point, rec *consensus.Record, height uint32, b *consensus.Block, undo *consensus.Undo) error {
	switch {
	case b.Header.Prev != tip.Hash:
		return fmt.Errorf("storage: connect %v: its parent is %v, the tip is %v", rec.Hash, b.Header.Prev, tip.Hash)
	case height != tip.Height+1:
		return fmt.Errorf("storage: connect %v: at height %d, the tip is at %d", rec.Hash, height, tip.Height)
	case rec.Header != b.Header:
		return fmt.Errorf("storage: connect %v: the record is of another block", rec.Hash)
	}
	inputs := 0
	for _, tx := range b.Txs[1:] {
		inputs += len(tx.Inputs)
	}
	if inputs != len(undo.Spent) {
		return fmt.Errorf("storage: connect %v: undo data of %d coins for %d inputs", rec.Hash, len(undo.Spent), inputs)
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
	list := make([]event, 0, len(undo.Spent)+outputs(b))
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

func outputs(b *consensus.Block) int {
	n := 0
	for _, tx := range b.Txs {
		n += len(tx.Outputs)
	}
	return n
}

// entry is the event as the history of the coin's key tells it.
func (e *event) entry(txids []consensus.Hash, height uint32) HistoryEntry {
	return HistoryEntry{
		Height: height, TxPos: uint32(e.pos), N: uint32(e.n), TxID: txids[e.pos], Spend: e.spend,
		OutPoint: e.outpoint, Value: e.coin.Value, Coinbase: e.coin.Coinbase,
	}
}
