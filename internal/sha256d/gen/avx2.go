package main

import "fmt"

// y is a vector register of 256 bits.
type y int

func (r y) String() string { return fmt.Sprintf("Y%d", int(r)) }

// wide is a field of struct wide of avx2_amd64.go, which DI points at.
func wide(name string) place { return place{at: "wide_" + name, register: "DI"} }

const laneBytes = 32 // of a word of eight hashes

// avx2 writes the scanner for CPUs without SHA instructions: eight nonces at a
// time, a word of all in one register, in ordinary arithmetic.
func avx2() *file {
	g := &avx2Gen{file: &file{table: "avx2Constants"}, broadcasts: make(map[uint32]place)}
	g.scanner()
	return g.file
}

type avx2Gen struct {
	*file
	broadcasts map[uint32]place
}

// eight is a constant in all lanes.
func (g *avx2Gen) eight(word uint32) place {
	at, ok := g.broadcasts[word]
	if !ok {
		at = g.constant(word, word, word, word, word, word, word, word)
		g.broadcasts[word] = at
	}
	return at
}

// State is in Y0 to Y7; the rest is for intermediate results.
const (
	t0 y = 8 + iota
	t1
	t2
	t3
	ab  // a xor b of this round
	bc  // b xor c, which was a xor b of the last one
	sum // of the message word
)

func (g *avx2Gen) scanner() {
	g.function("func scanAVX2(p *wide, groups uint64)", 16)
	g.emit("MOVQ p+0(FP), DI", "MOVQ groups+8(FP), CX", "XORL R11, R11", "XORL R10, R10", "PCALIGN $64")
	g.label("group")
	g.emit(
		in("VMOVDQU", wide("nonces"), t0),
		in("VPADDD", g.eight(8), t0, t1), in("VMOVDQU", t1, wide("nonces")),
		in("VPSHUFB", g.constant(0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f), t0, t0),
		in("VMOVDQU", t0, wide("words").plus(3*laneBytes)),
	)
	state := [8]y{0, 1, 2, 3, 4, 5, 6, 7}
	for i, r := range state {
		from := wide("third").plus(laneBytes * i)
		if i == 0 || i == 4 { // the nonce is an addend of a and e
			g.emit(in("VPADDD", from, t0, r))
		} else {
			g.emit(in("VMOVDQU", from, r))
		}
	}
	tail := message{}
	for i := range 3 {
		tail[i].kept = true // never looked at: words 16 to 19 come prepared
	}
	tail[3].kept = true
	tail[4].constant, tail[15].constant = padding, 8*80
	g.hash(&state, &tail, 4, 64)
	for i, r := range state { // the first hash is the message of the second
		g.emit(in("VPADDD", wide("mid").plus(laneBytes*i), r, r), in("VMOVDQU", r, wide("words").plus(laneBytes*i)))
	}
	second := message{}
	for i := range state {
		g.emit(in("VMOVDQU", g.eight(iv[i]), state[i]))
		second[i].kept = true
	}
	second[8].constant, second[15].constant = padding, 256
	g.hash(&state, &second, 0, 61)
	e := state[4] // of round 60: the last word of the hash
	g.emit(
		in("VPADDD", g.eight(iv[7]), e, e),
		in("VPSHUFB", g.constant(0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f), e, e),
		in("VPMINUD", wide("top"), e, t0), in("VPCMPEQD", t0, e, t0), in("VMOVMSKPS", t0, "AX"),
		"TESTL AX, AX", "JNE hits",
	)
	g.label("on")
	g.emit("ADDL $8, R11", "DECQ CX", "JNE group")
	g.label("done")
	g.emit(in("MOVL", "R10", wide("found")), "VZEROUPPER", "RET")
	g.label("hits")
	g.emit(
		"BSFL AX, BX", "ADDL R11, BX", "MOVL BX, wide_hits(DI)(R10*4)", "INCL R10", "CMPL R10, $const_maxFound", "JEQ done",
		"LEAL -1(AX), BX", "ANDL BX, AX", "JNE hits", "JMP on",
	)
}

// message is what the generator knows of a message's words: that they are kept in
// wide.words, or else constants, most of them 0.
type message [64]struct {
	kept     bool
	constant uint32
}

// hash runs rounds, making the message's words on the way.
func (g *avx2Gen) hash(s *[8]y, m *message, from, to int) {
	first := from == 4
	g.emit(in("VPXOR", s[1], s[2], bc))
	for i := from; i < to; i++ {
		if i >= 16 {
			g.word(m, i, first)
		}
		g.round(s, m, i, to == 64 || i < 57) // rounds 57 to 60 of the second are for e alone
	}
}

// word makes a word from 16 on and keeps it.
func (g *avx2Gen) word(m *message, i int, first bool) {
	at := func(i int) place { return wide("words").plus(laneBytes * i) }
	m[i].kept = true
	if first && i < 20 { // prepared but for the nonce, which is in words 18 and 19
		g.emit(in("VMOVDQU", wide("words16").plus(laneBytes*(i-16)), sum))
		switch i {
		case 18:
			g.emit(in("VMOVDQU", at(3), t0))
			g.sigma(t0, t1, t0, 7, 18, 3)
			g.emit(in("VPADDD", t0, sum, sum))
		case 19:
			g.emit(in("VPADDD", at(3), sum, sum))
		}
		g.emit(in("VMOVDQU", sum, at(i)))
		return
	}
	var constant uint32
	begun := false
	plus := func(term any) {
		switch {
		case begun:
			g.emit(in("VPADDD", term, sum, sum))
		default:
			g.emit(in("VMOVDQU", term, sum))
			begun = true
		}
	}
	for _, back := range []int{16, 7} {
		if w := m[i-back]; w.kept {
			plus(at(i - back))
		} else {
			constant += w.constant
		}
	}
	if w := m[i-15]; w.kept {
		g.emit(in("VMOVDQU", at(i-15), t0))
		g.sigma(t0, t1, t2, 7, 18, 3)
		plus(t2)
	} else {
		constant += sigma0(w.constant)
	}
	if w := m[i-2]; w.kept {
		g.emit(in("VMOVDQU", at(i-2), t0))
		g.sigma(t0, t1, t2, 17, 19, 10)
		plus(t2)
	} else {
		constant += sigma1(w.constant)
	}
	if constant != 0 {
		plus(g.eight(constant))
	}
	g.emit(in("VMOVDQU", sum, at(i)))
}

// sigma is two rotations and a shift to the right of from, xored. by may be from.
func (g *avx2Gen) sigma(from, tmp, to y, rotate1, rotate2, shift int) {
	acc := t3
	g.emit(
		in("VPSRLD", shift, from, acc),
		in("VPSRLD", rotate1, from, tmp), in("VPXOR", tmp, acc, acc), in("VPSLLD", 32-rotate1, from, tmp), in("VPXOR", tmp, acc, acc),
		in("VPSRLD", rotate2, from, tmp), in("VPXOR", tmp, acc, acc), in("VPSLLD", 32-rotate2, from, tmp), in("VPXOR", tmp, acc, to),
	)
}

// rotations is three rotations to the right of from, xored.
func (g *avx2Gen) rotations(from, tmp, to y, by ...int) {
	for i, n := range by {
		g.emit(in("VPSRLD", n, from, tmp))
		if i == 0 {
			g.emit(in("VPSLLD", 32-n, from, to), in("VPXOR", tmp, to, to))
		} else {
			g.emit(in("VPXOR", tmp, to, to), in("VPSLLD", 32-n, from, tmp), in("VPXOR", tmp, to, to))
		}
	}
}

// round is one round. Of the eight variables two take new values, the others change
// places. Without all, a is not needed any more.
func (g *avx2Gen) round(s *[8]y, m *message, i int, all bool) {
	a, b, d, e, f, h := s[0], s[1], s[3], s[4], s[5], s[7]
	if w := m[i]; w.kept {
		g.emit(in("VPADDD", wide("words").plus(laneBytes*i), h, h), in("VPADDD", g.eight(k[i]), h, h))
	} else {
		g.emit(in("VPADDD", g.eight(k[i]+w.constant), h, h))
	}
	g.rotations(e, t1, t0, 6, 11, 25)
	g.emit(
		in("VPADDD", t0, h, h),
		in("VPXOR", f, s[6], t0), in("VPAND", e, t0, t0), in("VPXOR", s[6], t0, t0), // e ? f : g
		in("VPADDD", t0, h, h),
		in("VPADDD", h, d, d),
	)
	if all {
		g.rotations(a, t1, t0, 2, 13, 22)
		g.emit(
			in("VPADDD", t0, h, h),
			in("VPXOR", a, b, ab), in("VPAND", ab, bc, bc), in("VPXOR", b, bc, bc), // the majority of a, b and c
			in("VPADDD", bc, h, h),
			in("VMOVDQA", ab, bc),
		)
	}
	*s = [8]y{h, s[0], s[1], s[2], d, s[4], s[5], s[6]}
}
