package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// eventBuffer is how many events a subscriber may be behind before it is cut
// off: a few minutes of a busy testnet.
const eventBuffer = 1 << 14

// Carrier takes what the node says to its peers. Its methods do not block.
type Carrier interface {
	Send(p2p.Outgoing)
	Disconnect(id p2p.PeerID)
	Deny(id p2p.PeerID) // disconnects, and keeps the peer out for some time
	// Backlog says how many bytes wait to be sent to each peer.
	Backlog() map[p2p.PeerID]int
}

// Event is something that an observer may want to time: by the clock of this process,
// whatever the node's says. One of the pointers is set.
type Event struct {
	Time   time.Time
	Tx     *mempool.Entry    // a payment entered the mempool
	Block  *Arrival          // a block came, whatever becomes of it
	Change *consensus.Change // the chain moved
}

// Runner runs a Node in the real world: one lock, the wall clock, a network.
// Every method is safe for concurrent use.
type Runner struct {
	log       *slog.Logger
	verifier  consensus.Verifier
	network   Carrier
	store     storage.Store // the node's, for what needs no lock
	wake      chan struct{} // holds one token while there may be steps to take
	announced chan struct{} // and while there may be blocks to put together
	flushable chan struct{} // and while there may be coins to flush
	base      atomic.Pointer[base]
	clock     atomic.Pointer[clock]

	mu     sync.Mutex // the only lock: it guards everything below
	node   *Node
	moved  chan struct{} // closed, and replaced, whenever a step was taken
	events map[chan Event]struct{}
	quiet  bool  // no block has come for too long
	askew  bool  // our clock is not the peers'
	fault  error // of our own; nothing is done after it

	reorganisations, detached uint64 // since the start: how often, and how many blocks in all

	tip     consensus.Hash // at the last tick
	tipAt   time.Time      // when a tick saw it first
	indexAt time.Time      // when the index last followed
	ended   chan struct{}
}

// NewRunner puts a node to work. The network may be nil: a node alone.
func NewRunner(n *Node, network Carrier, verifier consensus.Verifier, log *slog.Logger) *Runner {
	r := &Runner{
		log:       log,
		verifier:  verifier,
		network:   network,
		store:     n.store,
		wake:      make(chan struct{}, 1),
		announced: make(chan struct{}, 1),
		flushable: make(chan struct{}, 1),
		node:      n,
		moved:     make(chan struct{}),
		events:    make(map[chan Event]struct{}),
		ended:     make(chan struct{}),
	}
	r.clock.Store(new(clock))
	r.setBase()
	r.wake <- struct{}{} // after an unclean stop there are blocks to replay
	return r
}

// Run connects blocks until the context ends, or until a fault of our own: a
// disk that fails, or a bug. Then the fault is returned, and the node does and
// answers nothing more.
func (r *Runner) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	beside.Go(func() { r.rebuild(ctx) })
	beside.Go(func() { r.flush(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.ended:
			return r.fault
		case <-r.wake:
			for ctx.Err() == nil && r.step() {
				wake(r.flushable)
			}
		}
	}
}

// flush moves coins to disk from time to time, beside everything else.
func (r *Runner) flush(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.flushable:
			if failed := r.store.FlushWhenDue(); failed != nil {
				_ = r.Do(func(*Node, time.Time) error { return fmt.Errorf("flush coins: %w", failed) }) // Run returns it
				return
			}
		}
	}
}

// rebuild puts announced blocks together when their announcements have gone on.
func (r *Runner) rebuild(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.announced:
		}
		for more := true; more && ctx.Err() == nil; {
			err := r.Do(func(n *Node, now time.Time) (err error) {
				more, err = n.Rebuild(now)
				return err
			})
			if err != nil {
				return
			}
		}
	}
}

// step takes one step towards the best branch. The lock is held for none of what takes
// long: reading, judging, signatures, the disk. It reports whether there may be another.
func (r *Runner) step() (more bool) {
	var job *Job
	err := r.Do(func(n *Node, _ time.Time) (err error) {
		job, err = n.begin()
		return err
	})
	if err != nil || job == nil {
		return false
	}
	r.log.Debug("taking a step", "hash", job.step.Block.Hash, "height", job.step.Block.Height, "detach", job.step.Detach)
	job.read()
	if err = r.Do(func(n *Node, _ time.Time) error { n.recall(job); return nil }); err != nil {
		return false
	}
	job.Verify(r.verifier)
	var news bool
	var refused *consensus.RuleError
	err = r.Do(func(n *Node, now time.Time) (err error) {
		if news, err = n.move(now, job); err == nil && !news {
			err = n.observe(now)
		}
		refused = n.Failure(job.step.Block.Hash)
		return err
	})
	if err == nil && news {
		if err = r.sync(); err == nil {
			err = r.Do(func(n *Node, now time.Time) error { return n.observe(now) })
		}
	}
	if refused != nil && err == nil {
		r.log.Warn("block refused", "hash", job.step.Block.Hash, "height", job.step.Block.Height, "rule", refused)
	}
	return err == nil
}

// sync is Node.Sync without the lock.
func (r *Runner) sync() error {
	var taken uint64
	due := false
	err := r.Do(func(n *Node, _ time.Time) error {
		taken, due = n.taken, n.taken != n.synced
		return nil
	})
	if err != nil || !due {
		return err
	}
	failed := r.store.Sync()
	return r.Do(func(n *Node, _ time.Time) error {
		if failed != nil {
			return fmt.Errorf("store blocks: %w", failed)
		}
		n.synced = max(n.synced, taken)
		return nil
	})
}

// Do makes calls to the node under the lock and passes on what came of them.
// A RuleError that f returns is somebody else's fault; any other error but an
// answer is ours and ends the node.
func (r *Runner) Do(f func(n *Node, now time.Time) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.do(f)
}

// DoSettled is Do at a moment when no reorganisation is in progress: the tip and
// its coins are those that observers know of.
func (r *Runner) DoSettled(ctx context.Context, f func(n *Node, now time.Time) error) (err error) {
	done := false
	waited := r.until(ctx, func(n *Node) bool {
		if n.settled() {
			done, err = true, r.do(f)
		}
		return done
	})
	if !done {
		return waited
	}
	return err
}

// do is Do for whoever holds the lock.
func (r *Runner) do(f func(n *Node, now time.Time) error) error {
	if r.fault != nil {
		return r.fault
	}
	began := time.Now()
	err := f(r.node, r.clock.Load().timer(began))
	if err != nil && consensus.AsRuleError(err) == nil && !isAnswer(err) {
		r.fault = fmt.Errorf("the node stops: %w", err)
		if isDamage(err) {
			r.fault = fmt.Errorf("%w; start it again: it looks through all that is stored, fetches from its peers what bodies are damaged, and makes coins, undo data and index anew where it must", r.fault)
		}
		close(r.ended)
		return r.fault
	}
	r.pass(began)
	return err
}

// isAnswer reports whether an error is no fault of anybody, but says why there
// is no result yet.
func isAnswer(err error) bool {
	var early *miner.TooEarly
	return errors.As(err, &early)
}

// pass hands on, in order, what the node wants to be sent and known.
func (r *Runner) pass(now time.Time) {
	for _, out := range r.node.Outbox() {
		if r.network != nil {
			r.network.Send(out)
		}
	}
	for _, drop := range r.node.Drops() {
		r.log.Info("dropping a peer", "peer", drop.ID, "reason", drop.Reason)
		switch {
		case r.network == nil:
		case drop.Misbehaved:
			r.network.Deny(drop.ID)
		default:
			r.network.Disconnect(drop.ID)
		}
	}
	r.setBase()
	for _, entry := range r.node.Accepted() {
		r.publish(Event{Time: now, Tx: entry})
	}
	for _, arrival := range r.node.Arrivals() {
		r.publish(Event{Time: now, Block: &arrival})
	}
	for _, change := range r.node.Changes() {
		r.publish(Event{Time: now, Change: &change})
		if n := len(change.Detached); n > 0 {
			r.reorganisations++
			r.detached += uint64(n)
		}
		r.log.Debug("new tip", "height", change.To.Height, "hash", change.To.Hash, "detached", len(change.Detached))
	}
	close(r.moved)
	r.moved = make(chan struct{})
	if r.node.Advancing() {
		wake(r.wake)
	}
	if len(r.node.announced) > 0 {
		wake(r.announced)
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *Runner) publish(e Event) {
	for ch := range r.events {
		select {
		case ch <- e:
		default: // too slow: a closed channel says so
			delete(r.events, ch)
			close(ch)
		}
	}
}

// Reorganisations is how often the tip moved to another branch since the start, and how
// many blocks that took off in all.
func (r *Runner) Reorganisations() (times, detached uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reorganisations, r.detached
}

// Events subscribes to what happens until the context ends. The channel is
// closed then, or when its reader is eventBuffer events behind.
func (r *Runner) Events(ctx context.Context) <-chan Event {
	ch := make(chan Event, eventBuffer)
	r.mu.Lock()
	r.events[ch] = struct{}{}
	r.mu.Unlock()
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, open := r.events[ch]; open {
			delete(r.events, ch)
			close(ch)
		}
	})
	return ch
}

// until waits, under the lock, for a condition on the node.
func (r *Runner) until(ctx context.Context, done func(n *Node) bool) error {
	for {
		r.mu.Lock()
		ok, fault, moved := done(r.node), r.fault, r.moved
		r.mu.Unlock()
		switch {
		case fault != nil:
			return fault
		case ok:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ended:
		case <-moved:
		}
	}
}

// look reads from the node, at a moment when the tip is on disk and the mempool knows of
// it. What it reads cannot fail; after a fault it is what there is.
func (r *Runner) look(f func(n *Node)) {
	looked := false
	_ = r.until(context.Background(), func(n *Node) bool {
		if !n.untold {
			looked = true
			f(n)
		}
		return looked
	})
	if !looked {
		r.mu.Lock()
		defer r.mu.Unlock()
		f(r.node)
	}
}

// Settle waits until the tip is the best block that came, and all that came are on
// disk.
func (r *Runner) Settle(ctx context.Context) error {
	if err := r.until(ctx, func(n *Node) bool { return !n.Advancing() && !n.untold }); err != nil {
		return err
	}
	return r.sync()
}

// WaitTip waits until the tip is another block than the one given.
func (r *Runner) WaitTip(ctx context.Context, known consensus.Hash) error {
	return r.until(ctx, func(n *Node) bool { return n.Tip().Hash != known && n.settled() })
}

// SubmitBlock takes a block from this machine and waits for the judgement. It
// reports whether the block is on the active chain; false without an error says
// that it is stored on a side branch. Whatever it says, the block is on disk then,
// unless it is refused.
func (r *Runner) SubmitBlock(ctx context.Context, block *consensus.Block) (active bool, err error) {
	var index *consensus.BlockIndex
	block = block.Identified()
	err = r.Do(func(n *Node, now time.Time) (err error) {
		index, err = n.SubmitBlock(now, block)
		return err
	})
	known := errors.Is(err, consensus.ErrDuplicate) // it may be on its way to the disk
	if err != nil && !known {
		return false, err
	}
	if err := r.Settle(ctx); err != nil {
		return false, err
	}
	if known {
		return false, err
	}
	err = r.Do(func(n *Node, _ time.Time) error {
		active = n.tree.InActiveChain(index)
		if rule := n.Failure(index.Hash); rule != nil {
			return rule
		}
		return nil
	})
	return active, err
}

// Snapshot is where a node stands at one moment.
type Snapshot struct {
	Tip          consensus.Hash
	Height       uint32
	Coins        consensus.CoinSum // of the coin set at the tip
	MempoolTxs   int
	MempoolVSize int64 // virtual bytes
}

// Snapshot takes little more than the lock.
func (r *Runner) Snapshot() (s Snapshot) {
	r.look(func(n *Node) {
		tip := n.tree.Tip()
		s = Snapshot{tip.Hash, tip.Height, n.store.Sum(), n.pool.Len(), n.pool.VSize()}
	})
	return s
}
