package node

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
)

// What follows makes a Runner a host.Handler: the network calls it.

// Connected tells of a new peer.
func (r *Runner) Connected(peer p2p.Peer) {
	r.tell(func(n *Node, now time.Time) error { n.Connected(now, peer); return nil })
}

// Disconnected tells of a peer that is gone.
func (r *Runner) Disconnected(id p2p.PeerID) {
	r.tell(func(n *Node, now time.Time) error { n.Disconnected(now, id); return nil })
}

// Receive judges a message; the verdict is for gossip.
func (r *Runner) Receive(from p2p.PeerID, msg p2p.Msg, gossip bool) (verdict p2p.Verdict) {
	r.tell(func(n *Node, now time.Time) (err error) {
		verdict, err = n.Receive(now, from, msg, gossip)
		return err
	})
	return verdict
}

// Tick is called a few times a second.
func (r *Runner) Tick() {
	r.tell(func(n *Node, now time.Time) error { return n.Tick(now) })
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

// minerSource is the chain as this node's own miner sees it, while the context
// of the service lasts.
type minerSource struct {
	*Runner
	life context.Context
}

func (s minerSource) Template() (*miner.Template, error) { return s.Runner.Template(s.life) }

// refreshAfter is how old a template gets before new payments are worth a new one.
const refreshAfter = 250 * time.Millisecond

// Wait returns when the tip is another one, when payments have come that a new
// template would hold, or when a context or the node ends.
func (s minerSource) Wait(ctx context.Context, parent consensus.Hash) {
	began, first := time.Now(), true
	var had uint64
	_ = s.until(ctx, func(n *Node) bool {
		if first {
			had, first = n.poolSequence, false
		}
		newPayments := n.poolSequence != had && time.Since(began) >= refreshAfter
		return n.Tip().Hash != parent && !n.Reorganising() || newPayments
	})
}

// Submit takes a solved block; ErrStale says that another one was faster.
func (s minerSource) Submit(block *consensus.Block) error {
	active, err := s.SubmitBlock(s.life, block)
	if err == nil && !active {
		return miner.ErrStale
	}
	return err
}
