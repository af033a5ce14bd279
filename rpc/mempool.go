package rpc

import (
	"cmp"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

func mempoolMethods() []method {
	const group = "Mempool"
	txid := need("txid", kindHash, "the transaction's id")
	verbose := option("verbose", kindBool, false, "objects instead of txids")
	entry := "{vsize, weight, time, height, descendantcount, descendantsize, ancestorcount, ancestorsize, wtxid, fees: {base, modified, ancestor, descendant}, depends, spentby}"
	return []method{
		{"getmempoolinfo", group, nil, "State of the mempool.", "An object: loaded, size (transactions), bytes (virtual), usage and maxmempool (bytes of memory), total_fee, mempoolminfee, minrelaytxfee, incrementalrelayfee (coins per 1000 virtual bytes), unbroadcastcount, fullrbf.", getMempoolInfo},
		{"getrawmempool", group, []param{verbose, option("mempool_sequence", kindBool, false, "with the pool's sequence number")},
			"What waits.", "An array of txids, an object {txids, mempool_sequence}, or an object of " + entry + " by txid.", getRawMempool},
		{"getmempoolentry", group, []param{txid}, "One waiting transaction.", "An object: " + entry + ".", getMempoolEntry},
		{"getmempoolancestors", group, []param{txid, verbose}, "Waiting transactions that must be confirmed before this one.", "An array of txids, or an object by txid.",
			func(c *call) (any, error) {
				return c.relatives(func(e *MempoolEntry) []consensus.Hash { return e.Parents })
			}},
		{"getmempooldescendants", group, []param{txid, verbose}, "Waiting transactions that this one must be confirmed before.", "An array of txids, or an object by txid.",
			func(c *call) (any, error) {
				return c.relatives(func(e *MempoolEntry) []consensus.Hash { return e.Children })
			}},
		{"estimatesmartfee", "Util", []param{
			need("conf_target", kindInt, "blocks to wait at most, 1 to 1008"),
			option("estimate_mode", kindString, "economical", "ignored"),
		}, "The fee rate with which a payment is confirmed within so many blocks, if nothing better paid comes in: what the waiting transactions leave room for.", "An object: feerate (coins per 1000 virtual bytes), blocks.", estimateSmartFee},
	}
}

func getMempoolInfo(c *call) (any, error) {
	m := c.b.Mempool()
	return struct {
		Loaded      bool   `json:"loaded"`
		Size        int    `json:"size"`
		Bytes       int64  `json:"bytes"`
		Usage       int64  `json:"usage"`
		TotalFee    Amount `json:"total_fee"`
		Max         int64  `json:"maxmempool"`
		MinFee      Amount `json:"mempoolminfee"`
		MinRelay    Amount `json:"minrelaytxfee"`
		Incremental Amount `json:"incrementalrelayfee"`
		Unbroadcast int    `json:"unbroadcastcount"`
		FullRBF     bool   `json:"fullrbf"`
	}{true, m.Txs, m.VSize, m.Usage, Amount(m.TotalFee), m.MaxUsage, Amount(m.MinFeeRate), Amount(m.MinRelayFee), Amount(m.MinRelayFee), 0, false}, nil
}

type entryFees struct {
	Base       Amount `json:"base"`
	Modified   Amount `json:"modified"`
	Ancestor   Amount `json:"ancestor"`
	Descendant Amount `json:"descendant"`
}

type entryJSON struct {
	VSize           int              `json:"vsize"`
	Weight          int              `json:"weight"`
	Time            int64            `json:"time"`
	Height          uint32           `json:"height"`
	DescendantCount int              `json:"descendantcount"`
	DescendantSize  int64            `json:"descendantsize"`
	AncestorCount   int              `json:"ancestorcount"`
	AncestorSize    int64            `json:"ancestorsize"`
	WTxID           consensus.Hash   `json:"wtxid"`
	Fees            entryFees        `json:"fees"`
	Depends         []consensus.Hash `json:"depends"`
	SpentBy         []consensus.Hash `json:"spentby"`
	Replaceable     bool             `json:"bip125-replaceable"`
	Unbroadcast     bool             `json:"unbroadcast"`
}

func renderEntry(e *MempoolEntry) entryJSON {
	return entryJSON{
		VSize: e.VSize, Weight: e.Weight, Time: e.Time.Unix(), Height: e.Height,
		DescendantCount: e.Descendants.Count, DescendantSize: e.Descendants.VSize,
		AncestorCount: e.Ancestors.Count, AncestorSize: e.Ancestors.VSize, WTxID: e.WTxID,
		Fees:    entryFees{Amount(e.Fee), Amount(e.Fee), Amount(e.Ancestors.Fees), Amount(e.Descendants.Fees)},
		Depends: orEmpty(e.Parents), SpentBy: orEmpty(e.Children),
	}
}

func getRawMempool(c *call) (any, error) {
	if c.flag(0) && c.flag(1) {
		return nil, fail(CodeInvalidParameter, "Verbose results cannot contain mempool sequence values.")
	}
	sequence := c.b.Mempool().Sequence
	txs := c.b.MempoolTxs()
	if c.flag(0) {
		entries := make(map[string]entryJSON, len(txs))
		for i := range txs {
			if entry, ok := c.b.MempoolEntry(txs[i].TxID); ok {
				entries[entry.TxID.String()] = renderEntry(&entry)
			}
		}
		return entries, nil
	}
	ids := make([]consensus.Hash, len(txs))
	for i := range txs {
		ids[i] = txs[i].TxID
	}
	if !c.flag(1) {
		return ids, nil
	}
	return struct {
		IDs      []consensus.Hash `json:"txids"`
		Sequence uint64           `json:"mempool_sequence"`
	}{ids, sequence}, nil
}

func (c *call) mempoolEntry() (MempoolEntry, error) {
	entry, ok := c.b.MempoolEntry(c.hash(0))
	if !ok {
		return entry, fail(CodeAddressOrKey, "Transaction not in mempool")
	}
	return entry, nil
}

func getMempoolEntry(c *call) (any, error) {
	entry, err := c.mempoolEntry()
	if err != nil {
		return nil, err
	}
	return renderEntry(&entry), nil
}

// maxRelatives bounds a walk through the pool; clusters hold 64 transactions.
const maxRelatives = 1000

// relatives walks from the transaction of parameter 0 in one direction.
func (c *call) relatives(next func(*MempoolEntry) []consensus.Hash) (any, error) {
	entry, err := c.mempoolEntry()
	if err != nil {
		return nil, err
	}
	order, found := []consensus.Hash{}, make(map[string]entryJSON)
	for queue := next(&entry); len(queue) > 0 && len(order) < maxRelatives; queue = queue[1:] {
		if slices.Contains(order, queue[0]) {
			continue
		}
		if relative, ok := c.b.MempoolEntry(queue[0]); ok {
			order = append(order, relative.TxID)
			found[relative.TxID.String()] = renderEntry(&relative)
			queue = append(queue, next(&relative)...)
		}
	}
	if c.flag(1) {
		return found, nil
	}
	return order, nil
}

// maxConfTarget bounds estimates, in blocks, as in Core.
const maxConfTarget = 1008

func estimateSmartFee(c *call) (any, error) {
	target := c.num(0)
	if target < 1 || target > maxConfTarget {
		return nil, fail(CodeInvalidParameter, "Invalid conf_target, must be between 1 and %d", maxConfTarget)
	}
	info := c.b.Mempool()
	rate := max(info.MinFeeRate, info.MinRelayFee)
	txs := slices.Clone(c.b.MempoolTxs())
	slices.SortFunc(txs, func(a, b MempoolTx) int {
		return cmp.Compare(b.Fee*int64(a.VSize), a.Fee*int64(b.VSize)) // best rate first
	})
	room := target * int64(c.b.Params().MaxWeight)
	for i := range txs {
		if room -= int64(txs[i].Weight); room < 0 {
			// Just above the first that does not fit any more.
			rate = max(rate, txs[i].Fee*1000/int64(txs[i].VSize)+1)
			break
		}
	}
	return struct {
		FeeRate Amount `json:"feerate"`
		Blocks  int64  `json:"blocks"`
	}{Amount(rate), target}, nil
}
