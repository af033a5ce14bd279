package consensus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/bits"
)

// Uint256 is an unsigned 256-bit number: a target, or an amount of work. The
// least significant word comes first. Arithmetic wraps at 2^256.
type Uint256 [4]uint64

// Add returns a + b mod 2^256.
func (a Uint256) Add(b Uint256) Uint256 {
	var carry uint64
	for i := range a {
		a[i], carry = bits.Add64(a[i], b[i], carry)
	}
	return a
}

// Sub returns a − b mod 2^256.
func (a Uint256) Sub(b Uint256) Uint256 {
	var borrow uint64
	for i := range a {
		a[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return a
}

// Cmp returns −1, 0 or 1 as a is less than, equal to or greater than b.
func (a Uint256) Cmp(b Uint256) int {
	for i := len(a) - 1; i >= 0; i-- {
		switch {
		case a[i] < b[i]:
			return -1
		case a[i] > b[i]:
			return 1
		}
	}
	return 0
}

// IsZero reports whether a is 0.
func (a Uint256) IsZero() bool { return a == Uint256{} }

// Big returns a as a new big.Int.
func (a Uint256) Big() *big.Int {
	b := a.bytes()
	return new(big.Int).SetBytes(b[:])
}

// String returns 64 hex digits, most significant first.
func (a Uint256) String() string {
	b := a.bytes()
	return hex.EncodeToString(b[:])
}

// MarshalText writes what String returns.
func (a Uint256) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseUint256 does.
func (a *Uint256) UnmarshalText(text []byte) error {
	parsed, err := ParseUint256(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// Uint256FromBig converts n, and returns false where it is negative or does not
// fit into 256 bits.
func Uint256FromBig(n *big.Int) (Uint256, bool) {
	if n.Sign() < 0 || n.BitLen() > 256 {
		return Uint256{}, false
	}
	var b [32]byte
	n.FillBytes(b[:])
	return uint256FromBytes(b[:]), true
}

// ParseUint256 reads 1 to 64 hex digits, most significant first.
func ParseUint256(s string) (Uint256, error) {
	if len(s) == 0 || len(s) > 64 {
		return Uint256{}, fmt.Errorf("a 256-bit number has 1 to 64 hex digits, not %d", len(s))
	}
	digits := []byte("0000000000000000000000000000000000000000000000000000000000000000")
	copy(digits[64-len(s):], s)
	var b [32]byte
	if _, err := hex.Decode(b[:], digits); err != nil {
		return Uint256{}, fmt.Errorf("256-bit number %q: %w", s, err)
	}
	return uint256FromBytes(b[:]), nil
}

func (a Uint256) bytes() (b [32]byte) {
	for i, w := range a {
		binary.BigEndian.PutUint64(b[24-8*i:], w)
	}
	return b
}

// uint256FromBytes reads 32 bytes, most significant first.
func uint256FromBytes(b []byte) (a Uint256) {
	for i := range a {
		a[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return a
}

func (a Uint256) bitLen() int {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != 0 {
			return 64*i + bits.Len64(a[i])
		}
	}
	return 0
}

func (a Uint256) shiftLeft(n uint) (r Uint256) {
	words, rest := int(n/64), n%64
	for i := len(a) - 1; i >= words; i-- {
		r[i] = a[i-words] << rest
		if rest > 0 && i > words {
			r[i] |= a[i-words-1] >> (64 - rest)
		}
	}
	return r
}

func (a Uint256) shiftRight(n uint) (r Uint256) {
	words, rest := int(n/64), n%64
	for i := 0; i+words < len(a); i++ {
		r[i] = a[i+words] >> rest
		if rest > 0 && i+words+1 < len(a) {
			r[i] |= a[i+words+1] << (64 - rest)
		}
	}
	return r
}

// div returns a / d by shifting and subtracting: one turn for each bit of the
// quotient. The divisor is not zero.
func (a Uint256) div(d Uint256) (q Uint256) {
	shift := a.bitLen() - d.bitLen()
	if shift < 0 {
		return q
	}
	d = d.shiftLeft(uint(shift))
	for ; shift >= 0; shift-- {
		if a.Cmp(d) >= 0 {
			a = a.Sub(d)
			q[shift/64] |= 1 << (shift % 64)
		}
		d = d.shiftRight(1)
	}
	return q
}

// uint320 holds a target times a 64-bit factor without loss.
type uint320 [5]uint64

func (a Uint256) mul64(f uint64) (p uint320) {
	var carry uint64
	for i, w := range a {
		hi, lo := bits.Mul64(w, f)
		var c uint64
		p[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
	p[4] = carry
	return p
}

// div64 returns p / d; d is not zero.
func (p uint320) div64(d uint64) (q uint320) {
	var rem uint64
	for i := len(p) - 1; i >= 0; i-- {
		q[i], rem = bits.Div64(rem, p[i], d)
	}
	return q
}

// shift returns p·2^n, rounded down, for n of either sign; fits is false where
// the result needs more than 256 bits.
func (p uint320) shift(n int) (r Uint256, fits bool) {
	for i := range p {
		if p[i] == 0 {
			continue
		}
		// The word's bits land at 64·i + n and above.
		at := 64*i + n
		word, rest := floorDiv64(at)
		lo, hi := p[i]<<rest, uint64(0)
		if rest > 0 {
			hi = p[i] >> (64 - rest)
		}
		if lo != 0 && word >= len(r) || hi != 0 && word+1 >= len(r) {
			return Uint256{}, false
		}
		if lo != 0 && word >= 0 {
			r[word] |= lo
		}
		if hi != 0 && word+1 >= 0 {
			r[word+1] |= hi
		}
	}
	return r, true
}

// floorDiv64 splits a bit position, which may be negative, into word and bit.
func floorDiv64(at int) (word int, rest uint) { return at >> 6, uint(at & 63) }
