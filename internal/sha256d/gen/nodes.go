package main

// nodes writes hashNodes: the double SHA-256 of 64 bytes, for many nodes of a hash
// tree, one in each iteration and five at work in it:
//
//	64 bytes ─► schedule 1 ─► rounds 1 ─► rounds of the padding ─► schedule 2 ─► rounds 2 ─► 32 bytes
//
// The padding is a chunk of its own, and the same for all nodes. Three chains of
// rounds are on their way at once, and two schedules; memory is as in scanPlain, of
// its first lane.
func (g *shaGen) nodes() {
	const stages = 5 // a node comes out four iterations after it went in
	g.function("func hashNodes(p *pipeline, to, from *[32]byte, n uint64)", 32)
	g.emit(
		"MOVQ p+0(FP), DI", "MOVQ to+8(FP), DX", "MOVQ from+16(FP), SI", "MOVQ n+24(FP), CX",
		in("MOVQ", field("read"), "R13"), "ADDQ DI, R13", in("MOVQ", field("write"), "R14"), "ADDQ DI, R14",
		in("SUBQ", 32*(stages-1), "DX"), "XORL BX, BX", in("MOVQ", stages-1, "R9"), // the first that count
		in("LEAQ", place{bytes: stages - 1, register: "CX"}, "R10"),
		"PCALIGN $64",
	)
	g.label("node")
	one, pad, two := pair{1, 2}, pair{3, 4}, pair{5, 6}
	g.emit(merge(g.nodeRounds1(&one), g.padRounds(&pad), g.nodeRounds2(&two),
		g.nodeSchedule1([]x{7, 8, 9, 10}), g.schedule2(0, []x{11, 12, 13, 14}))...)
	g.emit(
		"CMPQ BX, R9", "JLT early",
		in("VMOVDQU", two.abef, place{register: "DX"}), in("VMOVDQU", two.cdgh, place{bytes: 16, register: "DX"}),
	)
	g.label("early")
	g.emit(
		"ADDQ $32, DX", "XCHGQ R13, R14", "INCQ BX",
		"LEAQ 64(SI), AX", "CMPQ BX, CX", "CMOVQLT AX, SI", // the last one goes in again until all are out
		"CMPQ BX, R10", "JLT node", "RET",
	)
}

// nodeSchedule1 makes the keyed words of a node's 64 bytes.
func (g *shaGen) nodeSchedule1(regs []x) stream {
	to := buffered("first", "R14")
	e := g.expand(0, regs, to.plus(64))
	for step, r := range regs {
		e.w[step] = r
		e.out.add(
			in("VMOVDQU", place{bytes: 16 * step, register: "SI"}, r), in("VPSHUFB", g.swap, r, r),
			in("VPADDD", g.k[step], r, x(0)), in("VMOVDQU", x(0), to.plus(16*step)),
		)
	}
	e.rest(4)
	return e.out
}

// nodeRounds1 leaves the state after the 64 bytes in the buffer.
func (g *shaGen) nodeRounds1(state *pair) stream {
	var s stream
	s.add(in("VMOVDQU", g.ivABEF, state.abef), in("VMOVDQU", g.ivCDGH, state.cdgh))
	for two := range 32 {
		s.add(in("VMOVQ", buffered("first", "R13").plus(8*two), x(0)), state.rounds())
	}
	s.add(in("VPADDD", g.ivABEF, state.abef, state.abef), in("VPADDD", g.ivCDGH, state.cdgh, state.cdgh),
		in("VMOVDQU", state.abef, buffered("spill", "R14")), in("VMOVDQU", state.cdgh, buffered("spill", "R14").plus(16)))
	return s
}

// padRounds go on with the padding after 64 bytes.
func (g *shaGen) padRounds(state *pair) stream {
	var s stream
	mid := buffered("spill", "R13")
	s.add(in("VMOVDQU", mid, state.abef), in("VMOVDQU", mid.plus(16), state.cdgh))
	words := schedule([16]uint32{0: padding, 15: 8 * 64})
	for i := range words {
		words[i] += k[i]
	}
	keyed := g.constant(words[:]...)
	for two := range 32 {
		s.add(in("VMOVQ", keyed.plus(8*two), x(0)), state.rounds())
	}
	return append(s, append(atom{in("VPADDD", mid, state.abef, state.abef), in("VPADDD", mid.plus(16), state.cdgh, state.cdgh)},
		inOrder(*state, field("handOver"))...))
}

// nodeRounds2 leaves the bytes of the hash in the two registers.
func (g *shaGen) nodeRounds2(state *pair) stream {
	var s stream
	s.add(in("VMOVDQU", g.ivABEF, state.abef), in("VMOVDQU", g.ivCDGH, state.cdgh))
	for two := range 32 {
		s.add(in("VMOVQ", g.second(0, two), x(0)), state.rounds())
	}
	s.add(g.nodeBytes(*state, g.aroundEight())...)
	return s
}

// aroundEight turns each 8 bytes around.
func (g *shaGen) aroundEight() place {
	return g.constant(0x04050607, 0x00010203, 0x0c0d0e0f, 0x08090a0b)
}

// nodeBytes makes the bytes of the hash of the state after the rounds: of f e b a and
// h g d c come b a d c and f e h g, and they are turned around.
func (g *shaGen) nodeBytes(state pair, around place) []string {
	return []string{
		in("VPADDD", g.ivABEF, state.abef, state.abef), in("VPADDD", g.ivCDGH, state.cdgh, state.cdgh),
		in("VPUNPCKHQDQ", state.cdgh, state.abef, x(0)), in("VPUNPCKLQDQ", state.cdgh, state.abef, state.cdgh),
		in("VPSHUFB", around, x(0), state.abef), in("VPSHUFB", around, state.cdgh, state.cdgh),
	}
}
