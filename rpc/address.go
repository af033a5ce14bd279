package rpc

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Bounds of the methods on addresses.
const (
	maxAddresses   = 1000      // per call; a wallet asks for gap limits of 20 at a time
	historyPage    = 1000      // events read at a time, and the most that one call answers
	maxKeyEvents   = 1_000_000 // events read per call
	maxKeyCoins    = 50_000    // coins answered per call
	defaultHistory = 100       // events
)

func addressMethods() []method {
	const group = "Addressindex"
	query := need("addresses", kindQuery, `{"addresses": [address, …]} with at most 1000 of them, or one address`)
	return []method{
		{"getaddressutxos", group, []param{query}, "Unspent confirmed coins of addresses, oldest first for each.",
			"An array of {address, txid, outputIndex, script, satoshis, height, coinbase, confirmations, spent_in_mempool (the txid that spends it, where one waits)}.", getAddressUTXOs},
		{"getaddressbalance", group, []param{query}, "Confirmed balance of addresses.", "An object in units: balance, received.", getAddressBalance},
		{"getaddresshistory", group, []param{
			need("address", kindKey, "the address"),
			option("after", kindObject, nil, "next of the previous page; the beginning by default"),
			option("limit", kindInt, int64(defaultHistory), "events at most, 1 to 1000"),
		}, "What came to an address and left it, in chain order. A reorganisation may change pages already read: compare blockhash.",
			"An object: entries [{address, txid, blockhash, height, tx_pos, time, satoshis (negative when it left), index, spend, coinbase, confirmations, prevtxid, prevout}] and next, null after the last page.", getAddressHistory},
		{"getaddresstxids", group, []param{query}, "Confirmed transactions of addresses, in chain order.", "An array of txids.", getAddressTxIDs},
		{"getaddressmempool", group, []param{query}, "What waiting transactions bring to addresses and take from them.",
			"An array of {address, txid, index, satoshis (negative when it leaves), timestamp, fee, vsize, and for what leaves prevtxid and prevout}.", getAddressMempool},
		{"getaddressconflicts", group, []param{query}, "What transactions would have brought to addresses and taken from them that waited until a block held another one that spends the same coin. Those that this node saw itself, the last ones, until it stops.",
			"An array of objects as of getaddressmempool, with conflictswith: the txid in the block.", getAddressConflicts},
	}
}

// addressQuery is a list of addresses with their keys, in the order given.
type addressQuery struct {
	keys  [][consensus.KeySize]byte
	names map[[consensus.KeySize]byte]string
}

func parseAddressQuery(p *consensus.Params, raw json.RawMessage) (any, error) {
	var query struct {
		Addresses []string `json:"addresses"`
	}
	var single string
	if json.Unmarshal(raw, &single) == nil {
		query.Addresses = []string{single}
	} else if err := json.Unmarshal(raw, &query); err != nil {
		return nil, fail(CodeType, `addresses: {"addresses": [address, …]} is expected`)
	}
	if n := len(query.Addresses); n < 1 || n > maxAddresses {
		return nil, fail(CodeInvalidParameter, "between 1 and %d addresses are expected, not %d", maxAddresses, n)
	}
	q := addressQuery{names: make(map[[consensus.KeySize]byte]string)}
	for _, text := range query.Addresses {
		key, err := parseAddress(p, text)
		if err != nil {
			return nil, err
		}
		if _, twice := q.names[key]; !twice {
			q.keys = append(q.keys, key)
			q.names[key] = address.Encode(p.HRP, key)
		}
	}
	return q, nil
}

func (c *call) query() addressQuery { return arg[addressQuery](c, 0) }

var errKeyEvents = errors.New("too many events")

// eachEvent visits the history of all keys asked for, key by key.
func (c *call) eachEvent(visit func(key [consensus.KeySize]byte, e *HistoryEntry) error) error {
	seen := 0
	for _, key := range c.query().keys {
		for after, more := (Cursor{}), true; more; {
			page, err := c.b.History(key, after, historyPage)
			if err != nil {
				return err
			}
			for i := range page {
				if err := visit(key, &page[i]); err != nil {
					return err
				}
			}
			if seen += len(page); seen > maxKeyEvents {
				return errKeyEvents
			}
			if more = len(page) == historyPage; more {
				after = page[len(page)-1].Cursor()
			}
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyError explains the bounds of eachEvent's visitors.
func keyError(err error) error {
	if errors.Is(err, errKeyEvents) {
		return fail(CodeInvalidParameter, "these addresses have too many events for one answer: ask for fewer addresses at a time, or page through getaddresshistory")
	}
	return err
}

// AddressUTXO is an unspent confirmed coin of an address.
type AddressUTXO struct {
	Address       string          `json:"address"`
	TxID          consensus.Hash  `json:"txid"`
	Index         uint32          `json:"outputIndex"`
	Script        string          `json:"script"`
	Value         int64           `json:"satoshis"` // units
	Height        uint32          `json:"height"`
	Coinbase      bool            `json:"coinbase"`
	Confirmations int64           `json:"confirmations"`
	SpentIn       *consensus.Hash `json:"spent_in_mempool,omitempty"`
}

func getAddressUTXOs(c *call) (any, error) {
	names, coins, err := c.query().names, []AddressUTXO{}, error(nil)
	open := make(map[consensus.OutPoint]int) // place in coins
	tip := int64(c.b.Chain().Tip.Height)
	err = c.eachEvent(func(key [consensus.KeySize]byte, e *HistoryEntry) error {
		if e.Spend {
			if i, ok := open[e.OutPoint]; ok {
				coins[i].Value = -1 // taken out below
				delete(open, e.OutPoint)
			}
			return nil
		}
		if len(open) == maxKeyCoins {
			return errKeyEvents
		}
		open[e.OutPoint] = len(coins)
		coins = append(coins, AddressUTXO{
			Address: names[key], TxID: e.OutPoint.TxID, Index: e.OutPoint.Index, Script: hex.EncodeToString(consensus.PayToKey(key)),
			Value: e.Value, Height: e.Height, Coinbase: e.Coinbase, Confirmations: max(1, tip-int64(e.Height)+1),
		})
		return nil
	})
	if err != nil {
		return nil, keyError(err)
	}
	coins = slices.DeleteFunc(coins, func(u AddressUTXO) bool { return u.Value < 0 })
	for i := range coins {
		if txid, ok := c.b.MempoolSpender(consensus.OutPoint{TxID: coins[i].TxID, Index: coins[i].Index}); ok {
			coins[i].SpentIn = &txid
		}
	}
	return coins, nil
}

func getAddressBalance(c *call) (any, error) {
	var balance, received int64
	err := c.eachEvent(func(_ [consensus.KeySize]byte, e *HistoryEntry) error {
		if e.Spend {
			balance -= e.Value
		} else {
			balance, received = balance+e.Value, received+e.Value
		}
		return nil
	})
	if err != nil {
		return nil, keyError(err)
	}
	return struct {
		Balance  int64 `json:"balance"`
		Received int64 `json:"received"`
	}{balance, received}, nil
}

// AddressEvent is a coin that came to an address, or left it.
type AddressEvent struct {
	Address       string         `json:"address"`
	TxID          consensus.Hash `json:"txid"`
	BlockHash     consensus.Hash `json:"blockhash"`
	Height        uint32         `json:"height"`
	TxPos         uint32         `json:"tx_pos"`   // of the transaction in the block, 0 is the coinbase
	Time          uint32         `json:"time"`     // of the block, Unix seconds
	Value         int64          `json:"satoshis"` // units; negative when it left
	Index         uint32         `json:"index"`    // of the output, or of the input that spends
	Spend         bool           `json:"spend"`
	Coinbase      bool           `json:"coinbase"` // the coin is a miner's reward
	Confirmations int64          `json:"confirmations"`
	PrevTxID      consensus.Hash `json:"prevtxid"` // of the coin
	PrevOut       uint32         `json:"prevout"`
}

// AddressHistory is a page of events. Next is where the following page begins.
type AddressHistory struct {
	Entries []AddressEvent `json:"entries"`
	Next    *Cursor        `json:"next"`
}

func getAddressHistory(c *call) (any, error) {
	var after Cursor
	if c.has(1) {
		raw, err := json.Marshal(c.object(1))
		if err == nil {
			err = json.Unmarshal(raw, &after)
		}
		if err != nil {
			return nil, fail(CodeInvalidParameter, "after must be the next of another answer")
		}
	}
	limit := c.num(2)
	if limit < 1 || limit > historyPage {
		return nil, fail(CodeInvalidParameter, "limit must be between 1 and %d", historyPage)
	}
	page, err := c.b.History(c.key(0), after, int(limit))
	if err != nil {
		return nil, err
	}
	result := AddressHistory{Entries: make([]AddressEvent, 0, len(page))}
	for i := range page {
		e := &page[i]
		block, ok := c.b.BlockAt(e.Height)
		if !ok {
			break // the chain became shorter meanwhile
		}
		event := AddressEvent{
			Address: renderAddress(c.b.Params(), c.key(0)), TxID: e.TxID, BlockHash: block.Hash, Height: e.Height, TxPos: e.TxPos, Time: block.Header.Time,
			Value: e.Value, Index: e.N, Spend: e.Spend,
			Coinbase: e.Coinbase, Confirmations: c.confirmations(&block), PrevTxID: e.OutPoint.TxID, PrevOut: e.OutPoint.Index,
		}
		if e.Spend {
			event.Value = -e.Value
		}
		result.Entries = append(result.Entries, event)
	}
	if int64(len(page)) == limit {
		next := page[len(page)-1].Cursor()
		result.Next = &next
	}
	return result, nil
}

func getAddressTxIDs(c *call) (any, error) {
	var events []HistoryEntry
	err := c.eachEvent(func(_ [consensus.KeySize]byte, e *HistoryEntry) error {
		if n := len(events); n > 0 && events[n-1].TxID == e.TxID {
			return nil
		}
		if len(events) == maxKeyCoins {
			return errKeyEvents
		}
		events = append(events, *e)
		return nil
	})
	if err != nil {
		return nil, keyError(err)
	}
	slices.SortStableFunc(events, func(a, b HistoryEntry) int {
		if a.Height != b.Height {
			return int(int64(a.Height) - int64(b.Height))
		}
		return int(int64(a.TxPos) - int64(b.TxPos))
	})
	ids := []consensus.Hash{}
	for i := range events {
		if n := len(ids); n == 0 || ids[n-1] != events[i].TxID {
			ids = append(ids, events[i].TxID)
		}
	}
	return ids, nil
}

// AddressDelta is what a waiting transaction brings to an address, or takes.
type AddressDelta struct {
	Address  string          `json:"address"`
	TxID     consensus.Hash  `json:"txid"`
	Index    uint32          `json:"index"`     // of the output, or of the input that spends
	Value    int64           `json:"satoshis"`  // units; negative when it leaves
	Time     int64           `json:"timestamp"` // of entry, Unix seconds
	Fee      int64           `json:"fee"`       // units, of the transaction
	VSize    int             `json:"vsize"`     // virtual bytes, of the transaction
	PrevTxID *consensus.Hash `json:"prevtxid,omitempty"`
	PrevOut  *uint32         `json:"prevout,omitempty"`
	Conflict *consensus.Hash `json:"conflictswith,omitempty"` // txid in a block; of getaddressconflicts
}

func getAddressMempool(c *call) (any, error) {
	names, deltas := c.query().names, []AddressDelta{}
	txs := c.b.MempoolTxs()
	for i := range txs {
		if deltas = appendDeltas(deltas, names, &txs[i], nil); len(deltas) > maxKeyCoins {
			return nil, keyError(errKeyEvents)
		}
	}
	return deltas, nil
}

func getAddressConflicts(c *call) (any, error) {
	names, deltas := c.query().names, []AddressDelta{}
	conflicts := c.b.Conflicts()
	for i := range conflicts {
		if deltas = appendDeltas(deltas, names, &conflicts[i].MempoolTx, &conflicts[i].By); len(deltas) > maxKeyCoins {
			return nil, keyError(errKeyEvents)
		}
	}
	return deltas, nil
}

// appendDeltas appends what a transaction means to the owners of addresses, and what
// contradicts it, if anything does.
func appendDeltas(deltas []AddressDelta, names map[[consensus.KeySize]byte]string, m *MempoolTx, conflict *consensus.Hash) []AddressDelta {
	delta := AddressDelta{TxID: m.TxID, Time: m.Time.Unix(), Fee: m.Fee, VSize: m.VSize, Conflict: conflict}
	for n, coin := range m.Coins {
		if name, ok := names[coin.Key]; ok && n < len(m.Tx.Inputs) {
			d, prev := delta, m.Tx.Inputs[n].PrevOut
			d.Address, d.Index, d.Value, d.PrevTxID, d.PrevOut = name, uint32(n), -coin.Value, &prev.TxID, &prev.Index
			deltas = append(deltas, d)
		}
	}
	for n, out := range m.Tx.Outputs {
		key, ok := consensus.OutputKey(out.Script)
		if name, mine := names[key]; ok && mine {
			d := delta
			d.Address, d.Index, d.Value = name, uint32(n), out.Value
			deltas = append(deltas, d)
		}
	}
	return deltas
}
