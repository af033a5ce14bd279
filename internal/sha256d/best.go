package sha256d

import "github.com/klauspost/cpuid/v2"

// Kernels returns every kernel that runs on this CPU, the one that is expected
// to be fastest first.
func Kernels() []Kernel {
	if hasSHA(&cpuid.CPU) {
		return append(assembly(&cpuid.CPU), Stdlib{}, Portable{})
	}
	return append(assembly(&cpuid.CPU), Portable{}, Stdlib{})
}

// Best returns the kernel that is expected to be the fastest on this CPU.
func Best() Kernel { return Kernels()[0] }

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
