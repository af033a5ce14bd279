package consensus

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// hashTypes are BIP341's seven.
var hashTypes = []byte{0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83}

// outputsOf shows btcd what the inputs spend.
func outputsOf(tx *wire.MsgTx, spent []TxOut) *txscript.MultiPrevOutFetcher {
	f := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		f.AddPrevOut(in.PreviousOutPoint, wire.NewTxOut(spent[i].Value, spent[i].Script))
	}
	return f
}

// Every input of every transaction is asked for with all valid hash types and
// with one of all 256, and an input that is not there with that one.
func oracleSigHashes(o *oracle) {
	for o.more() {
		tx := randomTx(o.rng)
		theirs := toWireTx(tx)
		spent := make([]TxOut, len(tx.Inputs))
		for i := range spent {
			spent[i] = TxOut{o.rng.Int64N(MaxMoney), PayToKey(randomHash(o.rng))}
			if i > 0 && o.rng.IntN(8) == 0 {
				spent[i].Script = randomBytes(o.rng)
			}
		}
		outputs := outputsOf(theirs, spent)
		cache := txscript.NewTxSigHashes(theirs, outputs)
		for i := range len(tx.Inputs) + 1 {
			types := []byte{byte(o.rng.Uint32())}
			if i < len(tx.Inputs) {
				types = append(types, hashTypes...)
			}
			for _, h := range types {
				got, err := SigHash(tx, i, spent, h)
				want, theirErr := txscript.CalcTaprootSignatureHash(cache, txscript.SigHashType(h), theirs, i, outputs)
				about := func() string {
					return fmt.Sprintf("input %d, hash type %#02x, spent %+v, %s", i, h, spent, shown(tx))
				}
				if o.judged(verdictOf(err), verdictOf(theirErr), nil, about) {
					sameBytes(o, "message", got[:], want, about)
				}
			}
		}
	}
	o.both(1_000, "", refused)
}

// spend is a signed transaction with what its witnesses are held against.
type spend struct {
	tx    *Tx
	coins []Coin
	keys  []int
}

// spendKeys are the public keys of the test keys, which take long to make.
var spendKeys = func() (keys [9][KeySize]byte) {
	for n := range keys {
		keys[n] = publicKey(n)
	}
	return keys
}()

func randomSpend(o *oracle) *spend {
	s := &spend{tx: &Tx{Version: o.rng.Uint32(), LockTime: o.rng.Uint32()}}
	for range 1 + o.rng.IntN(4) {
		key := o.rng.IntN(8)
		s.keys = append(s.keys, key)
		s.coins = append(s.coins, Coin{Value: o.rng.Int64N(MaxMoney), Key: spendKeys[key]})
		s.tx.Inputs = append(s.tx.Inputs, TxIn{PrevOut: OutPoint{randomHash(o.rng), o.rng.Uint32N(4)}, Sequence: o.rng.Uint32()})
	}
	for range 1 + o.rng.IntN(4) {
		s.tx.Outputs = append(s.tx.Outputs, TxOut{o.rng.Int64N(MaxMoney), PayToKey(spendKeys[o.rng.IntN(8)])})
	}
	for i := range s.tx.Inputs {
		h := hashTypes[o.rng.IntN(len(hashTypes))]
		if o.rng.IntN(4) == 0 {
			h = SigHashDefault
		}
		if h&0x03 == SigHashSingle && i >= len(s.tx.Outputs) {
			h = SigHashAll
		}
		s.sign(o, i, h)
	}
	return s
}

func (s *spend) sign(o *oracle, input int, hashType byte) {
	msg, err := SigHash(s.tx, input, txOuts(s.coins), hashType)
	if err != nil {
		o.Fatal(err)
	}
	sig, err := schnorr.Sign(privateKey(s.keys[input]), msg[:], schnorr.FastSign())
	if err != nil {
		o.Fatal(err)
	}
	item := sig.Serialize()
	if hashType != SigHashDefault {
		item = append(item, hashType)
	}
	s.tx.Inputs[input].Witness = [][]byte{item}
}

// spoil changes one thing after the signing, or nothing. Hash types leave some
// changes open.
func (s *spend) spoil(rng *rand.Rand) {
	i := rng.IntN(len(s.tx.Inputs))
	in, coin := &s.tx.Inputs[i], &s.coins[i]
	item := in.Witness[0]
	switch rng.IntN(24) {
	case 0, 1:
		item[rng.IntN(len(item))] ^= 1 << rng.IntN(8)
	case 2:
		in.Witness[0] = append(item, byte(rng.Uint32()))
	case 3:
		in.Witness[0] = append(item[:64:64], hashTypes[rng.IntN(len(hashTypes))])
	case 17: // the default type, written out where it is signed
		in.Witness[0] = append(item[:64:64], SigHashDefault)
	case 4:
		in.Witness[0] = item[:rng.IntN(len(item)+1)]
	case 5:
		coin.Value ^= 1
	case 6:
		coin.Key = spendKeys[s.keys[i]+1]
	case 7:
		coin.Key = randomHash(rng) // on the curve or not
	case 8:
		s.tx.Outputs[rng.IntN(len(s.tx.Outputs))].Value ^= 1
	case 9:
		s.tx.Outputs = s.tx.Outputs[:rng.IntN(len(s.tx.Outputs))]
	case 10:
		s.tx.Outputs = append(s.tx.Outputs, pay(1, 1))
	case 11:
		in.Sequence ^= 1
	case 12:
		in.PrevOut.Index ^= 1
	case 13:
		s.tx.Version ^= 1 << rng.IntN(32)
	case 14:
		s.tx.LockTime ^= 1 << rng.IntN(32)
	case 15:
		in.Witness = [][][]byte{nil, {}, {item, item}, {item, {txscript.TaprootAnnexTag, 1}}, {nil, item}}[rng.IntN(5)]
	case 16:
		s.tx.Inputs[0].Witness, in.Witness = in.Witness, s.tx.Inputs[0].Witness
	}
}

// engine runs btcd's script interpreter on one input.
func (s *spend) engine(input int) error {
	theirs, spent := toWireTx(s.tx), txOuts(s.coins)
	outputs := outputsOf(theirs, spent)
	vm, err := txscript.NewEngine(spent[input].Script, theirs, input,
		txscript.ScriptBip16|txscript.ScriptVerifyWitness|txscript.ScriptVerifyTaproot,
		nil, txscript.NewTxSigHashes(theirs, outputs), s.coins[input].Value, outputs)
	if err != nil {
		return err
	}
	return vm.Execute()
}

// judge is our verdict on one input, whatever the others do.
func (s *spend) judge(input int) error {
	h, err := NewSigHasher(s.tx, txOuts(s.coins))
	if err != nil {
		return err
	}
	signature, err := h.signature(input, s.coins[input].Key)
	if err == nil && !isGood(&signature) {
		err = invalid(ErrSig, "")
	}
	return err
}

// spendsOnPurpose is for inputs whose witness is not one item.
var spendsOnPurpose = map[verdict]string{
	{refused, ""}: "S5: no annex, though BIP341 allows one",
}

// The interpreter's reasons are others than ours: compared is whether there is
// one. Ours are counted apart, to see that each was due.
func oracleSignatures(o *oracle) {
	reasons := map[Code]int{}
	for o.more() {
		s := randomSpend(o)
		if o.rng.IntN(50) == 0 {
			s.annex(o, o.rng.IntN(len(s.tx.Inputs)))
		} else {
			s.spoil(o.rng)
		}
		about := func() string { return fmt.Sprintf("coins %+v, %s", s.coins, shown(s.tx)) }
		for i := range s.tx.Inputs {
			err := s.judge(i)
			reason := o.ourCode(err)
			reasons[reason]++
			var onPurpose map[verdict]string
			if reason == ErrWitnessItems {
				onPurpose = spendsOnPurpose
			}
			o.judged(verdictOf(err), verdictOf(s.engine(i)), onPurpose, about)
		}
	}
	o.both(2_000, "", refused)
	for reason, in10000 := range map[Code]int{ErrSig: 300, ErrSigSize: 30, ErrSigHashType: 30, ErrWitnessItems: 30, ErrSigSingle: 3} {
		if tooFew(reasons[reason], o.compared, in10000) {
			o.Errorf("we said %s to %d of %d, too few to mean anything", reason, reasons[reason], o.compared)
		}
	}
}

// annex signs an input again, over an annex that it puts behind the signature.
func (s *spend) annex(t testing.TB, input int) {
	annex := []byte{txscript.TaprootAnnexTag, 1, 2}
	h, err := NewSigHasher(s.tx, txOuts(s.coins))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := h.appendMessage([]byte{0}, input, SigHashDefault)
	if err != nil {
		t.Fatal(err)
	}
	msg[len(msg)-5] = 1 // spend type: with annex; its hash goes to the end
	hash := chainhash.HashH(appendBytes(nil, annex))
	digest := chainhash.TaggedHash(chainhash.TagTapSighash, append(msg, hash[:]...))
	sig, err := schnorr.Sign(privateKey(s.keys[input]), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	s.tx.Inputs[input].Witness = [][]byte{sig.Serialize(), annex}
}
