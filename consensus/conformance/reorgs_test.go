package conformance

import (
	"fmt"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Group G: reorganisation and chain choice. What crashes, stalls or is deep is in
// reorgs_hard_test.go.
var reorgCases = append([]conformanceCase{
	{number: 127, name: "reorg-equal-work", rules: "W3", run: func(s *stage) {
		for _, first := range []string{"a2", "c2"} { // whichever hash is lower
			s.network(nil)
			s.Grow(`
				genesis - a1 - a2
				          a1 - b2
				          a1 - c2
			`)
			s.hearHeaders("b2") // not the header counts, but the body
			s.accept(first)
			s.store("a2")
			s.store("b2")
			s.store("c2")
			s.restart() // the order of arrival survives
			s.at(first)
		}
		// A body does not count before its branch is complete.
		s.network(nil)
		s.Grow(`
			genesis - a1 - a2
			genesis - c1 - c2
		`)
		s.hearHeaders("c2")
		s.give("c2")
		s.accept("a2")
		s.give("c1")
		s.at("a2")
		s.restart()
		s.at("a2")
	}},
	{number: 128, name: "reorg-more-work", rules: "W1 W3 W7", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3 - a4 - a5
			          a1 - b2 - b3 - b4
		`)
		s.accept("a3")
		s.store("b3")
		s.accept("b4")
		s.store("a4")
		s.accept("a5")
	}},
	{number: 129, name: "reorg-longer-less-work", rules: "W1 W3", run: func(s *stage) {
		s.network(easierWhenLate)
		s.Grow("genesis - a1 - a2 - a3")
		s.mineLate("a1 - b2 - b3 - b4 - b5 - b6 - b7")
		s.accept("b6")
		s.store("a2")
		s.accept("a3") // three blocks, and more work than in six
		s.store("b7")
		if a, b := s.Index("a3"), s.Index("b7"); a.Work.Cmp(b.Work) <= 0 || a.Height >= b.Height {
			s.t.Error("b is no branch with more blocks and less work")
		}
	}},
	{number: 130, name: "reorg-to-invalid", rules: "W4 W7", run: func(s *stage) {
		s.Grow("genesis - a1..a7")
		s.accept("a7")
		for k := 1; k <= 7; k++ {
			s.invalidFork(k)
		}
		s.Grow("a7 - a8")
		s.accept("a8")
		// Where the part below the invalid block is better, it is the tip.
		s.network(nil)
		s.Grow(`
			genesis - a1 - a2 - a3
			          a1 - b2 - b3 - b4
		`)
		s.Mine("b4", "b5", chaintest.Claim(1))
		s.accept("a3")
		s.hearHeaders("b5")
		s.give("b5", "b4", "b3", "b2") // the last body completes the branch
		s.at("b4")
		s.wantFailed("b5")
	}},
	{number: 131, name: "reorg-100 / 1088", rules: "W7 X1 X2", run: deepReorg},
	{number: 132, name: "reorg-resurrect", rules: "M16 M17", run: func(s *stage) {
		s.Grow("genesis - a1..a6")
		first := s.spendTo(s.Coinbase("a1"), "bob")
		second := s.spendTo(s.Out(first, 0), "carol")
		spent := s.spendTo(s.Coinbase("a2"), "bob")
		instead := s.spendTo(s.Coinbase("a2"), "carol") // contradicts spent
		onSpent := s.spendTo(s.Out(spent, 0), "dave")
		both := s.spendTo(s.Coinbase("a3"), "bob")
		apart := s.spendTo(s.Coinbase("a4"), "bob")
		loose := s.spendTo(s.Coinbase("a5"), "bob")
		rival := s.spendTo(s.Coinbase("a5"), "carol") // contradicts loose
		s.Mine("a6", "a7", chaintest.Txs(first, both))
		s.Mine("a7", "a8", chaintest.Txs(second, spent))
		s.Mine("a6", "b7", chaintest.Txs(both))
		s.Mine("b7", "b8", chaintest.Txs(instead, rival))
		s.Grow("b8 - b9 \n a8 - a9")
		s.Mine("b9", "b10", chaintest.Txs(first))
		s.Grow("a9 - a10 - a11")

		s.accept("a8")
		s.take(onSpent)
		s.take(apart)
		s.take(loose)
		s.onlyWaiting(onSpent, apart, loose)
		s.accept("b9")
		s.onlyWaiting(first, second, apart)
		s.accept("b10")
		s.onlyWaiting(second, apart)
		s.store("a10")
		s.accept("a11")
		s.onlyWaiting(apart, rival)
	}},
	{number: 133, name: "reorg-coinbase-loss", rules: "M18", door: "submit, p2p, announcement; " +
		"the wallet's half: TestRewardLostInAReorganisation of wallet", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3 - a4
			          a1 - b2 - b3 - b4 - b5 - b6
		`)
		kept := s.spendTo(s.Coinbase("a1"), "bob")
		lost := s.spendTo(s.Coinbase("a2"), "bob")
		onLost := s.spendTo(s.Out(lost, 0), "carol")
		mined := s.spendTo(s.Coinbase("a3"), "bob")
		s.Mine("a4", "a5", chaintest.Txs(mined))
		s.accept("a5")
		s.take(kept)
		s.take(lost)
		s.take(onLost)
		s.onlyWaiting(kept, lost, onLost)
		s.accept("b6")
		s.onlyWaiting(kept)
	}},
	{number: 134, name: "reorg-maturity", rules: "M18 C4", run: func(s *stage) {
		// The better branch is lower: the coinbase of a1 is not old enough there.
		s.network(func(p *consensus.Params) { easierWhenLate(p); p.Maturity = 4 })
		s.Grow("genesis - a1 - a2 - a3 - a4")
		s.mineLate("a1 - b2 - b3 - b4 - b5 - b6")
		young := s.spendTo(s.Coinbase("a1"), "bob")
		onYoung := s.spendTo(s.Out(young, 0), "carol")
		s.accept("b6")
		s.take(young)
		s.take(onYoung)
		s.store("a2")
		s.onlyWaiting(young, onYoung)
		s.accept("a3")
		s.onlyWaiting()
		s.accept("a4") // the next block is the fourth after a1
		s.take(young)
		s.onlyWaiting(young)
		// The same where an operator takes the tip off, as in Core's test.
		s.invalidate("a4")
		s.at("a3")
		s.onlyWaiting()
	}},
	{number: 135, name: "reorg-opreturn", rules: "T10 X1", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		data := func(coin chaintest.Coin, text string) *consensus.Tx {
			return s.Pay(chaintest.From(coin), chaintest.Data([]byte(text)), chaintest.To("bob", coin.Value-2000), chaintest.Data(nil), chaintest.Data([]byte{}))
		}
		here, there := data(s.Coinbase("a1"), "a"), data(s.Coinbase("a1"), "b")
		s.Mine("a3", "a4", chaintest.Txs(here))
		s.Mine("a4", "a5", chaintest.Txs(data(s.Out(here, 1), "a again")))
		s.Mine("a3", "b4", chaintest.Txs(there))
		s.Grow("b4 - b5")
		s.Mine("b5", "b6", chaintest.Txs(data(s.Out(there, 1), "b again")))
		s.Grow("a5 - a6 - a7")
		s.accept("a5")
		s.accept("b6")
		s.store("a6")
		s.accept("a7")
	}},
	{number: 136, name: "reorg-undo-bytes", rules: "X1 X2 X3", run: undoEveryBlock},
	// What getchaintips says of such branches: TestChainTips of node.
	{number: 137, name: "reorg-invalidate/reconsider", rules: "W4 W5 W6", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3 - a4
			          a1 - b2 - b3
		`)
		s.accept("a3")
		s.store("b3")
		s.accept("a4")
		s.invalidate("a4")
		s.at("a3")
		s.invalidate("a2")
		s.at("b3")
		s.wantFailed("a2", "a3", "a4")
		s.invalidate("b2")
		s.at("a1")
		s.reconsider("a3") // its ancestors and its descendants with it
		s.at("a4")
		s.wantFailed("b2", "b3")
		s.reconsider("b2")
		s.at("a4")
		s.wantFailed()
		s.invalidate("a3")
		s.at("b3")
		s.invalidate("b3")
		s.reconsider("a3")
		s.reconsider("b3")
		s.at("a4")

		s.network(nil)
		s.Grow(`
			genesis - a1 - a2 - a3 - a4
			          a1 - b2 - b3
		`)
		s.accept("a3")
		s.store("b3")
		s.invalidate("a3") // of equals the first is back when it is reconsidered
		s.at("b3")
		s.reconsider("a3")
		s.at("a3")
		for _, name := range []string{"b3", "a3", "a3", "b3"} {
			s.precious(name)
			s.at(name)
		}
		s.precious("b2") // less work than the tip: nothing happens, now or later
		s.at("b3")
		s.invalidate("a3")
		s.invalidate("b3")
		s.at("a2")
		s.reconsider("b3")
		s.precious("a3") // preferring does not make valid
		s.at("b3")
		s.reconsider("a3")
		s.at("a3")
		s.precious("b3")
		s.at("b3")
		s.restart() // preferring does not survive, arrival does
		s.at("a3")
		s.accept("a4")
		s.precious("b3") // more work beats preference
		s.at("a4")
	}},
}, hardReorgCases...)

// easierWhenLate is a difficulty that halves with each block that is ten minutes
// late.
func easierWhenLate(p *consensus.Params) {
	p.Rule, p.HalfLife, p.Spacing, p.FutureLimit = consensus.RuleASERTRelative, 600, 10, 300
	p.StartBits = 0x20010000 // 256 hashes
}

// mineLate grows what the drawing shows, each block ten minutes late.
func (s *stage) mineLate(drawing string) {
	s.t.Helper()
	path := strings.Split(drawing, " - ")
	for i, name := range path[1:] {
		s.Mine(path[i], name, s.seconds(path[i], 610))
	}
}

// invalidFork draws a fork of seven blocks, one more than the chain has above a1,
// whose k-th one claims too much.
//
//	a1 - a2 - a3 - a4 - a5 - a6 - a7
//	   \ .2 - .3 - .4 - .5 - .6 - .7 - .8 - .9
func (s *stage) invalidFork(k int) {
	s.t.Helper()
	at := func(n int) string { return fmt.Sprint(string(rune('a'+k)), n) }
	parent := "a1"
	for n := 2; n <= 9; n++ {
		if n == k+1 {
			s.Mine(parent, at(n), chaintest.Claim(1))
		} else {
			s.Mine(parent, at(n))
		}
		parent = at(n)
	}
	s.rejectBranch(at(8), at(k+1), consensus.ErrCoinbaseAmount)
	s.reject(at(9), consensus.ErrPrevInvalid)
	s.at("a7")
}
