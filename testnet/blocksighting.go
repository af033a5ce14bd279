package testnet

import (
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
)

// blockSightingOf is what is recorded of a block that came.
func blockSightingOf(_ *consensus.Params, b *node.BlockArrival) *blockSighting {
	return &blockSighting{
		Hash: b.Hash, Header: b.Header, Height: b.Height, Own: b.From == "", Txs: b.Txs, Size: b.Size, Weight: b.Weight, Fees: b.Fees,
	}
}
