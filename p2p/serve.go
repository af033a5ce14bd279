package p2p

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// serving is a body, or a part of one, that a peer asked for. It waits while
// the peer's allowance of bytes is used up, and while the body is on its way
// to us: announcements are forwarded before the body is here. A body is handed
// on once it was connected, since whoever hands on an invalid one is to blame. Parts
// of one go as soon as it is here: nobody is to blame for what was put together from
// short ids, and where each node of a line lacks some each waits for the one before.
type serving struct {
	hash    consensus.Hash
	indexes []uint32
	part    bool // indexes only
	large   bool // a part that turned out to be large
	at      time.Time
}

// size is that of a part, in bytes. An index beyond the end counts nothing.
func (s *serving) size(block *consensus.Block) (bytes int) {
	for _, index := range s.indexes {
		if int(index) < len(block.Txs) {
			bytes += block.Txs[index].Size()
		}
	}
	return bytes
}

func (e *Engine) enqueue(now time.Time, p *peer, s serving) {
	if len(p.serving) >= maxServing {
		e.blame(now, p, scoreExcess, "asked for too many blocks at once")
		return
	}
	p.serving = append(p.serving, s)
}

// serveAll serves all who wait, beginning behind the one that was served last: where there is
// little room it goes round.
func (e *Engine) serveAll(now time.Time) {
	first := slices.Index(e.order, e.served) + 1
	for i := range e.order {
		if p := e.order[(first+i)%len(e.order)]; len(p.serving) > 0 {
			e.serve(now, p)
		}
	}
}

// room reports whether a peer may be sent what it asks for now. A new block waits for parts,
// which have room of their own while they are small, and the peers that we chose have some
// that those who dialled us cannot take.
func (e *Engine) room(p *peer, s serving) bool {
	if p.backlog >= serveBacklog {
		return false
	}
	switch {
	case s.part && !s.large:
		return e.waiting < serveParts
	case p.backlog > 0:
		return e.waiting < serveTotal
	case p.Inbound:
		return e.waiting < serveInbound
	}
	return e.waiting < serveOutbound
}

// serve answers what can be answered, in the order asked for. That something is not here
// needs no room to be said.
func (e *Engine) serve(now time.Time, p *peer) {
	var wait []serving
	var absent []consensus.Hash
	for _, s := range p.serving {
		b := e.src.Lookup(s.hash)
		gone := b == nil || e.src.Pruned(b) || b.Failed()
		here := !gone && b.HasBody() && (b.Connected() || s.part)
		switch {
		case here && p.bytes.open(now) && e.room(p, s):
			if !e.hand(now, p, &s, b) {
				wait = append(wait, s)
			}
			if e.fault != nil {
				return
			}
		case here, !gone && now.Sub(s.at) < parkFor:
			wait = append(wait, s)
		case s.part:
			e.send(p, &NotFound{[]consensus.Hash{s.hash}})
		default:
			absent = append(absent, s.hash)
		}
	}
	p.serving = wait
	for len(absent) > 0 {
		n := min(len(absent), MaxGetBlocks)
		e.send(p, &NotFound{absent[:n]})
		absent = absent[n:]
	}
}

// hand sends what was asked for of a body that is here, unless that turns out to be so large
// that there is no room for it.
func (e *Engine) hand(now time.Time, p *peer, s *serving, b *consensus.BlockIndex) bool {
	block, err := e.src.Body(s.hash)
	if err != nil {
		e.fault = err
		return false
	}
	p.bytes.borrow(int64(block.Size())) // that were read, whatever of them is sent
	p.learn(b)                          // or will have it soon; we need not ask for it
	if s.part && !s.large && s.size(block) > smallPart {
		if s.large = true; !e.room(p, *s) {
			return false
		}
	}
	e.served = p
	e.answer(now, p, *s, block)
	return true
}

func (e *Engine) answer(now time.Time, p *peer, s serving, block *consensus.Block) {
	if !s.part {
		e.sending(p, block.Size())
		p.told.add(s.hash)
		e.send(p, &Block{block})
		return
	}
	m := &BlockTxs{Block: s.hash, Txs: make([]*consensus.Tx, len(s.indexes))}
	for i, index := range s.indexes {
		if int(index) >= len(block.Txs) {
			e.blame(now, p, scoreNonsense, "asked for a transaction beyond the end of the block")
			return
		}
		m.Txs[i] = block.Txs[index]
		e.sending(p, m.Txs[i].Size())
	}
	e.send(p, m)
}

// sending enters bytes that are on their way to a peer.
func (e *Engine) sending(p *peer, size int) {
	if p.backlog >= 0 {
		e.setBacklog(p, p.backlog+size)
	}
}

func (e *Engine) setBacklog(p *peer, bytes int) {
	e.waiting += max(0, bytes) - max(0, p.backlog)
	p.backlog = bytes
}

// Backlog says how many bytes wait to be sent to a peer. The host tells before each Tick:
// whoever reads slowly is served no faster, and what waits for all of them takes little
// memory. A network that never says so is one where nothing waits.
func (e *Engine) Backlog(id PeerID, bytes int) {
	if p := e.peers[id]; p != nil {
		e.setBacklog(p, bytes)
	}
}
