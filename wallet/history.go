package wallet

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// Direction says what a transaction did to a wallet.
type Direction string

const (
	Received Direction = "received" // coins came from others
	Sent     Direction = "sent"     // our coins went to others
	Moved    Direction = "moved"    // our coins came back to us, less the fee
	Mined    Direction = "mined"    // a mining reward
)

// Entry is one transaction, as far as the wallet is concerned.
type Entry struct {
	TxID          consensus.Hash
	Direction     Direction
	Net           int64    // units; what the balance changed by, the fee included
	Fee           int64    // units; -1 where unknown
	Height        uint32   // 0: in the mempool, or in conflict
	Confirmations uint32   // 0: in the mempool
	Time          int64    // Unix seconds; 0 where unknown
	Counterparts  []string // the others' addresses: who was paid, or who paid
	// Conflict is zero, or the transaction in a block that spends a coin of this one: it
	// will not be confirmed while that is, and counts in no balance.
	Conflict consensus.Hash
	position uint32
}

// historyBatch bounds the transactions whose details are asked for at once.
const historyBatch = 100

// History returns the last transactions of a view, at most limit (0: all),
// newest first.
func (v *View) History(ctx context.Context, c Chain, limit int) ([]Entry, error) {
	entries := v.entries()
	if limit > 0 && len(entries) > limit {
		entries = entries[:limit]
	}
	for batch := range slices.Chunk(entries, historyBatch) {
		txids := make([]consensus.Hash, len(batch))
		for i := range batch {
			txids[i] = batch[i].TxID
		}
		details, err := c.Details(ctx, txids)
		if err != nil {
			return nil, fmt.Errorf("asking for %d transactions: %w", len(txids), err)
		}
		if len(details) != len(batch) {
			return nil, fmt.Errorf("the node described %d transactions, and was asked for %d", len(details), len(batch))
		}
		for i := range batch {
			if details[i].TxID == batch[i].TxID {
				v.describe(&batch[i], &details[i])
			}
		}
	}
	return entries, nil
}

// entries nets the movements of each transaction, newest first.
func (v *View) entries() []Entry {
	at := map[consensus.Hash]int{}
	var entries []Entry
	for _, m := range v.Movements {
		i, ok := at[m.TxID]
		if !ok {
			i = len(entries)
			at[m.TxID] = i
			entries = append(entries, Entry{TxID: m.TxID, Direction: Received, Fee: -1, Height: m.Height,
				Confirmations: v.Confirmations(m.Height), Conflict: m.Conflict, position: m.Position})
		}
		e := &entries[i]
		e.Net += m.Value
		switch {
		case m.Coinbase:
			e.Direction = Mined
		case m.Value < 0:
			e.Direction = Sent
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Height-1, a.Height-1), cmp.Compare(b.position, a.position), slices.Compare(a.TxID[:], b.TxID[:]))
	})
	return entries
}

// describe adds what only the whole transaction tells.
func (v *View) describe(e *Entry, d *Details) {
	e.Time, e.Fee = d.Time, d.Fee
	ends := d.Inputs
	if e.Direction == Sent {
		ends = d.Outputs
	}
	for _, end := range ends {
		if end.Address != "" && !v.Owns(end.Address) && !slices.Contains(e.Counterparts, end.Address) {
			e.Counterparts = append(e.Counterparts, end.Address)
		}
	}
	if e.Direction == Sent && len(e.Counterparts) == 0 {
		e.Direction = Moved
	}
}
