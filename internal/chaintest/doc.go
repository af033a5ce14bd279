// Package chaintest answers one question for tests: where do blocks come from?
// It grows trees of blocks that have names, real proof of work and real
// signatures, all of it deterministic, dated from the genesis block on and so in
// the past.
//
//	c := chaintest.New(t, consensus.Regtest())
//	c.Grow(`
//		genesis - a1 - a2 - a3
//		          a1 - b2 - b3 - b4
//	`)
//	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 5*chaintest.Coins))
//	c.Mine("a3", "a4", chaintest.Txs(pay))
//	for _, block := range c.Path("a4") { … }
//
// Blocks are not judged: an Option can break any rule, and broken blocks can be
// built upon. The test hands them to whatever it tests.
package chaintest
