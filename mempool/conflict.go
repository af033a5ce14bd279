package mempool

import (
	"container/list"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Conflict is a transaction that waited until a block held another one that spends the
// same coin: it is in nobody's way any more, and is kept for whoever asks what became
// of it.
type Conflict struct {
	*Entry
	By consensus.Hash // txid of what the block holds, which contradicts the transaction or an ancestor of it
}

// maxConflictBytes bounds the memory of all conflicts; the oldest are forgotten first. It
// is some 4,000 usual payments.
const maxConflictBytes = 4 << 20

// conflicts are the last ones, in the order in which they came about.
type conflicts struct {
	byTxID map[consensus.Hash]*list.Element
	order  *list.List // of Conflict
	bytes  int64
}

func newConflicts() conflicts {
	return conflicts{byTxID: make(map[consensus.Hash]*list.Element), order: list.New()}
}

func (s *conflicts) add(c Conflict) {
	s.forget(c.TxID)
	c.parents, c.children, c.onChain, c.lookedAt = nil, nil, nil, nil // they hold on to others
	s.byTxID[c.TxID] = s.order.PushBack(c)
	for s.bytes += c.bytes; s.bytes > maxConflictBytes; {
		s.forget(s.order.Front().Value.(Conflict).TxID)
	}
}

// forget takes out a transaction that waits again, or is confirmed after all.
func (s *conflicts) forget(txid consensus.Hash) {
	if at := s.byTxID[txid]; at != nil {
		s.bytes -= at.Value.(Conflict).bytes
		s.order.Remove(at)
		delete(s.byTxID, txid)
	}
}

// expire forgets what came in before a time.
func (s *conflicts) expire(limit time.Time) {
	for at := s.order.Front(); at != nil && at.Value.(Conflict).Time.Before(limit); at = s.order.Front() {
		s.forget(at.Value.(Conflict).TxID)
	}
}

// contradict takes an entry out whose coin a confirmed transaction spends, and its
// descendants.
func (p *Pool) contradict(rival *Entry, by consensus.Hash) {
	family := append([]*Entry{rival}, rival.Descendants()...)
	p.removeFamily(rival)
	for _, e := range family {
		p.conflicts.add(Conflict{e, by})
	}
}

// Conflicts returns the last transactions that blocks contradicted, oldest first, as far
// as they are remembered.
func (p *Pool) Conflicts() []Conflict {
	list := make([]Conflict, 0, p.conflicts.order.Len())
	for at := p.conflicts.order.Front(); at != nil; at = at.Next() {
		list = append(list, at.Value.(Conflict))
	}
	return list
}
