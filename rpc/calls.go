package rpc

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// ChainInfo is the part of getblockchaininfo that programs follow.
type ChainInfo struct {
	Network    string         `json:"kapok_network"`
	Genesis    consensus.Hash `json:"kapok_genesis"`
	HRP        string         `json:"kapok_hrp"`
	Height     uint32         `json:"blocks"`
	Headers    uint32         `json:"headers"`
	Tip        consensus.Hash `json:"bestblockhash"`
	Difficulty float64        `json:"difficulty"`
	Time       uint32         `json:"time"` // of the tip, Unix seconds
	Syncing    bool           `json:"initialblockdownload"`
	Warnings   []string       `json:"warnings"`
}

// Chain returns the state of the chain.
func (c *Client) Chain(ctx context.Context) (info ChainInfo, err error) {
	err = c.Call(ctx, "getblockchaininfo", &info)
	return info, err
}

// WaitHeight waits until the tip has a height, or for so long at most, and
// returns the tip then.
func (c *Client) WaitHeight(ctx context.Context, height uint32, limit time.Duration) (tip consensus.Hash, at uint32, err error) {
	var result struct {
		Hash   consensus.Hash `json:"hash"`
		Height uint32         `json:"height"`
	}
	err = c.Call(ctx, "waitforblockheight", &result, height, max(1, limit.Milliseconds()))
	return result.Hash, result.Height, err
}

// Send puts a transaction into the node's mempool.
func (c *Client) Send(ctx context.Context, tx *consensus.Tx) (txid consensus.Hash, err error) {
	err = c.Call(ctx, "sendrawtransaction", &txid, hex.EncodeToString(tx.Bytes()))
	return txid, err
}

// FeeRate estimates what a payment should offer to be confirmed within so many
// blocks, in units per 1000 virtual bytes.
func (c *Client) FeeRate(ctx context.Context, blocks int) (perKVB int64, err error) {
	var result struct {
		FeeRate Amount `json:"feerate"`
	}
	err = c.Call(ctx, "estimatesmartfee", &result, blocks)
	return int64(result.FeeRate), err
}

type addressList struct {
	Addresses []string `json:"addresses"`
}

// AddressUTXOs returns the confirmed coins of at most 1000 addresses.
func (c *Client) AddressUTXOs(ctx context.Context, addresses []string) (coins []AddressUTXO, err error) {
	if len(addresses) > 0 {
		err = c.Call(ctx, "getaddressutxos", &coins, addressList{addresses})
	}
	return coins, err
}

// AddressMempool returns what waits for at most 1000 addresses.
func (c *Client) AddressMempool(ctx context.Context, addresses []string) (deltas []AddressDelta, err error) {
	if len(addresses) > 0 {
		err = c.Call(ctx, "getaddressmempool", &deltas, addressList{addresses})
	}
	return deltas, err
}

// AddressConflicts returns what became impossible, while it waited, for at most 1000
// addresses.
func (c *Client) AddressConflicts(ctx context.Context, addresses []string) (deltas []AddressDelta, err error) {
	if len(addresses) > 0 {
		err = c.Call(ctx, "getaddressconflicts", &deltas, addressList{addresses})
	}
	return deltas, err
}

// AddressHistory returns everything that came to addresses and left them in the
// chain: for each address in chain order. It asks for all of them at once, and
// again for those with more than a page.
func (c *Client) AddressHistory(ctx context.Context, addresses []string) ([]AddressEvent, error) {
	requests := make([]Request, len(addresses))
	for i, a := range addresses {
		requests[i] = Request{"getaddresshistory", []any{a, nil, historyPage}}
	}
	var events []AddressEvent
	for len(requests) > 0 {
		var more []Request
		err := c.Batch(ctx, requests, func(i int, answer json.RawMessage, failure *Error) error {
			if failure != nil {
				return failure
			}
			var page AddressHistory
			if err := json.Unmarshal(answer, &page); err != nil {
				return fmt.Errorf("rpc getaddresshistory: %w", err)
			}
			if page.Next != nil {
				more = append(more, Request{"getaddresshistory", []any{requests[i].Params[0], page.Next, historyPage}})
			}
			events = append(events, page.Entries...)
			return nil
		})
		if err != nil {
			return nil, err
		}
		requests = more
	}
	return events, nil
}

// TxDetails is a transaction with what it spends. TxID is zero where the node
// does not have it (any more).
type TxDetails struct {
	TxID          consensus.Hash `json:"txid"`
	VSize         int            `json:"vsize"`
	Time          int64          `json:"time"` // of its block, or of its arrival; Unix seconds
	Fee           *Amount        `json:"fee"`  // nil where it is not known
	Confirmations int64          `json:"confirmations"`
	BlockHash     consensus.Hash `json:"blockhash"`
	Inputs        []struct {
		Coinbase string         `json:"coinbase"` // "" but in a coinbase
		TxID     consensus.Hash `json:"txid"`
		Index    uint32         `json:"vout"`
		Prevout  *TxEnd         `json:"prevout"` // nil where it is not known
	} `json:"vin"`
	Outputs []TxEnd `json:"vout"`
}

// TxEnd is an output, spent or created.
type TxEnd struct {
	Value  Amount `json:"value"`
	Script struct {
		Address string `json:"address"` // "" for data
		Hex     string `json:"hex"`
	} `json:"scriptPubKey"`
}

// Transactions returns the details of transactions, in the order asked for.
func (c *Client) Transactions(ctx context.Context, txids []consensus.Hash) ([]TxDetails, error) {
	requests := make([]Request, len(txids))
	for i, txid := range txids {
		requests[i] = Request{"getrawtransaction", []any{txid, 2}}
	}
	details := make([]TxDetails, len(txids))
	err := c.Batch(ctx, requests, func(i int, answer json.RawMessage, failure *Error) error {
		if failure != nil && failure.Code == CodeAddressOrKey {
			return nil
		}
		if failure != nil {
			return failure
		}
		if err := json.Unmarshal(answer, &details[i]); err != nil {
			return fmt.Errorf("rpc getrawtransaction: %w", err)
		}
		return nil
	})
	return details, err
}

// BlockTemplate asks for work. With the id of earlier work it waits until that
// is outdated. The template has no Coinbase: whoever mines pays himself.
func (c *Client) BlockTemplate(ctx context.Context, longPollID string) (t *Template, id string, err error) {
	request := map[string]any{"rules": []string{"segwit"}}
	if longPollID != "" {
		request["longpollid"] = longPollID
	}
	var j templateJSON
	if err := c.Call(ctx, "getblocktemplate", &j, request); err != nil {
		return nil, "", err
	}
	bits, err := strconv.ParseUint(j.Bits, 16, 32)
	if err != nil {
		return nil, "", fmt.Errorf("rpc getblocktemplate: bits: %w", err)
	}
	t = &Template{
		Height: j.Height, Parent: j.Prev, Version: j.Version, Bits: uint32(bits), Time: j.Time, MinTime: j.MinTime,
		CoinbaseValue: j.CoinbaseValue,
	}
	if t.Commitment, err = hex.DecodeString(j.Commitment); err != nil {
		return nil, "", fmt.Errorf("rpc getblocktemplate: commitment: %w", err)
	}
	for i := range j.Txs {
		var tx *consensus.Tx
		raw, err := hex.DecodeString(j.Txs[i].Data)
		if err == nil {
			tx, err = consensus.DecodeTx(raw)
		}
		if err != nil {
			return nil, "", fmt.Errorf("rpc getblocktemplate: transaction %d: %w", i, err)
		}
		t.Txs, t.Fees = append(t.Txs, tx), append(t.Fees, j.Txs[i].Fee)
	}
	return t, j.LongPollID, nil
}

// SubmitBlock hands a block in. The reason is "" where it became the tip, else
// BIP22's: "inconclusive", "duplicate", or the code of a rule.
func (c *Client) SubmitBlock(ctx context.Context, block *consensus.Block) (reason string, err error) {
	err = c.Call(ctx, "submitblock", &reason, hex.EncodeToString(block.Bytes()))
	return reason, err
}
