package node

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/rpc"
)

func (b rpcBackend) Mempool() (info rpc.MempoolInfo) {
	b.look(func(n *Node) {
		info = rpc.MempoolInfo{
			Txs:         n.pool.Len(),
			VSize:       n.pool.VSize(),
			Usage:       n.pool.Bytes(),
			MaxUsage:    n.pool.Config().MaxBytes,
			TotalFee:    n.pool.Fees(),
			MinFeeRate:  n.pool.MinFeeRate(),
			MinRelayFee: n.pool.Config().MinRelayFee,
			Sequence:    n.poolSequence,
		}
	})
	return info
}

func (b rpcBackend) MempoolTxs() (txs []rpc.MempoolTx) {
	b.look(func(n *Node) {
		for _, e := range n.pool.Entries() {
			txs = append(txs, mempoolTx(e))
		}
	})
	return txs
}

func mempoolTx(e *mempool.Entry) rpc.MempoolTx {
	return rpc.MempoolTx{
		Tx: e.Tx, TxID: e.TxID, WTxID: e.WTxID, Coins: e.Coins, Fee: e.Fee,
		Weight: e.Weight, VSize: e.VSize, Time: e.Time, Height: e.Height,
	}
}

func (b rpcBackend) MempoolEntry(txid consensus.Hash) (entry rpc.MempoolEntry, ok bool) {
	b.look(func(n *Node) {
		e := n.pool.Get(txid)
		if ok = e != nil; !ok {
			return
		}
		entry.MempoolTx = mempoolTx(e)
		for _, parent := range e.Parents() {
			entry.Parents = append(entry.Parents, parent.TxID)
		}
		for _, child := range e.Children() {
			entry.Children = append(entry.Children, child.TxID)
		}
		entry.Ancestors = family(e, e.Ancestors())
		entry.Descendants = family(e, e.Descendants())
	})
	return entry, ok
}

// family sums up an entry and its relatives.
func family(e *mempool.Entry, relatives []*mempool.Entry) rpc.Family {
	sum := rpc.Family{Count: 1 + len(relatives), VSize: int64(e.VSize), Fees: e.Fee}
	for _, r := range relatives {
		sum.VSize += int64(r.VSize)
		sum.Fees += r.Fee
	}
	return sum
}

func (b rpcBackend) MempoolSpender(op consensus.OutPoint) (txid consensus.Hash, ok bool) {
	b.look(func(n *Node) {
		if e := n.pool.Spender(op); e != nil {
			txid, ok = e.TxID, true
		}
	})
	return txid, ok
}

func (b rpcBackend) Conflicts() (list []rpc.Conflict) {
	b.look(func(n *Node) {
		for _, c := range n.pool.Conflicts() {
			list = append(list, rpc.Conflict{MempoolTx: mempoolTx(c.Entry), By: c.By})
		}
	})
	return list
}

func (b rpcBackend) SubmitTxs(list []rpc.Submission) []error {
	txs := make([]*consensus.Tx, len(list))
	for i := range list {
		txs[i] = list[i].Tx
	}
	_, errs := b.Runner.SubmitTxs(b.life, txs, func(i int, e *mempool.Entry) *consensus.RuleError {
		if list[i].Exceeds(e.Fee, e.VSize) {
			return &consensus.RuleError{Code: rpc.ErrFeeTooHigh, Kind: consensus.Policy}
		}
		return nil
	})
	return errs
}

func (b rpcBackend) TestTxs(txs []*consensus.Tx) (verdicts []rpc.TxVerdict, err error) {
	err = b.Runner.DoSettled(b.life, func(n *Node, now time.Time) (err error) {
		verdicts, err = n.testTxs(now, txs)
		return err
	})
	return verdicts, err
}
