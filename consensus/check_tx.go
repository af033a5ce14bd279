package consensus

import (
	"fmt"
	"math"
)

// Bounds of a coinbase script in bytes (Bitcoin Core, CheckTransaction).
const (
	minCoinbaseScript = 2
	maxCoinbaseScript = 100
)

// nodeSize is the length of an inner node of the Merkle tree before hashing. A
// transaction of this length could be taken for one (CVE-2017-12842, BIP54).
const nodeSize = 2 * HashSize

// CheckTx judges a transaction, a coinbase too, by itself: rules T1 to T9, C1
// and S1 to S4, in this order. It looks at nothing that the txid does not
// commit to, so that in a block with the right Merkle root what it finds
// invalid is invalid forever.
func CheckTx(p *Params, tx *Tx) error {
	if err := checkAmountsAndInputs(p, tx); err != nil {
		return err
	}
	if tx.StrippedSize() == nodeSize {
		return invalid(ErrTx64Bytes, "the size without witness is 64 bytes, that of a Merkle node") // T9
	}
	return checkScripts(tx)
}

// checkAmountsAndInputs is Bitcoin Core's CheckTransaction, in its order.
func checkAmountsAndInputs(p *Params, tx *Tx) error {
	if len(tx.Inputs) == 0 {
		return invalid(ErrNoInputs, "") // T1
	}
	if len(tx.Outputs) == 0 {
		return invalid(ErrNoOutputs, "") // T2
	}
	if size := tx.StrippedSize(); size > p.MaxWeight/WitnessScale {
		return invalid(ErrTxOversize, fmt.Sprintf("%d bytes without witness, more than a block holds", size)) // T3
	}
	if err := checkOutputValues(tx); err != nil {
		return err
	}
	if in, twice := repeatedInput(tx); twice {
		return invalid(ErrDuplicateInputs, fmt.Sprintf("%s is spent twice", in)) // T7
	}
	if tx.IsCoinbase() {
		if n := len(tx.Inputs[0].ScriptSig); n < minCoinbaseScript || n > maxCoinbaseScript {
			return invalid(ErrCoinbaseLength, fmt.Sprintf("the script has %d bytes, not %d to %d", n, minCoinbaseScript, maxCoinbaseScript)) // C1
		}
		return nil
	}
	for i := range tx.Inputs {
		if tx.Inputs[i].PrevOut.IsNull() {
			return invalid(ErrNullPrevOut, fmt.Sprintf("input %d of a transaction that is no coinbase", i)) // T8
		}
	}
	return nil
}

// checkOutputValues bounds every value and every running sum, so that nothing
// is ever added that could wrap (CVE-2010-5139).
func checkOutputValues(tx *Tx) error {
	var sum int64
	for i := range tx.Outputs {
		switch v := tx.Outputs[i].Value; {
		case v < 0:
			return invalid(ErrOutputNegative, fmt.Sprintf("output %d: %d units", i, v)) // T4
		case v > MaxMoney:
			return invalid(ErrOutputTooLarge, fmt.Sprintf("output %d: %d units", i, v)) // T5
		case v > MaxMoney-sum:
			return invalid(ErrOutputSumTooLarge, fmt.Sprintf("outputs 0 to %d exceed %d units", i, int64(MaxMoney))) // T6
		default:
			sum += v
		}
	}
	return nil
}

// smallTx is the number of inputs up to which comparing all pairs is cheaper
// than building a map.
const smallTx = 8

func repeatedInput(tx *Tx) (OutPoint, bool) {
	if len(tx.Inputs) <= smallTx {
		for i := range tx.Inputs {
			for j := range i {
				if tx.Inputs[i].PrevOut == tx.Inputs[j].PrevOut {
					return tx.Inputs[i].PrevOut, true
				}
			}
		}
		return OutPoint{}, false
	}
	seen := make(map[OutPoint]struct{}, len(tx.Inputs))
	for i := range tx.Inputs {
		in := tx.Inputs[i].PrevOut
		if _, twice := seen[in]; twice {
			return in, true
		}
		seen[in] = struct{}{}
	}
	return OutPoint{}, false
}

// outputSum is the total value of the outputs of a transaction that passed
// CheckTx, which bounds it.
func (tx *Tx) outputSum() int64 {
	var sum int64
	for i := range tx.Outputs {
		sum += tx.Outputs[i].Value
	}
	return sum
}

func checkScripts(tx *Tx) error {
	for i := range tx.Outputs {
		if err := checkOutputScript(&tx.Outputs[i]); err != nil {
			return within(fmt.Sprintf("output %d", i), err)
		}
	}
	if tx.IsCoinbase() {
		return nil
	}
	for i := range tx.Inputs {
		if n := len(tx.Inputs[i].ScriptSig); n > 0 {
			return invalid(ErrScriptSig, fmt.Sprintf("input %d: %d bytes, must be empty", i, n)) // S4
		}
	}
	return nil
}

// Opcodes that may follow OP_RETURN.
const (
	op0         = 0x00
	maxPush     = 0x4b // 1 to 75 push as many bytes
	opPushData1 = 0x4c
	opPushData2 = 0x4d
	opPushData4 = 0x4e
	op1Negate   = 0x4f
	op16        = 0x60
)

// maxPushData1 bounds, in bytes, what OP_PUSHDATA1 may push: the data carrier
// size that Bitcoin's policy had for a decade. A direct push reaches 75.
const maxPushData1 = 80

// checkOutputScript admits a payment to a key, or OP_RETURN with exactly one
// push and no value.
func checkOutputScript(out *TxOut) error {
	if _, ok := OutputKey(out.Script); ok {
		return nil
	}
	if len(out.Script) == 0 || out.Script[0] != opReturn {
		return invalid(ErrOutputType, "neither OP_1 <32 bytes> nor OP_RETURN") // S1
	}
	size, ok := singlePush(out.Script[1:])
	if !ok {
		return invalid(ErrOutputType, "OP_RETURN is not followed by exactly one push") // S1
	}
	if size > maxPushData1 {
		return invalid(ErrOpReturnSize, fmt.Sprintf("OP_RETURN must push by one opcode or OP_PUSHDATA1, and at most %d bytes", maxPushData1)) // S2
	}
	if out.Value != 0 {
		return invalid(ErrOpReturnValue, fmt.Sprintf("OP_RETURN carries %d units", out.Value)) // S3
	}
	return nil
}

// singlePush reports whether the script is one push and nothing else, and how
// many bytes it pushes. The wide forms, which S2 refuses at any length, count
// as endless.
func singlePush(script []byte) (size int, ok bool) {
	if len(script) == 0 {
		return 0, false
	}
	op, rest := script[0], script[1:]
	prefix := 0 // bytes of the length
	switch {
	case op == op0, op == op1Negate, op >= op1 && op <= op16:
		return 0, len(rest) == 0
	case op <= maxPush:
		return int(op), len(rest) == int(op)
	case op == opPushData1:
		prefix = 1
	case op == opPushData2:
		prefix = 2
	case op == opPushData4:
		prefix = 4
	default:
		return 0, false
	}
	if len(rest) < prefix {
		return 0, false
	}
	n := uint64(0)
	for i := range prefix {
		n |= uint64(rest[i]) << (8 * i)
	}
	ok = uint64(len(rest)-prefix) == n
	if prefix > 1 {
		return math.MaxInt, ok
	}
	return int(n), ok
}
