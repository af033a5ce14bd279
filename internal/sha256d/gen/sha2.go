package main

import "fmt"

// v is a vector register of arm64.
type v int

func (r v) words() string { return fmt.Sprintf("V%d.S4", int(r)) }
func (r v) bytes() string { return fmt.Sprintf("V%d.B16", int(r)) }
func (r v) whole() string { return fmt.Sprintf("V%d", int(r)) }

// armLane is what a nonce of a group has in registers.
type armLane struct {
	abcd, efgh, was v // the state, and its first half before four rounds
	keyed           v // words with their round constants
	w               [4]v
}

// sha2 writes the scanner for the SHA instructions of arm64: two nonces at a time,
// so that each finds work while the other waits. SHA256H and SHA256H2 do four
// rounds, SHA256SU0 and SHA256SU1 make four words.
func sha2() *file {
	g := &armGen{file: &file{table: "armConstants"}}
	g.scanner()
	return g.file
}

type armGen struct{ *file }

// constants of the table, after the round constants.
const (
	padWords  = 4 * 64         // words 4–7 of the tail, and 8–11 of the second hash
	zeroWords = padWords + 16  // words 8–11 of the tail
	tailEnd   = zeroWords + 16 // words 12–15 of the tail
	hashEnd   = tailEnd + 16   // words 12–15 of the second hash
	ivWords   = hashEnd + 16
)

func (g *armGen) scanner() {
	g.constant(k[:]...)
	g.constant(padding, 0, 0, 0)
	g.constant(0, 0, 0, 0)
	g.constant(0, 0, 0, 8*80)
	g.constant(0, 0, 0, 256)
	g.constant(iv[:]...)

	g.code = append(g.code, "", "// func scanSHA2(p *narrow, groups uint64)", "TEXT ·scanSHA2(SB), NOSPLIT, $0-16")
	g.emit(
		"MOVD p+0(FP), R0", "MOVD groups+8(FP), R1", "MOVD $armConstants<>(SB), R2", "MOVD R2, R9",
		"MOVWU narrow_nonce(R0), R3", "MOVWU narrow_top(R0), R4", "MOVW $0, R5", "MOVW $0, R6", // index, found
		"ADD $narrow_third, R0, R10", "ADD $narrow_mid, R0, R11", "ADD $narrow_tail, R0, R12", "ADD $narrow_hits, R0, R13",
	)
	for step := 0; step < 16; step += 4 {
		g.emit(fmt.Sprintf("VLD1.P 64(R9), [%s, %s, %s, %s]", key(step).words(), key(step+1).words(), key(step+2).words(), key(step+3).words()))
	}
	for i, at := range []int{padWords, zeroWords, tailEnd, hashEnd, ivWords} {
		g.emit(fmt.Sprintf("ADD $%d, R2, R%d", at, 19+i))
	}
	g.label("group")
	lanes := [2]armLane{
		{abcd: 0, efgh: 1, was: 2, keyed: 3, w: [4]v{4, 5, 6, 7}},
		{abcd: 8, efgh: 9, was: 10, keyed: 11, w: [4]v{12, 13, 14, 15}},
	}
	for i := range lanes {
		l := &lanes[i]
		g.emit(
			fmt.Sprintf("ADDW $%d, R3, R7", i), "REVW R7, R7",
			fmt.Sprintf("VEOR %s, %s, %s", l.was.bytes(), l.was.bytes(), l.was.bytes()),
			fmt.Sprintf("VMOV R7, V%d.S[0]", int(l.was)), // an addend of a and e
			fmt.Sprintf("VLD1 (R10), [%s, %s]", l.abcd.words(), l.efgh.words()),
			fmt.Sprintf("VADD %s, %s, %s", l.was.words(), l.abcd.words(), l.abcd.words()),
			fmt.Sprintf("VADD %s, %s, %s", l.was.words(), l.efgh.words(), l.efgh.words()),
			fmt.Sprintf("VLD1 (R12), [%s]", l.w[0].words()),
			fmt.Sprintf("VMOV R7, V%d.S[3]", int(l.w[0])),
			fmt.Sprintf("VLD1 (R19), [%s]", l.w[1].words()), fmt.Sprintf("VLD1 (R20), [%s]", l.w[2].words()), fmt.Sprintf("VLD1 (R21), [%s]", l.w[3].words()),
		)
	}
	g.hash(&lanes, 1)
	for i := range lanes { // the first hash is the message of the second
		l := &lanes[i]
		g.emit(
			fmt.Sprintf("VLD1 (R11), [%s, %s]", l.w[0].words(), l.w[1].words()),
			fmt.Sprintf("VADD %s, %s, %s", l.abcd.words(), l.w[0].words(), l.w[0].words()),
			fmt.Sprintf("VADD %s, %s, %s", l.efgh.words(), l.w[1].words(), l.w[1].words()),
			fmt.Sprintf("VLD1 (R19), [%s]", l.w[2].words()), fmt.Sprintf("VLD1 (R22), [%s]", l.w[3].words()),
			fmt.Sprintf("VLD1 (R23), [%s, %s]", l.abcd.words(), l.efgh.words()),
		)
	}
	g.hash(&lanes, 0)
	g.emit(fmt.Sprintf("MOVW $%#x, R8", iv[7]))
	for i := range lanes {
		g.emit(
			fmt.Sprintf("VMOV V%d.S[3], R7", int(lanes[i].efgh)), "ADDW R8, R7, R7", "REVW R7, R7",
			"CMPW R4, R7", fmt.Sprintf("BLS hit%d", i),
		)
		g.label(fmt.Sprintf("on%d", i))
	}
	g.emit("ADDW $2, R3, R3", "ADDW $2, R5, R5", "SUBS $1, R1, R1", "BNE group")
	g.label("done")
	g.emit("MOVW R6, narrow_found(R0)", "RET")
	for i := range lanes {
		g.label(fmt.Sprintf("hit%d", i))
		g.emit(
			fmt.Sprintf("ADDW $%d, R5, R7", i), "ADD R6<<2, R13, R14", "MOVW R7, (R14)",
			"ADDW $1, R6, R6", "CMPW $const_maxFound, R6", "BEQ done", fmt.Sprintf("JMP on%d", i),
		)
	}
}

// key holds the round constants of a step, which is four rounds.
func key(step int) v { return v(16 + step) }

// hash runs the steps from one on, and makes the words that they want.
func (g *armGen) hash(lanes *[2]armLane, from int) {
	for step := range 16 {
		for i := range lanes {
			l := &lanes[i]
			w0, w1, w2, w3 := l.w[step%4], l.w[(step+1)%4], l.w[(step+2)%4], l.w[(step+3)%4]
			if step >= from {
				g.emit(fmt.Sprintf("VADD %s, %s, %s", key(step).words(), w0.words(), l.keyed.words()))
			}
			if step < 12 {
				g.emit(fmt.Sprintf("SHA256SU0 %s, %s", w1.words(), w0.words()), fmt.Sprintf("SHA256SU1 %s, %s, %s", w3.words(), w2.words(), w0.words()))
			}
			if step >= from {
				g.emit(
					fmt.Sprintf("VMOV %s, %s", l.abcd.bytes(), l.was.bytes()),
					fmt.Sprintf("SHA256H %s, %s, %s", l.keyed.words(), l.efgh.whole(), l.abcd.whole()),
					fmt.Sprintf("SHA256H2 %s, %s, %s", l.keyed.words(), l.was.whole(), l.efgh.whole()),
				)
			}
		}
	}
}
