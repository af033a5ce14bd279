package consensus

import "github.com/kapok-chain/kapok/internal/sha256d"

// MerkleRoot returns the root of Bitcoin's hash tree over the leaves, and
// whether two neighbours at some level are equal. A level of odd length repeats
// its last node, so a list that ends in a repetition can have the root of the
// shorter list (CVE-2012-2459): a block whose tree is mutated may be a damaged
// copy of a good one. No leaves give the zero hash.
func MerkleRoot(leaves []Hash) (root Hash, mutated bool) {
	return reduce(append(make([]Hash, 0, len(leaves)+1), leaves...))
}

// reduce is MerkleRoot in the leaves' own memory, which it overwrites.
func reduce(level []Hash) (root Hash, mutated bool) {
	if len(level) == 0 {
		return Hash{}, false
	}
	for len(level) > 1 {
		for i := 0; i+1 < len(level); i += 2 {
			mutated = mutated || level[i] == level[i+1]
		}
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		level = sha256d.HashLevel(level)
	}
	return level[0], mutated
}

func merkleNode(left, right Hash) Hash {
	var b [2 * HashSize]byte
	copy(b[:HashSize], left[:])
	copy(b[HashSize:], right[:])
	return DoubleSHA256(b[:])
}

// MerkleRoot returns the root over the block's txids, which its header must
// carry, and whether the tree is mutated.
func (b *Block) MerkleRoot() (root Hash, mutated bool) {
	return MerkleRoot(b.TxIDs())
}
