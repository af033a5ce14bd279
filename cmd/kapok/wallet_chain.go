package main

import (
	"context"
	"errors"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/wallet"
)

// walletChain is the chain as a wallet sees it: through a node's RPC server.
// Addresses go there, keys never do.
type walletChain struct {
	client *rpc.Client
	params *consensus.Params
}

var _ wallet.Chain = walletChain{}

// Tip makes sure that the node is of the wallet's network.
func (c walletChain) Tip(ctx context.Context) (wallet.Tip, error) {
	info, err := c.client.Chain(ctx)
	if err != nil {
		return wallet.Tip{}, err
	}
	if info.Genesis != c.params.GenesisHash() {
		return wallet.Tip{}, errors.New("the node is of network " + info.Network + ", the wallet of network " + c.params.Name +
			": choose the network with --network, or the node with --rpc")
	}
	return wallet.Tip{Height: info.Height, Hash: info.Tip}, nil
}

func (c walletChain) Coins(ctx context.Context, addresses []string) ([]wallet.Coin, error) {
	confirmed, err := c.client.AddressUTXOs(ctx, addresses)
	if err != nil {
		return nil, err
	}
	waiting, err := c.client.AddressMempool(ctx, addresses)
	if err != nil {
		return nil, err
	}
	coins := make([]wallet.Coin, 0, len(confirmed))
	for _, u := range confirmed {
		coins = append(coins, wallet.Coin{
			OutPoint: consensus.OutPoint{TxID: u.TxID, Index: u.Index}, Address: u.Address, Value: u.Value,
			Height: u.Height, Coinbase: u.Coinbase, Spending: u.SpentIn != nil,
		})
	}
	spent := make(map[consensus.OutPoint]bool)
	for _, d := range waiting {
		if d.PrevTxID != nil && d.PrevOut != nil {
			spent[consensus.OutPoint{TxID: *d.PrevTxID, Index: *d.PrevOut}] = true
		}
	}
	for _, d := range waiting {
		if d.PrevTxID == nil {
			op := consensus.OutPoint{TxID: d.TxID, Index: d.Index}
			coins = append(coins, wallet.Coin{OutPoint: op, Address: d.Address, Value: d.Value, Spending: spent[op]})
		}
	}
	return coins, nil
}

func (c walletChain) History(ctx context.Context, addresses []string) ([]wallet.Movement, error) {
	confirmed, err := c.client.AddressHistory(ctx, addresses)
	if err != nil {
		return nil, err
	}
	waiting, err := c.client.AddressMempool(ctx, addresses)
	if err != nil {
		return nil, err
	}
	impossible, err := c.client.AddressConflicts(ctx, addresses)
	if err != nil {
		return nil, err
	}
	moves := make([]wallet.Movement, 0, len(confirmed)+len(waiting)+len(impossible))
	for _, e := range confirmed {
		moves = append(moves, wallet.Movement{
			Address: e.Address, TxID: e.TxID, Value: e.Value, Height: e.Height, Position: e.TxPos, Coinbase: e.Coinbase && !e.Spend,
		})
	}
	for _, d := range waiting {
		moves = append(moves, wallet.Movement{Address: d.Address, TxID: d.TxID, Value: d.Value})
	}
	for _, d := range impossible {
		moves = append(moves, wallet.Movement{Address: d.Address, TxID: d.TxID, Value: d.Value, Conflict: *d.Conflict})
	}
	return moves, nil
}

func (c walletChain) Details(ctx context.Context, txids []consensus.Hash) ([]wallet.Details, error) {
	found, err := c.client.Transactions(ctx, txids)
	if err != nil {
		return nil, err
	}
	details := make([]wallet.Details, len(found))
	for i, tx := range found {
		d := wallet.Details{TxID: tx.TxID, Time: tx.Time, Fee: -1}
		if tx.Fee != nil {
			d.Fee = int64(*tx.Fee)
		}
		for _, in := range tx.Inputs {
			if in.Prevout != nil {
				d.Inputs = append(d.Inputs, wallet.End{Address: in.Prevout.Script.Address, Value: int64(in.Prevout.Value)})
			}
		}
		for _, out := range tx.Outputs {
			if to := out.Script.Address; to != "" {
				d.Outputs = append(d.Outputs, wallet.End{Address: to, Value: int64(out.Value)})
			}
		}
		details[i] = d
	}
	return details, nil
}

// confirmTarget is within how many blocks a payment is meant to be confirmed.
const confirmTarget = 2

func (c walletChain) FeeRate(ctx context.Context) (wallet.FeeRate, error) {
	perKVB, err := c.client.FeeRate(ctx, confirmTarget)
	return wallet.FeeRate(perKVB), err
}

func (c walletChain) Send(ctx context.Context, tx *consensus.Tx) error {
	_, err := c.client.Send(ctx, tx)
	return err
}
