package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/wallet"
)

// The payments of the soak, which is to keep less of each than a testnet does. Each
// spends one prepared coin, pays less than half of it to wallet B and the rest back: one
// input, two outputs, which is what most payments are.
const (
	coinsPerFan   = 800              // outputs of one preparing transaction: what a wallet makes at most
	preparedValue = int64(1_000_000) // units
	paymentValue  = preparedValue * 2 / 5

	// signAhead is how many payments wait signed for their turn.
	signAhead = 256
	// maxInFlight bounds the calls that wait for an answer. A payment that has to
	// wait for its call is late, and is counted from when it was due.
	maxInFlight = 64
)

// purse is prepared coins of one wallet, all on its first address. As a
// wallet.Chain it shows the wallet one coin at a time and keeps what it signs.
type purse struct {
	wallet *wallet.Wallet
	from   *consensus.Tx // that made the coins
	coins  []wallet.Coin
	tip    wallet.Tip

	coin   wallet.Coin // that the next payment spends
	signed *consensus.Tx
}

var _ wallet.Chain = (*purse)(nil)

// fanOut splits rewards of wallet A into coins for so many purses.
func fanOut(ctx context.Context, p *plan, client *rpc.Client, purses int) ([]*purse, error) {
	chain := walletChain{client, p.params}
	list := make([]*purse, purses)
	for i := range list {
		words, err := wallet.NewWords(rand.Reader, 12)
		if err != nil {
			return nil, err
		}
		owner, err := newDevWallet(p.params, words)
		if err != nil {
			return nil, err
		}
		payments := slices.Repeat([]wallet.Payment{{Address: owner.address, Amount: preparedValue}}, coinsPerFan)
		receipt, err := p.wallets[0].wallet.Pay(ctx, chain, payments, payChoices())
		if err != nil {
			return nil, fmt.Errorf("preparing coins: %w", err)
		}
		tip, err := chain.Tip(ctx)
		if err != nil {
			return nil, err
		}
		list[i] = newPurse(owner, receipt.Tx, tip)
	}
	return list, nil
}

// newPurse takes the coins that a transaction made for a wallet: its outputs of
// preparedValue, the change being another.
func newPurse(owner devWallet, from *consensus.Tx, tip wallet.Tip) *purse {
	p := &purse{wallet: owner.wallet, from: from, tip: tip}
	txid := from.TxID()
	for i, out := range from.Outputs {
		if out.Value == preparedValue {
			p.coins = append(p.coins, wallet.Coin{
				OutPoint: consensus.OutPoint{TxID: txid, Index: uint32(i)}, Address: owner.address, Value: out.Value, Height: tip.Height,
			})
		}
	}
	return p
}

// sign makes the payment that spends a coin.
func (p *purse) sign(ctx context.Context, coin wallet.Coin, to string, rate wallet.FeeRate) (*consensus.Tx, error) {
	p.coin = coin
	choices := payChoices()
	choices.FeeRate = rate
	if _, err := p.wallet.Pay(ctx, p, []wallet.Payment{{Address: to, Amount: paymentValue}}, choices); err != nil {
		return nil, fmt.Errorf("signing a payment: %w", err)
	}
	return p.signed, nil
}

// Tip implements wallet.Chain.
func (p *purse) Tip(context.Context) (wallet.Tip, error) { return p.tip, nil }

// Coins implements wallet.Chain: the one coin, if its address is asked for.
func (p *purse) Coins(_ context.Context, addresses []string) ([]wallet.Coin, error) {
	if slices.Contains(addresses, p.coin.Address) {
		return []wallet.Coin{p.coin}, nil
	}
	return nil, nil
}

// History implements wallet.Chain: the one coin came in.
func (p *purse) History(_ context.Context, addresses []string) ([]wallet.Movement, error) {
	if slices.Contains(addresses, p.coin.Address) {
		return []wallet.Movement{{Address: p.coin.Address, TxID: p.coin.OutPoint.TxID, Value: p.coin.Value, Height: p.coin.Height}}, nil
	}
	return nil, nil
}

// Details implements wallet.Chain. Payments do not ask for any.
func (p *purse) Details(context.Context, []consensus.Hash) ([]wallet.Details, error) {
	return nil, errors.New("a purse knows no details of transactions")
}

// FeeRate implements wallet.Chain.
func (p *purse) FeeRate(context.Context) (wallet.FeeRate, error) { return wallet.MinFeeRate, nil }

// Send implements wallet.Chain: it keeps the transaction for its turn.
func (p *purse) Send(_ context.Context, tx *consensus.Tx) error {
	p.signed = tx
	return nil
}

// outcome is one payment of the schedule, once its node has answered.
type outcome struct {
	txid string
	node int       // that it was sent to, counted from 0
	due  time.Time // by the schedule
	sent time.Time // the call began; zero: never
	err  error     // the node did not take it
}

// load is payments on their way: an open loop, which waits for no answer before
// it sends the next one. It ends after stopAfter, when the coins run out, or
// with its context.
type load struct {
	done     chan outcome // has room for all of them
	finished chan struct{}
	stop     chan struct{}
	last     time.Time // no payment that is due later; to be read once stop is closed
	fault    error     // why it ended early; to be read once finished is closed
}

var errNotSent = errors.New("not sent before the end")

var errOutOfCoins = errors.New("the prepared coins ran out")

// startLoad begins the schedule now. Payments go to the nodes in turn.
func startLoad(ctx context.Context, p *plan, f *fleet, purses []*purse, schedule *poisson) *load {
	coins := 0
	for _, purse := range purses {
		coins += len(purse.coins)
	}
	l := &load{done: make(chan outcome, coins), finished: make(chan struct{}), stop: make(chan struct{})}
	signed := make(chan *consensus.Tx, signAhead)
	signing, cancel := context.WithCancel(ctx)
	supply := make(chan error, 1)
	go func() {
		supply <- signAll(signing, purses, p.wallets[1].address, signed)
		close(signed)
	}()
	go func() {
		defer close(l.finished)
		dry := l.send(ctx, f, schedule, signed)
		cancel()
		if err := <-supply; dry && ctx.Err() == nil {
			l.fault = cmp.Or(err, errOutOfCoins)
		}
	}()
	return l
}

// signAll signs payments ahead of their time until the context or the coins end.
func signAll(ctx context.Context, purses []*purse, to string, signed chan<- *consensus.Tx) error {
	for _, p := range purses {
		for _, coin := range p.coins {
			tx, err := p.sign(ctx, coin, to, wallet.MinFeeRate)
			if err != nil {
				return err
			}
			select {
			case signed <- tx:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// send follows the schedule and returns when all calls were answered.
func (l *load) send(ctx context.Context, f *fleet, schedule *poisson, signed <-chan *consensus.Tx) (dry bool) {
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, maxInFlight)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		due := start.Add(schedule.next())
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.stop:
			if due.After(l.last) {
				return false
			}
		}
		tx, more := <-signed
		if ctx.Err() != nil {
			l.giveUp(start, due, schedule, cap(l.done)-i)
			return false
		}
		if !more {
			return true
		}
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			o := outcome{txid: tx.TxID().String(), node: i % len(f.nodes), due: due, sent: time.Now()}
			_, o.err = f.nodes[o.node].client.Send(ctx, tx)
			l.done <- o
		})
	}
}

// giveUp notes the payments that were due, from this one on, and are not sent any
// more: to leave them out would hide that the sender was late. There is room for
// so many.
func (l *load) giveUp(start, due time.Time, schedule *poisson, room int) {
	last := time.Now()
	select {
	case <-l.stop:
		last = l.last
	default:
	}
	for ; room > 0 && !due.After(last); room-- {
		l.done <- outcome{due: due, err: errNotSent}
		due = start.Add(schedule.next())
	}
}

// outcomes are the payments that were answered; nil, which blocks, of no load.
func (l *load) outcomes() <-chan outcome {
	if l == nil {
		return nil
	}
	return l.done
}

// stopAfter ends the schedule: what was due by then is still sent. It is called
// once.
func (l *load) stopAfter(last time.Time) {
	l.last = last
	close(l.stop)
}

// ended reports whether every payment was answered and taken in.
func (l *load) ended() bool {
	select {
	case <-l.finished:
		return len(l.done) == 0
	default:
		return false
	}
}

// wait waits until nothing is on its way, which takes the end of the context or
// stopAfter, and returns why the schedule was not followed, if it was not.
func (l *load) wait() error {
	<-l.finished
	return l.fault
}
