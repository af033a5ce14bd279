package wallet

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

const coin = consensus.UnitsPerCoin

func choices(seed uint64, rate FeeRate) Choices {
	return Choices{FeeRate: rate, Rand: seeded(seed), Aux: fakeRandom(seed)}
}

func TestPayWalk(t *testing.T) {
	p := testParams("local")
	c := newFakeChain(p)
	alice, bob := mustNew(t, p, testWords), mustNew(t, p, otherWords)
	c.reward(mustAddress(t, alice, Receive, 0), 50*coin, 900)
	c.reward(mustAddress(t, alice, Receive, 1), 50*coin, c.tip-2) // immature

	if got, want := mustSync(t, alice, c).Balance(), (Balance{Confirmed: 50 * coin, Immature: 50 * coin}); got != want {
		t.Fatalf("balance %+v, want %+v", got, want)
	}
	to := mustAddress(t, bob, Receive, 0)
	r, err := alice.Pay(t.Context(), c, []Payment{{to, 7 * coin}}, choices(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if r.VSize != r.Tx.VSize() || r.Fee != c.rate.Fee(r.VSize) || r.Change != 43*coin-r.Fee || r.FeeRate != c.rate {
		t.Errorf("receipt %+v for %d vB", r, r.Tx.VSize())
	}
	if got, want := mustSync(t, alice, c).Balance(), (Balance{Pending: r.Change, Immature: 50 * coin}); got != want {
		t.Errorf("balance after sending %+v, want %+v", got, want)
	}
	// The change is spendable before it confirms; what others sent is not.
	if _, err := alice.Pay(t.Context(), c, []Payment{{to, coin}}, choices(2, PerVB(1))); err != nil {
		t.Fatal(err)
	}
	if alice.Next(Change) != 2 {
		t.Errorf("next change index %d", alice.Next(Change))
	}
	var funds *FundsError
	_, err = bob.Pay(t.Context(), c, []Payment{{mustAddress(t, alice, Receive, 5), coin}}, choices(3, 0))
	if !errors.As(err, &funds) || !errors.Is(err, ErrFunds) || funds.Pending != 8*coin || funds.Have != 0 {
		t.Errorf("spending an unconfirmed payment of others: %v", err)
	}
	c.confirm()
	if got := mustSync(t, bob, c).Balance(); got != (Balance{Confirmed: 8 * coin}) {
		t.Errorf("bob has %+v", got)
	}
	r, err = bob.Pay(t.Context(), c, []Payment{{Address: mustAddress(t, alice, Receive, 5)}}, Choices{All: true, Rand: seeded(4), Aux: fakeRandom(4)})
	if err != nil || len(r.Tx.Outputs) != 1 || r.Tx.Outputs[0].Value != 8*coin-r.Fee || r.Fee != c.rate.Fee(r.Tx.VSize()) {
		t.Fatalf("sending everything: %+v, %v", r, err)
	}
	if got := mustSync(t, bob, c).Balance(); got != (Balance{}) {
		t.Errorf("bob still has %+v", got)
	}
}

func TestPayRefusals(t *testing.T) {
	p := testParams("local")
	c := newFakeChain(p)
	w := mustNew(t, p, testWords)
	c.gift(mustAddress(t, w, Receive, 0), 10*coin, 900)
	c.reward(mustAddress(t, w, Receive, 1), 50*coin, c.tip)
	to := mustAddress(t, mustNew(t, p, otherWords), Receive, 0)
	foreign := mustAddress(t, mustNew(t, testParams("dev"), otherWords), Receive, 0)
	for _, tc := range []struct {
		name string
		pay  []Payment
		o    Choices
		code Code
		says string
	}{
		{"too much", []Payment{{to, 11 * coin}}, choices(1, 0), ErrFunds, "10 KPK there (50 KPK more are mining rewards still too young)"},
		{"all but no room for the fee", []Payment{{to, 10 * coin}}, choices(1, 0), ErrFunds, "10.0000"},
		{"other network", []Payment{{foreign, coin}}, choices(1, 0), ErrForeign, "begin with kpkl1"},
		{"misspelled", []Payment{{to[:len(to)-1] + "x", coin}}, choices(1, 0), ErrAddress, "copy the whole address"},
		{"dust", []Payment{{to, Dust - 1}}, choices(1, 0), ErrDust, "at least 0.0000033 KPK"},
		{"negative", []Payment{{to, -1}}, choices(1, 0), ErrDust, "too small"},
		{"more than there is", []Payment{{to, consensus.MaxMoney + 1}}, choices(1, 0), ErrAmount, "ever be"},
		{"sum more than there is", []Payment{{to, consensus.MaxMoney}, {to, consensus.MaxMoney}}, choices(1, 0), ErrAmount, "together"},
		{"nothing", nil, choices(1, 0), ErrTooLarge, "1 to 800"},
		{"all with an amount", []Payment{{to, 1}}, Choices{All: true, Rand: seeded(1), Aux: fakeRandom(1)}, ErrAmount, "no amount"},
		{"fee rate too low", []Payment{{to, coin}}, choices(1, 999), ErrFeeRate, "0.999 units/vB"},
		{"fee rate too high", []Payment{{to, coin}}, choices(1, MaxFeeRate+1), ErrFeeRate, "10000 units/vB"},
		{"fee too high", slices.Repeat([]Payment{{to, coin / 10}}, 40), choices(1, MaxFeeRate), ErrFeeTooHigh, "limit of 0.1 KPK"},
	} {
		_, err := w.Pay(t.Context(), c, tc.pay, tc.o)
		if !errors.Is(err, tc.code) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q with %q", tc.name, err, tc.code, tc.says)
		}
	}
}
