package main

// In the kernels for SHA and AVX-512 together the SHA instructions do rounds and nothing
// else, in three chains for each of the two hashes. The schedules are made meanwhile in
// vectors of four lanes. A vector has two words of each lane side by side, a pair, since
// SHA256RNDS2 takes a pair.
const (
	chains      = 3  // of rounds at once, for each of the two hashes
	vectorLanes = 12 // lanes of a group
	vectorSize  = 4  // lanes of a vector
	vectors     = vectorLanes / vectorSize
	pairSize    = 8 // bytes
	vectorBytes = vectorSize * pairSize
)

// vectored writes the two scanners. Their stages are those of shaNI.
//
//	scanVectorPlain     a group is twelve nonces of one version
//	scanVectorRolled    a group is twelve versions of one nonce, whose schedule is shared
func vectored() *file {
	g := &vectorGen{shaGen: newShaGen()}
	g.table = "vectorConstants"
	for len(g.data)%(vectorBytes/4) != 0 {
		g.data = append(g.data, 0) // so that no vector lies in two lines of the cache
	}
	for j := range g.keys {
		g.keys[j] = g.pairs(k[2*j], k[2*j+1])
	}
	g.padding, g.length = g.pairs(padding, 0), g.pairs(0, 256)
	g.swapAll = g.constant(0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f)
	g.scanner("scanVectorPlain", false)
	g.scanner("scanVectorRolled", true)
	g.nodeVectors()
	return g.file
}

// vectorGen writes such code.
type vectorGen struct {
	*shaGen
	keys            [32]place // round constants
	padding, length place     // pairs 4 and 7 of the second hash
	swapAll         place     // turns the bytes of each word around
	// fewer takes VPTERNLOGD for two exclusive ors. It keeps SHA256RNDS2 waiting, which is
	// worth it where there are two schedules for each hash.
	fewer bool
}

// pairs is a vector of the same pair for all lanes.
func (g *vectorGen) pairs(first, second uint32) place {
	return g.constant(first, second, first, second, first, second, first, second)
}

// exchanged is a place in struct exchange: in R13 is the one that a stage reads, in R14
// the one that a stage writes.
func exchanged(name, register string) place {
	return place{at: "exchange_" + name, register: register}
}

// Sizes of what is exchanged for each vector, in bytes.
const (
	stateVector  = 4 * vectorBytes  // exchange.state
	firstVector  = 32 * vectorBytes // exchange.first
	secondVector = 32 * vectorBytes // exchange.second
)

// laneOf is the place of a lane's pair, where so many bytes are exchanged for a vector.
func laneOf(exchanged place, lane, perVector, pair int) place {
	return exchanged.plus(lane/vectorSize*perVector + pair*vectorBytes + lane%vectorSize*pairSize)
}

func (g *vectorGen) scanner(name string, rolled bool) {
	g.fewer = !rolled
	g.begin(name, rolled)
	g.label("group")
	var schedules stream
	for v := range vectors {
		schedules = append(schedules, g.second(v)...)
	}
	if !rolled {
		for v := range vectors {
			schedules = append(schedules, g.first(v)...)
		}
	}
	g.emit(merge(g.rounds1(rolled), g.rounds2(), schedules)...)
	g.emit("XCHGQ R13, R14", in("ADDL", vectorLanes, "R11"))
	g.end(rolled, vectorLanes)
	for l := range vectorLanes {
		g.hit(l)
	}
}

// rounds1 are rounds 4–63 of the tail.
func (g *vectorGen) rounds1(rolled bool) stream {
	var s stream
	for first := 0; first < vectorLanes; first += chains {
		var state [chains]pair
		lane := func(c int) place {
			if !rolled {
				return place{register: "SI"}
			}
			return place{bytes: (first + c) * laneSize, register: "SI"}
		}
		for c := range state {
			p := pair{x(1 + 2*c), x(2 + 2*c)}
			nonce := in("VPSHUFD", 0xcc, field("shared"), p.abef)
			if !rolled {
				nonce = in("VMOVDDUP", laneOf(exchanged("nonce", "R13"), first+c, vectorBytes, 0), p.abef)
			}
			// Word 3 is an addend of e and a, into which its round went without it.
			s.add(nonce, in("VPADDD", lane(c), p.abef, p.abef), in("VMOVDQU", lane(c).plus(16), p.cdgh))
			state[c] = p
		}
		for two := range 30 {
			if two < 6 || rolled { // the same words for all lanes; keyed16 follows keyed4
				s.roundsOfAll(field("keyed4").plus(pairSize*two), state[:])
				continue
			}
			for c := range state {
				s.add(in("VMOVQ", laneOf(exchanged("first", "R13"), first+c, firstVector, two+2), x(0)), state[c].rounds())
			}
		}
		for c, p := range state {
			s.add(append([]string{in("VPADDD", lane(c).plus(32), p.abef, p.abef), in("VPADDD", lane(c).plus(48), p.cdgh, p.cdgh)},
				laneState(p, first+c)...)...)
		}
	}
	return s
}

// laneState leaves a lane's state after the first hash to the second.
func laneState(p pair, lane int) []string {
	to := func(pair int) place { return laneOf(exchanged("state", "R14"), lane, stateVector, pair) }
	return []string{
		in("VSHUFPS", 0xbb, p.cdgh, p.abef, x(0)), in("VMOVLPS", x(0), to(0)), in("VMOVHPS", x(0), to(1)),
		in("VSHUFPS", 0x11, p.cdgh, p.abef, x(0)), in("VMOVLPS", x(0), to(2)), in("VMOVHPS", x(0), to(3)),
	}
}

// rounds2 are rounds 0–61 of the second hash, and the judgement.
func (g *vectorGen) rounds2() stream {
	var s stream
	for first := 0; first < vectorLanes; first += chains {
		var state [chains]pair
		for c := range state {
			state[c] = pair{x(1 + 2*(chains+c)), x(2 + 2*(chains+c))}
			s.add(in("VMOVDQU", g.ivABEF, state[c].abef), in("VMOVDQU", g.ivCDGH, state[c].cdgh))
		}
		for two := range 31 {
			if two >= 4 && two < 8 { // all lanes have the same words
				s.roundsOfAll(g.fixed[two-4], state[:])
				continue
			}
			for c := range state {
				s.add(in("VMOVQ", laneOf(exchanged("second", "R13"), first+c, secondVector, two), x(0)), state[c].rounds())
			}
		}
		for c, p := range state {
			s.add(g.judge(p, first+c)...)
		}
	}
	return s
}

// roundsOfAll are two rounds of each chain, with the same words.
func (s *stream) roundsOfAll(words place, state []pair) {
	a := atom{in("VMOVQ", words, x(0))}
	for c := range state {
		a = append(a, state[c].rounds())
	}
	*s = append(*s, a)
}

// second is the schedule of the second hash for a vector.
func (g *vectorGen) second(v int) stream {
	from, to := exchanged("state", "R13").plus(stateVector*v), exchanged("second", "R14").plus(secondVector*v)
	w := &window{vectorGen: g, to: to}
	for j := range 4 {
		w.one("VMOVDQU32", from.plus(vectorBytes*j), pairOf(j))
		w.key(j)
	}
	w.one("VMOVDQU32", g.padding, pairOf(4))
	w.one("VPXORD", pairOf(5), pairOf(5), pairOf(5))
	w.one("VPXORD", pairOf(6), pairOf(6), pairOf(6))
	w.one("VMOVDQU32", g.length, pairOf(7))
	w.rest(8)
	return w.out
}

// first is the schedule of the tail for a vector of nonces: pairs 8–31. Its first words
// are constants, or the same for all nonces, but for the nonce, word 3.
func (g *vectorGen) first(v int) stream {
	nonces := field("vectorNonces").plus(vectorBytes * v)
	w := &window{vectorGen: g, to: exchanged("first", "R14").plus(firstVector * v)}
	same := func(name string, bytes int, to y) { w.one("VPBROADCASTQ", field(name).plus(bytes), to) }
	nonce, next, t := y(24), y(25), y(26)
	w.one("VMOVDQU32", nonces, nonce)
	w.one("VPADDD", field("vectorStep"), nonce, next)
	w.one("VMOVDQU32", next, nonces)
	w.one("VPSHUFB", g.swapAll, nonce, nonce) // a pair of 0 and word 3
	w.one("VMOVDQU32", nonce, exchanged("nonce", "R14").plus(vectorBytes*v))
	same("words16", 0, pairOf(8))
	w.key(8)
	same("words18", 0, pairOf(9)) // and sigma0 of word 3, and word 3
	w.sigma0(nonce, t)
	w.one("VPSRLQ", 32, t, t)
	w.plus(9, t)
	w.plus(9, nonce)
	w.key(9)
	for j := 10; j < 16; j++ {
		if j < 12 {
			same("words20", pairSize*(j-10), pairOf(j))
		} else {
			w.between(j-4, pairOf(j))
		}
		if j == 15 {
			same("words30", 0, t)
			w.plus(j, t)
		}
		w.sigma1(pairOf(j-1), t)
		w.plus(j, t)
		w.key(j)
	}
	w.rest(16)
	return w.out
}

// window makes a schedule. Y16 to Y23 hold the last eight pairs, a pair takes the place of
// the one eight before, and the registers from Y24 on are for what lives no longer.
type window struct {
	*vectorGen
	to  place // of pair 0, with its constants
	out stream
}

func pairOf(j int) y { return y(16 + j%8) }

// one adds an instruction. All of them are atoms of their own.
func (w *window) one(op string, operands ...any) { w.out.add(in(op, operands...)) }

func (w *window) plus(j int, addend y) { w.one("VPADDD", addend, pairOf(j), pairOf(j)) }

// key stores a pair with its round constants.
func (w *window) key(j int) {
	t := y(31)
	w.one("VPADDD", w.keys[j], pairOf(j), t)
	w.one("VMOVDQU32", t, w.to.plus(vectorBytes*j))
}

// rest makes the pairs from one on.
func (w *window) rest(from int) {
	fifteenth, seventh, sigma := y(24), y(25), y(26)
	for j := from; j < 32; j++ {
		w.between(j-8, fifteenth)
		w.between(j-4, seventh)
		w.plus(j, seventh) // to the pair of words sixteen before
		w.sigma0(fifteenth, sigma)
		w.plus(j, sigma)
		w.sigma1(pairOf(j-1), sigma)
		w.plus(j, sigma)
		w.key(j)
	}
}

// between takes the second word of a pair and the first of the next.
func (w *window) between(j int, to y) { w.one("VPSHRDQ", 32, pairOf(j+1), pairOf(j), to) }

func (w *window) sigma0(from, to y) { w.sigma(from, to, 7, 18, 3) }
func (w *window) sigma1(from, to y) { w.sigma(from, to, 17, 19, 10) }

// sigma is two rotations and a shift to the right, xored.
func (w *window) sigma(from, to y, rotate1, rotate2, shift int) {
	t1, t2 := y(29), y(30)
	w.one("VPRORD", rotate1, from, to)
	w.one("VPRORD", rotate2, from, t1)
	w.one("VPSRLD", shift, from, t2)
	if w.fewer {
		const xor3 = 0x96
		w.one("VPTERNLOGD", xor3, t1, t2, to)
		return
	}
	w.one("VPXORD", t1, to, to)
	w.one("VPXORD", t2, to, to)
}
