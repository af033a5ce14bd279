package consensus

// CompactToTarget decodes nBits as Bitcoin Core's arith_uint256::SetCompact
// does (rule D1): the top byte is a length in bytes, bit 23 a sign, and the low
// 23 bits the leading digits of a number in base 256. A target that is zero,
// negative or overflows is refused in a header (rule H2).
func CompactToTarget(bits uint32) (t Uint256, negative, overflow bool) {
	size := bits >> 24
	mantissa := bits & 0x007fffff
	if size <= 3 {
		mantissa >>= 8 * (3 - size)
		t[0] = uint64(mantissa)
	} else if shift := 8 * (size - 3); shift < 256 {
		t = Uint256{uint64(mantissa)}.shiftLeft(uint(shift))
	}
	negative = mantissa != 0 && bits&0x00800000 != 0
	overflow = mantissa != 0 && (size > 34 || mantissa > 0xff && size > 33 || mantissa > 0xffff && size > 32)
	return t, negative, overflow
}

// TargetToCompact encodes a target as arith_uint256::GetCompact does: the three
// leading bytes, rounded down, with one byte more of length where the sign bit
// would be set.
func TargetToCompact(t Uint256) uint32 {
	size := uint32(t.bitLen()+7) / 8
	var mantissa uint32
	if size <= 3 {
		mantissa = uint32(t[0]) << (8 * (3 - size))
	} else {
		mantissa = uint32(t.shiftRight(uint(8 * (size - 3)))[0])
	}
	if mantissa&0x00800000 != 0 {
		mantissa >>= 8
		size++
	}
	return size<<24 | mantissa
}

// HashMeetsTarget reports whether h, read as a little-endian number, is at most
// t.
func HashMeetsTarget(h Hash, t Uint256) bool { return hashNumber(h).Cmp(t) <= 0 }

func hashNumber(h Hash) (n Uint256) {
	for i, j := 0, HashSize-1; i < j; i, j = i+1, j-1 {
		h[i], h[j] = h[j], h[i]
	}
	return uint256FromBytes(h[:])
}

// WorkOf returns the expected number of hashes behind a block with these bits,
// 2^256/(target+1) (rule W1), and 0 where they are no valid target.
func WorkOf(bits uint32) Uint256 {
	t, negative, overflow := CompactToTarget(bits)
	if negative || overflow || t.IsZero() {
		return Uint256{}
	}
	// 2^256 does not fit: 2^256/(t+1) = (2^256 − t − 1)/(t+1) + 1.
	one := Uint256{1}
	d := t.Add(one)
	return (Uint256{}).Sub(d).div(d).Add(one)
}

// Difficulty is how many times harder than Bitcoin's easiest target (1d00ffff)
// these bits are. It is for display; no rule uses it.
func Difficulty(bits uint32) float64 {
	mantissa := bits & 0x007fffff
	if mantissa == 0 {
		return 0
	}
	d := float64(0xffff) / float64(mantissa)
	for size := bits >> 24; size < 29; size++ {
		d *= 256
	}
	for size := bits >> 24; size > 29; size-- {
		d /= 256
	}
	return d
}
