package consensus

import (
	"encoding/binary"
	"fmt"
)

// Decoder reads the wire format from the front of a message. The first error
// sticks, and from then on every read returns zero values. All errors are
// RuleErrors of kind Malformed.
type Decoder struct {
	rest []byte
	err  error
}

// NewDecoder returns a decoder of b, which it does not change.
func NewDecoder(b []byte) *Decoder { return &Decoder{rest: b} }

// Err is the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// Len is how many bytes are left.
func (d *Decoder) Len() int { return len(d.rest) }

// Fail ends the decoding with an error, where there is none yet.
func (d *Decoder) Fail(code Code, detail string) {
	if d.err == nil {
		d.err = malformed(code, detail)
	}
	d.rest = nil
}

// Finish returns the first error; bytes that are left are one.
func (d *Decoder) Finish() error {
	if d.err == nil && len(d.rest) > 0 {
		d.Fail(ErrDecodeTrailing, fmt.Sprintf("%d bytes after the end", len(d.rest)))
	}
	return d.err
}

// Take reads n bytes, which stay part of the message.
func (d *Decoder) Take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.rest) {
		d.Fail(ErrDecodeTruncated, fmt.Sprintf("%d bytes wanted, %d left", n, len(d.rest)))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// Uint32 reads four bytes, the least significant first.
func (d *Decoder) Uint32() uint32 {
	if b := d.Take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads eight bytes, the least significant first.
func (d *Decoder) Uint64() uint64 {
	if b := d.Take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// CompactSize reads Bitcoin's variable-length integer and refuses every encoding
// but the shortest.
func (d *Decoder) CompactSize() uint64 {
	first := d.Take(1)
	if first == nil {
		return 0
	}
	var n, least uint64
	switch first[0] {
	case 0xfd:
		if b := d.Take(2); b != nil {
			n, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
		}
	case 0xfe:
		n, least = uint64(d.Uint32()), 0x10000
	case 0xff:
		n, least = d.Uint64(), 0x100000000
	default:
		return uint64(first[0])
	}
	if d.err == nil && n < least {
		d.Fail(ErrDecodeCompactSize, fmt.Sprintf("%d is not in its shortest form", n))
		return 0
	}
	return n
}

// Count reads the number of items that follow, each of at least minSize bytes.
// A count that the bytes left cannot hold is refused before anything is
// allocated for it.
func (d *Decoder) Count(minSize int) int {
	n := d.CompactSize()
	if n > uint64(len(d.rest)/minSize) {
		d.Fail(ErrDecodeCount, fmt.Sprintf("%d items cannot fit into the %d bytes left", n, len(d.rest)))
		return 0
	}
	return int(n)
}

// Bytes reads a length and a copy of as many bytes, so that what is kept does
// not hold the whole message in memory.
func (d *Decoder) Bytes() []byte { return append([]byte(nil), d.item()...) }

// item reads a length and as many bytes, which stay part of the message.
func (d *Decoder) item() []byte {
	n := d.CompactSize()
	if d.err == nil && n > uint64(len(d.rest)) {
		d.Fail(ErrDecodeTruncated, fmt.Sprintf("%d bytes wanted, %d left", n, len(d.rest)))
	}
	return d.Take(int(n))
}
