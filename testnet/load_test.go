package testnet

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// loadBench is a load whose nodes are functions, in a bubble's time.
type loadBench struct {
	*load
	g     *ledger
	began time.Time

	mu   sync.Mutex
	sent map[consensus.Hash]time.Duration // since began
	down map[int]bool
}

// newLoadBench has coins for so many payments, a second apart. It is made in a bubble.
func newLoadBench(t *testing.T, nodes, coins int) *loadBench {
	s := easySpec(t, nodes, coins, 1)
	s.Payments.Regular = true
	b := &loadBench{began: time.Now(), sent: make(map[consensus.Hash]time.Duration), down: make(map[int]bool)}
	b.g = newLedger(b.began, nodes, s.Prelude)
	b.load = newTestLoad(t, s, b.g)
	if _, err := b.prelude(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// at returns how payments are handed to a node: answer says how it takes them.
func (b *loadBench) at(answer sendFunc) func(int) sendFunc {
	return func(node int) sendFunc {
		if b.down[node] {
			return nil
		}
		return func(ctx context.Context, tx *consensus.Tx) (consensus.Hash, error) {
			b.mu.Lock()
			b.sent[tx.TxID()] = time.Since(b.began)
			b.mu.Unlock()
			return answer(ctx, tx)
		}
	}
}

func take(_ context.Context, tx *consensus.Tx) (consensus.Hash, error) { return tx.TxID(), nil }

func hang(ctx context.Context, _ *consensus.Tx) (consensus.Hash, error) {
	<-ctx.Done()
	return consensus.Hash{}, ctx.Err()
}

// Payments are sent when they are due, each with a coin of its own, by the wallet's node.
func TestLoadFollowsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 3, 40)
		b.stop(b.began.Add(30*time.Second + time.Millisecond))
		if err := b.follow(t.Context(), b.began, b.at(take)); err != nil {
			t.Fatal(err)
		}
		rows := b.g.rows()
		if len(rows) != 30 || len(b.sent) != 30 {
			t.Fatalf("%d payments, %d sent", len(rows), len(b.sent))
		}
		nodes := make(map[int]bool)
		for i, p := range rows {
			due := float64(i + 1)
			if p.ID != i+1 || p.DueS != due || p.SubmittedS != due || p.AnsweredS != due || p.Status != record.Pending {
				t.Errorf("%+v", p)
			}
			if p.FeeRate < 1 || p.FeeRate > 20 || p.VSizeBytes < 140 || p.VSizeBytes > 160 {
				t.Errorf("%g units/vB for %d bytes", p.FeeRate, p.VSizeBytes)
			}
			nodes[p.Node] = true
		}
		if len(nodes) != 3 || nodes[0] || nodes[4] {
			t.Errorf("nodes %v", nodes)
		}
	})
}

// It waits for no answer: while nodes hang, payments are sent on time, and each is
// given up after answerWithin.
func TestLoadIsOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 2, 50)
		b.stop(b.began.Add(40*time.Second + time.Millisecond))
		if err := b.follow(t.Context(), b.began, b.at(hang)); err != nil {
			t.Fatal(err)
		}
		for i, p := range b.g.rows() {
			if p.SubmittedS != float64(i+1) || p.AnsweredS != p.SubmittedS+answerWithin.Seconds() || p.Status != record.Unanswered {
				t.Errorf("%+v", p)
			}
		}
		if len(b.sent) != 40 {
			t.Errorf("%d payments", len(b.sent))
		}
	})
}

// Calls in flight are bounded. What has to wait for one is late, and counts from when
// it was due.
func TestLoadBoundsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 2, maxInFlight+20)
		b.due = newArrivals(&spec.Payments{Rate: 100, Regular: true}, nil)
		b.stop(b.began.Add((maxInFlight + 10) * 10 * time.Millisecond))
		if err := b.follow(t.Context(), b.began, b.at(hang)); err != nil {
			t.Fatal(err)
		}
		rows := b.g.rows()
		if late := rows[maxInFlight]; len(rows) < maxInFlight+9 || late.SubmittedS-late.DueS < 20 || rows[maxInFlight-1].SubmittedS != rows[maxInFlight-1].DueS {
			t.Errorf("%d payments, %+v", len(rows), late)
		}
	})
}

// A node that is down costs its payments an answer, and no coin.
func TestLoadOfNodeThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 2, 26)
		b.down[1] = true
		b.stop(b.began.Add(30*time.Second + time.Millisecond))
		err := b.follow(t.Context(), b.began, func(node int) sendFunc {
			if time.Since(b.began) > 20*time.Second {
				b.down[1] = false
			}
			return b.at(take)(node)
		})
		if err != nil {
			t.Fatal(err)
		}
		unanswered := 0
		for _, p := range b.g.rows() {
			if p.Status != record.Unanswered {
				continue
			}
			if unanswered++; p.Node != 2 || p.TxID != "" || p.Detail != errNodeDown.Error() || p.SubmittedS == p.SubmittedS {
				t.Errorf("%+v", p)
			}
		}
		if unanswered < 5 || len(b.sent) != 30-unanswered || len(b.sent) > 26 {
			t.Errorf("%d unanswered, %d sent with 26 coins", unanswered, len(b.sent))
		}
	})
}

func TestLoadOutOfCoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 1, 5)
		if err := b.follow(t.Context(), b.began, b.at(take)); !errors.Is(err, errOutOfCoins) || len(b.sent) != 5 {
			t.Errorf("%d sent, %v", len(b.sent), err)
		}
	})
}

// A coin that cannot be spent ends the load with the reason.
func TestLoadCannotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 1, 5)
		b.coins[3].coin.Value = 100
		err := b.follow(t.Context(), b.began, b.at(take))
		if err == nil || errors.Is(err, errOutOfCoins) || len(b.sent) != 3 {
			t.Errorf("%d sent, %v", len(b.sent), err)
		}
	})
}

// A load that is interrupted while it is late accounts for every payment that was due.
func TestLateLoadHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 1, 500)
		b.due = newArrivals(&spec.Payments{Rate: 30, Regular: true}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		if err := b.follow(ctx, b.began, b.at(hang)); err != nil {
			t.Fatal(err)
		}
		rows := b.g.rows()
		skipped := slices.IndexFunc(rows, func(p record.Payment) bool { return p.Node == 0 })
		if len(rows) != 300 || skipped < maxInFlight || rows[skipped].Detail != errNotSent.Error() || math.Abs(rows[299].DueS-10) > 1e-6 {
			t.Errorf("%d payments, %d not skipped", len(rows), skipped)
		}
		for _, p := range rows {
			if p.Status != record.Unanswered {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// What the node says is kept.
func TestLoadRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLoadBench(t, 1, 5)
		b.stop(b.began.Add(time.Second))
		refuse := func(context.Context, *consensus.Tx) (consensus.Hash, error) {
			return consensus.Hash{}, &rpc.Error{Code: rpc.CodeVerifyRejected, Message: "mempool full"}
		}
		if err := b.follow(t.Context(), b.began, b.at(refuse)); err != nil {
			t.Fatal(err)
		}
		if rows := b.g.rows(); len(rows) != 1 || rows[0].Status != record.Refused || rows[0].Detail != "mempool full (code -26)" {
			t.Errorf("%+v", rows)
		}
	})
}

// A payment is sent when its call begins, and not when somebody means to make one.
func TestLoadIsLateByWhatKeepsItsCalls(t *testing.T) {
	b := newLoadBench(t, 1, 5)
	b.stop(b.began)
	var freed time.Time
	err := b.follow(t.Context(), b.began.Add(-time.Second), func(int) sendFunc {
		b.g.mu.Lock()
		time.AfterFunc(20*time.Millisecond, func() {
			freed = time.Now()
			b.g.mu.Unlock()
		})
		return take
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows := b.g.rows(); len(rows) != 1 || rows[0].SubmittedS < freed.Sub(b.began).Seconds() {
		t.Errorf("%+v; its call could not begin before %v", rows, freed.Sub(b.began))
	}
}
