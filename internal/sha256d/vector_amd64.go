package sha256d

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// SHANIVector searches with the SHA instructions of amd64, which do the rounds, and with
// AVX-512, which makes the message schedules meanwhile: twelve nonces at a time.
type SHANIVector struct{}

// Name implements Kernel.
func (SHANIVector) Name() string { return "sha-ni-avx512" }

// Batch implements Kernel: a fifth of a millisecond at 43 million hashes a second.
func (SHANIVector) Batch() uint32 { return 720 * vectorLanes }

// Versions implements Kernel.
func (SHANIVector) Versions() int { return 1 }

// Search implements Kernel.
func (SHANIVector) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	p := pipelines.Get().(*pipeline)
	defer pipelines.Put(p)
	return searchLanes(w, start, n, hits, func(lane int, start, n uint32) ([]uint32, bool) {
		const stages = 4
		p.beginVectors(w, start, (stages-1)*vectorLanes)
		groups := (uint64(n) + vectorLanes - 1) / vectorLanes
		scanVectorPlain(p, &w.sha[lane], groups)
		if p.found < maxFound {
			scanVectorPlain(p, &w.sha[lane], stages-1) // those that are still on their way
		}
		return p.out()
	})
}

// SHANIVectorRolled searches likewise, twelve versions of a nonce at a time. All versions
// share the message schedule of the second chunk.
type SHANIVectorRolled struct{}

// Name implements Kernel.
func (SHANIVectorRolled) Name() string { return "sha-ni-avx512-rolled" }

// Batch implements Kernel: a fifth of a millisecond at 53 million hashes a second.
func (SHANIVectorRolled) Batch() uint32 { return 44 * 240 }

// Versions implements Kernel: a multiple of twelve; more gain nothing.
func (SHANIVectorRolled) Versions() int { return 240 }

// Search implements Kernel.
func (SHANIVectorRolled) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	lanes := uint64(len(w.sha))
	if lanes%vectorLanes != 0 {
		return SHANIRolled{}.Search(w, start, n, hits)
	}
	p := pipelines.Get().(*pipeline)
	defer pipelines.Put(p)
	return searchVersions(w, start, n, hits, uint32(lanes), func(start, n uint32) ([]uint32, bool) {
		const stages = 3
		p.beginVectors(w, start, (stages-1)*vectorLanes)
		p.step = [4]uint32{1, 1}
		scanVectorRolled(p, &w.sha[0], uint64(n), lanes)
		if p.found < maxFound {
			scanVectorRolled(p, &w.sha[0], stages-1, vectorLanes) // those that are still on their way
		}
		return p.out()
	})
}

// hasVectors reports whether there is what both need: AVX-512 on 256 bits (VL), its
// rotations (F), byte shuffles (BW) and shifts of two registers into one (VBMI2).
func hasVectors(cpu *cpuid.CPUInfo) bool {
	return hasSHA(cpu) && cpu.Supports(cpuid.AVX512F, cpuid.AVX512VL, cpuid.AVX512BW, cpuid.AVX512VBMI2)
}

// vectorLanes are those of a group.
const vectorLanes = 12

// exchange is what goes from stage to stage, in vectors of four lanes: pairs of words.
type exchange struct {
	state  [vectorLanes / 4][4][4][2]uint32  // what the first hash leaves to the second
	second [vectorLanes / 4][32][4][2]uint32 // words of the second hash with their round constants
	first  [vectorLanes / 4][32][4][2]uint32 // of the first, likewise; scanVectorPlain has no use for 0–15
	nonce  [vectorLanes / 4][4][2]uint32     // a 0 and word 3; scanVectorPlain only
}

func (p *pipeline) beginVectors(w *Work, start, late uint32) {
	p.begin(w, start, 1, late)
	p.restartVectors()
	p.words18 = [2]uint32{w.words16[2], w.words16[3] + sigma0(padding)}
	p.words30 = [2]uint32(p.words28[2:])
	for i := range p.vectorStep {
		p.vectorStep[i] = [2]uint32{0, vectorLanes}
	}
	for i := range uint32(vectorLanes) {
		p.vectorNonces[i/4][i%4] = [2]uint32{0, start + i}
	}
}

// restartVectors puts the exchanges in their first order.
func (p *pipeline) restartVectors() {
	p.read = uint64(unsafe.Offsetof(p.exchanges))
	p.write = p.read + uint64(unsafe.Sizeof(exchange{}))
}

// scanVectorPlain sends so many groups of twelve nonces through the pipeline, which
// comes out with those of three groups before.
//
//go:noescape
func scanVectorPlain(p *pipeline, lane *shaLane, groups uint64)

// scanVectorRolled sends so many nonces, each with so many versions, through the
// pipeline in groups of twelve, which comes out with those of two groups before.
//
//go:noescape
func scanVectorRolled(p *pipeline, lanes *shaLane, nonces, versions uint64)
