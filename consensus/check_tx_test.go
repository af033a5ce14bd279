package consensus

import (
	"bytes"
	"math"
	"testing"
)

// Conformance group D: transactions by themselves. Case 80 and 88 are policy.
func TestTransactions(t *testing.T) {
	const noCode Code = ""
	cases := []struct {
		name string
		make func(tx *Tx)
		code Code
	}{
		{"plain", func(*Tx) {}, noCode},
		{"70 tx-no-in", func(tx *Tx) { tx.Inputs = nil }, ErrNoInputs},
		{"71 tx-no-out", func(tx *Tx) { tx.Outputs = nil }, ErrNoOutputs},
		{"73 tx-out-negative", func(tx *Tx) { tx.Outputs[0].Value = -1 }, ErrOutputNegative},
		{"73 tx-out-negative, least", func(tx *Tx) { tx.Outputs[0].Value = math.MinInt64 }, ErrOutputNegative},
		{"74 tx-out-too-large", func(tx *Tx) { tx.Outputs[0].Value = MaxMoney + 1 }, ErrOutputTooLarge},
		{"74 tx-out-max", func(tx *Tx) { tx.Outputs[0].Value = MaxMoney }, noCode},
		{"75 tx-out-sum-too-large", func(tx *Tx) { tx.Outputs = []TxOut{pay(MaxMoney, 0), pay(1, 0)} }, ErrOutputSumTooLarge},
		{"75 tx-out-sum-too-large of three", func(tx *Tx) { tx.Outputs = []TxOut{pay(MaxMoney/2, 0), pay(MaxMoney/2, 0), pay(1, 0)} }, ErrOutputSumTooLarge},
		{"75 tx-out-sum-max", func(tx *Tx) { tx.Outputs = []TxOut{pay(MaxMoney-1, 0), pay(1, 0)} }, noCode},
		{"76 tx-out-sum-wrap", func(tx *Tx) {
			tx.Outputs = []TxOut{pay(math.MaxInt64, 0), pay(math.MaxInt64, 0)}
		}, ErrOutputTooLarge},
		{"77 tx-in-dup", func(tx *Tx) { tx.Inputs = append(tx.Inputs, tx.Inputs[0]) }, ErrDuplicateInputs},
		{"77 tx-in-dup, many", func(tx *Tx) {
			*tx = *loose(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3)
		}, ErrDuplicateInputs},
		{"77 many, none twice", func(tx *Tx) { *tx = *loose(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) }, noCode},
		{"77 same txid, other index", func(tx *Tx) {
			*tx = *loose(1, 1)
			tx.Inputs[1].PrevOut.Index = 1
		}, noCode},
		{"79 tx-null-prevout", func(tx *Tx) {
			tx.Inputs = append(tx.Inputs, TxIn{PrevOut: OutPoint{Index: nullIndex}})
		}, ErrNullPrevOut},
		{"79 null index of a real txid", func(tx *Tx) { tx.Inputs[0].PrevOut.Index = nullIndex }, noCode},
		{"81 tx-scriptsig", func(tx *Tx) { tx.Inputs[0].ScriptSig = []byte{0x51} }, ErrScriptSig},
		{"85 tx-out-opreturn-value", func(tx *Tx) {
			tx.Outputs[0] = data("hello")
			tx.Outputs[0].Value = 1
		}, ErrOpReturnValue},
		{"59 cb-script-1", func(tx *Tx) { *tx = *coinbaseWith(1) }, ErrCoinbaseLength},
		{"59 cb-script-0", func(tx *Tx) { *tx = *coinbaseWith(0) }, ErrCoinbaseLength},
		{"59 cb-script-2", func(tx *Tx) { *tx = *coinbaseWith(2) }, noCode},
		{"60 cb-script-101", func(tx *Tx) { *tx = *coinbaseWith(101) }, ErrCoinbaseLength},
		{"61 cb-script-100", func(tx *Tx) { *tx = *coinbaseWith(100) }, noCode},
		{"64 cb-output-type", func(tx *Tx) {
			*tx = *coinbaseWith(2)
			tx.Outputs[0].Script = []byte{0x51}
		}, ErrOutputType},
	}
	p := Regtest()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tx := loose(1)
			c.make(tx)
			wantRule(t, CheckTx(p, tx), c.code, Invalid)
		})
	}
}

func coinbaseWith(scriptLen int) *Tx {
	tx := coinbaseTx(1, pay(1, 0))
	tx.Inputs[0].ScriptSig = make([]byte, scriptLen)
	return tx
}

// Case 72: as many bytes without witness as weigh a whole block are enough.
func TestTransactionOversize(t *testing.T) {
	p := Regtest()
	tx := loose(1)
	p.MaxWeight = WitnessScale * tx.StrippedSize()
	tx.Inputs[0].Witness = [][]byte{make([]byte, 1000)} // does not count
	wantRule(t, CheckTx(p, tx), "", 0)
	p.MaxWeight--
	wantRule(t, CheckTx(p, tx), ErrTxOversize, Invalid)
}

// Case 87: the version is unsigned and any is good.
func TestTransactionVersions(t *testing.T) {
	s := newScene(t)
	var txs []*Tx
	for _, v := range []uint32{0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff} {
		tx := s.unsigned([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2))
		tx.Version = v
		txs = append(txs, s.sign(tx))
	}
	s.ok(s.block(txs...))
}

// Case 33 for a loose transaction: 63 and 65 bytes are no Merkle node.
func TestTransaction64Bytes(t *testing.T) {
	p := Regtest()
	for n, code := range map[int]Code{1: "", 2: "", 3: ErrTx64Bytes, 4: "", 5: ""} {
		tx := loose(1)
		size := 60 + 1 + n // the script is OP_RETURN and a push of n-1 bytes
		tx.Outputs[0] = TxOut{Script: append([]byte{opReturn, byte(n - 1)}, "abcdefgh"[:n-1]...)}
		if got := tx.StrippedSize(); got != size {
			t.Fatalf("%d bytes, want %d", got, size)
		}
		wantRule(t, CheckTx(p, tx), code, Invalid)
	}
}

// Cases 82 and 83: no other output than a payment to a key.
func TestOutputTypes(t *testing.T) {
	key := publicKey(1)
	push := func(head ...byte) []byte { return append(head, key[:]...) }
	cases := map[string][]byte{
		"82 empty":                   {},
		"82 one byte":                {0x51},
		"82 p2pkh":                   append(append([]byte{0x76, 0xa9, 20}, key[:20]...), 0x88, 0xac),
		"82 p2sh":                    append(append([]byte{0xa9, 20}, key[:20]...), 0x87),
		"82 v0 key hash":             append([]byte{0, 20}, key[:20]...),
		"82 v0 script hash":          push(0, 32),
		"82 v2":                      push(0x52, 32),
		"82 v16":                     push(0x60, 32),
		"82 anchor":                  {0x51, 2, 0x4e, 0x73},
		"82 bare key":                append(push(33, 2), 0xac),
		"83 31 bytes":                append([]byte{op1, 31}, key[:31]...),
		"83 33 bytes":                append(push(op1, 33), 0),
		"83 trailing byte":           append(PayToKey(key), 0),
		"83 push by OP_PUSHDATA1":    push(op1, opPushData1, 32),
		"83 OP_1 as a push of one":   push(1, 1, 32),
		"83 OP_1NEGATE for OP_1":     push(op1Negate, 32),
		"83 33 bytes, push of 32":    append(push(op1, 32), 0),
		"84 bare OP_RETURN":          {opReturn},
		"84 trailing byte":           {opReturn, 1, 7, 0},
		"84 two pushes":              {opReturn, 1, 7, 1, 7},
		"84 truncated push":          {opReturn, 2, 7},
		"84 truncated PUSHDATA1":     {opReturn, opPushData1, 2, 7},
		"84 PUSHDATA1, no length":    {opReturn, opPushData1},
		"84 PUSHDATA2, no length":    {opReturn, opPushData2, 1},
		"84 PUSHDATA4 truncated":     {opReturn, opPushData4, 1, 0, 0, 0x80},
		"84 OP_RESERVED":             {opReturn, 0x50},
		"84 OP_NOP":                  {opReturn, 0x61},
		"84 OP_16 and a byte":        {opReturn, op16, 0},
		"84 OP_0 twice":              {opReturn, op0, op0},
		"84 PUSHDATA1 81, truncated": append([]byte{opReturn, opPushData1, 81}, make([]byte, 80)...),
	}
	for name, script := range cases {
		t.Run(name, func(t *testing.T) {
			tx := loose(1)
			tx.Outputs = append(tx.Outputs, TxOut{Script: script})
			wantRule(t, CheckTx(Regtest(), tx), ErrOutputType, Invalid)
		})
	}
}

// Case 84: each form of OP_RETURN at its edges.
func TestOpReturnForms(t *testing.T) {
	zeros := func(n int, head ...byte) []byte { return append(append([]byte{opReturn}, head...), make([]byte, n)...) }
	good := map[string][]byte{
		"OP_0": {opReturn, op0}, "OP_1NEGATE": {opReturn, op1Negate},
		"OP_1": {opReturn, op1}, "OP_16": {opReturn, op16},
		"push 1": zeros(1, 1), "push 75": zeros(75, 75),
		"PUSHDATA1 0": zeros(0, opPushData1, 0), "PUSHDATA1 75": zeros(75, opPushData1, 75), "PUSHDATA1 80": zeros(80, opPushData1, 80),
	}
	bad := map[string][]byte{
		"PUSHDATA1 81":  zeros(81, opPushData1, 81),
		"PUSHDATA1 255": zeros(255, opPushData1, 255),
		"PUSHDATA2 0":   zeros(0, opPushData2, 0, 0),
		"PUSHDATA2 80":  zeros(80, opPushData2, 80, 0),
		"PUSHDATA2 256": zeros(256, opPushData2, 0, 1),
		"PUSHDATA4 1":   zeros(1, opPushData4, 1, 0, 0, 0),
	}
	check := func(scripts map[string][]byte, code Code) {
		for name, script := range scripts {
			t.Run(name, func(t *testing.T) {
				tx := loose(1)
				tx.Outputs = append(tx.Outputs, TxOut{Script: script})
				wantRule(t, CheckTx(Regtest(), tx), code, Invalid)
				tx = coinbaseTx(1, pay(1, 1), TxOut{Script: script}) // the same rule in a coinbase
				wantRule(t, CheckTx(Regtest(), tx), code, Invalid)
			})
		}
	}
	check(good, "")
	check(bad, ErrOpReturnSize)
}

// A script that is one push for checkOutputScript re-encodes to itself.
func TestEveryShortOpReturn(t *testing.T) {
	allowed := 0
	for op := range 256 {
		for n := range 90 {
			script := append([]byte{opReturn, byte(op)}, bytes.Repeat([]byte{byte(n - 1)}, n)...)
			err := checkOutputScript(&TxOut{Script: script})
			single := n == 0 && (op == op0 || op == op1Negate || op >= op1 && op <= op16)
			direct := op >= 1 && op <= 75 && n == op
			counted := op == opPushData1 && n >= 1 && int(byte(n-1)) == n-1 && n-1 <= 80
			if (err == nil) != (single || direct || counted) {
				t.Errorf("opcode %#02x with %d bytes: %v", op, n, err)
			}
			if err == nil {
				allowed++
			}
		}
	}
	if want := 18 + 75 + 81; allowed != want {
		t.Errorf("%d scripts allowed, want %d", allowed, want)
	}
}
