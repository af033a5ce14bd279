package node

import (
	"math/rand/v2"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// A signature counts as verified by the mempool for the coins, the witness and
// the transaction that it saw, and for no others. No block can bring the same
// transaction with other coins, since an outpoint commits to what it names, so
// this is asked of the function.
func TestVerifiedInPoolIsForTheSameCoinsAndWitness(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	n, err := New(Config{
		Params: c.Params, Store: storage.OpenMemory(c.Params, true), Mempool: mempool.DefaultConfig(),
		P2P: p2p.Config{Params: c.Params}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	for _, block := range c.Path("a101") {
		_, err := n.SubmitBlock(c.Now(), block)
		check(err)
	}
	check(n.Advance(c.Now(), consensus.Verifier{}))
	coin := c.Coinbase("a1")
	pay := func(to string) *consensus.Tx {
		return c.Pay(chaintest.From(coin), chaintest.To(to, 49*chaintest.Coins))
	}
	tx, other := pay("bob"), pay("carol")
	_, err = n.SubmitTx(c.Now(), tx)
	check(err)

	forged, err := consensus.DecodeTx(tx.Bytes())
	check(err)
	forged.Inputs[0].Witness[0][0] ^= 1
	other.Inputs[0].Witness = tx.Inputs[0].Witness
	bare, err := consensus.DecodeTx(tx.AppendStripped(nil))
	check(err)
	with := func(change func(*consensus.Coin)) []consensus.Coin {
		changed := coin.Coin
		change(&changed)
		return []consensus.Coin{changed}
	}
	for _, test := range []struct {
		what  string
		check consensus.SigCheck
		want  bool
	}{
		{"the same", consensus.SigCheck{Tx: tx, Coins: with(func(*consensus.Coin) {})}, true},
		{"another value", consensus.SigCheck{Tx: tx, Coins: with(func(c *consensus.Coin) { c.Value++ })}, false},
		{"another key", consensus.SigCheck{Tx: tx, Coins: with(func(coin *consensus.Coin) { coin.Key = c.Key("carol") })}, false},
		{"another number of coins", consensus.SigCheck{Tx: tx, Coins: nil}, false},
		{"another witness", consensus.SigCheck{Tx: forged, Coins: with(func(*consensus.Coin) {})}, false},
		{"no witness", consensus.SigCheck{Tx: bare, Coins: with(func(*consensus.Coin) {})}, false},
		{"another transaction", consensus.SigCheck{Tx: other, Coins: with(func(*consensus.Coin) {})}, false},
	} {
		job := &Job{checks: []poolCheck{{SigCheck: test.check, txid: test.check.Tx.TxID()}}}
		n.recall(job)
		if got := job.checks[0].verified(); got != test.want {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
}
