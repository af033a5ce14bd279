package consensus

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// FuzzTree is TestTreeAgainstNaive with the fuzzer's bytes in place of chance:
// eight make one decision, and a run ends where they do.
func FuzzTree(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var decisions []byte
		for range 1024 {
			decisions = binary.LittleEndian.AppendUint64(decisions, rng.Uint64())
		}
		f.Add(decisions)
	}
	f.Fuzz(rapid.MakeFuzz(treeAgainstNaive))
}
