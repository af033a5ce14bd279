package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

// What an operator may do to the chain by hand, as Bitcoin Core's
// invalidateblock, reconsiderblock and preciousblock. The next Advance follows.

// ErrInvalidated is why a block is refused that an operator invalidated.
const ErrInvalidated consensus.Code = "invalidated-by-operator"

// Invalidate marks a block, and so its descendants, as failed.
func (n *Node) Invalidate(now time.Time, index *consensus.BlockIndex) error {
	if index.Parent == nil {
		return &consensus.RuleError{Code: ErrInvalidated, Kind: consensus.Policy, Detail: "the genesis block stays"}
	}
	if n.tree.InActiveChain(index) && index.Height < n.pruned {
		return &consensus.RuleError{Code: ErrInvalidated, Kind: consensus.Policy,
			Detail: fmt.Sprintf("the blocks below height %d were pruned and cannot be taken off", n.pruned)}
	}
	delete(n.origin, index.Hash) // nobody's fault
	n.invalidated = true
	if err := n.fail(now, index, &consensus.RuleError{Code: ErrInvalidated, Kind: consensus.Invalid}); err != nil {
		return err
	}
	if n.untold { // the step that came there tells when it is on disk
		return nil
	}
	return n.observe(now) // a reorganisation in progress may end here
}

// Reconsider takes the mark back from a block, its ancestors and descendants.
func (n *Node) Reconsider(index *consensus.BlockIndex) error {
	marked := make(map[*consensus.BlockIndex]struct{})
	for _, leaf := range n.tree.Leaves() {
		for b := leaf; b.Failed(); b = b.Parent {
			marked[b] = struct{}{}
		}
	}
	n.tree.Reconsider(index)
	var records []consensus.Record
	for _, b := range byHeight(marked) {
		if !b.Failed() {
			n.failures.remove(b.Hash)
			records = append(records, n.tree.Record(b))
		}
	}
	if err := n.store.PutHeaders(records); err != nil {
		return fmt.Errorf("reconsider block %s: %w", index.Hash, err)
	}
	n.taken++
	return nil
}

// Precious prefers a block to all others of equal work, until the next start.
func (n *Node) Precious(index *consensus.BlockIndex) { n.tree.Precious(index) }

// testTxs judges payments in order, each as if those before it were in the
// mempool, and keeps none of them.
func (n *Node) testTxs(now time.Time, txs []*consensus.Tx) ([]rpc.TxVerdict, error) {
	verdicts := make([]rpc.TxVerdict, len(txs))
	entries, errs := n.pool.Trial(now, n.chain(), txs)
	for i, err := range errs {
		if known := n.notConfirmed(txs[i]); known != nil {
			err = known
		}
		if verdicts[i].Rule = consensus.AsRuleError(err); err != nil && verdicts[i].Rule == nil {
			return nil, err
		}
		if err == nil {
			verdicts[i].Fee = entries[i].Fee
		}
	}
	return verdicts, nil
}

// RebuildCoins throws the coin set away and lets the next Advance make it anew
// from the stored blocks. Observers hear of nothing: their tip comes back. Blocks
// that spent coins which were not there are judged again: no fault of the disk
// may mark a block for good.
func (n *Node) RebuildCoins() error {
	if err := n.store.ResetCoins(); err != nil {
		return fmt.Errorf("reset the coins: %w", err)
	}
	n.tree.SetTip(n.tree.Genesis())
	n.totals = totalsOf(n.tree.Tip())
	for _, hash := range slices.Clone(n.failures.order) {
		index, rule := n.tree.Lookup(hash), n.failures.byHash[hash]
		if index == nil || rule == nil || rule.Code != consensus.ErrInputsMissingOrSpent {
			continue
		}
		if err := n.Reconsider(index); err != nil {
			return err
		}
	}
	return nil
}
