package consensus

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// These tests ask btcd the same questions. It is an independent implementation
// of the formats and of the rules that are Bitcoin's.

const oracleRounds = 2_000

func oracleRand(n uint64) *rand.Rand { return rand.New(rand.NewPCG(20_090_103, n)) }

// btcdTx reads a transaction with btcd, or returns nil where btcd does not.
func btcdTx(raw []byte) *wire.MsgTx {
	var tx wire.MsgTx
	r := bytes.NewReader(raw)
	if err := tx.BtcDecode(r, wire.ProtocolVersion, wire.WitnessEncoding); err != nil || r.Len() > 0 {
		return nil
	}
	return &tx
}

func btcdBytes(t *testing.T, tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	if err := tx.BtcEncode(&b, wire.ProtocolVersion, wire.WitnessEncoding); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// randomBytes draws lengths at the edges of the length encoding, too.
func randomBytes(rng *rand.Rand) []byte {
	sizes := []int{0, 1, 34, 64, 65, 75, 80, 252, 253, 254, 300}
	b := make([]byte, sizes[rng.IntN(len(sizes))])
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func randomHash(rng *rand.Rand) (h Hash) {
	for i := range h {
		h[i] = byte(rng.Uint32())
	}
	return h
}

func randomValue(rng *rand.Rand) int64 {
	edges := []int64{0, 1, MaxMoney - 1, MaxMoney, MaxMoney + 1, MaxMoney / 2, -1, math.MinInt64, math.MaxInt64}
	if rng.IntN(3) == 0 {
		return edges[rng.IntN(len(edges))]
	}
	return rng.Int64N(1 << 40)
}

// randomTx has every shape that the wire format has, inputs not empty.
func randomTx(rng *rand.Rand) *Tx {
	tx := &Tx{Version: rng.Uint32(), LockTime: rng.Uint32()}
	witness := rng.IntN(2) == 0
	for range 1 + rng.IntN(5) {
		in := TxIn{PrevOut: OutPoint{randomHash(rng), rng.Uint32N(4)}, ScriptSig: randomBytes(rng), Sequence: rng.Uint32()}
		for n := rng.IntN(3); witness && n > 0; n-- {
			in.Witness = append(in.Witness, randomBytes(rng))
		}
		tx.Inputs = append(tx.Inputs, in)
	}
	for range rng.IntN(5) {
		tx.Outputs = append(tx.Outputs, TxOut{randomValue(rng), randomBytes(rng)})
	}
	return tx
}

func TestOracleTransactions(t *testing.T) {
	rng := oracleRand(1)
	for range oracleRounds {
		tx := randomTx(rng)
		raw := tx.Bytes()
		theirs := btcdTx(raw)
		if theirs == nil {
			t.Fatalf("btcd does not read %x", raw)
		}
		sameTx(t, tx, theirs)
		again, err := DecodeTx(raw)
		if err != nil || !bytes.Equal(again.Bytes(), raw) {
			t.Fatalf("%x read back: %v", raw, err)
		}
	}
}

func sameTx(t *testing.T, tx *Tx, theirs *wire.MsgTx) {
	t.Helper()
	if got := btcdBytes(t, theirs); !bytes.Equal(got, tx.Bytes()) {
		t.Fatalf("encoded %x, by btcd %x", tx.Bytes(), got)
	}
	if id := theirs.TxHash(); tx.TxID() != Hash(id) {
		t.Fatalf("txid %s, by btcd %s", tx.TxID(), id)
	}
	if id := theirs.WitnessHash(); tx.WTxID() != Hash(id) {
		t.Fatalf("wtxid %s, by btcd %s", tx.WTxID(), id)
	}
	if tx.Size() != theirs.SerializeSize() || tx.StrippedSize() != theirs.SerializeSizeStripped() {
		t.Fatalf("sizes %d and %d, by btcd %d and %d", tx.Size(), tx.StrippedSize(), theirs.SerializeSize(), theirs.SerializeSizeStripped())
	}
	if w := blockchain.GetTransactionWeight(btcutil.NewTx(theirs)); int64(tx.Weight()) != w {
		t.Fatalf("weight %d, by btcd %d", tx.Weight(), w)
	}
}

// Damaged bytes: what we read, btcd reads the same; what btcd reads and writes
// back unchanged, we read.
func TestOracleMutatedBytes(t *testing.T) {
	rng := oracleRand(2)
	both := 0
	for range 3 * oracleRounds {
		raw := mutate(rng, randomTx(rng).Bytes())
		tx, err := DecodeTx(raw)
		theirs := btcdTx(raw)
		switch {
		case err == nil && theirs != nil:
			sameTx(t, tx, theirs)
			both++
		case err == nil && len(tx.Inputs) > 0:
			t.Fatalf("btcd does not read %x", raw)
		case theirs != nil && bytes.Equal(btcdBytes(t, theirs), raw):
			t.Fatalf("only btcd reads %x: %v", raw, err)
		}
	}
	if both < oracleRounds/2 {
		t.Errorf("only %d of the damaged ones were read", both)
	}
}

func mutate(rng *rand.Rand, raw []byte) []byte {
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(raw))
		switch rng.IntN(6) {
		case 0:
			raw = append(raw[:i:i], raw[i+1:]...)
		case 1:
			raw = append(raw[:i:i], append([]byte{byte(rng.Uint32())}, raw[i:]...)...)
		case 2:
			raw = raw[:i+1]
		default:
			raw[i] = byte(rng.Uint32())
		}
		if len(raw) == 0 {
			return []byte{0}
		}
	}
	return raw
}

// codeOf translates what btcd says about a transaction by itself.
func codeOf(t *testing.T, err error) Code {
	var rule blockchain.RuleError
	if err == nil {
		return ""
	} else if !errors.As(err, &rule) {
		t.Fatal(err)
	}
	switch rule.ErrorCode {
	case blockchain.ErrNoTxInputs:
		return ErrNoInputs
	case blockchain.ErrNoTxOutputs:
		return ErrNoOutputs
	case blockchain.ErrTxTooBig:
		return ErrTxOversize
	case blockchain.ErrBadTxOutValue:
		return ErrOutputTooLarge // one code for all amounts
	case blockchain.ErrDuplicateTxInputs:
		return ErrDuplicateInputs
	case blockchain.ErrBadCoinbaseScriptLen:
		return ErrCoinbaseLength
	case blockchain.ErrBadTxInput:
		return ErrNullPrevOut
	}
	return Code(rule.ErrorCode.String())
}

func TestOracleCheckTransaction(t *testing.T) {
	rng := oracleRand(3)
	p := &Params{MaxWeight: 4_000_000}
	seen := map[Code]int{}
	for range oracleRounds {
		tx := randomTx(rng)
		switch rng.IntN(6) {
		case 0:
			tx.Inputs = append(tx.Inputs, tx.Inputs[rng.IntN(len(tx.Inputs))])
		case 1:
			tx.Inputs[rng.IntN(len(tx.Inputs))].PrevOut = OutPoint{Index: nullIndex}
		case 2:
			tx.Inputs = tx.Inputs[:1]
			tx.Inputs[0].PrevOut = OutPoint{Index: nullIndex}
		}
		rule := AsRuleError(checkAmountsAndInputs(p, tx))
		got := Code("")
		if rule != nil {
			got = rule.Code
		}
		if got == ErrOutputNegative || got == ErrOutputSumTooLarge {
			got = ErrOutputTooLarge
		}
		want := codeOf(t, blockchain.CheckTransactionSanity(btcutil.NewTx(btcdTx(tx.Bytes()))))
		if got != want {
			t.Fatalf("%x: %q, by btcd %q", tx.Bytes(), got, want)
		}
		seen[got]++
	}
	for _, code := range []Code{"", ErrNoOutputs, ErrOutputTooLarge, ErrDuplicateInputs, ErrCoinbaseLength, ErrNullPrevOut} {
		if seen[code] < 10 {
			t.Errorf("%q came up %d times", code, seen[code])
		}
	}
}

func TestOracleFinality(t *testing.T) {
	rng := oracleRand(4)
	for range oracleRounds {
		height, mtp := 1+rng.Int32N(1_000), int64(lockTimeThreshold)+rng.Int64N(1_000)
		tx := loose(1, 2)
		switch rng.IntN(3) {
		case 0:
			tx.LockTime = uint32(height) - 2 + rng.Uint32N(4)
		case 1:
			tx.LockTime = uint32(mtp) - 2 + rng.Uint32N(4)
		}
		for i := range tx.Inputs {
			tx.Inputs[i].Sequence -= rng.Uint32N(2)
		}
		got := CheckFinal(tx, uint32(height), mtp)
		want := blockchain.IsFinalizedTransaction(btcutil.NewTx(btcdTx(tx.Bytes())), height, time.Unix(mtp, 0))
		if got != want {
			t.Fatalf("lock time %d at height %d, median %d: %v", tx.LockTime, height, mtp, got)
		}
	}
}

// merkleTwin is the tree as BIP141's users draw it: by recursion, repeating the
// last leaf of an odd level, and looking for equal pairs before.
func merkleTwin(level []Hash) (Hash, bool) {
	if len(level) == 1 {
		return level[0], false
	}
	var up []Hash
	equal := false
	for len(level) > 0 {
		left, right := level[0], level[0]
		if len(level) > 1 {
			right = level[1]
			equal = equal || left == right
		}
		up = append(up, DoubleSHA256(append(bytes.Clone(left[:]), right[:]...)))
		level = level[min(2, len(level)):]
	}
	root, above := merkleTwin(up)
	return root, equal || above
}

func TestOracleMerkle(t *testing.T) {
	rng := oracleRand(5)
	for n := 1; n <= 70; n++ {
		var txs []*btcutil.Tx
		b := &Block{}
		for range n {
			tx := randomTx(rng)
			b.Txs = append(b.Txs, tx)
			txs = append(txs, btcutil.NewTx(btcdTx(tx.Bytes())))
		}
		root, repeated := b.MerkleRoot()
		if want := blockchain.CalcMerkleRoot(txs, false); root != Hash(want) || repeated {
			t.Errorf("%d transactions: root %s (%v), by btcd %s", n, root, repeated, want)
		}
		if want := blockchain.CalcMerkleRoot(txs, true); WitnessRoot(b) != Hash(want) {
			t.Errorf("%d transactions: witness root %s, by btcd %s", n, WitnessRoot(b), want)
		}
	}
	for range oracleRounds {
		leaves := make([]Hash, 1+rng.IntN(20))
		for i := range leaves {
			leaves[i] = Hash{byte(rng.IntN(6))} // often equal
		}
		before := append([]Hash(nil), leaves...)
		root, repeated := MerkleRoot(leaves)
		if wantRoot, want := merkleTwin(leaves); root != wantRoot || repeated != want {
			t.Fatalf("%v: %s %v, the twin says %s %v", leaves, root, repeated, wantRoot, want)
		}
		for i := range leaves {
			if leaves[i] != before[i] {
				t.Fatal("the leaves were changed")
			}
		}
	}
	if root, repeated := MerkleRoot(nil); !root.IsZero() || repeated {
		t.Errorf("no leaves: %s %v", root, repeated)
	}
}

func TestOracleCommitment(t *testing.T) {
	rng := oracleRand(6)
	_, good := goodBlock(t, 3)
	wrong := 0
	for range 300 {
		b := cloneBlock(t, good)
		switch rng.IntN(4) {
		case 0:
			b.Txs[1+rng.IntN(3)].Inputs[0].Witness[0][rng.IntN(64)] ^= byte(rng.Uint32())
		case 1:
			b.Txs[0].Inputs[0].Witness[0][rng.IntN(32)] ^= byte(rng.Uint32())
		case 2:
			b.Txs[0].Outputs[1].Script[rng.IntN(commitmentLen)] ^= byte(rng.Uint32N(2))
		}
		var theirs wire.MsgBlock
		if err := theirs.Deserialize(bytes.NewReader(b.Bytes())); err != nil {
			t.Fatal(err)
		}
		if weight := blockchain.GetBlockWeight(btcutil.NewBlock(&theirs)); weight != int64(b.Weight()) {
			t.Fatalf("weight %d, by btcd %d", b.Weight(), weight)
		}
		want := blockchain.ValidateWitnessCommitment(btcutil.NewBlock(&theirs))
		if err := checkWitness(b); (err == nil) != (want == nil) {
			t.Fatalf("%v, by btcd %v", err, want)
		} else if err != nil {
			wrong++
		}
	}
	if wrong < 50 {
		t.Errorf("only %d were wrong", wrong)
	}
}

// outputsOf shows btcd what the inputs spend.
func outputsOf(tx *wire.MsgTx, spent []TxOut) *txscript.MultiPrevOutFetcher {
	f := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		f.AddPrevOut(in.PreviousOutPoint, wire.NewTxOut(spent[i].Value, spent[i].Script))
	}
	return f
}

func TestOracleSigHash(t *testing.T) {
	rng := oracleRand(7)
	asked := 0
	for asked < 6*oracleRounds {
		tx := randomTx(rng)
		theirs := btcdTx(tx.Bytes())
		spent := make([]TxOut, len(tx.Inputs))
		for i := range spent {
			spent[i] = TxOut{rng.Int64N(MaxMoney), PayToKey(randomHash(rng))}
		}
		outputs := outputsOf(theirs, spent)
		cache := txscript.NewTxSigHashes(theirs, outputs)
		for i := range tx.Inputs {
			for _, h := range []byte{0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83} {
				got, err := SigHash(tx, i, spent, h)
				want, theirErr := txscript.CalcTaprootSignatureHash(cache, txscript.SigHashType(h), theirs, i, outputs)
				if (err == nil) != (theirErr == nil) || err == nil && !bytes.Equal(got[:], want) {
					t.Fatalf("%x input %d type %#02x: %x %v, by btcd %x %v", tx.Bytes(), i, h, got, err, want, theirErr)
				}
				asked++
			}
		}
	}
}

func TestOracleSignatures(t *testing.T) {
	rng := oracleRand(8)
	good := 0
	for range 300 {
		tx, coins := signed(t, []byte{0, 1, 2, 3, 0x81, 0x82, 0x83}[rng.IntN(7)])
		item := tx.Inputs[1].Witness[0]
		switch rng.IntN(5) {
		case 0:
			item[rng.IntN(len(item))] ^= 1 << rng.IntN(8)
		case 1:
			tx.Inputs[1].Witness[0] = append(item, byte(rng.IntN(256)))
		case 2:
			coins[rng.IntN(2)].Value++
		case 3:
			tx.Outputs[rng.IntN(2)].Value++
		}
		theirs := btcdTx(tx.Bytes())
		outputs := outputsOf(theirs, txOuts(coins))
		cache := txscript.NewTxSigHashes(theirs, outputs)
		h, err := NewSigHasher(tx, txOuts(coins))
		if err != nil {
			t.Fatal(err)
		}
		for i := range tx.Inputs {
			e, err := h.equation(i, coins[i].Key)
			got := err == nil && e.holds()
			want := txscript.VerifyTaprootKeySpend(coins[i].Key[:], tx.Inputs[i].Witness[0], theirs, i, outputs, cache, nil) == nil
			if got != want {
				t.Fatalf("%x input %d: %v (%v), by btcd %v", tx.Bytes(), i, got, err, want)
			}
			if got {
				good++
			}
		}
	}
	if good < 100 || good > 550 {
		t.Errorf("%d of 600 signatures are good", good)
	}
}

// engine runs btcd's script interpreter on input 0.
func engine(t *testing.T, tx *Tx, coins []Coin) error {
	theirs := btcdTx(tx.Bytes())
	spent := txOuts(coins)
	outputs := outputsOf(theirs, spent)
	vm, err := txscript.NewEngine(spent[0].Script, theirs, 0,
		txscript.ScriptBip16|txscript.ScriptVerifyWitness|txscript.ScriptVerifyTaproot,
		nil, txscript.NewTxSigHashes(theirs, outputs), coins[0].Value, outputs)
	if err != nil {
		t.Fatal(err)
	}
	return vm.Execute()
}

// Case 110: a script path, which BIP341 allows.
func TestScriptPathRefused(t *testing.T) {
	script := []byte{op1}
	leaf := txscript.NewBaseTapLeaf(script)
	tree := txscript.AssembleTaprootScriptTree(leaf)
	control := tree.LeafMerkleProofs[0].ToControlBlock(privateKey(1).PubKey())
	block, err := control.ToBytes()
	if err != nil {
		t.Fatal(err)
	}
	root := tree.RootNode.TapHash()
	key := txscript.ComputeTaprootOutputKey(privateKey(1).PubKey(), root[:])
	coins := []Coin{{Value: 5_000, Key: [KeySize]byte(schnorr.SerializePubKey(key))}}
	tx := loose(1)
	tx.Inputs[0].Witness = [][]byte{script, block}
	if err := engine(t, tx, coins); err != nil {
		t.Fatalf("the construction is wrong: %v", err)
	}
	wantRule(t, CheckSignatures(tx, coins), ErrWitnessItems, Invalid)
}

// Case 111: an annex, which BIP341 allows.
func TestAnnexRefused(t *testing.T) {
	tx, coins := loose(1), []Coin{{Value: 5_000, Key: publicKey(1)}}
	annex := []byte{txscript.TaprootAnnexTag, 1, 2}
	h, err := NewSigHasher(tx, txOuts(coins))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := h.appendMessage([]byte{0}, 0, SigHashDefault)
	if err != nil {
		t.Fatal(err)
	}
	msg[len(msg)-5] = 1 // spend type: with annex; its hash goes to the end
	var sized bytes.Buffer
	if err := wire.WriteVarBytes(&sized, 0, annex); err != nil {
		t.Fatal(err)
	}
	hash := chainhash.HashH(sized.Bytes())
	msg = append(msg, hash[:]...)
	digest := chainhash.TaggedHash(chainhash.TagTapSighash, msg)
	sig, err := schnorr.Sign(privateKey(1), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	tx.Inputs[0].Witness = [][]byte{sig.Serialize(), annex}
	if err := engine(t, tx, coins); err != nil {
		t.Fatalf("the construction is wrong: %v", err)
	}
	wantRule(t, CheckSignatures(tx, coins), ErrWitnessItems, Invalid)
}

func TestOracleHeightScript(t *testing.T) {
	rng := oracleRand(9)
	for i := range oracleRounds {
		height := rng.Uint32() >> rng.IntN(32)
		if i < 300 {
			height = uint32(i)
		}
		want, err := txscript.NewScriptBuilder().AddInt64(int64(height)).Script()
		if got := CoinbaseHeightScript(height); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("height %d: %x, by btcd %x %v", height, got, want, err)
		}
	}
}
