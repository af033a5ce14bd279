package batch

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var prime = func() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 256)
	return p.Sub(p, big.NewInt(reduction))
}()

func (z *element) big() *big.Int {
	n := new(big.Int)
	for _, limb := range slices.Backward(z[:]) {
		n.Add(n.Lsh(n, 64), new(big.Int).SetUint64(limb))
	}
	return n
}

// drawElement prefers limbs at either end, where carries are, and numbers from p on.
func drawElement(t *rapid.T, label string) (z element) {
	limb := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, reduction, lowestOfP, lowestOfP - 1, math.MaxUint64 - 1, math.MaxUint64}))
	for i := range z {
		z[i] = limb.Draw(t, label)
	}
	return z
}

// Numbers at every edge: around 0, the prime and 2^256, and with limbs that carry.
func edges() (list []element) {
	limbs := []uint64{0, 1, reduction, lowestOfP, math.MaxUint64}
	for _, a := range limbs {
		for _, b := range limbs {
			list = append(list, element{a, b, b, b}, element{a, a, b, b}, element{b, math.MaxUint64, math.MaxUint64, a})
		}
	}
	for d := range uint64(6) {
		list = append(list, element{lowestOfP - 3 + d, math.MaxUint64, math.MaxUint64, math.MaxUint64}, element{math.MaxUint64 - d, math.MaxUint64, math.MaxUint64, math.MaxUint64}, element{d})
	}
	return list
}

// Every operation is the one of math/big, whatever its arguments.
func TestElementAgainstBig(t *testing.T) {
	t.Run("edges", func(t *testing.T) {
		for _, x := range edges() {
			for _, y := range edges() {
				checkElements(t, x, y)
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) { checkElements(t, drawElement(t, "x"), drawElement(t, "y")) })
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(string, ...any)
}

func checkElements(t tester, x, y element) {
	a, b := x.big(), y.big()
	same := func(what string, z element, want *big.Int) {
		t.Helper()
		if got := z.big(); got.Sub(got, want).Mod(got, prime).Sign() != 0 {
			t.Fatalf("%s of %x and %x: %x, want %x mod p", what, x, y, z.big(), want)
		}
	}
	var z element
	z.add(&x, &y)
	same("sum", z, new(big.Int).Add(a, b))
	z.sub(&x, &y)
	same("difference", z, new(big.Int).Sub(a, b))
	z.mul(&x, &y)
	same("product", z, new(big.Int).Mul(a, b))
	z.square(&x)
	same("square", z, new(big.Int).Mul(a, a))
	z = x
	z.mul(&z, &z)
	same("product in place", z, new(big.Int).Mul(a, a))
	z.negate(&x)
	same("negative", z, new(big.Int).Neg(a))
	z.inverse(&x)
	if x.isZero() != z.isZero() {
		t.Fatalf("inverse of %x: %x", x, z)
	}
	if !x.isZero() {
		same("inverse", z, new(big.Int).ModInverse(a, prime))
	}
	root, isSquare := new(big.Int).ModSqrt(a, prime), z.sqrt(&x)
	if (root != nil) != isSquare {
		t.Fatalf("%x is a square: %v", x, isSquare)
	}
	if isSquare {
		same("square of the root", func() element { z.square(&z); return z }(), a)
	}
	reduced := new(big.Int).Mod(a, prime)
	if x.isZero() != (reduced.Sign() == 0) || x.isOdd() != (reduced.Bit(0) == 1) {
		t.Fatalf("%x: zero %v, odd %v", x, x.isZero(), x.isOdd())
	}
	var bytes [32]byte
	a.FillBytes(bytes[:])
	if below := z.setBytes(&bytes); below != (a.Cmp(prime) < 0) || z != x {
		t.Fatalf("%x read as %x, below p %v", bytes, z, below)
	}
}
