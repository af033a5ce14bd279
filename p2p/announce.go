package p2p

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// WantsAnnounce reports whether some peer should hear of this block from us:
// it was not announced, by us or by gossip, and a peer may not have it.
func (e *Engine) WantsAnnounce(hash consensus.Hash) bool {
	if e.announced.has(hash) {
		return false
	}
	if !e.received.has(hash) {
		return true // our own: gossip carries it too
	}
	b := e.src.Lookup(hash)
	return slices.ContainsFunc(e.order, func(p *peer) bool { return p.lacksNews(b, hash) })
}

// lacksNews reports whether the peer is not known to have the block.
func (p *peer) lacksNews(b *consensus.BlockIndex, hash consensus.Hash) bool {
	return p.greeted() && !p.told.has(hash) && (b == nil || !p.has(b))
}

// Announce tells of a block that became the tip: our own by gossip and, since
// the mesh may not be whole, by stream to the peers that we chose and to those
// that take no gossip; one that was fetched by stream to those that are not known
// to have it.
func (e *Engine) Announce(now time.Time, block *consensus.Block) {
	hash := block.Hash()
	if !e.announced.add(hash) {
		return
	}
	m := NewAnnounce(block, e.rng.Uint64())
	gossip := !e.received.has(hash) && e.gossip(m)
	e.spread(hash, m, func(p *peer) bool { return !gossip || !p.Inbound || p.blockOnly() })
}

// Forward passes on the first announcement of a header, before the body is here:
// by gossip, which does so itself with what came by it, and by stream to the peers
// that take no gossip, or to all where it is too large.
func (e *Engine) Forward(now time.Time, m *Announce, from PeerID, gossiped bool) {
	hash := m.Header.Hash()
	if !e.announced.add(hash) {
		return
	}
	if p := e.peers[from]; p != nil {
		p.lastNews = now
	}
	gossiped = gossiped || e.gossip(m)
	e.spread(hash, m, func(p *peer) bool { return p.ID != from && (!gossiped || p.blockOnly()) })
}

// gossip publishes an announcement, unless it is too large.
func (e *Engine) gossip(m *Announce) bool {
	size := 1 + consensus.HeaderSize + 8 + 9 + len(m.ShortIDs)*len(ShortID{}) + 2 + m.Coinbase.Size()
	if size > MaxGossip {
		return false
	}
	e.outbox = append(e.outbox, Outgoing{Everyone, m})
	return true
}

func (e *Engine) spread(hash consensus.Hash, m *Announce, to func(*peer) bool) {
	b := e.src.Lookup(hash)
	for _, p := range e.order {
		if p.lacksNews(b, hash) && to(p) {
			p.told.add(hash)
			e.send(p, m)
		}
	}
}

// Rebuild puts an announced block together from the mempool. It returns the
// block, or nil where the rest was asked for or nothing can be done; then the
// body comes by Fill, or by its hash. The header is in the tree already. Short
// ids are not committed to by the header, so the block may turn out to be
// another one: then FetchBody, and nobody is blamed.
func (e *Engine) Rebuild(now time.Time, from PeerID, m *Announce) *consensus.Block {
	hash := m.Header.Hash()
	p, b := e.peers[from], e.src.Lookup(hash)
	if b == nil || b.HasBody() || b.Failed() {
		return nil
	}
	e.received.add(hash)
	if p == nil || !p.greeted() || !p.rebuilt.add(hash) {
		return nil // one look at each peer's version
	}
	open := e.requests[hash]
	same := func(r *request) bool { return r.partial != nil && r.pool == e.src.MempoolArrivals() && r.partial.of(m) }
	if slices.ContainsFunc(open, same) && !e.mayAsk(now, open) {
		return nil // it leaves as much open as the one that somebody was asked about
	}
	partial, err := NewPartialBlock(m, e.src.MempoolTxs(), e.src.MempoolTx)
	if err != nil {
		e.FetchBody(now, from, hash)
		return nil
	}
	missing := partial.Missing()
	if len(missing) == 0 {
		block, err := partial.Fill(nil)
		if err != nil {
			return nil
		}
		return block
	}
	if e.find(p, hash) == nil && len(p.inFlight) < maxInFlight && e.worthAsking(now, p, hash, len(missing)) {
		e.request(now, p, b, partial)
		e.send(p, &GetBlockTxs{Block: hash, Indexes: missing})
	}
	return nil
}

// Looks reports whether Rebuild would look at an announcement of this peer, as it does once.
// One more costs the peer some of its allowance.
func (e *Engine) Looks(now time.Time, from PeerID, hash consensus.Hash) bool {
	p := e.peers[from]
	if p == nil || !p.greeted() {
		return false
	}
	if p.rebuilt.has(hash) {
		e.afford(now, p, &Announce{})
		return false
	}
	return true
}

// worthAsking reports whether a block's missing transactions are asked from one
// more peer: the first one, one more where the others stall, or one whose
// version leaves less open, since the others may be garbage.
func (e *Engine) worthAsking(now time.Time, p *peer, hash consensus.Hash, missing int) bool {
	open := e.requests[hash]
	if len(open) == 0 || e.mayAsk(now, open) {
		return e.slotFor(p, open)
	}
	fewer := !slices.ContainsFunc(open, func(r *request) bool {
		return r.partial == nil || len(r.partial.missing) <= missing
	})
	return fewer && e.slotFor(p, open)
}

// Fill completes an announced block with the transactions that a peer was
// asked for. It returns nil for what nobody asked for, and where they do not
// fit; then the body is asked for by its hash.
func (e *Engine) Fill(now time.Time, from PeerID, m *BlockTxs) *consensus.Block {
	p := e.peers[from]
	if p == nil || p.dropped {
		return nil
	}
	r := e.find(p, m.Block)
	if r == nil || r.partial == nil {
		if p.settles(m.Block) {
			return nil
		}
		e.blame(now, p, scoreExcess, "transactions of a block that nobody asked for")
		return nil
	}
	e.answered(now, p, m.Block)
	p.settles(m.Block)
	block, err := r.partial.Fill(m.Txs)
	if err != nil {
		e.FetchBody(now, from, m.Block)
		return nil
	}
	return block
}

// BlockRelay counts the ways by which bodies came from peers, since the start: those
// that were judged and stored, each once.
type BlockRelay struct {
	Rebuilt   uint64 // put together from an announcement and the mempool, without a round trip
	Completed uint64 // the same, with transactions that the announcer was asked for
	Whole     uint64 // sent whole
}

// BlockRelay returns how bodies came until now.
func (e *Engine) BlockRelay() BlockRelay { return e.relay }

// Way is how a body came.
type Way int

// The ways that a BlockRelay counts.
const (
	Rebuilt   Way = iota // from Rebuild
	Completed            // from Fill
	Whole                // a Block
)

// Took notes that a body of this peer was judged and stored.
func (e *Engine) Took(now time.Time, from PeerID, way Way) {
	switch way {
	case Rebuilt:
		e.relay.Rebuilt++
	case Completed:
		e.relay.Completed++
	case Whole:
		e.relay.Whole++
	}
	if p := e.peers[from]; p != nil {
		p.lastBody = now
	}
}

// TookTx notes that a payment of this peer has entered the mempool.
func (e *Engine) TookTx(now time.Time, from PeerID) {
	if p := e.peers[from]; p != nil {
		p.lastTx = now
	}
}
