package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// Limits of what a node remembers beside the chain and the mempool.
const (
	// maxFailures is how many refused blocks keep their reason, for submitblock
	// and the log; the oldest is forgotten first.
	maxFailures = 1000
	// maxDeferred is how many payments may wait for a reorganisation in progress to end,
	// or for a block, and maxDeferredWeight (units of weight: bytes at most) how large they
	// may be altogether. What finds no room in a reorganisation comes back by
	// reconciliation; while a block is awaited it is judged at once.
	maxDeferred       = 400
	maxDeferredWeight = 40_000_000
	// unsolicitedDepth is how many blocks' work below the tip an unasked-for
	// block or announcement may end and still be looked at.
	unsolicitedDepth = 6
)

// Config is what a Node is made from.
type Config struct {
	Params  *consensus.Params
	Store   storage.Store
	State   *storage.State // of Store, where that was loaded already
	Mempool mempool.Config
	P2P     p2p.Config
	Rand    *rand.Rand
	Lost    []consensus.Hash // blocks of the active chain whose bodies are gone (Repair)
}

// Node is one full node without its clock, its lock and its sockets.
type Node struct {
	params *consensus.Params
	store  storage.Store
	tree   *consensus.Tree
	pool   *mempool.Pool
	engine *p2p.Engine
	random *rand.Rand

	unsaved   map[*consensus.BlockIndex]struct{} // headers that the store lacks
	untold    bool                               // the tip is on its way to the disk, and then to observers
	taken     uint64                             // headers, bodies and steps that the store took, of this start
	synced    uint64                             // so many of them are on disk
	newest    *consensus.Block                   // that came: the next step's, in most cases
	attached  *consensus.Block                   // by the last step: the mempool and the announcement come to it, and peers ask for it
	announced []announced                        // blocks to be put together
	origin    map[consensus.Hash]p2p.PeerID      // who is to blame for a body that is not connected yet
	failures  failureLog
	totals    txTotals
	lost      []*consensus.BlockIndex // bodies to be had again; may hold some that came

	invalidated bool // an operator invalidated a block since the start

	pruned uint32 // as storage.State.Pruned

	known          *consensus.BlockIndex // the tip that observers have been told
	quiet          quiet
	ahead          time.Duration // of now, the node's clock
	deferred       []deferredTx
	deferredWeight int
	resolve        []mempool.Orphan // orphans whose parent has come
	poolSequence   uint64           // counts what entered the mempool
	accepted       []*mempool.Entry // since Accepted was called
	arrivals       []Arrival        // since Arrivals was called
	changes        []consensus.Change
}

// New rebuilds the tree from the store. The tip is where the coins are; after
// an unclean stop that may be behind the best branch, and the first Advance
// walks forward again.
func New(cfg Config) (*Node, error) {
	n := &Node{
		params:   cfg.Params,
		store:    cfg.Store,
		tree:     consensus.NewTree(cfg.Params),
		pool:     mempool.New(cfg.Mempool),
		random:   cfg.Rand,
		unsaved:  make(map[*consensus.BlockIndex]struct{}),
		origin:   make(map[consensus.Hash]p2p.PeerID),
		failures: failureLog{byHash: make(map[consensus.Hash]*consensus.RuleError)},
	}
	state := cfg.State
	if state == nil {
		var err error
		if state, err = cfg.Store.Load(); err != nil {
			return nil, fmt.Errorf("load the chain: %w", err)
		}
	}
	if tip := cfg.Store.Tip(); state.Tip != tip {
		return nil, fmt.Errorf("the state loaded is of the tip %s, and the store is at %s", state.Tip, tip)
	}
	for _, record := range state.Records {
		if _, err := n.tree.Restore(record); err != nil {
			return nil, fmt.Errorf("rebuild the block tree: %w", err)
		}
	}
	tip := n.tree.Lookup(state.Tip)
	if tip == nil {
		return nil, fmt.Errorf("the store's tip %s has no header", state.Tip)
	}
	n.tree.SetTip(tip)
	for _, hash := range cfg.Lost {
		if index := n.tree.Lookup(hash); index != nil {
			n.tree.SetLost(index, true)
			n.lost = append(n.lost, index)
		}
	}
	n.known, n.pruned = tip, state.Pruned
	n.totals = totalsOf(tip)
	n.engine = p2p.New(cfg.P2P, source{n}, cfg.Rand)
	return n, nil
}

// Params returns the rules that the node follows.
func (n *Node) Params() *consensus.Params { return n.params }

// Tip is the block that the coin set stands at.
func (n *Node) Tip() *consensus.BlockIndex { return n.tree.Tip() }

// Lookup returns what is known of a block, or nil.
func (n *Node) Lookup(hash consensus.Hash) *consensus.BlockIndex { return n.tree.Lookup(hash) }

// Outbox hands over what is to be sent, in order, and forgets it.
func (n *Node) Outbox() []p2p.Outgoing { return n.engine.Outbox() }

// Drops hands over the peers to be disconnected, and forgets them.
func (n *Node) Drops() []p2p.Drop { return n.engine.Drops() }

// Peers describes all peers, in the order in which they connected.
func (n *Node) Peers() []p2p.PeerInfo { return n.engine.Peers() }

// SetClockOffset has the node's clock, by which blocks are dated and judged and of which peers
// are told, be so far ahead of now, or behind it where it is below zero. What is timed goes
// by now.
func (n *Node) SetClockOffset(d time.Duration) {
	n.ahead = d
	n.engine.SetClockOffset(d)
}

// clock is what the node's clock shows.
func (n *Node) clock(now time.Time) time.Time { return now.Add(n.ahead) }

// ClockOff is how far our clock is ahead of the peers' clocks, where that is too far.
func (n *Node) ClockOff() time.Duration { return n.engine.ClockOff() }

// Mempool lists the payments that wait to be mined, parents before children.
func (n *Node) Mempool() []*mempool.Entry { return n.pool.Entries() }

// BlockRelay says how bodies came from peers since the start.
func (n *Node) BlockRelay() p2p.BlockRelay { return n.engine.BlockRelay() }

// Changes hands over what happened to the chain, in order, and forgets it.
func (n *Node) Changes() []consensus.Change {
	changes := n.changes
	n.changes = nil
	return changes
}

// Accepted hands over the payments that entered the mempool, in order, and
// forgets them.
func (n *Node) Accepted() []*mempool.Entry {
	accepted := n.accepted
	n.accepted = nil
	return accepted
}

// Connected tells of a new peer.
func (n *Node) Connected(now time.Time, peer p2p.Peer) { n.engine.Connected(now, peer) }

// Disconnected tells of a peer that is gone.
func (n *Node) Disconnected(now time.Time, id p2p.PeerID) {
	n.pool.ForgetPeer(string(id))
	n.engine.Disconnected(now, id)
}

// Tick does what is due: deadlines, pings, reconciliation, expiry. What was taken waits
// for Sync, or Advance.
func (n *Node) Tick(now time.Time) error {
	n.quiet.look(now, n.tree.Tip())
	if err := n.saveHeaders(); err != nil {
		return err
	}
	n.pool.Expire(now)
	if err := n.resolveOrphans(now); err != nil {
		return err
	}
	if err := n.addDeferred(now); err != nil {
		return err
	}
	n.fetchLost(now)
	return n.engine.Tick(now)
}

// chain is what the mempool judges against: the tip and its coins.
func (n *Node) chain() mempool.Chain {
	return mempool.Chain{Params: n.params, Tip: n.tree.Tip(), Coins: n.store.Coins}
}

// saveHeaders hands the headers that came since the last time to the store, parents first.
func (n *Node) saveHeaders() error {
	if len(n.unsaved) == 0 {
		return nil
	}
	records := make([]consensus.Record, 0, len(n.unsaved))
	for _, index := range byHeight(n.unsaved) {
		records = append(records, n.tree.Record(index))
	}
	if err := n.store.PutHeaders(records); err != nil {
		return fmt.Errorf("save headers: %w", err)
	}
	n.taken++
	clear(n.unsaved)
	return nil
}

// body is a stored block, one of those that are at hand where it can be.
func (n *Node) body(hash consensus.Hash) (*consensus.Block, error) {
	for _, b := range []*consensus.Block{n.newest, n.attached} {
		if b != nil && b.Hash() == hash {
			return b, nil
		}
	}
	return n.store.Block(hash)
}

// isPruned reports whether the block's body was here and was pruned. It stays marked as
// one that has a body: the chain that it is part of is complete.
func (n *Node) isPruned(b *consensus.BlockIndex) bool {
	return b.Height > 0 && b.Height < n.pruned && b.HasBody()
}

// Sync makes sure that all that was taken is on disk: before anybody is told that a block
// is here, and a few times a second. A first sync takes many steps in between.
func (n *Node) Sync() error {
	if n.synced == n.taken {
		return nil
	}
	if err := n.store.Sync(); err != nil {
		return fmt.Errorf("store blocks: %w", err)
	}
	n.synced = n.taken
	return nil
}

// failureLog remembers why blocks were refused, within maxFailures.
type failureLog struct {
	byHash map[consensus.Hash]*consensus.RuleError
	order  []consensus.Hash
}

func (f *failureLog) add(hash consensus.Hash, rule *consensus.RuleError) {
	if _, known := f.byHash[hash]; known {
		return
	}
	if len(f.order) == maxFailures {
		delete(f.byHash, f.order[0])
		f.order = f.order[1:]
	}
	f.byHash[hash] = rule
	f.order = append(f.order, hash)
}

func (f *failureLog) remove(hash consensus.Hash) {
	if _, known := f.byHash[hash]; known {
		delete(f.byHash, hash)
		f.order = slices.DeleteFunc(f.order, func(h consensus.Hash) bool { return h == hash })
	}
}
