package testnet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/record"
)

// spentTwice is one coin of the attacker's, signed away twice. Both transactions should pay
// for the next block.
type spentTwice struct {
	Pay  *consensus.Tx // to the merchant
	Back *consensus.Tx // to the attacker itself
	// Everywhere is closed when Pay is in the mempool of each node that runs; nil: nobody
	// says when that is.
	Everywhere <-chan struct{}
	// Answer is told what the public node says to Pay; nil: nobody is.
	Answer func(error)
}

// doubleSpendConfig is how an attacker double-spends.
type doubleSpendConfig struct {
	Confirmations int // that the merchant waits for, 1 or more
	Tries         int // at most, one after the other; 0: as many as coins and time allow
	GiveUp        int // blocks behind the public chain at which a try ends; 0: never

	// Settle is how long a payment that is in every mempool may take to be in every miner's
	// template, where it takes so long to make one; nil: templateTime. The race begins after
	// that, since theory knows of no block without the payment.
	Settle func(making time.Duration) time.Duration
	// Next is the coin of the next try, nil where there is none left. Calls are made one
	// after the other.
	Next func(context.Context) (*spentTwice, error)
}

// raceVerdict is how a double spend stands.
type raceVerdict int

const (
	raceGoesOn raceVerdict = iota
	raceWon
	raceGivenUp
)

// judgeRace is the strategy of a double spend. lead is by how many blocks the secret branch
// is longer than the public chain, less than 0 where it is shorter; confirmed is how many
// confirmations the payment has there.
//
// The branch has to be longer when it is published: nodes keep to the one that they saw
// first among equals. So the chance to win is stats.DoubleSpendGivingUp(share,
// Confirmations, GiveUp), that is stats.Race with a lead of 1; stats.DoubleSpendRace counts
// a tie as a success and is more, for any number of confirmations.
func (c *doubleSpendConfig) judgeRace(lead, confirmed int) raceVerdict {
	switch {
	case confirmed >= c.Confirmations && lead > 0:
		return raceWon
	case c.GiveUp > 0 && -lead >= c.GiveUp:
		return raceGivenUp
	}
	return raceGoesOn
}

// doubleSpend pays a merchant, and mines in secret a branch that takes the payment back. It
// does so again and again, and mines like anybody else in between.
type doubleSpend struct {
	*attacker
	doubleSpendConfig
	void   int // payments that were in a block, or refused, before the race began
	missed int // public blocks of races that came before the payment's: theory has none
}

func newDoubleSpend(cfg attackConfig, how doubleSpendConfig) (*doubleSpend, error) {
	a, err := newAttacker(cfg, record.DoubleSpend)
	switch {
	case err != nil:
		return nil, err
	case how.Confirmations < 1:
		return nil, fmt.Errorf("a merchant who waits for %d confirmations: expected 1 or more", how.Confirmations)
	case how.Tries < 0 || how.GiveUp < 0:
		return nil, fmt.Errorf("a double spend with %d tries that gives up %d blocks behind: expected nothing below 0", how.Tries, how.GiveUp)
	case how.Next == nil:
		return nil, errors.New("a double spend without coins")
	}
	if how.Settle == nil {
		how.Settle = templateTime
	}
	a.outcome.Confirmations, a.outcome.GiveUpBehind = how.Confirmations, how.GiveUp
	return &doubleSpend{attacker: a, doubleSpendConfig: how}, nil
}

// run attacks until all tries are made, the coins are spent or ctx ends, none of which is
// an error. A try that is under way then does not count. The outcome holds whatever came
// before an error.
func (d *doubleSpend) run(ctx context.Context) (record.Attack, error) {
	d.tell(map[string]any{"hash_share": d.Share, "confirmations": d.Confirmations, "give_up_blocks": d.GiveUp}, nil,
		"Node %d begins to spend coins twice, with %.3g %% of the hash rate, at a merchant who waits for %d confirmations", d.outcome.Node, 100*d.Share, d.Confirmations)
	err := d.attack(ctx, d.spend)
	withheld := 0
	if err == nil {
		withheld, err = d.withheld()
	}
	o := d.outcome
	d.tell(map[string]any{"void_payments": d.void, "blocks_without_payment": d.missed, "withheld_blocks": withheld}, &o,
		"Node %d ends its double spends: %d of %d were won, %d given up; %d payments were in a block before their race began, or refused",
		o.Node, o.Won, o.Tries, o.GivenUp, d.void)
	return o, err
}

// maxRefused is how many payments in a row may be refused, each after another block: each
// has cost a coin, and what a node does not take for so long it will not take.
const maxRefused = 3

var errRefused = errors.New("the attacker's own node refuses its payment")

// spend makes one try after the other.
func (d *doubleSpend) spend(ctx context.Context) error {
	if err := d.feed(ctx, d.start); err != nil {
		return err
	}
	refused := 0 // in a row
	for ctx.Err() == nil && (d.Tries == 0 || d.outcome.Tries < d.Tries) {
		coin, err := d.Next(ctx)
		if err != nil {
			return fmt.Errorf("the coin of a double spend: %w", err)
		}
		if coin == nil {
			return nil
		}
		parent, err := d.pay(ctx, coin)
		if errors.Is(err, errRefused) {
			d.void++
			if refused++; refused == maxRefused {
				d.tell(nil, nil, "Node %d spends no more coins twice: %d payments in a row were refused", d.outcome.Node, refused)
				return nil
			}
			if err := d.nextBlock(ctx); err != nil {
				return err
			}
			continue
		}
		refused = 0
		if err == nil && parent == nil {
			d.void++
			continue
		}
		if err == nil {
			err = d.race(ctx, coin, parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pay makes the payment to the merchant and waits until every miner works on it, mining
// like anybody else meanwhile. It returns the tip that the secret branch is to begin on;
// nil where the payment is in a block already: then there is no race that theory knows of,
// and whether there is one does not depend on how it would end. errRefused says that its
// node does not take it.
func (d *doubleSpend) pay(ctx context.Context, coin *spentTwice) (parent *consensus.BlockIndex, err error) {
	_, err = d.Public.SubmitTx(ctx, coin.Pay)
	if coin.Answer != nil {
		coin.Answer(err)
	}
	if err != nil {
		if consensus.AsRuleError(err) == nil {
			return nil, err
		}
		d.tell(nil, nil, "Node %d cannot pay: its own payment is refused: %v", d.outcome.Node, err)
		return nil, errRefused
	}
	if coin.Everywhere != nil {
		if parent, err = d.wait(ctx, coin, coin.Everywhere, poolTime); err != nil || parent == nil {
			return nil, err
		}
	}
	making, err := d.making(ctx)
	if err != nil {
		return nil, err
	}
	return d.wait(ctx, coin, nil, d.Settle(making))
}

// wait mines like anybody else until a channel is ready, or a time is over. It returns the
// tip of both nodes then, and nil as soon as the payment waits no more.
func (d *doubleSpend) wait(ctx context.Context, coin *spentTwice, until <-chan struct{}, most time.Duration) (tip *consensus.BlockIndex, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for waits := true; waits; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			waits = false
		case <-until:
			waits = false
		case <-d.moved:
		}
		if tip, err = d.join(ctx); err != nil {
			return nil, err
		}
		waiting := false
		err = d.Public.Do(func(n *node.Node, _ time.Time) error {
			waiting = n.InMempool(coin.Pay.TxID())
			return nil
		})
		if err != nil || !waiting {
			return nil, err
		}
	}
	return tip, nil
}

// making is how long a template of all that wait takes on this machine, while others
// compute: the most of some, for a miner waits by what its own last one took, and the race
// is to begin after the slowest of them.
func (d *doubleSpend) making(ctx context.Context) (most time.Duration, err error) {
	const times = 5
	for range times {
		err = d.Public.DoSettled(ctx, func(n *node.Node, now time.Time) error {
			began := d.Now()
			_, err := n.Template(now)
			most = max(most, d.Now().Sub(began))
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return most, nil
}

// nextBlock waits for another public tip, mining like anybody else meanwhile.
func (d *doubleSpend) nextBlock(ctx context.Context) error {
	from, err := d.join(ctx)
	for at := from; err == nil && at.Hash == from.Hash; at, err = d.join(ctx) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.moved:
		}
	}
	return err
}

// join brings both nodes to one chain, as an honest miner's: each gets what the other has.
// It returns the tip that they agree on.
func (d *doubleSpend) join(ctx context.Context) (*consensus.BlockIndex, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		public, err := tipOf(ctx, d.Public)
		if err != nil {
			return nil, err
		}
		if err := d.feed(ctx, public); err != nil {
			return nil, err
		}
		private, err := tipOf(ctx, d.Private)
		if err != nil {
			return nil, err
		}
		if _, err := d.finds(private); err != nil {
			return nil, err
		}
		if private.Hash == public.Hash {
			return public, nil
		}
		if !contains(public, private) {
			if err := d.publish(ctx, private); err != nil {
				return nil, err
			}
		}
	}
}

// secretRace is one try from when the payment is in every template.
type secretRace struct {
	*spentTwice
	parent *consensus.BlockIndex // that the secret branch begins on
	paid   *consensus.BlockIndex // the public block with the payment; nil: none
}

// race mines the secret branch on its parent until the try is decided.
func (d *doubleSpend) race(ctx context.Context, coin *spentTwice, parent *consensus.BlockIndex) error {
	// The block that the private miner works on now may still come out without it, the
	// next one not. A branch that wins has two blocks or more.
	if _, err := d.Private.SubmitTx(ctx, coin.Back); err != nil {
		return fmt.Errorf("the attacker's private node does not take the transaction that takes a payment back: %w", err)
	}
	r := &secretRace{spentTwice: coin, parent: parent}
	for {
		public, private, confirmed, err := d.look(ctx, r)
		if err != nil {
			return err
		}
		switch d.judgeRace(int(private.Height)-int(public.Height), confirmed) {
		case raceWon:
			if err := d.collect(ctx, r, private, confirmed); err != nil {
				return err
			}
			d.missed += int(public.Height-parent.Height) - confirmed
			return nil
		case raceGivenUp:
			d.missed += int(public.Height-parent.Height) - confirmed
			d.outcome.Tries++
			d.outcome.GivenUp++
			d.tell(map[string]any{"try": d.outcome.Tries, "own_blocks": private.Height - parent.Height, "public_blocks": public.Height - parent.Height, "confirmations": confirmed}, nil,
				"Node %d gives its double spend %d up: its branch of %d blocks is %d behind", d.outcome.Node, d.outcome.Tries, private.Height-parent.Height, public.Height-private.Height)
			_, err := d.join(ctx)
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.moved:
		}
	}
}

// look looks at both chains of a race.
func (d *doubleSpend) look(ctx context.Context, r *secretRace) (public, private *consensus.BlockIndex, confirmed int, err error) {
	if public, err = tipOf(ctx, d.Public); err != nil {
		return nil, nil, 0, err
	}
	if private, err = tipOf(ctx, d.Private); err != nil {
		return nil, nil, 0, err
	}
	if _, err = d.finds(private); err != nil {
		return nil, nil, 0, err
	}
	if r.paid != nil && !contains(public, r.paid) {
		r.paid = nil
	}
	if r.paid == nil {
		if err = d.scan(r, public); err != nil {
			return nil, nil, 0, err
		}
	}
	if r.paid != nil {
		confirmed = int(public.Height-r.paid.Height) + 1
	}
	return public, private, confirmed, nil
}

// scan looks for the payment in the public blocks of the race. They are one or two: once
// the payment has settled, the next block has it.
func (d *doubleSpend) scan(r *secretRace, tip *consensus.BlockIndex) error {
	for b := tip; b.Height > r.parent.Height; b = b.Parent {
		has, err := includes(d.Public, b, r.Pay)
		if err != nil {
			return err
		}
		if has {
			r.paid = b
			return nil
		}
	}
	return nil
}

// includes reports whether a stored block holds a transaction.
func includes(r *node.Runner, b *consensus.BlockIndex, tx *consensus.Tx) (bool, error) {
	block, err := r.Block(b.Hash)
	if err != nil {
		return false, fmt.Errorf("read block %s: %w", b.Hash, err)
	}
	txid := tx.TxID()
	for _, other := range block.Txs {
		if other.TxID() == txid {
			return true, nil
		}
	}
	return false, nil
}

// collect publishes a secret branch that is longer than the public chain. The try is won
// where the network builds upon it: a block of the others that is on its way meanwhile may
// still make theirs the longer one.
func (d *doubleSpend) collect(ctx context.Context, r *secretRace, secret *consensus.BlockIndex, confirmed int) error {
	taken := false
	for b := secret; b.Height > r.parent.Height && !taken; b = b.Parent {
		var err error
		if taken, err = includes(d.Private, b, r.Back); err != nil {
			return err
		}
	}
	if !taken {
		return errors.New("the secret branch does not hold the transaction that takes the payment back")
	}
	if err := d.publish(ctx, secret); err != nil {
		return err
	}
	public, err := d.settle(ctx, secret)
	if err != nil {
		return err
	}
	d.outcome.Tries++
	how := "lost its double spend %d, the network went on without its branch of %d blocks against %d confirmations"
	if contains(public, secret) {
		d.outcome.Won++
		how = "won its double spend %d, by a branch of %d blocks against %d confirmations"
	}
	d.tell(map[string]any{"try": d.outcome.Tries, "own_blocks": secret.Height - r.parent.Height, "confirmations": confirmed, "won": contains(public, secret)}, nil,
		"Node %d "+how, d.outcome.Node, d.outcome.Tries, secret.Height-r.parent.Height, confirmed)
	return nil
}

// settle waits until the public chain is longer than the branch that was published, and
// returns its tip. Where ctx ends before, nobody knows how the try would have ended.
func (d *doubleSpend) settle(ctx context.Context, published *consensus.BlockIndex) (*consensus.BlockIndex, error) {
	for {
		public, err := d.join(ctx)
		if err != nil || public.Height > published.Height {
			return public, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.moved:
		}
	}
}
