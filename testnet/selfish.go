package testnet

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/record"
)

// selfishHeights is algorithm 1 of Eyal and Sirer 2014 ("Majority is not enough: Bitcoin
// mining is vulnerable") as heights of two chains. The paper's cases are told apart by
// the lead before a block of the others, of one block at a time:
//
//	lead 0   the private chain adopts the public one
//	lead 1   the attacker publishes its block: a tie
//	lead 2   it publishes all, and wins
//	more     it publishes the first block that is not public yet
//
// Real networks also change branches by several blocks at once. The lead after the change
// says the same as the lead before it, less the blocks: behind, 0, 1 and more.
type selfishHeights struct {
	public  uint32 // of the chain that everybody knows
	private uint32 // of the attacker's
	tie     bool   // the last block of both is public: the attacker publishes its next one at once
}

// found takes note of a block that the attacker found on its chain. It returns the height
// up to which the private chain is to be published; most of it may be public already.
func (s *selfishHeights) found(height uint32) (publish uint32) {
	s.private = height
	if s.tie {
		s.tie, s.public = false, s.private
	}
	return s.public
}

// others takes note of a public chain of another height, which ends in a block of the
// others. adopted says that the private node went over to it. It returns the height up to
// which the private chain is to be published.
func (s *selfishHeights) others(height uint32, adopted bool) (publish uint32) {
	s.public, s.tie = height, false
	switch {
	case adopted:
		s.private = height
	case s.private <= height: // below it only where the branches differ in difficulty
		s.tie = true
		return s.private
	case s.private == height+1:
		s.public = s.private
	}
	return s.public
}

// selfish is a selfish miner. What its private node finds is withheld until the public
// chain comes near; what the network finds is given to the private node at once.
type selfish struct {
	*attacker
	heights selfishHeights
	seen    consensus.Hash        // the public tip at the last look
	tied    *consensus.BlockIndex // the attacker's last block of the tie
}

func newSelfish(cfg attackConfig) (*selfish, error) {
	a, err := newAttacker(cfg, record.Selfish)
	if err != nil {
		return nil, err
	}
	return &selfish{attacker: a}, nil
}

// run attacks until ctx ends, which is no error. What is withheld then stays so. The
// outcome holds whatever came before an error.
func (s *selfish) run(ctx context.Context) (record.Attack, error) {
	s.tell(map[string]any{"hash_share": s.Share}, nil,
		"Node %d begins to mine selfishly, with %.3g %% of the hash rate", s.outcome.Node, 100*s.Share)
	err := s.attack(ctx, s.mine)
	withheld := 0
	if err == nil {
		withheld, err = s.withheld()
	}
	o := s.outcome
	s.tell(map[string]any{"withheld_blocks": withheld}, &o,
		"Node %d ends its selfish mining: %d of %d blocks of the best chain are its own; of %d ties it decided %d by its next block, and others %d in its favour; %d blocks stay withheld",
		o.Node, o.Own, o.Blocks, o.Ties, o.TiesOwn, o.TiesWon, withheld)
	return o, err
}

// mine looks whenever a tip is another one.
func (s *selfish) mine(ctx context.Context) error {
	if err := s.feed(ctx, s.start); err != nil {
		return err
	}
	s.seen = s.start.Hash
	s.heights = selfishHeights{public: s.start.Height, private: s.start.Height}
	relayed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { relayed <- s.relayPayments(ctx) }()
	defer func() { cancel(); <-relayed }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-relayed:
			relayed <- nil // the goroutine has ended
			return err
		case <-s.moved:
		}
		if err := s.look(ctx); err != nil {
			return err
		}
	}
}

// look takes note of what has happened on both sides, publishes what is due, and then gives
// the private node what the public one has: the former is in a hurry. Several blocks may
// have come since the last look. Those of the private chain were found by a miner that had
// not seen the public tip, unless they stand on it.
func (s *selfish) look(ctx context.Context) error {
	public, err := tipOf(ctx, s.Public)
	if err != nil {
		return err
	}
	private, err := tipOf(ctx, s.Private)
	if err != nil {
		return err
	}
	others := public.Hash != s.seen && !s.owns(public.Hash)
	s.seen = public.Hash
	if !others {
		return s.found(ctx, private)
	}
	if contains(private, public) {
		if err := s.others(ctx, public, private, true); err != nil {
			return err
		}
		return s.found(ctx, private)
	}
	if err := s.found(ctx, private); err != nil {
		return err
	}
	if err := s.others(ctx, public, private, public.Work.Cmp(private.Work) > 0); err != nil {
		return err
	}
	return s.catchUp(ctx, public)
}

// catchUp gives the private node a public chain. Where it was to go over and its miner found
// a block meanwhile, it may not have done so: then there is a tie after all.
func (s *selfish) catchUp(ctx context.Context, public *consensus.BlockIndex) error {
	if err := s.feed(ctx, public); err != nil {
		return err
	}
	private, err := tipOf(ctx, s.Private)
	if err != nil {
		return err
	}
	err = s.found(ctx, private)
	if err == nil && s.heights.private == public.Height && !contains(private, public) && !s.heights.tie {
		err = s.others(ctx, public, private, false)
	}
	return err
}

// found acts upon the blocks of the private miner that are new on the chain that ends in
// private.
func (s *selfish) found(ctx context.Context, private *consensus.BlockIndex) error {
	finds, err := s.finds(private)
	if err != nil {
		return err
	}
	for _, b := range finds {
		if s.heights.tie {
			s.outcome.Ties++
			s.outcome.TiesOwn++
		}
		height := s.heights.found(b.Height)
		s.Log.Debug("the attacker found a block", "height", b.Height, "hash", b.Hash, "public", s.heights.public)
		if err := s.publishTo(ctx, b, height); err != nil {
			return err
		}
	}
	return nil
}

// others acts upon a public tip that is another one.
func (s *selfish) others(ctx context.Context, public, private *consensus.BlockIndex, adopted bool) error {
	if s.heights.tie {
		s.outcome.Ties++
		if contains(public, s.tied) {
			s.outcome.TiesWon++
		}
	}
	height := s.heights.others(public.Height, adopted)
	if s.heights.tie {
		s.tied = private
	}
	s.Log.Debug("the others found a block", "height", public.Height, "hash", public.Hash, "adopted", adopted, "private", s.heights.private, "tie", s.heights.tie)
	return s.publishTo(ctx, private, height)
}

// publishTo publishes a private chain up to a height.
func (s *selfish) publishTo(ctx context.Context, tip *consensus.BlockIndex, height uint32) error {
	return s.publish(ctx, tip.Ancestor(min(height, tip.Height)))
}

// relayPayments gives the private node the payments that the public one has, so that the
// attacker's blocks carry what anybody's would. It returns when ctx ends, or a node of the
// attacker fails.
func (s *selfish) relayPayments(ctx context.Context) error {
	for ctx.Err() == nil {
		events := s.Public.Events(ctx)
		var waiting []*consensus.Tx
		err := s.Public.Do(func(n *node.Node, _ time.Time) error {
			for _, e := range n.Mempool() {
				waiting = append(waiting, e.Tx)
			}
			return nil
		})
		if err != nil {
			return ended(ctx, err)
		}
		if err := s.offer(ctx, waiting...); err != nil {
			return err
		}
		for e := range events { // until it falls behind: then all is looked at anew
			if e.Tx == nil {
				continue
			}
			if err := s.offer(ctx, e.Tx.Tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// offer hands the private node payments. What it refuses it has no use for: its chain is
// another one.
func (s *selfish) offer(ctx context.Context, txs ...*consensus.Tx) error {
	_, errs := s.Private.SubmitTxs(ctx, txs, nil)
	for _, err := range errs {
		if err != nil && consensus.AsRuleError(err) == nil {
			return ended(ctx, err)
		}
	}
	return nil
}
