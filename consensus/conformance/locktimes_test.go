package conformance

import (
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// Group F: lock times. Each lock is tried loose and in a block, before its time
// and at it.
var lockTimeCases = []conformanceCase{
	{number: 114, name: "lock-height", rules: "L1 M6", run: func(s *stage) {
		s.Grow("genesis - a1..a20")
		s.accept("a20")
		now, next := s.locked(s.Coinbase("a1"), 20), s.locked(s.Coinbase("a2"), 21)
		s.tooEarly("b21", next, mempool.ErrNonFinal)
		s.inTime("a21", now)
		s.inTime("a22", next)
	}},
	{number: 115, name: "lock-time-mtp", rules: "L1 M6", run: func(s *stage) {
		s.Grow("genesis - a1..a20")
		s.accept("a20")
		median := s.Block("a15").Header.Time // of a10 to a20; the next block's own is later
		now, next := s.locked(s.Coinbase("a1"), median-1), s.locked(s.Coinbase("a2"), median)
		s.tooEarly("b21", next, mempool.ErrNonFinal)
		s.inTime("a21", now)
		s.inTime("a22", next)
	}},
	{number: 116, name: "lock-threshold", rules: "L1 M6", run: func(s *stage) {
		s.Grow("genesis - a1..a20")
		s.accept("a20")
		s.tooEarly("b21", s.locked(s.Coinbase("a1"), 499_999_999), mempool.ErrNonFinal) // a height
		s.tooEarly("c21", s.locked(s.Coinbase("a1"), 0xffffffff), mempool.ErrNonFinal)  // a time in 2106
		s.inTime("a21", s.locked(s.Coinbase("a1"), 500_000_000))                        // a time in 1985
	}},
	{number: 117, name: "lock-final-seq", rules: "L1 M6", run: func(s *stage) {
		s.Grow("genesis - a1..a20")
		s.accept("a20")
		coins := chaintest.From(s.Coinbase("a1"), s.Coinbase("a2"))
		lock := func(sequences ...uint32) *consensus.Tx {
			tx := s.Unsigned(coins, chaintest.To("bob", chaintest.Coins))
			tx.LockTime = 0xffffffff
			for i := range tx.Inputs {
				tx.Inputs[i].Sequence = sequences[i]
			}
			return s.Sign(tx, coins, consensus.SigHashDefault)
		}
		s.tooEarly("b21", lock(0xffffffff, 0xfffffffe), mempool.ErrNonFinal)
		s.tooEarly("c21", lock(0xfffffffe, 0xffffffff), mempool.ErrNonFinal)
		s.inTime("a21", lock(0xffffffff, 0xffffffff))
	}},
	{number: 118, name: "lock-coinbase", rules: "L1", run: func(s *stage) {
		s.Grow("genesis - a1..a20")
		s.accept("a20")
		lock := func(on, name string, lockTime, sequence uint32) {
			s.Mine(on, name, chaintest.Edit(func(b *consensus.Block) {
				b.Txs[0].LockTime, b.Txs[0].Inputs[0].Sequence = lockTime, sequence
			}))
		}
		median := s.Block("a15").Header.Time
		lock("a20", "b21", 21, 0xfffffffe)
		s.reject("b21", consensus.ErrNonFinal)
		lock("a20", "c21", median, 0)
		s.reject("c21", consensus.ErrNonFinal)
		lock("a20", "a21", 21, 0xffffffff)
		s.accept("a21")
		lock("a21", "a22", 21, 0xfffffffe)
		s.accept("a22")
		lock("a22", "a23", median, 0)
		s.accept("a23")
	}},
	{number: 119, name: "csv-height", rules: "L2 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 6)
		s.Grow("a4 - a5 - a6")
		s.accept("a6")
		three, four := s.sequenced(coins[0], 2, 3), s.sequenced(coins[1], 2, 4)
		s.tooEarly("b7", four, consensus.ErrNonBIP68Final)
		s.inTime("a7", three)
		s.inTime("a8", four)
		s.tooEarly("b9", s.sequenced(coins[2], 2, 65535), consensus.ErrNonBIP68Final)
		pay := s.spend(coins[3], 10_000)
		s.acceptTxs("a8", "a9", pay, s.sequenced(s.Out(pay, 0), 2, 0)) // nothing to wait for
		// A second input may wait where the first does not.
		second := func(blocks uint32) *consensus.Tx {
			from := chaintest.From(s.Coinbase("a2"), coins[5])
			tx := s.Unsigned(from, chaintest.To("bob", chaintest.Coins))
			tx.Inputs[1].Sequence = blocks
			return s.Sign(tx, from, consensus.SigHashDefault)
		}
		s.tooEarly("b10", second(7), consensus.ErrNonBIP68Final)
		s.inTime("a10", second(6))
		// So many blocks are a matter of the function that is asked.
		coin := coins[4].Coin
		coin.Height = 4
		tx := s.sequenced(coins[4], 2, 65535)
		for _, parent := range []struct {
			height uint32
			code   consensus.Code
		}{{4 + 65535 - 2, consensus.ErrNonBIP68Final}, {4 + 65535 - 1, ""}} {
			_, err := consensus.SpendTx(s.Params, &consensus.BlockIndex{Height: parent.height}, tx, []consensus.Coin{coin})
			s.wantErr("SpendTx", err, parent.code, consensus.Policy)
		}
	}, door: "all; that 65,535 blocks have passed: consensus.SpendTx"},
	{number: 120, name: "csv-time", rules: "L2 M10", run: func(s *stage) {
		s.network(func(p *consensus.Params) { p.Spacing = 512 })
		s.Grow("genesis - a1..a11")
		coins := s.split("a11", "a12", s.Coinbase("a1"), 4)
		begin := s.Block("a6").Header.Time // the median of a1 to a11, behind which the coins stand
		s.Grow("a12 - a13 - a14 - a15")
		s.Mine("a15", "a16", chaintest.At(begin+10*512-1)) // the median of a11 to a21
		s.Grow("a16 - a17..a21")
		s.accept("a21")
		nine, ten := s.sequenced(coins[0], 2, csvTime|9), s.sequenced(coins[1], 2, csvTime|10)
		s.tooEarly("b22", ten, consensus.ErrNonBIP68Final) // by a second
		s.inTime("a22", nine)
		s.inTime("a23", ten)
		most := s.sequenced(coins[2], 2, csvTime|65535)
		s.tooEarly("b24", most, consensus.ErrNonBIP68Final)
		s.now = s.now.Add(65535 * 512 * time.Second)
		s.Mine("a23", "a24", chaintest.At(begin+65535*512-1)) // the median of a19 to a29
		s.Mine("a24", "a25", chaintest.At(begin+65535*512))   // and that of a20 to a30
		s.Grow("a25 - a26..a29")
		s.accept("a29")
		s.tooEarly("b30", most, consensus.ErrNonBIP68Final) // by a second
		s.Grow("a29 - a30")
		s.accept("a30")
		s.inTime("a31", most) // to the second
		pay := s.spend(coins[3], 10_000)
		s.acceptTxs("a31", "a32", pay, s.sequenced(s.Out(pay, 0), 2, csvTime)) // nothing to wait for
	}},
	{number: 121, name: "csv-disable-bit", rules: "L2 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 4)
		s.tooEarly("b5", s.sequenced(coins[0], 2, 65535), consensus.ErrNonBIP68Final)
		s.tooEarly("c5", s.sequenced(coins[0], 2, csvTime|65535), consensus.ErrNonBIP68Final)
		s.inTime("a5", s.sequenced(coins[0], 2, csvDisable|65535))
		s.inTime("a6", s.sequenced(coins[1], 2, csvDisable|csvTime|65535))
		s.inTime("a7", s.sequenced(coins[2], 2, csvDisable))
	}},
	{number: 122, name: "csv-version1", rules: "L2 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 4)
		s.tooEarly("b5", s.sequenced(coins[0], 2, 65535), consensus.ErrNonBIP68Final)
		s.inTime("a5", s.sequenced(coins[0], 1, 65535))
		s.inTime("a6", s.sequenced(coins[1], 0, csvTime|65535))
	}},
	{number: 123, name: "csv-version-high", rules: "L2 T13 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 4)
		for i, version := range []uint32{3, 0x7fffffff, 0x80000000, 0xffffffff} { // some are negative numbers to Bitcoin's C++
			s.tooEarly(fmt.Sprint("b5-", i), s.sequenced(coins[i], version, 2), consensus.ErrNonBIP68Final)
		}
		s.Grow("a4 - a5")
		s.accept("a5")
		s.inTime("a6", s.sequenced(coins[2], 0x80000000, 2))
		s.inTime("a7", s.sequenced(coins[3], 0xffffffff, 2))
	}},
	{number: 124, name: "csv-extra-bits", rules: "L2 M10", run: func(s *stage) {
		const extra = 0x7fffffff &^ (csvTime | 0xffff) // all bits that mean nothing
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 3)
		blocks, units := s.sequenced(coins[0], 2, extra|2), s.sequenced(coins[1], 2, extra|csvTime|1)
		s.tooEarly("b5", blocks, consensus.ErrNonBIP68Final)
		s.tooEarly("c5", units, consensus.ErrNonBIP68Final)
		s.Grow("a4 - a5 - a6") // the median grows by half of the spacing of 600 seconds
		s.accept("a6")
		s.inTime("a7", blocks)
		s.inTime("a8", units)
	}},
	{number: 125, name: "csv-mempool-parent", rules: "L2 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		parent := s.spread(s.Coinbase("a1"), 3)
		s.take(parent)
		coins := s.outs(parent)
		one, unit, none := s.sequenced(coins[0], 2, 1), s.sequenced(coins[1], 2, csvTime|1), s.sequenced(coins[2], 2, 0)
		s.refuse(one, consensus.ErrNonBIP68Final, consensus.Policy)
		s.refuse(unit, consensus.ErrNonBIP68Final, consensus.Policy)
		s.take(none)
		s.rejectTxs("a3", "b4", consensus.ErrNonFinal, parent, one)
		s.rejectTxs("a3", "c4", consensus.ErrNonFinal, parent, unit)
		s.acceptTxs("a3", "a4", parent, none)
		s.inTime("a5", one)
		s.Grow("a5 - a6")
		s.accept("a6")
		s.inTime("a7", unit)
	}},
	{number: 126, name: "csv-reorg", rules: "M18", run: reorgedLocks},
}

// reorgedLocks is a reorganisation to a branch with more blocks and an earlier
// median time, and back by an operator's hand to one with fewer.
//
//	a12 - a13 .. a18         600 seconds apart
//	a12 - b13 .. b18 - b19   one second apart
//
// Of two payments of a13 one is in b19, and the other in no block of the branch.
func reorgedLocks(s *stage) {
	s.Grow("genesis - a1..a11")
	coins := s.split("a11", "a12", s.Coinbase("a1"), 7)
	high, loose := s.spread(coins[0], 3), s.spread(coins[1], 2)
	s.acceptTxs("a12", "a13", high, loose)
	s.Grow("a13 - a14..a18")
	s.accept("a18")
	ofHigh, ofLoose := s.outs(high), s.outs(loose)
	leave := []*consensus.Tx{
		s.locked(coins[2], s.Block("a13").Header.Time-1), // the median of a8 to a18 is past it
		s.sequenced(ofHigh[0], 2, 2),
		s.sequenced(ofHigh[1], 2, csvTime|1),
		s.sequenced(ofLoose[0], 2, 1),
	}
	stay := []*consensus.Tx{
		s.locked(coins[3], s.Block("a12").Header.Time),
		s.sequenced(ofHigh[2], 2, 1),
		s.sequenced(ofLoose[1], 2, 0),
	}
	for _, tx := range append(leave, stay...) {
		s.take(tx)
	}
	child := s.spend(s.Out(leave[0], 0), 10_000)
	s.take(child)

	parent, at := "a12", s.Block("a12").Header.Time
	for height := 13; height <= 18; height++ {
		name := fmt.Sprint("b", height)
		at++
		s.Mine(parent, name, chaintest.At(at))
		parent = name
	}
	s.Mine("b18", "b19", chaintest.At(at+1), chaintest.Txs(high))
	s.accept("b19")
	s.gone(leave...)
	s.gone(child) // with what it spends
	s.waiting(stay...)
	s.waiting(loose)

	low, next := s.locked(coins[4], 18), s.locked(coins[5], 19) // heights
	s.take(low)
	s.take(next)
	for _, n := range s.nodes {
		s.check(n.Invalidate(s.now, n.Lookup(s.Hash("b19"))))
		s.check(n.Advance(s.now, verifier))
	}
	s.at("a18")
	s.waiting(low)
	s.gone(next)
}

const (
	csvDisable = 1 << 31 // the sequence is no relative lock
	csvTime    = 1 << 22 // it counts units of 512 seconds, not blocks
)

// locked spends a coin with a lock time.
func (s *stage) locked(coin chaintest.Coin, lockTime uint32) *consensus.Tx {
	s.t.Helper()
	tx := s.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-10_000))
	tx.LockTime, tx.Inputs[0].Sequence = lockTime, 0xfffffffe
	return s.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
}

// sequenced spends a coin with a sequence, which is a relative lock.
func (s *stage) sequenced(coin chaintest.Coin, version, sequence uint32) *consensus.Tx {
	s.t.Helper()
	tx := s.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-10_000))
	tx.Version, tx.Inputs[0].Sequence = version, sequence
	return s.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
}

// tooEarly wants a locked transaction to be refused by all mempools, for now and
// with this code, and for good with a block on the tip.
func (s *stage) tooEarly(name string, tx *consensus.Tx, loose consensus.Code) {
	s.t.Helper()
	s.refuse(tx, loose, consensus.Policy)
	s.rejectTxs(s.Name(s.nodes[0].Tip().Hash), name, consensus.ErrNonFinal, tx)
}

// inTime wants a transaction whose lock is over to be taken by all mempools, and
// in a block on the tip, which is mined and becomes the tip.
func (s *stage) inTime(name string, tx *consensus.Tx) {
	s.t.Helper()
	s.take(tx)
	s.acceptTxs(s.Name(s.nodes[0].Tip().Hash), name, tx)
}
