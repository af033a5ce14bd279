package node

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/explorer"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// pages answers the explorer from a running node.
type pages struct {
	*Service
}

var _ explorer.Backend = pages{}

func (p pages) Params() *consensus.Params { return p.params }

func (p pages) Now() time.Time { return p.Runner.timer() }

func (p pages) Tip() (block explorer.Block) {
	p.look(func(n *Node) { block = pageBlock(n, n.tree.Tip()) })
	return block
}

func pageBlock(n *Node, index *consensus.BlockIndex) explorer.Block {
	info := blockInfo(n, index)
	return explorer.Block{
		Hash: info.Hash, Header: info.Header, Height: info.Height, Work: info.Work,
		TxCount: info.TxCount, Next: info.Next, Active: info.Active,
	}
}

func (p pages) BlockAt(height uint32) (block explorer.Block, ok bool) {
	p.look(func(n *Node) {
		if index := n.tree.At(height); index != nil {
			block, ok = pageBlock(n, index), true
		}
	})
	return block, ok
}

func (p pages) BlockByHash(hash consensus.Hash) (block explorer.Block, ok bool) {
	p.look(func(n *Node) {
		if index := n.tree.Lookup(hash); index != nil {
			block, ok = pageBlock(n, index), true
		}
	})
	return block, ok
}

func (p pages) Body(hash consensus.Hash) (*consensus.Block, error) {
	block, err := p.store.Block(hash)
	if errors.Is(err, storage.ErrNotFound) && errors.Is(p.absent(hash), rpc.ErrPruned) {
		return nil, explorer.ErrPruned
	}
	return block, p.missing(err)
}

func (p pages) Spent(hash consensus.Hash) ([]consensus.Coin, error) {
	undo, err := p.store.Undo(hash)
	if err != nil {
		return nil, p.missing(err)
	}
	return undo.Spent, nil
}

// missing translates the store's answers, as rpcBackend's does.
func (p pages) missing(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return explorer.ErrNotFound
	case errors.Is(err, storage.ErrNoIndex):
		return explorer.ErrNoIndex
	}
	return p.failed(err)
}

func (p pages) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	hash, pos, err := p.store.TxLocation(txid)
	return hash, pos, p.missing(err)
}

func (p pages) History(key [consensus.KeySize]byte, after explorer.Cursor, limit int) ([]explorer.HistoryEntry, error) {
	entries, err := p.store.History(key, storage.Cursor(after), limit)
	if err != nil {
		return nil, p.missing(err)
	}
	out := make([]explorer.HistoryEntry, len(entries))
	for i, e := range entries {
		out[i] = explorer.HistoryEntry(e)
	}
	return out, nil
}

func (p pages) Unspent(op consensus.OutPoint) (bool, error) {
	_, ok, err := rpcBackend(p).Coin(op)
	return ok, err
}

func (p pages) Mempool() explorer.Mempool {
	info := rpcBackend(p).Mempool()
	return explorer.Mempool{Txs: info.Txs, VSize: info.VSize, Fees: info.TotalFee, MinFeeRate: info.MinFeeRate}
}

func (p pages) MempoolTxs() (txs []explorer.MempoolTx) {
	p.look(func(n *Node) {
		for _, e := range n.pool.Entries() {
			txs = append(txs, pageTx(e))
		}
	})
	return txs
}

func pageTx(e *mempool.Entry) explorer.MempoolTx {
	return explorer.MempoolTx{Tx: e.Tx, TxID: e.TxID, Coins: e.Coins, Fee: e.Fee, VSize: e.VSize, Time: e.Time}
}

func (p pages) MempoolTx(txid consensus.Hash) (tx explorer.MempoolTx, ok bool) {
	p.look(func(n *Node) {
		if e := n.pool.Get(txid); e != nil {
			tx, ok = pageTx(e), true
		}
	})
	return tx, ok
}

func (p pages) MempoolSpender(op consensus.OutPoint) (consensus.Hash, bool) {
	return rpcBackend(p).MempoolSpender(op)
}

func (p pages) Peers() (peers []explorer.Peer) {
	for _, q := range rpcBackend(p).Peers() {
		peers = append(peers, explorer.Peer{
			ID: q.ID, Addr: q.Addr, Agent: q.Agent, Transport: q.Transport, Inbound: q.Inbound,
			Since: q.Since, Ping: q.Ping, Height: q.Height,
		})
	}
	return peers
}

func (p pages) WaitTip(ctx context.Context, known consensus.Hash) error {
	return p.Runner.WaitTip(ctx, known)
}
