package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// KeySize is the length of an x-only public key (BIP340) in bytes.
const KeySize = 32

// Script opcodes that an output may begin with.
const (
	op1      = 0x51 // OP_1, witness version 1
	opReturn = 0x6a
	push32   = 0x20
)

// PayToKey returns the P2TR output script of an output key: OP_1 <32 bytes>.
func PayToKey(key [KeySize]byte) []byte {
	return append([]byte{op1, push32}, key[:]...)
}

// OutputKey returns the key of a P2TR output script, and false for any other.
func OutputKey(script []byte) (key [KeySize]byte, ok bool) {
	if len(script) != 2+KeySize || script[0] != op1 || script[1] != push32 {
		return key, false
	}
	return [KeySize]byte(script[2:]), true
}

// Coin is an unspent output. Only P2TR outputs become coins, so the key stands
// for the script.
type Coin struct {
	Value    int64
	Key      [KeySize]byte
	Height   uint32 // of the block that created it
	Coinbase bool
}

// TxOut returns the output that the coin was created from.
func (c *Coin) TxOut() TxOut { return TxOut{Value: c.Value, Script: PayToKey(c.Key)} }

// CoinSum summarizes a coin set: how many coins, what they are worth, and the
// sum of their hashes mod 2^256. Two nodes with the same coins have the same
// sum, in whatever order the coins came and went. It finds damage and compares
// nodes; it is no commitment, and one that a peer states proves nothing.
type CoinSum struct {
	Count uint64
	Value int64     // units
	Sum   [4]uint64 // least significant word first
}

// Add counts a coin in.
func (s *CoinSum) Add(op OutPoint, c *Coin) {
	s.Count++
	s.Value += c.Value
	h := coinHash(op, c)
	var carry uint64
	for i := range s.Sum {
		s.Sum[i], carry = bits.Add64(s.Sum[i], h[i], carry)
	}
}

// Remove counts a coin out.
func (s *CoinSum) Remove(op OutPoint, c *Coin) {
	s.Count--
	s.Value -= c.Value
	h := coinHash(op, c)
	var borrow uint64
	for i := range s.Sum {
		s.Sum[i], borrow = bits.Sub64(s.Sum[i], h[i], borrow)
	}
}

// Plus returns the sum of both.
func (s CoinSum) Plus(t CoinSum) CoinSum {
	s.Count += t.Count
	s.Value += t.Value
	var carry uint64
	for i := range s.Sum {
		s.Sum[i], carry = bits.Add64(s.Sum[i], t.Sum[i], carry)
	}
	return s
}

// Hash returns the sum's 32 bytes, most significant first, for display.
func (s *CoinSum) Hash() [32]byte {
	var b [32]byte
	for i, w := range s.Sum {
		binary.BigEndian.PutUint64(b[24-8*i:], w)
	}
	return b
}

// coinHash is SHA-256(outpoint ‖ height ‖ coinbase ‖ value ‖ script), integers
// little-endian, read as a little-endian number.
func coinHash(op OutPoint, c *Coin) [4]uint64 {
	var b [36 + 4 + 1 + 8 + 2 + KeySize]byte
	p := append(b[:0], op.TxID[:]...)
	p = binary.LittleEndian.AppendUint32(p, op.Index)
	p = binary.LittleEndian.AppendUint32(p, c.Height)
	if c.Coinbase {
		p = append(p, 1)
	} else {
		p = append(p, 0)
	}
	p = binary.LittleEndian.AppendUint64(p, uint64(c.Value))
	p = append(p, op1, push32)
	p = append(p, c.Key[:]...)
	h := sha256.Sum256(p)
	var w [4]uint64
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(h[8*i:])
	}
	return w
}
