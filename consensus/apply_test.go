package consensus

import (
	"math"
	"testing"
)

// Conformance groups B (order), C (amounts, maturity) and E (coins): what
// ApplyBlock decides. Case 94 and 95 are case 90 on another branch, 51 and 66
// likewise: the coin set at the parent is all that counts.
func TestBlockAgainstCoins(t *testing.T) {
	subsidy := Regtest().Subsidy(sceneHeight + 1)
	young := func(s *scene, height uint32) OutPoint {
		return s.coinOf(Coin{Value: 5_000, Key: publicKey(1), Height: height, Coinbase: true})
	}
	cases := []struct {
		name string
		make func(s *scene) *Block
		code Code
	}{
		{"48 blk-tx-order", func(s *scene) *Block {
			parent := s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
			child := s.spend([]OutPoint{{parent.TxID(), 0}}, pay(3_000, 3))
			return s.block(child, parent)
		}, ErrInputsMissingOrSpent},
		{"49 blk-chain-in-block", func(s *scene) *Block {
			parent := s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
			child := s.spend([]OutPoint{{parent.TxID(), 0}}, pay(3_000, 3))
			return s.block(parent, child)
		}, ""},
		{"50 cb-amount-over", func(s *scene) *Block { return s.blockOf(subsidy + 1) }, ErrCoinbaseAmount},
		{"50 over with fees", func(s *scene) *Block {
			return s.blockOf(subsidy+1_001, s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2)))
		}, ErrCoinbaseAmount},
		{"52 cb-amount-exact", func(s *scene) *Block {
			return s.blockOf(subsidy+1_000, s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2)))
		}, ""},
		{"53 cb-amount-under", func(s *scene) *Block { return s.blockOf(0) }, ""},
		{"55 cb-amount-fee-overflow", func(s *scene) *Block {
			a := s.spend([]OutPoint{s.coin(MaxMoney, 1)}, pay(1, 2))
			b := s.spend([]OutPoint{s.coin(MaxMoney, 1)}, pay(MaxMoney-2, 2))
			return s.blockOf(0, a, b)
		}, ErrFeeOutOfRange},
		{"55 fees of all money there is", func(s *scene) *Block {
			a := s.spend([]OutPoint{s.coin(MaxMoney, 1)}, pay(1, 2))
			b := s.spend([]OutPoint{s.coin(MaxMoney, 1)}, pay(MaxMoney-1, 2))
			return s.blockOf(0, a, b)
		}, ""},
		{"65 cb-spend-early", func(s *scene) *Block {
			return s.block(s.spend([]OutPoint{young(s, sceneHeight+2-s.p.Maturity)}, pay(4_000, 2)))
		}, ErrPrematureSpend},
		{"67 cb-spend-mature", func(s *scene) *Block {
			return s.block(s.spend([]OutPoint{young(s, sceneHeight+1-s.p.Maturity)}, pay(4_000, 2)))
		}, ""},
		{"86 tx-out-opreturn-utxo", func(s *scene) *Block {
			parent := s.spend([]OutPoint{s.coin(5_000, 1)}, data("no coin"), pay(1, 1))
			child := s.unsigned([]OutPoint{{parent.TxID(), 0}}, pay(0, 3))
			return s.block(parent, s.sign(child))
		}, ErrInputsMissingOrSpent},
		{"90 in-missing", func(s *scene) *Block {
			return s.block(s.spend([]OutPoint{{txid(-1), 0}}, pay(0, 2)))
		}, ErrInputsMissingOrSpent},
		{"91 in-index-range", func(s *scene) *Block {
			op := s.coin(5_000, 1)
			op.Index += 7
			return s.block(s.spend([]OutPoint{op}, pay(0, 2)))
		}, ErrInputsMissingOrSpent},
		{"92 in-spent-chain", func(s *scene) *Block {
			op := s.coin(5_000, 1)
			b := s.block(s.spend([]OutPoint{op}, pay(0, 2)))
			delete(s.coins, op)
			return b
		}, ErrInputsMissingOrSpent},
		{"93 in-spent-block", func(s *scene) *Block {
			op := s.coin(5_000, 1)
			return s.block(s.spend([]OutPoint{op}, pay(4_000, 2)), s.spend([]OutPoint{op}, pay(3_000, 2)))
		}, ErrInputsMissingOrSpent},
		{"93 of a coin of the block", func(s *scene) *Block {
			a := s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
			op := OutPoint{a.TxID(), 0}
			return s.block(a, s.spend([]OutPoint{op}, pay(4_000, 2)), s.spend([]OutPoint{op}, pay(3_000, 2)))
		}, ErrInputsMissingOrSpent},
		{"96 in-belowout", func(s *scene) *Block {
			return s.blockOf(0, s.spend([]OutPoint{s.coin(5_000, 1)}, pay(5_001, 2)))
		}, ErrInBelowOut},
		{"97 in-value-range", func(s *scene) *Block {
			return s.blockOf(0, s.spend([]OutPoint{s.coin(MaxMoney, 1), s.coin(1, 1)}, pay(1, 2)))
		}, ErrInputSumTooLarge},
		{"97 one coin above all money", func(s *scene) *Block {
			return s.blockOf(0, s.spend([]OutPoint{s.coin(MaxMoney+1, 1)}, pay(1, 2)))
		}, ErrInputSumTooLarge},
		{"97 a coin below nothing", func(s *scene) *Block {
			return s.blockOf(0, s.spend([]OutPoint{s.coin(-1, 1), s.coin(5_000, 1)}, pay(1, 2)))
		}, ErrInputSumTooLarge},
		{"97 at the edge", func(s *scene) *Block {
			return s.blockOf(0, s.spend([]OutPoint{s.coin(MaxMoney-1, 1), s.coin(1, 1)}, pay(1, 2)))
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.want(c.make(s), c.code, Invalid)
		})
	}
}

// Case 65 again: a block's own coinbase. What spends it is unknown when the
// coinbase commits to it, so that no commitment could be right: the function is
// asked itself.
func TestSpendOwnCoinbase(t *testing.T) {
	s := newScene(t)
	b := s.block()
	own := OutPoint{b.Txs[0].TxID(), 0}
	b.Txs = append(b.Txs, s.unsigned([]OutPoint{own}, pay(4_000, 2)))
	_, err := s.apply(b)
	wantRule(t, err, ErrPrematureSpend, Invalid)
}

// Case 54: the subsidy at every edge of its halving.
func TestCoinbaseHalving(t *testing.T) {
	p := Regtest()
	p.Maturity = 100
	for halvings := range 66 {
		for _, d := range []int{-1, 0, 1} {
			height := halvings*int(p.HalvingInterval) + d
			if height < 1 {
				continue
			}
			subsidy := int64(0)
			if n := height / int(p.HalvingInterval); n < 64 {
				subsidy = 50 * UnitsPerCoin >> n
			}
			s := sceneAt(t, p, &BlockIndex{Height: uint32(height) - 1})
			s.ok(s.blockOf(subsidy))
			s.want(s.blockOf(subsidy+1), ErrCoinbaseAmount, Invalid)
		}
	}
}

// Cases 68 and 69: BIP34 keeps blocks from getting here, so the function is
// asked itself.
func TestBIP30(t *testing.T) {
	s := newScene(t)
	b := s.block()
	old := Prevouts(b)
	if len(old) != 1 || old[0] != (OutPoint{b.Txs[0].TxID(), 0}) {
		t.Fatalf("Prevouts names %v, not the coinbase's coin", old)
	}
	s.coins[old[0]] = Coin{Value: 1, Height: 1, Coinbase: true}
	s.want(b, ErrBIP30, Invalid)
	delete(s.coins, old[0]) // spent meanwhile
	s.ok(b)
}

// Case 78 (CVE-2018-17144): refused by CheckTx, and by ApplyBlock if that were
// left out.
func TestDuplicateInputInBlock(t *testing.T) {
	s := newScene(t)
	a := s.spend([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
	op := OutPoint{a.TxID(), 0}
	b := s.block(a, s.spend([]OutPoint{op, op}, pay(8_000, 2)))
	s.want(b, ErrDuplicateInputs, Invalid)
	_, err := s.apply(b)
	wantRule(t, err, ErrInputsMissingOrSpent, Invalid)
}

func TestSpendTxOfLooseTransactions(t *testing.T) {
	s := newScene(t)
	tx := s.unsigned([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
	fee, err := SpendTx(s.p, s.parent, tx, []Coin{{Value: 5_000, Height: 1}})
	if err != nil || fee != 1_000 {
		t.Errorf("fee %d, %v", fee, err)
	}
	_, err = SpendTx(s.p, s.parent, tx, []Coin{{Value: 5_000, Height: sceneHeight, Coinbase: true}})
	wantRule(t, err, ErrPrematureSpend, Temporary)
	if _, err = SpendTx(s.p, s.parent, tx, nil); err == nil || AsRuleError(err) != nil {
		t.Errorf("coins forgotten: %v, want an error of our own", err)
	}
	coin := Coin{Value: 5_000, Height: math.MaxUint32, Coinbase: true} // must not wrap
	_, err = SpendTx(s.p, s.parent, tx, []Coin{coin})
	wantRule(t, err, ErrPrematureSpend, Temporary)
}

// Delta is net, in block order, and complete.
func TestApplyDelta(t *testing.T) {
	s := newScene(t)
	in := s.coin(9_000, 1)
	a := s.spend([]OutPoint{in}, pay(4_000, 2), data("x"), pay(3_000, 3))
	b := s.spend([]OutPoint{{a.TxID(), 0}}, pay(3_500, 4))
	block := s.block(a, b)
	d, err := s.apply(block)
	if err != nil {
		t.Fatal(err)
	}
	if d.Fees != 2_500 {
		t.Errorf("fees %d", d.Fees)
	}
	if len(d.Spent) != 1 || d.Spent[0] != (CoinEntry{in, s.coins[in]}) {
		t.Errorf("spent %v", d.Spent)
	}
	height := uint32(sceneHeight + 1)
	want := []CoinEntry{
		{OutPoint{block.Txs[0].TxID(), 0}, Coin{s.p.Subsidy(height) + 2_500, publicKey(7), height, true}},
		{OutPoint{a.TxID(), 2}, Coin{3_000, publicKey(3), height, false}},
		{OutPoint{b.TxID(), 0}, Coin{3_500, publicKey(4), height, false}},
	}
	if len(d.Created) != len(want) {
		t.Fatalf("created %v", d.Created)
	}
	for i := range want {
		if d.Created[i] != want[i] {
			t.Errorf("created %v, want %v", d.Created[i], want[i])
		}
	}
	if len(d.Undo.Spent) != 2 || d.Undo.Spent[1].Value != 4_000 || len(d.Checks) != 2 {
		t.Errorf("undo %v, %d checks", d.Undo.Spent, len(d.Checks))
	}
}

// Undo data that does not fit is our own damage, never the block's fault.
func TestRevertWithForeignUndo(t *testing.T) {
	s := newScene(t)
	a := s.spend([]OutPoint{s.coin(9_000, 1)}, pay(4_000, 2))
	b := s.block(a, s.spend([]OutPoint{{a.TxID(), 0}}, pay(3_500, 4)))
	d, err := s.apply(b)
	if err != nil {
		t.Fatal(err)
	}
	wrong := Undo{Spent: []Coin{d.Undo.Spent[0], {Value: 4_001}}}
	for name, u := range map[string]*Undo{"short": {}, "long": {Spent: make([]Coin, 3)}, "other": &wrong} {
		if _, err := RevertBlock(b, sceneHeight+1, u); err == nil || AsRuleError(err) != nil {
			t.Errorf("%s: %v, want an error of our own", name, err)
		}
	}
}

// A block with as many outputs as fit connects: no limit of ours is stricter
// than the weight.
func TestBlockFullOfOutputs(t *testing.T) {
	s := newScene(t)
	tx := s.unsigned([]OutPoint{s.coin(1_000_000, 1)})
	for i := range 23_000 {
		tx.Outputs = append(tx.Outputs, pay(1, i%8))
	}
	b := s.block(s.sign(tx))
	if w := b.Weight(); w < 3_900_000 {
		t.Fatalf("weight %d is not near the limit", w)
	}
	s.ok(b)
	d, _ := s.apply(b)
	back, err := RevertBlock(b, sceneHeight+1, &d.Undo)
	if err != nil || len(back.Spent) != 23_001 || len(back.Created) != 1 {
		t.Errorf("taken off: %d leave, %d return, %v", len(back.Spent), len(back.Created), err)
	}
}
