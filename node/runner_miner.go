package node

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
)

// How often new payments are looked at for a better template. A template of a full
// mempool takes some 50 ms under the node's lock: one that is looked at costs at
// most a fiftieth of the time.
const (
	lookAfter = 250 * time.Millisecond
	lookShare = 50
)

// minerSource is the chain as this node's own miner sees it, while the context of the
// service lasts. It is for one miner, which calls one method at a time, but for Submit.
type minerSource struct {
	*Runner
	life context.Context

	fees int64           // units, of the template that is worked on
	seen uint64          // Node.poolSequence, when it was made
	took time.Duration   // to make it
	next *miner.Template // a better one, which Wait has found
}

// Template returns the one that Wait has found, or makes one, once the tip is the best
// block.
func (s *minerSource) Template() (*miner.Template, error) {
	if t := s.next; t != nil {
		s.next = nil
		return t, nil
	}
	if err := s.Settle(s.life); err != nil {
		return nil, err
	}
	t, err := s.template(s.life)
	if err == nil {
		s.fees = t.Fees
	}
	return t, err
}

func (s *minerSource) template(ctx context.Context) (t *miner.Template, err error) {
	err = s.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
		s.seen = n.poolSequence
		began := time.Now()
		t, err = n.Template(now)
		s.took = time.Since(began)
		return err
	})
	return t, err
}

// Wait returns when a block has come that will be the tip, if it is not already, when
// a new template would pay more, or when a context or the node ends.
func (s *minerSource) Wait(ctx context.Context, parent consensus.Hash) {
	stale := s.staleOn(parent)
	for {
		look := time.NewTimer(max(lookAfter, lookShare*s.took))
		select {
		case <-ctx.Done():
		case <-s.ended:
		case <-stale:
		case <-look.C:
			if !s.better(ctx, parent) {
				continue
			}
		}
		look.Stop()
		return
	}
}

// better looks for a template that pays more, where payments have come.
func (s *minerSource) better(ctx context.Context, parent consensus.Hash) bool {
	var came bool
	err := s.Do(func(n *Node, _ time.Time) error { came = n.poolSequence != s.seen; return nil })
	if err == nil && !came {
		return false
	}
	t, err := s.template(ctx)
	if err != nil || t.Parent != parent {
		return true // Template will say why
	}
	if t.Fees <= s.fees {
		return false
	}
	s.fees, s.next = t.Fees, t
	return true
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

// staleOn returns a channel that is closed once a block is not worth mining on. It does
// without the lock, which the step to the next tip holds while it writes.
func (r *Runner) staleOn(parent consensus.Hash) <-chan struct{} {
	if b := r.base.Load(); b.hash == parent {
		return b.over
	}
	over := make(chan struct{})
	close(over)
	return over
}
