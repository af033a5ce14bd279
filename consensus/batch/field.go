package batch

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// element is a number modulo the field's prime p = 2^256 − reduction, in 64-bit limbs,
// the lowest first. It is below 2^256, not always below p: see normalize.
type element [4]uint64

// reduction is what 2^256 is modulo p.
const reduction = 0x1000003d1

// lowestOfP is the lowest limb of p; the others are all ones.
const lowestOfP = math.MaxUint64 - reduction + 1

// setBytes takes a big-endian number, and reports whether it is below p.
func (z *element) setBytes(b *[32]byte) bool {
	for i := range z {
		z[3-i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return !z.atLeastP()
}

func (z *element) atLeastP() bool {
	return z[3]&z[2]&z[1] == math.MaxUint64 && z[0] >= lowestOfP
}

// normalize makes z less than p.
func (z *element) normalize() {
	if z.atLeastP() {
		*z = element{z[0] - lowestOfP}
	}
}

func (z *element) isZero() bool {
	t := *z
	t.normalize()
	return t == element{}
}

// isOdd reports whether the number below p is odd.
func (z *element) isOdd() bool {
	t := *z
	t.normalize()
	return t[0]&1 == 1
}

func (z *element) add(x, y *element) {
	r0, carry := bits.Add64(x[0], y[0], 0)
	r1, carry := bits.Add64(x[1], y[1], carry)
	r2, carry := bits.Add64(x[2], y[2], carry)
	r3, carry := bits.Add64(x[3], y[3], carry)
	for carry != 0 { // twice at most
		r0, carry = bits.Add64(r0, reduction, 0)
		r1, carry = bits.Add64(r1, 0, carry)
		r2, carry = bits.Add64(r2, 0, carry)
		r3, carry = bits.Add64(r3, 0, carry)
	}
	*z = element{r0, r1, r2, r3}
}

func (z *element) sub(x, y *element) {
	r0, borrow := bits.Sub64(x[0], y[0], 0)
	r1, borrow := bits.Sub64(x[1], y[1], borrow)
	r2, borrow := bits.Sub64(x[2], y[2], borrow)
	r3, borrow := bits.Sub64(x[3], y[3], borrow)
	for borrow != 0 { // twice at most
		r0, borrow = bits.Sub64(r0, reduction, 0)
		r1, borrow = bits.Sub64(r1, 0, borrow)
		r2, borrow = bits.Sub64(r2, 0, borrow)
		r3, borrow = bits.Sub64(r3, 0, borrow)
	}
	*z = element{r0, r1, r2, r3}
}

func (z *element) negate(x *element) { z.sub(new(element), x) }

func (z *element) double(x *element) { z.add(x, x) }

// mul is the schoolbook product, by rows.
func (z *element) mul(x, y *element) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	h0, r0 := bits.Mul64(x0, y[0])
	h1, l1 := bits.Mul64(x1, y[0])
	h2, l2 := bits.Mul64(x2, y[0])
	h3, l3 := bits.Mul64(x3, y[0])
	r1, carry := bits.Add64(h0, l1, 0)
	r2, carry := bits.Add64(h1, l2, carry)
	r3, carry := bits.Add64(h2, l3, carry)
	r4 := h3 + carry
	// row adds x·w to five limbs; the last one was not used yet. The compiler takes it
	// in line.
	row := func(w, a0, a1, a2, a3 uint64) (uint64, uint64, uint64, uint64, uint64) {
		h0, l0 := bits.Mul64(x0, w)
		h1, l1 := bits.Mul64(x1, w)
		h2, l2 := bits.Mul64(x2, w)
		h3, l3 := bits.Mul64(x3, w)
		a0, carry := bits.Add64(a0, l0, 0)
		a1, carry = bits.Add64(a1, l1, carry)
		a2, carry = bits.Add64(a2, l2, carry)
		a3, carry = bits.Add64(a3, l3, carry)
		a4 := h3 + carry
		a1, carry = bits.Add64(a1, h0, 0)
		a2, carry = bits.Add64(a2, h1, carry)
		a3, carry = bits.Add64(a3, h2, carry)
		return a0, a1, a2, a3, a4 + carry
	}
	r1, r2, r3, r4, r5 := row(y[1], r1, r2, r3, r4)
	r2, r3, r4, r5, r6 := row(y[2], r2, r3, r4, r5)
	r3, r4, r5, r6, r7 := row(y[3], r3, r4, r5, r6)
	z.reduce(r0, r1, r2, r3, r4, r5, r6, r7)
}

func (z *element) square(x *element) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	// The products of different limbs, each of which counts twice.
	h01, r1 := bits.Mul64(x0, x1)
	h02, l02 := bits.Mul64(x0, x2)
	h03, l03 := bits.Mul64(x0, x3)
	h12, l12 := bits.Mul64(x1, x2)
	h13, l13 := bits.Mul64(x1, x3)
	h23, l23 := bits.Mul64(x2, x3)
	r2, carry := bits.Add64(l02, h01, 0)
	r3, carry := bits.Add64(l03, h02, carry)
	r4, carry := bits.Add64(l13, h03, carry)
	r5, carry := bits.Add64(l23, h13, carry)
	r6 := h23 + carry
	r3, carry = bits.Add64(r3, l12, 0)
	r4, carry = bits.Add64(r4, h12, carry)
	r5, carry = bits.Add64(r5, 0, carry)
	r6 += carry
	r7 := r6 >> 63
	r6 = r6<<1 | r5>>63
	r5 = r5<<1 | r4>>63
	r4 = r4<<1 | r3>>63
	r3 = r3<<1 | r2>>63
	r2 = r2<<1 | r1>>63
	r1 <<= 1
	// And the squares of limbs.
	h0, r0 := bits.Mul64(x0, x0)
	h1, l1 := bits.Mul64(x1, x1)
	h2, l2 := bits.Mul64(x2, x2)
	h3, l3 := bits.Mul64(x3, x3)
	r1, carry = bits.Add64(r1, h0, 0)
	r2, carry = bits.Add64(r2, l1, carry)
	r3, carry = bits.Add64(r3, h1, carry)
	r4, carry = bits.Add64(r4, l2, carry)
	r5, carry = bits.Add64(r5, h2, carry)
	r6, carry = bits.Add64(r6, l3, carry)
	r7 += h3 + carry
	z.reduce(r0, r1, r2, r3, r4, r5, r6, r7)
}

// reduce takes eight limbs: the upper four count reduction times in the lower.
func (z *element) reduce(r0, r1, r2, r3, r4, r5, r6, r7 uint64) {
	h4, l4 := bits.Mul64(r4, reduction)
	h5, l5 := bits.Mul64(r5, reduction)
	h6, l6 := bits.Mul64(r6, reduction)
	h7, l7 := bits.Mul64(r7, reduction)
	r0, carry := bits.Add64(r0, l4, 0)
	r1, carry = bits.Add64(r1, l5, carry)
	r2, carry = bits.Add64(r2, l6, carry)
	r3, carry = bits.Add64(r3, l7, carry)
	top := h7 + carry
	r1, carry = bits.Add64(r1, h4, 0)
	r2, carry = bits.Add64(r2, h5, carry)
	r3, carry = bits.Add64(r3, h6, carry)
	top += carry // below 2^34
	high, low := bits.Mul64(top, reduction)
	r0, carry = bits.Add64(r0, low, 0)
	r1, carry = bits.Add64(r1, high, carry)
	r2, carry = bits.Add64(r2, 0, carry)
	r3, carry = bits.Add64(r3, 0, carry)
	r0, carry = bits.Add64(r0, reduction&-carry, 0) // where that wrapped, r1 to r3 are small
	r1, carry = bits.Add64(r1, 0, carry)
	r2, carry = bits.Add64(r2, 0, carry)
	*z = element{r0, r1, r2, r3 + carry}
}

// squares squares n times.
func (z *element) squares(x *element, n int) {
	*z = *x
	for range n {
		z.square(z)
	}
}

// powers returns x^(2^2−1), x^(2^22−1) and x^(2^223−1): p−2 and (p+1)/4 have runs of as
// many ones.
func powers(x *element) (ones2, ones22, ones223 element) {
	// join returns what has the ones of a, and behind them the n of b.
	join := func(a, b *element, n int) (z element) {
		z.squares(a, n)
		z.mul(&z, b)
		return z
	}
	ones2 = join(x, x, 1)
	ones3 := join(&ones2, x, 1)
	ones6 := join(&ones3, &ones3, 3)
	ones9 := join(&ones6, &ones3, 3)
	ones11 := join(&ones9, &ones2, 2)
	ones22 = join(&ones11, &ones11, 11)
	ones44 := join(&ones22, &ones22, 22)
	ones88 := join(&ones44, &ones44, 44)
	ones176 := join(&ones88, &ones88, 88)
	ones220 := join(&ones176, &ones44, 44)
	return ones2, ones22, join(&ones220, &ones3, 3)
}

// sqrt takes x to (p+1)/4 and reports whether that is a square root of it.
func (z *element) sqrt(x *element) bool {
	ones2, ones22, t := powers(x)
	t.squares(&t, 23)
	t.mul(&t, &ones22)
	t.squares(&t, 6)
	t.mul(&t, &ones2)
	t.squares(&t, 2)
	var check element
	check.square(&t)
	check.sub(&check, x)
	*z = t
	return check.isZero()
}

// inverse takes x to p−2: the inverse, or 0 for 0.
func (z *element) inverse(x *element) {
	one := *x
	ones2, ones22, t := powers(x)
	t.squares(&t, 23)
	t.mul(&t, &ones22)
	t.squares(&t, 5)
	t.mul(&t, &one)
	t.squares(&t, 3)
	t.mul(&t, &ones2)
	t.squares(&t, 2)
	z.mul(&t, &one)
}
