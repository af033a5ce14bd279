package chaintest

import (
	"crypto/sha256"
	"math"

	"github.com/kapok-chain/kapok/consensus"
)

// Option changes one block before it is solved.
type Option func(*draft)

type draft struct {
	txs      []*consensus.Tx
	payTo    string
	extra    int64 // what the coinbase claims above subsidy and fees
	time     uint32
	editing  []func(*consensus.Block)
	sealed   []func(*consensus.Block)
	noCommit bool
}

// Txs puts transactions behind the coinbase, which collects their fees.
func Txs(txs ...*consensus.Tx) Option {
	return func(d *draft) { d.txs = append(d.txs, txs...) }
}

// PayTo names the key that the coinbase pays to.
func PayTo(name string) Option { return func(d *draft) { d.payTo = name } }

// Claim lets the coinbase create so many units more than it may, or fewer.
func Claim(extra int64) Option { return func(d *draft) { d.extra = extra } }

// At sets the header's time, in Unix seconds.
func At(unix uint32) Option { return func(d *draft) { d.time = unix } }

// NoCommitment leaves the witness commitment out.
func NoCommitment() Option { return func(d *draft) { d.noCommit = true } }

// Edit changes the block before commitment and Merkle root are computed.
func Edit(edit func(*consensus.Block)) Option {
	return func(d *draft) { d.editing = append(d.editing, edit) }
}

// Seal changes the block after commitment and Merkle root were computed, but
// before it is solved: for wrong roots, bits, versions.
func Seal(edit func(*consensus.Block)) Option {
	return func(d *draft) { d.sealed = append(d.sealed, edit) }
}

func (c *Chain) assemble(parent *consensus.BlockIndex, name string, d *draft) *consensus.Block {
	height := parent.Height + 1
	// The hash of the name keeps siblings apart whatever their names' length.
	tag := sha256.Sum256([]byte(name))
	script := append(consensus.CoinbaseHeightScript(height), 8)
	script = append(script, tag[:8]...)
	value := c.Params.Subsidy(height) + d.extra
	for _, tx := range d.txs {
		value += c.Fee(tx)
	}
	coinbase := &consensus.Tx{
		Version: 2,
		Inputs: []consensus.TxIn{{
			PrevOut:   consensus.OutPoint{Index: math.MaxUint32},
			ScriptSig: script,
			Sequence:  math.MaxUint32,
		}},
		Outputs: []consensus.TxOut{{Value: value, Script: consensus.PayToKey(c.Key(d.payTo))}},
	}
	block := &consensus.Block{
		Header: consensus.Header{
			Version: 0x20000000,
			Prev:    parent.Hash,
			Time:    d.time,
			Bits:    consensus.NextBits(c.Params, parent),
		},
		Txs: append([]*consensus.Tx{coinbase}, d.txs...),
	}
	for _, edit := range d.editing {
		edit(block)
	}
	if !d.noCommit && len(block.Txs) > 0 {
		Commit(block)
	}
	block.Header.MerkleRoot, _ = block.MerkleRoot()
	return block
}

// Commit adds the witness commitment to the block's coinbase, with a reserved
// value of zeros. The Merkle root changes with it.
func Commit(block *consensus.Block) {
	coinbase := block.Txs[0]
	coinbase.Inputs[0].Witness = [][]byte{make([]byte, consensus.ReservedSize)}
	coinbase.Outputs = append(coinbase.Outputs, consensus.TxOut{
		Script: consensus.CommitmentScript(consensus.WitnessRoot(block), [consensus.ReservedSize]byte{}),
	})
}

// Solve searches the nonce of a block that was changed after it was mined.
func (c *Chain) Solve(block *consensus.Block) {
	c.t.Helper()
	c.solve(&block.Header)
}
