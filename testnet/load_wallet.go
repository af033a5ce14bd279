package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/wallet"
)

// payer is a wallet that pays, with its first address, which all its coins are on.
type payer struct {
	wallet  *wallet.Wallet
	address string
	node    int // that it hands its payments to

	// The chain that its wallet sees: one coin at a time.
	coin wallet.Coin
	tip  wallet.Tip
}

var _ wallet.Chain = (*payer)(nil)

// newPayer makes a wallet of random words.
func newPayer(p *consensus.Params, random *rand.ChaCha8, node int) (*payer, error) {
	words, err := wallet.NewWords(random, 12)
	if err != nil {
		return nil, err
	}
	w, err := wallet.New(p, words)
	if err != nil {
		return nil, err
	}
	first, err := w.Address(wallet.Receive, 0)
	return &payer{wallet: w, address: first, node: node}, err
}

// pay signs a payment that spends a coin. The receipt's Change is what the wallet has
// left of the coin. Nothing is sent, and no address counts as handed out by it: all that
// a wallet has left of coins goes to one address, as long as nothing has come back from
// there. Otherwise each payment would have to look at the addresses of all before it.
func (p *payer) pay(ctx context.Context, coin wallet.Coin, tip wallet.Tip, payments []wallet.Payment, rate wallet.FeeRate, random *rand.ChaCha8) (*wallet.Receipt, error) {
	p.coin, p.tip = coin, tip
	view, err := p.wallet.Sync(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("looking for a payment's coin: %w", err)
	}
	draft, err := p.wallet.Select(view, payments, wallet.Choices{FeeRate: rate, Rand: rand.New(random)})
	if err != nil {
		return nil, fmt.Errorf("choosing a payment's coin: %w", err)
	}
	if _, err := p.wallet.Sign(draft.PSBT, random); err != nil {
		return nil, fmt.Errorf("signing a payment: %w", err)
	}
	tx, err := draft.PSBT.Tx()
	if err != nil {
		return nil, fmt.Errorf("signing a payment: %w", err)
	}
	return &wallet.Receipt{Draft: *draft, Tx: tx, TxID: tx.TxID()}, nil
}

// Tip implements wallet.Chain.
func (p *payer) Tip(context.Context) (wallet.Tip, error) { return p.tip, nil }

// Coins implements wallet.Chain: the one coin, if its address is asked for.
func (p *payer) Coins(_ context.Context, addresses []string) ([]wallet.Coin, error) {
	if slices.Contains(addresses, p.coin.Address) {
		return []wallet.Coin{p.coin}, nil
	}
	return nil, nil
}

// History implements wallet.Chain: the one coin came in.
func (p *payer) History(_ context.Context, addresses []string) ([]wallet.Movement, error) {
	if slices.Contains(addresses, p.coin.Address) {
		return []wallet.Movement{{Address: p.coin.Address, TxID: p.coin.OutPoint.TxID, Value: p.coin.Value, Height: p.coin.Height, Coinbase: p.coin.Coinbase}}, nil
	}
	return nil, nil
}

// Details implements wallet.Chain. Payments do not ask for any.
func (p *payer) Details(context.Context, []consensus.Hash) ([]wallet.Details, error) {
	return nil, errors.New("a payer knows no details of transactions")
}

// FeeRate implements wallet.Chain. Payments bring their own.
func (p *payer) FeeRate(context.Context) (wallet.FeeRate, error) { return wallet.MinFeeRate, nil }

// Send implements wallet.Chain. The load hands payments in itself.
func (p *payer) Send(context.Context, *consensus.Tx) error {
	return errors.New("a payer sends nothing")
}
