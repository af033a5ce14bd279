package consensus

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// wantRule fails unless err is a RuleError of this code and kind; an empty code
// wants no error.
func wantRule(t testing.TB, err error, code Code, kind Kind) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	rule := AsRuleError(err)
	if rule == nil {
		t.Errorf("got %v, want %s (%s)", err, code, kind)
		return
	}
	if rule.Code != code || rule.Kind != kind {
		t.Errorf("got %v (%s), want %s (%s)", err, rule.Kind, code, kind)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustTx(t testing.TB, s string) *Tx {
	t.Helper()
	tx, err := DecodeTx(unhex(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// privateKey is the n-th test key.
func privateKey(n int) *btcec.PrivateKey {
	var b [32]byte
	binary.BigEndian.PutUint64(b[24:], uint64(n)+1)
	key, _ := btcec.PrivKeyFromBytes(b[:])
	return key
}

func publicKey(n int) [KeySize]byte {
	return [KeySize]byte(schnorr.SerializePubKey(privateKey(n).PubKey()))
}

// pay is an output to the n-th test key.
func pay(value int64, n int) TxOut { return TxOut{value, PayToKey(publicKey(n))} }

// data is an OP_RETURN output with one direct push.
func data(text string) TxOut {
	return TxOut{Script: append([]byte{opReturn, byte(len(text))}, text...)}
}

// txid makes distinct hashes.
func txid(n int) Hash {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	return DoubleSHA256(b[:])
}

// loose is an unsigned transaction that spends the outputs 0 of txid(n) and
// breaks no rule of CheckTx.
func loose(inputs ...int) *Tx {
	tx := &Tx{Version: 2, Outputs: []TxOut{pay(1_000, 0)}}
	for _, n := range inputs {
		tx.Inputs = append(tx.Inputs, TxIn{PrevOut: OutPoint{txid(n), 0}, Sequence: finalSequence})
	}
	return tx
}

// sign signs every input with the key of the coin's number in keys.
func sign(t testing.TB, tx *Tx, coins []Coin, keys []int, hashType byte) {
	t.Helper()
	h, err := NewSigHasher(tx, txOuts(coins))
	if err != nil {
		t.Fatal(err)
	}
	for i := range tx.Inputs {
		msg, err := h.Hash(i, hashType)
		if err != nil {
			t.Fatal(err)
		}
		tx.Inputs[i].Witness = [][]byte{signMessage(t, keys[i], msg, hashType)}
	}
}

// signMessage is the witness item of key n.
func signMessage(t testing.TB, n int, msg [32]byte, hashType byte) []byte {
	t.Helper()
	sig, err := schnorr.Sign(privateKey(n), msg[:])
	if err != nil {
		t.Fatal(err)
	}
	item := sig.Serialize()
	if hashType != SigHashDefault {
		item = append(item, hashType)
	}
	return item
}

// coinbaseTx pays the outputs at a height.
func coinbaseTx(height uint32, outs ...TxOut) *Tx {
	script := append(CoinbaseHeightScript(height), 0) // a height opcode alone is too short
	return &Tx{
		Version: 2,
		Inputs:  []TxIn{{PrevOut: OutPoint{Index: nullIndex}, ScriptSig: script, Sequence: finalSequence}},
		Outputs: outs,
	}
}

// seal commits the coinbase to the witnesses and the header to the txids.
func seal(b *Block) *Block {
	b.Txs[0].Inputs[0].Witness = [][]byte{make([]byte, ReservedSize)}
	out := TxOut{Script: CommitmentScript(WitnessRoot(b), [ReservedSize]byte{})}
	b.Txs[0].Outputs = append(b.Txs[0].Outputs, out)
	return reroot(b)
}

// reroot makes the header fit the transactions again.
func reroot(b *Block) *Block {
	b.Header.MerkleRoot, _ = b.MerkleRoot()
	return b
}

// clone returns a copy that shares nothing.
func cloneTx(t testing.TB, tx *Tx) *Tx {
	t.Helper()
	c, err := DecodeTx(tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cloneBlock(t testing.TB, b *Block) *Block {
	t.Helper()
	c, err := DecodeBlock(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
