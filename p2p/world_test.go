package p2p_test

import (
	"container/heap"
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
)

// world is a small virtual network: nodes that keep the engine's contract, one
// heap of events, one seed. A message takes its link's time; gossip is flooded,
// each node's verdict deciding whether it goes on.
type world struct {
	t      *testing.T
	params *consensus.Params
	chain  *chaintest.Chain
	start  time.Time
	now    time.Time
	rng    *rand.Rand
	nodes  []*node
	events eventHeap
	seq    int
	links  map[[2]p2p.PeerID]time.Duration
	script *strings.Builder // the transcript, where one is kept
	record func(wire []byte)
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	e := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return e
}

func newWorld(t *testing.T, seed uint64) *world {
	params := consensus.Regtest()
	start := time.Unix(int64(params.GenesisTime), 0).UTC().Add(365 * 24 * time.Hour)
	return &world{
		t: t, params: params, chain: chaintest.New(t, params), start: start, now: start,
		rng: rand.New(rand.NewPCG(seed, seed)), links: make(map[[2]p2p.PeerID]time.Duration),
	}
}

// node is the least that keeps the contract: it believes every block whose
// Merkle root is right, and every transaction whose parents it has.
type node struct {
	w       *world
	id      p2p.PeerID
	engine  *p2p.Engine
	tree    *consensus.Tree
	bodies  map[consensus.Hash]*consensus.Block
	order   []p2p.TxRef // of the mempool
	pool    map[consensus.Hash]*consensus.Tx
	orphans []orphan
	refuse  map[consensus.Hash]int // wtxids to be ignored so many times
	seen    map[[32]byte]bool      // gossip
	dropped []p2p.Drop
	told    map[string]int // messages received, by kind
	scans   int            // of the mempool
	book    []string       // addresses heard of

	// mute, where set, swallows what it returns true for: an attacker's node.
	mute func(p2p.Outgoing) bool
}

type orphan struct {
	tx   *consensus.Tx
	from p2p.PeerID
}

func (w *world) add(id string) *node {
	n := &node{
		w: w, id: p2p.PeerID(id), tree: consensus.NewTree(w.params),
		bodies: map[consensus.Hash]*consensus.Block{w.params.GenesisHash(): w.params.Genesis()},
		pool:   make(map[consensus.Hash]*consensus.Tx), refuse: make(map[consensus.Hash]int),
		seen: make(map[[32]byte]bool), told: make(map[string]int),
	}
	n.engine = p2p.New(p2p.Config{Params: w.params, Agent: "/" + id + "/", Addr: "/dns4/" + id, Addresses: n}, n,
		rand.New(rand.NewPCG(w.rng.Uint64(), 0)))
	w.nodes = append(w.nodes, n)
	var tick func()
	tick = func() {
		w.ok(n.engine.Tick(w.now))
		n.flush()
		w.after(200*time.Millisecond, tick)
	}
	w.after(200*time.Millisecond, tick)
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

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

func pair(a, b p2p.PeerID) [2]p2p.PeerID { return [2]p2p.PeerID{min(a, b), max(a, b)} }

// link connects two nodes, the first one dialling, with 5 to 25 ms between them.
func (w *world) link(a, b *node) {
	w.links[pair(a.id, b.id)] = time.Duration(5+w.rng.IntN(20)) * time.Millisecond
	a.engine.Connected(w.now, p2p.Peer{ID: b.id, Addr: "/dns4/" + string(b.id)})
	b.engine.Connected(w.now, p2p.Peer{ID: a.id, Addr: "/ip4/10.0.0.1", Inbound: true})
	a.flush()
	b.flush()
}

// cut takes a link away; what is on its way is lost.
func (w *world) cut(a, b *node) {
	delete(w.links, pair(a.id, b.id))
	a.engine.Disconnected(w.now, b.id)
	b.engine.Disconnected(w.now, a.id)
	a.flush()
	b.flush()
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); ; {
		if len(w.events) == 0 || w.events[0].at.After(end) {
			w.now = end
			return
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
}

// until lets time pass, at most d, until done.
func (w *world) until(d time.Duration, what string, done func() bool) {
	w.t.Helper()
	for end := w.now.Add(d); !done(); w.run(50 * time.Millisecond) {
		if w.now.After(end) {
			w.t.Fatalf("not within %v: %s", d, what)
		}
	}
}

func (w *world) send(from, to *node, wire []byte, gossip bool) {
	delay, linked := w.links[pair(from.id, to.id)]
	if !linked {
		return
	}
	w.after(delay, func() {
		if _, still := w.links[pair(from.id, to.id)]; still {
			to.receive(from, wire, gossip)
		}
	})
}

func (n *node) receive(from *node, wire []byte, gossip bool) {
	id := sha256.Sum256(wire)
	if gossip && n.seen[id] {
		return
	}
	msg, err := p2p.Decode(wire)
	n.w.ok(err)
	if gossip {
		n.seen[id] = true
	}
	n.told[kind(msg)]++
	n.w.note(from, n, msg, gossip)
	verdict, err := n.judge(from.id, msg, gossip)
	n.w.ok(err)
	n.flush()
	if gossip && verdict == p2p.Accept {
		n.flood(wire, from)
	}
}

func (n *node) flood(wire []byte, except *node) {
	n.seen[sha256.Sum256(wire)] = true
	for _, to := range n.w.nodes {
		if to != n && to != except {
			n.w.send(n, to, wire, true)
		}
	}
}

// flush walks to the best branch, announces it, and sends what there is to say.
func (n *node) flush() {
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
		n.engine.Announce(n.w.now, n.bodies[tip.Hash])
	}
	for _, out := range n.engine.Outbox() {
		if n.mute != nil && n.mute(out) {
			continue
		}
		wire := p2p.Encode(out.Msg)
		if n.w.record != nil {
			n.w.record(wire)
		}
		if out.To == p2p.Everyone {
			n.flood(wire, nil)
		} else if to := slices.IndexFunc(n.w.nodes, func(o *node) bool { return o.id == out.To }); to >= 0 {
			n.w.send(n, n.w.nodes[to], wire, false)
		}
	}
	for _, drop := range n.engine.Drops() {
		n.dropped = append(n.dropped, drop)
		if to := slices.IndexFunc(n.w.nodes, func(o *node) bool { return o.id == drop.ID }); to >= 0 {
			n.w.cut(n, n.w.nodes[to])
		} else {
			n.engine.Disconnected(n.w.now, drop.ID)
		}
	}
}

// judge is the node's half of the contract.
func (n *node) judge(from p2p.PeerID, msg p2p.Msg, gossip bool) (p2p.Verdict, error) {
	now := n.w.now
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
			n.addRebuilt(from, block)
		}
		return p2p.Accept, nil
	case *p2p.Block:
		n.engine.Got(now, from, m.Block.Hash())
		if rule := n.addBlock(from, m.Block); rule != nil {
			n.engine.Punish(now, from, rule)
		}
		n.engine.Fetch(now)
		return p2p.Accept, nil
	case *p2p.Tx:
		return n.judgeTx(from, m.Tx, gossip), nil
	}
	return n.engine.Handle(now, from, msg)
}

func (n *node) judgeAnnounce(from p2p.PeerID, m *p2p.Announce, gossip bool) p2p.Verdict {
	now := n.w.now
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
			n.addRebuilt(from, block)
		}
	}
	if first {
		return p2p.Accept
	}
	return p2p.Ignore
}

func (n *node) addHeader(from p2p.PeerID, h *consensus.Header) (*consensus.BlockIndex, error) {
	b, err := n.tree.AddHeader(h, n.w.now)
	if rule := consensus.AsRuleError(err); rule != nil && rule.Code != consensus.ErrDuplicate {
		n.engine.Punish(n.w.now, from, rule)
		return nil, err
	}
	return b, nil
}

func (n *node) addRebuilt(from p2p.PeerID, block *consensus.Block) {
	if rule := n.addBlock(from, block); rule != nil {
		n.engine.FetchBody(n.w.now, from, block.Hash())
		return
	}
	n.engine.Got(n.w.now, from, block.Hash())
	n.engine.Fetch(n.w.now)
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
	wtxid := tx.WTxID()
	n.engine.Got(n.w.now, from, wtxid)
	switch parent := tx.Inputs[0].PrevOut; {
	case n.pool[wtxid] != nil:
		return p2p.Ignore
	case n.refuse[wtxid] > 0:
		n.refuse[wtxid]--
		return p2p.Ignore
	case parent.Index == spendsLoose && !n.hasTxID(parent.TxID):
		n.orphans = append(n.orphans, orphan{tx, from})
		n.engine.AskParents(n.w.now, from, []consensus.Hash{parent.TxID})
		return p2p.Ignore
	}
	n.addTx(tx)
	if !gossip {
		n.engine.AnnounceTx(n.w.now, tx, from)
	}
	waiting := n.orphans
	n.orphans = nil
	for _, o := range waiting {
		if n.hasTxID(o.tx.Inputs[0].PrevOut.TxID) {
			n.addTx(o.tx)
			n.engine.AnnounceTx(n.w.now, o.tx, o.from)
		} else {
			n.orphans = append(n.orphans, o)
		}
	}
	return p2p.Accept
}

func (n *node) hasTxID(txid consensus.Hash) bool {
	return slices.ContainsFunc(n.order, func(r p2p.TxRef) bool { return r.TxID == txid })
}

func (n *node) addTx(tx *consensus.Tx) {
	ref := p2p.TxRef{TxID: tx.TxID(), WTxID: tx.WTxID()}
	n.order = append(n.order, ref)
	n.pool[ref.WTxID] = tx
}

func (n *node) forget(wtxid consensus.Hash) {
	if n.pool[wtxid] != nil {
		delete(n.pool, wtxid)
		n.order = slices.DeleteFunc(n.order, func(r p2p.TxRef) bool { return r.WTxID == wtxid })
	}
}

// pay enters a transaction of this node's own.
func (n *node) pay(tx *consensus.Tx) {
	n.addTx(tx)
	n.engine.AnnounceTx(n.w.now, tx, "")
	n.flush()
}

// give hands a node blocks of the world's chain, as if it had mined them.
func (n *node) give(blocks ...*consensus.Block) {
	for _, block := range blocks {
		if rule := n.addBlock("", block); rule != nil {
			n.w.t.Fatal(rule)
		}
	}
	n.flush()
}

// What follows makes a node a p2p.Source.

func (n *node) Tip() *consensus.BlockIndex                      { return n.tree.Tip() }
func (n *node) BestHeader() *consensus.BlockIndex               { return n.tree.BestHeader() }
func (n *node) Lookup(h consensus.Hash) *consensus.BlockIndex   { return n.tree.Lookup(h) }
func (n *node) Locator() []consensus.Hash                       { return n.tree.Locator(n.tree.BestHeader()) }
func (n *node) MempoolTx(w consensus.Hash) *consensus.Tx        { return n.pool[w] }
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
