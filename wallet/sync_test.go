package wallet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

// Restoring from the words finds every coin as long as no gap is longer than
// the limit.
func TestRestoreFindsEverything(t *testing.T) {
	p := testParams("local")
	rapid.Check(t, func(t *rapid.T) {
		c := newFakeChain(p)
		w, err := New(p, testWords)
		if err != nil {
			t.Fatal(err)
		}
		var want int64
		var last [2]uint32
		for _, b := range []Branch{Receive, Change} {
			for range rapid.IntRange(0, 5).Draw(t, "addresses") {
				last[b] += uint32(rapid.IntRange(1, GapLimit).Draw(t, "step"))
				a, err := w.Address(b, last[b]-1)
				if err != nil {
					t.Fatal(err)
				}
				value := rapid.Int64Range(1, coin).Draw(t, "value")
				c.gift(a, value, uint32(rapid.IntRange(0, 1000).Draw(t, "height")))
				want += value
			}
		}
		restored, err := New(p, testWords)
		if err != nil {
			t.Fatal(err)
		}
		v, err := restored.Sync(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Balance().Total(); got != want || restored.next != last {
			t.Fatalf("found %d of %d; next %v, want %v", got, want, restored.next, last)
		}
	})
}

func TestGapLimit(t *testing.T) {
	p := testParams("local")
	c := newFakeChain(p)
	w := mustNew(t, p, testWords)
	c.gift(mustAddress(t, w, Receive, GapLimit), coin, 1)
	if got := mustSync(t, w, c).Balance().Total(); got != 0 || w.Next(Receive) != 0 {
		t.Errorf("found %d beyond the gap", got)
	}
	c.gift(mustAddress(t, w, Receive, GapLimit-1), coin, 1)
	if got := mustSync(t, w, c).Balance().Total(); got != 2*coin || w.Next(Receive) != GapLimit+1 {
		t.Errorf("found %d, next %d", got, w.Next(Receive))
	}
	// Addresses handed out count as used: the gap begins behind them.
	w = mustNew(t, p, otherWords)
	for range 3 {
		mustTake(t, w)
	}
	c.gift(mustAddress(t, w, Receive, GapLimit+2), coin, 1)
	if got := mustSync(t, w, c).Balance().Total(); got != coin {
		t.Errorf("found %d behind three addresses handed out", got)
	}
}

func TestMaturity(t *testing.T) {
	p := testParams("local") // 10 blocks
	c := newFakeChain(p)
	w := mustNew(t, p, testWords)
	c.reward(mustAddress(t, w, Receive, 0), coin, c.tip-9+1)
	c.reward(mustAddress(t, w, Receive, 0), 2*coin, c.tip-9)
	if got, want := mustSync(t, w, c).Balance(), (Balance{Confirmed: 2 * coin, Immature: coin}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	to := mustAddress(t, w, Receive, 1)
	if _, err := w.Pay(t.Context(), c, []Payment{{to, 2 * coin}}, choices(1, 0)); !errors.Is(err, ErrFunds) {
		t.Errorf("spent an immature reward: %v", err)
	}
	c.confirm()
	if _, err := w.Pay(t.Context(), c, []Payment{{to, 2 * coin}}, choices(1, 0)); err != nil {
		t.Errorf("one block later: %v", err)
	}
}

// A reward that a reorganisation takes away leaves the wallet, and with it the
// payment that spent it, in a block or not; the other coin of that payment is
// there again. Case 133 of the conformance list.
func TestRewardLostInAReorganisation(t *testing.T) {
	p := testParams("local") // rewards mature after 10 blocks
	for _, confirmed := range []bool{false, true} {
		c := newFakeChain(p)
		alice, bob := mustNew(t, p, testWords), mustNew(t, p, otherWords)
		c.reward(mustAddress(t, alice, Receive, 0), 50*coin, 900)
		c.reward(mustAddress(t, alice, Receive, 1), 30*coin, 985)
		if _, err := alice.Pay(t.Context(), c, []Payment{{mustAddress(t, bob, Receive, 0), 60 * coin}}, choices(1, 0)); err != nil {
			t.Fatal(err)
		}
		if confirmed {
			c.confirm()
		}
		if got := mustSync(t, bob, c).Balance().Total(); got != 60*coin {
			t.Fatalf("bob has %d before the reorganisation", got)
		}

		c.reorganise(980)
		c.confirm()
		for _, step := range []struct {
			w         *Wallet
			balance   Balance
			movements int
		}{
			{alice, Balance{Confirmed: 50 * coin}, 1},
			{bob, Balance{}, 0},
		} {
			v := mustSync(t, step.w, c)
			if got := v.Balance(); got != step.balance || len(v.Movements) != step.movements {
				t.Errorf("confirmed %v: balance %+v after %d movements, want %+v after %d", confirmed, got, len(v.Movements), step.balance, step.movements)
			}
		}
		to := []Payment{{mustAddress(t, bob, Receive, 1), 60 * coin}}
		if _, err := alice.Pay(t.Context(), c, to, choices(1, 0)); !errors.Is(err, ErrFunds) {
			t.Errorf("confirmed %v: spent the lost reward: %v", confirmed, err)
		}
		to[0].Amount = 40 * coin
		if _, err := alice.Pay(t.Context(), c, to, choices(1, 0)); err != nil {
			t.Errorf("confirmed %v: the other coin cannot be spent: %v", confirmed, err)
		}
	}
}

func TestSyncWhileBlocksCome(t *testing.T) {
	p := testParams("local")
	c := newFakeChain(p)
	w := mustNew(t, p, testWords)
	c.gift(mustAddress(t, w, Receive, 0), coin, 1)
	c.onTip = func(c *fakeChain, n int) {
		if n == 2 { // between the two looks of the first attempt
			c.confirm()
		}
	}
	if v := mustSync(t, w, c); v.Tip.Height != c.tip || c.tips != 4 {
		t.Errorf("tip %d of %d after %d looks", v.Tip.Height, c.tip, c.tips)
	}
	c.onTip = func(c *fakeChain, n int) { c.confirm() }
	if _, err := w.Sync(t.Context(), c); err == nil || !strings.Contains(err.Error(), "tip moved 5 times") {
		t.Errorf("tip that always moves: %v", err)
	}
}

// lyingChain answers with what a broken node might say.
type lyingChain struct {
	*fakeChain
	history func([]string) []Movement
	coins   []Coin
}

func (c lyingChain) History(ctx context.Context, a []string) ([]Movement, error) {
	if c.history != nil {
		return c.history(a), nil
	}
	return c.fakeChain.History(ctx, a)
}

func (c lyingChain) Coins(ctx context.Context, a []string) ([]Coin, error) { return c.coins, nil }

func TestLyingNode(t *testing.T) {
	p := testParams("local")
	stranger := mustAddress(t, mustNew(t, p, otherWords), Receive, 0)
	w := mustNew(t, p, testWords)
	mine := mustAddress(t, w, Receive, 0)
	used := func([]string) []Movement { return []Movement{{Address: mine, Value: 1}} }
	for name, c := range map[string]lyingChain{
		"history of a stranger": {history: func([]string) []Movement { return []Movement{{Address: stranger}} }},
		"coin of a stranger":    {history: used, coins: []Coin{{Address: stranger, Value: 1}}},
		"same coin twice":       {history: used, coins: []Coin{{Address: mine, Value: 1}, {Address: mine, Value: 1}}},
		"negative value":        {history: used, coins: []Coin{{Address: mine, Value: -1}}},
		"impossible value":      {history: used, coins: []Coin{{Address: mine, Value: consensus.MaxMoney + 1}}},
	} {
		c.fakeChain = newFakeChain(p)
		if v, err := mustNew(t, p, testWords).Sync(t.Context(), c); err == nil {
			t.Errorf("%s: taken: %+v", name, v.Coins)
		}
	}
}

func TestHistory(t *testing.T) {
	p := testParams("local")
	c := newFakeChain(p)
	alice, bob := mustNew(t, p, testWords), mustNew(t, p, otherWords)
	a0, a5, b0 := mustAddress(t, alice, Receive, 0), mustAddress(t, alice, Receive, 5), mustAddress(t, bob, Receive, 0)
	c.reward(a0, 50*coin, 900)
	pay := func(from *Wallet, to string, amount int64) *Receipt {
		t.Helper()
		r, err := from.Pay(t.Context(), c, []Payment{{to, amount}}, choices(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	out := pay(alice, b0, 7*coin)
	c.confirm()
	back := pay(bob, a5, 2*coin)
	c.confirm()
	self := pay(alice, a0, coin)
	entries, err := mustSync(t, alice, c).History(t.Context(), c, 0)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		txid    consensus.Hash
		dir     Direction
		net     int64
		fee     int64
		confirm uint32
		others  []string
	}
	want := []row{
		{self.TxID, Moved, -self.Fee, self.Fee, 0, nil},
		{back.TxID, Received, 2 * coin, back.Fee, 1, []string{b0}},
		{out.TxID, Sent, -7*coin - out.Fee, out.Fee, 2, []string{b0}},
		{c.txs[0].tx.TxID(), Mined, 50 * coin, -1, 103, nil},
	}
	for i, e := range entries {
		got := row{e.TxID, e.Direction, e.Net, e.Fee, e.Confirmations, e.Counterparts}
		if i >= len(want) || got.txid != want[i].txid || got.dir != want[i].dir || got.net != want[i].net || got.fee != want[i].fee ||
			got.confirm != want[i].confirm || !slices.Equal(got.others, want[i].others) {
			t.Errorf("entry %d: %+v, want %+v", i, got, want[i])
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d entries, want %d", len(entries), len(want))
	}
	if entries, err = mustSync(t, alice, c).History(t.Context(), c, 2); err != nil || len(entries) != 2 || entries[0].TxID != self.TxID {
		t.Errorf("the last two: %v, %v", entries, err)
	}
	// What is netted adds up to the balance.
	var sum int64
	v := mustSync(t, alice, c)
	for _, e := range v.entries() {
		sum += e.Net
	}
	if sum != v.Balance().Total() {
		t.Errorf("history adds up to %d, balance is %d", sum, v.Balance().Total())
	}
}

// conflictChain is a node that knows of transactions that a block made impossible.
type conflictChain struct {
	*fakeChain
	lost []Movement
}

func (c conflictChain) History(ctx context.Context, a []string) ([]Movement, error) {
	moved, err := c.fakeChain.History(ctx, a)
	for _, m := range c.lost {
		if slices.Contains(a, m.Address) {
			moved = append(moved, m)
		}
	}
	return moved, err
}

// TestConflictIsShown: a payment that lost a race stands in the history with what it lost
// against, and counts nowhere; the address that its change would have come to is not
// handed out again.
func TestConflictIsShown(t *testing.T) {
	p := testParams("local")
	c := conflictChain{fakeChain: newFakeChain(p)}
	alice, bob := mustNew(t, p, testWords), mustNew(t, p, otherWords)
	a0, b0 := mustAddress(t, alice, Receive, 0), mustAddress(t, bob, Receive, 0)
	c.gift(a0, 50*coin, 900)
	won, err := alice.Pay(t.Context(), c, []Payment{{b0, 7 * coin}}, choices(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	c.confirm()
	lost := consensus.Hash{1}
	c.lost = []Movement{
		{Address: a0, TxID: lost, Value: -50 * coin, Conflict: won.TxID},
		{Address: mustAddress(t, alice, Change, 3), TxID: lost, Value: 40 * coin, Conflict: won.TxID},
		{Address: b0, TxID: lost, Value: 9 * coin, Conflict: won.TxID},
	}
	for _, s := range []struct {
		w             *Wallet
		lost, balance int64
		direction     Direction
		entries       int
	}{
		{alice, -10 * coin, 43*coin - won.Fee, Sent, 3},
		{bob, 9 * coin, 7 * coin, Received, 2},
	} {
		v := mustSync(t, s.w, c)
		entries := v.entries()
		if len(entries) != s.entries || entries[0].TxID != lost || entries[0].Conflict != won.TxID || entries[0].Net != s.lost ||
			entries[0].Direction != s.direction || entries[0].Confirmations != 0 {
			t.Fatalf("%+v", entries)
		}
		var sum int64
		for _, e := range entries {
			if e.Conflict.IsZero() {
				sum += e.Net
			}
		}
		if got := v.Balance(); got.Confirmed != s.balance || got.Total() != s.balance || sum != s.balance {
			t.Errorf("balance %+v, history %d, expected %d", got, sum, s.balance)
		}
	}
	if n := alice.Next(Change); n != 4 {
		t.Errorf("the next change goes to address %d", n)
	}
}
