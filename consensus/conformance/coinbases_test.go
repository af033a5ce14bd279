package conformance

import (
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Group C: coinbases.
var coinbaseCases = []conformanceCase{
	{number: 50, name: "cb-amount-over", rules: "C3", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", chaintest.Claim(1))
		s.reject("b3", consensus.ErrCoinbaseAmount)
	}},
}
