package consensus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The wire format is BIP144's. Decoders take the whole message, accept exactly
// one encoding of each value, and allocate in proportion to the bytes present,
// whatever a count claims. No limit here is stricter than the block weight.

const (
	segwitMarker = 0x00 // stands where the input count of a stripped tx would
	segwitFlag   = 0x01

	minTxInSize  = 41 // outpoint 36, empty scriptSig 1, sequence 4
	minTxOutSize = 9  // value 8, empty script 1
	minTxSize    = 10 // version 4, two empty counts, lock time 4
)

// AppendCompactSize appends Bitcoin's variable-length integer.
func AppendCompactSize(b []byte, n uint64) []byte {
	switch {
	case n < 0xfd:
		return append(b, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(n))
	case n <= 0xffffffff:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xff), n)
}

func compactSizeLen(n int) int {
	switch {
	case n < 0xfd:
		return 1
	case n <= 0xffff:
		return 3
	case n <= 0xffffffff:
		return 5
	}
	return 9
}

func appendBytes(b, item []byte) []byte {
	return append(AppendCompactSize(b, uint64(len(item))), item...)
}

// Append appends the BIP144 serialization: with witness where there is one.
func (tx *Tx) Append(b []byte) []byte { return tx.append(b, tx.HasWitness()) }

// AppendStripped appends the serialization without witness.
func (tx *Tx) AppendStripped(b []byte) []byte { return tx.append(b, false) }

// Bytes returns the BIP144 serialization.
func (tx *Tx) Bytes() []byte { return tx.Append(make([]byte, 0, tx.Size())) }

func (tx *Tx) append(b []byte, witness bool) []byte {
	b = binary.LittleEndian.AppendUint32(b, tx.Version)
	if witness {
		b = append(b, segwitMarker, segwitFlag)
	}
	b = AppendCompactSize(b, uint64(len(tx.Inputs)))
	for i := range tx.Inputs {
		in := &tx.Inputs[i]
		b = in.PrevOut.append(b)
		b = appendBytes(b, in.ScriptSig)
		b = binary.LittleEndian.AppendUint32(b, in.Sequence)
	}
	b = AppendCompactSize(b, uint64(len(tx.Outputs)))
	for i := range tx.Outputs {
		b = tx.Outputs[i].append(b)
	}
	if witness {
		for i := range tx.Inputs {
			b = AppendCompactSize(b, uint64(len(tx.Inputs[i].Witness)))
			for _, item := range tx.Inputs[i].Witness {
				b = appendBytes(b, item)
			}
		}
	}
	return binary.LittleEndian.AppendUint32(b, tx.LockTime)
}

func (out *TxOut) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(out.Value))
	return appendBytes(b, out.Script)
}

// StrippedSize is the length of the serialization without witness, in bytes.
func (tx *Tx) StrippedSize() int {
	size := 4 + compactSizeLen(len(tx.Inputs)) + compactSizeLen(len(tx.Outputs)) + 4
	for i := range tx.Inputs {
		n := len(tx.Inputs[i].ScriptSig)
		size += 36 + compactSizeLen(n) + n + 4
	}
	for i := range tx.Outputs {
		n := len(tx.Outputs[i].Script)
		size += 8 + compactSizeLen(n) + n
	}
	return size
}

// Size is the length of the BIP144 serialization in bytes.
func (tx *Tx) Size() int {
	size := tx.StrippedSize()
	if !tx.HasWitness() {
		return size
	}
	size += 2 // marker and flag
	for i := range tx.Inputs {
		size += compactSizeLen(len(tx.Inputs[i].Witness))
		for _, item := range tx.Inputs[i].Witness {
			size += compactSizeLen(len(item)) + len(item)
		}
	}
	return size
}

// DecodeTx reads exactly one transaction.
func DecodeTx(b []byte) (*Tx, error) {
	d := NewDecoder(b)
	tx := decodeTx(d)
	if err := d.Finish(); err != nil {
		return nil, err
	}
	return tx, nil
}

// Append appends header, transaction count and transactions to buf.
func (b *Block) Append(buf []byte) []byte {
	buf = b.Header.Append(buf)
	buf = AppendCompactSize(buf, uint64(len(b.Txs)))
	for _, tx := range b.Txs {
		buf = tx.Append(buf)
	}
	return buf
}

// Bytes returns the serialized block.
func (b *Block) Bytes() []byte { return b.Append(make([]byte, 0, b.Size())) }

// Size is the length of the serialized block in bytes.
func (b *Block) Size() int {
	size := HeaderSize + compactSizeLen(len(b.Txs))
	for _, tx := range b.Txs {
		size += tx.Size()
	}
	return size
}

// StrippedSize is the length of the block serialized without witnesses.
func (b *Block) StrippedSize() int {
	size := HeaderSize + compactSizeLen(len(b.Txs))
	for _, tx := range b.Txs {
		size += tx.StrippedSize()
	}
	return size
}

// DecodeBlock reads exactly one block. The caller bounds len(b): no message
// longer than the network's block weight needs to be read at all.
func DecodeBlock(b []byte) (*Block, error) {
	d := NewDecoder(b)
	head := d.Take(HeaderSize)
	if d.err != nil {
		return nil, d.err
	}
	header, err := DecodeHeader(head)
	if err != nil {
		return nil, err
	}
	block := &Block{Header: header, Txs: make([]*Tx, d.Count(minTxSize))}
	for i := range block.Txs {
		if block.Txs[i] = decodeTx(d); d.err != nil {
			return nil, d.err
		}
	}
	if err := d.Finish(); err != nil {
		return nil, err
	}
	return block, nil
}

func decodeTx(d *Decoder) *Tx {
	tx := &Tx{Version: d.Uint32()}
	witness := false
	if len(d.rest) >= 2 && d.rest[0] == segwitMarker {
		// As in Core: a zero input count is the marker; the flag follows. A
		// stripped transaction without inputs and outputs ("00 00") decodes,
		// so that the rules can name what is wrong with it.
		switch flag := d.rest[1]; flag {
		case segwitFlag:
			witness = true
			d.Take(2)
		case 0:
		default:
			d.Fail(ErrDecodeFlag, fmt.Sprintf("witness flag %#02x, not 0x01", flag))
			return nil
		}
	}
	tx.Inputs = make([]TxIn, d.Count(minTxInSize))
	for i := range tx.Inputs {
		in := &tx.Inputs[i]
		copy(in.PrevOut.TxID[:], d.Take(HashSize))
		in.PrevOut.Index = d.Uint32()
		in.ScriptSig = d.Bytes()
		in.Sequence = d.Uint32()
	}
	tx.Outputs = make([]TxOut, d.Count(minTxOutSize))
	for i := range tx.Outputs {
		tx.Outputs[i].Value = int64(d.Uint64())
		tx.Outputs[i].Script = d.Bytes()
	}
	if witness {
		for i := range tx.Inputs {
			tx.Inputs[i].Witness = decodeWitness(d)
		}
		if d.err == nil && !tx.HasWitness() {
			d.Fail(ErrDecodeSuperfluous, "marked as having a witness, but every witness is empty")
		}
	}
	tx.LockTime = d.Uint32()
	if d.err != nil {
		return nil
	}
	return tx
}

// cheapItems is how many items of a witness may be as short as they like.
// Beyond them an item takes minItemSize bytes on average, with its length.
const (
	cheapItems  = 8
	minItemSize = 4
)

// decodeWitness reads the items of one input. An item costs 24 bytes of memory
// and may come as a single byte, so that their number is bounded by their bytes
// (rule E7), of which one copy is made.
func decodeWitness(d *Decoder) [][]byte {
	n := d.Count(1)
	if n == 0 {
		return nil
	}
	behind := d.rest
	for i := 0; i < n && d.err == nil; i++ {
		d.item()
	}
	if d.err != nil {
		return nil
	}
	raw := behind[:len(behind)-len(d.rest)]
	if n-cheapItems > len(raw)/minItemSize {
		d.Fail(ErrDecodeCount, fmt.Sprintf("%d witness items in %d bytes", n, len(raw)))
		return nil
	}
	items, from := make([][]byte, n), NewDecoder(bytes.Clone(raw))
	for i := range items {
		items[i] = from.item()
	}
	return items
}
