package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/wallet"
)

// follower watches the fleet from the first block to the last confirmation. It
// learns what happens from the nodes' own events, and asks over RPC only for
// what no event says.
type follower struct {
	plan   *plan
	fleet  *fleet
	screen *screen
	meter  *energy.Meter
	chain  *chainstate

	payment *paymentTrace // nil until it is sent
}

// chainstate is what the events have said about blocks and mining so far.
type chainstate struct {
	tips     []tipEvent             // by node
	arrivals map[string][]time.Time // block hash -> when each node's tip became it
	first    time.Time              // when node 1 began to mine
	times    []int64                // of the blocks of node 1's chain, Unix seconds, from height 1
	mining   miningEvent
}

// paymentTrace is when the payment got where.
type paymentTrace struct {
	txid     consensus.Hash
	amount   int64
	fee      int64
	sent     time.Time   // the wallet hands it to node 1
	seen     []time.Time // in each node's mempool; zero: not yet
	block    string      // that holds it
	height   uint32
	confirms []uint32 // on each node
}

func newFollower(p *plan, f *fleet, screen *screen) *follower {
	meter := energy.New(energy.Config{FS: os.DirFS("/"), Clock: time.Now, PIDs: f.pids})
	return &follower{plan: p, fleet: f, screen: screen, meter: meter, chain: &chainstate{
		tips: make([]tipEvent, len(f.nodes)), arrivals: make(map[string][]time.Time), first: time.Now(),
	}}
}

// story runs it all: banner, mining until a coin matures, the payment, its
// confirmations, the summary.
func (w *follower) story(ctx context.Context, began time.Time) (*quickstartSummary, error) {
	w.screen.banner(w.plan, w.fleet, time.Since(began))
	if err := w.until(ctx, func() (bool, error) { return w.matured(), nil }); err != nil {
		return nil, err
	}
	if err := w.pay(ctx); err != nil {
		return nil, err
	}
	if err := w.until(ctx, func() (bool, error) { return w.confirmed(ctx) }); err != nil {
		return nil, err
	}
	return w.summarise(ctx, began)
}

// until takes in events until the condition, looked at after each, holds.
func (w *follower) until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-w.fleet.seen:
			if s.event == nil {
				return fmt.Errorf("node %d: %w", s.node, s.err)
			}
			w.take(s)
		}
	}
}

// take notes one event and shows it.
func (w *follower) take(s sighting) {
	i := s.node - 1
	switch e := s.event; {
	case e.Tip != nil:
		w.chain.tips[i] = *e.Tip
		if w.chain.arrivals[e.Tip.Hash] == nil {
			w.chain.arrivals[e.Tip.Hash] = make([]time.Time, len(w.fleet.nodes))
		}
		if at := w.chain.arrivals[e.Tip.Hash]; at[i].IsZero() {
			at[i] = e.Time()
		}
		if i == 0 {
			w.chain.times = append(w.chain.times[:min(len(w.chain.times), int(e.Tip.Height)-1)], e.Tip.BlockTime)
			w.screen.block(e.Tip, w.plan.params)
		}
	case e.Tx != nil:
		if t := w.payment; t != nil && e.Tx.TxID == t.txid.String() && t.seen[i].IsZero() {
			t.seen[i] = e.Time()
			w.screen.paymentSeen(s.node, e.Time().Sub(t.sent))
		}
	case e.Mining != nil:
		w.chain.mining = *e.Mining
		w.screen.mining(w.chain, w.meter.Read(float64(e.Mining.Hashes)))
	}
}

// matured reports whether the first coinbase may be spent in the next block, on
// every node, so that none of them turns the payment away.
func (w *follower) matured() bool {
	for _, tip := range w.chain.tips {
		if tip.Height < w.plan.params.Maturity {
			return false
		}
	}
	return true
}

// pay sends the payment from wallet A through node 1 to wallet B.
func (w *follower) pay(ctx context.Context) error {
	amount, err := wallet.ParseAmount(quickstartAmount)
	if err != nil {
		return err
	}
	a, b := &w.plan.wallets[0], &w.plan.wallets[1]
	t := &paymentTrace{amount: amount, seen: make([]time.Time, len(w.fleet.nodes)), confirms: make([]uint32, len(w.fleet.nodes))}
	chain := sendClock{walletChain: walletChain{w.fleet.nodes[0].client, w.plan.params}, send: func(tx *consensus.Tx) {
		t.txid, t.sent = tx.TxID(), time.Now()
		w.payment = t
	}}
	receipt, err := a.wallet.Pay(ctx, chain, []wallet.Payment{{Address: b.address, Amount: amount}}, payChoices())
	if err != nil {
		return fmt.Errorf("wallet A cannot pay: %w", err)
	}
	t.fee = receipt.Fee
	w.screen.paymentMade(w.plan, t)
	return nil
}

// sendClock notes when the wallet hands its transaction to the node.
type sendClock struct {
	walletChain
	send func(*consensus.Tx)
}

func (c sendClock) Send(ctx context.Context, tx *consensus.Tx) error {
	c.send(tx)
	return c.walletChain.Send(ctx, tx)
}

// confirmed reports whether the payment has the confirmations wanted on every
// node, by asking each node whose tip has moved.
func (w *follower) confirmed(ctx context.Context) (bool, error) {
	t := w.payment
	if t.height == 0 {
		found, err := w.findBlock(ctx)
		if err != nil || !found {
			return false, err
		}
	}
	all := true
	for i := range w.fleet.nodes {
		has := uint32(0)
		if w.chain.tips[i].Height >= t.height {
			has = w.chain.tips[i].Height - t.height + 1
		}
		for c := t.confirms[i] + 1; c <= min(has, quickstartConfirms); c++ {
			w.screen.paymentConfirmed(i+1, c, w.chain.tips[i].Height)
		}
		t.confirms[i] = max(t.confirms[i], has)
		all = all && has >= quickstartConfirms
	}
	return all, nil
}

// findBlock asks node 1 for the block that holds the payment.
func (w *follower) findBlock(ctx context.Context) (bool, error) {
	t := w.payment
	place, err := confirmationOf(ctx, w.fleet.nodes[0].client, t.txid)
	if err != nil || place.height == 0 {
		return false, err
	}
	t.block, t.height = place.block, place.height
	if at := w.chain.arrivals[t.block]; at != nil {
		w.screen.paymentInBlock(t, at[0].Sub(t.sent))
	}
	return true, nil
}

// maxCompares bounds the attempts to catch all nodes at one tip while mining
// goes on.
const maxCompares = 100

// coinSums asks all nodes for their coin sum at one and the same tip.
func (w *follower) coinSums(ctx context.Context) ([]coinsAt, error) {
	for range maxCompares {
		sums := make([]coinsAt, len(w.fleet.nodes))
		same := true
		for i, member := range w.fleet.nodes {
			var err error
			if sums[i], err = coinsOf(ctx, member.client); err != nil {
				return nil, fmt.Errorf("node %d: %w", i+1, err)
			}
			same = same && sums[i].BestBlock == sums[0].BestBlock
		}
		if same {
			return sums, nil
		}
		// Some node is a block behind: look again once something has happened.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case s := <-w.fleet.seen:
			if s.event != nil {
				w.take(s)
			}
		}
	}
	return nil, errors.New("the nodes do not come to one tip")
}
