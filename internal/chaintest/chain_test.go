package chaintest_test

import (
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

func TestGrownBlocksAreValid(t *testing.T) {
	p := consensus.Regtest()
	c := chaintest.New(t, p)
	c.Grow(`
		genesis - a1 - a2 - a3..a104
		          a1 - b2 - b3
	`)
	coin := c.Coinbase("a1")
	pay := c.Pay(chaintest.From(coin), chaintest.To("bob", 30*chaintest.Coins), chaintest.To("miner", 19*chaintest.Coins), chaintest.Data([]byte("hi")))
	c.Mine("a104", "a105", chaintest.Txs(pay), chaintest.PayTo("carol"))

	tree := consensus.NewTree(p)
	for _, path := range []string{"a105", "b3"} {
		for _, block := range c.Path(path) {
			_, err := tree.AddHeader(&block.Header, c.Now())
			if rule := consensus.AsRuleError(err); rule != nil && rule.Code != consensus.ErrDuplicate {
				t.Fatalf("%s: %v", c.Name(block.Hash()), err)
			}
			if err := consensus.CheckBlock(p, block); err != nil {
				t.Fatalf("%s: %v", c.Name(block.Hash()), err)
			}
		}
	}
	if got := tree.BestHeader().Hash; got != c.Hash("a105") {
		t.Errorf("best header is %s", c.Name(got))
	}
	if got := c.Name(c.Index("b3").Ancestor(1).Hash); got != "a1" {
		t.Errorf("b3 is built on %s", got)
	}
	if err := consensus.CheckSignatures(pay, []consensus.Coin{coin.Coin}); err != nil {
		t.Error(err)
	}
	if got, want := c.Coinbase("a105").Value, p.Subsidy(105)+1*chaintest.Coins; got != want {
		t.Errorf("the coinbase of a105 creates %d units, not %d", got, want)
	}
	if c.Coinbase("a105").Key != c.Key("carol") {
		t.Error("the coinbase of a105 does not pay to carol")
	}
}

func TestChainsAreDeterministic(t *testing.T) {
	var hashes [2]consensus.Hash
	for i := range hashes {
		c := chaintest.New(t, consensus.Regtest())
		c.Grow("genesis - a1..a5")
		c.Mine("a5", "a6", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 1))))
		hashes[i] = c.Hash("a6")
	}
	if hashes[0] != hashes[1] {
		t.Errorf("two runs differ: %s, %s", hashes[0], hashes[1])
	}
}
