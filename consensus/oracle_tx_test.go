package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// toWireTx builds btcd's transaction field by field, so that neither side's
// decoder has a part in it.
func toWireTx(tx *Tx) *wire.MsgTx {
	w := &wire.MsgTx{Version: int32(tx.Version), LockTime: tx.LockTime}
	for _, in := range tx.Inputs {
		w.TxIn = append(w.TxIn, &wire.TxIn{
			PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash(in.PrevOut.TxID), Index: in.PrevOut.Index},
			SignatureScript:  in.ScriptSig,
			Sequence:         in.Sequence,
			Witness:          in.Witness,
		})
	}
	for _, out := range tx.Outputs {
		w.TxOut = append(w.TxOut, &wire.TxOut{Value: out.Value, PkScript: out.Script})
	}
	return w
}

// btcdTx reads a transaction with btcd.
func btcdTx(raw []byte) (*wire.MsgTx, error) {
	var tx wire.MsgTx
	r := bytes.NewReader(raw)
	if err := tx.BtcDecode(r, wire.ProtocolVersion, wire.WitnessEncoding); err != nil {
		return nil, err
	}
	return &tx, wholly(r)
}

// wholly fails where btcd's decoder left bytes over, which it leaves to others.
func wholly(r *bytes.Reader) error {
	if r.Len() > 0 {
		return refused
	}
	return nil
}

func btcdTxBytes(o *oracle, tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	if err := tx.BtcEncode(&b, wire.ProtocolVersion, wire.WitnessEncoding); err != nil {
		o.Fatal(err)
	}
	return b.Bytes()
}

// randomSizes are lengths at the edges of the compact size and of the rules.
var randomSizes = []int{0, 1, 2, 31, 32, 34, 64, 65, 75, 80, 100, 101, 252, 253, 254, 300}

func randomBytes(rng *rand.Rand) []byte {
	n := randomSizes[rng.IntN(len(randomSizes))]
	if rng.IntN(2_000) == 0 {
		n = 65_535 + rng.IntN(2)
	}
	b := make([]byte, n)
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
	if rng.IntN(8) == 0 {
		return edges[rng.IntN(len(edges))]
	}
	return rng.Int64N(1 << 40)
}

// randomCount is small, but for now and then one at the edge of the compact
// size.
func randomCount(rng *rand.Rand, least int) int {
	if rng.IntN(1_000) == 0 {
		return 252 + rng.IntN(2)
	}
	return least + rng.IntN(5)
}

// randomTx has every shape that the wire format has, inputs not empty.
func randomTx(rng *rand.Rand) *Tx {
	tx := &Tx{Version: rng.Uint32(), LockTime: rng.Uint32()}
	witness := rng.IntN(2) == 0
	for range randomCount(rng, 1) {
		in := TxIn{PrevOut: OutPoint{randomHash(rng), rng.Uint32N(4)}, ScriptSig: randomBytes(rng), Sequence: rng.Uint32()}
		for n := rng.IntN(3); witness && n > 0; n-- {
			in.Witness = append(in.Witness, randomBytes(rng))
		}
		tx.Inputs = append(tx.Inputs, in)
	}
	for range randomCount(rng, 0) {
		tx.Outputs = append(tx.Outputs, TxOut{randomValue(rng), randomBytes(rng)})
	}
	return tx
}

// damaged changes, drops and inserts a few bytes anywhere.
func damaged(rng *rand.Rand, raw []byte) []byte {
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

// damagedTx damages the bytes of a transaction: anywhere, and more often than
// chance would in what says how to read them.
func damagedTx(rng *rand.Rand, tx *Tx) []byte {
	raw := tx.Bytes()
	switch rng.IntN(20) {
	case 0: // marked, by whatever flag, and every witness empty
		raw = tx.AppendStripped(nil)
		end := len(raw) - 4
		return slices.Concat(raw[:4], []byte{segwitMarker, byte(rng.IntN(4))}, raw[4:end], make([]byte, len(tx.Inputs)), raw[end:])
	case 1:
		if tx.HasWitness() {
			return widened(raw, 6)
		}
		return widened(raw, 4)
	case 2:
		if tx.HasWitness() {
			raw[5] = byte(rng.IntN(4)) // the flag
		}
		return raw
	case 3: // of nothing
		return (&Tx{Version: rng.Uint32(), LockTime: rng.Uint32()}).Bytes()
	}
	return damaged(rng, raw)
}

// widened writes the compact size at this place in a longer form.
func widened(raw []byte, at int) []byte {
	if raw[at] >= 0xfd {
		return raw
	}
	return slices.Concat(raw[:at], []byte{0xfd, raw[at], 0}, raw[at+1:])
}

func oracleTransactions(o *oracle) {
	for o.more() {
		tx := randomTx(o.rng)
		theirs := toWireTx(tx)
		sameTx(o, tx, theirs)
		// Each side reads what the other one wrote.
		raw := btcdTxBytes(o, theirs)
		read, err := DecodeTx(raw)
		if err != nil {
			o.Fatalf("%x is not read: %v\nagain: %s", raw, err, o.repeat)
		}
		sameBytes(o, "what we read of btcd's bytes", btcdTxBytes(o, toWireTx(read)), raw, tx)
		if theirs, err = btcdTx(tx.Bytes()); err != nil {
			o.Fatalf("btcd does not read %x: %v\nagain: %s", tx.Bytes(), err, o.repeat)
		}
		sameBytes(o, "what btcd reads of our bytes", tx.Bytes(), btcdTxBytes(o, theirs), tx)
	}
}

func sameTx(o *oracle, tx *Tx, theirs *wire.MsgTx) {
	o.Helper()
	sameBytes(o, "encoding", tx.Bytes(), btcdTxBytes(o, theirs), tx)
	same(o, "txid", tx.TxID(), Hash(theirs.TxHash()), tx)
	same(o, "wtxid", tx.WTxID(), Hash(theirs.WitnessHash()), tx)
	same(o, "size", tx.Size(), theirs.SerializeSize(), tx)
	same(o, "stripped size", tx.StrippedSize(), theirs.SerializeSizeStripped(), tx)
	same(o, "weight", int64(tx.Weight()), blockchain.GetTransactionWeight(btcutil.NewTx(theirs)), tx)
}

// A transaction without inputs and without outputs is 00 00 behind the version,
// which btcd takes for the marker and a wrong flag. We read it as Core does, so
// that the rules refuse it by name (T1).
var readOnPurpose = map[verdict]string{
	{"", refused}: "a transaction of nothing is read, and refused by rule T1",
}

// unreadOnPurpose is what btcd reads and we do not, where a count is refused.
var unreadOnPurpose = map[verdict]string{
	{refused, ""}: "E7: more short witness items than their bytes pay for",
}

// Damaged bytes: both read them, and the same from them, or neither does.
func oracleDamagedTransactions(o *oracle) {
	for o.more() {
		raw := damagedTx(o.rng, randomTx(o.rng))
		tx, err := DecodeTx(raw)
		theirs, theirErr := btcdTx(raw)
		onPurpose := readOnPurpose
		switch {
		case errors.Is(err, ErrDecodeCount):
			onPurpose = unreadOnPurpose
		case err == nil && len(tx.Inputs) > 0:
			onPurpose = nil
		}
		if o.judged(verdictOf(err), verdictOf(theirErr), onPurpose, raw) {
			sameBytes(o, "bytes that were read", tx.Bytes(), raw, raw)
			sameTx(o, tx, theirs)
		}
	}
	o.both(1_000, "", refused)
}

// amountCode gives all refusals of an amount the one code that btcd has.
func amountCode(c Code) Code {
	if c == ErrOutputNegative || c == ErrOutputSumTooLarge {
		return ErrOutputTooLarge
	}
	return c
}

// ownCode is the rule of ours, T9 and S1 to S4, that a transaction breaks which
// btcd finds sane. btcd has no such rules, but its sizes and its reader of
// scripts say whether they are broken.
func ownCode(tx *wire.MsgTx) Code {
	if tx.SerializeSizeStripped() == 64 {
		return ErrTx64Bytes
	}
	for _, out := range tx.TxOut {
		if code := ownOutputCode(out); code != "" {
			return code
		}
	}
	for _, in := range tx.TxIn {
		if len(in.SignatureScript) > 0 && !blockchain.IsCoinBaseTx(tx) {
			return ErrScriptSig
		}
	}
	return ""
}

func ownOutputCode(out *wire.TxOut) Code {
	if txscript.IsPayToTaproot(out.PkScript) {
		return ""
	}
	script := txscript.MakeScriptTokenizer(0, out.PkScript)
	if !script.Next() || script.Opcode() != txscript.OP_RETURN || !script.Next() {
		return ErrOutputType
	}
	op, pushed := script.Opcode(), len(script.Data())
	if op > txscript.OP_16 || op == txscript.OP_RESERVED || !script.Done() {
		return ErrOutputType
	}
	if op == txscript.OP_PUSHDATA2 || op == txscript.OP_PUSHDATA4 || pushed > 80 {
		return ErrOpReturnSize
	}
	if out.Value != 0 {
		return ErrOpReturnValue
	}
	return ""
}

func oracleTransactionChecks(o *oracle) {
	p := &Params{MaxWeight: blockchain.MaxBlockWeight}
	for o.more() {
		tx := randomTx(o.rng)
		if o.rng.IntN(2) == 0 {
			tx = plainTx(o.rng)
		}
		spoilTx(o.rng, tx)
		w := toWireTx(tx)
		theirs := o.btcdCode(blockchain.CheckTransactionSanity(btcutil.NewTx(w)))
		same(o, "Core's part of the check", amountCode(o.ourCode(checkAmountsAndInputs(p, tx))), theirs, tx)
		if theirs == "" {
			theirs = ownCode(w)
		}
		o.judged(amountCode(o.ourCode(CheckTx(p, tx))), theirs, nil, tx)
	}
	o.both(1_000, "", refused)
	o.both(50, ErrNoInputs, ErrNoOutputs, ErrOutputTooLarge, ErrDuplicateInputs, ErrCoinbaseLength, ErrNullPrevOut)
	o.both(50, ErrTxOversize, ErrTx64Bytes, ErrOutputType, ErrOpReturnSize, ErrScriptSig)
	o.both(5, ErrOpReturnValue)
}

// Values and heights that no chain of blocks leads to, so that they are asked of
// the function alone. Version 1 keeps relative locks out.
func oracleSpends(o *oracle) {
	p := Regtest()
	params := chaincfg.RegressionNetParams
	params.CoinbaseMaturity = uint16(p.Maturity)
	for o.more() {
		tx := &Tx{Version: 1}
		view := blockchain.NewUtxoViewpoint()
		parent := &BlockIndex{Height: p.Maturity + o.rng.Uint32N(1_000)}
		var coins []Coin
		for i := range 1 + o.rng.IntN(4) {
			c := Coin{Value: randomValue(o.rng), Height: o.rng.Uint32N(parent.Height + 1), Coinbase: o.rng.IntN(4) == 0}
			if o.rng.IntN(2) == 0 {
				c.Height = parent.Height - p.Maturity + o.rng.Uint32N(4)
			}
			coins, tx.Inputs = append(coins, c), append(tx.Inputs, TxIn{PrevOut: OutPoint{txid(i), 0}})
			op := wire.OutPoint{Hash: chainhash.Hash(txid(i))}
			view.Entries()[op] = blockchain.NewUtxoEntry(&wire.TxOut{Value: c.Value}, int32(c.Height), c.Coinbase)
			if c.Value >= 0 && c.Value <= MaxMoney/4 {
				tx.Outputs = append(tx.Outputs, pay(max(0, c.Value-o.rng.Int64N(3)+o.rng.Int64N(2)), 1))
			}
		}
		fee, err := SpendTx(p, parent, tx, coins)
		theirFee, theirErr := blockchain.CheckTransactionInputs(btcutil.NewTx(toWireTx(tx)), int32(parent.Height)+1, view, &params)
		code := o.ourCode(err)
		if code == ErrInputSumTooLarge {
			code = ErrOutputTooLarge // btcd has one code for all amounts
		}
		about := func() string { return fmt.Sprintf("coins %+v at height %d, %s", coins, parent.Height+1, shown(tx)) }
		if o.judged(code, o.btcdCode(theirErr), nil, about) {
			same(o, "fee", fee, theirFee, about)
		}
	}
	o.both(500, "", refused, ErrPrematureSpend, ErrOutputTooLarge)
	o.both(100, ErrInBelowOut)
}

// plainTx is a transaction that breaks no rule of CheckTx; its witnesses are
// those of a spend, and signed by nobody.
func plainTx(rng *rand.Rand) *Tx {
	tx := &Tx{Version: rng.Uint32(), LockTime: rng.Uint32()}
	for range 1 + rng.IntN(3) {
		in := TxIn{PrevOut: OutPoint{randomHash(rng), rng.Uint32N(4)}, Sequence: rng.Uint32()}
		in.Witness = [][]byte{make([]byte, 64+rng.IntN(2))}
		tx.Inputs = append(tx.Inputs, in)
	}
	for range 1 + rng.IntN(3) {
		tx.Outputs = append(tx.Outputs, TxOut{rng.Int64N(1 << 40), PayToKey(randomHash(rng))})
	}
	if rng.IntN(4) == 0 {
		tx.Outputs = append(tx.Outputs, data("text"))
	}
	return tx
}

// spoilTx breaks one rule on transactions, or none.
func spoilTx(rng *rand.Rand, tx *Tx) {
	anyOutput := func() *TxOut {
		if len(tx.Outputs) == 0 {
			tx.Outputs = []TxOut{pay(1, 1)}
		}
		return &tx.Outputs[rng.IntN(len(tx.Outputs))]
	}
	switch rng.IntN(24) {
	case 0: // one input twice, among few or many
		for many := rng.IntN(2) == 0; many && len(tx.Inputs) <= smallTx; {
			tx.Inputs = append(tx.Inputs, TxIn{PrevOut: OutPoint{TxID: randomHash(rng)}})
		}
		tx.Inputs = append(tx.Inputs, tx.Inputs[rng.IntN(len(tx.Inputs))])
	case 1:
		tx.Inputs[rng.IntN(len(tx.Inputs))].PrevOut = OutPoint{Index: nullIndex}
	case 2, 3:
		tx.Inputs = tx.Inputs[:1]
		tx.Inputs[0].PrevOut = OutPoint{Index: nullIndex}
		tx.Inputs[0].ScriptSig = make([]byte, []int{0, 1, 2, 3, 99, 100, 101}[rng.IntN(7)])
	case 4:
		tx.Inputs = nil
	case 5:
		tx.Outputs = nil
	case 6:
		anyOutput().Value = randomValue(rng)
	case 7:
		tx.Outputs = []TxOut{pay(MaxMoney-1, 1), pay(rng.Int64N(4), 2)}
	case 8: // half a null outpoint is none
		tx.Inputs[0].PrevOut.TxID = Hash{}
	case 14:
		tx.Inputs = tx.Inputs[:1]
		tx.Inputs[0].PrevOut.Index = nullIndex
	case 9:
		anyOutput().Script = append([]byte{opReturn}, randomBytes(rng)...)
	case 10:
		n := 74 + rng.IntN(9)
		*anyOutput() = TxOut{Script: append([]byte{opReturn, opPushData1, byte(n)}, make([]byte, n)...)}
	case 11:
		tx.Inputs[rng.IntN(len(tx.Inputs))].ScriptSig = []byte{op1}
	case 12:
		tx.Outputs = []TxOut{data("ab")}
		tx.Inputs = tx.Inputs[:1]
		tx.Inputs[0].ScriptSig = nil
	case 13:
		out := anyOutput()
		out.Script = make([]byte, 900_000)
		missing := blockchain.MaxBlockBaseSize - tx.StrippedSize()
		out.Script = make([]byte, len(out.Script)+missing-1+rng.IntN(3))
	}
}
