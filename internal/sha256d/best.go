package sha256d

import (
	"slices"
	"sync"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// Kernels returns every kernel that runs on this CPU, the one that is expected
// to be fastest first.
func Kernels() []Kernel {
	if hasSHA(&cpuid.CPU) {
		return append(assembly(&cpuid.CPU), Stdlib{}, Portable{})
	}
	return append(assembly(&cpuid.CPU), Portable{}, Stdlib{})
}

// Best returns the kernel that is the fastest on this CPU: the first call tries them
// all, in rounds, for some milliseconds.
func Best() Kernel { return best() }

var best = sync.OnceValue(func() Kernel { return fastest(Kernels(), time.Now) })

// Calibration: a round is a batch of each kernel.
const (
	calibrationRounds = 5
	calibrationLimit  = 40 * time.Millisecond // no round begins later
)

// fastest takes the least time of several rounds for each kernel, since a CPU with
// other things to do makes each of them slow at times.
func fastest(kernels []Kernel, now func() time.Time) Kernel {
	perHash := make([]float64, len(kernels))
	began := now()
	for round := 0; round < calibrationRounds && (round == 0 || now().Sub(began) < calibrationLimit); round++ {
		for i, kernel := range kernels {
			versions := make([]int32, kernel.Versions())
			w := New([HeaderSize]byte{}, 0, versions...)
			n := max(1, kernel.Batch()/uint32(len(versions)))
			start := now()
			kernel.Search(w, 0, n, make([]Hit, len(versions)))
			took := float64(now().Sub(start)) / (float64(n) * float64(len(versions)))
			if round == 0 || took < perHash[i] {
				perHash[i] = took
			}
		}
	}
	return kernels[slices.Index(perHash, slices.Min(perHash))]
}

// Named returns the kernel of that name, if there is one for this CPU.
func Named(name string) (Kernel, bool) {
	for _, kernel := range Kernels() {
		if kernel.Name() == name {
			return kernel, true
		}
	}
	return nil, false
}

// hasSHA reports whether crypto/sha256 uses SHA instructions on this CPU: on
// amd64 it asks for all four of these, on arm64 for the one.
func hasSHA(cpu *cpuid.CPUInfo) bool {
	return cpu.Supports(cpuid.SHA, cpuid.AVX, cpuid.SSE4, cpuid.SSSE3) || cpu.Supports(cpuid.SHA2)
}
