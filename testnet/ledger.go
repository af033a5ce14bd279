package testnet

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/testnet/record"
)

// ledger is where payments are followed: it is told what happens to payments, blocks and
// nodes while it happens, and only writes it down; payments makes sense of it, from the
// best chain of that moment, so that a reorganisation needs no care until it is over.
//
// Nodes count from 0. Every method is safe for concurrent use. What it holds grows with
// the payments (a few dozen bytes for each node of each) and with the blocks (8 bytes
// for each node of each), of one run.
type ledger struct {
	epoch time.Time // what the record's seconds count from
	base  uint32    // height of the prelude, whose blocks hold no payment

	mu       sync.Mutex
	payments []*followed
	known    map[consensus.Hash]*followed    // by transaction
	rivals   map[consensus.Hash]bool         // transactions that double-spend a payment
	blocks   map[consensus.Hash]*ledgerBlock // above the prelude
	best     consensus.Hash                  // the tip that learn was told last
	pools    map[consensus.Hash]bool         // what waited in a mempool at the last look; nil: there was none
	mined    map[consensus.Hash]bool         // what was in the chain of a node then
	nodes    []ledgerNode
	turns    []turn // starts and ends of all nodes, by time

	awaited map[consensus.Hash]chan struct{} // payments that somebody waits for to be in every mempool
}

// ledgerNode is what a node does now, and did.
type ledgerNode struct {
	running bool
	since   float64 // of the life that goes on
}

// turn is a start or an end of a node.
type turn struct {
	at    float64
	node  int
	start bool
}

// ledgerBlock is a block that was a node's tip, or lies below one.
type ledgerBlock struct {
	height uint32
	seen   []float64 // by node, in seconds: when it first became the tip; NaN: never

	learnt bool // the rest is known
	parent consensus.Hash
	txs    []consensus.Hash // payments and their rivals
}

// followed is one payment.
type followed struct {
	submission
	answered time.Time
	err      error
	rival    consensus.Hash // that is meant to take it back; zero: none
	accepted []acceptance   // in mempools, in order
}

// acceptance is a payment's way into a node's mempool.
type acceptance struct {
	node int
	at   float64
}

// submission is a payment as it is handed to a node.
type submission struct {
	tx    consensus.Hash // zero: it was not sent
	node  int            // noNode: it did not come to that
	due   time.Time
	sent  time.Time // zero: it was not, or send will say so
	perVB float64   // fee rate, units a virtual byte
	vsize int
	role  record.Role // of an attacker's
}

// noNode stands for no node.
const noNode = -1

// newLedger follows payments through nodes that are all down yet.
func newLedger(epoch time.Time, nodes int, base uint32) *ledger {
	return &ledger{
		epoch: epoch, base: base, nodes: make([]ledgerNode, nodes),
		known: make(map[consensus.Hash]*followed), rivals: make(map[consensus.Hash]bool),
		blocks: make(map[consensus.Hash]*ledgerBlock), awaited: make(map[consensus.Hash]chan struct{}),
	}
}

// seconds is a moment in the record's time: NaN for the zero one.
func (g *ledger) seconds(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return t.Sub(g.epoch).Seconds()
}

// nodeStarted tells that a node runs.
func (g *ledger) nodeStarted(node int, at time.Time) { g.turn(node, at, true) }

// nodeEnded tells that a node was stopped or killed: its mempool is gone.
func (g *ledger) nodeEnded(node int, at time.Time) { g.turn(node, at, false) }

func (g *ledger) turn(node int, at time.Time, start bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &g.nodes[node]
	if n.running == start {
		return
	}
	t := turn{g.seconds(at), node, start}
	n.running, n.since = start, t.at
	place, _ := slices.BinarySearchFunc(g.turns, t.at, func(t turn, at float64) int {
		if t.at <= at {
			return -1
		}
		return 1
	})
	g.turns = slices.Insert(g.turns, place, t)
	for tx := range g.awaited {
		g.tellIfInEveryPool(tx)
	}
}

// inEveryPool returns a channel that is closed when the nodes that run then all have a
// payment in their mempools, as far as they have told. It is asked for once, after submit.
func (g *ledger) inEveryPool(tx consensus.Hash) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	there := make(chan struct{})
	g.awaited[tx] = there
	g.tellIfInEveryPool(tx)
	return there
}

// tellIfInEveryPool closes the channel of a payment that somebody waits for, if it is in
// every mempool; g.mu is held.
func (g *ledger) tellIfInEveryPool(tx consensus.Hash) {
	there := g.awaited[tx]
	if there == nil {
		return
	}
	for node, n := range g.nodes {
		has := func(a acceptance) bool { return a.node == node && a.at >= n.since }
		if n.running && !slices.ContainsFunc(g.known[tx].accepted, has) {
			return
		}
	}
	close(there)
	delete(g.awaited, tx)
}

// submit notes a payment before it is handed to its node, and returns its number.
func (g *ledger) submit(s submission) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := &followed{submission: s}
	g.payments = append(g.payments, f)
	g.known[s.tx] = f
	return len(g.payments) - 1
}

// send notes that the call which hands a payment to its node begins now. It reads the clock
// itself, when it has the lock: whoever waits for that is late by it.
func (g *ledger) send(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payments[id].sent = time.Now()
}

// lateness is by how much the payments of the load were sent after they were due, of those
// that were due in a time. It says nothing of payments that were not sent.
func (g *ledger) lateness(from, to time.Time) (late []time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.payments {
		if f.role == "" && !f.sent.IsZero() && !f.due.Before(from) && f.due.Before(to) {
			late = append(late, f.sent.Sub(f.due))
		}
	}
	return late
}

// answer notes what the node said to a payment.
func (g *ledger) answer(id int, at time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payments[id].answered, g.payments[id].err = at, err
}

// skip notes a payment that was due and is not sent.
func (g *ledger) skip(node int, due time.Time, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payments = append(g.payments, &followed{submission: submission{node: node, due: due}, err: why})
}

// conflict notes that a transaction is meant to take the payment back: a double spend.
func (g *ledger) conflict(payment, rival consensus.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.known[payment]; f != nil {
		f.rival = rival
		g.rivals[rival] = true
	}
}

// accepted notes that a transaction entered a node's mempool. It may come again, after
// a reorganisation, which changes nothing; and after a restart, which does.
func (g *ledger) accepted(node int, tx consensus.Hash, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.known[tx]
	if f == nil {
		return
	}
	for _, a := range f.accepted {
		if a.node == node && !(a.at < g.nodes[node].since) {
			return
		}
	}
	f.accepted = append(f.accepted, acceptance{node, g.seconds(at)})
	g.tellIfInEveryPool(tx)
}

// tip notes that a block became a node's tip. A node that connects several blocks at
// once tells of the last one only.
func (g *ledger) tip(node int, hash consensus.Hash, height uint32, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if height <= g.base {
		return
	}
	b := g.block(hash, height)
	if math.IsNaN(b.seen[node]) {
		b.seen[node] = g.seconds(at)
	}
}

// block returns the record of a block.
func (g *ledger) block(hash consensus.Hash, height uint32) *ledgerBlock {
	b := g.blocks[hash]
	if b == nil {
		b = &ledgerBlock{height: height, seen: slices.Repeat([]float64{math.NaN()}, len(g.nodes))}
		g.blocks[hash] = b
	}
	return b
}
