package p2p

import (
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
	at      time.Time
}

func (e *Engine) enqueue(now time.Time, p *peer, s serving) {
	if len(p.serving) >= maxServing {
		e.blame(now, p, scoreExcess, "asked for too many blocks at once")
		return
	}
	p.serving = append(p.serving, s)
}

// serveAll serves all who wait, another one first each time: where there is little room it
// goes round.
func (e *Engine) serveAll(now time.Time) {
	var waiting []*peer
	for _, p := range e.order {
		if len(p.serving) > 0 {
			waiting = append(waiting, p)
		}
	}
	e.turn++
	for i := range waiting {
		e.serve(now, waiting[(e.turn+i)%len(waiting)])
	}
}

// room reports whether a peer may be sent what it asks for. Parts are small, and a new block
// waits for them: what others let wait keeps no part, and no body from the peers that we
// chose.
func (e *Engine) room(p *peer, part bool) bool {
	if part || p.backlog >= serveBacklog {
		return p.backlog < serveBacklog
	}
	all := 0
	for _, q := range e.order {
		all += max(0, q.backlog)
	}
	return all < serveTotal || p.backlog <= 0 && (all < serveMost || !p.Inbound)
}

// serve answers what can be answered, in the order asked for.
func (e *Engine) serve(now time.Time, p *peer) {
	var wait []serving
	var absent []consensus.Hash
	for i, s := range p.serving {
		if !p.bytes.open(now) || !e.room(p, s.part) {
			wait = append(wait, p.serving[i:]...)
			break
		}
		b := e.src.Lookup(s.hash)
		switch {
		case b != nil && !e.src.Pruned(b) && b.HasBody() && (b.Connected() || s.part) && !b.Failed():
			block, err := e.src.Body(s.hash)
			if err != nil {
				e.fault = err
				return
			}
			p.learn(b) // or will have it soon; we need not ask for it
			e.answer(now, p, s, block)
		case b != nil && !e.src.Pruned(b) && !b.Failed() && now.Sub(s.at) < parkFor:
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

func (e *Engine) answer(now time.Time, p *peer, s serving, block *consensus.Block) {
	p.bytes.borrow(int64(block.Size())) // that were read, whatever of them is sent
	if !s.part {
		p.send(block.Size())
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
		p.send(m.Txs[i].Size())
	}
	e.send(p, m)
}

// send enters bytes that are on their way to a peer.
func (p *peer) send(size int) {
	if p.backlog >= 0 {
		p.backlog += size
	}
}

// Backlog says how many bytes wait to be sent to a peer. The host tells before each Tick:
// whoever reads slowly is served no faster, and what waits for all of them takes little
// memory. A network that never says so is one where nothing waits.
func (e *Engine) Backlog(id PeerID, bytes int) {
	if p := e.peers[id]; p != nil {
		p.backlog = bytes
	}
}
