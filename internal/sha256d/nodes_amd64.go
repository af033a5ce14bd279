package sha256d

import "github.com/klauspost/cpuid/v2"

var nodeKernel = func() string {
	switch cpu := &cpuid.CPU; {
	case hasVectors(cpu):
		return SHANIVector{}.Name()
	case hasSHA(cpu):
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
	defer pipelines.Put(p)
	nodes, done := len(level)/2, 0
	// As many groups as three go through the pipeline in addition.
	if groups := nodes / nodeLanes; groups >= 3 && nodeKernel == (SHANIVector{}).Name() {
		p.restartVectors()
		hashNodeVectors(p, &level[0], &level[0], uint64(groups))
		done = groups * nodeLanes
	}
	if done < nodes {
		p.restart()
		hashNodes(p, &level[done], &level[2*done], uint64(nodes-done))
	}
}

// hashNodes writes the double SHA-256 of each of n times 64 bytes. It may write over
// what it reads.
//
//go:noescape
func hashNodes(p *pipeline, to, from *[32]byte, n uint64)

// nodeLanes are the nodes of a group of hashNodeVectors.
const nodeLanes = 8

// hashNodeVectors does the same for so many groups.
//
//go:noescape
func hashNodeVectors(p *pipeline, to, from *[32]byte, groups uint64)
