package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
	"github.com/kapok-chain/kapok/storage"
)

// World is a virtual world in which full nodes of one network live.
type World struct {
	*virtual.World
	Params *consensus.Params
	Nodes  []*Node // in the order in which they came

	added int // nodes, also those that left
}

// Node is a full node in a world. Whoever calls it, rather than the world, calls
// Settle afterwards.
type Node struct {
	*node.Node
	*virtual.Host
	Store storage.Store

	world *World
	miner miner
}

// New returns a world without nodes.
func New(p *consensus.Params, start time.Time, seed uint64) *World {
	return &World{World: virtual.New(start, seed), Params: p}
}

// Add makes a node, without links, whose clock does not tick before Start. Of the
// configuration the network, the random source and what is said to peers are filled
// in; a store that is nil is a new one in memory.
func (w *World) Add(cfg node.Config) (*Node, error) {
	id := p2p.PeerID(fmt.Sprint("node", w.added))
	w.added++
	cfg.Params = w.Params
	cfg.P2P = p2p.Config{Params: w.Params, Agent: "/" + string(id) + "/", Addr: func() string { return "/dns4/" + string(id) }, Addresses: new(rumours)}
	cfg.Rand = rand.New(rand.NewPCG(w.Rand.Uint64(), 0))
	if cfg.Store == nil {
		cfg.Store = storage.OpenMemory(w.Params, false)
	}
	inner, err := node.New(cfg)
	if err != nil {
		return nil, err
	}
	n := &Node{Node: inner, Store: cfg.Store, world: w}
	n.Host = w.World.Add(id, n)
	w.Nodes = append(w.Nodes, n)
	return n, nil
}

// rumours are the addresses that a node heard of. Nobody dials them: links are the
// world's. It keeps the first few.
type rumours struct{ addrs []string }

// maxRumours bounds them, in addresses.
const maxRumours = 1000

// Heard implements p2p.Addresses.
func (r *rumours) Heard(_ time.Time, _ p2p.Peer, addrs []string, _ bool) {
	for _, addr := range addrs {
		if len(r.addrs) < maxRumours && !slices.Contains(r.addrs, addr) {
			r.addrs = append(r.addrs, addr)
		}
	}
}

// Sample implements p2p.Addresses.
func (r *rumours) Sample(n int) []string { return slices.Clone(r.addrs[:min(n, len(r.addrs))]) }

// Remove takes a node out of the world, as a kill would. Its store stays as it is.
func (w *World) Remove(n *Node) {
	w.World.Remove(n)
	w.Nodes = slices.DeleteFunc(w.Nodes, func(other *Node) bool { return other == n })
	n.miner.draw++ // what it searched for is found by nobody
}

// Advance is node.Node's. A miner whose tip moved begins anew.
func (n *Node) Advance(now time.Time, v consensus.Verifier) error {
	before := n.Tip()
	err := n.Node.Advance(now, v)
	if n.Tip() != before {
		n.search()
	}
	return err
}

// Submit hands a node blocks, as somebody on its machine would.
func (w *World) Submit(n *Node, blocks ...*consensus.Block) error {
	for _, block := range blocks {
		if _, err := n.SubmitBlock(n.Now(), block); err != nil {
			return err
		}
		w.Settle(n)
	}
	return w.Err()
}

// Pay hands a node a payment, likewise.
func (w *World) Pay(n *Node, tx *consensus.Tx) error {
	if _, err := n.SubmitTx(n.Now(), tx); err != nil {
		return err
	}
	w.Settle(n)
	return w.Err()
}

// Agree reports whether these nodes, or all where none is named, have one tip and
// the same coins.
func (w *World) Agree(nodes ...*Node) bool {
	if len(nodes) == 0 {
		nodes = w.Nodes
	}
	for _, n := range nodes {
		if n.Tip().Hash != nodes[0].Tip().Hash || n.Store.Sum() != nodes[0].Store.Sum() {
			return false
		}
	}
	return true
}

// Digest is a hash of all that was delivered, and of where each node stands: tip,
// coins, mempool. Two histories with one digest are the same.
func (w *World) Digest() [sha256.Size]byte {
	delivered := w.World.Digest()
	all := bytes.NewBuffer(delivered[:])
	for _, n := range w.Nodes {
		tip, sum := n.Tip().Hash, n.Store.Sum()
		coins := sum.Hash()
		all.Write(tip[:])
		all.Write(coins[:])
		for _, e := range n.Mempool() {
			all.Write(e.WTxID[:])
		}
	}
	return sha256.Sum256(all.Bytes())
}
