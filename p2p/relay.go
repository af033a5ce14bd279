package p2p

import (
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
	key := saltKey(m.Salt)
	refs := e.src.MempoolTxs()
	have := make(map[uint64]struct{}, len(refs))
	for _, ref := range refs {
		have[key.id(ref.WTxID)] = struct{}{}
	}
	p.want = nil
	for _, id := range m.IDs {
		if _, ok := have[id]; ok || p.pulls[id] >= pullsPerTx {
			continue
		}
		if n := p.pulls[id]; n > 0 || len(p.pulls) < maxPulls {
			p.pulls[id] = n + 1
		}
		p.want = append(p.want, id)
	}
	e.pull(now, p)
}

// pull asks for the next transactions wanted from a peer, one request at a time.
func (e *Engine) pull(now time.Time, p *peer) {
	if !p.pullingAt.IsZero() || len(p.want)+len(p.wantHashes) == 0 {
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

// onGetTxs answers with the transactions that are there, up to maxTxsBytes.
func (e *Engine) onGetTxs(p *peer, m *GetTxs) {
	size := 0
	for _, wtxid := range e.resolve(p, m) {
		tx := e.src.MempoolTx(wtxid)
		if tx == nil {
			continue
		}
		if size += tx.Size(); size > maxTxsBytes && size > tx.Size() {
			break
		}
		e.send(p, &Tx{tx})
	}
	e.send(p, &TxsDone{})
}

// resolve finds the wtxids that a GetTxs means, in the mempool's order: parents
// are where their children are.
func (e *Engine) resolve(p *peer, m *GetTxs) []consensus.Hash {
	hashes := make(map[consensus.Hash]bool, len(m.Hashes))
	for _, hash := range m.Hashes {
		hashes[hash] = true
	}
	ids := make(map[uint64]bool, len(m.IDs))
	if m.Salt == p.salt {
		for _, id := range m.IDs {
			ids[id] = true
		}
	}
	key := saltKey(p.salt)
	var found []consensus.Hash
	for _, ref := range e.src.MempoolTxs() {
		if hashes[ref.WTxID] || hashes[ref.TxID] || len(ids) > 0 && ids[key.id(ref.WTxID)] {
			found = append(found, ref.WTxID)
		}
	}
	return found
}
