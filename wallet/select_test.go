package wallet

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

// viewOf makes a view of coins by hand.
func viewOf(w *Wallet, tip uint32, coins ...OwnCoin) *View {
	v := &View{Tip: Tip{Height: tip}, Maturity: w.params.Maturity, keys: map[string]key{}}
	for i, c := range coins {
		k, err := w.key(c.Branch, c.Index)
		if err != nil {
			panic(err)
		}
		c.Address, c.output = k.address, k.output
		binary.LittleEndian.PutUint32(c.OutPoint.TxID[:], uint32(i)+1)
		v.keys[k.address] = *k
		v.Coins = append(v.Coins, c)
	}
	return v
}

func confirmed(value int64) OwnCoin { return OwnCoin{Coin: Coin{Value: value, Height: 10}} }

func TestSizesAreExact(t *testing.T) {
	w := mustNew(t, testParams("local"), testWords)
	to := mustAddress(t, w, Receive, 9)
	for _, n := range []int{1, 2, 252, 253, 300} {
		coins := make([]OwnCoin, n)
		for i := range coins {
			coins[i] = confirmed(100_000 + int64(i))
		}
		d, err := w.Select(viewOf(w, 1000, coins...), []Payment{{Address: to}}, Choices{All: true, FeeRate: 1234, Rand: seeded(1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Sign(d.PSBT, fakeRandom(1)); err != nil {
			t.Fatal(err)
		}
		tx, err := d.PSBT.Tx()
		if err != nil {
			t.Fatal(err)
		}
		if tx.Weight() != txWeight(n, 1) || tx.VSize() != d.VSize || d.Fee != FeeRate(1234).Fee(tx.VSize()) {
			t.Errorf("%d inputs: weight %d, said %d; %d vB, said %d; fee %d", n, tx.Weight(), txWeight(n, 1), tx.VSize(), d.VSize, d.Fee)
		}
	}
}

// Bitcoin Core's coinselector_tests, in effective values.
func TestBranchAndBound(t *testing.T) {
	const cent = 1_000_000
	s := &selection{rate: 10_000, outputs: 1, random: seeded(1)}
	for _, tc := range []struct {
		name   string
		pool   []int64
		target int64
		want   []int64
	}{
		{"empty", nil, cent, nil},
		{"one exact", []int64{4 * cent, 3 * cent, 2 * cent, cent}, cent, []int64{cent}},
		{"two", []int64{4 * cent, 3 * cent, 2 * cent, cent}, 2 * cent, []int64{2 * cent}},
		{"three of them", []int64{4 * cent, 3 * cent, 2 * cent, cent}, 10 * cent, []int64{4 * cent, 3 * cent, 2 * cent, cent}},
		{"within the cost of change", []int64{4 * cent, 3*cent - 1}, 3*cent - 100, []int64{3*cent - 1}},
		{"beyond the cost of change", []int64{4 * cent}, 4*cent - s.costOfChange() - 1, nil},
		{"at the cost of change", []int64{4 * cent}, 4*cent - s.costOfChange(), []int64{4 * cent}},
		{"impossible", []int64{4 * cent, 3 * cent, 2 * cent, cent}, 11 * cent, nil},
		{"no even sum of odd", []int64{3 * cent, 3 * cent, 3 * cent, 3 * cent}, 7 * cent, nil},
		{"clones", slices.Repeat([]int64{7 * cent}, 40), 77 * cent, slices.Repeat([]int64{7 * cent}, 11)},
	} {
		var pool []candidate
		for _, v := range tc.pool {
			pool = append(pool, candidate{effective: v})
		}
		var got []int64
		for _, c := range s.branchAndBound(pool, tc.target) {
			got = append(got, c.effective)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The naive twin of branch and bound: all subsets.
func TestBranchAndBoundFindsWhatExists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &selection{rate: FeeRate(rapid.SampledFrom([]int64{1000, 10_000, 50_000}).Draw(t, "rate")), outputs: 1}
		values := rapid.SliceOfN(rapid.Int64Range(1, 40), 0, 10).Draw(t, "values")
		slices.Sort(values)
		slices.Reverse(values)
		target := rapid.Int64Range(1, 200).Draw(t, "target") * 1000
		perInput := s.rate.feeOfWeight(inputWeight) - longTermRate.feeOfWeight(inputWeight)
		pool := make([]candidate, len(values))
		for i, v := range values {
			pool[i] = candidate{effective: v * 1000}
		}
		best, found := int64(0), false
		for set := range 1 << len(pool) {
			sum, waste := int64(0), int64(0)
			for i := range pool {
				if set>>i&1 == 1 {
					sum += pool[i].effective
					waste += perInput
				}
			}
			if waste += sum - target; sum >= target && sum <= target+s.costOfChange() && (!found || waste < best) {
				best, found = waste, true
			}
		}
		picked := s.branchAndBound(pool, target)
		if !found {
			if picked != nil {
				t.Fatalf("found %v where nothing is", picked)
			}
			return
		}
		if picked == nil {
			t.Fatal("did not find what exists")
		}
		waste := perInput*int64(len(picked)) - target
		for _, c := range picked {
			waste += c.effective
		}
		// Below the long-term rate more inputs waste less, and the search, like
		// Core's, stops at the first that reaches the target.
		if perInput >= 0 && waste != best {
			t.Fatalf("waste %d, the least is %d", waste, best)
		}
	})
}

func TestSelectProperties(t *testing.T) {
	p := testParams("local")
	w := mustNew(t, p, testWords)
	other := mustNew(t, p, otherWords)
	addresses := make([]string, 4)
	for i := range addresses {
		addresses[i] = mustAddress(t, other, Receive, uint32(i))
	}
	rapid.Check(t, func(t *rapid.T) {
		const tip = 1000
		coins := make([]OwnCoin, rapid.IntRange(0, 30).Draw(t, "coins"))
		for i := range coins {
			coins[i] = OwnCoin{
				Coin: Coin{
					Value:    rapid.OneOf(rapid.Int64Range(1, 2000), rapid.Int64Range(1, 10*coin)).Draw(t, "value"),
					Height:   rapid.SampledFrom([]uint32{0, 1, tip - 10, tip - 9, tip - 8, tip}).Draw(t, "height"),
					Coinbase: rapid.Bool().Draw(t, "coinbase"),
					Spending: rapid.IntRange(0, 5).Draw(t, "spending") == 0,
				},
				Branch: Branch(rapid.IntRange(0, 1).Draw(t, "branch")),
				Index:  uint32(rapid.IntRange(0, 3).Draw(t, "index")),
			}
			coins[i].Coinbase = coins[i].Coinbase && coins[i].Height > 0
		}
		v := viewOf(w, tip, coins...)
		var payments []Payment
		for range rapid.IntRange(1, 4).Draw(t, "payments") {
			payments = append(payments, Payment{rapid.SampledFrom(addresses).Draw(t, "to"), rapid.Int64Range(Dust, 20*coin).Draw(t, "amount")})
		}
		o := Choices{FeeRate: FeeRate(rapid.Int64Range(1000, 100_000).Draw(t, "rate")), Rand: seeded(rapid.Uint64().Draw(t, "seed"))}
		checkSelection(t, w, v, payments, o)
	})
}

// checkSelection holds Select to its promises.
func checkSelection(t *rapid.T, w *Wallet, v *View, payments []Payment, o Choices) {
	usable := map[consensus.OutPoint]OwnCoin{}
	var have int64
	for _, c := range v.Coins {
		ok := c.Height > 0 && (!c.Coinbase || c.Height <= 1000+1-w.params.Maturity) || c.Height == 0 && c.Branch == Change
		if ok && !c.Spending {
			usable[c.OutPoint] = c
			have += c.Value
		}
	}
	d, err := w.Select(v, payments, o)
	var funds *FundsError
	if errors.As(err, &funds) {
		if funds.Have != have || funds.Need <= have {
			t.Fatalf("refused: need %d, have %d (%d)", funds.Need, funds.Have, have)
		}
		var worth int64
		for _, c := range usable {
			worth += max(0, c.Value-o.FeeRate.feeOfWeight(inputWeight))
		}
		for _, p := range payments {
			worth -= p.Amount
		}
		if worth >= o.FeeRate.feeOfWeight(txWeight(0, len(payments))+3) {
			t.Fatalf("refused although %d is left", worth)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sign(d.PSBT, fakeRandom(1)); err != nil {
		t.Fatal(err)
	}
	tx, err := d.PSBT.Tx() // checks each signature by consensus' rules
	if err != nil {
		t.Fatal(err)
	}
	if err := consensus.CheckTx(w.params, tx); err != nil {
		t.Fatal(err)
	}
	fee := int64(0)
	for i := range tx.Inputs {
		c, ok := usable[tx.Inputs[i].PrevOut]
		if !ok {
			t.Fatalf("input %d spends what it must not", i)
		}
		delete(usable, c.OutPoint)
		fee += c.Value
	}
	for i := range tx.Outputs {
		if fee -= tx.Outputs[i].Value; tx.Outputs[i].Value < Dust {
			t.Fatalf("output %d is dust", i)
		}
	}
	wantOutputs := len(payments)
	if d.Change > 0 {
		wantOutputs++
	}
	exact := o.FeeRate.Fee(tx.VSize())
	s := &selection{rate: o.FeeRate}
	slack := max(s.costOfChange(), s.changeFee()+leastChange()) + 2*int64(o.FeeRate)/1000 + 4
	switch {
	case fee != d.Fee || len(tx.Outputs) != wantOutputs || tx.VSize() != d.VSize:
		t.Fatalf("fee %d, said %d; %d outputs, want %d", fee, d.Fee, len(tx.Outputs), wantOutputs)
	case d.Change > 0 && fee != exact:
		t.Fatalf("with change the fee is %d, not %d", fee, exact)
	case fee < exact || fee > exact+slack:
		t.Fatalf("fee %d, at least %d and at most %d more", fee, exact, slack)
	case tx.LockTime > v.Tip.Height || tx.LockTime+100 < v.Tip.Height || tx.Inputs[0].Sequence != 0xfffffffd:
		t.Fatalf("lock time %d, sequence %#x", tx.LockTime, tx.Inputs[0].Sequence)
	}
}

func TestManySmallCoins(t *testing.T) {
	w := mustNew(t, testParams("local"), testWords)
	to := mustAddress(t, w, Receive, 9)
	coins := make([]OwnCoin, 3000)
	for i := range coins {
		coins[i] = confirmed(1000)
	}
	v := viewOf(w, 1000, coins...)
	o := func() Choices { return Choices{FeeRate: 1000, Rand: seeded(7)} }
	if _, err := w.Select(v, []Payment{{to, 2_500_000}}, o()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more coins than fit: %v", err)
	}
	d, err := w.Select(v, []Payment{{to, 1_000_000}}, o())
	if err != nil {
		t.Fatal(err)
	}
	if w := txWeight(len(d.Coins), 2); w > MaxTxWeight {
		t.Errorf("weight %d", w)
	}
	// A few large coins among the small ones make it possible: the draw lets the
	// small ones go.
	for i := range 3 {
		v.Coins[i*900].Value = 5_000_000
	}
	if d, err = w.Select(v, []Payment{{to, 15_500_000}}, o()); err != nil || txWeight(len(d.Coins), 2) > MaxTxWeight {
		t.Errorf("with large coins: %v", err)
	}
}

func TestConfirmedCoinsFirst(t *testing.T) {
	w := mustNew(t, testParams("local"), testWords)
	change := OwnCoin{Coin: Coin{Value: coin}, Branch: Change}
	v := viewOf(w, 1000, change, confirmed(coin), change, confirmed(coin))
	to := mustAddress(t, w, Receive, 9)
	for seed := range uint64(20) {
		d, err := w.Select(v, []Payment{{to, coin + 1}}, Choices{FeeRate: 1000, Rand: seeded(seed)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Coins {
			if c.Height == 0 {
				t.Fatal("unconfirmed change spent although confirmed coins suffice")
			}
		}
	}
	if _, err := w.Select(v, []Payment{{to, 3 * coin}}, Choices{FeeRate: 1000, Rand: seeded(1)}); err != nil {
		t.Errorf("own change is not used: %v", err)
	}
}

// Coins that miss the fee by one unit do not pay, whatever rounding does.
func TestNoFeeIsShort(t *testing.T) {
	w := mustNew(t, testParams("local"), testWords)
	to := mustAddress(t, w, Receive, 9)
	for n := range 6 {
		for _, rate := range []FeeRate{1000, 1001, 3333, 99_999} {
			const amount = coin
			short := amount + rate.Fee(txVSize(n+1, 1)) - 1
			coins := slices.Repeat([]OwnCoin{confirmed(short / int64(n+1))}, n+1)
			coins[0].Value += short % int64(n+1)
			if d, err := w.Select(viewOf(w, 1000, coins...), []Payment{{to, amount}}, Choices{FeeRate: rate, Rand: seeded(1)}); !errors.Is(err, ErrFunds) {
				t.Errorf("%d coins at %s: %+v, %v", n+1, rate, d, err)
			}
		}
	}
}

func TestChangeOfNoUseIsFee(t *testing.T) {
	w := mustNew(t, testParams("local"), testWords)
	to := mustAddress(t, w, Receive, 9)
	const rate = FeeRate(1000)
	for left, change := range map[int64]int64{100: 0, 250: 0, Dust - 1: 0, Dust: Dust, Dust + 1: Dust + 1} {
		value := coin + rate.Fee(txVSize(1, 2)) + left
		d, err := w.Select(viewOf(w, 1000, confirmed(value)), []Payment{{to, coin}}, Choices{FeeRate: rate, Rand: seeded(1)})
		if err != nil || d.Change != change || d.Fee != value-coin-change {
			t.Errorf("%d left: %+v, %v, want %d of change", left, d, err, change)
		}
	}
}
