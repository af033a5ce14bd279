package consensus

import (
	"testing"

	"pgregory.net/rapid"
)

// FuzzTree is TestTreeAgainstNaive with the fuzzer's bytes in place of chance:
// eight make one decision, and a run ends where they do.
func FuzzTree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(treeAgainstNaive)) }
