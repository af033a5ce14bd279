package mempool

import (
	"cmp"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Orphan is a transaction that waits for a parent.
type Orphan struct {
	Tx   *consensus.Tx
	From string // the peer that sent it
}

// AddOrphan keeps a transaction that Add refused with *MissingInputs, until
// Children asks for it (M20). Too many of one peer push out that peer's oldest,
// too many in all the oldest of the peer whose take the most room. It returns
// false where the transaction is kept already, or has no room by itself.
func (p *Pool) AddOrphan(now time.Time, from string, tx *consensus.Tx) bool {
	return p.orphans.add(now, from, tx)
}

// Children takes out the orphans that spend outputs of a transaction, in the
// order in which they came, so that they may be tried again.
func (p *Pool) Children(parent consensus.Hash) []Orphan {
	var children []Orphan
	for _, o := range slices.Clone(p.orphans.byParent[parent]) {
		p.orphans.remove(o)
		children = append(children, Orphan{Tx: o.tx, From: o.from})
	}
	return children
}

// HasOrphan reports whether a transaction waits for a parent.
func (p *Pool) HasOrphan(wtxid consensus.Hash) bool { return p.orphans.byWTxID[wtxid] != nil }

// ForgetPeer drops the orphans of a peer that left.
func (p *Pool) ForgetPeer(peer string) {
	if held := p.orphans.peers[peer]; held != nil {
		for _, o := range slices.Clone(held.queue) {
			p.orphans.remove(o)
		}
	}
}

// Orphans is the number of orphans, OrphanBytes their serialized size.
func (p *Pool) Orphans() int { return len(p.orphans.byWTxID) }

// OrphanBytes is the serialized size of all orphans, in bytes.
func (p *Pool) OrphanBytes() int64 { return p.orphans.bytes }

// orphanage holds the orphans.
type orphanage struct {
	cfg      Config
	byWTxID  map[consensus.Hash]*orphan
	byParent map[consensus.Hash][]*orphan // by the txids of all they spend, oldest first
	peers    map[string]*peerOrphans
	bytes    int64
}

type orphan struct {
	tx      *consensus.Tx
	wtxid   consensus.Hash
	from    string
	size    int64 // serialized, bytes
	arrived time.Time
}

// peerOrphans are one peer's, oldest first.
type peerOrphans struct {
	queue []*orphan
	bytes int64
}

func newOrphanage(cfg Config) orphanage {
	return orphanage{
		cfg:      cfg,
		byWTxID:  make(map[consensus.Hash]*orphan),
		byParent: make(map[consensus.Hash][]*orphan),
		peers:    make(map[string]*peerOrphans),
	}
}

func (s *orphanage) add(now time.Time, from string, tx *consensus.Tx) bool {
	o := &orphan{tx: tx, wtxid: tx.WTxID(), from: from, size: int64(tx.Size()), arrived: now}
	if s.byWTxID[o.wtxid] != nil || o.size > s.cfg.MaxPeerOrphBytes || o.size > s.cfg.MaxOrphanBytes {
		return false
	}
	held := s.peers[from]
	if held == nil {
		held = &peerOrphans{}
		s.peers[from] = held
	}
	s.byWTxID[o.wtxid] = o
	for _, parent := range parentsOf(tx) {
		s.byParent[parent] = append(s.byParent[parent], o)
	}
	held.queue = append(held.queue, o)
	held.bytes += o.size
	s.bytes += o.size
	for len(held.queue) > s.cfg.MaxPeerOrphans || held.bytes > s.cfg.MaxPeerOrphBytes {
		s.remove(held.queue[0])
	}
	for len(s.byWTxID) > s.cfg.MaxOrphans || s.bytes > s.cfg.MaxOrphanBytes {
		s.remove(s.peers[s.greediest()].queue[0])
	}
	return s.byWTxID[o.wtxid] == o
}

// greediest names the peer whose orphans take the most room; of equals the
// first by name.
func (s *orphanage) greediest() string {
	var most string
	var bytes int64
	for peer, held := range s.peers {
		if cmp.Or(cmp.Compare(held.bytes, bytes), cmp.Compare(most, peer)) > 0 {
			most, bytes = peer, held.bytes
		}
	}
	return most
}

func (s *orphanage) remove(o *orphan) {
	is := func(other *orphan) bool { return other == o }
	delete(s.byWTxID, o.wtxid)
	for _, parent := range parentsOf(o.tx) {
		if rest := slices.DeleteFunc(s.byParent[parent], is); len(rest) > 0 {
			s.byParent[parent] = rest
		} else {
			delete(s.byParent, parent)
		}
	}
	s.bytes -= o.size
	held := s.peers[o.from]
	held.bytes -= o.size
	if held.queue = slices.DeleteFunc(held.queue, is); len(held.queue) == 0 {
		delete(s.peers, o.from)
	}
}

// confirm drops the orphans that a block holds or contradicts: those that spend
// what it spends. The work is linear in the inputs of both, whatever they have
// in common (CVE-2024-52914).
func (s *orphanage) confirm(block *consensus.Block) {
	if len(s.byWTxID) == 0 {
		return
	}
	spent := make(map[consensus.OutPoint]struct{})
	for _, tx := range block.Txs {
		for i := range tx.Inputs {
			spent[tx.Inputs[i].PrevOut] = struct{}{}
		}
	}
	settled := func(in consensus.TxIn) bool {
		_, ok := spent[in.PrevOut]
		return ok
	}
	for _, o := range s.byWTxID { // each by itself: the order does not matter
		if slices.ContainsFunc(o.tx.Inputs, settled) {
			s.remove(o)
		}
	}
}

// expire drops the orphans whose time is over.
func (s *orphanage) expire(now time.Time) {
	limit := now.Add(-s.cfg.OrphanExpiry)
	for _, held := range s.peers {
		for len(held.queue) > 0 && held.queue[0].arrived.Before(limit) {
			s.remove(held.queue[0])
		}
	}
}

// parentsOf returns the txids that a transaction spends from, each once.
func parentsOf(tx *consensus.Tx) []consensus.Hash {
	seen := make(map[consensus.Hash]bool, len(tx.Inputs))
	var parents []consensus.Hash
	for i := range tx.Inputs {
		if txid := tx.Inputs[i].PrevOut.TxID; !seen[txid] {
			seen[txid] = true
			parents = append(parents, txid)
		}
	}
	return parents
}
