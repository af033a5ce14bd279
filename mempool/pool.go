package mempool

import (
	"container/heap"
	"container/list"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Pool holds the transactions that wait for a block.
type Pool struct {
	cfg     Config
	byTxID  map[consensus.Hash]*Entry
	byWTxID map[consensus.Hash]*Entry
	spender map[consensus.OutPoint]*Entry
	order   *list.List // of *Entry by seq: parents before children, else by arrival
	first   int64      // no entry has a lower seq
	last    int64      // the next entry's seq
	worst   scoreHeap  // the entry to evict first on top
	bytes   int64      // memory of all entries
	vsize   int64
	fees    int64
	oldest  time.Time // no entry came before
	floor   floor
	orphans orphanage

	conflicts conflicts
}

// Arrivals changes whenever an entry comes, and has no value twice.
func (p *Pool) Arrivals() int64 { return p.last - p.first }

// New returns an empty pool.
func New(cfg Config) *Pool {
	cfg = cfg.withDefaults()
	return &Pool{
		cfg:     cfg,
		byTxID:  make(map[consensus.Hash]*Entry),
		byWTxID: make(map[consensus.Hash]*Entry),
		spender: make(map[consensus.OutPoint]*Entry),
		order:   list.New(),
		orphans: newOrphanage(cfg),

		conflicts: newConflicts(),
	}
}

// Config returns the pool's limits.
func (p *Pool) Config() Config { return p.cfg }

// Get returns the entry of a txid, or nil.
func (p *Pool) Get(txid consensus.Hash) *Entry { return p.byTxID[txid] }

// ByWTxID returns the entry of a wtxid, or nil.
func (p *Pool) ByWTxID(wtxid consensus.Hash) *Entry { return p.byWTxID[wtxid] }

// Spender returns the entry that spends an output, or nil.
func (p *Pool) Spender(op consensus.OutPoint) *Entry { return p.spender[op] }

// Coin returns the coin that an entry creates and no entry spends.
func (p *Pool) Coin(op consensus.OutPoint, c Chain) (consensus.Coin, bool) {
	parent := p.byTxID[op.TxID]
	if parent == nil || p.spender[op] != nil {
		return consensus.Coin{}, false
	}
	return parent.coin(op.Index, c.Tip)
}

// Len is the number of entries.
func (p *Pool) Len() int { return len(p.byTxID) }

// Bytes is the estimated memory of all entries, in bytes.
func (p *Pool) Bytes() int64 { return p.bytes }

// VSize is the size of all entries in virtual bytes.
func (p *Pool) VSize() int64 { return p.vsize }

// Fees is what all entries pay together, in units.
func (p *Pool) Fees() int64 { return p.fees }

// Entries returns all entries, parents before children and else in the order
// of arrival.
func (p *Pool) Entries() []*Entry {
	entries := make([]*Entry, 0, p.order.Len())
	for at := p.order.Front(); at != nil; at = at.Next() {
		entries = append(entries, at.Value.(*Entry))
	}
	return entries
}

// append puts a judged entry behind all others.
func (p *Pool) append(e *Entry) {
	e.seq = p.last
	p.last++
	e.at = p.order.PushBack(e)
	p.link(e)
}

// link enters an entry that has its place in the order into everything else.
func (p *Pool) link(e *Entry) {
	p.conflicts.forget(e.TxID)
	p.byTxID[e.TxID] = e
	p.byWTxID[e.WTxID] = e
	for i := range e.Tx.Inputs {
		p.spender[e.Tx.Inputs[i].PrevOut] = e
	}
	for _, parent := range e.parents {
		parent.children = append(parent.children, e)
	}
	for _, child := range e.children {
		child.parents = append(child.parents, e)
	}
	p.bytes += e.bytes
	p.vsize += int64(e.VSize)
	p.fees += e.Fee
	if p.oldest.IsZero() || e.Time.Before(p.oldest) {
		p.oldest = e.Time
	}
	e.family = familyOf(e)
	heap.Push(&p.worst, e)
	p.reweigh(e, rate.plus)
}

// remove takes one entry out. Its children stay: their parent was confirmed, or
// they follow at once.
func (p *Pool) remove(e *Entry) {
	delete(p.byTxID, e.TxID)
	delete(p.byWTxID, e.WTxID)
	for i := range e.Tx.Inputs {
		delete(p.spender, e.Tx.Inputs[i].PrevOut)
	}
	is := func(other *Entry) bool { return other == e }
	for _, parent := range e.parents {
		parent.children = slices.DeleteFunc(parent.children, is)
	}
	for _, child := range e.children {
		child.parents = slices.DeleteFunc(child.parents, is)
	}
	p.order.Remove(e.at)
	p.bytes -= e.bytes
	p.vsize -= int64(e.VSize)
	p.fees -= e.Fee
	heap.Remove(&p.worst, e.heapAt)
	p.reweigh(e, rate.minus)
}

// reweigh brings the scores of e's ancestors up to date after e came (plus) or
// left (minus). An entry with children may have joined or parted families, so
// that those are added up anew.
func (p *Pool) reweigh(e *Entry, change func(rate, rate) rate) {
	for _, ancestor := range e.Ancestors() {
		if len(e.children) == 0 {
			ancestor.family = change(ancestor.family, e.rate())
		} else {
			ancestor.family = familyOf(ancestor)
		}
		heap.Fix(&p.worst, ancestor.heapAt)
	}
}

// familyOf adds up an entry and its descendants.
func familyOf(e *Entry) rate {
	sum := e.rate()
	for _, descendant := range e.Descendants() {
		sum = sum.plus(descendant.rate())
	}
	return sum
}

// removeFamily takes an entry and its descendants out, the latest first, and
// returns how many that were.
func (p *Pool) removeFamily(e *Entry) int {
	family := append([]*Entry{e}, e.Descendants()...)
	for _, member := range slices.Backward(family) {
		p.remove(member)
	}
	return len(family)
}

// Expire removes what has waited longer than the limit, with descendants (M14),
// and the orphans past theirs. It returns how many entries left, and costs
// nothing while none can be that old.
func (p *Pool) Expire(now time.Time) int {
	p.orphans.expire(now)
	limit := now.Add(-p.cfg.Expiry)
	p.conflicts.expire(limit)
	if p.Len() == 0 || !p.oldest.Before(limit) {
		return 0
	}
	n := 0
	p.oldest = time.Time{}
	for _, e := range p.Entries() {
		switch {
		case p.byTxID[e.TxID] != e: // it left with an ancestor
		case e.Time.Before(limit):
			n += p.removeFamily(e)
		case p.oldest.IsZero() || e.Time.Before(p.oldest):
			p.oldest = e.Time
		}
	}
	return n
}
