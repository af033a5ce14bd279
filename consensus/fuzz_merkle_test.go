package consensus

import (
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// widthTree is the tree as Bitcoin Core's CPartialMerkleTree sees it, from the
// top: a node is named by its height above the leaves and its place, and only
// the widths of the levels are computed.
type widthTree []Hash

func (w widthTree) width(height int) int { return (len(w) + 1<<height - 1) >> height }

func (w widthTree) node(height, at int) (hash Hash, mutated bool) {
	if height == 0 {
		return w[at], false
	}
	left, below := w.node(height-1, 2*at)
	right := left
	if 2*at+1 < w.width(height-1) {
		var other bool
		right, other = w.node(height-1, 2*at+1)
		mutated = other || right == left
	}
	return DoubleSHA256(append(left[:], right[:]...)), mutated || below
}

func (w widthTree) root() (Hash, bool) {
	if len(w) == 0 {
		return Hash{}, false
	}
	height := 0
	for w.width(height) > 1 {
		height++
	}
	return w.node(height, 0)
}

// FuzzMerkleRoot takes each byte for a leaf, so that many are equal, holds root
// and flag against the other view of the tree, and forges a longer list of the
// same root wherever there is one (CVE-2012-2459): it must be told apart.
func FuzzMerkleRoot(f *testing.F) {
	f.Fuzz(func(t *testing.T, bytes []byte) {
		const most = 1 << 10 // leaves
		leaves := make([]Hash, min(len(bytes), most))
		for i := range leaves {
			leaves[i] = Hash{bytes[i], 1}
		}
		var root Hash
		var mutated bool
		frugal.Call(t, "MerkleRoot", HashSize*len(leaves), func() { root, mutated = MerkleRoot(leaves) })
		for i := range leaves {
			if leaves[i] != (Hash{bytes[i], 1}) {
				t.Fatal("the leaves were changed")
			}
		}
		if want, wantFlag := widthTree(leaves).root(); root != want || mutated != wantFlag {
			t.Fatalf("%q: %s %v, seen otherwise %s %v", bytes, root, mutated, want, wantFlag)
		}
		for size := 1; size < len(leaves); size *= 2 { // of the subtree that an odd level repeats
			if len(leaves)%size > 0 || len(leaves)/size%2 == 0 {
				continue
			}
			longer := append(leaves[:len(leaves):len(leaves)], leaves[len(leaves)-size:]...)
			if forged, flag := MerkleRoot(longer); forged != root || !flag {
				t.Fatalf("%q and its last %d again: %s %v, without %s", bytes, size, forged, flag, root)
			}
		}
	})
}
