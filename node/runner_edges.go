package node

import (
	"context"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
)

// What follows makes a Runner a host.Handler: the network calls it.

// Connected tells of a new peer.
func (r *Runner) Connected(peer p2p.Peer) {
	r.tell(func(n *Node, now time.Time) error {
		n.Connected(now, peer)
		if r.network != nil {
			n.engine.Backlog(peer.ID, 0) // the network says more at each Tick
		}
		return nil
	})
}

// Disconnected tells of a peer that is gone.
func (r *Runner) Disconnected(id p2p.PeerID) {
	r.tell(func(n *Node, now time.Time) error { n.Disconnected(now, id); return nil })
}

// Receive judges a message; the verdict is for gossip. A body is hashed before the lock
// is taken: that takes the longest of what Receive does.
func (r *Runner) Receive(from p2p.PeerID, msg p2p.Msg, gossip bool) (verdict p2p.Verdict) {
	if m, ok := msg.(*p2p.Block); ok {
		msg = &p2p.Block{Block: m.Block.Identified()}
	}
	r.tell(func(n *Node, now time.Time) (err error) {
		verdict, err = n.Receive(now, from, msg, gossip)
		return err
	})
	return verdict
}

// When the index follows the tip, unless the node is catching up: then at each tick.
const (
	indexRest   = 500 * time.Millisecond // after the tip moved: first the block goes to the peers, and to nodes beside this one
	indexLatest = 2 * time.Second        // behind, where the tip does not rest
)

// Tick is called a few times a second. What waits for the disk is written without the
// lock.
func (r *Runner) Tick() {
	r.tell(func(n *Node, now time.Time) error {
		if r.network != nil {
			for id, bytes := range r.network.Backlog() {
				n.engine.Backlog(id, bytes)
			}
		}
		err := n.Tick(now)
		long := n.Quiet(now)
		if long > 0 && !r.quiet {
			r.log.Warn("no block has come for a long time: trying one more peer", "for", long.Round(time.Second))
		}
		r.quiet = long > 0
		off := n.ClockOff()
		if off != 0 && !r.askew {
			r.log.Warn(clockWarning(off))
		} else if off == 0 && r.askew {
			r.log.Info("this machine's clock agrees with its peers' again")
		}
		r.askew = off != 0
		return err
	})
	if r.sync() == nil && r.indexDue() {
		r.SyncIndex()
	}
}

// clockWarning says how far our clock is ahead of the peers'.
func clockWarning(off time.Duration) string {
	where := "ahead of"
	if off < 0 {
		where = "behind"
	}
	return fmt.Sprintf("this machine's clock is %s %s its peers' clocks: set it right, or blocks are refused, here or there", off.Abs(), where)
}

// indexDue reports whether it is time for the index to follow. It is asked last in a tick:
// a block may become the tip while the tick waits for the disk.
func (r *Runner) indexDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, tip := time.Now(), r.node.Tip()
	if tip.Hash != r.tip {
		r.tip, r.tipAt = tip.Hash, now
	}
	behind := r.node.tree.BestHeader().Height > tip.Height+1 // and not only by the block that is on its way
	due := now.Sub(r.tipAt) >= indexRest || now.Sub(r.indexAt) >= indexLatest || behind
	if due {
		r.indexAt = now
	}
	return due
}

// SyncIndex brings the index to the tip, without the lock: nobody waits for it but who
// reads it.
func (r *Runner) SyncIndex() {
	if err := r.store.SyncIndex(); err != nil {
		r.tell(func(*Node, time.Time) error { return err })
	}
}

// Peers describes the connected peers.
func (r *Runner) Peers() []p2p.PeerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node.engine.Peers()
}

// Block reads a stored block, whether it is on the active chain or not:
// storage.ErrNotFound where there is none. It needs no lock: what is stored under a hash
// stays.
func (r *Runner) Block(hash consensus.Hash) (*consensus.Block, error) { return r.store.Block(hash) }

// Quiet reports whether no block has come for so long that our peers may keep them
// from us.
func (r *Runner) Quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quiet
}

// tell makes a call whose error has nobody to go to: a fault of ours has ended
// the node, and Run returns it.
func (r *Runner) tell(f func(n *Node, now time.Time) error) { _ = r.Do(f) }

// Template proposes the next block, once no reorganisation is in progress.
func (r *Runner) Template(ctx context.Context) (template *miner.Template, err error) {
	err = r.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
		template, err = n.Template(now)
		return err
	})
	return template, err
}
