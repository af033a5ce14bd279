package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

const (
	// payShare is the share of a coin, 1 in so many, that a payment pays; the rest comes
	// back, less the fee. The highest fee rate that a wallet takes leaves some of it.
	payShare = 4

	// signAhead is how many payments wait signed for their turn.
	signAhead = 256
	// maxInFlight bounds the calls that wait for an answer, of all nodes together: a
	// node that hangs for answerWithin may hold up so many. A payment that has to wait
	// for its call is late, and is counted from when it was due.
	maxInFlight = 256
	// answerWithin is how long a node has to take or refuse a payment. On an idle
	// machine it takes a millisecond; so much more means that it hangs.
	answerWithin = 30 * time.Second
)

// clients is how nodes are spoken to, counted from 0: nil while the node is down.
type clients func(node int) *rpc.Client

// load is the payments of a testnet: an open loop, which waits for no answer before it
// sends the next one. Each payment spends one coin that the prelude made, pays a part of
// it to another wallet and the rest back: one input, two outputs, which is what most
// payments are. prelude comes first, then run.
type load struct {
	params *consensus.Params
	ledger *ledger
	fees   spec.Fees
	payers []*payer
	wanted int    // coins
	blocks uint32 // of the prelude

	due      *arrivals
	draw     *rand.Rand     // owners, payees, fee rates
	sign     *rand.ChaCha8  // words and signatures
	coins    []prepared     // in the order in which they are spent
	returned []*signedCoin  // whose node was down: they are spent when there are no others
	stopped  chan time.Time // room for one: no payment that is due later
}

// prepared is a coin of a payer.
type prepared struct {
	owner int // of load.payers
	coin  wallet.Coin
}

// signedCoin is a payment that is ready to be sent.
type signedCoin struct {
	owner *payer
	tx    *consensus.Tx
	rate  wallet.FeeRate
}

var (
	errNodeDown   = errors.New("its node was down")
	errNotSent    = errors.New("not sent before the end")
	errOutOfCoins = errors.New("the prepared coins ran out: the run takes far longer, or pays far more, than its file says")
)

// newLoad makes the wallets, and draws which node each of them belongs to: as many to
// one node as to another, as far as that goes. Whatever is random about the load follows
// from random's state.
func newLoad(s *spec.Spec, random *rand.Rand, l *ledger) (*load, error) {
	stream := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), random.Uint64())) }
	load := &load{
		params: s.Network, ledger: l, fees: s.Payments.Fees, wanted: s.Coins, blocks: s.Prelude,
		due: newArrivals(&s.Payments, stream()), draw: stream(), sign: rand.NewChaCha8(chaChaSeed(random)),
		stopped: make(chan time.Time, 1),
	}
	places := load.draw.Perm(len(s.Nodes))
	for i := range s.Payments.Wallets {
		p, err := newPayer(s.Network, load.sign, places[i%len(places)])
		if err != nil {
			return nil, fmt.Errorf("making wallet %d: %w", i+1, err)
		}
		load.payers = append(load.payers, p)
	}
	if load.wanted > 0 && len(load.payers) == 0 {
		return nil, fmt.Errorf("%d coins are to be made, and no wallet is there to own them", load.wanted)
	}
	return load, nil
}

func chaChaSeed(random *rand.Rand) (seed [32]byte) {
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	return seed
}

// stop ends the schedule: what was due by then is still sent. It is called once.
func (l *load) stop(at time.Time) { l.stopped <- at }

// run sends the payments, the first of which may be due at began, until the schedule
// ends, or stop ends it, or the context; and waits for the answers. It fails where there
// are no coins left to pay with, or a payment cannot be signed.
func (l *load) run(ctx context.Context, nodes clients, began time.Time) error {
	return l.follow(ctx, began, func(node int) sendFunc {
		if client := nodes(node); client != nil {
			return client.Send
		}
		return nil
	})
}

// sendFunc hands a payment to a node.
type sendFunc func(context.Context, *consensus.Tx) (consensus.Hash, error)

// follow follows the schedule; at returns how payments are handed to a node now.
func (l *load) follow(ctx context.Context, began time.Time, at func(node int) sendFunc) error {
	signed, supply := l.signAll(ctx)
	err := l.send(ctx, began, signed, at)
	if fault := supply(); fault != nil {
		return fault
	}
	return err
}

// send is the schedule's loop. All calls were answered when it returns.
func (l *load) send(ctx context.Context, began time.Time, signed <-chan *signedCoin, at func(node int) sendFunc) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, maxInFlight)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time // zero: not stopped
	for {
		after, more := l.due.next()
		if !more {
			return nil
		}
		due := began.Add(after)
		timer.Reset(time.Until(due))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				l.giveUp(began, due, last)
				return nil
			case last = <-l.stopped:
			case <-timer.C:
				waiting = false
			}
			if !last.IsZero() && due.After(last) {
				return nil
			}
		}
		coin := l.nextCoin(ctx, signed)
		if ctx.Err() != nil {
			l.giveUp(began, due, last)
			return nil
		}
		if coin == nil {
			return errOutOfCoins
		}
		send := at(coin.owner.node)
		if send == nil {
			l.returned = append(l.returned, coin)
			l.ledger.skip(coin.owner.node, due, errNodeDown)
			continue
		}
		slots <- struct{}{}
		id := l.ledger.submit(submission{
			tx: coin.tx.TxID(), node: coin.owner.node, due: due,
			perVB: float64(coin.rate) / 1000, vsize: coin.tx.VSize(),
		})
		calls.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			l.ledger.send(id)
			_, err := send(ctx, coin.tx)
			l.ledger.answer(id, time.Now(), err)
		})
	}
}

// nextCoin is the next payment to send: one whose node was down the last time only where
// there is none else. Nil where there is none at all, or the context has ended.
func (l *load) nextCoin(ctx context.Context, signed <-chan *signedCoin) *signedCoin {
	select {
	case coin, more := <-signed:
		if more {
			return coin
		}
	case <-ctx.Done():
		return nil
	}
	if len(l.returned) == 0 {
		return nil
	}
	coin := l.returned[0]
	l.returned = l.returned[1:]
	return coin
}

// giveUp notes the payments that were due by now, from this one on, and are not sent any
// more: to leave them out would hide that the sender was late.
func (l *load) giveUp(began, due, last time.Time) {
	now := time.Now()
	if !last.IsZero() && last.Before(now) {
		now = last
	}
	for range l.coins { // no more than could have been paid
		if due.After(now) {
			return
		}
		l.ledger.skip(noNode, due, errNotSent)
		after, more := l.due.next()
		if !more {
			return
		}
		due = began.Add(after)
	}
}

// signAll begins to sign payments ahead of their time, in a goroutine of its own, which
// end stops and waits for: it returns what went wrong. The channel is closed behind the
// last coin.
func (l *load) signAll(ctx context.Context) (signed <-chan *signedCoin, end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan *signedCoin, signAhead)
	var fault error
	var signing sync.WaitGroup
	signing.Go(func() {
		defer close(out)
		for _, c := range l.coins {
			coin, err := l.signOne(ctx, c)
			if err != nil {
				fault = err
				return
			}
			select {
			case out <- coin:
			case <-ctx.Done():
				return
			}
		}
	})
	return out, func() error {
		cancel()
		signing.Wait()
		return fault
	}
}

// signOne signs the payment of one coin, to a wallet that is drawn.
func (l *load) signOne(ctx context.Context, c prepared) (*signedCoin, error) {
	to := l.payers[c.owner]
	if others := len(l.payers) - 1; others > 0 {
		to = l.payers[(c.owner+1+l.draw.IntN(others))%len(l.payers)]
	}
	rate := drawFee(&l.fees, l.draw)
	payment := wallet.Payment{Address: to.address, Amount: c.coin.Value / payShare}
	r, err := l.payers[c.owner].pay(ctx, c.coin, wallet.Tip{Height: l.blocks}, []wallet.Payment{payment}, rate, l.sign)
	if err != nil {
		return nil, err
	}
	return &signedCoin{l.payers[c.owner], r.Tx, rate}, nil
}
