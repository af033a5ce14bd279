package p2p

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// AnnounceTx tells of a transaction that entered the mempool: one of our own
// (origin "") by gossip; one that came by stream from a peer, or waited for its
// parent, by an offer to the others, since gossip has seen it or never will.
func (e *Engine) AnnounceTx(now time.Time, tx *consensus.Tx, origin PeerID) {
	if origin == "" && 1+tx.Size() <= MaxGossip {
		e.outbox = append(e.outbox, Outgoing{Everyone, &Tx{tx}})
		return
	}
	wtxid := tx.WTxID()
	for _, p := range e.order {
		if p.greeted() && !p.blockOnly() && p.ID != origin && len(p.offers) < MaxOffer {
			p.offers = append(p.offers, wtxid) // one that finds no room travels by reconciliation
		}
	}
}

// flushOffers sends what was offered since the last time in one message.
func (e *Engine) flushOffers(p *peer) {
	if len(p.offers) > 0 {
		e.send(p, &Offer{p.offers})
		p.offers = nil
	}
}

// TakesTxs reports whether payments of a peer are looked at: not where nothing but
// blocks travels between us, so that nobody finds out by them who else we know.
func (e *Engine) TakesTxs(from PeerID) bool {
	p := e.peers[from]
	return p == nil || !p.blockOnly()
}

// AskParents asks the sender of an orphan for the transactions that it spends.
func (e *Engine) AskParents(now time.Time, from PeerID, txids []consensus.Hash) {
	if p := e.peers[from]; p != nil && p.greeted() && !p.blockOnly() {
		e.wantTxs(now, p, txids)
	}
}

func (e *Engine) onOffer(now time.Time, p *peer, m *Offer) {
	if e.catchingUp() {
		return
	}
	e.wantTxs(now, p, m.WTxIDs)
}

// wantTxs asks for transactions that are not in the mempool and that no other
// peer was asked for just now.
func (e *Engine) wantTxs(now time.Time, p *peer, hashes []consensus.Hash) {
	for _, hash := range hashes {
		if len(p.wantHashes) >= maxWantHashes || len(e.askedTxs) >= maxAskedTxs {
			break
		}
		if at, asked := e.askedTxs[hash]; asked && now.Sub(at) < askTxAgain || e.src.MempoolTx(hash) != nil {
			continue
		}
		e.askedTxs[hash] = now
		p.wantHashes = append(p.wantHashes, hash)
	}
	e.pull(now, p)
}

func (e *Engine) forgetTxs(now time.Time) {
	for hash, at := range e.askedTxs {
		if now.Sub(at) >= askTxAgain {
			delete(e.askedTxs, hash)
		}
	}
}

// catchingUp reports whether the tip is so far behind that the mempool of now
// cannot be judged.
func (e *Engine) catchingUp() bool {
	return e.src.BestHeader().Height > e.src.Tip().Height+reconcileSlack
}

// AwaitsBlock reports whether a block is on its way to the tip. It is likely to hold what
// mempools lack of each other, and to judge that one by one would only keep it waiting. A
// header whose body does not come buys no more than stallAfter.
func (e *Engine) AwaitsBlock(now time.Time) bool {
	best := e.src.BestHeader()
	if best.Work.Cmp(e.src.Tip().Work) <= 0 {
		return false
	}
	if best != e.awaited.best {
		e.awaited = awaited{best, now}
	}
	since := now.Sub(e.awaited.since)
	return since >= 0 && since < stallAfter // the clock may have been set back
}

// awaited is the best header that had more work than the tip, when that was last asked.
type awaited struct {
	best  *consensus.BlockIndex
	since time.Time
}

// tickMempool sends our list of ids when it is due, and gives up a request that
// is not answered.
func (e *Engine) tickMempool(now time.Time, p *peer) {
	if !p.pullingAt.IsZero() && now.Sub(p.pullingAt) >= pullTimeout {
		p.pullingAt = time.Time{}
		p.want, p.wantHashes = nil, nil
	}
	if now.Sub(p.pullsAt) >= forgetPulls {
		clear(p.pulls)
		p.pullsAt = now
	}
	e.pull(now, p) // what waited for a block
	if p.dropped || p.blockOnly() || now.Before(p.sendIDsAt) {
		return
	}
	// A little jitter keeps the rounds of a node's peers apart.
	p.sendIDsAt = now.Add(reconcileEvery - time.Duration(e.rng.Int64N(int64(reconcileEvery/8))))
	refs := e.src.MempoolTxs()
	n := min(len(refs), MaxMempoolIDs)
	if n == 0 {
		return
	}
	if p.cursor >= len(refs) {
		p.cursor = 0
	}
	key := saltKey(p.salt)
	m := &MempoolIDs{Salt: p.salt, IDs: make([]uint64, n)}
	for i := range m.IDs {
		m.IDs[i] = key.id(refs[(p.cursor+i)%len(refs)].WTxID)
	}
	p.cursor = (p.cursor + n) % len(refs)
	e.send(p, m)
}

// onMempoolIDs lists what we lack of a peer's mempool, and begins to ask for it.
// What was refused pullsPerTx times is left alone for a while.
func (e *Engine) onMempoolIDs(now time.Time, p *peer, m *MempoolIDs) {
	if !p.idsAt.IsZero() && now.Sub(p.idsAt) < reconcileAtLeast {
		e.blame(now, p, scoreExcess, "its mempool's ids come too often")
		return
	}
	p.idsAt = now
	if e.catchingUp() {
		return
	}
	if m.Salt != p.theirSalt {
		p.theirSalt = m.Salt
		clear(p.pulls)
	}
	have := make(map[uint64]bool, len(m.IDs))
	for _, id := range m.IDs {
		have[id] = false
	}
	key := saltKey(m.Salt)
	for _, ref := range e.src.MempoolTxs() {
		id := key.id(ref.WTxID)
		if _, listed := have[id]; listed {
			have[id] = true
		}
	}
	p.want = nil
	for _, id := range m.IDs {
		if have[id] || p.pulls[id] >= pullsPerTx {
			continue
		}
		if n := p.pulls[id]; n > 0 || len(p.pulls) < maxPulls {
			p.pulls[id] = n + 1
		}
		p.want = append(p.want, id)
	}
	e.pull(now, p)
}

// pull asks for the next transactions wanted from a peer, one request at a time, and none
// while a block is awaited.
func (e *Engine) pull(now time.Time, p *peer) {
	if !p.pullingAt.IsZero() || len(p.want)+len(p.wantHashes) == 0 || e.AwaitsBlock(now) {
		return
	}
	p.wantHashes = slices.DeleteFunc(p.wantHashes, func(h consensus.Hash) bool { return e.src.MempoolTx(h) != nil })
	if len(p.want)+len(p.wantHashes) == 0 {
		return
	}
	m := &GetTxs{Salt: p.theirSalt}
	n := min(len(p.wantHashes), MaxGetTxs)
	m.Hashes, p.wantHashes = p.wantHashes[:n:n], p.wantHashes[n:]
	n = min(len(p.want), MaxGetTxs-n)
	m.IDs, p.want = p.want[:n:n], p.want[n:]
	p.pullingAt = now
	e.send(p, m)
}

// onGetTxs answers as soon as the peer's allowance suffices: whoever pulls a large
// mempool asks as fast as it is answered. An empty request is never honest.
func (e *Engine) onGetTxs(now time.Time, p *peer, m *GetTxs) {
	switch {
	case len(m.IDs)+len(m.Hashes) == 0:
		e.blame(now, p, scoreExcess, "asked for no transactions")
		e.send(p, &TxsDone{})
	case p.asksTxs != nil:
		e.blame(now, p, scoreExcess, "asked for transactions before it was answered")
	default:
		p.asksTxs = m
		e.answerTxs(now, p)
	}
}

// answerTxs sends the transactions that a peer waits for and that are there, up to
// maxTxsBytes.
func (e *Engine) answerTxs(now time.Time, p *peer) {
	m := p.asksTxs
	if m == nil || !p.work.takeAbove(now, e.txsCost(p, m), workSpare) {
		return
	}
	p.asksTxs = nil
	size := 0
	for _, tx := range e.resolve(p, m) {
		if size += tx.Size(); size > maxTxsBytes && size > tx.Size() {
			break
		}
		e.send(p, &Tx{tx})
	}
	e.send(p, &TxsDone{})
}

// gave reports whether a request has ids of the MempoolIDs that we sent this peer.
func (p *peer) gave(m *GetTxs) bool { return len(m.IDs) > 0 && m.Salt == p.salt }

// resolve finds the transactions that a GetTxs means, each once: those named by their
// hash in the order asked for, the rest in the mempool's order, in which parents are
// where their children are.
func (e *Engine) resolve(p *peer, m *GetTxs) (found []*consensus.Tx) {
	taken := make(map[*consensus.Tx]bool, len(m.Hashes)+len(m.IDs))
	take := func(tx *consensus.Tx) {
		if tx != nil && !taken[tx] {
			taken[tx] = true
			found = append(found, tx)
		}
	}
	for _, hash := range m.Hashes {
		tx := e.src.MempoolTx(hash)
		if tx == nil {
			tx = e.src.MempoolByTxID(hash)
		}
		take(tx)
	}
	if !p.gave(m) {
		return found
	}
	ids := make(map[uint64]bool, len(m.IDs))
	for _, id := range m.IDs {
		ids[id] = true
	}
	key := saltKey(p.salt)
	for _, ref := range e.src.MempoolTxs() {
		if ids[key.id(ref.WTxID)] {
			take(e.src.MempoolTx(ref.WTxID))
		}
	}
	return found
}
