package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Payment is an amount for an address.
type Payment struct {
	Address string
	Amount  int64 // units
}

// maxPayments bounds the payments of one transaction: as many outputs fill a
// third of the largest one.
const maxPayments = 800

// txSequence allows replacement (BIP125) and lock time, and no relative lock.
const txSequence = 0xfffffffd

// Choices are how a payment is to be made.
type Choices struct {
	FeeRate FeeRate // 0: Pay asks the chain; Select refuses
	// All sends everything that can be spent to the one payment, whose amount
	// must be 0; the fee comes out of it.
	All  bool
	Rand *rand.Rand // for the draw of coins and the place of the change; seed it from a cryptographic source
	Aux  io.Reader  // auxiliary randomness of signatures (BIP340), cryptographic; unused by Select
}

// Draft is a payment that is not signed yet.
type Draft struct {
	PSBT     *PSBT
	Coins    []OwnCoin // spent
	Payments []Payment
	Fee      int64   // units
	FeeRate  FeeRate // that was asked for
	VSize    int     // virtual bytes once it is signed
	Change   int64   // units that come back; 0: none
	ChangeTo string  // address of the change, "" where there is none
}

// Receipt is a payment that the node has taken.
type Receipt struct {
	Draft
	Tx   *consensus.Tx
	TxID consensus.Hash
}

// Pay makes a payment: it looks for coins, selects, signs and sends. An error
// after the node took the transaction comes with the receipt.
func (w *Wallet) Pay(ctx context.Context, c Chain, payments []Payment, o Choices) (*Receipt, error) {
	if w.WatchOnly() {
		return nil, w.cannotSign()
	}
	if err := w.checkPayments(payments, o); err != nil {
		return nil, err
	}
	if o.FeeRate == 0 {
		rate, err := c.FeeRate(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the fee rate: %w", err)
		}
		o.FeeRate = min(max(rate, MinFeeRate), MaxFeeRate)
	}
	v, err := w.Sync(ctx, c)
	if err != nil {
		return nil, err
	}
	draft, err := w.Select(v, payments, o)
	if err != nil {
		return nil, err
	}
	if _, err := w.Sign(draft.PSBT, o.Aux); err != nil {
		return nil, err
	}
	tx, err := draft.PSBT.Tx()
	if err != nil {
		return nil, err
	}
	if err := w.Send(ctx, c, tx); err != nil {
		return nil, err
	}
	r := &Receipt{Draft: *draft, Tx: tx, TxID: tx.TxID()}
	if draft.Change > 0 {
		w.next[Change]++
		if err := w.Save(); err != nil {
			return r, fmt.Errorf("payment %s was sent, but the wallet file could not be written: %w", r.TxID, err)
		}
	}
	return r, nil
}

// Send hands a signed transaction to the node.
func (w *Wallet) Send(ctx context.Context, c Chain, tx *consensus.Tx) error {
	if err := c.Send(ctx, tx); err != nil {
		return fmt.Errorf("the node did not take payment %s: %w", tx.TxID(), err)
	}
	return nil
}

// Select chooses coins of a view for payments, and drafts the transaction. It
// uses confirmed coins first and the wallet's own unconfirmed change where they
// do not suffice; never a reward that is too young, nor a coin that a waiting
// transaction spends, nor what others have not confirmed yet.
func (w *Wallet) Select(v *View, payments []Payment, o Choices) (*Draft, error) {
	if err := w.checkPayments(payments, o); err != nil {
		return nil, err
	}
	if err := o.FeeRate.check(); err != nil {
		return nil, err
	}
	if o.Rand == nil {
		return nil, errors.New("coins cannot be drawn without randomness")
	}
	s := &selection{rate: o.FeeRate, outputs: len(payments), random: o.Rand}
	for _, p := range payments {
		s.amount += p.Amount
	}
	d := &Draft{FeeRate: o.FeeRate, Payments: slices.Clone(payments)}
	chosen, err := s.from(v, o.All)
	if err != nil {
		return nil, err
	}
	var in int64
	for i := range chosen.coins {
		in += chosen.coins[i].Value
	}
	d.Coins, d.Change = chosen.coins, chosen.change
	outputs := len(payments)
	if d.Change > 0 {
		outputs++
	}
	d.VSize = txVSize(len(d.Coins), outputs)
	if o.All {
		d.Payments[0].Amount = in - s.rate.Fee(d.VSize)
		if d.Payments[0].Amount < Dust {
			return nil, v.funds(Dust+s.rate.Fee(d.VSize), in)
		}
	}
	d.Fee = in - d.Change
	for _, p := range d.Payments {
		d.Fee -= p.Amount
	}
	if err := checkFee(d.Fee); err != nil {
		return nil, err
	}
	return d, w.draft(v, d, o.Rand)
}

func checkFee(fee int64) error {
	if fee > MaxFee {
		return fault(ErrFeeTooHigh, "the fee would be %s, more than the limit of %s: choose a lower fee rate, or send less at a time", FormatAmount(fee), FormatAmount(MaxFee))
	}
	return nil
}

// checkPayments judges what does not depend on the coins.
func (w *Wallet) checkPayments(payments []Payment, o Choices) error {
	if len(payments) == 0 || len(payments) > maxPayments {
		return fault(ErrTooLarge, "a transaction makes 1 to %d payments, not %d: split them", maxPayments, len(payments))
	}
	if o.All && (len(payments) != 1 || payments[0].Amount != 0) {
		return fault(ErrAmount, "to send everything, name one address and no amount")
	}
	var sum int64
	for _, p := range payments {
		if _, err := w.keyOf(p.Address); err != nil {
			return err
		}
		if o.All {
			return nil
		}
		if p.Amount < Dust {
			return fault(ErrDust, "%s is too small to be sent, because spending it would cost more: send at least %s", FormatAmount(p.Amount), FormatAmount(Dust))
		}
		if p.Amount > consensus.MaxMoney {
			return fault(ErrAmount, "%s is more than there will ever be: send less", FormatAmount(p.Amount))
		}
		if sum += p.Amount; sum > consensus.MaxMoney {
			return fault(ErrAmount, "the payments together are more than there will ever be: send less")
		}
	}
	return nil
}

// keyOf reads an address of the wallet's network.
func (w *Wallet) keyOf(text string) ([consensus.KeySize]byte, error) {
	k, err := address.Decode(w.params.HRP, text)
	switch {
	case errors.Is(err, address.ErrForeign):
		return k, fault(ErrForeign, "%s is an address of another network: addresses of network %s begin with %s1", clip(text), w.params.Name, w.params.HRP)
	case err != nil:
		return k, fault(ErrAddress, "%q is not an address (%v): copy the whole address again", clip(text), err)
	}
	return k, nil
}

// from applies the selection to a view: first to confirmed coins, then to those
// and the wallet's own unconfirmed change.
func (s *selection) from(v *View, all bool) (*choice, error) {
	confirmed, spendable := v.spendable()
	if all {
		return s.everything(v, spendable)
	}
	for _, coins := range [][]OwnCoin{confirmed, spendable} {
		if c := s.choose(coins); c != nil {
			return c, nil
		}
	}
	pool, total := s.pool(spendable)
	if target := s.target(len(pool)); total < target {
		// The need in whole values: the fees of the inputs are in the pool's.
		var have int64
		for _, c := range spendable {
			have += c.Value
		}
		return nil, v.funds(target+have-total, have)
	}
	return nil, fault(ErrTooLarge, "so many small coins are needed that they do not fit into one transaction (%d at most): send in several payments", s.maxInputs())
}

// everything takes all coins that are worth their fee.
func (s *selection) everything(v *View, coins []OwnCoin) (*choice, error) {
	pool, _ := s.pool(coins)
	if len(pool) > s.maxInputs() {
		return nil, fault(ErrTooLarge, "%d coins do not fit into one transaction (%d at most): send in several payments", len(pool), s.maxInputs())
	}
	if len(pool) == 0 {
		return nil, v.funds(Dust+s.rate.Fee(txVSize(1, 1)), 0)
	}
	c := &choice{}
	for i := range pool {
		c.coins = append(c.coins, pool[i].coin)
	}
	return c, nil
}

// spendable returns the coins that may be spent: the confirmed ones, and those
// together with our own unconfirmed change.
func (v *View) spendable() (confirmed, all []OwnCoin) {
	for i := range v.Coins {
		switch c := &v.Coins[i]; {
		case c.Spending || v.Immature(c):
		case c.Height > 0:
			confirmed = append(confirmed, *c)
			all = append(all, *c)
		case c.Branch == Change && !c.Coinbase: // only our own payments know these addresses
			all = append(all, *c)
		}
	}
	return confirmed, all
}

func (v *View) funds(need, have int64) error {
	e := &FundsError{Need: need, Have: have}
	for i := range v.Coins {
		switch c := &v.Coins[i]; {
		case c.Spending:
		case c.Height == 0 && c.Branch != Change:
			e.Pending += c.Value
		case v.Immature(c):
			e.Immature += c.Value
		}
	}
	return e
}

// lockHeight is what a payment's lock time is: the tip, so that it gains nobody
// to mine the tip again with our fee in it; one time in ten a little lower, as
// Core does, so that a payment delayed for its privacy does not stand out.
func lockHeight(tip uint32, r *rand.Rand) uint32 {
	if r.IntN(10) == 0 {
		return tip - min(tip, uint32(r.IntN(100)))
	}
	return tip
}

// draft writes the unsigned transaction, and all that signing needs to know.
func (w *Wallet) draft(v *View, d *Draft, r *rand.Rand) error {
	tx := &consensus.Tx{Version: 2, LockTime: lockHeight(v.Tip.Height, r)}
	r.Shuffle(len(d.Coins), func(i, j int) { d.Coins[i], d.Coins[j] = d.Coins[j], d.Coins[i] })
	for i := range d.Coins {
		tx.Inputs = append(tx.Inputs, consensus.TxIn{PrevOut: d.Coins[i].OutPoint, Sequence: txSequence})
	}
	for _, p := range d.Payments {
		k, err := w.keyOf(p.Address)
		if err != nil {
			return err
		}
		tx.Outputs = append(tx.Outputs, consensus.TxOut{Value: p.Amount, Script: consensus.PayToKey(k)})
	}
	place := -1
	var change *key
	if d.Change > 0 {
		var err error
		if change, err = w.key(Change, w.next[Change]); err != nil {
			return err
		}
		d.ChangeTo = change.address
		place = r.IntN(len(tx.Outputs) + 1)
		tx.Outputs = slices.Insert(tx.Outputs, place, consensus.TxOut{Value: d.Change, Script: consensus.PayToKey(change.output)})
	}
	p, err := w.newPSBT(tx, d.Coins, place, change)
	d.PSBT = p
	return err
}
