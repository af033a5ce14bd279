package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// Cases 109 to 113: what else a witness may not be, and how signatures are
// checked when there are many.
var witnessCases = []conformanceCase{
	{number: 109, name: "wit-empty", rules: "S5", run: func(s *stage) {
		coins := s.purse()
		for input := range coins {
			tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
			tx.Inputs[input].Witness = nil
			s.badSpend(fmt.Sprint("b5-", input), tx, coins, consensus.ErrWitnessItems)
		}
		s.badSpend("b5", s.payTwo(coins), coins, consensus.ErrWitnessItems) // nor is there any
		s.goodSpend("a5", s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault), coins)
	}},
	{number: 110, name: "wit-two-items", rules: "S5", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		for _, more := range [][]byte{nil, {1}, tx.Inputs[0].Witness[0]} {
			twice := s.copiedTx(tx)
			twice.Inputs[0].Witness = append(twice.Inputs[0].Witness, more)
			s.badSpend(fmt.Sprint("b5-", len(more)), twice, coins, consensus.ErrWitnessItems)
		}
		key, witness := scriptPath(s)
		pay := s.payTwo(coins)
		pay.Outputs[0].Script = consensus.PayToKey(key)
		s.goodSpend("a5", s.Sign(pay, coins, consensus.SigHashDefault), coins)
		locked := []chaintest.Coin{s.Out(pay, 0)}
		open := s.Unsigned(locked, chaintest.To("bob", chaintest.Coins))
		open.Inputs[0].Witness = witness
		if err := s.bip341(open, locked); err != nil {
			s.t.Errorf("the script path is wrong: %v", err)
		}
		s.rejectTx(open, consensus.ErrWitnessItems)
	}},
	{number: 111, name: "wit-annex", rules: "S5", run: func(s *stage) {
		coins := s.purse()[:1]
		tx := s.Unsigned(coins, chaintest.To("bob", chaintest.Coins))
		tx.Inputs[0].Witness = annexed(s, "alice", tx, coins[0])
		if err := s.bip341(tx, coins); err != nil {
			s.t.Errorf("the annex is wrong: %v", err)
		}
		s.rejectTx(tx, consensus.ErrWitnessItems)
		s.goodSpend("a5", s.Sign(tx, coins, consensus.SigHashDefault), coins)
	}},
	{number: 112, name: "sig-cache-poison", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		good := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		s.take(good) // from here on its signatures are known to be good
		// The same txid, with witnesses that the mempool has not seen.
		forged := s.resigned(good, func(sig []byte) { sig[40] ^= 1 })
		s.rejectTxs("a4", "b5", consensus.ErrSig, forged)
		swapped := s.copiedTx(good)
		swapped.Inputs[0].Witness, swapped.Inputs[1].Witness = good.Inputs[1].Witness, good.Inputs[0].Witness
		s.rejectTxs("a4", "c5", consensus.ErrSig, swapped)
		bare := s.copiedTx(good)
		bare.Inputs[1].Witness = nil
		s.rejectTxs("a4", "d5", consensus.ErrWitnessItems, bare)
		// The same signatures, in another transaction.
		other := s.copiedTx(good)
		other.Outputs[0].Value--
		s.rejectTxs("a4", "e5", consensus.ErrSig, other)
		moved := s.copiedTx(good)
		moved.Inputs[0].PrevOut = s.Coinbase("a3").OutPoint // of the same key, and as much
		s.rejectTxs("a4", "f5", consensus.ErrSig, moved)
		// Another witness that is good, and the one of the mempool.
		all := s.Sign(s.copiedTx(good), coins, consensus.SigHashAll)
		s.refuse(all, mempool.ErrOtherWitness, consensus.Policy)
		s.acceptTxs("a4", "a5", all)
		s.Grow(`
			a4 - a5
			a4 - g5 - g6
		`, chaintest.PayTo("carol"))
		s.accept("g6") // the mempools have it back, under one witness or the other
		s.rejectTxs("g6", "h7", consensus.ErrSig, forged)
		s.acceptTxs("g6", "g7", good)
	}},
	{number: 113, name: "sig-parallel-early-exit", rules: "S9", run: func(s *stage) {
		txs := s.manySpends(size(400, 10_000)) // in full size half a minute of CPU time
		last := len(txs) - 1
		tip := s.Name(s.nodes[0].Tip().Hash)
		for _, bad := range []struct {
			forged int // this transaction's signature is wrong, in bytes that look right
			short  int // and this one's has too few of them; -1: none has
			code   consensus.Code
		}{
			{last, -1, consensus.ErrSig},
			{0, -1, consensus.ErrSig},
			// Threads take 16 transactions each. The first error in order counts
			// where it is found first, and where it is found last.
			{8, 31, consensus.ErrSig},
			{15, 16, consensus.ErrSig},
			{31, 8, consensus.ErrSigSize},
			{16, 15, consensus.ErrSigSize},
			{last / 2, last, consensus.ErrSig},
		} {
			block := slices.Clone(txs)
			block[bad.forged] = s.resigned(txs[bad.forged], func(sig []byte) { sig[63] ^= 1 })
			if bad.short >= 0 {
				block[bad.short] = s.copiedTx(txs[bad.short])
				item := &block[bad.short].Inputs[1].Witness[0]
				*item = (*item)[:63]
			}
			s.rejectTxs(tip, fmt.Sprint("b ", bad.forged, bad.short), bad.code, block...)
		}
		s.acceptTxs(tip, "a6", txs...)
	}},
}

// scriptPath returns the key of a coin that alice or a script may spend, and the
// witness by which the script, which asks for nothing, does (BIP341).
func scriptPath(s *stage) (key [consensus.KeySize]byte, witness [][]byte) {
	s.t.Helper()
	internal := s.Secret("alice").PubKey()
	script := []byte{txscript.OP_TRUE}
	tree := txscript.AssembleTaprootScriptTree(txscript.NewBaseTapLeaf(script))
	control := tree.LeafMerkleProofs[0].ToControlBlock(internal)
	proof, err := control.ToBytes()
	s.check(err)
	root := tree.RootNode.TapHash()
	output := txscript.ComputeTaprootOutputKey(internal, root[:])
	return [consensus.KeySize]byte(schnorr.SerializePubKey(output)), [][]byte{script, proof}
}

// annexed returns the witness of BIP341's other form of a signature, which
// commits to an annex behind it.
func annexed(s *stage, by string, tx *consensus.Tx, coin chaintest.Coin) [][]byte {
	s.t.Helper()
	annex := []byte{txscript.TaprootAnnexTag, 1, 2}
	spent := coin.TxOut()
	in, out := tx.Inputs[0], tx.Outputs[0]
	le := binary.LittleEndian
	hash := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	sized := func(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

	msg := []byte{0, consensus.SigHashDefault} // epoch, hash type
	msg = le.AppendUint32(msg, tx.Version)
	msg = le.AppendUint32(msg, tx.LockTime)
	msg = append(msg, hash(le.AppendUint32(slices.Clone(in.PrevOut.TxID[:]), in.PrevOut.Index))...)
	msg = append(msg, hash(le.AppendUint64(nil, uint64(spent.Value)))...)
	msg = append(msg, hash(sized(spent.Script))...)
	msg = append(msg, hash(le.AppendUint32(nil, in.Sequence))...)
	msg = append(msg, hash(append(le.AppendUint64(nil, uint64(out.Value)), sized(out.Script)...))...)
	msg = append(msg, 1)          // spend type: key path, with an annex
	msg = le.AppendUint32(msg, 0) // input
	msg = append(msg, hash(sized(annex))...)

	digest := consensus.TaggedHash("TapSighash", msg)
	sig, err := schnorr.Sign(s.Secret(by), digest[:])
	s.check(err)
	return [][]byte{sig.Serialize(), annex}
}

// manySpends mines a block on a4 that all nodes accept, and returns half as many
// transactions as there are signatures wanted, which spend its coins.
func (s *stage) manySpends(signatures int) []*consensus.Tx {
	s.t.Helper()
	made := s.split("a4", "a5", s.purse()[0], signatures)
	var txs []*consensus.Tx
	for coins := range slices.Chunk(made, 2) {
		txs = append(txs, s.Pay(coins, chaintest.To("bob", coins[0].Value)))
	}
	return txs
}
