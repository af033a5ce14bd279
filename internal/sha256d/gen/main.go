// Command gen writes the assembly of package sha256d for amd64:
//
//	go generate ./internal/sha256d
//
// One file of this package for each file that it writes: shani.go has the
// pipelined nonce scanners, pairs.go the nodes of hash trees, avx2.go the
// scanner for CPUs without SHA instructions. docs/kernels.md draws the data flow.
package main

import (
	"fmt"
	"os"
)

func main() {
	for name, write := range map[string]func() *file{
		"shani_amd64.s": shaNI,
		"avx2_amd64.s":  avx2,
	} {
		if err := os.WriteFile(name, write().bytes(), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
