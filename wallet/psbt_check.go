package wallet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/kapok-chain/kapok/consensus"
)

// The psbt package keeps fields that it does not know without a look at them,
// and wants the unsigned transaction first, which BIP174 does not. What BIP370
// and BIP373 demand beyond it is judged here.

// Field types (BIP174, BIP370, BIP373).
const (
	txField            = 0x00 // global: the unsigned transaction; of an input: the one that it spends
	globalVersion      = 0xfb
	inputParticipants  = 0x1a
	inputPubNonce      = 0x1b
	inputPartialSig    = 0x1c
	outputParticipants = 0x08

	pubKeySize     = 33
	pubNonceSize   = 66
	partialSigSize = 32
	leafHashSize   = 32

	maxCoinScript = 252 // bytes, of what an input spends: no standard script has more than 42
)

// Fields that only version 2 may have (BIP370).
const (
	globalV2, inputV2, outputV2 = "\x02\x03\x04\x05\x06", "\x0e\x0f\x10\x11\x12", "\x03\x04"
)

// unsignedTxFirst moves the unsigned transaction to the front of the global map, and looks at
// all transactions: the package makes room for as many inputs and outputs as they claim.
// It refuses types of more than one byte, which BIP174 has but nobody uses: the
// package forgets their other bytes.
func unsignedTxFirst(raw []byte) ([]byte, error) {
	const (
		magic       = "psbt\xff"
		maxTypeByte = 0xfc // of a compact size in one byte
	)
	r := bytes.NewReader(raw)
	if _, err := r.Seek(int64(len(magic)), io.SeekStart); err != nil {
		return nil, err
	}
	first := raw
	maps, inputs := 0, 0 // that were read, the global one first; of inputs, behind it
	for found := false; r.Len() > 0; {
		start := len(raw) - r.Len()
		key, err := readField(r, raw, psbt.MaxPsbtKeyLength)
		if err != nil {
			return nil, err
		}
		if len(key) == 0 {
			maps++
			if !found {
				return nil, errors.New("no unsigned transaction in it, as in version 2: version 0 is what this program reads")
			}
			continue
		}
		if key[0] > maxTypeByte {
			return nil, errors.New("a field's type has more than one byte")
		}
		value, err := readField(r, raw, psbt.MaxPsbtValueLength)
		if err != nil {
			return nil, err
		}
		if maps > inputs || !bytes.Equal(key, []byte{txField}) {
			continue
		}
		tx, err := consensus.DecodeTx(value)
		switch {
		case err != nil:
			return nil, err
		case maps > 0: // an input's
			continue
		case found:
			return nil, errors.New("there are two unsigned transactions in it")
		}
		found, inputs = true, len(tx.Inputs)
		end := len(raw) - r.Len()
		first = bytes.Join([][]byte{raw[:len(magic)], raw[start:end], raw[len(magic):start], raw[end:]}, nil)
	}
	return first, nil
}

// readField reads a key or a value, of at most so many bytes, where r stands in raw. No
// memory is taken for what is only claimed.
func readField(r *bytes.Reader, raw []byte, most uint64) ([]byte, error) {
	n, err := wire.ReadVarInt(r, 0)
	if err != nil {
		return nil, err
	}
	if n > min(most, uint64(r.Len())) {
		return nil, fmt.Errorf("a field of %d bytes, where %d are left and %d allowed", n, r.Len(), most)
	}
	at := len(raw) - r.Len()
	_, err = r.Seek(int64(n), io.SeekCurrent)
	return raw[at : at+int(n)], err
}

// checkPacket judges the fields that the psbt package took without a look.
func checkPacket(p *psbt.Packet) error {
	for _, u := range p.Unknowns {
		if u.Key[0] == globalVersion && (len(u.Key) != 1 || len(u.Value) != 4 || binary.LittleEndian.Uint32(u.Value) != 0) {
			return badPSBT("its version is not 0")
		}
	}
	if err := checkFields(p.Unknowns, globalV2, nil); err != nil {
		return err
	}
	for i := range p.Inputs {
		prev, from := p.UnsignedTx.TxIn[i].PreviousOutPoint, p.Inputs[i].NonWitnessUtxo
		if from != nil && (from.TxHash() != prev.Hash || uint64(prev.Index) >= uint64(len(from.TxOut))) {
			return badPSBT("input %d does not spend the transaction that it names", i)
		}
		// The package takes the script's length for one byte.
		if utxo := p.Inputs[i].WitnessUtxo; utxo != nil && len(utxo.PkScript) > maxCoinScript {
			return badPSBT("input %d spends a script of %d bytes, more than %d", i, len(utxo.PkScript), maxCoinScript)
		}
		if err := checkFields(p.Inputs[i].Unknowns, inputV2, checkMuSigInput); err != nil {
			return err
		}
	}
	for i := range p.Outputs {
		if err := checkFields(p.Outputs[i].Unknowns, outputV2, checkMuSigOutput); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(fields []*psbt.Unknown, version2 string, check func(kind byte, key, value []byte) bool) error {
	seen := map[string]bool{}
	for _, f := range fields {
		switch kind := f.Key[0]; {
		case bytes.IndexByte([]byte(version2), kind) >= 0:
			return badPSBT("field %#02x belongs to version 2", kind)
		case seen[string(f.Key)]:
			return badPSBT("field %#02x is in it twice", kind)
		case check != nil && !check(kind, f.Key[1:], f.Value):
			return badPSBT("MuSig2 field %#02x is malformed", kind)
		}
		seen[string(f.Key)] = true
	}
	return nil
}

func checkMuSigInput(kind byte, key, value []byte) bool {
	switch kind {
	case inputParticipants:
		return isPubKeys(key, 1) && isPubKeys(value, len(value)/pubKeySize)
	case inputPubNonce:
		return isMuSigKey(key) && len(value) == pubNonceSize
	case inputPartialSig:
		return isMuSigKey(key) && len(value) == partialSigSize
	}
	return true
}

func checkMuSigOutput(kind byte, key, value []byte) bool {
	return kind != outputParticipants || isPubKeys(key, 1) && isPubKeys(value, len(value)/pubKeySize)
}

// isMuSigKey wants a participant's key, the aggregate, and perhaps a leaf hash.
func isMuSigKey(key []byte) bool {
	n := len(key)
	return (n == 2*pubKeySize || n == 2*pubKeySize+leafHashSize) && isPubKeys(key[:2*pubKeySize], 2)
}

// isPubKeys reports whether b is n compressed public keys, at least one.
func isPubKeys(b []byte, n int) bool {
	if n == 0 || len(b) != n*pubKeySize {
		return false
	}
	for ; len(b) > 0; b = b[pubKeySize:] {
		if _, err := btcec.ParsePubKey(b[:pubKeySize]); err != nil {
			return false
		}
	}
	return true
}
