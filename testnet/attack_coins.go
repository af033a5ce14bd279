package testnet

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// Payments that are to be taken back.
const (
	// urgentRate is their fee rate, in units per 1000 virtual bytes: the highest that a
	// file's load may have, so that every miner's next block has room for them.
	urgentRate wallet.FeeRate = 1_000_000
	// poolTime is how long a payment may take into every mempool before its race begins all
	// the same: a node that is cut off, or whose mempool is full, may never have it. Gossip
	// takes a second or two.
	poolTime = 30 * time.Second
	// leastMaking is what a template is thought to take at least, though one of an empty
	// mempool takes some 0.1 ms: the machine may do something else meanwhile. 200 times as
	// long are the 250 ms that miners wait in any case.
	leastMaking = 1250 * time.Microsecond
)

// templateTime is how long a payment that is in a mempool may take into the template that
// is mined, where it takes so long to make one: miners look at their mempools each 250 ms,
// or each 200 times as long as their last template has taken (package node). That one may
// have taken twice as long as those that were tried, and as leastMaking in any case.
func templateTime(making time.Duration) time.Duration {
	return 200 * 2 * max(making, leastMaking)
}

// takeCoins signs the payments of a double spend's tries, each coin to somebody else and
// back to its owner. They are taken from the load's coins, so this comes before its run.
func (l *load) takeCoins(ctx context.Context, tries int) ([]*spentTwice, error) {
	var coins []*spentTwice
	for len(coins) < tries && len(l.coins) > 0 {
		last := l.coins[len(l.coins)-1]
		l.coins = l.coins[:len(l.coins)-1]
		owner := l.payers[last.owner]
		merchant := l.payers[(last.owner+1)%len(l.payers)]
		pay, err := l.signTo(ctx, owner, last.coin, merchant.address, last.coin.Value/payShare)
		if err != nil {
			return nil, err
		}
		back, err := l.signTo(ctx, owner, last.coin, owner.address, last.coin.Value/2)
		if err != nil {
			return nil, err
		}
		coins = append(coins, &spentTwice{Pay: pay.Tx, Back: back.Tx})
	}
	return coins, nil
}

func (l *load) signTo(ctx context.Context, owner *payer, coin wallet.Coin, to string, amount int64) (*wallet.Receipt, error) {
	return owner.pay(ctx, coin, wallet.Tip{Height: l.blocks}, []wallet.Payment{{Address: to, Amount: amount}}, urgentRate, l.sign)
}

// signDoubleSpends signs what the attacks of the file spend twice.
func (r *run) signDoubleSpends(ctx context.Context) error {
	r.twice = make(map[*spec.Event][]*spentTwice)
	for i := range r.Spec.Events {
		e := &r.Spec.Events[i]
		if e.Kind != spec.DoubleSpend {
			continue
		}
		coins, err := r.load.takeCoins(ctx, r.Spec.CoinsOf(e))
		if err != nil {
			return err
		}
		r.twice[e] = coins
	}
	return nil
}

// nextTwice hands out the coins of a double spend, one for each try. The ledger follows
// the payments like any other, and the record says whose they are.
func (r *run) nextTwice(e *spec.Event) func(context.Context) (*spentTwice, error) {
	coins := r.twice[e]
	return func(context.Context) (*spentTwice, error) {
		if len(coins) == 0 {
			return nil, nil
		}
		coin := coins[0]
		coins = coins[1:]
		now := time.Now()
		id := r.ledger.submit(submission{
			tx: coin.Pay.TxID(), node: e.Nodes[0], due: now, sent: now, perVB: float64(urgentRate) / 1000, vsize: coin.Pay.VSize(), role: record.DoubleSpend,
		})
		coin.Answer = func(err error) {
			if rule := consensus.AsRuleError(err); rule != nil {
				err = &rpc.Error{Code: rpc.CodeVerifyRejected, Message: rule.Error()} // as the load's calls say it
			}
			r.ledger.answer(id, time.Now(), err)
		}
		r.ledger.conflict(coin.Pay.TxID(), coin.Back.TxID())
		coin.Everywhere = r.ledger.inEveryPool(coin.Pay.TxID())
		return coin, nil
	}
}

// reach is how long something takes from one node to the last one by the network's
// shortest ways, at most.
func reach(s *spec.Spec) time.Duration {
	const never = time.Hour
	n := len(s.Nodes)
	ways := make([][]time.Duration, n)
	for i := range ways {
		ways[i] = make([]time.Duration, n)
		for j := range ways[i] {
			if i != j {
				ways[i][j] = never
			}
		}
	}
	for _, e := range s.Edges {
		for _, way := range [][2]int{{e.From, e.To}, {e.To, e.From}} {
			link := s.Links[way[0]][way[1]]
			ways[way[0]][way[1]] = link.Delay + link.Jitter
		}
	}
	for via := range n { // Floyd and Warshall
		for i := range n {
			for j := range n {
				ways[i][j] = min(ways[i][j], ways[i][via]+ways[via][j])
			}
		}
	}
	far := time.Duration(0)
	for i := range n {
		for j := range n {
			if ways[i][j] < never {
				far = max(far, ways[i][j])
			}
		}
	}
	return far
}
