package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
)

// paidChain makes a chain of blocks with payments, for a node to be measured with: each
// payment spends one coin and makes two, all by BIP340 signatures of keys that differ.
type paidChain struct {
	params *consensus.Params
	tip    *consensus.BlockIndex
	keys   []loadKey
	coins  []loadCoin // that are to be spent next
	blocks []*consensus.Block
}

type loadKey struct {
	private *btcec.PrivateKey
	script  []byte
}

type loadCoin struct {
	at  consensus.OutPoint
	out consensus.TxOut
	key int // of paidChain.keys
}

const (
	loadKeys  = 500  // enough that no cache is of use
	loadFee   = 1000 // units a payment: above the least relay fee
	loadPaid  = 1000 // units that a payment pays; the rest is change
	loadFanTx = 2000 // outputs of a transaction that makes coins
)

// newPaidChain makes a chain whose coins are enough for so many payments in each block.
func newPaidChain(params *consensus.Params, payments int) (*paidChain, error) {
	c := &paidChain{params: params, tip: consensus.NewTree(params).Genesis()}
	for i := range loadKeys {
		var secret [32]byte
		binary.BigEndian.PutUint32(secret[28:], uint32(i+1))
		private, public := btcec.PrivKeyFromBytes(secret[:])
		c.keys = append(c.keys, loadKey{private, consensus.PayToKey([32]byte(schnorr.SerializePubKey(public)))})
	}
	fans := (payments + loadFanTx - 1) / loadFanTx
	for range int(params.Maturity) + fans { // a coinbase for each fan, and time for them to mature
		if err := c.mine(nil); err != nil {
			return nil, err
		}
	}
	var txs []*consensus.Tx // of the next block
	weight := 0
	for i := range fans {
		coinbase := c.blocks[i].Txs[0]
		coin := loadCoin{consensus.OutPoint{TxID: coinbase.TxID()}, coinbase.Outputs[0], 0}
		n := min(loadFanTx, payments-i*loadFanTx)
		outs := make([]consensus.TxOut, n)
		for j := range outs {
			key := (i*loadFanTx + j) % loadKeys
			outs[j] = consensus.TxOut{Value: (coin.out.Value - int64(n)*loadFee) / int64(n), Script: c.keys[key].script}
		}
		tx, err := c.spend(coin, outs)
		if err != nil {
			return nil, err
		}
		if weight += tx.Weight(); weight > miner.Room(params) {
			if err := c.mine(txs); err != nil {
				return nil, err
			}
			txs, weight = nil, tx.Weight()
		}
		txs = append(txs, tx)
		txid := tx.TxID()
		for j := range outs {
			c.coins = append(c.coins, loadCoin{consensus.OutPoint{TxID: txid, Index: uint32(j)}, outs[j], (i*loadFanTx + j) % loadKeys})
		}
	}
	return c, c.mine(txs)
}

// pay makes a block of payments, one by each coin.
func (c *paidChain) pay() error {
	txs, err := c.payments()
	if err != nil {
		return err
	}
	return c.mine(txs)
}

// payments makes payments, one by each coin.
func (c *paidChain) payments() ([]*consensus.Tx, error) {
	txs := make([]*consensus.Tx, len(c.coins))
	for i := range c.coins {
		coin := &c.coins[i]
		key := (coin.key + 1) % loadKeys
		outs := []consensus.TxOut{
			{Value: loadPaid, Script: c.keys[coin.key].script},
			{Value: coin.out.Value - loadPaid - loadFee, Script: c.keys[key].script},
		}
		tx, err := c.spend(*coin, outs)
		if err != nil {
			return nil, err
		}
		txs[i] = tx
		*coin = loadCoin{consensus.OutPoint{TxID: tx.TxID(), Index: 1}, outs[1], key}
	}
	return txs, nil
}

// spend makes a transaction that is signed.
func (c *paidChain) spend(coin loadCoin, outs []consensus.TxOut) (*consensus.Tx, error) {
	tx := &consensus.Tx{Version: 2, Inputs: []consensus.TxIn{{PrevOut: coin.at, Sequence: 0xffffffff}}, Outputs: outs}
	message, err := consensus.SigHash(tx, 0, []consensus.TxOut{coin.out}, consensus.SigHashDefault)
	if err != nil {
		return nil, err
	}
	signature, err := schnorr.Sign(c.keys[coin.key].private, message[:], schnorr.FastSign())
	if err != nil {
		return nil, err
	}
	tx.Inputs[0].Witness = [][]byte{signature.Serialize()}
	return tx, nil
}

// mine makes the next block.
func (c *paidChain) mine(txs []*consensus.Tx) error {
	fees := make([]int64, len(txs))
	for i := range fees {
		fees[i] = loadFee
	}
	now := time.Unix(int64(c.params.GenesisTime), 0).Add(time.Duration(c.tip.Height+1) * time.Second)
	template, err := miner.NewTemplate(c.params, c.tip, now, txs, fees)
	if err != nil {
		return fmt.Errorf("a block of %d payments: %w", len(txs), err)
	}
	block := template.Block(c.keys[0].script, 0, "")
	if !miner.Solve(block, sha256d.Best()) {
		return errors.New("no nonce solves a block")
	}
	c.tip = c.tip.Child(&block.Header)
	c.blocks = append(c.blocks, block)
	return nil
}
