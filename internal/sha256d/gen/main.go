// Command gen writes the assembly of package sha256d:
//
//	go generate ./internal/sha256d
//
// In shani.go are the pipelined nonce scanners for the SHA instructions of amd64, in
// vector.go those that have AVX-512 beside them, in nodes.go and nodes_vector.go the nodes
// of hash trees, in avx2.go the scanner for CPUs without SHA instructions, in sha2.go the
// one for those of arm64. docs/kernels.md draws the data flow.
package main

import (
	"fmt"
	"os"
)

// files are what it writes.
var files = map[string]func() *file{
	"shani_amd64.s":  shaNI,
	"vector_amd64.s": vectored,
	"avx2_amd64.s":   avx2,
	"sha2_arm64.s":   sha2,
}

func main() {
	for name, write := range files {
		if err := os.WriteFile(name, write().bytes(), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
