package sha256d

import "math/bits"

// Portable searches in plain Go, on any CPU. It runs 121 of the 192 rounds that
// hashing a header twice takes: the first chunk and the first four rounds of the
// second are done once per Work, the last three of the second hash never.
type Portable struct{}

// Name implements Kernel.
func (Portable) Name() string { return "go" }

// Batch implements Kernel: a fifth of a millisecond at 2 million hashes a second.
func (Portable) Batch() uint32 { return 400 }

// Versions implements Kernel.
func (Portable) Versions() int { return 1 }

// Search implements Kernel.
func (Portable) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	var first, second [64]uint32
	copy(first[:], w.tail[:])
	first[4], first[15] = padding, 8*HeaderSize
	second[8], second[15] = padding, 8*32
	for tried = 0; tried < n && len(hits)-found >= len(w.lanes); tried++ {
		nonce := start + tried
		first[3] = bits.ReverseBytes32(nonce)
		expand(&first)
		for i := range w.lanes {
			l := &w.lanes[i]
			*(*state)(second[:8]) = l.finish(&first)
			if w.isCandidate(lastWord(&second)) {
				hits[found] = Hit{Nonce: nonce, Version: l.version}
				found++
			}
		}
	}
	return found, tried
}

// padding is the word that follows a message in its last chunk.
const padding = 0x80000000

// state is SHA-256's, a to h.
type state [8]uint32

// initial is the state that every message begins with (FIPS 180-4, 5.3.3).
var initial = state{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// expand computes words 16–63 of a message schedule from the first 16.
func expand(w *[64]uint32) {
	for i := 16; i < 64; i++ {
		w[i] = sigma1(w[i-2]) + w[i-7] + sigma0(w[i-15]) + w[i-16]
	}
}

func sigma0(x uint32) uint32 {
	return bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
}

func sigma1(x uint32) uint32 {
	return bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10
}

// step is one round. Of the eight variables only two take new values, the rest
// change places, which the callers do by naming them in turn: what comes out is
// the next round's e and a, standing where this one's d and h stood.
func step(a, b, c, d, e, f, g, h, kw uint32) (uint32, uint32) {
	h += kw + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (g ^ e&(f^g))
	return d + h, h + (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b | c&(a|b))
}

// round is one round with its key and word already added.
func (s state) round(kw uint32) state {
	e, a := step(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], kw)
	return state{a, s[0], s[1], s[2], e, s[4], s[5], s[6]}
}

// compress returns the state after one chunk.
func (s state) compress(w *[64]uint32) state {
	r := s
	for i, word := range w {
		r = r.round(k[i] + word)
	}
	return r.plus(s)
}

func (s state) plus(t state) state {
	for i := range s {
		s[i] += t[i]
	}
	return s
}
