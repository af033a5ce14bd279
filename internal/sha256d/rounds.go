package sha256d

// k are SHA-256's round constants (FIPS 180-4, 4.2.2).
var k = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// finish runs the rest of the second chunk, rounds 4–63, on its schedule.
func (l *lane) finish(w *[64]uint32) state {
	// Round 3 was run for a nonce of 0; the word goes into its a and e alone.
	a, b, c, d := l.third[0]+w[3], l.third[1], l.third[2], l.third[3]
	e, f, g, h := l.third[4]+w[3], l.third[5], l.third[6], l.third[7]
	for i := 4; i <= 52; i += 8 {
		d, h = step(a, b, c, d, e, f, g, h, k[i]+w[i])
		c, g = step(h, a, b, c, d, e, f, g, k[i+1]+w[i+1])
		b, f = step(g, h, a, b, c, d, e, f, k[i+2]+w[i+2])
		a, e = step(f, g, h, a, b, c, d, e, k[i+3]+w[i+3])
		h, d = step(e, f, g, h, a, b, c, d, k[i+4]+w[i+4])
		g, c = step(d, e, f, g, h, a, b, c, k[i+5]+w[i+5])
		f, b = step(c, d, e, f, g, h, a, b, k[i+6]+w[i+6])
		e, a = step(b, c, d, e, f, g, h, a, k[i+7]+w[i+7])
	}
	d, h = step(a, b, c, d, e, f, g, h, k[60]+w[60])
	c, g = step(h, a, b, c, d, e, f, g, k[61]+w[61])
	b, f = step(g, h, a, b, c, d, e, f, k[62]+w[62])
	a, e = step(f, g, h, a, b, c, d, e, k[63]+w[63])
	return state{e, f, g, h, a, b, c, d}.plus(l.mid)
}

// lastWord returns the last word of the second hash, h7. It is the e that round
// 60 leaves, for rounds 61–63 only move it.
func lastWord(w *[64]uint32) uint32 {
	expand(w)
	a, b, c, d := initial[0], initial[1], initial[2], initial[3]
	e, f, g, h := initial[4], initial[5], initial[6], initial[7]
	for i := 0; i < 56; i += 8 {
		d, h = step(a, b, c, d, e, f, g, h, k[i]+w[i])
		c, g = step(h, a, b, c, d, e, f, g, k[i+1]+w[i+1])
		b, f = step(g, h, a, b, c, d, e, f, k[i+2]+w[i+2])
		a, e = step(f, g, h, a, b, c, d, e, k[i+3]+w[i+3])
		h, d = step(e, f, g, h, a, b, c, d, k[i+4]+w[i+4])
		g, c = step(d, e, f, g, h, a, b, c, k[i+5]+w[i+5])
		f, b = step(c, d, e, f, g, h, a, b, k[i+6]+w[i+6])
		e, a = step(b, c, d, e, f, g, h, a, k[i+7]+w[i+7])
	}
	d, h = step(a, b, c, d, e, f, g, h, k[56]+w[56])
	c, g = step(h, a, b, c, d, e, f, g, k[57]+w[57])
	b, f = step(g, h, a, b, c, d, e, f, k[58]+w[58])
	a, e = step(f, g, h, a, b, c, d, e, k[59]+w[59])
	h, _ = step(e, f, g, h, a, b, c, d, k[60]+w[60])
	return initial[7] + h
}
