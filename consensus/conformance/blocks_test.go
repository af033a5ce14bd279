package conformance

import (
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Group B: block structure, merkle, witness.
var blockCases = slices.Concat(listCases, encodingCases, commitmentCases, orderCases)

// What a block's list of transactions may look like.
var listCases = []conformanceCase{
	{number: 24, name: "blk-empty", rules: "B4", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a1")
		s.mutated("a2", consensus.ErrMerkleRoot, noTxs) // emptied on the way
		s.accept("a2")
		s.Mine("a2", "b3", chaintest.Edit(noTxs))
		s.reject("b3", consensus.ErrBlockLength)
	}},
	{number: 25, name: "blk-weight-max", rules: "B11 F8", run: func(s *stage) {
		s.network(func(p *consensus.Params) { p.MaxWeight = 4_000 })
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay), s.weighing(4_000))
		s.accept("b3")
		s.Mine("b3", "b4", s.weighing(4_004))
		s.reject("b4", consensus.ErrBlockWeight)
	}},
	{number: 26, name: "blk-stripped-max+1", rules: "B4", run: func(s *stage) {
		s.network(func(p *consensus.Params) { p.MaxWeight = 4_000 })
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.NoCommitment(), s.weighing(4*1_001)) // no witness: 1,001 bytes
		s.reject("b3", consensus.ErrBlockLength)
		s.Mine("a2", "c3", chaintest.Txs(pay), s.weighing(4*1_001+witnessWeight))
		s.reject("c3", consensus.ErrBlockLength)
		s.Mine("a2", "d3", chaintest.NoCommitment(), s.weighing(4*1_000))
		s.accept("d3")
	}},
	{number: 27, name: "blk-weight-max+1", rules: "B11 F8", run: func(s *stage) {
		s.network(func(p *consensus.Params) { p.MaxWeight = 4_000 })
		pay, coins := s.opening(), chaintest.From(s.Coinbase("a1"))
		typed := s.Sign(s.Unsigned(coins, chaintest.To("bob", coins[0].Value)), coins, consensus.SigHashAll)
		s.Mine("a2", "b3", chaintest.Txs(typed), s.weighing(4_001)) // a signature of 65 bytes
		s.reject("b3", consensus.ErrBlockWeight)
		s.Mine("a2", "c3", chaintest.Txs(pay), s.weighing(4_000))
		// Weight that was added on the way says nothing against the block.
		s.mutated("c3", consensus.ErrWitnessMerkle, func(b *consensus.Block) {
			b.Txs[1].Inputs[0].Witness = typed.Inputs[0].Witness
		})
		s.mutated("c3", consensus.ErrWitnessNonceSize, reserved(make([]byte, 33)))
		s.accept("c3")
	}},
	{number: 28, name: "blk-merkle-wrong", rules: "B1", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Seal(func(b *consensus.Block) { b.Header.MerkleRoot[0] ^= 1 }))
		s.mutatedAlone("b3", consensus.ErrMerkleRoot) // nobody knows what has that root
		on := s.payOn(pay, "carol")
		s.Mine("a2", "c3", chaintest.Txs(pay, on, s.payOn(on, "dave")))
		s.mutated("c3", consensus.ErrMerkleRoot, func(b *consensus.Block) { b.Txs[2].Outputs[0].Value-- })
		s.mutated("c3", consensus.ErrMerkleRoot, func(b *consensus.Block) { b.Txs = b.Txs[:3] })
		s.mutated("c3", consensus.ErrMerkleRoot, func(b *consensus.Block) { b.Txs[1], b.Txs[2] = b.Txs[2], b.Txs[1] })
		s.accept("c3")
	}},
	{number: 29, name: "blk-merkle-dup-last", rules: "B2 F9", run: func(s *stage) {
		// 112 blocks: of 3, 5, … 33 transactions, the last one of which comes twice.
		s.repeatEnds(7, 1, 3, 33)
	}},
	{number: 30, name: "blk-merkle-dup-two", rules: "B2 F9", run: func(s *stage) {
		// 102 blocks: of 6, 10, … 30 the last two come twice, of 12, 20, 28 the last
		// four, of 24 the last eight.
		s.repeatEnds(10, 2, 6, 30)
		s.network(nil)
		s.repeatEnds(8, 4, 12, 28)
		s.network(nil)
		s.repeatEnds(8, 8, 24, 24)
	}},
	{number: 31, name: "blk-merkle-dup-71", rules: "B2 F9", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay, s.payOn(pay, "carol")))
		s.mutated("b3", consensus.ErrDuplicateTxs, repeated(1)) // the spend of the spend
		s.accept("b3")
	}},
	{number: 32, name: "blk-tx-twice", rules: "B2 B13", run: func(s *stage) {
		pay := s.opening()
		on := s.payOn(pay, "carol")
		// (coinbase, pay) (on, on): mutates, and is what "coinbase, pay, on" has as a root.
		s.Mine("a2", "b3", chaintest.Txs(pay, on))
		s.mutated("b3", consensus.ErrDuplicateTxs, repeated(1))
		// (coinbase, pay) (on, on) (last, ·): mutates, and no shorter list has this root.
		s.Mine("a2", "c3", chaintest.Txs(pay, on, on, s.payOn(on, "dave")))
		s.mutatedAlone("c3", consensus.ErrDuplicateTxs)
		// (coinbase, pay) (pay, on): no pair is of equals.
		s.Mine("a2", "d3", chaintest.Txs(pay, pay, on))
		s.reject("d3", consensus.ErrInputsMissingOrSpent)
		s.accept("b3")
	}},
	{number: 33, name: "blk-64byte-tx", rules: "T9 B3 B7", run: func(s *stage) {
		s.opening()
		coin := s.Coinbase("a1")
		s.refuse(s.sized(64, coin), consensus.ErrTx64Bytes, consensus.Invalid)
		s.Mine("a2", "b3", chaintest.Txs(s.sized(64, coin)))
		s.reject("b3", consensus.ErrTx64Bytes)
		s.Mine("a2", "c3", chaintest.NoCommitment(), chaintest.Edit(coinbaseOf(0)))
		s.reject("c3", consensus.ErrTx64Bytes)
		// With no coinbase in front they might be the inner nodes of a true block. To
		// find one whose nodes read as transactions is more work than a test can do.
		s.Mine("a2", "d3", chaintest.NoCommitment(), chaintest.Edit(func(b *consensus.Block) {
			b.Txs = []*consensus.Tx{s.sized(64, coin)}
		}))
		s.mutatedAlone("d3", consensus.ErrTx64Bytes)
		s.Mine("a2", "e3", chaintest.NoCommitment(), chaintest.Edit(coinbaseOf(1)))
		s.accept("e3")
		s.Mine("e3", "e4", chaintest.Txs(s.sized(63, coin), s.sized(65, s.Coinbase("a2"))))
		s.accept("e4")
	}},
	{number: 34, name: "blk-first-not-coinbase", rules: "B5", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.NoCommitment(), chaintest.Edit(func(b *consensus.Block) { b.Txs = []*consensus.Tx{pay} }))
		s.reject("b3", consensus.ErrCoinbaseMissing)
		s.Mine("a2", "c3", chaintest.Txs(pay), chaintest.Seal(func(b *consensus.Block) { // behind the payment
			slices.Reverse(b.Txs)
			reroot(b)
		}))
		s.reject("c3", consensus.ErrCoinbaseMissing)
		s.Mine("a2", "d3", chaintest.Edit(func(b *consensus.Block) { // with a second input
			b.Txs[0].Inputs = append(b.Txs[0].Inputs, pay.Inputs[0])
		}))
		s.reject("d3", consensus.ErrCoinbaseMissing)
	}},
	{number: 35, name: "blk-two-coinbase", rules: "B6", run: func(s *stage) {
		pay := s.opening()
		second := s.Mine("a2", "a3").Txs[0]
		s.Mine("a2", "b3", chaintest.Txs(second))
		s.reject("b3", consensus.ErrCoinbaseMultiple)
		s.Mine("a2", "c3", chaintest.Txs(pay, second))
		s.reject("c3", consensus.ErrCoinbaseMultiple)
		s.accept("a3")
	}},
}

// In which order transactions may spend each other's outputs.
var orderCases = []conformanceCase{
	{number: 48, name: "blk-tx-order", rules: "B13", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(s.payOn(pay, "carol"), pay))
		s.reject("b3", consensus.ErrInputsMissingOrSpent)
		s.Mine("a2", "c3", chaintest.Txs(pay, s.payOn(pay, "carol")))
		s.accept("c3")
	}},
	{number: 49, name: "blk-chain-in-block", rules: "B13 X1", run: func(s *stage) {
		chain := []*consensus.Tx{s.opening()}
		for i := range 20 {
			chain = append(chain, s.payOn(chain[i], fmt.Sprint("hand ", i)))
		}
		s.Mine("a2", "b3", chaintest.Txs(slices.Delete(slices.Clone(chain), 10, 11)...)) // a link is missing
		s.reject("b3", consensus.ErrInputsMissingOrSpent)
		s.Mine("a2", "c3", chaintest.Txs(chain...))
		s.accept("c3")
	}},
}

func noTxs(b *consensus.Block) { b.Txs = nil }

// reroot makes the header fit the transactions again.
func reroot(b *consensus.Block) { b.Header.MerkleRoot, _ = b.MerkleRoot() }

// repeated lists the last n transactions again.
func repeated(n int) func(*consensus.Block) {
	return func(b *consensus.Block) { b.Txs = append(b.Txs, b.Txs[len(b.Txs)-n:]...) }
}

// repeatEnds is CVE-2012-2459, for blocks whose numbers of transactions go from
// least to most in steps of twice the tail: the last tail of them, listed again,
// leave the Merkle root as it is. Of each number there are so many siblings, all
// with the same payments, so that these are signed and verified only once: of each
// all nodes are given the copy and then the block. The first sibling connects and
// carries on the chain, the others are kept as branches.
func (s *stage) repeatEnds(siblings, tail, least, most int) {
	s.t.Helper()
	coins := s.fan(most - 1)
	parent := "a3"
	for n := least; n <= most; n += 2 * tail {
		pays := make([]*consensus.Tx, n-1)
		for i := range pays {
			pays[i] = s.pay(coins[i], nil)
			coins[i] = s.Out(pays[i], 0)
		}
		for i := range siblings {
			name := fmt.Sprintf("%d transactions, block %d", n, i)
			s.Mine(parent, name, chaintest.Txs(pays...))
			s.mutated(name, consensus.ErrDuplicateTxs, repeated(tail))
			if i == 0 {
				s.accept(name)
			} else {
				s.store(name)
			}
		}
		parent = fmt.Sprintf("%d transactions, block 0", n)
	}
}

// coinbaseOf makes the coinbase of block 3 as small as can be, 64 bytes, and so
// many larger.
func coinbaseOf(more int) func(*consensus.Block) {
	return func(b *consensus.Block) {
		b.Txs[0].Inputs[0].ScriptSig = append([]byte{0x53}, make([]byte, 1+more)...)
		b.Txs[0].Outputs = []consensus.TxOut{{Script: []byte{0x6a, 0x00}}}
	}
}
