package node_test

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// world is a small virtual network: nodes, one heap of events, one seed. A
// message takes its link's delay; gossip is flooded from peer to peer, each
// node's verdict deciding whether it goes on.
type world struct {
	t       rapid.TB
	params  *consensus.Params
	now     time.Time
	rng     *rand.Rand
	nodes   []*resident
	events  eventHeap
	seq     uint64
	links   map[[2]int]bool      // both ways
	streams map[[2]int]time.Time // by way: when the last message arrives
	across  int                  // messages delivered between the sides of a cut
	sides   []int
}

// resident is a node in the world.
type resident struct {
	*node.Node
	number int
	id     p2p.PeerID
	store  storage.Store
	gossip map[[32]byte]bool // seen
}

type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// newWorld makes n nodes without links. Chains are dated in the past, so the
// world's clock begins after them.
func newWorld(t rapid.TB, params *consensus.Params, seed uint64, n int) *world {
	w := &world{t: t, params: params, now: time.Unix(int64(params.GenesisTime), 0).Add(30 * 24 * time.Hour),
		rng: rand.New(rand.NewPCG(seed, 0)), links: make(map[[2]int]bool), streams: make(map[[2]int]time.Time), sides: make([]int, n)}
	for range n {
		w.add(storage.OpenMemory(params, true))
	}
	return w
}

// add puts one more node on a store into the world.
func (w *world) add(store storage.Store) *resident {
	w.t.Helper()
	r := w.reside(store)
	w.after(100*time.Millisecond, func() { w.tick(r) })
	return r
}

// reside is add for a test that calls Tick and empties the outbox itself.
func (w *world) reside(store storage.Store) *resident {
	w.t.Helper()
	r, err := w.tryReside(store)
	w.check(err)
	return r
}

// tryReside is reside on a store that may fail.
func (w *world) tryReside(store storage.Store, lost ...consensus.Hash) (*resident, error) {
	n, err := node.New(node.Config{
		Params: w.params, Store: store, Mempool: mempool.DefaultConfig(),
		P2P:  p2p.Config{Agent: "/test/", Params: w.params},
		Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 0)),
		Lost: lost,
	})
	if err != nil {
		return nil, err
	}
	number := len(w.nodes)
	r := &resident{Node: n, number: number, id: p2p.PeerID(fmt.Sprint("node", number)), store: store, gossip: make(map[[32]byte]bool)}
	w.nodes = append(w.nodes, r)
	if len(w.sides) < len(w.nodes) {
		w.sides = append(w.sides, 0)
	}
	return r, nil
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

func (w *world) tick(r *resident) {
	w.check(r.Tick(w.now))
	w.flush(r)
	w.after(100*time.Millisecond, func() { w.tick(r) })
}

// link connects two nodes; the first one dials.
func (w *world) link(a, b *resident) {
	w.links[pair(a, b)] = true
	a.Connected(w.now, p2p.Peer{ID: b.id, Addr: string(b.id)})
	b.Connected(w.now, p2p.Peer{ID: a.id, Addr: string(a.id), Inbound: true})
	w.flush(a)
	w.flush(b)
}

// cut takes a link away. What is on its way is lost.
func (w *world) cut(a, b *resident) {
	delete(w.links, pair(a, b))
	a.Disconnected(w.now, b.id)
	b.Disconnected(w.now, a.id)
	w.flush(a)
	w.flush(b)
}

func pair(a, b *resident) [2]int {
	return [2]int{min(a.number, b.number), max(a.number, b.number)}
}

// flush takes all steps of a node and sends what it has to say.
func (w *world) flush(r *resident) {
	w.check(r.Advance(w.now, consensus.Verifier{Workers: 1}))
	for _, out := range r.Outbox() {
		wire := p2p.Encode(out.Msg)
		if out.To == p2p.Everyone {
			r.gossip[sha256.Sum256(wire)] = true
			w.spread(r, wire, nil)
			continue
		}
		for _, to := range w.nodes {
			if to.id == out.To {
				w.send(r, to, wire, false)
			}
		}
	}
	for _, drop := range r.Drops() {
		for _, other := range w.nodes {
			if other.id == drop.ID && w.links[pair(r, other)] {
				w.t.Logf("node%d drops node%d: %s", r.number, other.number, drop.Reason)
				w.cut(r, other)
			}
		}
	}
}

// spread passes gossip to all linked nodes but the one it came from.
func (w *world) spread(from *resident, wire []byte, except *resident) {
	for _, to := range w.nodes {
		if to != from && to != except && w.links[pair(from, to)] {
			w.send(from, to, wire, true)
		}
	}
}

func (w *world) send(from, to *resident, wire []byte, gossip bool) {
	at := w.now.Add(5*time.Millisecond + time.Duration(w.rng.IntN(20))*time.Millisecond)
	if way := [2]int{from.number, to.number}; !gossip { // a stream keeps the order
		if last := w.streams[way]; at.Before(last) {
			at = last
		}
		w.streams[way] = at
	}
	w.after(at.Sub(w.now), func() {
		if !w.links[pair(from, to)] {
			return
		}
		if w.sides[from.number] != w.sides[to.number] {
			w.across++
		}
		if id := sha256.Sum256(wire); gossip {
			if to.gossip[id] {
				return
			}
			to.gossip[id] = true
		}
		msg, err := p2p.Decode(wire)
		w.check(err)
		verdict, err := to.Receive(w.now, from.id, msg, gossip)
		w.check(err)
		w.flush(to)
		if gossip && verdict == p2p.Accept {
			w.spread(to, wire, from)
		}
	})
}

// run lets the world go on for a while.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// until lets the world go on until the condition holds, at most for d.
func (w *world) until(d time.Duration, what string, done func() bool) {
	w.t.Helper()
	for end := w.now.Add(d); !done(); {
		if w.now.After(end) {
			w.t.Fatalf("not within %v: %s", d, what)
		}
		w.run(50 * time.Millisecond)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
