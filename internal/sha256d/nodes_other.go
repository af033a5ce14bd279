//go:build !amd64

package sha256d

func hashLevel(level [][32]byte) { hashLevelByStdlib(level) }
