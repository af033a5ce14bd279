package p2p

import (
	"fmt"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// PeerInfo is what is known of a peer (getpeerinfo). Bytes are the host's.
type PeerInfo struct {
	Peer
	Greeted       bool // its hello has come
	Agent         string
	Version       uint32
	Since         time.Time
	StartHeight   uint32 // said in its hello
	BestHeight    uint32 // of the best block that it is known to have
	BestHash      consensus.Hash
	PresyncHeight uint32        // of the first pass over its headers, zero while there is none
	Ping, MinPing time.Duration // zero: not measured yet
	TimeOffset    time.Duration // its clock less ours, when it last told: in its hello, and with each ping
	LastBlock     time.Time     // body that was stored, or first news of a block; zero: never
	LastTx        time.Time     // payment that was accepted; zero: never
	InFlight      []uint32      // heights of the bodies that it was asked for
	Score         int           // misbehaviour; it is dropped at 100
}

// Drop is a peer to be disconnected.
type Drop struct {
	ID         PeerID
	Reason     string
	Misbehaved bool // it broke rules, and is to be kept out for some time
}

// peer is the engine's page on one peer. Every table in it is bounded.
type peer struct {
	Peer
	since   time.Time
	hello   *Hello        // nil until it has come
	offset  time.Duration // its clock less ours
	dropped bool          // in Drops; nothing is said to it any more

	best *consensus.BlockIndex // the best chain that it is known to have

	// Headers.
	claims       bool      // its hello claims a chain that it was not asked for yet
	headersAsked time.Time // zero: no request is open
	headersLast  *consensus.BlockIndex
	askedAt      time.Time // last AskHeaders
	askLater     bool      // an AskHeaders waits for its turn
	pollAt       time.Time // when it is asked for news
	presync      *consensus.Presync
	presyncSince time.Time     // when that began
	presyncAfter time.Time     // none is begun before
	presyncWait  time.Duration // the last pause between two; zero after one that led to something

	// Bodies.
	inFlight []*request       // oldest first
	owed     []consensus.Hash // blocks whose transactions it was asked for, and which came otherwise: the answer is on its way
	inOrder  time.Time        // when it last answered the oldest of them
	lastBody time.Time        // that was stored
	lastNews time.Time        // announcement that was the first of its block
	lacks    []lack
	serving  []serving
	bytes    bucket
	backlog  int // bytes of bodies and else that wait to be sent to it; -1: nobody says
	work     bucket

	// Announcements.
	rebuilt recent[consensus.Hash]
	told    recent[consensus.Hash]

	// Ping.
	pingNonce     uint64 // 0: none is out
	pingAt        time.Time
	ping, minPing time.Duration

	// Mempool.
	salt       uint64    // of our MempoolIDs to this peer
	cursor     int       // where the next part of our mempool begins
	sendIDsAt  time.Time // when it is due
	idsAt      time.Time // last MempoolIDs taken from this peer
	theirSalt  uint64
	want       []uint64
	wantHashes []consensus.Hash
	pullingAt  time.Time // zero: no GetTxs is open
	pulls      map[uint64]uint8
	pullsAt    time.Time // when pulls was last emptied
	offers     []consensus.Hash
	lastTx     time.Time
	asksTxs    *GetTxs // waits for its answer; nil: none does

	addrsAt   time.Time
	addrsFrom time.Time // since then it told of so many addresses
	addrs     int

	score   int
	scoreAt time.Time
}

// lack is a body that the peer did not have, or sent wrong.
type lack struct {
	hash consensus.Hash
	at   time.Time
}

func (e *Engine) newPeer(now time.Time, p Peer) *peer {
	return &peer{
		Peer: p, since: now, scoreAt: now, pullsAt: now,
		bytes:   newBucket(now, serveBurst, serveRate),
		backlog: -1,
		work:    newBucket(now, workBurst, workRate),
		rebuilt: newRecent[consensus.Hash](maxRebuilt),
		told:    newRecent[consensus.Hash](maxTold),
		pulls:   make(map[uint64]uint8),
		salt:    e.rng.Uint64(),
	}
}

// greeted reports whether the peer may be talked to.
func (p *peer) greeted() bool { return p.hello != nil && !p.dropped }

// blockOnly reports whether nothing but blocks travels between us.
func (p *peer) blockOnly() bool { return p.BlockOnly || p.hello != nil && p.hello.BlockOnly() }

// aboutBlocks reports whether a message may cross a connection for blocks alone.
func aboutBlocks(m Msg) bool {
	switch m.(type) {
	case *Tx, *MempoolIDs, *Offer, *GetTxs, *TxsDone, *Peers:
		return false
	}
	return true
}

// has reports whether the peer is known to have this block.
func (p *peer) has(b *consensus.BlockIndex) bool {
	return p.best != nil && p.best.Ancestor(b.Height) == b
}

func (p *peer) learn(b *consensus.BlockIndex) {
	if b != nil && !b.Failed() && (p.best == nil || p.best.Failed() || b.Work.Cmp(p.best.Work) > 0) {
		p.best = b
	}
}

func (p *peer) lacksBody(now time.Time, hash consensus.Hash) bool {
	for _, l := range p.lacks {
		if l.hash == hash && now.Sub(l.at) < lacksFor {
			return true
		}
	}
	return false
}

func (p *peer) noteLack(now time.Time, hash consensus.Hash) {
	if len(p.lacks) == maxLacks {
		p.lacks = append(p.lacks[:0], p.lacks[1:]...)
	}
	p.lacks = append(p.lacks, lack{hash, now})
}

// owes notes that an answer with a block's transactions is on its way that nobody needs
// any more.
func (p *peer) owes(hash consensus.Hash) {
	if len(p.owed) == maxOwed {
		p.owed = append(p.owed[:0], p.owed[1:]...)
	}
	p.owed = append(p.owed, hash)
}

// settles reports whether such an answer was on its way, and crosses it off.
func (p *peer) settles(hash consensus.Hash) bool {
	i := slices.Index(p.owed, hash)
	if i >= 0 {
		p.owed = slices.Delete(p.owed, i, i+1)
	}
	return i >= 0
}

func (p *peer) info() PeerInfo {
	i := PeerInfo{
		Peer: p.Peer, Since: p.since, Ping: p.ping, MinPing: p.minPing, TimeOffset: p.offset,
		LastBlock: p.lastBody, LastTx: p.lastTx, Score: p.score,
	}
	if p.lastNews.After(p.lastBody) {
		i.LastBlock = p.lastNews
	}
	if p.hello != nil {
		i.Greeted, i.Agent, i.Version, i.StartHeight = true, p.hello.Agent, p.hello.Version, p.hello.Height
	}
	i.BlockOnly = p.blockOnly()
	if p.best != nil {
		i.BestHeight, i.BestHash = p.best.Height, p.best.Hash
	}
	if p.presync != nil && p.presync.FirstPass() {
		i.PresyncHeight = p.presync.Height()
	}
	for _, r := range p.inFlight {
		i.InFlight = append(i.InFlight, r.block.Height)
	}
	return i
}

// Punish answers a rule that the peer broke. What is invalid for everybody,
// forever, drops it; what does not decode, or was mutated on the way, adds to
// its score; what depends on where we stand is nobody's fault.
func (e *Engine) Punish(now time.Time, id PeerID, rule *consensus.RuleError) {
	p := e.peers[id]
	if p == nil || rule == nil {
		return
	}
	switch rule.Kind {
	case consensus.Invalid:
		e.blame(now, p, scoreInvalid, rule.Error())
	case consensus.Mutated:
		e.blame(now, p, scoreMutated, rule.Error())
	case consensus.Malformed:
		e.blame(now, p, scoreMalformed, rule.Error())
	}
}

// blame adds to a peer's score, which halves every scoreHalfLife.
func (e *Engine) blame(now time.Time, p *peer, points int, why string) {
	p.decay(now)
	p.score += points
	if p.score >= dropScore {
		e.drop(p, why)
	}
}

func (p *peer) decay(now time.Time) {
	for p.score > 0 && now.Sub(p.scoreAt) >= scoreHalfLife {
		p.score /= 2
		p.scoreAt = p.scoreAt.Add(scoreHalfLife)
	}
	if p.score == 0 {
		p.scoreAt = now
	}
}

// drop lists a peer for disconnection, once. It is forgotten when the host
// reports Disconnected; until then it is neither heard nor talked to.
func (e *Engine) drop(p *peer, why string) {
	if p.dropped {
		return
	}
	p.dropped = true
	e.release(p)
	e.drops = append(e.drops, Drop{p.ID, why, p.score >= dropScore})
}

// afford takes the cost of a request from the peer's allowance.
func (e *Engine) afford(now time.Time, p *peer, m Msg) bool {
	if p.work.take(now, e.cost(m)) {
		return true
	}
	e.blame(now, p, scoreExcess, fmt.Sprintf("more requests than %d units a second allow", workRate))
	return false
}

// cost is roughly the work that a message makes, in units of 20 microseconds. That of a
// GetTxs is taken when it is answered.
func (e *Engine) cost(m Msg) int64 {
	switch m := m.(type) {
	case *GetHeaders:
		return 20
	case *GetBlocks:
		return 1 // bodies have a bucket of their own
	case *GetBlockTxs:
		return 5
	case *MempoolIDs:
		return 50 + e.scanCost()
	case *Offer:
		return 1 + int64(len(m.WTxIDs))/50
	case *Peers:
		return 10
	}
	return 1
}

// txsCost is the same for the answer to a GetTxs.
func (e *Engine) txsCost(p *peer, m *GetTxs) int64 {
	units := 10 + int64(len(m.IDs)+len(m.Hashes))/2
	if p.gave(m) {
		units += e.scanCost()
	}
	return units
}

// scanCost is a walk through the mempool, 100 ns for each transaction (BenchmarkPull).
func (e *Engine) scanCost() int64 { return min(int64(e.src.MempoolLen())/scanPerUnit, maxScanCost) }
