package conformance

import (
	"fmt"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// Group E: inputs, amounts, signatures.
var inputCases = slices.Concat(coinCases, signatureCases, witnessCases)

// Cases 90 to 97: which coins there are, and what they hold.
var coinCases = []conformanceCase{
	{number: 90, name: "in-missing", rules: "B13 M9", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		coin := s.Coinbase("a1")
		coin.TxID[31] ^= 1 // nobody made it
		s.refuse(s.spend(coin, 10_000), mempool.ErrMissing, consensus.Policy)
		s.rejectTxs("a3", "b4", consensus.ErrInputsMissingOrSpent, s.spend(coin, 10_000))
		s.acceptTxs("a3", "a4", s.spend(s.Coinbase("a1"), 10_000))
	}},
	{number: 91, name: "in-index-range", rules: "B13 M9", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		pay := s.Pay(chaintest.From(s.Coinbase("a1")), chaintest.To("bob", chaintest.Coins), chaintest.To("bob", chaintest.Coins))
		s.take(pay)
		for _, index := range []uint32{2, 0xffffffff} { // it has outputs 0 and 1
			coin := s.Out(pay, 1)
			coin.Index = index
			s.refuse(s.spend(coin, 10_000), consensus.ErrInputsMissingOrSpent, consensus.Invalid)
			s.rejectTxs("a3", fmt.Sprint("b4 ", index), consensus.ErrInputsMissingOrSpent, pay, s.spend(coin, 10_000))
			coin = s.Coinbase("a2")
			coin.Index = index // 1 is its commitment
			s.rejectTxs("a3", fmt.Sprint("c4 ", index), consensus.ErrInputsMissingOrSpent, s.spend(coin, 10_000))
		}
		s.acceptTxs("a3", "a4", pay, s.spend(s.Out(pay, 1), 10_000))
	}},
	{number: 92, name: "in-spent-chain", rules: "B13 M9", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		coin := s.Coinbase("a1")
		s.acceptTxs("a3", "a4", s.spend(coin, 10_000))
		s.refuse(s.spend(coin, 20_000), mempool.ErrMissing, consensus.Policy)
		s.rejectTxs("a4", "b5", consensus.ErrInputsMissingOrSpent, s.spend(coin, 20_000))
		s.rejectTxs("a4", "c5", consensus.ErrInputsMissingOrSpent, s.spend(coin, 10_000)) // the same again
		s.Grow("a4 - a5")
		s.accept("a5")
		s.rejectTxs("a5", "b6", consensus.ErrInputsMissingOrSpent, s.spend(coin, 20_000))
	}},
	{number: 93, name: "in-spent-block", rules: "B13", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		coin := s.Coinbase("a1")
		first, second := s.spend(coin, 10_000), s.spend(coin, 20_000)
		s.rejectTxs("a3", "b4", consensus.ErrInputsMissingOrSpent, first, second)
		made := s.Out(first, 0) // and of a coin that the block makes
		s.rejectTxs("a3", "c4", consensus.ErrInputsMissingOrSpent, first, s.spend(made, 10_000), s.spend(made, 20_000))
		s.acceptTxs("a3", "a4", first, s.spend(made, 10_000))
	}},
	{number: 94, name: "in-from-reorged", rules: "B13", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		pay := s.spend(s.Coinbase("a1"), 10_000)
		s.acceptTxs("a3", "a4", pay)
		s.Grow(`
			a3 - a4
			a3 - b4 - b5
		`)
		s.accept("b5")
		child, reward := s.spend(s.Out(pay, 0), 10_000), s.spend(s.Coinbase("a4"), 10_000)
		s.rejectTxs("b5", "c6", consensus.ErrInputsMissingOrSpent, child)
		s.rejectTxs("b5", "d6", consensus.ErrInputsMissingOrSpent, reward)
		s.acceptTxs("b5", "b6", pay, child)
	}},
	{number: 95, name: "in-from-failed-block", rules: "B13", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		pay, other := s.spend(s.Coinbase("a1"), 10_000), s.spend(s.Coinbase("a2"), 10_000)
		s.Mine("a3", "b4", chaintest.Txs(pay), chaintest.Claim(1))
		s.reject("b4", consensus.ErrCoinbaseAmount)
		forged := s.resigned(other, func(sig []byte) { sig[0] ^= 1 })
		s.rejectTxs("a3", "c4", consensus.ErrSig, forged) // it fails last, when its coins are known
		s.rejectTxs("a3", "d4", consensus.ErrInputsMissingOrSpent, s.spend(s.Out(pay, 0), 10_000))
		s.rejectTxs("a3", "e4", consensus.ErrInputsMissingOrSpent, s.spend(s.Out(forged, 0), 10_000))
		s.Grow("a3 - a4 - a5 - a6")
		s.accept("a6")
		s.rejectTxs("a6", "b7", consensus.ErrInputsMissingOrSpent, s.spend(s.Coinbase("b4"), 10_000))
		s.acceptTxs("a6", "a7", pay, s.spend(s.Out(pay, 0), 10_000), other)
	}},
	{number: 96, name: "in-belowout", rules: "T12", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		more, all := s.spend(s.Coinbase("a1"), -1), s.spend(s.Coinbase("a1"), 0)
		s.refuse(more, consensus.ErrInBelowOut, consensus.Invalid)
		s.Mine("a3", "b4", chaintest.Txs(more), chaintest.Claim(-1)) // the coinbase makes up for it
		s.reject("b4", consensus.ErrInBelowOut)
		rich := s.spend(s.Coinbase("a2"), 10_000) // or another one's fee
		s.Mine("a3", "c4", chaintest.Txs(rich, more), chaintest.Claim(-1))
		s.reject("c4", consensus.ErrInBelowOut)
		s.acceptTxs("a3", "a4", all)
	}},
	{number: 97, name: "in-value-range", rules: "T11", run: func(s *stage) {
		s.inValueRange(consensus.ErrInputSumTooLarge, consensus.MaxMoney, 1)
		s.inValueRange(consensus.ErrInputSumTooLarge, consensus.MaxMoney+1)
		s.inValueRange(consensus.ErrInputSumTooLarge, 2, -1)
		s.inValueRange(consensus.ErrInputSumTooLarge, 1, math.MaxInt64, math.MaxInt64, 3) // wraps to 2
		s.inValueRange("", consensus.MaxMoney-1, 1)
		s.inValueRange("", consensus.MaxMoney)
	}, door: "consensus.SpendTx and ApplyBlock: real coins hold less than that together"},
}

// inValueRange wants this code for a transaction, and for a block with it, that
// spends coins of these values to one unit. The coins are invented.
func (s *stage) inValueRange(code consensus.Code, values ...int64) {
	s.t.Helper()
	var from []chaintest.Coin
	var coins []consensus.Coin
	set := make(map[consensus.OutPoint]consensus.Coin)
	for i, value := range values {
		op := consensus.OutPoint{TxID: consensus.Hash{1}, Index: uint32(i)}
		coin := consensus.Coin{Value: value, Key: s.Key("alice"), Height: 1}
		from, coins, set[op] = append(from, chaintest.Coin{OutPoint: op, Coin: coin}), append(coins, coin), coin
	}
	tx := s.Pay(from, chaintest.To("bob", 1))
	_, err := consensus.SpendTx(s.Params, s.Index(chaintest.Genesis), tx, coins)
	s.wantErr("SpendTx", err, code, consensus.Invalid)
	block := s.Mine(chaintest.Genesis, fmt.Sprint("coins of ", values), chaintest.Txs(tx))
	_, err = consensus.ApplyBlock(s.Params, s.Index(chaintest.Genesis), block, set)
	s.wantErr("ApplyBlock", err, code, consensus.Invalid)
}
