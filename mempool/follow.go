package mempool

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// seqStretch is how many places in the order a reorganisation sets aside, in
// front of all others, for the transactions that come back. No branch that a
// node could take off holds as many.
const seqStretch = 1 << 32

// Follow brings the pool to a new tip, c.Tip, which is ch.To. Confirmed
// transactions leave; those that spend what a block spent leave with their
// descendants; the transactions of detached blocks come back in order, in front
// of the others, without paying the relay fee anew; and what the next block may
// not hold any more (a coin that is gone or immature again, a lock time or a
// relative lock that is not reached again) leaves with its descendants. What
// has expired leaves as well (M16–M19). body returns the blocks that ch names.
func (p *Pool) Follow(now time.Time, c Chain, ch consensus.Change, body func(consensus.Hash) (*consensus.Block, error)) error {
	for _, at := range ch.Attached {
		block, err := body(at.Hash)
		if err != nil {
			return err
		}
		p.confirm(block, at.Height)
	}
	if n := len(ch.Detached); n > 0 {
		if err := p.revive(now, c, ch.Detached, body); err != nil {
			return err
		}
		if err := p.recheck(c, ch.Detached[n-1].Height); err != nil {
			return err
		}
	}
	if len(ch.Attached) > 0 {
		p.floor.blockCame(now)
	}
	p.floor.at(now, p.bytes, p.cfg)
	p.Expire(now)
	p.trim(now)
	return nil
}

// confirm takes out what a block holds or contradicts.
func (p *Pool) confirm(block *consensus.Block, height uint32) {
	p.orphans.confirm(block)
	for i, txid := range block.TxIDs() {
		tx := block.Txs[i]
		p.conflicts.forget(txid)
		e := p.byTxID[txid]
		if e == nil {
			for i := range tx.Inputs {
				if rival := p.spender[tx.Inputs[i].PrevOut]; rival != nil {
					p.contradict(rival, txid)
				}
			}
			continue
		}
		for _, child := range e.children {
			child.Coins = slices.Clone(child.Coins)
			for i := range child.Tx.Inputs {
				if child.Tx.Inputs[i].PrevOut.TxID == txid {
					child.Coins[i].Height = height
				}
			}
		}
		p.remove(e)
	}
}

// revive takes the transactions of detached blocks, which come tip first, back
// in: those that the new branch did not confirm or contradict. Their signatures
// were good when their block was connected, and still are.
func (p *Pool) revive(now time.Time, c Chain, detached []*consensus.BlockIndex, body func(consensus.Hash) (*consensus.Block, error)) error {
	p.first -= seqStretch
	seq := p.first
	mark := p.order.PushFront(nil) // behind the revived, before all others
	defer p.order.Remove(mark)
	for _, at := range slices.Backward(detached) {
		block, err := body(at.Hash)
		if err != nil {
			return err
		}
		for _, tx := range block.Txs {
			if e := p.byTxID[tx.TxID()]; e != nil { // it came anew while the tip was on its way
				p.order.MoveBefore(e.at, mark)
				e.seq = seq
				seq++
				heap.Fix(&p.worst, e.heapAt)
				continue
			}
			e, err := p.judgeAgain(now, c, tx)
			switch {
			case consensus.AsRuleError(err) != nil:
				continue
			case err != nil:
				return err
			}
			e.seq = seq
			seq++
			e.at = p.order.InsertBefore(e, mark)
			p.link(e)
		}
		p.trim(now) // block by block: a long branch must not fill the memory
	}
	return nil
}

// judgeAgain is Check for a transaction that was in the chain. Where too much
// would hang together its youngest children leave, not it: they can come again.
func (p *Pool) judgeAgain(now time.Time, c Chain, tx *consensus.Tx) (*Entry, error) {
	if err := checkAlone(c, tx); err != nil {
		return nil, err
	}
	e := newEntry(now, c.Tip, tx)
	if err := p.checkNew(e); err != nil {
		return nil, err
	}
	if err := p.place(e, c); err != nil {
		return nil, err
	}
	for len(e.children) >= MaxClusterTxs || len(e.children) > 0 && checkCluster(e) != nil {
		p.removeFamily(slices.MaxFunc(e.children, func(a, b *Entry) int { return cmp.Compare(a.seq, b.seq) }))
		e.children = slices.DeleteFunc(e.children, func(child *Entry) bool { return p.byTxID[child.TxID] != child })
	}
	return e, checkCluster(e)
}

// recheck removes, after blocks from height lowest on were taken off, what the
// next block may not hold any more.
func (p *Pool) recheck(c Chain, lowest uint32) error {
	entries := p.Entries()
	coins, err := p.movedCoins(c, entries, lowest)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if p.byTxID[e.TxID] != e {
			continue // it left with an ancestor
		}
		if !p.refreshCoins(e, c, coins, lowest) || !consensus.CheckFinal(e.Tx, c.Tip.Height+1, c.Tip.MTP()) {
			p.removeFamily(e)
			continue
		}
		_, err := consensus.SpendTx(c.Params, c.Tip, e.Tx, e.Coins)
		switch {
		case consensus.AsRuleError(err) != nil:
			p.removeFamily(e)
		case err != nil:
			return err
		}
	}
	return nil
}

// movedCoins looks the confirmed coins up that detached blocks had created: the
// new branch may hold them at other heights, or not at all.
func (p *Pool) movedCoins(c Chain, entries []*Entry, lowest uint32) (map[consensus.OutPoint]consensus.Coin, error) {
	var moved []consensus.OutPoint
	for _, e := range entries {
		for i := range e.Tx.Inputs {
			if op := e.Tx.Inputs[i].PrevOut; p.byTxID[op.TxID] == nil && e.Coins[i].Height >= lowest {
				moved = append(moved, op)
			}
		}
	}
	if len(moved) == 0 {
		return nil, nil
	}
	return c.Coins(moved)
}

// refreshCoins gives an entry its coins as they are at the new tip. It returns
// false where one is gone.
func (p *Pool) refreshCoins(e *Entry, c Chain, moved map[consensus.OutPoint]consensus.Coin, lowest uint32) bool {
	fresh := slices.Clone(e.Coins)
	for i := range e.Tx.Inputs {
		op := e.Tx.Inputs[i].PrevOut
		found := true
		if parent := p.byTxID[op.TxID]; parent != nil {
			fresh[i], found = parent.coin(op.Index, c.Tip)
		} else if fresh[i].Height >= lowest {
			fresh[i], found = moved[op]
		}
		if !found {
			return false
		}
	}
	e.Coins = fresh
	return true
}
