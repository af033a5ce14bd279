package p2p

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Presync returns the look at a peer's chain that is under way, nil where there is
// none: its next headers go there, and not into the tree.
func (e *Engine) Presync(from PeerID) *consensus.Presync {
	if p := e.peers[from]; p != nil && !p.dropped {
		return p.presync
	}
	return nil
}

// KeepPresync notes a look that began with headers of this peer; nil ends the one
// under way without blame, for headers that are in the tree meanwhile. It is not
// kept where nobody asked for the headers, or where the last look at the peer's
// chain led to nothing a short while ago: then they are just not taken.
func (e *Engine) KeepPresync(now time.Time, from PeerID, s *consensus.Presync) {
	p := e.peers[from]
	switch {
	case p == nil || p.dropped:
	case s == nil:
		p.presync = nil
	case !p.headersAsked.IsZero() && !now.Before(p.presyncAfter):
		p.presync, p.presyncSince = s, now
	}
}

// followPresync asks for what a look at the peer's chain wants next, and reports
// whether it wants more.
func (e *Engine) followPresync(now time.Time, p *peer, last *consensus.BlockIndex) bool {
	s := p.presync
	if s == nil {
		return false
	}
	p.headersLast = nil
	if !s.Over() {
		e.getHeaders(now, p, append([]consensus.Hash{s.Last()}, locator(s.Start())...))
		return true
	}
	p.presync = nil
	if last != nil {
		p.presyncWait = 0
		return false
	}
	p.presyncWait = min(max(2*p.presyncWait, presyncAgain), presyncSeldom)
	p.presyncAfter = now.Add(p.presyncWait)
	p.pollAt = p.presyncAfter
	return false
}

// showsNothing reports whether the peer sends headers of a chain whose work it has
// not shown for so long that others must not be kept waiting.
func (p *peer) showsNothing(now time.Time) bool {
	return p.presync != nil && p.presync.FirstPass() && now.Sub(p.presyncSince) >= presyncTurn
}

// presyncing reports whether some chain is being looked at first.
func (e *Engine) presyncing() bool {
	for _, p := range e.order {
		if p.presync != nil {
			return true
		}
	}
	return false
}
