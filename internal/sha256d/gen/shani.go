package main

import "fmt"

const lanes = 2 // hashes of a group, which go through the pipeline together

// shaNI writes the two scanners. SHA256RNDS2 does two rounds, one of the two
// registers after the other; it takes their keyed words in the low half of X0.
//
//	scanPlain     a group is two nonces of one version
//	scanRolled    a group is two versions of one nonce, whose schedule is shared
//
// In one iteration three or four groups are at work, each in a stage of its own:
//
//	nonce ─► schedule 1 ─► rounds 1 ─► schedule 2 ─► rounds 2 ─► candidate?
//
// A lane's next two rounds can begin four cycles after its last ones did; in these
// the CPU goes on with other lanes' rounds and with the schedules. A stage finds
// what the stage before left in memory in the last iteration: keyed words in two
// buffers that change places, and states in handOver. docs/kernels.md draws it.
func shaNI() *file {
	g := newShaGen()
	g.scanner("scanPlain", false)
	g.scanner("scanRolled", true)
	g.nodes()
	g.probes()
	return g.file
}

// field is a place in struct pipeline, which DI points at.
func field(name string) place { return place{at: "pipeline_" + name, register: "DI"} }

// buffered is a place in struct keyed: in R13 is the buffer that rounds read, in R14
// the one that schedules write.
func buffered(name, register string) place { return place{at: "keyed_" + name, register: register} }

// Sizes of what is kept for each lane, in bytes.
const (
	laneSize      = 64  // struct shaLane
	stateSize     = 32  // pipeline.handOver
	keyedFirst    = 192 // keyed.first
	keyedSecond   = 256 // keyed.second
	firstExpanded = 32  // in which words 16–63 begin here
	spillSize     = 64  // keyed.spill
)

// shaGen writes SHA-NI code. Its places are constants.
type shaGen struct {
	*file
	k              [16]place // round constants by step, which is four rounds
	fixed          [4]place  // keyed words 8–15 of the second hash, two each
	ivABEF, ivCDGH place
	pad8           place        // words 8–11 of the second hash, and 4–7 of the tail
	pad12          place        // words 12–15 of the second hash
	swap           place        // turns the bytes of each word around
	nonces         [lanes]place // takes a lane's nonce out of pipeline.nonces to word 3, and turns its bytes around
}

func newShaGen() *shaGen {
	f := &file{table: "shaConstants"}
	g := &shaGen{file: f}
	for step := range g.k {
		g.k[step] = f.constant(k[4*step : 4*step+4]...)
	}
	pad := [8]uint32{0: padding, 7: 256}
	for i := range g.fixed {
		g.fixed[i] = f.constant(pad[2*i]+k[8+2*i], pad[2*i+1]+k[9+2*i])
	}
	g.ivABEF = f.constant(iv[5], iv[4], iv[1], iv[0])
	g.ivCDGH = f.constant(iv[7], iv[6], iv[3], iv[2])
	g.pad8 = f.constant(pad[:4]...)
	g.pad12 = f.constant(pad[4:]...)
	g.swap = f.constant(0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f)
	const zero = 0x80808080
	g.nonces = [lanes]place{f.constant(zero, zero, zero, 0x00010203), f.constant(zero, zero, zero, 0x04050607)}
	return g
}

// pair names the two registers of a lane's state. After two rounds they have
// changed places: what was f, e, b, a is h, g, d, c.
type pair struct{ abef, cdgh x }

func (p *pair) rounds() string {
	p.abef, p.cdgh = p.cdgh, p.abef
	return in("SHA256RNDS2", x(0), p.cdgh, p.abef)
}

func (g *shaGen) scanner(name string, rolled bool) {
	g.begin(name, rolled)
	g.label("group")

	one, two := [lanes]pair{{1, 2}, {3, 4}}, [lanes]pair{{5, 6}, {7, 8}} // states of the hashes
	// The other registers are for two streams of schedules. One has all that it
	// needs in registers, the other fetches older words from memory.
	few, many := []x{9, 10, 11}, []x{12, 13, 14, 15}
	var left, right stream
	if rolled {
		left, right = g.schedule2(0, few), g.schedule2(1, many)
	} else {
		for l := range lanes {
			left = append(left, g.schedule2(l, few)...)
			right = append(right, g.schedule1(l, many, buffered("first", "R14").plus(keyedFirst*l), buffered("nonce", "R14").plus(16*l))...)
		}
		right.add(g.nextNonce()...)
	}
	g.emit(merge(g.rounds1(&one, rolled), g.rounds2(&two), left, right)...)
	for l, state := range two {
		g.emit(g.judge(state, l)...)
	}
	g.emit("XCHGQ R13, R14", in("ADDL", lanes, "R11"))
	g.end(rolled, lanes)
	for l := range lanes {
		g.hit(l)
	}
}

// begin writes a scanner up to the loop over groups. What changes in the pipeline is in
// registers meanwhile.
func (g *shaGen) begin(name string, rolled bool) {
	if rolled {
		g.function("func "+name+"(p *pipeline, lanes *shaLane, nonces, versions uint64)", 32)
		g.emit("MOVQ p+0(FP), DI", "MOVQ lanes+8(FP), R9", "MOVQ nonces+16(FP), CX")
	} else {
		g.function("func "+name+"(p *pipeline, lane *shaLane, groups uint64)", 24)
		g.emit("MOVQ p+0(FP), DI", "MOVQ lane+8(FP), SI", "MOVQ groups+16(FP), CX")
	}
	g.emit(
		in("MOVL", field("found"), "R10"), in("MOVL", field("next"), "R11"), in("MOVL", field("top"), "R12"),
		in("MOVQ", field("read"), "R13"), "ADDQ DI, R13", in("MOVQ", field("write"), "R14"), "ADDQ DI, R14",
		"PCALIGN $64",
	)
	if rolled {
		g.label("nonce")
		for _, a := range g.sharedSchedule() {
			g.emit(a...)
		}
		g.emit("MOVQ versions+24(FP), BX", "MOVQ R9, SI", "PCALIGN $64")
	}
}

// end writes what follows a group of so many lanes.
func (g *shaGen) end(rolled bool, lanes int) {
	if rolled {
		g.emit(in("ADDQ", lanes*laneSize, "SI"), in("SUBQ", lanes, "BX"), "JNE group", "DECQ CX", "JNE nonce")
	} else {
		g.emit("DECQ CX", "JNE group")
	}
	g.label("done")
	g.emit(
		in("MOVL", "R10", field("found")), in("MOVL", "R11", field("next")),
		"SUBQ DI, R13", in("MOVQ", "R13", field("read")), "SUBQ DI, R14", in("MOVQ", "R14", field("write")),
		"RET",
	)
}

// judge holds the last word of a lane's hash against the target. The state is that of
// round 61, whose f is e of round 60, the last that counts.
func (g *shaGen) judge(state pair, lane int) []string {
	return []string{in("VMOVD", state.abef, "AX"), in("ADDL", int(iv[7]), "AX"), "BSWAPL AX", "CMPL AX, R12",
		fmt.Sprintf("JLS hit%d", lane), fmt.Sprintf("on%d:", lane)}
}

// hit keeps a lane's.
func (g *shaGen) hit(lane int) {
	g.label(fmt.Sprintf("hit%d", lane))
	g.emit(
		fmt.Sprintf("LEAL %d(R11), AX", lane), "MOVL AX, pipeline_hits(DI)(R10*4)",
		"INCL R10", "CMPL R10, $const_maxFound", "JEQ done", fmt.Sprintf("JMP on%d", lane),
	)
}

// sharedSchedule is the schedule of the tail for one nonce, which all versions
// share, and the step to the next nonce.
func (g *shaGen) sharedSchedule() stream {
	s := g.schedule1(0, []x{9, 10, 11, 12}, field("keyed16"), field("shared"))
	s.add(g.nextNonce()...)
	return s
}

func (g *shaGen) nextNonce() []string {
	return []string{in("VMOVDQU", field("nonces"), x(0)), in("VPADDD", field("step"), x(0), x(0)), in("VMOVDQU", x(0), field("nonces"))}
}

// rounds1 are rounds 4–63 of the tail, for a group, and what comes after them.
func (g *shaGen) rounds1(state *[lanes]pair, rolled bool) stream {
	var s stream
	lane := func(l int) place {
		if !rolled {
			l = 0
		}
		return place{bytes: l * laneSize, register: "SI"}
	}
	for l, p := range state {
		nonce := field("shared")
		if !rolled {
			nonce = buffered("nonce", "R13").plus(16 * l)
		}
		// Word 3 is an addend of e and a, into which its round went without it.
		s.add(in("VPSHUFD", 0xcc, nonce, p.abef), in("VPADDD", lane(l), p.abef, p.abef), in("VMOVDQU", lane(l).plus(16), p.cdgh))
	}
	for two := range 30 {
		if expanded := 8*two - 48; expanded >= 0 && !rolled {
			for l := range state {
				s.add(in("VMOVQ", buffered("first", "R13").plus(keyedFirst*l+expanded), x(0)), state[l].rounds())
			}
			continue
		}
		words := field("keyed4").plus(8 * two) // keyed16 follows
		s.add(in("VMOVQ", words, x(0)), state[0].rounds(), state[1].rounds())
	}
	for l, p := range state {
		s = append(s, append(atom{in("VPADDD", lane(l).plus(32), p.abef, p.abef), in("VPADDD", lane(l).plus(48), p.cdgh, p.cdgh)},
			inOrder(p, field("handOver").plus(stateSize*l))...))
	}
	return s
}

// inOrder puts a state, which is f e b a and h g d c, to a place as a b c d e f g h.
func inOrder(p pair, to place) []string {
	return []string{
		in("VSHUFPS", 0xbb, p.cdgh, p.abef, x(0)), in("VMOVDQU", x(0), to),
		in("VSHUFPS", 0x11, p.cdgh, p.abef, x(0)), in("VMOVDQU", x(0), to.plus(16)),
	}
}

// rounds2 are rounds 0–61 of the second hash, for a group.
func (g *shaGen) rounds2(state *[lanes]pair) stream {
	var s stream
	for _, p := range state {
		s.add(in("VMOVDQU", g.ivABEF, p.abef), in("VMOVDQU", g.ivCDGH, p.cdgh))
	}
	for two := range 31 {
		if two >= 4 && two < 8 { // all lanes have the same words
			s.add(in("VMOVQ", g.second(0, two), x(0)), state[0].rounds(), state[1].rounds())
			continue
		}
		for l := range state {
			s.add(in("VMOVQ", g.second(l, two), x(0)), state[l].rounds())
		}
	}
	return s
}

// second is where the keyed words for two rounds of the second hash are.
func (g *shaGen) second(l, two int) place {
	words := buffered("second", "R13").plus(keyedSecond * l)
	switch {
	case two < 4:
		return words.plus(8 * two)
	case two < 8:
		return g.fixed[two-4]
	}
	return words.plus(firstExpanded + 8*(two-8))
}

// schedule1 makes words 16–63 of the tail for one lane and puts them, keyed, into
// their place. Its first 16 words are constants but for the nonce, word 3, which has
// a place too.
func (g *shaGen) schedule1(l int, regs []x, to, nonce place) stream {
	e := g.expand(l, regs, to)
	w4, w5, w6 := regs[0], regs[1], regs[2]
	e.step(4, w4, in("VMOVDQU", field("nonces"), w4), in("VPSHUFB", g.nonces[l], w4, w4), in("VMOVDQU", w4, nonce),
		in("SHA256MSG1", g.pad8, w4), in("VPADDD", field("words16"), w4, w4))
	e.step(5, w5, in("VMOVDQU", field("words20"), w5), e.newest(5, w5))
	e.step(6, w6, e.seventh(6, w6), e.newest(6, w6))
	w7 := e.free(7)
	e.step(7, w7, e.seventh(7, w7), in("VPADDD", field("words28"), w7, w7), e.newest(7, w7))
	e.rest(8)
	return e.out
}

// schedule2 makes the words of the second hash for one lane out of the state that
// the first left, and puts them, keyed, into the buffer. Words 8–15 are constants.
func (g *shaGen) schedule2(l int, regs []x) stream {
	from, to := field("handOver").plus(stateSize*l), buffered("second", "R14").plus(keyedSecond*l)
	e := g.expand(l, regs, to.plus(firstExpanded))
	w0, w1, w2 := regs[0], regs[1], regs[2]
	e.out.add(
		in("VMOVDQU", from, w0), in("VPADDD", g.k[0], w0, x(0)), in("VMOVDQU", x(0), to),
		in("VMOVDQU", from.plus(16), w1), in("VPADDD", g.k[1], w1, x(0)), in("VMOVDQU", x(0), to.plus(16)),
	)
	e.step(4, w0, in("SHA256MSG1", w1, w0), in("SHA256MSG2", g.pad12, w0))
	e.step(5, w1, in("SHA256MSG1", g.pad8, w1), in("VPALIGNR", 4, g.pad12, w0, x(0)), in("VPADDD", x(0), w1, w1), e.newest(5, w1))
	e.step(6, w2, e.seventh(6, w2), in("VPADDD", g.pad8, w2, w2), e.newest(6, w2))
	w4, w7 := e.word(4), e.free(7)
	e.step(7, w7, append([]string{in("VMOVDQU", g.pad12, w7), in("SHA256MSG1", w4, w7)}, e.addSeventh(7, w7)...)...)
	e.rest(8)
	return e.out
}

// expansion makes a message schedule, four words a step: step 4 is words 16–19.
// Three registers hold the last three steps, and a fourth the one before, which
// otherwise comes from memory.
type expansion struct {
	*shaGen
	regs  []x
	to    place     // of the keyed words of step 4
	spill place     // of the words without constants, where there is no fourth register
	w     map[int]x // the register of a step
	out   stream
}

func (g *shaGen) expand(l int, regs []x, to place) *expansion {
	return &expansion{g, regs, to, buffered("spill", "R14").plus(spillSize * l), make(map[int]x), nil}
}

// step takes the instructions that make a step's words, and adds those that key
// and keep them.
func (e *expansion) step(step int, r x, words ...string) {
	words = append(words, in("VPADDD", e.k[step], r, x(0)), in("VMOVDQU", x(0), e.to.plus(16*(step-4))))
	if len(e.regs) < 4 && step <= 12 {
		words = append(words, in("VMOVDQU", r, e.spilled(step)))
	}
	e.w[step] = r
	e.out.add(words...)
}

func (e *expansion) spilled(step int) place { return e.spill.plus(16 * (step % 4)) }

// free is the register for a step from 7 on: one that holds nothing, or words that
// no step needs in a register any more.
func (e *expansion) free(step int) x {
	if step == 7 && len(e.regs) == 4 {
		return e.regs[3]
	}
	return e.w[step-len(e.regs)]
}

// word is where a step's words are once its register may be taken.
func (e *expansion) word(step int) any {
	if len(e.regs) < 4 {
		return e.spilled(step)
	}
	return e.w[step]
}

// seventh takes the words that stand seven before into a register.
func (e *expansion) seventh(step int, r x) string {
	return in("VPALIGNR", 4, e.w[step-2], e.w[step-1], r)
}

// newest completes a step with sigma1 of the words before it.
func (e *expansion) newest(step int, r x) string { return in("SHA256MSG2", e.w[step-1], r) }

// addSeventh adds the words that stand seven before, and completes the step.
func (e *expansion) addSeventh(step int, r x) []string {
	return []string{e.seventh(step, 0), in("VPADDD", x(0), r, r), e.newest(step, r)}
}

// rest is the steps from one on, which are all alike.
func (e *expansion) rest(from int) {
	for step := from; step < 16; step++ {
		var words []string
		sixteenth := e.w[step-4]
		r := e.free(step)
		if r != sixteenth {
			words = append(words, in("VMOVDQU", e.spilled(step-4), r))
		}
		words = append(words, in("SHA256MSG1", e.word(step-3), r))
		e.step(step, r, append(words, e.addSeventh(step, r)...)...)
	}
}
