package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Hash types of a signature (BIP341). SigHashDefault signs what SigHashAll
// does, and is written by leaving the type out.
const (
	SigHashDefault      = 0x00
	SigHashAll          = 0x01
	SigHashNone         = 0x02
	SigHashSingle       = 0x03
	SigHashAnyOneCanPay = 0x80 // added to one of the three before
)

// SigHash returns the 32-byte message that the key of an input signs: BIP341's
// signature message for the key path, without annex. spent are the outputs
// that the transaction's inputs spend, one per input. The RuleErrors are
// bad-sig-hashtype (S7) and bad-sig-single (S8); any other is the caller's.
func SigHash(tx *Tx, input int, spent []TxOut, hashType byte) ([32]byte, error) {
	h, err := NewSigHasher(tx, spent)
	if err != nil {
		return [32]byte{}, err
	}
	return h.Hash(input, hashType)
}

// SigHasher makes the messages of one transaction's inputs. What they share is
// hashed once, so that the work is linear in the transaction's size.
type SigHasher struct {
	tx        *Tx
	spent     []TxOut
	tag       [32]byte
	prevouts  [32]byte
	amounts   [32]byte
	scripts   [32]byte
	sequences [32]byte
	outputs   [32]byte
}

// NewSigHasher hashes what all inputs share. spent must have one output per
// input.
func NewSigHasher(tx *Tx, spent []TxOut) (*SigHasher, error) {
	if len(spent) != len(tx.Inputs) {
		return nil, fmt.Errorf("a transaction with %d inputs spends %d outputs", len(tx.Inputs), len(spent))
	}
	h := &SigHasher{tx: tx, spent: spent, tag: sha256.Sum256([]byte("TapSighash"))}
	b := make([]byte, 0, tx.StrippedSize()) // holds any of the five
	for i := range tx.Inputs {
		b = tx.Inputs[i].PrevOut.append(b)
	}
	h.prevouts, b = sha256.Sum256(b), b[:0]
	for i := range spent {
		b = binary.LittleEndian.AppendUint64(b, uint64(spent[i].Value))
	}
	h.amounts, b = sha256.Sum256(b), b[:0]
	for i := range spent {
		b = appendBytes(b, spent[i].Script)
	}
	h.scripts, b = sha256.Sum256(b), b[:0]
	for i := range tx.Inputs {
		b = binary.LittleEndian.AppendUint32(b, tx.Inputs[i].Sequence)
	}
	h.sequences, b = sha256.Sum256(b), b[:0]
	for i := range tx.Outputs {
		b = tx.Outputs[i].append(b)
	}
	h.outputs = sha256.Sum256(b)
	return h, nil
}

// Hash returns the message of one input, as SigHash does.
func (h *SigHasher) Hash(input int, hashType byte) ([32]byte, error) {
	msg := make([]byte, 0, 2*sha256.Size+1+sigMsgSize)
	msg = append(append(msg, h.tag[:]...), h.tag[:]...)
	msg = append(msg, 0) // epoch
	msg, err := h.appendMessage(msg, input, hashType)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(msg), nil
}

// sigMsgSize is the length in bytes of BIP341's longest message that spends
// P2TR outputs: SIGHASH_ALL commits to five hashes.
const sigMsgSize = 1 + 4 + 4 + 5*sha256.Size + 1 + 4

// appendMessage appends BIP341's SigMsg with ext_flag 0.
func (h *SigHasher) appendMessage(msg []byte, input int, hashType byte) ([]byte, error) {
	if input < 0 || input >= len(h.tx.Inputs) {
		return nil, fmt.Errorf("input %d of a transaction with %d inputs", input, len(h.tx.Inputs))
	}
	base, alone := hashType&0x03, hashType&SigHashAnyOneCanPay != 0
	if hashType&^0x83 != 0 || alone && base == 0 {
		return nil, invalid(ErrSigHashType, fmt.Sprintf("input %d: hash type %#02x", input, hashType)) // S7
	}
	if base == SigHashSingle && input >= len(h.tx.Outputs) {
		return nil, invalid(ErrSigSingle, fmt.Sprintf("input %d signs output %d of %d", input, input, len(h.tx.Outputs))) // S8
	}
	msg = append(msg, hashType)
	msg = binary.LittleEndian.AppendUint32(msg, h.tx.Version)
	msg = binary.LittleEndian.AppendUint32(msg, h.tx.LockTime)
	if !alone {
		msg = append(msg, h.prevouts[:]...)
		msg = append(msg, h.amounts[:]...)
		msg = append(msg, h.scripts[:]...)
		msg = append(msg, h.sequences[:]...)
	}
	if base <= SigHashAll {
		msg = append(msg, h.outputs[:]...)
	}
	msg = append(msg, 0) // spend type: key path, no annex
	if alone {
		in, out := &h.tx.Inputs[input], &h.spent[input]
		msg = in.PrevOut.append(msg)
		msg = binary.LittleEndian.AppendUint64(msg, uint64(out.Value))
		msg = appendBytes(msg, out.Script)
		msg = binary.LittleEndian.AppendUint32(msg, in.Sequence)
	} else {
		msg = binary.LittleEndian.AppendUint32(msg, uint32(input))
	}
	if base == SigHashSingle {
		single := sha256.Sum256(h.tx.Outputs[input].append(nil))
		msg = append(msg, single[:]...)
	}
	return msg, nil
}
