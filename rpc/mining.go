package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

func miningMethods() []method {
	const group = "Mining"
	return []method{
		{"getmininginfo", group, nil, "State of mining.", "An object: blocks, bits, difficulty, target, networkhashps, pooledtx, chain, next {height, bits, difficulty, target}, kapok_threads, kapok_hashrate (this node's own, hashes per second), warnings.", getMiningInfo},
		{"getblocktemplate", group, []param{option("template_request", kindObject, nil, `{"rules": ["segwit"], "capabilities": […], "longpollid": …}, or {"mode": "proposal", "data": hex}`)},
			"A block to be solved (BIP22, BIP23, BIP145). With a longpollid it answers when the tip is another one, or after a minute when the mempool has changed. The mode \"proposal\" judges an unsolved block.",
			"An object: version, rules, previousblockhash, transactions [{data, txid, hash, depends, fee, sigops, weight}], coinbaseaux, coinbasevalue, coinbasetxn (data without witness; where the node has a payout address), longpollid, target, mintime, mutable, noncerange, sizelimit, weightlimit, curtime, bits, height, default_witness_commitment. For a proposal null, or the reason against it.", getBlockTemplate},
		{"submitblock", group, []param{need("hexdata", kindHex, "the serialized block"), option("dummy", kindString, nil, "ignored")},
			"Hands in a solved block. A coinbase with a commitment and no witness gets the reserved value of zeros.",
			`null where it is the tip now, else why not: "duplicate", "inconclusive" (stored on a side branch), or the code of the rule that it breaks.`, submitBlock},
	}
}

type nextBlock struct {
	Height     uint32            `json:"height"`
	Bits       string            `json:"bits"`
	Difficulty float64           `json:"difficulty"`
	Target     consensus.Uint256 `json:"target"`
}

func getMiningInfo(c *call) (any, error) {
	chain, mining, bits := c.b.Chain(), c.b.Mining(), c.b.NextBits()
	tip := chain.Tip
	return struct {
		Blocks     uint32            `json:"blocks"`
		Bits       string            `json:"bits"`
		Difficulty float64           `json:"difficulty"`
		Target     consensus.Uint256 `json:"target"`
		NetworkPS  float64           `json:"networkhashps"`
		Pooled     int               `json:"pooledtx"`
		Chain      string            `json:"chain"`
		Next       nextBlock         `json:"next"`
		Threads    int               `json:"kapok_threads"`
		Hashrate   float64           `json:"kapok_hashrate"`
		Warnings   []string          `json:"warnings"`
	}{
		tip.Height, bitsHex(tip.Header.Bits), consensus.Difficulty(tip.Header.Bits), targetOf(tip.Header.Bits),
		c.networkHashrate(&tip, 120), c.b.Mempool().Txs, networkName(c.b.Params()),
		nextBlock{tip.Height + 1, bitsHex(bits), consensus.Difficulty(bits), targetOf(bits)},
		mining.Threads, mining.Hashrate, orEmpty(chain.Warnings),
	}, nil
}

type templateTx struct {
	Data    string `json:"data"`
	TxID    string `json:"txid"`
	Hash    string `json:"hash"`
	Depends []int  `json:"depends"`
	Fee     int64  `json:"fee"`
	Sigops  int    `json:"sigops"`
	Weight  int    `json:"weight"`
}

type templateJSON struct {
	Capabilities  []string          `json:"capabilities"`
	Version       int32             `json:"version"`
	Rules         []string          `json:"rules"`
	Available     struct{}          `json:"vbavailable"`
	Required      int               `json:"vbrequired"`
	Prev          consensus.Hash    `json:"previousblockhash"`
	Txs           []templateTx      `json:"transactions,omitempty"` // to read: appendTemplateTxs writes them
	CoinbaseAux   struct{}          `json:"coinbaseaux"`
	CoinbaseValue int64             `json:"coinbasevalue"`
	Coinbase      *templateTx       `json:"coinbasetxn,omitempty"`
	LongPollID    string            `json:"longpollid"`
	Target        consensus.Uint256 `json:"target"`
	MinTime       uint32            `json:"mintime"`
	Mutable       []string          `json:"mutable"`
	NonceRange    string            `json:"noncerange"`
	SigopLimit    int               `json:"sigoplimit"`
	SizeLimit     int               `json:"sizelimit"`
	WeightLimit   int               `json:"weightlimit"`
	Time          uint32            `json:"curtime"`
	Bits          string            `json:"bits"`
	Height        uint32            `json:"height"`
	Commitment    string            `json:"default_witness_commitment,omitempty"`
}

func getBlockTemplate(c *call) (any, error) {
	var request struct {
		Mode       string `json:"mode"`
		Data       string `json:"data"`
		LongPollID string `json:"longpollid"`
	}
	for name, field := range map[string]*string{"mode": &request.Mode, "data": &request.Data, "longpollid": &request.LongPollID} {
		raw, ok := c.object(0)[name]
		if !ok || string(raw) == "null" {
			continue
		}
		if err := json.Unmarshal(raw, field); err != nil {
			return nil, fail(CodeType, "%s must be a string", name)
		}
	}
	switch request.Mode {
	case "", "template":
	case "proposal":
		return c.propose(request.Data)
	default:
		return nil, fail(CodeInvalidParameter, "Invalid mode")
	}
	if err := c.readyToMine(); err != nil {
		return nil, err
	}
	if request.LongPollID != "" {
		if err := c.longPoll(request.LongPollID); err != nil {
			return nil, err
		}
	}
	sequence := c.b.Mempool().Sequence
	t, err := c.b.Template()
	if err != nil {
		return nil, err
	}
	return c.renderTemplate(t, sequence)
}

// readyToMine refuses work on a chain that is behind, as Core does. Networks
// other than main may consist of one node.
func (c *call) readyToMine() error {
	if c.b.Params().Name != "main" {
		return nil
	}
	if len(c.b.Peers()) == 0 {
		return fail(CodeNotConnected, "Kapok is not connected!")
	}
	if c.b.Chain().Syncing {
		return fail(CodeSyncing, "Kapok is in initial sync and waiting for blocks...")
	}
	return nil
}

// renderTemplate writes the object. Its transactions are megabytes of hex, which
// encoding/json would look through for what must be escaped, twice the time of all
// the rest: they are appended to what it wrote.
func (c *call) renderTemplate(t *Template, sequence uint64) (json.RawMessage, error) {
	j := &templateJSON{
		Capabilities: []string{"proposal"}, Version: t.Version, Rules: []string{"csv", "!segwit", "taproot"},
		Prev: t.Parent, CoinbaseValue: t.CoinbaseValue,
		LongPollID: t.Parent.String() + strconv.FormatUint(sequence, 10),
		Target:     targetOf(t.Bits), MinTime: t.MinTime,
		Mutable: []string{"time", "transactions", "prevblock"}, NonceRange: "00000000ffffffff",
		SigopLimit: c.b.Params().MaxWeight / 50, SizeLimit: c.b.Params().MaxWeight, WeightLimit: c.b.Params().MaxWeight,
		Time: t.Time, Bits: bitsHex(t.Bits), Height: t.Height, Commitment: hex.EncodeToString(t.Commitment),
	}
	if t.Coinbase != nil {
		// Miners hash what they are given as the txid is hashed, and hand the
		// block in without the coinbase's witness.
		j.Coinbase = &templateTx{
			Data: hex.EncodeToString(t.Coinbase.AppendStripped(nil)), TxID: t.Coinbase.TxID().String(), Hash: t.Coinbase.TxID().String(),
			Depends: []int{}, Fee: -feesOf(t), Weight: t.Coinbase.Weight(),
		}
		j.Mutable = append(j.Mutable, "coinbase/append")
	}
	rest, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	out := append(bytes.TrimSuffix(rest, []byte("}")), `,"transactions":`...)
	return append(appendTemplateTxs(out, t), '}'), nil
}

// appendTemplateTxs appends the list of what would be a []templateTx.
func appendTemplateTxs(out []byte, t *Template) []byte {
	size := 0
	for _, tx := range t.Txs {
		size += 2*tx.Size() + templateTxSize
	}
	out = append(slices.Grow(out, size), '[')
	numbers := make(map[consensus.Hash]int, len(t.Txs)) // from 1 on: the coinbase is 0
	var raw []byte
	for i, tx := range t.Txs {
		if i > 0 {
			out = append(out, ',')
		}
		raw = tx.Append(raw[:0])
		out = append(hex.AppendEncode(append(out, `{"data":"`...), raw), `","txid":"`...)
		out = append(append(out, t.TxIDs[i].String()...), `","hash":"`...)
		out = append(append(out, t.WTxIDs[i].String()...), `","depends":[`...)
		for _, in := range tx.Inputs {
			if n, ok := numbers[in.PrevOut.TxID]; ok {
				out = append(strconv.AppendInt(out, int64(n), 10), ',')
			}
		}
		out = append(bytes.TrimSuffix(out, []byte(",")), `],"fee":`...)
		out = append(strconv.AppendInt(out, t.Fees[i], 10), `,"sigops":`...)
		out = append(strconv.AppendInt(out, int64(len(tx.Inputs)), 10), `,"weight":`...)
		out = append(strconv.AppendInt(out, int64(tx.Weight()), 10), '}')
		numbers[t.TxIDs[i]] = i + 1
	}
	return append(out, ']')
}

// templateTxSize is about what a transaction takes beside its hex, in bytes.
const templateTxSize = 250

func feesOf(t *Template) (total int64) {
	for _, fee := range t.Fees {
		total += fee
	}
	return total
}

// Of a long poll: how long only another tip ends it, and how often the mempool
// is looked at after that (Core: one minute, then ten seconds).
const (
	longPollQuiet = time.Minute
	longPollCheck = 10 * time.Second
)

// longPoll returns when the work that the id stands for is outdated.
func (c *call) longPoll(id string) error {
	if len(id) < 2*consensus.HashSize {
		return fail(CodeInvalidParameter, "longpollid is not one of ours")
	}
	tip, err := parseHash("longpollid", id[:2*consensus.HashSize])
	if err != nil {
		return err
	}
	sequence, err := strconv.ParseUint(id[2*consensus.HashSize:], 10, 64)
	if err != nil {
		return fail(CodeInvalidParameter, "longpollid is not one of ours")
	}
	for wait := longPollQuiet; ; wait = longPollCheck {
		changed, err := c.waitTip(tip, wait)
		if err != nil || changed || c.b.Mempool().Sequence != sequence {
			return err
		}
	}
}

// waitTip waits for another tip than the one known, for so long at most. The
// error is that of a caller who is gone.
func (c *call) waitTip(known consensus.Hash, limit time.Duration) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	if err := c.b.WaitTip(ctx, known); err == nil {
		return true, nil
	} else if ctx.Err() == nil {
		return false, err
	}
	return false, c.ctx.Err()
}

func decodeBlock(raw []byte) (*consensus.Block, error) {
	block, err := consensus.DecodeBlock(raw)
	if err != nil {
		return nil, fail(CodeDeserialization, "Block decode failed: %v", err)
	}
	return block, nil
}

// known answers for a block that the tree holds already, "" for others. A block
// whose header alone is here is new.
func (c *call) known(hash consensus.Hash) string {
	info, ok := c.b.BlockByHash(hash)
	switch {
	case !ok:
		return ""
	case info.Failed:
		return string(consensus.ErrDuplicateInvalid)
	case info.HasBody:
		return string(consensus.ErrDuplicate)
	}
	return ""
}

func (c *call) propose(data string) (any, error) {
	raw, err := hex.DecodeString(data)
	if err != nil || data == "" {
		return nil, fail(CodeType, "Missing data String key for proposal")
	}
	block, err := decodeBlock(raw)
	if err != nil {
		return nil, err
	}
	if reason := c.known(block.Hash()); reason != "" {
		return reason, nil
	}
	if block.Header.Prev != c.b.Chain().Tip.Hash {
		return "inconclusive-not-best-prevblk", nil
	}
	return verdictOn(c.b.ProposeBlock(block))
}

// verdictOn is BIP22's: null for no rule broken, or the rule's code.
func verdictOn(err error) (any, error) {
	if rule := consensus.AsRuleError(err); rule != nil {
		return rule.Code, nil
	}
	return nil, err
}

// addReserved gives the coinbase the reserved value that its commitment needs
// (BIP141) where the miner left it out.
func addReserved(block *consensus.Block) {
	_, committed := consensus.WitnessCommitment(block)
	if committed && len(block.Txs[0].Inputs) > 0 && !block.Txs[0].HasWitness() {
		block.Txs[0].Inputs[0].Witness = [][]byte{make([]byte, consensus.ReservedSize)}
	}
}

func submitBlock(c *call) (any, error) {
	block, err := decodeBlock(c.bytes(0))
	if err != nil {
		return nil, err
	}
	if reason := c.known(block.Hash()); reason != "" && reason != string(consensus.ErrDuplicate) {
		return reason, nil // a duplicate may be on its way to the disk: the node says so when it is there
	}
	addReserved(block)
	onTip, err := c.b.SubmitBlock(block)
	if err == nil && !onTip {
		return "inconclusive", nil
	}
	return verdictOn(err)
}
