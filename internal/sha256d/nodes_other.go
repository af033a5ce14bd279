//go:build !amd64

package sha256d

const nodeKernel = ""

func hashLevel(level [][32]byte) { hashLevelByStdlib(level) }
