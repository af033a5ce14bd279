package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
)

const (
	honestRate    = 50  // payments a second
	privateCoins  = 500 // of loadCoins, spent by payments that only the miner knows
	victimsNumber = honestNodes
)

// honestLoad is what honest people do during an attack: payments and blocks, each followed to
// all nodes. The honest nodes are numbered from 0, the victim comes last.
type honestLoad struct {
	net     *attackNet
	coins   []chaintest.Coin
	turn    int // of the next coin
	private []chaintest.Coin

	mu     sync.Mutex
	things map[consensus.Hash]*journey // by txid or block hash
	blocks []consensus.Hash            // in order
	faults []error
	issued map[consensus.Hash]bool // every honest payment since the start, by txid
}

// journey is a payment or a block on its way.
type journey struct {
	due   time.Time
	at    [honestNodes + 1]time.Time // zero: it has not arrived
	holds []consensus.Hash           // a block's payments
	miner int                        // of a block
}

func newLoad(n *attackNet) *honestLoad {
	l := &honestLoad{net: n, things: make(map[consensus.Hash]*journey), issued: make(map[consensus.Hash]bool)}
	for k := 1; k <= loadCoins/500; k++ {
		fan := n.chain.Block(blockName(rampBlocks + k)).Txs[1]
		for i := range fan.Outputs {
			l.coins = append(l.coins, n.chain.Out(fan, uint32(i)))
		}
	}
	l.coins, l.private = l.coins[privateCoins:], l.coins[:privateCoins]
	return l
}

func (l *honestLoad) follow(id consensus.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.things[id] = &journey{due: time.Now()}
}

// issue makes an honest payment, which leaves its coin to the next one.
func (l *honestLoad) issue(coin *chaintest.Coin) *consensus.Tx {
	tx := l.net.pay(*coin, chaintest.To("load", coin.Value-loadFee))
	l.net.keys.Lock()
	*coin = l.net.chain.Out(tx, 0)
	l.net.keys.Unlock()
	l.mu.Lock()
	l.issued[tx.TxID()] = true
	l.mu.Unlock()
	return tx
}

// knows reports whether a payment is an honest one.
func (l *honestLoad) knows(txid consensus.Hash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.issued[txid]
}

// note writes down when a node had a payment or a block, and with a block what is in it
// and below it.
func (l *honestLoad) note(i int, id consensus.Hash, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted(i, id, at)
	for k, hash := range l.blocks {
		if hash == id {
			for _, below := range l.blocks[:k] {
				l.noted(i, below, at)
			}
		}
	}
}

func (l *honestLoad) noted(i int, id consensus.Hash, at time.Time) {
	f := l.things[id]
	if f == nil || !f.at[i].IsZero() {
		return
	}
	f.at[i] = at
	for _, held := range f.holds {
		l.noted(i, held, at)
	}
}

// seen takes what the victim says.
func (l *honestLoad) seen(e *nodeEvent) {
	text := ""
	switch {
	case e.Tip != nil:
		text = e.Tip.Hash
	case e.Tx != nil:
		text = e.Tx.TxID
	}
	if id, err := consensus.ParseHash(text); err == nil {
		l.note(victimsNumber, id, e.Time())
	}
}

// watch takes what an honest node sees.
func (l *honestLoad) watch(ctx context.Context, i int, s *node.Service) {
	events := s.Runner.Events(ctx)
	l.net.lives.Go(func() {
		for e := range events {
			switch {
			case e.Change != nil:
				l.note(i, e.Change.To.Hash, e.Time)
			case e.Tx != nil:
				l.note(i, e.Tx.TxID, e.Time)
			}
		}
	})
}

// has reports whether a node has what is followed.
func (l *honestLoad) has(i int, id consensus.Hash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.things[id]
	return f != nil && !f.at[i].IsZero()
}

// everywhere returns an error unless all nodes have it.
func (l *honestLoad) everywhere(id consensus.Hash) error {
	for i := range honestNodes + 1 {
		if !l.has(i, id) {
			return fmt.Errorf("node %d does not have %s", i, id)
		}
	}
	return nil
}

// arrived returns an error while something has not arrived everywhere.
func (l *honestLoad) arrived() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := 0
	for _, f := range l.things {
		for i := range f.at {
			if f.at[i].IsZero() {
				late++
			}
		}
	}
	if late > 0 {
		return fmt.Errorf("%d arrivals are still due", late)
	}
	return nil
}

// burden says what the load of one attack does beside the usual.
type burden struct {
	every   time.Duration          // between blocks
	private int                    // payments of a block that no mempool has
	found   func(*consensus.Block) // is told of a block as soon as its miner's node has it
}

// carried is how the load fared: milliseconds to the victim, and to all.
type carried struct {
	blocks, payments []float64 // to the victim
	slowest          float64   // payment to the last node
	missed, lost     int       // blocks and payments that did not reach somebody
	waited           int       // payments that a miner knew of and left out
	err              error
}

// run makes payments and blocks until the context ends.
func (l *honestLoad) run(ctx context.Context, b burden) {
	l.mu.Lock()
	l.things, l.blocks, l.faults = make(map[consensus.Hash]*journey), nil, nil
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.fail(l.payments(ctx)) })
	both.Go(func() { l.fail(l.mining(ctx, b)) })
	both.Wait()
}

func (l *honestLoad) fail(err error) {
	if err != nil {
		l.mu.Lock()
		l.faults = append(l.faults, err)
		l.mu.Unlock()
	}
}

// payments hands them to random honest nodes, by a schedule that waits for no answer.
func (l *honestLoad) payments(ctx context.Context) error {
	start := time.Now()
	var calls sync.WaitGroup
	defer calls.Wait()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(start.Add(time.Duration(i) * time.Second / honestRate))):
		}
		tx := l.issue(&l.coins[l.turn%len(l.coins)])
		l.turn++
		l.follow(tx.TxID())
		to := l.net.honest[rand.IntN(honestNodes)]
		calls.Go(func() {
			if _, err := to.Runner.SubmitTx(context.WithoutCancel(ctx), tx); err != nil {
				l.fail(fmt.Errorf("an honest payment: %w", err))
			}
		})
	}
}

// mining lets the honest nodes find blocks in turns, the last one in time to be waited for.
func (l *honestLoad) mining(ctx context.Context, b burden) error {
	var last consensus.Hash
	for k := 0; ; k++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(b.every):
		}
		s, i := l.net.honest[k%honestNodes], k%honestNodes
		if last != (consensus.Hash{}) { // so that there is one chain
			if err := l.net.eventually(10*time.Second, func() error {
				if !l.has(i, last) {
					return fmt.Errorf("honest node %d lacks a block", i)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		var more []*consensus.Tx
		for range b.private {
			more = append(more, l.issue(&l.private[(k*b.private+len(more))%len(l.private)]))
		}
		block, err := l.net.mine(s, more)
		if err != nil {
			return fmt.Errorf("an honest block: %w", err)
		}
		var holds []consensus.Hash
		for _, tx := range block.Txs {
			holds = append(holds, tx.TxID())
		}
		last = block.Hash()
		l.mu.Lock()
		l.things[last] = &journey{due: time.Now(), holds: holds, miner: i}
		l.blocks = append(l.blocks, last)
		l.mu.Unlock()
		if err := s.Runner.Do(func(n *node.Node, now time.Time) error { _, err := n.SubmitBlock(now, block); return err }); err != nil {
			return fmt.Errorf("an honest block: %w", err)
		}
		if b.found != nil {
			b.found(block)
		}
		if err := s.Runner.Settle(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// result counts what has arrived until now.
func (l *honestLoad) result() (c carried) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.err = errors.Join(l.faults...)
	c.waited = l.leftOut()
	for _, f := range l.things {
		missing, last := 0, time.Time{}
		for _, at := range f.at {
			if at.IsZero() {
				missing++
			} else if at.After(last) {
				last = at
			}
		}
		block := len(f.holds) > 0
		switch at := f.at[victimsNumber]; {
		case missing > 0 && block:
			c.missed++
		case missing > 0:
			c.lost++
		case block:
			c.blocks = append(c.blocks, ms(at.Sub(f.due)))
		default:
			c.payments = append(c.payments, ms(at.Sub(f.due)))
			c.slowest = max(c.slowest, ms(last.Sub(f.due)))
		}
	}
	return c
}

// leftOut counts payments that were in a miner's mempool a second before it found a
// block, and are not in it, nor in one before; l.mu is held.
func (l *honestLoad) leftOut() (n int) {
	confirmed := make(map[consensus.Hash]bool)
	for _, hash := range l.blocks {
		block := l.things[hash]
		for _, txid := range block.holds {
			confirmed[txid] = true
		}
		for txid, f := range l.things {
			known := f.at[block.miner]
			if len(f.holds) == 0 && !confirmed[txid] && !known.IsZero() && known.Before(block.due.Add(-time.Second)) {
				n++
			}
		}
	}
	return n
}
