package chaintest

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/consensus"
)

// Coins is one coin in units.
const Coins = consensus.UnitsPerCoin

// Coin is an output that a test spends.
type Coin struct {
	consensus.OutPoint
	consensus.Coin
}

// Output is one output of a payment.
type Output struct {
	Name  string // of the key that receives
	Value int64  // units
	Data  []byte // where not nil: an OP_RETURN output with this push, up to 75 bytes
}

// To pays so many units to the named key.
func To(name string, value int64) Output { return Output{Name: name, Value: value} }

// Data carries up to 75 bytes.
func Data(b []byte) Output { return Output{Data: b} }

// From gathers the coins to spend.
func From(coins ...Coin) []Coin { return coins }

// Secret returns the named private key, which follows from the name alone.
func (c *Chain) Secret(name string) *btcec.PrivateKey {
	if key, ok := c.keys[name]; ok {
		return key
	}
	seed := sha256.Sum256([]byte("kapok chaintest key: " + name))
	key, pub := btcec.PrivKeyFromBytes(seed[:])
	c.keys[name] = key
	c.outputKeys[name] = [consensus.KeySize]byte(schnorr.SerializePubKey(pub))
	c.owners[c.outputKeys[name]] = name
	return key
}

// Key returns the named output key.
func (c *Chain) Key(name string) [consensus.KeySize]byte {
	c.Secret(name)
	return c.outputKeys[name]
}

// Coinbase returns the first output of the named block's coinbase.
func (c *Chain) Coinbase(block string) Coin {
	c.t.Helper()
	e := c.entry(block)
	coin := c.Out(e.block.Txs[0], 0)
	coin.Height, coin.Coinbase = e.index.Height, true
	return coin
}

// Out returns an output of a transaction that pays to a key. Its height is 0:
// the transaction may be in no block yet.
func (c *Chain) Out(tx *consensus.Tx, index uint32) Coin {
	c.t.Helper()
	if uint64(index) >= uint64(len(tx.Outputs)) {
		c.t.Fatalf("chaintest: the transaction has %d outputs, no number %d", len(tx.Outputs), index)
	}
	out := tx.Outputs[index]
	key, ok := consensus.OutputKey(out.Script)
	if !ok {
		c.t.Fatalf("chaintest: output %d pays to no key", index)
	}
	return Coin{
		OutPoint: consensus.OutPoint{TxID: tx.TxID(), Index: index},
		Coin:     consensus.Coin{Value: out.Value, Key: key},
	}
}

// Pay returns a signed transaction. What the coins hold above the outputs is its
// fee.
func (c *Chain) Pay(from []Coin, to ...Output) *consensus.Tx {
	c.t.Helper()
	return c.Sign(c.Unsigned(from, to...), from, consensus.SigHashDefault)
}

// Unsigned returns what Pay signs: version 2, all sequences final.
func (c *Chain) Unsigned(from []Coin, to ...Output) *consensus.Tx {
	tx := &consensus.Tx{Version: 2}
	for _, coin := range from {
		tx.Inputs = append(tx.Inputs, consensus.TxIn{PrevOut: coin.OutPoint, Sequence: 0xffffffff})
	}
	for _, o := range to {
		script := append([]byte{0x6a, byte(len(o.Data))}, o.Data...)
		if o.Data == nil {
			script = consensus.PayToKey(c.Key(o.Name))
		}
		tx.Outputs = append(tx.Outputs, consensus.TxOut{Value: o.Value, Script: script})
	}
	return tx
}

// Sign signs all inputs of tx, which spend these coins, and returns tx. It is
// to be called again when anything but the witness changed.
func (c *Chain) Sign(tx *consensus.Tx, from []Coin, hashType byte) *consensus.Tx {
	c.t.Helper()
	spent := make([]consensus.TxOut, len(from))
	for i := range from {
		spent[i] = from[i].TxOut()
	}
	hasher, err := consensus.NewSigHasher(tx, spent)
	if err != nil {
		c.t.Fatalf("chaintest: %v", err)
	}
	for i := range from {
		name, ok := c.owners[from[i].Key]
		if !ok {
			c.t.Fatalf("chaintest: nobody here owns the key of input %d", i)
		}
		msg, err := hasher.Hash(i, hashType)
		if err != nil {
			c.t.Fatalf("chaintest: input %d: %v", i, err)
		}
		sig, err := schnorr.Sign(c.keys[name], msg[:])
		if err != nil {
			c.t.Fatalf("chaintest: input %d: %v", i, err)
		}
		item := sig.Serialize()
		if hashType != consensus.SigHashDefault {
			item = append(item, hashType)
		}
		tx.Inputs[i].Witness = [][]byte{item}
	}
	c.learn(tx)
	return tx
}

// Fee is what tx leaves to the miner, in units; 0 where it spends an output that
// the chain does not know, or more than it has.
func (c *Chain) Fee(tx *consensus.Tx) int64 {
	var fee int64
	for i := range tx.Inputs {
		out, ok := c.outputs[tx.Inputs[i].PrevOut]
		if !ok {
			return 0
		}
		fee += out.Value
	}
	for i := range tx.Outputs {
		fee -= tx.Outputs[i].Value
	}
	return max(fee, 0)
}
