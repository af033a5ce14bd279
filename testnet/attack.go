package testnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/record"
)

// attackConfig is an attacker: two full nodes of one owner, and what is written down of
// them. Blocks go from one to the other through the attack alone.
type attackConfig struct {
	Node  int     // from 0: the attacker's place among the nodes
	Share float64 // of the network's hash rate, as the file has it: the private node's miner

	// Public is connected like any other node, and mines not: it is what the network
	// sees at the attacker's place. Private has no peers, and a miner.
	Public, Private *node.Runner

	Began time.Time        // of the run: the times of records count from here
	Now   func() time.Time // the machine's clock, whatever the nodes' say
	Tell  func(record.Event)
	// Done says which share of the hashes since the private node began to mine the attacker
	// has done, 0 where that is not known; nil: it never is.
	Done func() float64
	Log  *slog.Logger
}

// attacker is what both kinds of attack have in common.
type attacker struct {
	attackConfig
	outcome record.Attack
	start   *consensus.BlockIndex // the public tip when the attack began
	moved   chan struct{}         // room for one: a tip is another one
	// own are the blocks that the private node's miner found and that were seen on its
	// best branch. Each took real work, so that a run has room for few.
	own map[consensus.Hash]struct{}
}

func newAttacker(cfg attackConfig, kind record.Role) (*attacker, error) {
	switch {
	case cfg.Public == nil || cfg.Private == nil || cfg.Public == cfg.Private:
		return nil, errors.New("an attacker is two nodes: a public one and a private one")
	case !(cfg.Share > 0 && cfg.Share < 1):
		return nil, fmt.Errorf("an attacker with %g of the hash rate: expected more than 0 and less than 1", cfg.Share)
	}
	return &attacker{
		attackConfig: cfg,
		outcome:      record.Attack{Kind: kind, Node: cfg.Node + 1, Share: cfg.Share},
		moved:        make(chan struct{}, 1),
		own:          make(map[consensus.Hash]struct{}),
	}, nil
}

// attack does what an attack consists of while it follows both nodes, until body returns
// or ctx ends, which is no error. All goroutines have ended when it returns, and the
// outcome holds whatever came before an error.
func (a *attacker) attack(ctx context.Context, body func(context.Context) error) error {
	a.outcome.FromS = a.since()
	defer func() {
		a.outcome.ToS = a.since()
		if a.Done != nil {
			a.outcome.ShareDone = a.Done()
		}
	}()
	var err error
	if a.start, err = tipOf(ctx, a.Public); err != nil {
		return ended(ctx, err)
	}
	if err = ended(ctx, a.followed(ctx, body)); err != nil {
		return err
	}
	return a.count(ctx)
}

// followed runs body while changes of both tips make a.moved ready.
func (a *attacker) followed(ctx context.Context, body func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var lives sync.WaitGroup
	defer lives.Wait()
	defer cancel()
	for _, r := range []*node.Runner{a.Public, a.Private} {
		lives.Go(func() { a.follow(ctx, r) })
	}
	return body(ctx)
}

// follow tells of each new tip of a node. A node that fails is told of, too: the next
// call of its methods says why.
func (a *attacker) follow(ctx context.Context, r *node.Runner) {
	for ctx.Err() == nil {
		tip, err := tipOf(ctx, r)
		select {
		case a.moved <- struct{}{}:
		default: // whoever takes that one looks at both nodes anew
		}
		if err != nil || r.WaitTip(ctx, tip.Hash) != nil {
			select {
			case a.moved <- struct{}{}:
			default:
			}
			return
		}
	}
}

// ended makes an error that came of the end of a context none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// since is the time now, as records have it.
func (a *attacker) since() float64 { return a.Now().Sub(a.Began).Seconds() }

// tell writes a sentence down. The outcome goes with the last one.
func (a *attacker) tell(values map[string]any, outcome *record.Attack, format string, args ...any) {
	a.Tell(record.Event{
		TimeS: a.since(), Kind: string(a.outcome.Kind), Nodes: []int{a.outcome.Node},
		Text: fmt.Sprintf(format, args...), Values: values, Attack: outcome,
	})
}

// tipOf is a node's tip at a moment when no reorganisation is in progress. What a
// BlockIndex says of its own block, and its way down, may be read without a lock.
func tipOf(ctx context.Context, r *node.Runner) (tip *consensus.BlockIndex, err error) {
	err = r.DoSettled(ctx, func(n *node.Node, _ time.Time) error {
		tip = n.Tip()
		return nil
	})
	return tip, err
}

// contains reports whether a block is on the chain that ends in tip. They may be of
// different trees.
func contains(tip, b *consensus.BlockIndex) bool {
	at := tip.Ancestor(b.Height)
	return at != nil && at.Hash == b.Hash
}

// lacking lists the blocks of the chain that ends in tip whose bodies a node has not got,
// lowest first.
func lacking(r *node.Runner, tip *consensus.BlockIndex) (blocks []*consensus.BlockIndex, err error) {
	err = r.Do(func(n *node.Node, _ time.Time) error {
		for b := tip; b != nil; b = b.Parent {
			if known := n.Lookup(b.Hash); known != nil && known.HasBody() {
				return nil
			}
			blocks = append(blocks, b)
		}
		return nil
	})
	slices.Reverse(blocks)
	return blocks, err
}

// feed gives the private node the public chain that ends in tip. It goes over to it where
// that has more work than its own.
func (a *attacker) feed(ctx context.Context, tip *consensus.BlockIndex) error {
	return carry(ctx, a.Public, a.Private, tip, func(*consensus.BlockIndex) error { return nil })
}

// publish gives the public node the private chain that ends in tip. Nodes announce what
// becomes their tip, so the public one is made to prefer the attacker's blocks to others
// of equal work: else nobody would hear of a branch that ties.
func (a *attacker) publish(ctx context.Context, tip *consensus.BlockIndex) error {
	return carry(ctx, a.Private, a.Public, tip, func(b *consensus.BlockIndex) error {
		err := a.Public.Do(func(n *node.Node, _ time.Time) error {
			if known := n.Lookup(b.Hash); known != nil {
				n.Precious(known)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return a.Public.Settle(ctx)
	})
}

// carry hands blocks that a node lacks from one to the other, lowest first. What is not on
// the active chain then is passed to aside.
func carry(ctx context.Context, from, to *node.Runner, tip *consensus.BlockIndex, aside func(*consensus.BlockIndex) error) error {
	blocks, err := lacking(to, tip)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		body, err := from.Block(b.Hash)
		if err != nil {
			return fmt.Errorf("read block %s: %w", b.Hash, err)
		}
		active, err := to.SubmitBlock(ctx, body)
		if err != nil && !errors.Is(err, consensus.ErrDuplicate) { // a peer may have been faster
			return fmt.Errorf("the attacker's other node does not take block %s at height %d: %w", b.Hash, b.Height, err)
		}
		if !active {
			if err := aside(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// finds lists the blocks of the private chain that ends in tip which the private node's
// miner found since the last call, lowest first, and takes note of them. What the public
// node has not got, and the attack did not see before, is such a one.
func (a *attacker) finds(tip *consensus.BlockIndex) ([]*consensus.BlockIndex, error) {
	secret, err := lacking(a.Public, tip)
	if err != nil {
		return nil, err
	}
	known := 0
	for i, b := range secret {
		if a.owns(b.Hash) {
			known = i + 1
		}
		a.own[b.Hash] = struct{}{}
	}
	return secret[known:], nil
}

// owns reports whether a block is the attacker's.
func (a *attacker) owns(hash consensus.Hash) bool {
	_, own := a.own[hash]
	return own
}

// count fills in which blocks of the best chain are the attacker's, as the public node
// sees it at the end, when it has done what the attack has asked of it. It is asked even
// where ctx has ended.
func (a *attacker) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTime)
	defer cancel()
	err := a.Public.DoSettled(ctx, func(n *node.Node, _ time.Time) error {
		a.outcome.Blocks, a.outcome.Own = 0, 0
		for b := n.Tip(); b != nil && b.Height > a.start.Height; b = b.Parent {
			a.outcome.Blocks++
			if a.owns(b.Hash) {
				a.outcome.Own++
			}
		}
		return nil
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("the attacker's public node has not come to rest within %v: it hangs, or the machine has far too little for it", commandTime)
	}
	return err
}

// withheld counts the blocks of the private chain that never came out. They stay where
// they are.
func (a *attacker) withheld() (int, error) {
	var tip *consensus.BlockIndex
	err := a.Private.Do(func(n *node.Node, _ time.Time) error {
		tip = n.Tip()
		return nil
	})
	if err != nil {
		return 0, err
	}
	secret, err := lacking(a.Public, tip)
	return len(secret), err
}
