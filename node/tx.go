package node

import (
	"errors"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
)

// batchTxs is how many payments that waited are judged in one call, whether for a parent,
// for a block or for a reorganisation to end: the first one, and more while they are of
// one mempool.MaxTxWeight together. So no message makes the node work for longer than one
// payment may (CVE-2024-52914).
const batchTxs = 64

// batch counts payments that are judged in one call.
type batch struct{ txs, weight int }

// room reports whether one more may be judged, and counts it.
func (b *batch) room(tx *consensus.Tx) bool {
	b.weight += tx.Weight()
	b.txs++
	return b.txs == 1 || b.txs <= batchTxs && b.weight <= mempool.MaxTxWeight
}

// deferredTx waits until a reorganisation has ended, or a block is in.
type deferredTx struct {
	from  p2p.PeerID
	tx    *consensus.Tx
	wtxid consensus.Hash
}

// SubmitTx takes a payment from this machine and offers it to the peers.
func (n *Node) SubmitTx(now time.Time, tx *consensus.Tx) (*mempool.Entry, error) {
	entry, err := n.addTx(now, tx)
	if err != nil {
		return entry, err
	}
	n.engine.AnnounceTx(now, tx, "")
	return entry, n.resolveOrphans(now)
}

// addTx is the one road of a transaction into the mempool, whoever sent it; GatherTx and
// CommitTx are the same one with a stop on the way.
func (n *Node) addTx(now time.Time, tx *consensus.Tx) (*mempool.Entry, error) {
	entry, err := n.pool.Add(now, n.chain(), tx)
	if err != nil {
		return nil, n.whyRefused(tx, err)
	}
	n.entered(entry)
	return entry, nil
}

// entered takes note of what has come into the mempool.
func (n *Node) entered(entry *mempool.Entry) {
	n.accepted = append(n.accepted, entry)
	n.poolSequence++
	n.resolve = append(n.resolve, n.pool.Children(entry.TxID)...)
}

// whyRefused says of a transaction that is refused whether it is in the chain already,
// which comes first among the reasons.
func (n *Node) whyRefused(tx *consensus.Tx, err error) error {
	if consensus.AsRuleError(err) != nil {
		if known := n.notConfirmed(tx); known != nil {
			return known
		}
	}
	return err
}

// notConfirmed refuses a transaction of which an output is a coin: it must be
// in the chain already.
func (n *Node) notConfirmed(tx *consensus.Tx) error {
	txid := tx.TxID()
	outpoints := make([]consensus.OutPoint, len(tx.Outputs))
	for i := range tx.Outputs {
		outpoints[i] = consensus.OutPoint{TxID: txid, Index: uint32(i)}
	}
	coins, err := n.store.Coins(outpoints)
	if err == nil && len(coins) > 0 {
		err = &consensus.RuleError{Code: mempool.ErrKnown, Kind: consensus.Policy, Detail: "the transaction is in the chain"}
	}
	return err
}

// receiveTx judges a payment from a peer.
func (n *Node) receiveTx(now time.Time, from p2p.PeerID, tx *consensus.Tx, gossip bool) (p2p.Verdict, error) {
	if !n.engine.TakesTxs(from) {
		return p2p.Ignore, nil
	}
	wtxid := tx.WTxID()
	n.engine.Got(now, from, wtxid)
	if n.pool.ByWTxID(wtxid) != nil {
		return p2p.Ignore, nil
	}
	if n.Reorganising() || !gossip && n.engine.AwaitsBlock(now) {
		waits := slices.ContainsFunc(n.deferred, func(d deferredTx) bool { return d.wtxid == wtxid })
		weight := n.deferredWeight + tx.Weight()
		if !waits && len(n.deferred) < maxDeferred && weight <= maxDeferredWeight {
			n.deferred, n.deferredWeight = append(n.deferred, deferredTx{from, tx, wtxid}), weight
			waits = true
		}
		if waits {
			return p2p.Ignore, nil
		}
		if n.Reorganising() {
			return p2p.Ignore, nil
		}
	}
	if err := n.resolveOrphans(now); err != nil { // so that they never pile up
		return p2p.Ignore, err
	}
	_, err := n.addTx(now, tx)
	var missing *mempool.MissingInputs
	switch rule := consensus.AsRuleError(err); {
	case err == nil:
		n.engine.TookTx(now, from)
		if !gossip { // which forwards by itself what it brought
			n.engine.AnnounceTx(now, tx, from)
		}
		return p2p.Accept, n.resolveOrphans(now)
	case rule == nil:
		return p2p.Ignore, err
	case errors.As(err, &missing):
		if n.pool.AddOrphan(now, string(from), tx) {
			n.engine.AskParents(now, from, missing.Parents) // they are where it came from
		}
		return p2p.Ignore, nil
	case invalidForAll(rule):
		n.engine.Punish(now, from, rule)
		n.undefer(from)
		return p2p.Reject, nil
	}
	return p2p.Ignore, nil
}

// invalidForAll reports whether every node, whatever its tip and its mempool,
// refuses a loose transaction for this reason. What depends on the tip
// (maturity, lock times) is no reason to blame whoever forwarded it.
func invalidForAll(rule *consensus.RuleError) bool {
	switch rule.Code {
	case consensus.ErrPrematureSpend, consensus.ErrNonFinal, consensus.ErrInputsMissingOrSpent:
		return false
	}
	return rule.Kind == consensus.Invalid || rule.Kind == consensus.Malformed
}

// resolveOrphans tries orphans again whose parent has come, a batch at a time.
// What is accepted is offered to all peers, since gossip will not carry it.
func (n *Node) resolveOrphans(now time.Time) error {
	var b batch
	for len(n.resolve) > 0 && b.room(n.resolve[0].Tx) {
		orphan := n.resolve[0]
		n.resolve = n.resolve[1:]
		_, err := n.addTx(now, orphan.Tx)
		switch rule := consensus.AsRuleError(err); {
		case err == nil:
			n.engine.TookTx(now, p2p.PeerID(orphan.From))
			n.engine.AnnounceTx(now, orphan.Tx, p2p.PeerID(orphan.From))
		case rule == nil:
			return err
		case errors.Is(rule, mempool.ErrMissing):
			n.pool.AddOrphan(now, orphan.From, orphan.Tx)
		case invalidForAll(rule):
			n.engine.Punish(now, p2p.PeerID(orphan.From), rule)
		}
	}
	return nil
}

// addDeferred takes up payments that waited for a reorganisation to end, or for a block,
// a batch at a time.
func (n *Node) addDeferred(now time.Time) error {
	var b batch
	for len(n.deferred) > 0 && !n.Reorganising() && !n.engine.AwaitsBlock(now) && b.room(n.deferred[0].tx) {
		d := n.deferred[0]
		n.deferred, n.deferredWeight = n.deferred[1:], n.deferredWeight-d.tx.Weight()
		if _, err := n.receiveTx(now, d.from, d.tx, false); err != nil {
			return err
		}
	}
	return nil
}

// undefer forgets what waits from a peer that broke the rules: each may be as much work.
func (n *Node) undefer(from p2p.PeerID) {
	n.deferred = slices.DeleteFunc(n.deferred, func(d deferredTx) bool {
		if d.from == from {
			n.deferredWeight -= d.tx.Weight()
		}
		return d.from == from
	})
}

// InMempool reports whether a payment waits to be mined.
func (n *Node) InMempool(txid consensus.Hash) bool { return n.pool.Get(txid) != nil }
