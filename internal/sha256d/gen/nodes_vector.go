package main

// nodeVectors writes hashNodeVectors: hashNodes for groups of eight nodes, with their
// schedules made in vectors of four lanes. A group comes out three iterations after it
// went in:
//
//	64 bytes ─► schedule 1 ─► rounds 1, of the padding ─► schedule 2 ─► rounds 2 ─► 32 bytes
//
// Rounds 1 and those of the padding are twice as many as rounds 2, and so are their
// chains. While the first groups are on their way, what comes out goes to waste.
func (g *vectorGen) nodeVectors() {
	const stages, read, written = 4, nodeLanes * nodeSize, nodeLanes * nodeSize / 2
	g.fewer = false
	g.function("func hashNodeVectors(p *pipeline, to, from *[32]byte, groups uint64)", 32)
	g.emit(
		"MOVQ p+0(FP), DI", "MOVQ to+8(FP), R12", "MOVQ from+16(FP), SI", "MOVQ groups+24(FP), CX",
		in("MOVQ", field("read"), "R13"), "ADDQ DI, R13", in("MOVQ", field("write"), "R14"), "ADDQ DI, R14",
		in("LEAQ", field("waste"), "R11"), "MOVQ R11, DX", "XORL BX, BX", in("LEAQ", place{bytes: stages - 1, register: "CX"}, "R10"),
		"PCALIGN $64",
	)
	g.label("nodes")
	var schedules stream
	for v := range nodeLanes / vectorSize {
		schedules = append(schedules, g.second(v)...)
	}
	for v := range nodeLanes / vectorSize {
		schedules = append(schedules, g.nodeFirst(v)...)
	}
	g.emit(merge(g.nodesRounds1(), g.nodesRounds2(), schedules)...)
	g.emit(
		"XCHGQ R13, R14", "INCQ BX",
		in("ADDQ", written, "DX"), in("CMPQ", "BX", stages-1), "CMOVQLT R11, DX", "CMOVQEQ R12, DX",
		in("LEAQ", place{bytes: read, register: "SI"}, "AX"), "CMPQ BX, CX", "CMOVQLT AX, SI", // the last ones go in again until all are out
		"CMPQ BX, R10", "JLT nodes", "RET",
	)
}

const (
	nodeSize  = 64 // bytes that make a node
	nodeLanes = 8  // of a group: with more, the loop outgrows the instruction cache of 32 KB
)

// Chains of rounds at once: six, for which there are registers.
const (
	nodeChains1 = 4 // of rounds 1 and those of the padding
	nodeChains2 = 2 // of rounds 2
)

// nodeFirst is the schedule of the 64 bytes for a vector of nodes.
func (g *vectorGen) nodeFirst(v int) stream {
	w := &window{vectorGen: g, to: exchanged("first", "R14").plus(firstVector * v)}
	lane := func(l, j int) place {
		return place{bytes: (v*vectorSize+l)*nodeSize + j*pairSize, register: "SI"}
	}
	even, odd := y(24), y(25) // lanes 0 and 2, lanes 1 and 3
	for j := 0; j < 8; j += 2 {
		w.one("VMOVDQU32", lane(0, j), x(even))
		w.one("VMOVDQU32", lane(1, j), x(odd))
		w.one("VINSERTI32X4", 1, lane(2, j), even, even)
		w.one("VINSERTI32X4", 1, lane(3, j), odd, odd)
		w.one("VPSHUFB", g.swapAll, even, even)
		w.one("VPSHUFB", g.swapAll, odd, odd)
		w.one("VPUNPCKLQDQ", odd, even, pairOf(j))
		w.one("VPUNPCKHQDQ", odd, even, pairOf(j+1))
		w.key(j)
		w.key(j + 1)
	}
	w.rest(8)
	return w.out
}

// nodesRounds1 are the rounds of the 64 bytes and of the padding.
func (g *vectorGen) nodesRounds1() stream {
	var s stream
	words := schedule([16]uint32{0: padding, 15: 8 * nodeSize})
	for i := range words {
		words[i] += k[i]
	}
	keyed := g.constant(words[:]...)
	for first := 0; first < nodeLanes; first += nodeChains1 {
		var state [nodeChains1]pair
		for c := range state {
			state[c] = pair{x(1 + 2*c), x(2 + 2*c)}
			s.add(in("VMOVDQU", g.ivABEF, state[c].abef), in("VMOVDQU", g.ivCDGH, state[c].cdgh))
		}
		for two := range 32 {
			for c := range state {
				s.add(in("VMOVQ", laneOf(exchanged("first", "R13"), first+c, firstVector, two), x(0)), state[c].rounds())
			}
		}
		middle := func(c int) place { return field("middle").plus(c * stateSize) }
		for c, p := range state {
			s.add(in("VPADDD", g.ivABEF, p.abef, p.abef), in("VPADDD", g.ivCDGH, p.cdgh, p.cdgh),
				in("VMOVDQU", p.abef, middle(c)), in("VMOVDQU", p.cdgh, middle(c).plus(16)))
		}
		for two := range 32 {
			s.roundsOfAll(keyed.plus(pairSize*two), state[:])
		}
		for c, p := range state {
			s.add(append([]string{in("VPADDD", middle(c), p.abef, p.abef), in("VPADDD", middle(c).plus(16), p.cdgh, p.cdgh)},
				laneState(p, first+c)...)...)
		}
	}
	return s
}

// nodesRounds2 are the rounds of the second hash, whose bytes go to DX.
func (g *vectorGen) nodesRounds2() stream {
	var s stream
	around := g.aroundEight()
	for first := 0; first < nodeLanes; first += nodeChains2 {
		var state [nodeChains2]pair
		for c := range state {
			state[c] = pair{x(1 + 2*(nodeChains1+c)), x(2 + 2*(nodeChains1+c))}
			s.add(in("VMOVDQU", g.ivABEF, state[c].abef), in("VMOVDQU", g.ivCDGH, state[c].cdgh))
		}
		for two := range 32 {
			if two >= 4 && two < 8 {
				s.roundsOfAll(g.fixed[two-4], state[:])
				continue
			}
			for c := range state {
				s.add(in("VMOVQ", laneOf(exchanged("second", "R13"), first+c, secondVector, two), x(0)), state[c].rounds())
			}
		}
		for c, p := range state {
			to := place{bytes: (first + c) * nodeSize / 2, register: "DX"}
			s.add(append(g.nodeBytes(p, around), in("VMOVDQU", p.abef, to), in("VMOVDQU", p.cdgh, to.plus(16)))...)
		}
	}
	return s
}
