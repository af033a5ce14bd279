package conformance

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// takeAll gives loose transactions to all nodes, in order.
func (s *stage) takeAll(txs []*consensus.Tx) {
	s.t.Helper()
	for _, tx := range txs {
		s.take(tx)
	}
}

// chainOf returns n transactions, each of which spends the one before.
func (s *stage) chainOf(coin chaintest.Coin, n int) []*consensus.Tx {
	s.t.Helper()
	var txs []*consensus.Tx
	for range n {
		tx := s.spend(coin, 1_000)
		txs = append(txs, tx)
		coin = s.Out(tx, 0)
	}
	return txs
}

// heavy spends a coin in a transaction of exactly this weight, a multiple of
// four: to as many outputs of alice as fit, and one of data behind them.
func (s *stage) heavy(coin chaintest.Coin, weight int) *consensus.Tx {
	s.t.Helper()
	const output, witness = 43, 2 + 1 + 1 + 64 // bytes
	from := chaintest.From(coin)
	size := (weight - witness) / consensus.WitnessScale
	for n := size / output; n > 0; n-- {
		pay := slices.Repeat([]chaintest.Output{chaintest.To("alice", (coin.Value-int64(weight))/int64(n))}, n)
		spare := size - s.Unsigned(from, append(pay, chaintest.Data([]byte{0}))...).StrippedSize()
		if spare >= 0 {
			return s.Pay(from, append(pay, chaintest.Data(make([]byte, 1+spare)))...)
		}
	}
	s.t.Fatalf("no transaction has the weight %d", weight)
	return nil
}

// tick sets the clock, and lets all nodes do what is due.
func (s *stage) tick(now time.Time) {
	s.t.Helper()
	s.now = now
	for _, n := range s.nodes {
		s.check(n.Tick(now))
	}
}

// ignores hands a transaction to the node as a peer's gossip, which it neither
// takes nor passes on, and for which it does not blame the peer. It returns what
// the node has to say.
func (n *seat) ignores(peer p2p.PeerID, tx *consensus.Tx) []p2p.Outgoing {
	n.s.t.Helper()
	verdict, err := n.Receive(n.s.now, peer, &p2p.Tx{Tx: n.s.copiedTx(tx)}, true)
	n.s.check(err)
	if verdict != p2p.Ignore {
		n.s.t.Errorf("%s: the verdict is %v, want ignore", n.door, verdict)
	}
	if rule := n.dropped(peer, consensus.Invalid); rule != nil {
		n.s.t.Errorf("%s: the sender is blamed: %v", n.door, rule)
	}
	if n.InMempool(tx.TxID()) {
		n.s.t.Errorf("%s: the transaction was taken", n.door)
	}
	return n.Outbox()
}
