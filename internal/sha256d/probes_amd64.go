package sha256d

import "github.com/klauspost/cpuid/v2"

var clockProbe Probe = spin

var unitProbe = func() Probe {
	if hasSHA(&cpuid.CPU) {
		return shaUnit
	}
	return nil
}()

//go:noescape
func spin(rounds uint64) (additions uint64)

//go:noescape
func shaUnit(rounds uint64) (instructions uint64)
