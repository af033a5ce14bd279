package p2p

import (
	"cmp"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// request is one body asked from one peer. A body may be asked from several
// peers, each with a request of its own, so that what one of them sends or
// withholds does not touch the others (CVE-2024-52921).
type request struct {
	peer    *peer
	block   *consensus.BlockIndex
	at      time.Time
	until   time.Time     // then the peer is dropped, whatever else it sent
	partial *PartialBlock // asked for the transactions that this one misses; nil: the whole body
	pool    int64         // MempoolArrivals when it was made
}

// stalled reports whether it has taken so long that somebody else is asked too. Peers
// answer in the order in which they were asked, so one that does so, however slowly the
// bodies come, does not stall; one that leaves out the oldest stalls with all of
// them. The first missing body has been waited for since it is the first, whatever
// its peer sends meanwhile.
func (e *Engine) stalled(now time.Time, r *request) bool {
	since := r.peer.inOrder
	if r.block == e.head.block && e.head.since.Before(since) {
		since = e.head.since
	}
	if r.at.After(since) {
		since = r.at
	}
	return now.Sub(since) >= stallAfter
}

// plan lists the bodies to fetch, lowest first on each branch.
type plan struct {
	blocks []*consensus.BlockIndex
	stale  bool
	at     time.Time
}

// head is the first missing body of the best branch, which all others wait for.
type head struct {
	block *consensus.BlockIndex // nil: nothing is missing
	since time.Time             // when it became the first
	askAt time.Time             // not before that is everybody asked who has it
	wait  time.Duration         // until the next time
}

// noteHead looks whether the first missing body is another one now.
func (e *Engine) noteHead(now time.Time) {
	var first *consensus.BlockIndex
	if len(e.plan.blocks) > 0 {
		first = e.plan.blocks[0]
	}
	if first != e.head.block {
		e.head = head{block: first, since: now, wait: stallAfter}
	}
}

// Fetch asks for the headers and bodies that are missing, and answers requests
// that waited for a body. It is called when a header or a body was stored.
func (e *Engine) Fetch(now time.Time) {
	e.serveAll(now)
	e.syncHeaders(now)
	e.replan(now)
	e.noteHead(now)
	if len(e.plan.blocks) == 0 {
		return
	}
	batches := make(map[*peer][]consensus.Hash)
	ready := e.readyPeers(now)
	e.whoHas(now, ready)
	for _, b := range e.plan.blocks {
		if len(ready) == 0 {
			break
		}
		if b.HasBody() || b.Failed() || !e.mayAsk(now, e.requests[b.Hash]) {
			continue
		}
		p := e.pick(now, b, ready)
		if p == nil {
			continue
		}
		e.request(now, p, b, nil)
		batches[p] = append(batches[p], b.Hash)
		if len(p.inFlight) == maxInFlight {
			ready = slices.DeleteFunc(ready, func(q *peer) bool { return q == p })
		}
	}
	for _, p := range e.order {
		if len(batches[p]) > 0 {
			e.send(p, &GetBlocks{batches[p]})
		}
	}
}

// replan lists the missing bodies anew when the list may have changed, and when
// half of the window has been worked off.
func (e *Engine) replan(now time.Time) {
	for len(e.plan.blocks) > 0 && (e.plan.blocks[0].HasBody() || e.plan.blocks[0].Failed()) {
		e.done(e.plan.blocks[0].Hash)
		e.plan.blocks = e.plan.blocks[1:]
	}
	behind := e.src.BestHeader().Work.Cmp(e.src.Tip().Work) > 0
	due := len(e.plan.blocks) <= fetchWindow/2 && behind && now.Sub(e.plan.at) >= stallAfter/10
	if !e.plan.stale && !due && !(behind && len(e.plan.blocks) < MaxGetBlocks) {
		return
	}
	e.plan = plan{at: now}
	seen := make(map[consensus.Hash]bool)
	for _, target := range e.targets() {
		for _, hash := range e.src.MissingBodies(target, fetchWindow) {
			if b := e.src.Lookup(hash); b != nil && !seen[hash] {
				seen[hash] = true
				e.plan.blocks = append(e.plan.blocks, b)
			}
		}
	}
	for hash := range e.requests {
		if b := e.src.Lookup(hash); b == nil || b.HasBody() || b.Failed() {
			e.done(hash)
		}
	}
}

// targets lists the ends of branches with more work than the tip: the best
// header's, and those that peers are known to have, since the bodies of the
// best may be withheld. Most work first, none on the way to another.
func (e *Engine) targets() []*consensus.BlockIndex {
	tip := e.src.Tip()
	ends := []*consensus.BlockIndex{e.src.BestHeader()}
	for _, p := range e.order {
		if p.best != nil && !p.best.Failed() && p.best.Work.Cmp(tip.Work) > 0 && !slices.Contains(ends, p.best) {
			ends = append(ends, p.best)
		}
	}
	slices.SortStableFunc(ends, func(a, b *consensus.BlockIndex) int { return b.Work.Cmp(a.Work) })
	var targets []*consensus.BlockIndex
	for _, end := range ends {
		inside := slices.ContainsFunc(targets, func(t *consensus.BlockIndex) bool { return t.Ancestor(end.Height) == end })
		if !inside && end.Work.Cmp(tip.Work) > 0 && len(targets) < maxTargets {
			targets = append(targets, end)
		}
	}
	return targets
}

// mayAsk reports whether one more peer may be asked for a body.
func (e *Engine) mayAsk(now time.Time, open []*request) bool {
	return len(open) < maxParallel && !slices.ContainsFunc(open, func(r *request) bool { return !e.stalled(now, r) })
}

// readyPeers lists the peers that may be asked for a new batch.
func (e *Engine) readyPeers(now time.Time) []*peer {
	var ready []*peer
	for _, p := range e.order {
		silent := slices.ContainsFunc(p.inFlight, func(r *request) bool { return e.stalled(now, r) })
		if p.greeted() && p.best != nil && !silent && len(p.inFlight) <= refillBelow {
			ready = append(ready, p)
		}
	}
	return ready
}

// pick chooses the peer with the fewest requests in flight, the fastest among
// equals. The last of the parallel fetches goes to a peer that we chose.
func (e *Engine) pick(now time.Time, b *consensus.BlockIndex, ready []*peer) *peer {
	open := e.requests[b.Hash]
	var best *peer
	for _, p := range ready {
		asked := slices.ContainsFunc(open, func(r *request) bool { return r.peer == p })
		if asked || !p.has(b) || p.lacksBody(now, b.Hash) || !e.slotFor(p, open) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(len(p.inFlight), len(best.inFlight)), cmp.Compare(p.ping, best.ping)) < 0 {
			best = p
		}
	}
	return best
}

// slotFor reports whether p may be one more of the parallel fetches: inbound
// peers alone cannot take all of them.
func (e *Engine) slotFor(p *peer, open []*request) bool {
	if len(open) >= maxParallel {
		return false
	}
	outbound := slices.ContainsFunc(open, func(r *request) bool { return !r.peer.Inbound })
	return !p.Inbound || outbound || len(open) < maxParallel-1
}

// request enters a request into the books; the caller sends it. Those before it may
// each take their time on a slow link.
func (e *Engine) request(now time.Time, p *peer, b *consensus.BlockIndex, partial *PartialBlock) {
	r := &request{peer: p, block: b, at: now, partial: partial, pool: e.src.MempoolArrivals()}
	r.until = now.Add(bodyTimeout + time.Duration(len(p.inFlight))*bodyTransfer)
	p.inFlight = append(p.inFlight, r)
	e.requests[b.Hash] = append(e.requests[b.Hash], r)
}

// find returns the request for a body that is open with a peer, or nil.
func (e *Engine) find(p *peer, hash consensus.Hash) *request {
	for _, r := range e.requests[hash] {
		if r.peer == p {
			return r
		}
	}
	return nil
}

// answered takes a request from the books that the peer has sent something for, right
// or wrong, and reports whether there was one.
func (e *Engine) answered(now time.Time, p *peer, hash consensus.Hash) bool {
	if len(p.inFlight) > 0 && p.inFlight[0].block.Hash == hash {
		p.inOrder = now
	}
	return e.unrequest(p, hash)
}

// unrequest takes one peer's request from the books, if there is one.
func (e *Engine) unrequest(p *peer, hash consensus.Hash) bool {
	r := e.find(p, hash)
	if r == nil {
		return false
	}
	if r.partial != nil {
		p.owes(hash)
	}
	same := func(q *request) bool { return q == r }
	p.inFlight = slices.DeleteFunc(p.inFlight, same)
	if rest := slices.DeleteFunc(e.requests[hash], same); len(rest) > 0 {
		e.requests[hash] = rest
	} else {
		delete(e.requests, hash)
	}
	return true
}

// done takes all requests for a body from the books.
func (e *Engine) done(hash consensus.Hash) {
	for _, r := range slices.Clone(e.requests[hash]) {
		e.unrequest(r.peer, hash)
	}
}

// release takes all requests of a peer from the books.
func (e *Engine) release(p *peer) {
	for _, r := range slices.Clone(p.inFlight) {
		e.unrequest(p, r.block.Hash)
	}
	if e.syncing == p {
		e.syncing = nil
	}
	p.serving, p.presync = nil, nil
	e.plan.stale = true
}

// tickBodies drops a peer that owes a body for too long.
func (e *Engine) tickBodies(now time.Time, p *peer) {
	for _, r := range p.inFlight {
		if !now.Before(r.until) {
			e.drop(p, "no block within "+r.until.Sub(r.at).String())
			return
		}
	}
}

// Got notes that a body, or a transaction by its wtxid, came from a peer, and
// reports whether it had been asked for. It is called before the thing is
// judged; other peers' requests for it stay open until the body is stored. Only
// a block that was put together from an announcement is stored first.
func (e *Engine) Got(now time.Time, from PeerID, hash consensus.Hash) (asked bool) {
	p := e.peers[from]
	if p == nil {
		return false
	}
	if e.answered(now, p, hash) {
		p.told.add(hash)
		p.noteLack(now, hash) // whatever becomes of it, not from this peer again
		e.received.add(hash)
		return true
	}
	if b := e.src.Lookup(hash); b != nil {
		p.told.add(hash)
		e.received.add(hash)
		if b.HasBody() {
			e.serveAll(now) // put together from an announcement: others may wait for it
		}
		return false
	}
	if _, asked = e.askedTxs[hash]; asked {
		delete(e.askedTxs, hash)
	}
	return asked
}

// FetchBody asks for a whole body at once, where putting it together failed or
// what came was not the body: from the given peer, or from anyone where that is
// "" or has enough to do. Nobody is blamed here.
func (e *Engine) FetchBody(now time.Time, from PeerID, hash consensus.Hash) {
	b := e.src.Lookup(hash)
	if b == nil || b.HasBody() || b.Failed() {
		return
	}
	p := e.peers[from]
	if p != nil {
		e.unrequest(p, hash)
	}
	open := e.requests[hash]
	if p == nil || !p.greeted() || len(p.inFlight) >= maxInFlight || !e.slotFor(p, open) {
		if len(open) > 0 {
			return
		}
		if p = e.pick(now, b, e.readyPeers(now)); p == nil {
			return
		}
	}
	e.request(now, p, b, nil)
	e.send(p, &GetBlocks{[]consensus.Hash{hash}})
}
