package rpc

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Bounds of the methods on coins.
const (
	maxScanTargets = 1000   // descriptors
	maxScanFound   = 50_000 // coins; more make an answer of over 16 MB
	maxOutpoints   = 1000   // of gettxspendingprevout
)

func coinMethods() []method {
	const group = "Blockchain"
	return []method{
		{"gettxout", group, []param{
			need("txid", kindHash, "the transaction's id"), need("n", kindInt, "the output's number"),
			option("include_mempool", kindBool, true, "whether what waits in the mempool counts"),
		}, "An unspent output.", "null where it does not exist or is spent, else an object: bestblock, confirmations (0 in the mempool), value, scriptPubKey, coinbase.", getTxOut},
		{"gettxoutsetinfo", group, []param{option("hash_type", kindString, "coin_sum", `only "coin_sum" and "none" are known here`)},
			"The set of unspent outputs, in constant time.",
			"An object: height, bestblock, txouts, bogosize, total_amount, coin_sum (sum of the coins' hashes; two nodes with the same coins have the same), disk_size.", getTxOutSetInfo},
		{"scantxoutset", group, []param{
			need("action", kindString, `"start"; scans end before they answer, so that "status" and "abort" find none`),
			option("scanobjects", kindList, nil, `descriptors addr(ADDRESS), rawtr(KEY) or raw(SCRIPT), at most 1000, or objects {"desc": …}`),
		}, "Looks for coins by reading all of them. With an index, getaddressutxos is faster.", "An object: success, txouts, height, bestblock, unspents [{txid, vout, scriptPubKey, desc, amount, coinbase, height}], total_amount.", scanTxOutSet},
		{"gettxspendingprevout", "Mempool", []param{need("outputs", kindList, "objects {txid, vout}, at most 1000")},
			"Which waiting transactions spend these outputs.", "An array of {txid, vout, spendingtxid}.", getTxSpendingPrevout},
		{"validateaddress", "Util", []param{need("address", kindString, "what may be an address of this network")},
			"Checks an address.", "An object: isvalid, and address, scriptPubKey, isscript, iswitness, witness_version, witness_program, or error and error_locations.", validateAddress},
	}
}

func getTxOut(c *call) (any, error) {
	type result struct {
		Best          consensus.Hash `json:"bestblock"`
		Confirmations int64          `json:"confirmations"`
		Value         Amount         `json:"value"`
		Script        scriptJSON     `json:"scriptPubKey"`
		Coinbase      bool           `json:"coinbase"`
	}
	if n := c.num(1); n < 0 || n > math.MaxUint32 {
		return nil, fail(CodeInvalidParameter, "Invalid parameter, n is out of range")
	}
	op := consensus.OutPoint{TxID: c.hash(0), Index: uint32(c.num(1))}
	tip := c.b.Chain().Tip
	if c.flag(2) {
		if _, spent := c.b.MempoolSpender(op); spent {
			return nil, nil
		}
		if entry, ok := c.b.MempoolEntry(op.TxID); ok {
			if uint64(op.Index) >= uint64(len(entry.Tx.Outputs)) {
				return nil, nil
			}
			out := entry.Tx.Outputs[op.Index]
			if _, ok := consensus.OutputKey(out.Script); !ok {
				return nil, nil
			}
			return result{tip.Hash, 0, Amount(out.Value), renderScript(c.b.Params(), out.Script), false}, nil
		}
	}
	coin, ok, err := c.b.Coin(op)
	if err != nil || !ok {
		return nil, err
	}
	depth := max(1, int64(tip.Height)-int64(coin.Height)+1)
	return result{tip.Hash, depth, Amount(coin.Value), renderScript(c.b.Params(), consensus.PayToKey(coin.Key)), coin.Coinbase}, nil
}

func getTxOutSetInfo(c *call) (any, error) {
	switch c.text(0) {
	case "coin_sum", "none", "hash_serialized_3", "muhash":
		// Core's own hashes are not kept here; its default is answered
		// without one, so that its tools go on.
	default:
		return nil, fail(CodeInvalidParameter, "'%s' is not a valid hash_type", clip(c.text(0)))
	}
	const bogoSize = 32 + 4 + 4 + 8 + 2 + 34 // bytes of a coin, as Core counts them
	sum, tip := c.b.CoinSum()
	hash := sum.Hash()
	return struct {
		Height   uint32         `json:"height"`
		Best     consensus.Hash `json:"bestblock"`
		Count    uint64         `json:"txouts"`
		BogoSize uint64         `json:"bogosize"`
		Total    Amount         `json:"total_amount"`
		Sum      string         `json:"coin_sum"`
		Disk     int64          `json:"disk_size"`
	}{tip.Height, tip.Hash, sum.Count, sum.Count * bogoSize, Amount(sum.Value), hex.EncodeToString(hash[:]), c.b.Chain().SizeOnDisk}, nil
}

type scannedCoin struct {
	TxID     consensus.Hash `json:"txid"`
	Index    uint32         `json:"vout"`
	Script   string         `json:"scriptPubKey"`
	Desc     string         `json:"desc"`
	Amount   Amount         `json:"amount"`
	Coinbase bool           `json:"coinbase"`
	Height   uint32         `json:"height"`
}

var errScanFull = errors.New("too many coins found")

func scanTxOutSet(c *call) (any, error) {
	switch c.text(0) {
	case "start":
	case "status":
		return nil, nil
	case "abort":
		return false, nil
	default:
		return nil, fail(CodeInvalidParameter, "Invalid action '%s'", clip(c.text(0)))
	}
	wanted, err := c.scanTargets(c.list(1))
	if err != nil {
		return nil, err
	}
	_, tip := c.b.CoinSum()
	var seen uint64
	found, total := []scannedCoin{}, Amount(0)
	err = c.b.EachCoin(func(op consensus.OutPoint, coin consensus.Coin) error {
		if seen++; seen%4096 == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if !wanted[coin.Key] {
			return nil
		}
		if len(found) == maxScanFound {
			return errScanFull
		}
		script := renderScript(c.b.Params(), consensus.PayToKey(coin.Key))
		found = append(found, scannedCoin{op.TxID, op.Index, script.Hex, script.Desc, Amount(coin.Value), coin.Coinbase, coin.Height})
		total += Amount(coin.Value)
		return nil
	})
	if errors.Is(err, errScanFull) {
		return nil, fail(CodeInvalidParameter, "more than %d coins found: scan for fewer targets at a time", maxScanFound)
	}
	if err != nil {
		return nil, err
	}
	return struct {
		Success bool           `json:"success"`
		Seen    uint64         `json:"txouts"`
		Height  uint32         `json:"height"`
		Best    consensus.Hash `json:"bestblock"`
		Found   []scannedCoin  `json:"unspents"`
		Total   Amount         `json:"total_amount"`
	}{true, seen, tip.Height, tip.Hash, found, total}, nil
}

func (c *call) scanTargets(list []json.RawMessage) (map[[consensus.KeySize]byte]bool, error) {
	if len(list) < 1 || len(list) > maxScanTargets {
		return nil, fail(CodeInvalidParameter, "scanobjects must hold between 1 and %d descriptors", maxScanTargets)
	}
	wanted := make(map[[consensus.KeySize]byte]bool)
	for _, raw := range list {
		var text string
		var object struct {
			Desc string `json:"desc"`
		}
		if json.Unmarshal(raw, &text) != nil {
			if err := json.Unmarshal(raw, &object); err != nil {
				return nil, fail(CodeInvalidParameter, "Scan object needs to be either a string or an object")
			}
			text = object.Desc
		}
		key, err := parseDescriptor(c.b.Params(), text)
		if err != nil {
			return nil, err
		}
		wanted[key] = true
	}
	return wanted, nil
}

func getTxSpendingPrevout(c *call) (any, error) {
	type output struct {
		TxID    consensus.Hash  `json:"txid"`
		Index   *uint32         `json:"vout"`
		Spender *consensus.Hash `json:"spendingtxid,omitempty"`
	}
	list := c.list(0)
	if len(list) < 1 || len(list) > maxOutpoints {
		return nil, fail(CodeInvalidParameter, "outputs must hold between 1 and %d objects", maxOutpoints)
	}
	outputs := make([]output, len(list))
	for i, raw := range list {
		o := &outputs[i]
		if err := json.Unmarshal(raw, o); err != nil || o.Index == nil {
			return nil, fail(CodeInvalidParameter, "Invalid parameter, output %d is no object {txid, vout}", i)
		}
		o.Spender = nil
		if txid, ok := c.b.MempoolSpender(consensus.OutPoint{TxID: o.TxID, Index: *o.Index}); ok {
			o.Spender = &txid
		}
	}
	return outputs, nil
}

func validateAddress(c *call) (any, error) {
	key, err := address.Decode(c.b.Params().HRP, c.text(0))
	if err != nil {
		return struct {
			Valid     bool   `json:"isvalid"`
			Locations []int  `json:"error_locations"`
			Error     string `json:"error"`
		}{false, []int{}, err.Error()}, nil
	}
	return struct {
		Valid   bool   `json:"isvalid"`
		Address string `json:"address"`
		Script  string `json:"scriptPubKey"`
		IsP2SH  bool   `json:"isscript"`
		Witness bool   `json:"iswitness"`
		Version int    `json:"witness_version"`
		Program string `json:"witness_program"`
	}{true, renderAddress(c.b.Params(), key), hex.EncodeToString(consensus.PayToKey(key)), true, true, 1, hex.EncodeToString(key[:])}, nil
}
