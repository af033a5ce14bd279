package testnet

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// winChance is the exact chance that judgeRace leads to a success, by its own verdicts on
// all states of up to so many blocks.
func winChance(c *doubleSpendConfig, q float64, blocks int) (won float64) {
	at := []float64{1} // by blocks of the attacker's, the rest being the others'
	for n := 1; n <= blocks; n++ {
		next := make([]float64, n+1)
		for own := range next {
			var chance float64
			if own > 0 {
				chance = q * at[own-1]
			}
			if own < n {
				chance += (1 - q) * at[own]
			}
			switch honest := n - own; c.judgeRace(own-honest, honest) {
			case raceWon:
				won += chance
			case raceGoesOn:
				next[own] = chance
			}
		}
		at = next
	}
	return won
}

// The verdicts give the chance that package stats has for a branch that must be longer, and
// that may be given up: so what is measured can be held against it.
func TestRaceVerdictsAgainstTheory(t *testing.T) {
	for _, q := range []float64{0.1, 0.3, 0.4} {
		for _, z := range []int{1, 2, 6} {
			for _, behind := range []int{0, 1, 3} {
				c := &doubleSpendConfig{Confirmations: z, GiveUp: behind}
				if got, want := winChance(c, q, 600), stats.DoubleSpendGivingUp(q, z, behind); math.Abs(got-want) > 1e-4*want {
					t.Errorf("q %g, z %d, given up %d behind: %.9f by the verdicts, %.9f by theory", q, z, behind, got, want)
				}
			}
		}
	}
}

// A double spend on two real nodes, case by case. "a" blocks are the others', p6 the one of
// them with the first payment; "s" blocks are the attacker's, s6 with what takes it back.
func TestDoubleSpendOnTwoNodes(t *testing.T) {
	const settle = 300 * time.Millisecond
	for _, test := range []struct {
		name   string
		how    doubleSpendConfig
		coins  int
		early  [4]string   // while the payment settles
		steps  [][4]string // as those of TestSelfishOnTwoNodes
		want   record.Attack
		values map[string]any
	}{
		{name: "a tie is not enough", how: doubleSpendConfig{Confirmations: 1}, coins: 1, steps: [][4]string{
			{"others p6", "p6", "a5", ""},
			{"finds s6", "p6", "s6", "s6"},
			{"finds s7", "s7", "s7", ""},
			{"finds s8", "s8", "s8", ""},
		}, want: record.Attack{Blocks: 3, Own: 3, Tries: 1, Won: 1}},
		{name: "ahead, and the merchant still waits", how: doubleSpendConfig{Confirmations: 2}, coins: 1, steps: [][4]string{
			{"finds s6 s7 s8", "a5", "s8", "s6 s7 s8"},
			{"others p6", "p6", "s8", "s6 s7 s8"},
			{"others p7", "s8", "s8", ""},
			{"others b9", "b9", "b9", ""},
		}, want: record.Attack{Blocks: 4, Own: 3, Tries: 1, Won: 1}},
		{name: "given up", how: doubleSpendConfig{Confirmations: 3, GiveUp: 2}, coins: 1, steps: [][4]string{
			{"others p6", "p6", "a5", ""},
			{"finds s6", "p6", "s6", "s6"},
			{"others p7", "p7", "s6", "s6"},
			{"others p8", "p8", "p8", "s6"},
		}, want: record.Attack{Blocks: 3, Tries: 1, GivenUp: 1}},
		{name: "published, and the others were faster", how: doubleSpendConfig{Confirmations: 1, Tries: 1}, coins: 2, steps: [][4]string{
			{"others p6", "p6", "a5", ""},
			{"finds s6 s7", "s7", "s7", ""},
			{"others p7 p8", "p8", "p8", ""},
		}, want: record.Attack{Blocks: 3, Tries: 1}},
		{name: "too early for a try", how: doubleSpendConfig{Confirmations: 1, GiveUp: 1}, coins: 1,
			early: [4]string{"others p6", "p6", "p6", ""}, want: record.Attack{Blocks: 1}, values: map[string]any{"void_payments": 1}},
		{name: "honest while the payment settles", how: doubleSpendConfig{Confirmations: 1, GiveUp: 1}, coins: 1,
			early: [4]string{"finds e6", "e6", "e6", ""},
			steps: [][4]string{{"others e7", "e7", "e7", ""}},
			want:  record.Attack{Blocks: 2, Own: 1, Tries: 1, GivenUp: 1}, values: map[string]any{"blocks_without_payment": 1}},
		{name: "a public block without the payment", how: doubleSpendConfig{Confirmations: 1, GiveUp: 3}, coins: 1, steps: [][4]string{
			{"finds s6 s7", "a5", "s7", "s6 s7"},
			{"others a6", "a6", "s7", "s6 s7"},
			{"finds s8", "a6", "s8", "s6 s7 s8"},
			{"others q7", "s8", "s8", ""},
			{"others b9", "b9", "b9", ""},
		}, want: record.Attack{Blocks: 4, Own: 3, Tries: 1, Won: 1}, values: map[string]any{"blocks_without_payment": 1}},
		{name: "the payment is undone by the others", how: doubleSpendConfig{Confirmations: 2}, coins: 1, steps: [][4]string{
			{"finds s6 s7 s8", "a5", "s8", "s6 s7 s8"},
			{"others p6", "p6", "s8", "s6 s7 s8"},
			{"others a6 q7", "q7", "s8", "s6 s7 s8"},
		}, want: record.Attack{Blocks: 2}, values: map[string]any{"withheld_blocks": 3}},
		{name: "the end comes first", how: doubleSpendConfig{Confirmations: 2}, coins: 1, steps: [][4]string{
			{"others p6", "p6", "a5", ""},
			{"finds s6", "p6", "s6", "s6"},
		}, want: record.Attack{Blocks: 1}, values: map[string]any{"withheld_blocks": 1}},
		{name: "the end comes when all is published", how: doubleSpendConfig{Confirmations: 1}, coins: 1, steps: [][4]string{
			{"others a6 q7", "q7", "a5", ""},
			{"finds s6 s7 s8", "s8", "s8", ""},
		}, want: record.Attack{Blocks: 3, Own: 3}, values: map[string]any{"blocks_without_payment": 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLair(t, "genesis - a1..a6", "a5")
				coins := l.coins(test.coins)
				l.c.Mine("a5", "p6", chaintest.Txs(coins[0].Pay))
				l.c.Mine("a6", "q7", chaintest.Txs(coins[0].Pay))
				l.c.Mine("a5", "s6", chaintest.Txs(coins[0].Back))
				l.c.Grow(`
					p6 - p7 - p8
					s6 - s7 - s8 - b9
					a5 - e6 - e7`)
				how := test.how
				how.Settle = func(time.Duration) time.Duration { return settle }
				how.Next = func(context.Context) (*spentTwice, error) {
					if len(coins) == 0 {
						return nil, nil
					}
					next := coins[0]
					coins = coins[1:]
					return next, nil
				}
				d, err := newDoubleSpend(l.cfg, how)
				if err != nil {
					t.Fatal(err)
				}
				l.begin(d.run)
				if test.early[0] != "" {
					l.play(test.early)
				}
				<-time.After(settle + time.Millisecond)
				synctest.Wait()
				for _, step := range test.steps {
					l.play(step)
				}
				want := test.want
				want.Kind, want.Node, want.Share = record.DoubleSpend, 7, 0.3
				want.Confirmations, want.GiveUpBehind = how.Confirmations, how.GiveUp
				got := l.end()
				if want.FromS, want.ToS = got.FromS, got.ToS; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				last := l.events[len(l.events)-1]
				for key, value := range test.values {
					if last.Values[key] != value {
						t.Errorf("the last event has %s %v, want %v", key, last.Values[key], value)
					}
				}
			})
		})
	}
}

// coins are coins of the attacker's, each signed away twice.
func (l *lair) coins(count int) []*spentTwice {
	list := make([]*spentTwice, count)
	for i := range list {
		from := chaintest.From(l.c.Coinbase([]string{"a1", "a2", "a3"}[i]))
		list[i] = &spentTwice{
			Pay:  l.c.Pay(from, chaintest.To("merchant", 49*chaintest.Coins)),
			Back: l.c.Pay(from, chaintest.To("attacker", 48*chaintest.Coins)),
		}
	}
	return list
}

// works makes sure of the transactions that the private node works on.
func (l *lair) works(want ...consensus.Hash) {
	l.t.Helper()
	template, err := l.private.Template(l.t.Context())
	if err != nil || !slices.Equal(template.TxIDs, want) {
		l.t.Fatalf("the private node works on %+v, %v", template, err)
	}
}

// play makes a step of a case, and looks at what came of it.
func (l *lair) play(step [4]string) {
	l.t.Helper()
	names := strings.Fields(step[0])
	r := l.public
	if names[0] == "finds" {
		r = l.private
	}
	l.find(r, names[1:]...)
	synctest.Wait()
	l.standAt(step[0], step[1], step[2], step[3])
}

// One try follows the other while there are coins: the first is given up, the second won.
// The private node works on what takes the payment back, and on no payment.
func TestDoubleSpendTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, "genesis - a1..a5", "a5")
		coins := l.coins(2)
		first, then := coins[0], coins[1]
		second := func(time.Duration) time.Duration { return time.Second }
		d, err := newDoubleSpend(l.cfg, doubleSpendConfig{Confirmations: 1, GiveUp: 1, Settle: second, Next: func(context.Context) (*spentTwice, error) {
			if len(coins) == 0 {
				return nil, nil
			}
			next := coins[0]
			coins = coins[1:]
			return next, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		l.begin(d.run)
		works := l.works
		works() // the payment settles
		<-time.After(time.Second + time.Millisecond)
		synctest.Wait()
		works(first.Back.TxID())
		l.c.Mine("a5", "p6", chaintest.Txs(first.Pay))
		l.play([4]string{"others p6", "p6", "p6", ""})
		works()
		<-time.After(time.Second + time.Millisecond)
		synctest.Wait()
		works(then.Back.TxID())
		l.c.Mine("p6", "s7", chaintest.Txs(then.Back))
		l.c.Mine("p6", "p7", chaintest.Txs(then.Pay))
		l.c.Grow("s7 - s8 - s9")
		l.play([4]string{"finds s7 s8", "p6", "s8", "s7 s8"})
		l.play([4]string{"others p7", "s8", "s8", ""})
		l.play([4]string{"finds s9", "s9", "s9", ""})
		l.attacks.Wait() // no coin is left
		if got := l.end(); got.Tries != 2 || got.Won != 1 || got.GivenUp != 1 || got.Blocks != 4 || got.Own != 3 {
			t.Errorf("got %+v", got)
		}
	})
}

// An attacker whose payments are refused keeps its coins: it waits for another block after
// each, and has enough after some.
func TestDoubleSpendStopsWhenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, "genesis - a1..a9", "a5")
		from := chaintest.From(l.c.Coinbase("a9")) // which is on neither node's chain
		paid := 0
		d, err := newDoubleSpend(l.cfg, doubleSpendConfig{Confirmations: 1, GiveUp: 1, Next: func(context.Context) (*spentTwice, error) {
			paid++
			return &spentTwice{Pay: l.c.Pay(from, chaintest.To("merchant", 49*chaintest.Coins)), Back: l.c.Pay(from, chaintest.To("attacker", 48*chaintest.Coins))}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		l.begin(d.run)
		for want, block := range []string{"a6", "a7"} {
			if paid != want+1 {
				t.Errorf("%d payments were made, expected %d", paid, want+1)
			}
			l.play([4]string{"others " + block, block, block, ""})
		}
		l.attacks.Wait()
		if got := l.end(); paid != maxRefused || got.Tries != 0 {
			t.Errorf("%d payments were made; got %+v", paid, got)
		}
		if last := l.events[len(l.events)-1]; last.Values["void_payments"] != maxRefused || !strings.Contains(last.Text, "3 payments were in a block before their race began, or refused") {
			t.Errorf("the last event is %+v", last)
		}
	})
}

// The race begins when the payment had time to get into every template, counted from when
// it is in every mempool; or from when that takes too long.
func TestDoubleSpendWaitsForMempools(t *testing.T) {
	for _, closed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLair(t, "genesis - a1..a5", "a5")
			coins := l.coins(1)
			coin, everywhere := coins[0], make(chan struct{})
			coin.Everywhere = everywhere
			d, err := newDoubleSpend(l.cfg, doubleSpendConfig{Confirmations: 1, Next: func(context.Context) (*spentTwice, error) { return coin, nil }})
			if err != nil {
				t.Fatal(err)
			}
			passes := func(d time.Duration) {
				<-time.After(d)
				synctest.Wait()
			}
			l.begin(d.run)
			passes(poolTime - time.Millisecond)
			l.works()
			if closed {
				close(everywhere)
			} else {
				passes(time.Millisecond)
			}
			passes(templateTime(0) - time.Millisecond)
			l.works()
			passes(time.Millisecond)
			l.works(coin.Back.TxID())
			l.end()
		})
	}
}

// Where templates take long, the race begins so much later, by the longest of those that
// were tried.
func TestDoubleSpendWaitsForSlowTemplates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, "genesis - a1..a5", "a5")
		coin := l.coins(1)[0]
		var slow time.Duration // that the machine lost by now: in a bubble nothing else takes time
		took := []time.Duration{1, 7, 2, 1, 3}
		readings := 0
		l.cfg.Now = func() time.Time { return time.Now().Add(slow) }
		d, err := newDoubleSpend(l.cfg, doubleSpendConfig{Confirmations: 1, Next: func(context.Context) (*spentTwice, error) { return coin, nil }})
		if err != nil {
			t.Fatal(err)
		}
		coin.Answer = func(error) { // from now on the clock is read for templates alone, before and after each
			d.Now = func() time.Time {
				if readings%2 == 1 && readings/2 < len(took) {
					slow += took[readings/2] * time.Millisecond
				}
				readings++
				return time.Now().Add(slow)
			}
		}
		l.begin(d.run)
		const settles = 400 * 7 * time.Millisecond
		<-time.After(settles - time.Millisecond)
		synctest.Wait()
		l.works()
		<-time.After(time.Millisecond)
		synctest.Wait()
		l.works(coin.Back.TxID())
		if readings != 2*len(took) {
			t.Errorf("the clock was read %d times, expected %d templates", readings, len(took))
		}
		l.end()
	})
}
