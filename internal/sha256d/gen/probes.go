package main

import "fmt"

// Instructions in one round of a probe.
const (
	spinAdds   = 64
	unitRounds = 64
	unitChains = 8 // more than wait for each other on any CPU: SHA256RNDS2 takes 4 to 8 cycles
)

// probes writes what `kapok bench hash` infers the clock and the limit from.
func (g *shaGen) probes() {
	g.function("func spin(rounds uint64) (additions uint64)", 16)
	g.emit("MOVQ rounds+0(FP), CX", "MOVL $1, BX", "XORL AX, AX", "PCALIGN $64")
	g.label("addition") // each waits for the one before, and takes a cycle
	for range spinAdds {
		g.emit("ADDQ BX, AX")
	}
	g.emit("DECQ CX", "JNE addition", "MOVQ AX, additions+8(FP)", "RET")

	g.function("func shaUnit(rounds uint64) (instructions uint64)", 16)
	g.emit("MOVQ rounds+0(FP), CX", "XORL AX, AX", "PCALIGN $64")
	g.label("independent")
	for i := range unitRounds {
		g.emit(fmt.Sprintf("SHA256RNDS2 X0, X%d, X%d", unitChains+1, 1+i%unitChains))
	}
	g.emit(in("ADDQ", unitRounds, "AX"), "DECQ CX", "JNE independent", "MOVQ AX, instructions+8(FP)", "RET")
}
