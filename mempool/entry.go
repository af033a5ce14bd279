package mempool

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Entry is a transaction in the pool. Callers read it and change nothing.
type Entry struct {
	Tx     *consensus.Tx
	TxID   consensus.Hash
	WTxID  consensus.Hash
	Fee    int64            // units
	Weight int              // weight units
	VSize  int              // virtual bytes
	Time   time.Time        // when it came in
	Height uint32           // of the tip when it came in
	Coins  []consensus.Coin // what it spends, by input; an entry's output counts as created in the next block

	parents  []*Entry // whose outputs it spends, each once
	children []*Entry // who spend its outputs, each once
	seq      int64    // parents before children; Entries' order
	at       *list.Element
	bytes    int64
	family   rate // of the entry and its descendants together
	heapAt   int  // position in Pool.worst

	// What Judge found on the chain, so that Admit need not look again while the tip
	// is the same.
	onChain  map[consensus.OutPoint]consensus.Coin
	lookedAt *consensus.BlockIndex
}

// What an entry occupies, in bytes, maps and slice headers included; measured
// on a 64-bit machine, with the maps' average load.
const (
	bytesPerEntry  = 700
	bytesPerInput  = 280
	bytesPerOutput = 48
)

// newEntry measures a transaction.
func newEntry(now time.Time, tip *consensus.BlockIndex, tx *consensus.Tx) *Entry {
	weight := tx.Weight()
	return &Entry{
		Tx: tx, TxID: tx.TxID(), WTxID: tx.WTxID(),
		Weight: weight, VSize: (weight + consensus.WitnessScale - 1) / consensus.WitnessScale,
		Time: now, Height: tip.Height,
		bytes: memory(tx),
	}
}

// memory estimates what a transaction with its coins and its places in the
// pool's indexes occupies, in bytes.
func memory(tx *consensus.Tx) int64 {
	n := bytesPerEntry + bytesPerInput*len(tx.Inputs) + bytesPerOutput*len(tx.Outputs)
	for i := range tx.Inputs {
		n += len(tx.Inputs[i].ScriptSig)
		for _, item := range tx.Inputs[i].Witness {
			n += len(item)
		}
	}
	for i := range tx.Outputs {
		n += len(tx.Outputs[i].Script)
	}
	return int64(n)
}

// Bytes is what the entry counts for in the pool's memory, in bytes.
func (e *Entry) Bytes() int64 { return e.bytes }

// Parents returns the entries whose outputs this one spends, oldest first.
func (e *Entry) Parents() []*Entry { return inOrder(slices.Clone(e.parents)) }

// Children returns the entries that spend this one's outputs, oldest first.
func (e *Entry) Children() []*Entry { return inOrder(slices.Clone(e.children)) }

// Ancestors returns the entries that have to be in a block before this one,
// in an order in which they may be.
func (e *Entry) Ancestors() []*Entry {
	return inOrder(reach([]*Entry{e}, func(e *Entry) []*Entry { return e.parents })[1:])
}

// Descendants returns the entries that need this one, parents first.
func (e *Entry) Descendants() []*Entry {
	return inOrder(reach([]*Entry{e}, func(e *Entry) []*Entry { return e.children })[1:])
}

// rate is the entry's own.
func (e *Entry) rate() rate { return rate{e.Fee, int64(e.Weight)} }

// score is what keeps the entry in the pool: its own rate, or that of the
// descendants it would take along, if they pay more.
func (e *Entry) score() rate {
	if own := e.rate(); own.compare(e.family) > 0 {
		return own
	}
	return e.family
}

// reach returns from and all that next leads to, each once, from first.
func reach(from []*Entry, next func(*Entry) []*Entry) []*Entry {
	seen := make(map[*Entry]bool, len(from))
	var all []*Entry
	visit := func(entries []*Entry) {
		for _, e := range entries {
			if !seen[e] {
				seen[e] = true
				all = append(all, e)
			}
		}
	}
	visit(from)
	for i := 0; i < len(all); i++ {
		visit(next(all[i]))
	}
	return all
}

// relatives are the entries one step away in either direction.
func relatives(e *Entry) []*Entry { return slices.Concat(e.parents, e.children) }

// inOrder sorts entries by their place in the pool: parents before children.
func inOrder(entries []*Entry) []*Entry {
	slices.SortFunc(entries, func(a, b *Entry) int { return cmp.Compare(a.seq, b.seq) })
	return entries
}
