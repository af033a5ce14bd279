package conformance

import (
	"bytes"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// purse mines a1 to a4, which all nodes accept, and returns a coin of alice and
// one of bob. The coin of a3 is alice's too.
func (s *stage) purse() []chaintest.Coin {
	s.t.Helper()
	s.Mine(chaintest.Genesis, "a1", chaintest.PayTo("alice"))
	s.Mine("a1", "a2", chaintest.PayTo("bob"))
	s.Mine("a2", "a3", chaintest.PayTo("alice"))
	s.Grow("a3 - a4")
	s.accept("a4")
	return chaintest.From(s.Coinbase("a1"), s.Coinbase("a2"))
}

// payTwo spends two coins to alice and to bob, not signed yet.
func (s *stage) payTwo(coins []chaintest.Coin) *consensus.Tx {
	return s.Unsigned(coins, chaintest.To("alice", coins[0].Value-10_000), chaintest.To("bob", coins[1].Value-10_000))
}

// goodSpend wants a transaction that spends these coins to be fine: to btcd, to
// all mempools, and in a block on the tip, which is mined and becomes the tip.
func (s *stage) goodSpend(name string, tx *consensus.Tx, coins []chaintest.Coin) {
	s.t.Helper()
	if err := s.bip341(tx, coins); err != nil {
		s.t.Errorf("%s: btcd refuses it: %v", name, err)
	}
	block := s.Mine(s.Name(s.nodes[0].Tip().Hash), name, chaintest.Txs(tx))
	for _, n := range s.nodes { // before mempools know its signatures
		if rule := n.propose(block); rule != nil {
			s.t.Errorf("%s proposal: %s is refused: %v", n.door, name, rule)
		}
	}
	s.take(tx)
	s.accept(name)
}

// badSpend wants a transaction whose witness breaks a rule to be refused for
// good: by btcd, by all mempools, and with a block on the tip.
func (s *stage) badSpend(name string, tx *consensus.Tx, coins []chaintest.Coin, code consensus.Code) {
	s.t.Helper()
	if s.bip341(tx, coins) == nil {
		s.t.Errorf("%s: btcd accepts it", name)
	}
	s.rejectTx(tx, code)
}

// bip341 runs btcd's script interpreter on all inputs.
func (s *stage) bip341(tx *consensus.Tx, coins []chaintest.Coin) error {
	s.t.Helper()
	var theirs wire.MsgTx
	s.check(theirs.BtcDecode(bytes.NewReader(tx.Bytes()), wire.ProtocolVersion, wire.WitnessEncoding))
	outputs := txscript.NewMultiPrevOutFetcher(nil)
	for i := range coins {
		out := coins[i].TxOut()
		outputs.AddPrevOut(theirs.TxIn[i].PreviousOutPoint, wire.NewTxOut(out.Value, out.Script))
	}
	for i := range coins {
		out := coins[i].TxOut()
		vm, err := txscript.NewEngine(out.Script, &theirs, i,
			txscript.ScriptBip16|txscript.ScriptVerifyWitness|txscript.ScriptVerifyTaproot,
			nil, txscript.NewTxSigHashes(&theirs, outputs), out.Value, outputs)
		if err != nil {
			return err
		}
		if err := vm.Execute(); err != nil {
			return err
		}
	}
	return nil
}

// copiedTx returns a copy that shares nothing with the transaction.
func (s *stage) copiedTx(tx *consensus.Tx) *consensus.Tx {
	s.t.Helper()
	c, err := consensus.DecodeTx(tx.Bytes())
	s.check(err)
	return c
}

// resigned returns a copy of the transaction in which edit has changed the first
// input's signature. The txid stays.
func (s *stage) resigned(tx *consensus.Tx, edit func(sig []byte)) *consensus.Tx {
	s.t.Helper()
	c := s.copiedTx(tx)
	edit(c.Inputs[0].Witness[0])
	return c
}
