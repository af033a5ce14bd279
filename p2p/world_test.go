package p2p_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// world is package virtual's, for tests, with a chain that its nodes mine.
type world struct {
	*virtual.World
	t      testing.TB
	params *consensus.Params
	chain  *chaintest.Chain
	start  time.Time
	script *strings.Builder // the transcript, where one is kept
}

func newWorld(t testing.TB, seed uint64) *world {
	params := consensus.Regtest()
	start := time.Unix(int64(params.GenesisTime), 0).UTC().Add(365 * 24 * time.Hour)
	w := &world{World: virtual.New(start, seed), t: t, params: params, chain: chaintest.New(t, params), start: start}
	w.Watch(w.note)
	return w
}

// node is the least that keeps the contract: it believes every block whose
// Merkle root is right, and every transaction whose parents it has.
type node struct {
	*virtual.Host
	w       *world
	engine  *p2p.Engine
	tree    *consensus.Tree
	bodies  map[consensus.Hash]*consensus.Block
	order   []p2p.TxRef                      // of the mempool
	pool    map[consensus.Hash]*consensus.Tx // by wtxid
	byTxID  map[consensus.Hash]*consensus.Tx
	orphans []orphan
	refuse  map[consensus.Hash]int // wtxids to be ignored so many times
	told    map[string]int         // messages received, by kind
	scans   int                    // of the mempool
	added   int64                  // to it
	book    []string               // addresses heard of

	blocksFrom p2p.PeerID // that the node dials for blocks alone

	// mute, where set, swallows what it returns true for: an attacker's node.
	mute func(p2p.Outgoing) bool
}

type orphan struct {
	tx   *consensus.Tx
	from p2p.PeerID
}

func (w *world) add(id string) *node {
	n := &node{
		w: w, tree: consensus.NewTree(w.params),
		bodies: map[consensus.Hash]*consensus.Block{w.params.GenesisHash(): w.params.Genesis()},
		pool:   make(map[consensus.Hash]*consensus.Tx), refuse: make(map[consensus.Hash]int), byTxID: make(map[consensus.Hash]*consensus.Tx),
		told: make(map[string]int),
	}
	n.engine = p2p.New(p2p.Config{Params: w.params, Agent: "/" + id + "/", Addr: func() string { return "/dns4/" + id }, Addresses: n}, n,
		rand.New(rand.NewPCG(w.Rand.Uint64(), 0)))
	n.Host = w.Add(p2p.PeerID(id), n)
	w.Start(n)
	return n
}

// Heard and Sample make a node a p2p.Addresses that forgets nothing.
func (n *node) Heard(_ time.Time, _ p2p.Peer, addrs []string, _ bool) {
	for _, addr := range addrs {
		if !slices.Contains(n.book, addr) {
			n.book = append(n.book, addr)
		}
	}
}

func (n *node) Sample(most int) []string { return slices.Clone(n.book[:min(most, len(n.book))]) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// link connects two nodes, the first one dialling, with 5 to 25 ms between them.
func (w *world) link(a, b *node) {
	w.Link(a, b, virtual.Shape{Delay: time.Duration(5+w.Rand.IntN(20)) * time.Millisecond})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	w.ok(w.Run(d))
}

// until lets time pass, at most d, until done.
func (w *world) until(d time.Duration, what string, done func() bool) {
	w.t.Helper()
	came, err := w.Until(d, done)
	if w.ok(err); !came {
		w.t.Fatalf("not within %v: %s", d, what)
	}
}

// What follows makes a node a virtual.Machine.

func (n *node) Connected(now time.Time, peer p2p.Peer) {
	peer.BlockOnly = peer.ID == n.blocksFrom
	n.engine.Connected(now, peer)
}
func (n *node) Disconnected(now time.Time, id p2p.PeerID) { n.engine.Disconnected(now, id) }
func (n *node) Tick(now time.Time) error                  { return n.engine.Tick(now) }
func (n *node) Outbox() []p2p.Outgoing {
	return slices.DeleteFunc(n.engine.Outbox(), func(out p2p.Outgoing) bool { return n.mute != nil && n.mute(out) })
}
func (n *node) Drops() []p2p.Drop { return n.engine.Drops() }

// Advance walks to the best branch and announces it.
func (n *node) Advance(now time.Time, _ consensus.Verifier) error {
	before := n.tree.Tip()
	for {
		step, ok := n.tree.Next()
		if !ok {
			break
		}
		if step.Detach {
			n.tree.SetTip(step.Block.Parent)
		} else {
			n.tree.SetTip(step.Block)
			for _, tx := range n.bodies[step.Block.Hash].Txs {
				n.forget(tx.WTxID())
			}
		}
	}
	if tip := n.tree.Tip(); tip != before && tip == n.tree.BestHeader() && n.engine.WantsAnnounce(tip.Hash) {
		n.engine.Announce(now, n.bodies[tip.Hash])
	}
	return nil
}

// Receive is the node's half of the contract.
func (n *node) Receive(now time.Time, from p2p.PeerID, msg p2p.Msg, gossip bool) (p2p.Verdict, error) {
	n.told[kind(msg)]++
	switch m := msg.(type) {
	case *p2p.Headers:
		var last *consensus.BlockIndex
		for i := range m.Headers {
			b, err := n.addHeader(from, &m.Headers[i])
			if err != nil {
				break
			}
			last = b
		}
		n.engine.GotHeaders(now, from, last, len(m.Headers))
		n.engine.Fetch(now)
		return p2p.Accept, nil
	case *p2p.Announce:
		return n.judgeAnnounce(from, m, gossip), nil
	case *p2p.BlockTxs:
		if block := n.engine.Fill(now, from, m); block != nil {
			n.addRebuilt(from, block, p2p.Completed)
		}
		return p2p.Accept, nil
	case *p2p.Block:
		n.engine.Got(now, from, m.Block.Hash())
		if rule := n.addBlock(from, m.Block); rule != nil {
			n.engine.Punish(now, from, rule)
		} else {
			n.engine.Took(now, from, p2p.Whole)
		}
		n.engine.Fetch(now)
		return p2p.Accept, nil
	case *p2p.Tx:
		return n.judgeTx(from, m.Tx, gossip), nil
	}
	return n.engine.Handle(now, from, msg)
}

func (n *node) judgeAnnounce(from p2p.PeerID, m *p2p.Announce, gossip bool) p2p.Verdict {
	now := n.w.Now
	first := n.tree.Lookup(m.Header.Hash()) == nil
	b, err := n.addHeader(from, &m.Header)
	if err != nil {
		if n.tree.Lookup(m.Header.Prev) == nil {
			n.engine.AskHeaders(now, from)
		}
		return p2p.Ignore
	}
	n.engine.Learn(now, from, b)
	if first {
		n.engine.Forward(now, m, from, gossip)
	}
	switch {
	case b.HasBody():
	case !b.Parent.HasBody():
		n.engine.Fetch(now)
	default:
		if block := n.engine.Rebuild(now, from, m); block != nil {
			n.addRebuilt(from, block, p2p.Rebuilt)
		}
	}
	if first {
		return p2p.Accept
	}
	return p2p.Ignore
}

func (n *node) addHeader(from p2p.PeerID, h *consensus.Header) (*consensus.BlockIndex, error) {
	b, err := n.tree.AddHeader(h, n.w.Now)
	if rule := consensus.AsRuleError(err); rule != nil && rule.Code != consensus.ErrDuplicate {
		n.engine.Punish(n.w.Now, from, rule)
		return nil, err
	}
	return b, nil
}

func (n *node) addRebuilt(from p2p.PeerID, block *consensus.Block, way p2p.Way) {
	if rule := n.addBlock(from, block); rule != nil {
		n.engine.FetchBody(n.w.Now, from, block.Hash())
		return
	}
	n.engine.Got(n.w.Now, from, block.Hash())
	n.engine.Took(n.w.Now, from, way)
	n.engine.Fetch(n.w.Now)
}

func (n *node) addBlock(from p2p.PeerID, block *consensus.Block) *consensus.RuleError {
	b, err := n.addHeader(from, &block.Header)
	if err != nil || b.HasBody() {
		return nil
	}
	if root, mutated := block.MerkleRoot(); mutated || root != block.Header.MerkleRoot {
		return &consensus.RuleError{Code: consensus.ErrMerkleRoot, Kind: consensus.Mutated}
	}
	n.bodies[b.Hash] = block
	n.tree.SetBody(b)
	n.tree.SetConnected(b)
	return nil
}

// judgeTx treats a transaction as an orphan whose parent is a loose one that
// this node has not seen.
func (n *node) judgeTx(from p2p.PeerID, tx *consensus.Tx, gossip bool) p2p.Verdict {
	if !n.engine.TakesTxs(from) {
		return p2p.Ignore
	}
	wtxid := tx.WTxID()
	n.engine.Got(n.w.Now, from, wtxid)
	switch parent := tx.Inputs[0].PrevOut; {
	case n.pool[wtxid] != nil:
		return p2p.Ignore
	case n.refuse[wtxid] > 0:
		n.refuse[wtxid]--
		return p2p.Ignore
	case parent.Index == spendsLoose && !n.hasTxID(parent.TxID):
		if !slices.ContainsFunc(n.orphans, func(o orphan) bool { return o.tx.WTxID() == wtxid }) {
			n.orphans = append(n.orphans, orphan{tx, from})
		}
		n.engine.AskParents(n.w.Now, from, []consensus.Hash{parent.TxID})
		return p2p.Ignore
	}
	n.addTx(tx)
	n.engine.TookTx(n.w.Now, from)
	if !gossip {
		n.engine.AnnounceTx(n.w.Now, tx, from)
	}
	waiting := n.orphans
	n.orphans = nil
	for _, o := range waiting {
		if n.hasTxID(o.tx.Inputs[0].PrevOut.TxID) {
			n.addTx(o.tx)
			n.engine.AnnounceTx(n.w.Now, o.tx, o.from)
		} else {
			n.orphans = append(n.orphans, o)
		}
	}
	return p2p.Accept
}

func (n *node) hasTxID(txid consensus.Hash) bool {
	return n.byTxID[txid] != nil
}

func (n *node) addTx(tx *consensus.Tx) {
	ref := p2p.TxRef{TxID: tx.TxID(), WTxID: tx.WTxID()}
	n.order = append(n.order, ref)
	n.pool[ref.WTxID], n.byTxID[ref.TxID] = tx, tx
	n.added++
}

func (n *node) forget(wtxid consensus.Hash) {
	if tx := n.pool[wtxid]; tx != nil {
		delete(n.pool, wtxid)
		delete(n.byTxID, tx.TxID())
		n.order = slices.DeleteFunc(n.order, func(r p2p.TxRef) bool { return r.WTxID == wtxid })
	}
}

// pay enters a transaction of this node's own.
func (n *node) pay(tx *consensus.Tx) {
	n.addTx(tx)
	n.engine.AnnounceTx(n.w.Now, tx, "")
	n.w.Settle(n)
}

// give hands a node blocks of the world's chain, as if it had mined them.
func (n *node) give(blocks ...*consensus.Block) {
	for _, block := range blocks {
		if rule := n.addBlock("", block); rule != nil {
			n.w.t.Fatal(rule)
		}
	}
	n.w.Settle(n)
}

// What follows makes a node a p2p.Source.

func (n *node) Tip() *consensus.BlockIndex                      { return n.tree.Tip() }
func (n *node) BestHeader() *consensus.BlockIndex               { return n.tree.BestHeader() }
func (n *node) Lookup(h consensus.Hash) *consensus.BlockIndex   { return n.tree.Lookup(h) }
func (n *node) Locator() []consensus.Hash                       { return n.tree.Locator(n.tree.BestHeader()) }
func (n *node) MempoolTx(w consensus.Hash) *consensus.Tx        { return n.pool[w] }
func (n *node) MempoolByTxID(t consensus.Hash) *consensus.Tx    { return n.byTxID[t] }
func (n *node) MempoolLen() int                                 { return len(n.pool) }
func (n *node) MempoolArrivals() int64                          { return n.added }
func (n *node) Body(h consensus.Hash) (*consensus.Block, error) { return n.bodies[h], nil }

func (n *node) MempoolTxs() []p2p.TxRef {
	n.scans++
	return n.order
}

func (n *node) HeadersAfter(locator []consensus.Hash, stop consensus.Hash, max int) []consensus.Header {
	var headers []consensus.Header
	for height := n.tree.FindFork(locator).Height + 1; len(headers) < max; height++ {
		b := n.tree.At(height)
		if b == nil {
			break
		}
		headers = append(headers, b.Header)
		if b.Hash == stop {
			break
		}
	}
	return headers
}

func (n *node) Pruned(*consensus.BlockIndex) bool { return false }

func (n *node) MissingBodies(best *consensus.BlockIndex, max int) []consensus.Hash {
	var hashes []consensus.Hash
	for _, b := range n.tree.Missing(best, max) {
		hashes = append(hashes, b.Hash)
	}
	return hashes
}

// spendsLoose marks, as an output index, that the parent is a loose transaction.
const spendsLoose = 7

// loose is a transaction of some bytes that spends a coin named by n.
func loose(n, padding int) *consensus.Tx {
	prev := sha256.Sum256(fmt.Appendf(nil, "coin %d", n))
	return &consensus.Tx{
		Version: 2,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{TxID: prev}, Witness: [][]byte{make([]byte, 64+padding)}}},
		Outputs: []consensus.TxOut{{Value: 1000, Script: consensus.PayToKey(prev)}},
	}
}

// childOf spends a loose transaction.
func childOf(parent *consensus.Tx) *consensus.Tx {
	tx := loose(0, 0)
	tx.Inputs[0].PrevOut = consensus.OutPoint{TxID: parent.TxID(), Index: spendsLoose}
	return tx
}

// holding puts loose transactions into a mined block.
func holding(txs ...*consensus.Tx) chaintest.Option {
	return chaintest.Edit(func(b *consensus.Block) { b.Txs = append(b.Txs, txs...) })
}

func kind(m p2p.Msg) string { return strings.TrimPrefix(fmt.Sprintf("%T", m), "*p2p.") }
