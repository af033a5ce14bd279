package sha256d

import "github.com/klauspost/cpuid/v2"

var nodeKernel = func() string {
	if hasSHA(&cpuid.CPU) {
		return SHANI{}.Name()
	}
	return ""
}()

func hashLevel(level [][32]byte) {
	if nodeKernel == "" {
		hashLevelByStdlib(level)
		return
	}
	p := pipelines.Get().(*pipeline)
	p.restart()
	hashNodes(p, &level[0], &level[0], uint64(len(level)/2))
	pipelines.Put(p)
}

// hashNodes writes the double SHA-256 of each of n times 64 bytes. It may write over
// what it reads.
//
//go:noescape
func hashNodes(p *pipeline, to, from *[32]byte, n uint64)
