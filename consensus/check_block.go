package consensus

import "fmt"

// CheckBlock judges a block's transactions by themselves: rules B1 to B7, in
// this order, which is Bitcoin Core's. The header is judged by CheckHeader.
//
// The order is part of the contract. The header commits to the txids alone, so
// until the Merkle root is right and unambiguous, whatever is wrong may be a
// forwarder's doing and is Mutated. Only then may a finding be Invalid, and
// only one about what txids cover: a block's weight, which counts witnesses, is
// left to CheckBlockContext.
func CheckBlock(p *Params, b *Block) error {
	if err := checkMerkle(b); err != nil {
		return err
	}
	if len(b.Txs) == 0 {
		return invalid(ErrBlockLength, "no transactions") // B4
	}
	if size := b.StrippedSize(); size > p.MaxWeight/WitnessScale {
		return invalid(ErrBlockLength, fmt.Sprintf("%d bytes without witnesses, the limit is %d", size, p.MaxWeight/WitnessScale)) // B4
	}
	for i, tx := range b.Txs {
		if i == 0 && !tx.IsCoinbase() {
			return invalid(ErrCoinbaseMissing, "the first transaction is no coinbase") // B5
		}
		if i > 0 && tx.IsCoinbase() {
			return invalid(ErrCoinbaseMultiple, fmt.Sprintf("transaction %d is a coinbase too", i)) // B6
		}
	}
	for i, tx := range b.Txs {
		if err := CheckTx(p, tx); err != nil {
			return within(fmt.Sprintf("transaction %d", i), err) // B7
		}
	}
	return nil
}

func checkMerkle(b *Block) error {
	root, ambiguous := b.MerkleRoot()
	if root != b.Header.MerkleRoot {
		return mutated(ErrMerkleRoot, fmt.Sprintf("the transactions hash to %s, the header says %s", root, b.Header.MerkleRoot)) // B1
	}
	if ambiguous {
		return mutated(ErrDuplicateTxs, "the same hash twice in the Merkle tree") // B2
	}
	// Inner nodes of a good block, dressed up as transactions of 64 bytes, have
	// its root as well. To make the first of them a coinbase takes 2^224 work,
	// so a coinbase in its place is proof that nobody did this.
	if len(b.Txs) > 0 && b.Txs[0].IsCoinbase() {
		return nil
	}
	for i, tx := range b.Txs {
		if tx.StrippedSize() == nodeSize {
			return mutated(ErrTx64Bytes, fmt.Sprintf("transaction %d may be a Merkle node in disguise", i)) // B3
		}
	}
	return nil
}
