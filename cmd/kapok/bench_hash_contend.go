package main

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"

	"github.com/kapok-chain/kapok/internal/sha256d"
)

// hashContender is one way to hash a header with many nonces.
type hashContender struct {
	name     string
	kind     string // kernel or baseline
	versions int    // of the header that share one nonce's message schedule
	batch    uint32 // nonces in one call of a search

	// search makes a search with buffers of its own, for one thread: it tries n
	// nonces from start on and returns the number of hashes.
	search func() func(start, n uint32) int
}

// Names of the baselines.
const (
	twiceName    = "crypto/sha256 twice, 80 bytes"
	midstateName = "crypto/sha256, restored midstate"
)

// baselineBatch is how many nonces a baseline tries in half a millisecond or less.
const baselineBatch = 2000

// hashContenders are all kernels for this CPU, each with as many versions of the
// header as it is best at, and the baselines. The header must be a solved one: each kernel has to find
// its nonce first, for a search that misses blocks would be fast for nothing.
func hashContenders(header [sha256d.HeaderSize]byte) ([]hashContender, error) {
	var list []hashContender
	for _, kernel := range sha256d.Kernels() {
		if err := proveKernel(kernel, header); err != nil {
			return nil, err
		}
		list = append(list, kernelContender(kernel, header))
	}
	return append(list,
		hashContender{name: midstateName, kind: "baseline", versions: 1, batch: baselineBatch, search: func() func(uint32, uint32) int { return midstateSearch(header) }},
		hashContender{name: twiceName, kind: "baseline", versions: 1, batch: baselineBatch, search: func() func(uint32, uint32) int { return twiceSearch(header) }},
	), nil
}

// midstateAt is the place of the baseline that all others are compared with.
func midstateAt(contenders []hashContender) int { return len(contenders) - 2 }

// proveKernel makes sure that a kernel finds the nonce of a solved header.
func proveKernel(kernel sha256d.Kernel, header [sha256d.HeaderSize]byte) error {
	nonce := binary.LittleEndian.Uint32(header[76:])
	first := sha256.Sum256(header[:])
	hash := sha256.Sum256(first[:])
	work := sha256d.New(header, binary.LittleEndian.Uint32(hash[28:]), rolled(header, kernel)...)
	hits := make([]sha256d.Hit, work.Versions()+16)
	found, _ := kernel.Search(work, nonce-100, 200, hits)
	for _, hit := range hits[:found] {
		if work.Header(hit) == header {
			return nil
		}
	}
	return fmt.Errorf("kernel %s does not find a nonce that solves a block: it is not measured, and must not mine", kernel.Name())
}

// kernelContender has a kernel search for what is not there: a top word of 0.
func kernelContender(kernel sha256d.Kernel, header [sha256d.HeaderSize]byte) hashContender {
	work := sha256d.New(header, 0, rolled(header, kernel)...)
	versions := work.Versions()
	return hashContender{
		name: kernel.Name(), kind: "kernel", versions: versions, batch: max(1, kernel.Batch()/uint32(versions)),
		search: func() func(uint32, uint32) int {
			hits := make([]sha256d.Hit, versions+16)
			return func(start, n uint32) int {
				_, tried := kernel.Search(work, start, n, hits)
				return int(tried) * versions
			}
		},
	}
}

// rolled are the versions that a kernel is to try: the header's own, and others that
// differ in bits that are the miner's (BIP320).
func rolled(header [sha256d.HeaderSize]byte, kernel sha256d.Kernel) []int32 {
	versions := make([]int32, kernel.Versions())
	for i := range versions {
		versions[i] = int32(binary.LittleEndian.Uint32(header[:])) ^ int32(i)<<13
	}
	return versions
}

// twiceSearch is what one writes first: SHA-256 of all 80 bytes, and of that.
func twiceSearch(header [sha256d.HeaderSize]byte) func(start, n uint32) int {
	var zero [4]byte
	return func(start, n uint32) int {
		for i := range n {
			binary.LittleEndian.PutUint32(header[76:], start+i)
			first := sha256.Sum256(header[:])
			hash := sha256.Sum256(first[:])
			if [4]byte(hash[28:]) == zero {
				continue // a miner would look closer
			}
		}
		return int(n)
	}
}

// midstateSearch hashes the first 64 bytes once and restores the state for each
// nonce: the best that the standard library's interface allows.
func midstateSearch(header [sha256d.HeaderSize]byte) func(start, n uint32) int {
	digest := sha256.New()
	digest.Write(header[:64])
	state := digest.(interface { // by contract of sha256.New
		encoding.BinaryMarshaler
		encoding.BinaryUnmarshaler
	})
	mid, _ := state.MarshalBinary() // neither call fails on its own digest's state
	tail := header[64:]
	sum := make([]byte, 0, sha256.Size)
	var zero [4]byte
	return func(start, n uint32) int {
		for i := range n {
			binary.LittleEndian.PutUint32(tail[12:], start+i)
			_ = state.UnmarshalBinary(mid)
			digest.Write(tail)
			hash := sha256.Sum256(digest.Sum(sum))
			if [4]byte(hash[28:]) == zero {
				continue // a miner would look closer
			}
		}
		return int(n)
	}
}
