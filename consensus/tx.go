package consensus

import (
	"encoding/binary"
	"fmt"
)

// Money. One coin is 1 KPK.
const (
	UnitsPerCoin = 100_000_000
	// MaxMoney bounds every output and every sum (Bitcoin Core, amount.h).
	MaxMoney = 21_000_000 * UnitsPerCoin
)

// WitnessScale is BIP141's: a byte outside of the witness weighs four units.
const WitnessScale = 4

// OutPoint names one output of one transaction.
type OutPoint struct {
	TxID  Hash
	Index uint32
}

// nullIndex is the index of a coinbase's null outpoint.
const nullIndex = 0xffffffff

// IsNull reports whether this is the outpoint of a coinbase input.
func (o OutPoint) IsNull() bool { return o.Index == nullIndex && o.TxID.IsZero() }

// String returns txid:index.
func (o OutPoint) String() string { return fmt.Sprintf("%s:%d", o.TxID, o.Index) }

func (o OutPoint) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(b, o.TxID[:]...), o.Index)
}

// TxIn spends an output.
type TxIn struct {
	PrevOut   OutPoint
	ScriptSig []byte // empty, but in a coinbase
	Sequence  uint32
	Witness   [][]byte // one BIP340 signature; in a coinbase the reserved value
}

// TxOut creates value, locked to a key, or carries data (value 0).
type TxOut struct {
	Value  int64 // units, 10^8 to the coin
	Script []byte
}

// Tx is a transaction. It is not changed once it is handed to anyone.
type Tx struct {
	Version  uint32 // unsigned, from the wire to the rules (CVE-2024-34478)
	Inputs   []TxIn
	Outputs  []TxOut
	LockTime uint32
}

// IsCoinbase reports whether the transaction has the form of a coinbase: one
// input, which spends the null outpoint.
func (tx *Tx) IsCoinbase() bool {
	return len(tx.Inputs) == 1 && tx.Inputs[0].PrevOut.IsNull()
}

// HasWitness reports whether any input carries a witness item.
func (tx *Tx) HasWitness() bool {
	for i := range tx.Inputs {
		if len(tx.Inputs[i].Witness) > 0 {
			return true
		}
	}
	return false
}

// usualTx is the size in bytes up to which a transaction is serialized on the
// stack to be hashed: three inputs and three outputs, as most have no more.
const usualTx = 512

// TxID is the double SHA-256 of the serialization without witness.
func (tx *Tx) TxID() Hash { return tx.hash(tx.StrippedSize(), false) }

// WTxID is the double SHA-256 of the BIP144 serialization (BIP141).
func (tx *Tx) WTxID() Hash { return tx.hash(tx.Size(), tx.HasWitness()) }

func (tx *Tx) hash(size int, witness bool) Hash {
	var usual [usualTx]byte
	b := usual[:0]
	if size > usualTx {
		b = make([]byte, 0, size)
	}
	return DoubleSHA256(tx.append(b, witness))
}

// Weight is BIP141's: three times the stripped size plus the full size, in
// weight units.
func (tx *Tx) Weight() int { return (WitnessScale-1)*tx.StrippedSize() + tx.Size() }

// VSize is the weight in virtual bytes, rounded up.
func (tx *Tx) VSize() int { return (tx.Weight() + WitnessScale - 1) / WitnessScale }
