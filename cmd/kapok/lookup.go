package main

import (
	"context"
	"errors"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

// place is where a transaction is confirmed: height 0 where it is not.
type place struct {
	block  string
	height uint32
}

// confirmationOf asks a node for the block that holds a transaction.
func confirmationOf(ctx context.Context, client *rpc.Client, txid consensus.Hash) (place, error) {
	var tx struct {
		BlockHash string `json:"blockhash"`
	}
	if err := client.Call(ctx, "getrawtransaction", &tx, txid.String(), 1); err != nil || tx.BlockHash == "" {
		return place{}, err
	}
	var header struct {
		Height        uint32 `json:"height"`
		Confirmations int64  `json:"confirmations"`
	}
	if err := client.Call(ctx, "getblockheader", &header, tx.BlockHash); err != nil || header.Confirmations < 1 {
		return place{}, err
	}
	return place{tx.BlockHash, header.Height}, nil
}

// coinsAt is a node's coin sum at one tip.
type coinsAt struct {
	BestBlock string `json:"bestblock"`
	Height    uint32 `json:"height"`
	Count     uint64 `json:"txouts"`
	Sum       string `json:"coin_sum"`
}

// coinsOf asks a node for its coin sum.
func coinsOf(ctx context.Context, client *rpc.Client) (at coinsAt, err error) {
	err = client.Call(ctx, "gettxoutsetinfo", &at)
	if err == nil && at.Sum == "" {
		err = errors.New("the node states no coin sum")
	}
	return at, err
}
