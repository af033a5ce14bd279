package main

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

func benchHashCommand() *cli.Command {
	return &cli.Command{
		Name:  "hash",
		Usage: "how fast the mining kernels search, and for how many joules",
		Description: "All kernels for this CPU, and crypto/sha256 with and without the midstate, take\n" +
			"turns in short slices in random order, so that whatever else the machine does\n" +
			"meets all of them alike.\n\n" +
			"Examples:\n" +
			"   kapok bench hash                      one thread, 10 s\n" +
			"   kapok bench hash --threads 8          eight threads at once; figures are of all together\n" +
			"   kapok bench hash --seconds 60 --json --svg hash.svg",
		Flags:  raceFlags(),
		Action: raceAction(func() (*race, error) { return hashRace(devHeader()) }),
	}
}

// devHeader is a solved one.
func devHeader() [sha256d.HeaderSize]byte {
	header := consensus.Dev().Genesis().Header
	return [sha256d.HeaderSize]byte(header.Append(nil))
}

// Names of the baselines.
const (
	twiceName    = "crypto/sha256 twice, 80 bytes"
	midstateName = "crypto/sha256, restored midstate"
)

// baselineBatch is how many nonces a baseline tries in half a millisecond or less.
const baselineBatch = 2000

// hashRace is among all kernels for this CPU, each with as many versions of the
// header as it is best at, and the baselines. The header must be a solved one: each
// kernel has to find its nonce first, for a search that misses blocks would be fast
// for nothing.
func hashRace(header [sha256d.HeaderSize]byte) (*race, error) {
	r := &race{bench: "hash", unit: "hashes", rounds: sha256d.RoundsPerHash}
	for _, kernel := range sha256d.Kernels() {
		if err := proveKernel(kernel, header); err != nil {
			return nil, err
		}
		r.contenders = append(r.contenders, kernelContender(kernel, header))
	}
	r.baseline = len(r.contenders)
	r.contenders = append(r.contenders,
		contender{name: midstateName, kind: "baseline", versions: 1, batch: baselineBatch, start: func() func(uint32, uint32) int { return midstateSearch(header) }},
		contender{name: twiceName, kind: "baseline", versions: 1, batch: baselineBatch, start: func() func(uint32, uint32) int { return twiceSearch(header) }},
	)
	return r, nil
}

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
func kernelContender(kernel sha256d.Kernel, header [sha256d.HeaderSize]byte) contender {
	work := sha256d.New(header, 0, rolled(header, kernel)...)
	versions := work.Versions()
	return contender{
		name: kernel.Name(), kind: "kernel", versions: versions, batch: max(1, kernel.Batch()/uint32(versions)),
		sha: strings.HasPrefix(kernel.Name(), "sha-ni"),
		start: func() func(uint32, uint32) int {
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
