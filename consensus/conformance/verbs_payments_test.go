package conformance

import (
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// The stage's verbs that make payments, and coins to pay with.

// opening grows "genesis - a1 - a2", where all nodes then stand, and returns a
// payment that the next block may hold: all of a1's coinbase to bob.
func (s *stage) opening() *consensus.Tx {
	s.t.Helper()
	s.Grow("genesis - a1 - a2")
	s.accept("a2")
	return s.pay(s.Coinbase("a1"), nil)
}

// pay is a payment of the whole coin to bob, changed by edit before it is signed.
func (s *stage) pay(coin chaintest.Coin, edit func(*consensus.Tx)) *consensus.Tx {
	s.t.Helper()
	tx := s.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value))
	if edit != nil {
		edit(tx)
	}
	return s.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
}

// payOn is a payment of all that the transaction's first output holds.
func (s *stage) payOn(tx *consensus.Tx, to string) *consensus.Tx {
	s.t.Helper()
	coin := s.Out(tx, 0)
	return s.Pay(chaintest.From(coin), chaintest.To(to, coin.Value))
}

// spend pays a coin on to one output of bob, less a fee.
func (s *stage) spend(coin chaintest.Coin, fee int64) *consensus.Tx {
	s.t.Helper()
	return s.Pay(chaintest.From(coin), chaintest.To("bob", coin.Value-fee))
}

// spendTo pays a coin, all but a fee, to the named key.
func (s *stage) spendTo(coin chaintest.Coin, to string) *consensus.Tx {
	s.t.Helper()
	return s.Pay(chaintest.From(coin), chaintest.To(to, coin.Value-1000))
}

// spread pays a coin, less a fee, to n outputs of alice in equal parts.
func (s *stage) spread(coin chaintest.Coin, n int) *consensus.Tx {
	s.t.Helper()
	each := (coin.Value - 100_000) / int64(n)
	return s.Pay(chaintest.From(coin), slices.Repeat([]chaintest.Output{chaintest.To("alice", each)}, n)...)
}

// outs are all coins that a transaction makes, of which every output pays to the
// same key as much.
func (s *stage) outs(tx *consensus.Tx) []chaintest.Coin {
	s.t.Helper()
	coins := slices.Repeat(chaintest.From(s.Out(tx, 0)), len(tx.Outputs))
	for i := range coins {
		coins[i].Index = uint32(i)
	}
	return coins
}

// split spreads a coin on the named block, in a new one that all nodes accept.
func (s *stage) split(on, name string, coin chaintest.Coin, n int) []chaintest.Coin {
	s.t.Helper()
	tx := s.spread(coin, n)
	s.acceptTxs(on, name, tx)
	return s.outs(tx)
}

// fan grows "genesis - a1 - a2 - a3", where all nodes then stand, and returns n
// equal coins that a3 pays to bob.
func (s *stage) fan(n int) []chaintest.Coin {
	s.t.Helper()
	s.opening()
	coin := s.Coinbase("a1")
	shares := make([]chaintest.Output, n)
	for i := range shares {
		shares[i] = chaintest.To("bob", coin.Value/int64(n))
	}
	tx := s.Pay(chaintest.From(coin), shares...)
	s.Mine("a2", "a3", chaintest.Txs(tx))
	s.accept("a3")
	coins := make([]chaintest.Coin, n)
	for i := range coins {
		coins[i] = s.Out(tx, uint32(i))
	}
	return coins
}

// sized is a transaction of so many bytes without witness, from 62 to 137, that
// leaves the whole coin to the miner.
func (s *stage) sized(bytes int, coin chaintest.Coin) *consensus.Tx {
	s.t.Helper()
	tx := s.Pay(chaintest.From(coin), chaintest.Data(make([]byte, bytes-62)))
	if got := tx.StrippedSize(); got != bytes {
		s.t.Fatalf("%d bytes without witness, not %d", got, bytes)
	}
	return tx
}

// witnessWeight is what the witnesses of a block with one payment weigh: of the
// coinbase 2 + 1 + 1 + 32 units, of the payment 2 + 1 + 1 + 64.
const witnessWeight = 104

// weighing gives the coinbase OP_RETURN outputs until the block has this weight.
func (s *stage) weighing(weight int) chaintest.Option {
	return chaintest.Seal(func(b *consensus.Block) {
		s.t.Helper()
		b.Txs[0].Outputs = append(b.Txs[0].Outputs, filling((weight-b.Weight())/consensus.WitnessScale)...)
		reroot(b)
		if got := b.Weight(); got != weight {
			s.t.Fatalf("the block weighs %d units, not %d", got, weight)
		}
	})
}

// filling is so many bytes of OP_RETURN outputs, each of 11 to 86 bytes.
func filling(bytes int) []consensus.TxOut {
	var outs []consensus.TxOut
	for bytes > 0 {
		n := min(bytes, 86)
		if rest := bytes - n; rest > 0 && rest < 11 {
			n -= 11
		}
		outs = append(outs, consensus.TxOut{Script: append([]byte{0x6a, byte(n - 11)}, make([]byte, n-11)...)})
		bytes -= n
	}
	return outs
}
