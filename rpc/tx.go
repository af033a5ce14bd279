package rpc

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

func txMethods() []method {
	const group = "Rawtransactions"
	return []method{
		{"getrawtransaction", group, []param{
			need("txid", kindHash, "the transaction's id"),
			option("verbosity|verbose", kindLevel, int64(0), "0: hex, 1: an object, 2: with fee and the coins that it spends"),
			option("blockhash", kindHash, nil, "the block to look in; without it the mempool and, where there is an index, the chain"),
		}, "A transaction of the mempool or the chain.", "Hex, or an object (txid, hash, version, size, vsize, weight, locktime, vin, vout, hex, blockhash, confirmations, time, blocktime).", getRawTransaction},
		{"decoderawtransaction", group, []param{
			need("hexstring", kindHex, "the serialized transaction"),
			option("iswitness", kindBool, nil, "ignored: the encoding says it"),
		}, "Shows what serialized bytes mean. Nothing is checked.", "The object of getrawtransaction, without its place in the chain.", decodeRawTransaction},
		{"sendrawtransaction", group, []param{
			need("hexstring", kindHex, "the serialized transaction"),
			option("maxfeerate", kindAmount, Amount(defaultMaxFeeRate), "refuse a higher fee rate, in coins per 1000 virtual bytes; 0 for no limit"),
			option("maxburnamount", kindAmount, Amount(0), "refuse data outputs with a higher value"),
		}, "Puts a transaction into the mempool and announces it.", "The txid.", sendRawTransaction},
		{"testmempoolaccept", group, []param{
			need("rawtxs", kindList, "serialized transactions in hex, parents first, at most 25"),
			option("maxfeerate", kindAmount, Amount(defaultMaxFeeRate), "as in sendrawtransaction"),
		}, "Says whether transactions would get into the mempool, and changes nothing.", `An array of {txid, wtxid, allowed, vsize, fees: {base}, "reject-reason", "reject-details"}.`, testMempoolAccept},
	}
}

// Bounds and defaults of the methods on transactions.
const (
	defaultMaxFeeRate = consensus.UnitsPerCoin / 10 // units per 1000 virtual bytes, as in Core
	maxTestTxs        = 25                          // as in Core
)

type scriptJSON struct {
	Asm     string `json:"asm"`
	Desc    string `json:"desc"`
	Hex     string `json:"hex"`
	Address string `json:"address,omitempty"`
	Type    string `json:"type"`
}

// renderScript describes an output script. Valid ones are P2TR or OP_RETURN;
// decoderawtransaction meets others.
func renderScript(p *consensus.Params, script []byte) scriptJSON {
	text := hex.EncodeToString(script)
	if key, ok := consensus.OutputKey(script); ok {
		desc := addChecksum("rawtr(" + hex.EncodeToString(key[:]) + ")")
		return scriptJSON{"1 " + hex.EncodeToString(key[:]), desc, text, address.Encode(p.HRP, key), "witness_v1_taproot"}
	}
	s := scriptJSON{Asm: text, Desc: addChecksum("raw(" + text + ")"), Hex: text, Type: "nonstandard"}
	if len(script) > 0 && script[0] == opReturn {
		s.Type, s.Asm = "nulldata", "OP_RETURN"
		if data := pushed(script[1:]); len(data) > 0 {
			s.Asm += " " + hex.EncodeToString(data)
		}
	}
	return s
}

const (
	opReturn    = 0x6a
	opPushData1 = 0x4c
)

// pushed returns the data of a single push.
func pushed(script []byte) []byte {
	switch {
	case len(script) > 1 && script[0] < opPushData1:
		return script[1:]
	case len(script) > 2 && script[0] == opPushData1:
		return script[2:]
	}
	return script
}

// txView is a transaction to be shown, with what is known about it.
type txView struct {
	params   *consensus.Params
	tx       *consensus.Tx
	coins    []consensus.Coin // that it spends; nil: not known
	prevouts bool             // show them
	hex      bool
}

type prevoutJSON struct {
	Generated bool       `json:"generated"`
	Height    uint32     `json:"height"`
	Value     Amount     `json:"value"`
	Script    scriptJSON `json:"scriptPubKey"`
}

type inputJSON struct {
	Coinbase  string          `json:"coinbase,omitempty"`
	TxID      *consensus.Hash `json:"txid,omitempty"`
	Index     *uint32         `json:"vout,omitempty"`
	ScriptSig *scriptSigJSON  `json:"scriptSig,omitempty"`
	Witness   []string        `json:"txinwitness,omitempty"`
	Prevout   *prevoutJSON    `json:"prevout,omitempty"`
	Sequence  uint32          `json:"sequence"`
}

type scriptSigJSON struct {
	Asm string `json:"asm"`
	Hex string `json:"hex"`
}

type outputJSON struct {
	Value  Amount     `json:"value"`
	N      int        `json:"n"`
	Script scriptJSON `json:"scriptPubKey"`
}

type txJSON struct {
	InActiveChain *bool           `json:"in_active_chain,omitempty"`
	TxID          consensus.Hash  `json:"txid"`
	WTxID         consensus.Hash  `json:"hash"`
	Version       uint32          `json:"version"`
	Size          int             `json:"size"`
	VSize         int             `json:"vsize"`
	Weight        int             `json:"weight"`
	LockTime      uint32          `json:"locktime"`
	Inputs        []inputJSON     `json:"vin"`
	Outputs       []outputJSON    `json:"vout"`
	Fee           *Amount         `json:"fee,omitempty"`
	Hex           string          `json:"hex,omitempty"`
	BlockHash     *consensus.Hash `json:"blockhash,omitempty"`
	Confirmations *int64          `json:"confirmations,omitempty"`
	Time          uint32          `json:"time,omitempty"`
	BlockTime     uint32          `json:"blocktime,omitempty"`
}

func (v *txView) render() *txJSON {
	tx := v.tx
	t := &txJSON{
		TxID: tx.TxID(), WTxID: tx.WTxID(), Version: tx.Version, Size: tx.Size(), VSize: tx.VSize(),
		Weight: tx.Weight(), LockTime: tx.LockTime,
		Inputs: make([]inputJSON, len(tx.Inputs)), Outputs: make([]outputJSON, len(tx.Outputs)),
	}
	known := len(v.coins) == len(tx.Inputs) && !tx.IsCoinbase()
	var fee int64
	for i := range tx.Inputs {
		t.Inputs[i] = v.input(i)
		if known {
			fee += v.coins[i].Value
		}
	}
	for i, out := range tx.Outputs {
		t.Outputs[i] = outputJSON{Amount(out.Value), i, renderScript(v.params, out.Script)}
		fee -= out.Value
	}
	if known && len(tx.Inputs) > 0 {
		amount := Amount(fee)
		t.Fee = &amount
	}
	if v.hex {
		t.Hex = hex.EncodeToString(tx.Bytes())
	}
	return t
}

func (v *txView) input(i int) inputJSON {
	in := &v.tx.Inputs[i]
	j := inputJSON{Sequence: in.Sequence}
	for _, item := range in.Witness {
		j.Witness = append(j.Witness, hex.EncodeToString(item))
	}
	script := hex.EncodeToString(in.ScriptSig)
	if v.tx.IsCoinbase() {
		j.Coinbase = script
		return j
	}
	j.TxID, j.Index, j.ScriptSig = &in.PrevOut.TxID, &in.PrevOut.Index, &scriptSigJSON{script, script}
	if v.prevouts && len(v.coins) == len(v.tx.Inputs) {
		coin := &v.coins[i]
		j.Prevout = &prevoutJSON{coin.Coinbase, coin.Height, Amount(coin.Value), renderScript(v.params, consensus.PayToKey(coin.Key))}
	}
	return j
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

func getRawTransaction(c *call) (any, error) {
	txid, level := c.hash(0), c.num(1)
	view := txView{params: c.b.Params(), prevouts: level >= 2, hex: true}
	if !c.has(2) {
		if entry, ok := c.b.MempoolEntry(txid); ok {
			if level <= 0 {
				return hex.EncodeToString(entry.Tx.Bytes()), nil
			}
			view.tx = entry.Tx
			if level == 1 {
				return view.render(), nil
			}
			view.coins = entry.Coins
			t := view.render()
			t.Time = uint32(entry.Time.Unix()) // of its arrival
			return t, nil
		}
	}
	info, block, pos, err := c.findTx(txid)
	if err != nil {
		return nil, err
	}
	view.tx = block.Txs[pos]
	if level <= 0 {
		return hex.EncodeToString(view.tx.Bytes()), nil
	}
	if level >= 2 {
		spent, err := c.spent(info.Hash, block)
		if err != nil {
			return nil, err
		}
		view.coins = spent[pos]
	}
	t := view.render()
	confirmations := max(0, c.confirmations(&info))
	t.BlockHash, t.Confirmations = &info.Hash, &confirmations
	t.Time, t.BlockTime = info.Header.Time, info.Header.Time
	if c.has(2) {
		t.InActiveChain = &info.Active
	}
	return t, nil
}

// findTx finds a confirmed transaction, in the block of parameter 2 or by index.
func (c *call) findTx(txid consensus.Hash) (info BlockInfo, block *consensus.Block, pos int, err error) {
	hash := c.hash(2)
	if c.has(2) {
		pos = -1
	} else {
		hash, pos, err = c.b.TxLocation(txid)
		switch {
		case isNotFound(err):
			return info, nil, 0, fail(CodeAddressOrKey, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.")
		case errors.Is(err, ErrNoIndex):
			return info, nil, 0, fail(CodeAddressOrKey, "No such mempool transaction. This node keeps no index of transactions (start it with --index), or give the block's hash.")
		case err != nil:
			return info, nil, 0, err
		}
	}
	if info, err = c.block(hash); err != nil {
		return info, nil, 0, err
	}
	if block, err = c.b.Body(hash); err != nil {
		return info, nil, 0, err
	}
	for i := 0; pos < 0 && i < len(block.Txs); i++ {
		if block.Txs[i].TxID() == txid {
			pos = i
		}
	}
	if pos < 0 {
		return info, nil, 0, fail(CodeAddressOrKey, "No such transaction found in the provided block.")
	}
	if pos >= len(block.Txs) {
		return info, nil, 0, fmt.Errorf("index: %s is said to be number %d of the %d transactions of block %s", txid, pos, len(block.Txs), hash)
	}
	return info, block, pos, nil
}

func decodeTx(raw []byte) (*consensus.Tx, error) {
	tx, err := consensus.DecodeTx(raw)
	if err != nil {
		return nil, fail(CodeDeserialization, "TX decode failed: %v", err)
	}
	return tx, nil
}

func decodeRawTransaction(c *call) (any, error) {
	tx, err := decodeTx(c.bytes(0))
	if err != nil {
		return nil, err
	}
	view := txView{params: c.b.Params(), tx: tx}
	return view.render(), nil
}

// tooHighRate judges a fee against a rate in units per 1000 virtual bytes.
func tooHighRate(fee int64, vsize int, limit Amount) bool {
	return limit > 0 && fee > int64(limit)/1000*int64(vsize)+int64(limit)%1000*int64(vsize)/1000
}

func sendRawTransaction(c *call) (any, error) {
	results, errs := sendRawTransactions([]*call{c})
	return results[0], errs[0]
}

// sendRawTransactions answers calls in a row together: the node checks their signatures
// in one go.
func sendRawTransactions(calls []*call) ([]any, []error) {
	results, errs := make([]any, len(calls)), make([]error, len(calls))
	var list []Submission
	var from []int // the call of each in list
	for i, c := range calls {
		if c == nil {
			continue
		}
		var tx *consensus.Tx
		if tx, errs[i] = c.submission(); errs[i] == nil {
			list, from = append(list, Submission{tx, int64(c.amount(1))}), append(from, i)
		}
	}
	if len(list) == 0 {
		return results, errs
	}
	for j, err := range calls[from[0]].b.SubmitTxs(list) {
		results[from[j]], errs[from[j]] = submissionResult(list[j].Tx, err)
	}
	return results, errs
}

// submission reads the transaction of a call of sendrawtransaction.
func (c *call) submission() (*consensus.Tx, error) {
	tx, err := decodeTx(c.bytes(0))
	if err != nil {
		return nil, err
	}
	for _, out := range tx.Outputs {
		if _, ok := consensus.OutputKey(out.Script); !ok && out.Value > int64(c.amount(2)) {
			return nil, fail(CodeVerify, "Unspendable output exceeds maximum configured by user (maxburnamount)")
		}
	}
	return tx, nil
}

func submissionResult(tx *consensus.Tx, err error) (any, error) {
	rule := consensus.AsRuleError(err)
	switch {
	case err == nil:
		return tx.TxID(), nil
	case rule == nil:
		return nil, err
	case rule.Code == "txn-already-in-mempool":
		return tx.TxID(), nil
	case rule.Code == "txn-already-known":
		return nil, fail(CodeAlreadyInChain, "Transaction outputs already in utxo set")
	case rule.Code == "missing-inputs":
		return nil, fail(CodeVerify, "%s", consensus.ErrInputsMissingOrSpent)
	case rule.Code == ErrFeeTooHigh:
		return nil, fail(CodeVerify, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
	}
	return nil, failRule(CodeVerifyRejected, rule)
}

func testMempoolAccept(c *call) (any, error) {
	raws := c.list(0)
	if len(raws) < 1 || len(raws) > maxTestTxs {
		return nil, fail(CodeInvalidParameter, "Array must contain between 1 and %d transactions.", maxTestTxs)
	}
	txs := make([]*consensus.Tx, len(raws))
	for i, raw := range raws {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fail(CodeType, "rawtxs must hold strings")
		}
		b, err := hex.DecodeString(text)
		if err == nil {
			txs[i], err = consensus.DecodeTx(b)
		}
		if err != nil {
			return nil, fail(CodeDeserialization, "TX decode failed: transaction %d: %v", i, err)
		}
	}
	verdicts, err := c.b.TestTxs(txs)
	if err != nil {
		return nil, err
	}
	if len(verdicts) != len(txs) {
		return nil, fmt.Errorf("%d verdicts on %d transactions", len(verdicts), len(txs))
	}
	results := make([]testResult, len(txs))
	for i, tx := range txs {
		results[i] = testVerdict(tx, verdicts[i], c.amount(1))
	}
	return results, nil
}

type testResult struct {
	TxID    consensus.Hash `json:"txid"`
	WTxID   consensus.Hash `json:"wtxid"`
	Allowed bool           `json:"allowed"`
	VSize   int            `json:"vsize,omitempty"`
	Fees    *testFees      `json:"fees,omitempty"`
	Reason  consensus.Code `json:"reject-reason,omitempty"`
	Details string         `json:"reject-details,omitempty"`
}

type testFees struct {
	Base Amount `json:"base"`
}

func testVerdict(tx *consensus.Tx, v TxVerdict, limit Amount) testResult {
	r := testResult{TxID: tx.TxID(), WTxID: tx.WTxID()}
	switch {
	case v.Rule != nil:
		r.Reason, r.Details = v.Rule.Code, v.Rule.Error()
	case tooHighRate(v.Fee, tx.VSize(), limit):
		r.Reason = ErrFeeTooHigh
	default:
		r.Allowed, r.VSize, r.Fees = true, tx.VSize(), &testFees{Amount(v.Fee)}
	}
	return r
}
