package main

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/internal/sha256d"
)

func benchMerkleCommand() *cli.Command {
	return &cli.Command{
		Name:  "merkle",
		Usage: "how fast the nodes of Merkle trees are hashed",
		Description: "The kernel that this CPU has for nodes, double SHA-256 of 64 bytes, and crypto/sha256\n" +
			"twice take turns in short slices.\n\n" +
			"Example:\n" +
			"   kapok bench merkle --seconds 20",
		Flags:  raceFlags(),
		Action: raceAction(merkleRace),
	}
}

// merkleLevel is how many hashes make a level: as many as the transactions of a
// large block.
const merkleLevel = 4096

// roundsPerNode is how many SHA256RNDS2 a node takes: three chunks of 64 rounds, two
// each.
const roundsPerNode = 3 * 64 / 2

func merkleRace() (*race, error) {
	level := make([][32]byte, merkleLevel)
	random := rand.NewChaCha8([32]byte{})
	for i := range level {
		random.Read(level[i][:])
	}
	if want := hashPairs(slices.Clone(level)); !slices.Equal(sha256d.HashLevel(slices.Clone(level)), want) {
		return nil, errors.New("the kernel's nodes are wrong: it is not measured")
	}
	of := func(hash func([][32]byte) [][32]byte) func() func(uint32, uint32) int {
		return func() func(uint32, uint32) int {
			level := slices.Clone(level)
			return func(_, n uint32) int {
				for range n {
					hash(level)
				}
				return int(n) * merkleLevel / 2
			}
		}
	}
	r := &race{bench: "merkle", unit: "nodes", rounds: roundsPerNode}
	if name := sha256d.NodeKernel(); name != "" {
		r.contenders = append(r.contenders, contender{name: name, kind: "kernel", versions: 1, batch: 2, sha: true, start: of(sha256d.HashLevel[[32]byte])})
	}
	r.baseline = len(r.contenders)
	r.contenders = append(r.contenders, contender{name: "crypto/sha256 twice, 64 bytes", kind: "baseline", versions: 1, batch: 1, start: of(hashPairs)})
	return r, nil
}

// hashPairs is sha256d.HashLevel as one writes it first.
func hashPairs(level [][32]byte) [][32]byte {
	var pair [64]byte
	for i := range len(level) / 2 {
		copy(pair[:32], level[2*i][:])
		copy(pair[32:], level[2*i+1][:])
		first := sha256.Sum256(pair[:])
		level[i] = sha256.Sum256(first[:])
	}
	return level[:len(level)/2]
}
