package rpc

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Bounds and defaults of the methods for scripts and tests.
const (
	maxGenerate     = 100_000   // blocks per call
	defaultMaxTries = 1_000_000 // hashes per call, as in Core
	maxBlockTxs     = 10_000    // transactions of generateblock
)

func regtestMethods() []method {
	const group = "Generating"
	return []method{
		{"generatetoaddress", group, []param{
			need("nblocks", kindInt, "how many, at most 100000"), need("address", kindKey, "who is paid"),
			option("maxtries", kindInt, int64(defaultMaxTries), "hashes to try for each block"),
		}, "Mines blocks at once, with real proof of work. Meant for regtest; refused on main.", "An array of the blocks' hashes; shorter where the tries were used up.", generateToAddress},
		{"generateblock", group, []param{
			need("output", kindString, "an address, or a descriptor"),
			need("transactions", kindList, "txids of the mempool or serialized transactions, in order"),
			option("submit", kindBool, true, "false to get the block instead"),
		}, "Mines one block with exactly these transactions, judged before any work is done. Its coinbase collects their fees, which Core's leaves. Refused on main.", "An object: hash, and hex where it was not submitted.", generateBlock},
		{"setmocktime", group, []param{need("timestamp", kindInt, "Unix seconds; 0 for the real time")},
			"Stops the node's clock at a time. On regtest alone.", "null", setMockTime},
	}
}

func (c *call) refuseOnMain() error {
	if c.b.Params().Name == "main" {
		return fail(CodeMisc, "blocks are generated on test networks only: on main, start `kapok mine`")
	}
	return nil
}

func generateToAddress(c *call) (any, error) {
	if err := c.refuseOnMain(); err != nil {
		return nil, err
	}
	n, tries := c.num(0), c.num(2)
	if n < 0 || n > maxGenerate {
		return nil, fail(CodeInvalidParameter, "nblocks must be between 0 and %d", maxGenerate)
	}
	if tries < 0 {
		return nil, fail(CodeMisc, "maxtries: JSON integer out of range")
	}
	hashes := []consensus.Hash{}
	payout := consensus.PayToKey(c.key(1))
	for range n {
		block, err := c.b.Mine(c.ctx, payout, nil, uint64(tries), true)
		if err != nil {
			return nil, err
		}
		if block == nil {
			break
		}
		hashes = append(hashes, block.Hash())
	}
	return hashes, nil
}

func generateBlock(c *call) (any, error) {
	if err := c.refuseOnMain(); err != nil {
		return nil, err
	}
	payout, err := parseTarget(c.b.Params(), c.text(0))
	if err != nil {
		return nil, fail(CodeAddressOrKey, "Error: Invalid address or descriptor: %s", clip(c.text(0)))
	}
	list := c.list(1)
	if len(list) > maxBlockTxs {
		return nil, fail(CodeInvalidParameter, "at most %d transactions", maxBlockTxs)
	}
	txs := make([]*consensus.Tx, len(list))
	for i, raw := range list {
		if txs[i], err = c.namedTx(raw); err != nil {
			return nil, err
		}
	}
	submit := c.flag(2)
	block, err := c.b.Mine(c.ctx, payout, txs, defaultMaxTries, submit)
	switch {
	case err != nil:
		return nil, generateError(err)
	case block == nil:
		return nil, fail(CodeMisc, "Failed to make block.")
	}
	type result struct {
		Hash consensus.Hash `json:"hash"`
		Hex  string         `json:"hex,omitempty"`
	}
	if !submit {
		return result{block.Hash(), hex.EncodeToString(block.Bytes())}, nil
	}
	return result{Hash: block.Hash()}, nil
}

// generateError is Core's answer where the transactions make no valid block.
func generateError(err error) error {
	rule := consensus.AsRuleError(err)
	if rule == nil {
		return err
	}
	return fail(CodeVerify, "TestBlockValidity failed: %s", ruleText(rule))
}

// namedTx reads a txid of the mempool, or a serialized transaction.
func (c *call) namedTx(raw json.RawMessage) (*consensus.Tx, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fail(CodeType, "transactions must hold strings")
	}
	if txid, err := consensus.ParseHash(text); err == nil {
		entry, ok := c.b.MempoolEntry(txid)
		if !ok {
			return nil, fail(CodeAddressOrKey, "Transaction %s not in mempool.", text)
		}
		return entry.Tx, nil
	}
	b, err := hex.DecodeString(text)
	var tx *consensus.Tx
	if err == nil {
		tx, err = consensus.DecodeTx(b)
	}
	if err != nil {
		return nil, fail(CodeDeserialization, "Transaction decode failed for %s: %v", clip(text), err)
	}
	return tx, nil
}

// maxMockTime bounds setmocktime, in Unix seconds: what a header can hold.
const maxMockTime = 1<<32 - 1

func setMockTime(c *call) (any, error) {
	if c.b.Params().Name != "regtest" {
		return nil, fail(CodeMisc, "setmocktime is for regression testing (-regtest mode) only")
	}
	seconds := c.num(0)
	if seconds < 0 || seconds > maxMockTime {
		return nil, fail(CodeInvalidParameter, "Mocktime must be in the range [0, %d], not %d.", maxMockTime, seconds)
	}
	if seconds == 0 {
		c.b.SetMockTime(time.Time{})
	} else {
		c.b.SetMockTime(time.Unix(seconds, 0).UTC())
	}
	return nil, nil
}
