package node

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
)

// How often new payments are looked at for a better template. One of a full mempool takes
// some 50 ms under the node's lock, and whoever has a block waits for it: that is half a
// percent of the time at most, so that one block in two hundred meets it.
const (
	lookAfter = 250 * time.Millisecond
	lookShare = 200
)

// minerSource is the chain as this node's own miner sees it, while the context of the
// service lasts. It is for one miner.
type minerSource struct {
	*Runner
	life context.Context

	fees int64           // units, of the template that is worked on
	seen uint64          // Node.poolSequence, when the last one was made
	took time.Duration   // to make it
	next *miner.Template // a better one, which Wait has found
}

// Template returns the one that Wait has found, or makes one, once the tip is the best
// block.
func (s *minerSource) Template() (*miner.Template, error) {
	t := s.next
	s.next = nil
	if t == nil || isClosed(s.Stale(t.Parent)) {
		if err := s.Settle(s.life); err != nil {
			return nil, err
		}
		err := s.DoSettled(s.life, func(n *Node, now time.Time) (err error) {
			t, err = s.make(n, now)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	s.fees = t.Fees
	return t, nil
}

func (s *minerSource) make(n *Node, now time.Time) (*miner.Template, error) {
	s.seen = n.poolSequence
	began := time.Now()
	t, err := n.Template(now)
	s.took = time.Since(began)
	return t, err
}

// Wait returns when a block has come that will be the tip, if it is not already, when
// a new template would pay more, or when a context or the node ends.
func (s *minerSource) Wait(ctx context.Context, parent consensus.Hash) {
	stale := s.Stale(parent)
	for {
		look := time.NewTimer(max(lookAfter, lookShare*s.took))
		select {
		case <-ctx.Done():
		case <-s.ended:
		case <-stale:
		case <-look.C:
			if !s.better(stale) {
				continue
			}
		}
		look.Stop()
		return
	}
}

// better looks for a template that pays more, where payments have come and there is no
// block to be taken first.
func (s *minerSource) better(stale <-chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isClosed(stale) || s.fault != nil || s.node.poolSequence == s.seen {
		return false // Wait sees the former two
	}
	t, err := s.make(s.node, s.timer())
	if err != nil {
		return true // Template will say why
	}
	if t.Fees > s.fees {
		s.next = t
	}
	return s.next != nil
}

// Submit takes a solved block; ErrStale says that another one was faster.
func (s *minerSource) Submit(block *consensus.Block) error {
	active, err := s.SubmitBlock(s.life, block)
	if err == nil && !active {
		return miner.ErrStale
	}
	return err
}

// base is the block that is worth mining on.
type base struct {
	hash consensus.Hash // the tip, zero while the node is on its way to a better one
	over chan struct{}  // closed when it is another one
}

// setBase notes, under the lock, which block is worth mining on. A better block need
// not be connected to end that, nor its signatures be checked, nor its body be on disk:
// whoever made it paid for it with a solved header, and work on the tip is worth nothing
// if it is good.
func (r *Runner) setBase() {
	tip := r.node.Tip().Hash
	if r.node.Advancing() {
		tip = consensus.Hash{}
	}
	old := r.base.Load()
	if old != nil && old.hash == tip {
		return
	}
	r.base.Store(&base{tip, make(chan struct{})})
	if old != nil {
		close(old.over)
	}
}

// Stale returns a channel that is closed once a block is not worth mining on. It does
// without the lock, for which it might have to wait.
func (r *Runner) Stale(parent consensus.Hash) <-chan struct{} {
	if b := r.base.Load(); b.hash == parent {
		return b.over
	}
	over := make(chan struct{})
	close(over)
	return over
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
