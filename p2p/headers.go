package p2p

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Learn notes that the peer has the chain that ends in best. Gossip drops
// messages of a burst without a word: some quiet time after the last one the
// peer is asked whether there was more.
func (e *Engine) Learn(now time.Time, from PeerID, best *consensus.BlockIndex) {
	if p := e.peers[from]; p != nil && best != nil {
		p.learn(best)
		p.told.add(best.Hash)
		p.pollAt = now.Add(pollAfterNews)
	}
}

// GotHeaders takes note of a Headers message with n headers, of which last is
// the last one that the tree has now, nil where it has none of them. A full
// message that follows what was asked for is followed by the request for the next:
// full messages that only go to and fro must not keep others waiting. So is any
// message that a Presync wants to go on with.
func (e *Engine) GotHeaders(now time.Time, from PeerID, last *consensus.BlockIndex, n int) {
	p := e.peers[from]
	if p == nil || p.dropped {
		return
	}
	if p.headersAsked.IsZero() {
		e.blame(now, p, scoreExcess, "headers that nobody asked for")
	}
	p.headersAsked = time.Time{}
	if last != nil {
		p.learn(last)
	}
	if e.followPresync(now, p, last) {
		return
	}
	if n == MaxHeaders && last != nil && follows(p.headersLast, last) {
		p.headersLast = last
		e.getHeaders(now, p, locator(last))
		return
	}
	p.claims, p.headersLast = false, nil
	if e.syncing == p {
		e.syncing = nil
	}
	for _, q := range e.order { // the same headers may be what others claim
		if q.greeted() && q.claims {
			if tip := e.src.Lookup(q.hello.Tip); tip != nil {
				q.learn(tip)
				q.claims = false
			}
		}
	}
	e.plan.stale = true
}

// follows reports whether a full message that ends in last begins behind the one
// before it, which ended in before; nil for none.
func follows(before, last *consensus.BlockIndex) bool {
	return before == nil || last.Height >= MaxHeaders && last.Ancestor(last.Height-MaxHeaders) == before
}

// AskHeaders asks a peer for what leads to a block whose parent is not known:
// at once, or at a later tick where it was asked just now.
func (e *Engine) AskHeaders(now time.Time, from PeerID) {
	p := e.peers[from]
	if p == nil || !p.greeted() {
		return
	}
	p.askLater = !p.headersAsked.IsZero() || !p.askedAt.IsZero() && now.Sub(p.askedAt) < askHeadersEvery
	if !p.askLater {
		p.askedAt = now
		e.getHeaders(now, p, e.src.Locator())
	}
}

func (e *Engine) getHeaders(now time.Time, p *peer, locator []consensus.Hash) {
	p.headersAsked = now
	e.send(p, &GetHeaders{Locator: locator})
}

// askNews asks a peer for what it has beyond the parent of the best header: one that
// has nothing but that header names it, and so says that it has the body too.
func (e *Engine) askNews(now time.Time, p *peer) {
	p.pollAt = now.Add(pollEvery)
	if best := e.src.BestHeader(); best.Height > 0 {
		e.getHeaders(now, p, locator(best.Parent))
		return
	}
	e.getHeaders(now, p, e.src.Locator())
}

// whoHas asks everybody for news where nobody can be asked for the first missing body:
// who has it may have told of it by gossip, which drops all copies but the first. It is
// done again after twice as long each time, up to pollEvery.
func (e *Engine) whoHas(now time.Time, ready []*peer) {
	b := e.head.block
	if b == nil || now.Before(e.head.askAt) || !e.mayAsk(now, e.requests[b.Hash]) || e.pick(now, b, ready) != nil {
		return
	}
	for _, p := range e.order {
		if p.greeted() && !p.has(b) && p.headersAsked.IsZero() && !now.Before(p.presyncAfter) {
			e.askNews(now, p)
			e.head.askAt = now.Add(e.head.wait)
		}
	}
	if now.Before(e.head.askAt) {
		e.head.wait = min(2*e.head.wait, pollEvery)
	}
}

// syncHeaders asks one peer at a time for the bulk of the headers: the one that
// claims the most work. Then those are asked that claim another chain with more
// work than the tip has: the bodies of the best header may be withheld. A claim is
// free: while chains are being looked at that have not shown their work, peers that
// we dialled come before those that dialled us.
func (e *Engine) syncHeaders(now time.Time) {
	if e.syncing != nil {
		return
	}
	tip := e.src.Tip().Work
	chosenFirst := e.presyncing()
	var best *peer
	for _, p := range e.order {
		if p.greeted() && p.claims && p.headersAsked.IsZero() && p.hello.Work.Cmp(tip) > 0 &&
			(best == nil || p.askedBefore(best, chosenFirst)) {
			best = p
		}
	}
	if best != nil {
		e.syncing = best
		e.getHeaders(now, best, e.src.Locator())
	}
}

// askedBefore orders peers that claim work.
func (p *peer) askedBefore(q *peer, chosenFirst bool) bool {
	if chosenFirst && p.Inbound != q.Inbound {
		return !p.Inbound
	}
	return p.hello.Work.Cmp(q.hello.Work) > 0
}

// tickHeaders asks for news now and then, and gives up a peer that owes headers.
func (e *Engine) tickHeaders(now time.Time, p *peer) {
	if p.headersAsked.IsZero() {
		if p.askLater {
			e.AskHeaders(now, p.ID)
		} else if !now.Before(p.pollAt) && e.syncing == nil {
			e.askNews(now, p)
		}
		return
	}
	waited := now.Sub(p.headersAsked)
	if waited >= headersTimeout {
		e.drop(p, "no headers within "+headersTimeout.String())
	} else if e.syncing == p && (waited >= headersLate || p.showsNothing(now)) {
		e.syncing = nil
	}
}

// onGetHeaders answers, and learns what the peer has. Headers without bodies are
// in its locator too, so that only a block whose body is here tells something.
func (e *Engine) onGetHeaders(p *peer, m *GetHeaders) {
	if len(m.Locator) > 0 {
		if b := e.src.Lookup(m.Locator[0]); b != nil && b.HasBody() {
			p.learn(b)
		}
	}
	e.send(p, &Headers{e.src.HeadersAfter(m.Locator, m.Stop, MaxHeaders)})
}

// denseLocator is how many hashes a locator begins with before its steps double.
const denseLocator = 10

// locator names the chain that ends in b by hashes that get sparser towards
// genesis. The source's own names the best header's chain, which is another one
// while a peer's better branch is still coming in.
func locator(b *consensus.BlockIndex) []consensus.Hash {
	var hashes []consensus.Hash
	step := uint32(1)
	for b.Height > 0 {
		hashes = append(hashes, b.Hash)
		if len(hashes) > denseLocator {
			step *= 2
		}
		b = b.Ancestor(b.Height - min(step, b.Height))
	}
	return append(hashes, b.Hash)
}
