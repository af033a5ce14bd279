package batch

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/btcsuite/btcd/btcec/v2"
)

// half is a multiplier of at most multiplierBits bits, in 64-bit limbs, the lowest first.
type half [3]uint64

// multiplierBits is what split leaves: a little more than half of 256.
const multiplierBits = 129

// Constants of the decomposition (Guide to Elliptic Curve Cryptography, 3.74, as Bitcoin
// Core's libsecp256k1 has it): lambda is a cube root of 1 modulo the group's order, the
// basis of the lattice of (a, b) with a + b·lambda = 0 is short, and estimate1 and
// estimate2 are its coordinates of 2^384/order.
var (
	lambda    = scalar("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72")
	minusB1   = scalar("00000000000000000000000000000000e4437ed6010e88286f547fa90abfe4c3")
	minusB2   = scalar("fffffffffffffffffffffffffffffffe8a280ac50774346dd765cda83db1562c")
	estimate1 = [4]uint64{0xe893209a45dbb031, 0x3daa8a1471e8ca7f, 0xe86c90e49284eb15, 0x3086d221a7d46bcd}
	estimate2 = [4]uint64{0x1571b4ae8ac47f71, 0x221208ac9df506c6, 0x6f547fa90abfe4c4, 0xe4437ed6010e8828}
)

// split returns k1 and k2 with k = ±k1 ± k2·lambda.
func split(k *btcec.ModNScalar) (k1, k2 half, negate1, negate2 bool) {
	limbs := limbsOf(k)
	c1, c2 := highProduct(&limbs, &estimate1), highProduct(&limbs, &estimate2)
	c1.Mul(&minusB1)
	c2.Mul(&minusB2)
	second := *new(btcec.ModNScalar).Add2(&c1, &c2)
	first := *new(btcec.ModNScalar).Mul2(&second, &lambda).Negate().Add(k)
	k1, negate1 = magnitude(&first)
	k2, negate2 = magnitude(&second)
	return k1, k2, negate1, negate2
}

// magnitude is the smaller one of k and −k.
func magnitude(k *btcec.ModNScalar) (h half, negate bool) {
	if negate = k.IsOverHalfOrder(); negate {
		k = new(btcec.ModNScalar).NegateVal(k)
	}
	limbs := limbsOf(k)
	return half(limbs[:3]), negate
}

func limbsOf(k *btcec.ModNScalar) (limbs [4]uint64) {
	b := k.Bytes()
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return limbs
}

// highProduct is x·y/2^384, to the nearest number.
func highProduct(x, y *[4]uint64) (k btcec.ModNScalar) {
	var product [8]uint64
	for i, w := range y {
		var carry uint64
		for j, v := range x {
			high, low := bits.Mul64(v, w)
			var c uint64
			low, c = bits.Add64(low, carry, 0)
			high += c
			product[i+j], c = bits.Add64(product[i+j], low, 0)
			carry = high + c
		}
		product[i+4] = carry
	}
	low, carry := bits.Add64(product[6], product[5]>>63, 0)
	var b [32]byte
	binary.BigEndian.PutUint64(b[24:], low)
	binary.BigEndian.PutUint64(b[16:], product[7]+carry)
	k.SetBytes(&b)
	return k
}

// scalar reads a constant.
func scalar(hexadecimal string) (k btcec.ModNScalar) {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil || k.SetByteSlice(b) {
		panic("batch: not a scalar: " + hexadecimal)
	}
	return k
}
