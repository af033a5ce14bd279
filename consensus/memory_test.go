package consensus

import (
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// costlyTxs are transactions of the shapes that cost the most memory for their
// length. The counts lie where a map has just doubled.
func costlyTxs() map[string]*Tx {
	tx := func(inputs, items, itemSize, outputs int, out TxOut) *Tx {
		tx := &Tx{Version: 2}
		for i := range inputs {
			in := TxIn{PrevOut: OutPoint{txid(i), 0}, Sequence: finalSequence}
			for range items {
				in.Witness = append(in.Witness, make([]byte, itemSize))
			}
			tx.Inputs = append(tx.Inputs, in)
		}
		for range outputs {
			tx.Outputs = append(tx.Outputs, out)
		}
		return tx
	}
	const doubled = 1<<14*7/8 + 1
	return map[string]*Tx{
		"inputs without witness":  tx(doubled, 0, 0, 1, data("x")),
		"inputs with empty items": tx(doubled, cheapItems, 0, 1, data("x")),
		"inputs with signatures":  tx(doubled/2+1, 1, 64, 1, data("x")),
		"short items":             tx(1, 1<<18, minItemSize-1, 1, data("x")),
		"one long item":           tx(1, 1, 1<<20, 1, data("x")),
		"payments":                tx(1, 0, 0, doubled, pay(1, 1)),
		"empty scripts":           tx(1, 0, 0, 1<<17, TxOut{}),
		"inputs and payments":     tx(doubled/2+1, 0, 0, doubled/2+1, pay(1, 1)),
	}
}

func TestTransactionsCostMemoryInProportion(t *testing.T) {
	for name, tx := range costlyTxs() {
		raw := tx.Bytes()
		frugal.Call(t, "DecodeTx: "+name, len(raw), func() { DecodeTx(raw) })
		frugal.Call(t, "CheckTx: "+name, len(raw), func() { CheckTx(Regtest(), tx) })
		coins := make([]Coin, len(tx.Inputs))
		frugal.Call(t, "CheckSignatures: "+name, len(raw), func() { CheckSignatures(tx, coins) })
	}
}

func TestBlocksCostMemoryInProportion(t *testing.T) {
	blocks := map[string]*Block{}
	for name, tx := range costlyTxs() {
		blocks[name] = &Block{Txs: []*Tx{coinbaseTx(sceneHeight + 1), tx}}
	}
	payments, empty := &Block{Txs: []*Tx{coinbaseTx(sceneHeight + 1)}}, &Block{}
	for i := range 1<<13*7/8 + 1 {
		payments.Txs = append(payments.Txs, loose(i))
	}
	for range 1 << 17 {
		empty.Txs = append(empty.Txs, &Tx{})
	}
	blocks["payments of one input"], blocks["empty transactions"] = payments, empty
	p, parent := Regtest(), chainOf(sceneHeight, sceneSpacing)
	for name, b := range blocks {
		if name != "empty transactions" {
			seal(b)
		}
		raw := b.Bytes()
		frugal.Call(t, "DecodeBlock: "+name, len(raw), func() { DecodeBlock(raw) })
		frugal.Call(t, "CheckBlock: "+name, len(raw), func() { CheckBlock(p, b) })
		if name == "empty transactions" {
			continue // CheckBlock refuses them
		}
		frugal.Call(t, "CheckBlockContext: "+name, len(raw), func() { CheckBlockContext(p, parent, b) })
		coins := map[OutPoint]Coin{}
		var prevouts []OutPoint
		frugal.Call(t, "Prevouts: "+name, len(raw), func() { prevouts = Prevouts(b) })
		for _, op := range prevouts {
			coins[op] = Coin{Value: UnitsPerCoin, Height: 1}
		}
		var d *Delta
		var err error
		frugal.Call(t, "ApplyBlock: "+name, len(raw), func() { d, err = ApplyBlock(p, parent, b, coins) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		frugal.Call(t, "RevertBlock: "+name, len(raw), func() { RevertBlock(b, sceneHeight+1, &d.Undo) })
	}
}
