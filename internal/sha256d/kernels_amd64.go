package sha256d

import "github.com/klauspost/cpuid/v2"

// assembly lists the kernels that are not written in Go.
func assembly(cpu *cpuid.CPUInfo) []Kernel {
	var kernels []Kernel
	if hasVectors(cpu) {
		kernels = append(kernels, SHANIVectorRolled{}, SHANIVector{})
	}
	if hasSHA(cpu) {
		kernels = append(kernels, SHANIRolled{}, SHANI{})
	}
	if cpu.Supports(cpuid.AVX2) {
		kernels = append(kernels, AVX2{})
	}
	return kernels
}
