package conformance

import (
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// maxMoney is all the money that there can be, in units.
const maxMoney = 21_000_000 * 1_0000_0000

// Group D: transactions by themselves. Where a case says rejectTx, they come loose
// and in a block.
var transactionCases = slices.Concat(partCases, outputCases, wholeCases)

// What a transaction is made of, and what it is worth.
var partCases = []conformanceCase{
	{number: 70, name: "tx-no-in", rules: "T1 B7",
		door: "all, without outputs; with outputs consensus.CheckTx, since on the wire no inputs mean a witness",
		run: func(s *stage) {
			s.opening()
			s.rejectTx(&consensus.Tx{Version: 2}, consensus.ErrNoInputs)
			s.checkTx(&consensus.Tx{Version: 2, Outputs: s.Block("a1").Txs[0].Outputs}, consensus.ErrNoInputs)
		}},
	{number: 71, name: "tx-no-out", rules: "T2 B7", run: func(s *stage) {
		s.opening()
		s.rejectTx(s.altered(func(tx *consensus.Tx) { tx.Outputs = nil }), consensus.ErrNoOutputs)
	}},
	{number: 72, name: "tx-oversize", rules: "T3",
		door: "loose; consensus.CheckTx for what is just small enough; a block with it would be bad-blk-length",
		run: func(s *stage) {
			s.network(func(p *consensus.Params) { p.MaxWeight = 4_000 })
			s.opening()
			large, largest := s.filled(1_001), s.filled(1_000)
			s.refuse(large, consensus.ErrTxOversize, consensus.Invalid)
			s.checkTx(large, consensus.ErrTxOversize)
			s.checkTx(largest, "") // whatever the witness adds
			s.reject(s.mineWith(large), consensus.ErrBlockLength)
		}},
	{number: 73, name: "tx-out-negative", rules: "T4 B7", run: func(s *stage) {
		s.opening()
		s.rejectTx(s.worth(-1), consensus.ErrOutputNegative)
		s.rejectTx(s.worth(1_000, -1), consensus.ErrOutputNegative)
		s.rejectTx(s.worth(math.MinInt64), consensus.ErrOutputNegative)
		s.confirm(s.worth(0))
	}},
	{number: 74, name: "tx-out-too-large", rules: "T5 A2 B7", run: func(s *stage) {
		s.opening()
		s.rejectTx(s.worth(maxMoney+1), consensus.ErrOutputTooLarge)
		s.rejectTx(s.worth(1_000, maxMoney+1), consensus.ErrOutputTooLarge)
		s.rejectTx(s.worth(maxMoney), consensus.ErrInBelowOut) // nobody has that much, but it could be
	}},
	{number: 75, name: "tx-out-sum-too-large", rules: "T6 A2 B7", run: func(s *stage) {
		s.opening()
		s.rejectTx(s.worth(maxMoney, 1), consensus.ErrOutputSumTooLarge)
		s.rejectTx(s.worth(1, maxMoney), consensus.ErrOutputSumTooLarge)
		s.rejectTx(s.worth(maxMoney/2, maxMoney/2, 1), consensus.ErrOutputSumTooLarge)
		s.rejectTx(s.worth(maxMoney-1_000, 1_000), consensus.ErrInBelowOut)
	}},
	{number: 76, name: "tx-out-sum-wrap", rules: "T5 B7", run: func(s *stage) { // CVE-2010-5139
		s.opening()
		s.rejectTx(s.worth(math.MaxInt64, math.MaxInt64), consensus.ErrOutputTooLarge)
		s.rejectTx(s.worth(math.MaxInt64, math.MaxInt64, 1_002), consensus.ErrOutputTooLarge)      // wraps to 1,000
		s.rejectTx(s.worth(9223372036854277039, 9223372036854277039), consensus.ErrOutputTooLarge) // Bitcoin's block 74,638
	}},
	{number: 77, name: "tx-in-dup", rules: "T7 B7", run: func(s *stage) { // CVE-2018-17144
		coins := s.fan(12)
		value := coins[0].Value
		s.rejectTx(s.Pay(chaintest.From(coins[0], coins[0]), chaintest.To("bob", 2*value)), consensus.ErrDuplicateInputs)
		many := append(slices.Clone(coins), coins[3])
		s.rejectTx(s.Pay(many, chaintest.To("bob", 13*value)), consensus.ErrDuplicateInputs)
		s.confirm(s.Pay(coins, chaintest.To("bob", 12*value))) // of one transaction all, but each once
	}},
	{number: 78, name: "tx-in-dup-same-block", rules: "T7 B7", run: func(s *stage) {
		pay := s.opening()
		coin := s.Out(pay, 0)
		twice := s.Pay(chaintest.From(coin, coin), chaintest.To("bob", 2*coin.Value))
		s.reject(s.mineWith(pay, twice), consensus.ErrDuplicateInputs)
		s.confirm(pay, s.payOn(pay, "carol"))
	}},
	{number: 79, name: "tx-null-prevout", rules: "T8 F5 B7", run: func(s *stage) {
		s.opening()
		coin, nothing := s.Coinbase("a1"), s.invented(0, 1_000)
		both := func(second consensus.OutPoint) *consensus.Tx {
			nothing.OutPoint = second
			return s.Pay(chaintest.From(coin, nothing), chaintest.To("bob", coin.Value))
		}
		null := consensus.OutPoint{Index: 0xffffffff}
		s.rejectTx(both(null), consensus.ErrNullPrevOut)
		s.rejectTx(s.Pay(chaintest.From(nothing, coin), chaintest.To("bob", coin.Value)), consensus.ErrNullPrevOut)
		// What is null in one half only is an outpoint like any other.
		for _, half := range []consensus.OutPoint{{Index: 0}, {TxID: coin.TxID, Index: 0xffffffff}} {
			s.refuse(both(half), mempool.ErrMissing, consensus.Policy)
			s.reject(s.mineWith(both(half)), consensus.ErrInputsMissingOrSpent)
		}
	}},
	{number: 80, name: "tx-coinbase-mempool", rules: "M2", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a1")
		s.refuse(s.Block("a2").Txs[0], mempool.ErrCoinbase, consensus.Policy)
		s.accept("a2")
	}},
	{number: 81, name: "tx-scriptsig", rules: "S4 B7", run: func(s *stage) {
		s.opening()
		for _, script := range []string{"\x51", "\x00", zeros(520)} {
			s.rejectTx(s.altered(func(tx *consensus.Tx) { tx.Inputs[0].ScriptSig = []byte(script) }), consensus.ErrScriptSig)
		}
		s.confirm(s.altered(nil))
	}},
}

// Transactions that are as they should be, or as a prefix of them is.
var wholeCases = []conformanceCase{
	{number: 87, name: "tx-version-range", rules: "T13", run: func(s *stage) {
		versions := []uint32{0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff}
		coins := s.fan(len(versions))
		var txs []*consensus.Tx
		for i, version := range versions {
			tx := s.pay(coins[i], func(tx *consensus.Tx) {
				tx.Version = version
				tx.Outputs[0].Value -= 1_000
			})
			s.take(tx)
			txs = append(txs, tx)
		}
		s.confirm(txs...)
		// What versions mean (L2) is asked of the unsigned number too.
		for i, tx := range txs {
			next := s.pay(s.Out(tx, 0), nil)
			waiting := s.pay(s.Out(next, 0), func(tx *consensus.Tx) {
				tx.Version = versions[i]
				tx.Inputs[0].Sequence = 1 // a block after next
			})
			if versions[i] < 2 {
				s.confirm(next, waiting)
			} else {
				s.reject(s.mineWith(next, waiting), consensus.ErrNonFinal)
			}
		}
	}},
	{number: 88, name: "tx-size-small", rules: "M4", run: func(s *stage) {
		coins := s.fan(3)
		least, small, enough := s.sized(62, coins[0]), s.sized(63, coins[1]), s.sized(65, coins[2])
		s.refuse(least, mempool.ErrTxSizeSmall, consensus.Policy)
		s.refuse(small, mempool.ErrTxSizeSmall, consensus.Policy)
		s.take(enough) // those of 64 bytes are case 33
		s.confirm(least, small, enough)
	}},
	{number: 89, name: "tx-parse-all-prefixes", rules: "E3 E4", door: "everything that reads loose transactions", run: func(s *stage) {
		coins := s.fan(2)
		for _, tx := range []*consensus.Tx{
			s.Pay(coins, chaintest.To("bob", 1_000), chaintest.Data([]byte("seed")), chaintest.To("carol", 1_000)),
			s.Unsigned(coins, chaintest.To("bob", 1_000)), // without witness
		} {
			w := new(onWire).tx(tx)
			for n := range w.raw {
				s.malformedTx(w.raw[:n], w.cut(n))
			}
			for _, r := range txReaders {
				s.wantErr(r.door, r.tx(w.raw), "", 0)
			}
		}
	}},
}

// altered is a payment of a1's coinbase, changed by edit before it is signed.
func (s *stage) altered(edit func(*consensus.Tx)) *consensus.Tx {
	s.t.Helper()
	return s.pay(s.Coinbase("a1"), edit)
}

// worth is a payment of a1's coinbase with outputs of these values.
func (s *stage) worth(values ...int64) *consensus.Tx {
	s.t.Helper()
	return s.altered(func(tx *consensus.Tx) {
		script := tx.Outputs[0].Script
		tx.Outputs = nil
		for _, value := range values {
			tx.Outputs = append(tx.Outputs, consensus.TxOut{Value: value, Script: script})
		}
	})
}

// filled is a payment of a1's coinbase of so many bytes without witness.
func (s *stage) filled(bytes int) *consensus.Tx {
	s.t.Helper()
	return s.altered(func(tx *consensus.Tx) {
		tx.Outputs = append(tx.Outputs, filling(bytes-tx.StrippedSize())...)
		if got := tx.StrippedSize(); got != bytes {
			s.t.Fatalf("%d bytes without witness, not %d", got, bytes)
		}
	})
}

// checkTx asks consensus.CheckTx.
func (s *stage) checkTx(tx *consensus.Tx, code consensus.Code) {
	s.t.Helper()
	s.wantErr("CheckTx", consensus.CheckTx(s.Params, tx), code, consensus.Invalid)
}
