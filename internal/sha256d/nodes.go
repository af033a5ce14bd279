package sha256d

import (
	"crypto/sha256"
	"unsafe"
)

// HashLevel goes one level up a hash tree (Bitcoin's, of double SHA-256): it hashes
// each two neighbours into a node, and returns the nodes, in the memory of the level.
// A level of odd length loses its last hash.
func HashLevel[Hash ~[32]byte](level []Hash) []Hash {
	if len(level) >= 2 {
		hashLevel(unsafe.Slice((*[32]byte)(unsafe.Pointer(&level[0])), len(level)))
	}
	return level[:len(level)/2]
}

// NodeKernel names what HashLevel uses on this CPU, "" where that is crypto/sha256.
func NodeKernel() string { return nodeKernel }

func hashLevelByStdlib(level [][32]byte) {
	var pair [64]byte
	for i := range len(level) / 2 {
		copy(pair[:32], level[2*i][:])
		copy(pair[32:], level[2*i+1][:])
		first := sha256.Sum256(pair[:])
		level[i] = sha256.Sum256(first[:])
	}
}
