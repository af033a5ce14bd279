package consensus

import "fmt"

// CheckBlockContext judges a block that passed CheckBlock in its place after
// parent: rules L1, C2 and B8 to B11, in this order, which is Bitcoin Core's.
// The weight comes last, when the witnesses are known to be the miner's.
func CheckBlockContext(p *Params, parent *BlockIndex, b *Block) error {
	height, mtp := parent.Height+1, parent.MTP()
	for i, tx := range b.Txs {
		if !CheckFinal(tx, height, mtp) {
			return invalid(ErrNonFinal, fmt.Sprintf("transaction %d is locked until %d", i, tx.LockTime)) // L1
		}
	}
	if err := checkHeight(b.Txs[0], height); err != nil {
		return err
	}
	if err := checkWitness(b); err != nil {
		return err
	}
	if weight := b.Weight(); weight > p.MaxWeight {
		return invalid(ErrBlockWeight, fmt.Sprintf("weight %d, the limit is %d", weight, p.MaxWeight)) // B11
	}
	return nil
}
