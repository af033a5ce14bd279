package consensus

import (
	"bytes"
	"fmt"
)

// BIP141's commitment: an OP_RETURN output of the coinbase that holds a push of
// four header bytes and the commitment hash.
const (
	commitmentHeader = "\x6a\x24\xaa\x21\xa9\xed" // OP_RETURN, push 36, header
	commitmentLen    = len(commitmentHeader) + HashSize
	// ReservedSize is the length in bytes of the coinbase's only witness item,
	// the reserved value. Blocks made here carry zeros.
	ReservedSize = 32
)

// WitnessRoot returns the Merkle root over the block's wtxids, with zero in
// place of the coinbase's (BIP141).
func WitnessRoot(b *Block) Hash {
	leaves := append(make([]Hash, 0, len(b.Txs)+1), b.WTxIDs()...) // room for a repetition
	if len(leaves) > 0 {
		leaves[0] = Hash{}
	}
	root, _ := reduce(leaves) // a repetition would show among the txids too
	return root
}

// CommitmentHash is the double SHA-256 of the witness root and the reserved
// value.
func CommitmentHash(root Hash, reserved [ReservedSize]byte) Hash {
	return merkleNode(root, reserved)
}

// CommitmentScript returns the output script that commits a coinbase to the
// block's witnesses.
func CommitmentScript(root Hash, reserved [ReservedSize]byte) []byte {
	h := CommitmentHash(root, reserved)
	return append([]byte(commitmentHeader), h[:]...)
}

// WitnessCommitment returns what the block's coinbase commits to. Of several
// commitments the last one counts (BIP141); false means that there is none.
func WitnessCommitment(b *Block) (commitment Hash, ok bool) {
	if len(b.Txs) == 0 {
		return Hash{}, false
	}
	outputs := b.Txs[0].Outputs
	for i := len(outputs) - 1; i >= 0; i-- {
		s := outputs[i].Script
		if len(s) >= commitmentLen && string(s[:len(commitmentHeader)]) == commitmentHeader {
			return Hash(s[len(commitmentHeader):commitmentLen]), true
		}
	}
	return Hash{}, false
}

// checkWitness holds the block's witnesses against the commitment (rules B8 to
// B10). No witness is part of a txid, so whoever forwards a block can change
// them under the same block hash: whatever is wrong here is Mutated.
func checkWitness(b *Block) error {
	commitment, ok := WitnessCommitment(b)
	if !ok {
		for i, tx := range b.Txs {
			if i > 0 || tx.HasWitness() {
				return mutated(ErrUnexpectedWitness, fmt.Sprintf("transaction %d needs a witness commitment, and the coinbase has none", i)) // B8
			}
		}
		return nil
	}
	stack := b.Txs[0].Inputs[0].Witness
	if len(stack) != 1 || len(stack[0]) != ReservedSize {
		return mutated(ErrWitnessNonceSize, fmt.Sprintf("the coinbase's witness is not one item of %d bytes", ReservedSize)) // B9
	}
	if got := CommitmentHash(WitnessRoot(b), [ReservedSize]byte(stack[0])); got != commitment {
		return mutated(ErrWitnessMerkle, fmt.Sprintf("the witnesses hash to %x, the coinbase commits to %x", got[:], commitment[:])) // B10
	}
	return nil
}

// CoinbaseHeightScript returns the push of the height that a coinbase script
// begins with (BIP34): the shortest one, which is an opcode up to 16.
func CoinbaseHeightScript(height uint32) []byte {
	if height == 0 {
		return []byte{0}
	}
	if height <= 16 {
		return []byte{op1 - 1 + byte(height)}
	}
	script := []byte{0}
	for n := height; n > 0; n >>= 8 {
		script = append(script, byte(n))
	}
	if script[len(script)-1]&0x80 != 0 { // the top bit is the sign
		script = append(script, 0)
	}
	script[0] = byte(len(script) - 1)
	return script
}

// checkHeight checks that the coinbase script begins with the height (rule C2).
func checkHeight(coinbase *Tx, height uint32) error {
	want := CoinbaseHeightScript(height)
	if !bytes.HasPrefix(coinbase.Inputs[0].ScriptSig, want) {
		return invalid(ErrCoinbaseHeight, fmt.Sprintf("the coinbase script does not begin with %x, the push of height %d", want, height))
	}
	return nil
}
