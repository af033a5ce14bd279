package miner

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/sha256d"

	"pgregory.net/rapid"
)

// network returns regtest with coins that mature at once and other changes.
func network(t testing.TB, change func(*consensus.Params)) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	p.Maturity = 1
	if change != nil {
		change(p)
	}
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	return p
}

func payTo(c *chaintest.Chain, name string) []byte { return consensus.PayToKey(c.Key(name)) }

// connects judges a block by every rule, with the coins that it asks for.
func connects(p *consensus.Params, parent *consensus.BlockIndex, b *consensus.Block, now time.Time, coins map[consensus.OutPoint]consensus.Coin) error {
	decoded, err := consensus.DecodeBlock(b.Bytes())
	if err != nil {
		return err
	}
	if err := consensus.CheckHeader(p, parent, &decoded.Header, now); err != nil {
		return err
	}
	if err := consensus.CheckBlock(p, decoded); err != nil {
		return err
	}
	if err := consensus.CheckBlockContext(p, parent, decoded); err != nil {
		return err
	}
	delta, err := consensus.ApplyBlock(p, parent, decoded, coins)
	if err != nil {
		return err
	}
	return consensus.Verifier{Workers: 1}.Verify(delta.Checks)
}

// Whatever a template is made of, its block is valid and claims all fees.
func TestTemplatesConnect(t *testing.T) { // 154 gbt-valid
	c := chaintest.New(t, network(t, nil))
	c.Grow("genesis - a1..a20")
	parent, now := c.Index("a20"), c.Now()
	rapid.Check(t, func(r *rapid.T) {
		coins := make(map[consensus.OutPoint]consensus.Coin)
		var txs []*consensus.Tx
		var fees []int64
		var total int64
		for i := range rapid.IntRange(0, 9).Draw(r, "txs") {
			from := c.Coinbase(fmt.Sprint("a", i+1))
			coins[from.OutPoint] = from.Coin
			fee := rapid.Int64Range(0, 1_000_000).Draw(r, "fee")
			tx := c.Pay(chaintest.From(from), chaintest.To("bob", from.Value-fee))
			txs, fees, total = append(txs, tx), append(fees, fee), total+fee
			if rapid.Bool().Draw(r, "child") {
				out := c.Out(tx, 0)
				txs, fees, total = append(txs, c.Pay(chaintest.From(out), chaintest.To("carol", out.Value-7))), append(fees, 7), total+7
			}
		}
		tpl, err := NewTemplate(c.Params, parent, now, txs, fees)
		if err != nil {
			r.Fatal(err)
		}
		text := rapid.StringN(0, 200, 200).Draw(r, "text")
		block := tpl.Block(payTo(c, "miner"), rapid.Uint64().Draw(r, "extranonce"), text)
		hashed := &consensus.Block{Header: block.Header, Txs: block.Txs}
		if !slices.Equal(block.TxIDs(), hashed.TxIDs()) || !slices.Equal(block.WTxIDs(), hashed.WTxIDs()) {
			r.Fatal("the block has other ids")
		}
		if !Solve(block, sha256d.Portable{}) {
			r.Fatal("no nonce solves the block")
		}
		if err := connects(c.Params, parent, block, now, coins); err != nil {
			r.Fatal(err)
		}
		want := c.Params.Subsidy(21) + total
		if tpl.Fees != total || tpl.CoinbaseValue != want || block.Txs[0].Outputs[0].Value != want {
			r.Fatalf("fees %d, coinbase %d, expected %d and %d", tpl.Fees, tpl.CoinbaseValue, total, want)
		}
		for i, tx := range txs {
			if tpl.TxIDs[i] != tx.TxID() || tpl.WTxIDs[i] != tx.WTxID() {
				r.Fatalf("transaction %d is called %s, %s", i, tpl.TxIDs[i], tpl.WTxIDs[i])
			}
		}
		if !strings.Contains(string(block.Txs[0].Inputs[0].ScriptSig), text[:min(len(text), MaxText)]) {
			r.Fatal("the text is not in the coinbase")
		}
	})
}

// The commitment is there without a payment as well.
func TestEmptyTemplateCommits(t *testing.T) {
	p := network(t, nil)
	tpl, err := NewTemplate(p, consensus.NewTree(p).Genesis(), time.Unix(int64(p.GenesisTime)+600, 0), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	block := tpl.Block(payTo(chaintest.New(t, p), "miner"), 0, "")
	if _, ok := consensus.WitnessCommitment(block); !ok {
		t.Error("an empty block has no commitment")
	}
}

func TestCoinbaseFitsAtEveryHeight(t *testing.T) {
	p := network(t, nil)
	payout := payTo(chaintest.New(t, p), "miner")
	text := strings.Repeat("x", MaxText+1)
	for _, height := range []uint32{1, 16, 17, 127, 128, 32767, 32768, 8388608, math.MaxInt32, math.MaxUint32} {
		parent := &consensus.BlockIndex{Height: height - 1, Header: p.Genesis().Header}
		tpl := &Template{Height: height, Parent: parent.Hash, Version: Version}
		tpl.commit()
		coinbase := tpl.Block(payout, math.MaxUint64, text).Txs[0]
		if err := consensus.CheckTx(p, coinbase); err != nil {
			t.Errorf("height %d: %v", height, err)
		}
		block := &consensus.Block{Txs: []*consensus.Tx{coinbase}}
		if weight := block.Weight(); weight > ReservedWeight/2 {
			t.Errorf("height %d: an empty block weighs %d", height, weight)
		}
	}
}

func TestMerkleBranch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := make([]consensus.Hash, rapid.IntRange(1, 40).Draw(t, "n"))
		for i := range leaves {
			leaves[i] = consensus.DoubleSHA256([]byte{byte(i)})
		}
		want, _ := consensus.MerkleRoot(leaves)
		got := leaves[0]
		for _, sibling := range merkleBranch(leaves[1:]) {
			got = merkleNode(got, sibling)
		}
		if got != want {
			t.Fatalf("root %s, expected %s", got, want)
		}
	})
}

func TestTemplateTime(t *testing.T) {
	c := chaintest.New(t, network(t, nil))
	c.Grow("genesis - a1..a12")
	parent := c.Index("a12")
	least := parent.MTP() + 1
	limit := c.Params.FutureLimit
	cases := []struct {
		name string
		now  int64
		want int64 // 0 for too early
	}{
		{"the clock", least + 5000, least + 5000},
		{"the clock at the median", least, least},
		{"the clock is behind", least - 100, least},
		{"at the limit", least - limit, least},
		{"beyond the limit", least - limit - 1, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tpl, err := NewTemplate(c.Params, parent, time.Unix(tc.now, 500), nil, nil)
			var early *TooEarly
			switch {
			case tc.want == 0:
				if !errors.As(err, &early) || early.Wait != time.Second-500 || early.Parent != parent.Hash {
					t.Fatalf("got %v, %+v", err, early)
				}
				if _, err := NewTemplate(c.Params, parent, time.Unix(tc.now, 500).Add(early.Wait), nil, nil); err != nil {
					t.Errorf("after the wait: %v", err)
				}
			case err != nil:
				t.Fatal(err)
			case int64(tpl.Time) != tc.want || int64(tpl.MinTime) != least:
				t.Errorf("time %d (at least %d), expected %d (%d)", tpl.Time, tpl.MinTime, tc.want, least)
			}
		})
	}
}

// Under the bitcoin rule the ends of a period bind the time as well.
func TestTemplateTimeAtPeriodEnds(t *testing.T) {
	p := network(t, func(p *consensus.Params) { p.Rule = consensus.RuleBitcoin })
	at := func(height uint32, times func(uint32) uint32) *consensus.BlockIndex {
		b := consensus.NewTree(p).Genesis()
		for b.Height < height {
			b = b.Child(&consensus.Header{Version: Version, Prev: b.Hash, Time: times(b.Height + 1), Bits: p.StartBits})
		}
		return b
	}
	start := p.GenesisTime + 1_000_000
	late := func(height uint32) uint32 { // the last one is a day ahead
		if height == 2015 {
			return start + 86_400
		}
		return start + height
	}
	early := func(height uint32) uint32 { // the first one of the second period is a day ahead
		if height == 2016 {
			return start + 86_400
		}
		return start + height
	}
	for _, parent := range []*consensus.BlockIndex{at(2015, late), at(4030, early)} {
		least := consensus.MinTime(p, parent)
		if least <= parent.MTP()+1 {
			t.Fatalf("height %d: the end of the period binds nothing", parent.Height+1)
		}
		now := time.Unix(least-5, 0)
		tpl, err := NewTemplate(p, parent, now, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		block := tpl.Block(payTo(chaintest.New(t, p), "miner"), 0, "")
		for code, header := range map[bool]consensus.Header{true: block.Header, false: earlier(block.Header)} {
			b := &consensus.Block{Header: header, Txs: block.Txs}
			Solve(b, sha256d.Portable{})
			if err := consensus.CheckHeader(p, parent, &b.Header, now); (err == nil) != code {
				t.Errorf("height %d, time %d: %v", tpl.Height, b.Header.Time, err)
			}
		}
	}
}

func earlier(h consensus.Header) consensus.Header {
	h.Time--
	return h
}

func TestTemplateRefusesNonsense(t *testing.T) {
	c := chaintest.New(t, network(t, nil))
	c.Grow("genesis - a1..a3")
	tx := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 1000))
	heavy := &consensus.Tx{Inputs: tx.Inputs, Outputs: []consensus.TxOut{{Script: make([]byte, c.Params.MaxWeight/4)}}}
	for name, args := range map[string]struct {
		txs  []*consensus.Tx
		fees []int64
	}{
		"fewer fees":   {[]*consensus.Tx{tx}, nil},
		"negative fee": {[]*consensus.Tx{tx}, []int64{-1}},
		"fee overflow": {[]*consensus.Tx{tx, tx}, []int64{consensus.MaxMoney, 1}},
		"too heavy":    {[]*consensus.Tx{heavy}, []int64{0}},
	} {
		if _, err := NewTemplate(c.Params, c.Index("a3"), c.Now(), args.txs, args.fees); err == nil || consensus.AsRuleError(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSolveGivesUp(t *testing.T) {
	for _, bits := range []uint32{0, 0x01003456, 0x1d80ffff, 0xff7fffff} {
		if Solve(&consensus.Block{Header: consensus.Header{Bits: bits}}, sha256d.Portable{}) {
			t.Errorf("bits %08x were solved", bits)
		}
	}
}
