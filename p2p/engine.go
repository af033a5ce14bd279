package p2p

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Source is what the engine may look at. Its answers hold until the next call
// of the engine. The error of Body is a fault of ours, never a missing body:
// it is called for blocks that HasBody and are not Pruned.
type Source interface {
	Tip() *consensus.BlockIndex
	BestHeader() *consensus.BlockIndex
	Lookup(consensus.Hash) *consensus.BlockIndex
	// Locator names the chain of BestHeader.
	Locator() []consensus.Hash
	HeadersAfter(locator []consensus.Hash, stop consensus.Hash, max int) []consensus.Header
	Body(consensus.Hash) (*consensus.Block, error)
	// Pruned reports whether the body of a block was here once and is not any more.
	Pruned(*consensus.BlockIndex) bool
	// MissingBodies lists blocks towards best without a body, lowest first.
	MissingBodies(best *consensus.BlockIndex, max int) []consensus.Hash
	// MempoolTxs lists the mempool in an order that is the same in every run.
	MempoolTxs() []TxRef
	MempoolTx(wtxid consensus.Hash) *consensus.Tx
	MempoolByTxID(txid consensus.Hash) *consensus.Tx
	MempoolLen() int        // transactions
	MempoolArrivals() int64 // changes whenever a transaction comes
}

// Config is what an Engine is made from.
type Config struct {
	Params *consensus.Params // the network, of which the genesis hash and the future limit are used
	Agent  string            // our name and version, for people; at most MaxAgent bytes
	// Addr says where others may dial us by now, or "". Where the address of the machine is not
	// specified, as in /ip4/0.0.0.0/tcp/9420, peers take the one that they see. nil: nowhere.
	Addr func() string
	// Addresses is the book of nodes' addresses; nil: none are learned or told.
	Addresses Addresses
}

// Addresses is a book of addresses, which the host dials.
type Addresses interface {
	// Heard takes addresses that a peer told of; own: where it says that it can be
	// dialled itself.
	Heard(now time.Time, from Peer, addrs []string, own bool)
	// Sample returns at most n addresses, at random.
	Sample(n int) []string
}

// Engine keeps the books of all peers. The package documentation is its
// contract. It is not safe for concurrent use.
type Engine struct {
	cfg   Config
	src   Source
	rng   *rand.Rand
	nonce uint64 // of our hellos

	peers map[PeerID]*peer
	order []*peer // by time of connection; all loops run over it

	outbox []Outgoing
	drops  []Drop
	fault  error // of Body, until Handle or Tick return it

	served    *peer // that was sent a body or a part last
	waiting   int   // bytes that wait to be sent to all peers
	syncing   *peer // asked for the bulk of the headers
	plan      plan
	head      head
	requests  map[consensus.Hash][]*request
	announced recent[consensus.Hash] // blocks that need no further announcement
	received  recent[consensus.Hash] // bodies that came from peers
	askedTxs  map[consensus.Hash]time.Time
	awaited   awaited
	relay     BlockRelay

	ahead    time.Duration // of now, our clock
	clockOff time.Duration // how far our clock is ahead of the peers', where that is too far
	clockAt  time.Time     // when that was looked at
}

// New returns an engine without peers.
func New(cfg Config, src Source, rng *rand.Rand) *Engine {
	if cfg.Addr == nil {
		cfg.Addr = func() string { return "" }
	}
	return &Engine{
		cfg: cfg, src: src, rng: rng, nonce: rng.Uint64(),
		peers:     make(map[PeerID]*peer),
		requests:  make(map[consensus.Hash][]*request),
		announced: newRecent[consensus.Hash](maxAnnounced),
		received:  newRecent[consensus.Hash](maxAnnounced),
		askedTxs:  make(map[consensus.Hash]time.Time),
	}
}

// Connected opens a page for a peer and greets it.
func (e *Engine) Connected(now time.Time, id Peer) {
	if e.peers[id.ID] != nil {
		e.Disconnected(now, id.ID)
	}
	p := e.newPeer(now, id)
	if len(e.peers) >= maxPeers {
		e.drops = append(e.drops, Drop{ID: p.ID, Reason: "too many peers"})
		return
	}
	e.peers[p.ID] = p
	e.order = append(e.order, p)
	e.greet(now, p)
}

// Disconnected closes a peer's page. What it was asked for is asked elsewhere.
func (e *Engine) Disconnected(now time.Time, id PeerID) {
	p := e.peers[id]
	if p == nil {
		return
	}
	p.dropped = true
	e.setBacklog(p, 0)
	e.release(p)
	delete(e.peers, id)
	e.order = slices.DeleteFunc(e.order, func(q *peer) bool { return q == p })
	e.Fetch(now)
}

// Tick does what is due: deadlines, pings, reconciliation, requests to somebody
// else. It is called a few times a second. The error is a fault of ours.
func (e *Engine) Tick(now time.Time) error {
	for _, p := range e.order {
		if p.dropped {
			continue
		}
		p.decay(now)
		if p.hello == nil {
			if now.Sub(p.since) >= helloTimeout {
				e.drop(p, "no hello within "+helloTimeout.String())
			}
			continue
		}
		e.tickPing(now, p)
		e.tickHeaders(now, p)
		e.tickBodies(now, p)
		e.tickMempool(now, p)
		e.answerTxs(now, p)
		e.tickAddrs(now, p)
	}
	e.tickClock(now)
	e.forgetTxs(now)
	e.plan.stale = true
	e.Fetch(now)
	return e.takeFault()
}

// Handle answers a message of book-keeping: all but Headers, Block, Tx,
// Announce and BlockTxs, which the node judges. The error is a fault of ours.
func (e *Engine) Handle(now time.Time, from PeerID, m Msg) (Verdict, error) {
	p := e.peers[from]
	if p == nil || p.dropped {
		return Ignore, nil
	}
	if hello, ok := m.(*Hello); ok {
		e.onHello(now, p, hello)
		return e.handled(now)
	}
	if p.hello == nil {
		e.blame(now, p, scoreExcess, "messages before its hello")
		return Ignore, nil
	}
	if !e.afford(now, p, m) || p.blockOnly() && !aboutBlocks(m) {
		return Ignore, nil
	}
	switch m := m.(type) {
	case *Ping:
		e.onPing(now, p, m)
	case *Pong:
		e.onPong(now, p, m)
	case *GetHeaders:
		e.onGetHeaders(p, m)
	case *GetBlocks:
		for _, hash := range m.Hashes {
			e.enqueue(now, p, serving{hash: hash, at: now})
		}
		e.serve(now, p)
	case *GetBlockTxs:
		e.enqueue(now, p, serving{hash: m.Block, indexes: m.Indexes, part: true, at: now})
		e.serve(now, p)
	case *NotFound:
		for _, hash := range m.Hashes {
			if e.unrequest(p, hash) {
				p.noteLack(now, hash)
			}
		}
	case *MempoolIDs:
		e.onMempoolIDs(now, p, m)
	case *Offer:
		e.onOffer(now, p, m)
	case *GetTxs:
		e.onGetTxs(now, p, m)
	case *TxsDone:
		p.pullingAt = time.Time{}
		e.pull(now, p)
	case *Peers:
		e.onPeers(now, p, m)
	}
	return e.handled(now)
}

func (e *Engine) handled(now time.Time) (Verdict, error) {
	e.Fetch(now)
	return Accept, e.takeFault()
}

func (e *Engine) takeFault() error {
	err := e.fault
	e.fault = nil
	return err
}

// Outbox hands over what is to be sent, in order, and forgets it.
func (e *Engine) Outbox() []Outgoing {
	for _, p := range e.order {
		e.flushOffers(p)
	}
	out := e.outbox
	e.outbox = nil
	return out
}

// Drops hands over the peers to be disconnected, and forgets them.
func (e *Engine) Drops() []Drop {
	drops := e.drops
	e.drops = nil
	return drops
}

// Peers describes all peers, in the order in which they connected.
func (e *Engine) Peers() []PeerInfo {
	infos := make([]PeerInfo, len(e.order))
	for i, p := range e.order {
		infos[i] = p.info()
	}
	return infos
}

// send queues a message for one peer, unless it is to be dropped.
func (e *Engine) send(p *peer, m Msg) {
	if !p.dropped {
		e.outbox = append(e.outbox, Outgoing{p.ID, m})
	}
}
