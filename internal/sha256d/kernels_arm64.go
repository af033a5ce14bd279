package sha256d

import "github.com/klauspost/cpuid/v2"

// assembly lists the kernels that are not written in Go.
func assembly(cpu *cpuid.CPUInfo) []Kernel {
	if hasSHA(cpu) {
		return []Kernel{SHA2{}}
	}
	return nil
}
