package rpc

import (
	"strings"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// maxWait bounds the waiting methods where the caller names no timeout.
const maxWait = 24 * time.Hour

func controlMethods() []method {
	timeout := option("timeout", kindInt, int64(0), "milliseconds; 0 for no limit")
	found := "An object {hash, height}: the tip when it happened, or when the time was over."
	return []method{
		{"help", "Control", []param{option("command", kindString, "", "the method to explain; all by default")}, "Lists the methods, or explains one.", "Text.", help},
		{"stop", "Control", nil, "Ends the node.", "A sentence.", func(c *call) (any, error) { c.b.Stop(); return "Kapok stopping", nil }},
		{"uptime", "Control", nil, "How long the node has been running.", "Seconds.",
			func(c *call) (any, error) { return max(0, int64(time.Since(c.b.Started())/time.Second)), nil }},
		{"getindexinfo", "Util", []param{option("index_name", kindString, "", "only this one")}, "State of the indexes: txindex finds transactions, keyindex finds what an address received and spent.", "An object of {synced, best_block_height} by name; empty on a node without.", getIndexInfo},
		{"waitfornewblock", "Blockchain", []param{timeout}, "Waits for another tip.", found, waitForNewBlock},
		{"waitforblock", "Blockchain", []param{need("blockhash", kindHash, "the block to wait for"), timeout}, "Waits until a block is the tip.", found, waitForBlock},
		{"waitforblockheight", "Blockchain", []param{need("height", kindInt, "the height to wait for"), timeout}, "Waits until the tip has a height.", found, waitForBlockHeight},
	}
}

// walletMethods belong to the wallet's own server.
func walletMethods() []string {
	return strings.Fields(`abandontransaction addmultisigaddress backupwallet bumpfee createwallet dumpprivkey
		encryptwallet getaddressesbylabel getaddressinfo getbalance getbalances getnewaddress getrawchangeaddress
		getreceivedbyaddress gettransaction getunconfirmedbalance getwalletinfo importdescriptors importprivkey
		keypoolrefill listaddressgroupings listdescriptors listlabels listlockunspent listreceivedbyaddress
		listsinceblock listtransactions listunspent listwalletdir listwallets loadwallet lockunspent
		restorewallet send sendall sendmany sendtoaddress setlabel settxfee signmessage
		signrawtransactionwithwallet unloadwallet walletcreatefundedpsbt walletlock walletpassphrase
		walletpassphrasechange walletprocesspsbt`)
}

func help(c *call) (any, error) {
	if name := c.text(0); name != "" {
		if m := c.api.methods[name]; m != nil {
			return m.help(), nil
		}
		return "help: unknown command: " + clip(name), nil
	}
	var b strings.Builder
	for _, group := range c.api.groups() {
		b.WriteString("== " + group + " ==\n")
		for _, m := range c.api.order {
			if m.group == group {
				b.WriteString(m.usage() + "\n")
			}
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String()), nil
}

func getIndexInfo(c *call) (any, error) {
	type state struct {
		Synced bool   `json:"synced"`
		Height uint32 `json:"best_block_height"`
	}
	info, result := c.b.Index(), map[string]state{}
	for _, name := range []string{"txindex", "keyindex"} {
		if info.Enabled && (c.text(0) == "" || c.text(0) == name) {
			result[name] = state{info.Synced, info.Height}
		}
	}
	return result, nil
}

func waitForNewBlock(c *call) (any, error) {
	before := c.b.Chain().Tip.Hash
	return c.waitUntil(c.num(0), func(tip *BlockInfo) bool { return tip.Hash != before })
}

func waitForBlock(c *call) (any, error) {
	return c.waitUntil(c.num(1), func(tip *BlockInfo) bool { return tip.Hash == c.hash(0) })
}

func waitForBlockHeight(c *call) (any, error) {
	return c.waitUntil(c.num(1), func(tip *BlockInfo) bool { return int64(tip.Height) >= c.num(0) })
}

func (c *call) waitUntil(millis int64, done func(tip *BlockInfo) bool) (any, error) {
	if millis < 0 {
		return nil, fail(CodeMisc, "Negative timeout")
	}
	limit := maxWait
	if millis > 0 && millis < int64(maxWait/time.Millisecond) {
		limit = time.Duration(millis) * time.Millisecond
	}
	deadline := time.Now().Add(limit)
	tip := c.b.Chain().Tip
	for !done(&tip) {
		changed, err := c.waitTip(tip.Hash, time.Until(deadline))
		if err != nil {
			return nil, err
		}
		if tip = c.b.Chain().Tip; !changed {
			break
		}
	}
	return struct {
		Hash   consensus.Hash `json:"hash"`
		Height uint32         `json:"height"`
	}{tip.Hash, tip.Height}, nil
}
