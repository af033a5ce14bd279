package consensus

import (
	"bytes"
	"testing"
)

// Whatever decodes encodes to the same bytes: there is one encoding of each
// thing, and refusals are Malformed and leave nothing.

func FuzzDecodeTx(f *testing.F) {
	tx, _ := signed(f, SigHashAll)
	f.Add(tx.Bytes())
	f.Add(tx.AppendStripped(nil))
	f.Add(coinbaseTx(7, pay(1, 1), data("text")).Bytes())
	p, parent := Regtest(), chainOf(5, sceneSpacing)
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := DecodeTx(raw)
		if err != nil {
			if rule := AsRuleError(err); tx != nil || rule == nil || rule.Kind != Malformed {
				t.Fatalf("%v with %v", err, tx)
			}
			return
		}
		if got := tx.Bytes(); !bytes.Equal(got, raw) {
			t.Fatalf("%x is encoded as %x", raw, got)
		}
		if tx.Size() != len(raw) || tx.StrippedSize() != len(tx.AppendStripped(nil)) {
			t.Fatalf("sizes %d and %d", tx.Size(), tx.StrippedSize())
		}
		if err := CheckTx(p, tx); err != nil {
			if rule := AsRuleError(err); rule == nil || rule.Kind != Invalid {
				t.Fatalf("%v is no verdict", err)
			}
			return
		}
		coins := make([]Coin, len(tx.Inputs))
		for i := range coins {
			coins[i] = Coin{Value: 1 << 40, Key: publicKey(i), Height: 1}
		}
		if tx.IsCoinbase() {
			return
		}
		for _, err := range []error{CheckSignatures(tx, coins), second(SpendTx(p, parent, tx, coins))} {
			if err != nil && AsRuleError(err) == nil {
				t.Fatalf("%v blames us", err)
			}
		}
	})
}

func FuzzDecodeBlock(f *testing.F) {
	s, b := goodBlock(f, 2)
	f.Add(b.Bytes())
	f.Add(s.p.Genesis().Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBlock(raw)
		if err != nil {
			if rule := AsRuleError(err); b != nil || rule == nil || rule.Kind != Malformed {
				t.Fatalf("%v with %v", err, b)
			}
			return
		}
		if got := b.Bytes(); !bytes.Equal(got, raw) || b.Size() != len(raw) {
			t.Fatalf("%x is encoded as %x", raw, got)
		}
		if s.p.MaxWeight < b.Weight() {
			return
		}
		for range 2 { // as it is, and with a root that fits, which leads further
			if err := s.judge(b); err != nil && AsRuleError(err) == nil {
				t.Fatalf("%v blames us", err)
			}
			reroot(b)
		}
	})
}

func FuzzDecodeUndo(f *testing.F) {
	f.Add((&Undo{}).Append(nil))
	f.Add((&Undo{Spent: []Coin{{Value: 5, Key: publicKey(1), Height: 77, Coinbase: true}, {}}}).Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := DecodeUndo(raw)
		if err != nil {
			if u != nil || AsRuleError(err) != nil {
				t.Fatalf("%v with %v", err, u)
			}
			return
		}
		if got := u.Append(nil); !bytes.Equal(got, raw) {
			t.Fatalf("%x is encoded as %x", raw, got)
		}
	})
}
