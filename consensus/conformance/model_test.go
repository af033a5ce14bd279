package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// tally is the coin sum of docs/protocol.md (X1 to X3), counted the slow way: a
// map of all coins, walked from genesis, and one addition in math/big per coin.
// It judges nothing.
func tally(path []*consensus.Block) consensus.CoinSum {
	type coin struct {
		out      consensus.TxOut
		height   int
		coinbase bool
	}
	coins := make(map[consensus.OutPoint]coin)
	for i, block := range path {
		for j, tx := range block.Txs {
			for _, in := range tx.Inputs {
				delete(coins, in.PrevOut)
			}
			id := tx.TxID()
			for n, out := range tx.Outputs {
				if len(out.Script) == 34 && out.Script[0] == 0x51 {
					coins[consensus.OutPoint{TxID: id, Index: uint32(n)}] = coin{out, i + 1, j == 0}
				}
			}
		}
	}
	sum := new(big.Int)
	total := consensus.CoinSum{Count: uint64(len(coins))}
	for op, c := range coins {
		b := append([]byte(nil), op.TxID[:]...)
		b = binary.LittleEndian.AppendUint32(b, op.Index)
		b = binary.LittleEndian.AppendUint32(b, uint32(c.height))
		if c.coinbase {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(c.out.Value))
		hash := sha256.Sum256(append(b, c.out.Script...))
		slices.Reverse(hash[:]) // math/big reads the most significant byte first
		sum.Add(sum, new(big.Int).SetBytes(hash[:]))
		total.Value += c.out.Value
	}
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 256))
	var digits [32]byte
	sum.FillBytes(digits[:])
	for i := range total.Sum {
		total.Sum[i] = binary.BigEndian.Uint64(digits[24-8*i:])
	}
	return total
}
