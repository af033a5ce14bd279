package consensus

import (
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
	d := decoder{rest: b}
	tx := d.tx()
	if err := d.finish(); err != nil {
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
	d := decoder{rest: b}
	head := d.take(HeaderSize)
	if d.err != nil {
		return nil, d.err
	}
	header, err := DecodeHeader(head)
	if err != nil {
		return nil, err
	}
	block := &Block{Header: header, Txs: make([]*Tx, d.count(minTxSize))}
	for i := range block.Txs {
		if block.Txs[i] = d.tx(); d.err != nil {
			return nil, d.err
		}
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return block, nil
}

// decoder reads from the front of rest. The first error sticks, and from then
// on every read returns zero values.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(code Code, detail string) {
	if d.err == nil {
		d.err = malformed(code, detail)
	}
	d.rest = nil
}

func (d *decoder) finish() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail(ErrDecodeTrailing, fmt.Sprintf("%d bytes after the end", len(d.rest)))
	}
	return d.err
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.rest) {
		d.fail(ErrDecodeTruncated, fmt.Sprintf("%d bytes wanted, %d left", n, len(d.rest)))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// compactSize refuses every encoding but the shortest.
func (d *decoder) compactSize() uint64 {
	first := d.take(1)
	if first == nil {
		return 0
	}
	var n, least uint64
	switch first[0] {
	case 0xfd:
		if b := d.take(2); b != nil {
			n, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
		}
	case 0xfe:
		n, least = uint64(d.uint32()), 0x10000
	case 0xff:
		n, least = d.uint64(), 0x100000000
	default:
		return uint64(first[0])
	}
	if d.err == nil && n < least {
		d.fail(ErrDecodeCompactSize, fmt.Sprintf("%d is not in its shortest form", n))
		return 0
	}
	return n
}

// count reads the number of items that follow, each of at least minSize bytes.
// A count that the bytes left cannot hold is refused before anything is
// allocated for it.
func (d *decoder) count(minSize int) int {
	n := d.compactSize()
	if n > uint64(len(d.rest)/minSize) {
		d.fail(ErrDecodeCount, fmt.Sprintf("%d items cannot fit into the %d bytes left", n, len(d.rest)))
		return 0
	}
	return int(n)
}

// bytes reads a length and a copy of as many bytes, so that what is kept does
// not hold the whole message in memory.
func (d *decoder) bytes() []byte {
	n := d.compactSize()
	if d.err == nil && n > uint64(len(d.rest)) {
		d.fail(ErrDecodeTruncated, fmt.Sprintf("%d bytes wanted, %d left", n, len(d.rest)))
	}
	if d.err != nil || n == 0 {
		return nil
	}
	return append([]byte(nil), d.take(int(n))...)
}

func (d *decoder) tx() *Tx {
	tx := &Tx{Version: d.uint32()}
	witness := false
	if len(d.rest) >= 2 && d.rest[0] == segwitMarker {
		// As in Core: a zero input count is the marker; the flag follows. A
		// stripped transaction without inputs and outputs ("00 00") decodes,
		// so that the rules can name what is wrong with it.
		switch flag := d.rest[1]; flag {
		case segwitFlag:
			witness = true
			d.take(2)
		case 0:
		default:
			d.fail(ErrDecodeFlag, fmt.Sprintf("witness flag %#02x, not 0x01", flag))
			return nil
		}
	}
	tx.Inputs = make([]TxIn, d.count(minTxInSize))
	for i := range tx.Inputs {
		in := &tx.Inputs[i]
		copy(in.PrevOut.TxID[:], d.take(HashSize))
		in.PrevOut.Index = d.uint32()
		in.ScriptSig = d.bytes()
		in.Sequence = d.uint32()
	}
	tx.Outputs = make([]TxOut, d.count(minTxOutSize))
	for i := range tx.Outputs {
		tx.Outputs[i].Value = int64(d.uint64())
		tx.Outputs[i].Script = d.bytes()
	}
	if witness {
		for i := range tx.Inputs {
			tx.Inputs[i].Witness = d.witness()
		}
		if d.err == nil && !tx.HasWitness() {
			d.fail(ErrDecodeSuperfluous, "marked as having a witness, but every witness is empty")
		}
	}
	tx.LockTime = d.uint32()
	if d.err != nil {
		return nil
	}
	return tx
}

func (d *decoder) witness() [][]byte {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	items := make([][]byte, 0, min(n, 4)) // one is the rule, and a count alone buys no memory
	for range n {
		items = append(items, d.bytes())
		if d.err != nil {
			return nil
		}
	}
	return items
}
