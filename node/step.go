package node

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// Job is one step of the chain, from Gather to Commit: everything that is
// needed to judge one block, read while the caller held its lock.
type Job struct {
	step  consensus.Step
	block *consensus.Block
	delta *consensus.Delta
	rule  *consensus.RuleError // what the block broke, if anything
	err   error                // what kept it from being judged: a fault of ours
}

// Verify checks the signatures that are left to check. It depends on nothing
// but the job, so that no lock need be held.
func (j *Job) Verify(v consensus.Verifier) {
	if j.rule != nil || len(j.delta.Checks) == 0 {
		return
	}
	if err := v.Verify(j.delta.Checks); err != nil {
		if j.rule = consensus.AsRuleError(err); j.rule == nil {
			j.err = err
		}
	}
}

// Advance walks to the best branch, making the three calls of each step in a row, and
// has it all on disk at the end. The simulator and the tests use it; Runner lets go of
// its lock between the calls instead.
func (n *Node) Advance(now time.Time, v consensus.Verifier) error {
	for {
		job, err := n.Gather()
		if err != nil {
			return err
		}
		if job == nil {
			return n.Sync()
		}
		job.Verify(v)
		if err := n.Commit(now, job); err != nil {
			return err
		}
	}
}

// Gather prepares the next step towards the best branch: it reads the block
// and the coins that it spends, and judges all but its signatures. It returns
// nil where the tip is the best block already.
func (n *Node) Gather() (*Job, error) {
	step, ok := n.next()
	if !ok {
		return nil, nil
	}
	if err := n.checkPruned(step); err != nil {
		return nil, err
	}
	block, err := n.body(step.Block.Hash)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", step.Block.Hash, err)
	}
	job := &Job{step: step, block: block}
	if step.Detach {
		undo, err := n.store.Undo(step.Block.Hash)
		if err != nil {
			return nil, fmt.Errorf("read undo data of %s: %w", step.Block.Hash, err)
		}
		job.delta, err = consensus.RevertBlock(block, step.Block.Height, undo)
		return job, err
	}
	coins, err := n.store.Coins(consensus.Prevouts(block))
	if err != nil {
		return nil, fmt.Errorf("read the coins that block %s spends: %w", step.Block.Hash, err)
	}
	job.delta, err = consensus.ApplyBlock(n.params, step.Block.Parent, block, coins)
	if err != nil {
		if job.rule = consensus.AsRuleError(err); job.rule == nil {
			return nil, err
		}
		return job, nil
	}
	if step.Block.Connected() { // judged before: a replay, or a branch come back
		job.delta.Checks = nil
	}
	job.delta.Checks = slices.DeleteFunc(job.delta.Checks, n.verifiedInPool)
	return job, nil
}

// checkPruned makes sure that what the way to the best block takes off and puts on is
// all there, before the first step of it: no fault of the blocks, and none of a peer.
func (n *Node) checkPruned(step consensus.Step) error {
	fork := n.tree.Tip()
	if step.Detach {
		fork = consensus.LastCommon(fork, n.tree.Best())
	}
	if fork.Height+1 >= n.pruned {
		return nil
	}
	return fmt.Errorf("the best chain, to block %s, leaves this one after height %d, and the blocks below height %d were pruned: %w; "+
		"to follow it, delete the chain folder of the data directory and start again, which gets all blocks from peers",
		n.tree.Best().Hash, fork.Height, n.pruned, storage.ErrPruned)
}

// verifiedInPool reports whether the mempool checked these very signatures
// against these very coins.
func (n *Node) verifiedInPool(check consensus.SigCheck) bool {
	if n.pool.Len() == 0 {
		return false
	}
	entry := n.pool.Get(check.Tx.TxID())
	return entry != nil && slices.Equal(entry.Coins, check.Coins) && sameWitness(entry.Tx, check.Tx)
}

// sameWitness compares the witnesses of two transactions with the same txid.
func sameWitness(a, b *consensus.Tx) bool {
	for i := range a.Inputs {
		if !slices.EqualFunc(a.Inputs[i].Witness, b.Inputs[i].Witness, bytes.Equal) {
			return false
		}
	}
	return true
}

// Commit moves the tip by one judged block, or marks the block as failed, which
// changes the best branch. A job that was overtaken (the tip has moved, the
// block was invalidated) is dropped: the next Gather starts anew.
func (n *Node) Commit(now time.Time, job *Job) error {
	if step, ok := n.next(); !ok || step != job.step {
		return n.observe(now)
	}
	index := job.step.Block
	if job.err != nil {
		return fmt.Errorf("verify block %s: %w", index.Hash, job.err)
	}
	if job.rule != nil {
		if err := n.fail(now, index, job.rule); err != nil {
			return err
		}
		return n.observe(now)
	}
	if job.step.Detach {
		if err := n.store.Disconnect(n.tree.Record(index.Parent), index.Height, job.block, job.delta); err != nil {
			return fmt.Errorf("disconnect block %s: %w", index.Hash, err)
		}
		n.fresh = true
		n.tree.SetTip(index.Parent)
		n.totals.detach()
		return n.observe(now)
	}
	n.tree.SetConnected(index)
	if err := n.store.Connect(n.tree.Record(index), index.Height, job.block, job.delta); err != nil {
		return fmt.Errorf("connect block %s: %w", index.Hash, err)
	}
	n.fresh = true
	n.tree.SetTip(index)
	if index == n.tree.BestHeader() { // and about to be announced
		if err := n.Sync(); err != nil {
			return err
		}
	}
	n.totals.attach(len(job.block.Txs))
	delete(n.origin, index.Hash)
	n.engine.Fetch(now) // peers may wait for the body
	return n.observe(now)
}

// fail marks a block as invalid for good, and answers whoever sent it.
func (n *Node) fail(now time.Time, index *consensus.BlockIndex, rule *consensus.RuleError) error {
	n.tree.SetFailed(index)
	n.failures.add(index.Hash, rule)
	if from, ok := n.origin[index.Hash]; ok {
		delete(n.origin, index.Hash)
		n.engine.Punish(now, from, rule)
	}
	n.unsaved[index] = struct{}{}
	return n.saveHeaders()
}

// Advancing reports whether the tip is not the best block, so that what is mined on
// it will be stale.
func (n *Node) Advancing() bool {
	_, more := n.next()
	return more
}

// next is the next step towards the best branch, unless it has to wait for a body that
// was lost.
func (n *Node) next() (consensus.Step, bool) {
	step, ok := n.tree.Next()
	return step, ok && !step.Block.Lost()
}

// Reorganising reports whether the tip is on its way from one branch to
// another: what observers were told is not on the active chain any more, and
// the better branch is not reached yet.
func (n *Node) Reorganising() bool {
	return n.tree.Tip() != n.known && n.tree.Tip().Work.Cmp(n.known.Work) <= 0
}

// observe tells observers of the new tip once it is worth telling: it has more
// work than the one they know, or there is no step left. So they see one Change
// per reorganisation, and never the tips in between.
func (n *Node) observe(now time.Time) error {
	tip := n.tree.Tip()
	if tip == n.known { // perhaps after a reorganisation that led back
		return n.addDeferred(now)
	}
	if n.Reorganising() {
		if n.Advancing() {
			return nil
		}
	}
	change := changeBetween(n.known, tip)
	n.known = tip
	n.changes = append(n.changes, change)
	if err := n.pool.Follow(now, n.chain(), change, n.body); err != nil {
		return fmt.Errorf("mempool after block %s: %w", tip.Hash, err)
	}
	if err := n.wakeOrphans(change); err != nil {
		return err
	}
	if err := n.announceTip(now); err != nil {
		return err
	}
	return n.addDeferred(now)
}

// wakeOrphans looks for orphans whose parents were confirmed.
func (n *Node) wakeOrphans(change consensus.Change) error {
	if n.pool.Orphans() == 0 {
		return nil
	}
	for _, index := range change.Attached {
		block, err := n.body(index.Hash)
		if err != nil {
			return fmt.Errorf("read block %s: %w", index.Hash, err)
		}
		for _, tx := range block.Txs {
			n.resolve = append(n.resolve, n.pool.Children(tx.TxID())...)
		}
	}
	return nil
}

// announceTip tells peers of the tip, but not of the many tips of a first sync.
func (n *Node) announceTip(now time.Time) error {
	tip := n.tree.Tip()
	if n.isPruned(tip) { // all that are here were taken off
		return nil
	}
	if tip != n.tree.BestHeader() || !n.engine.WantsAnnounce(tip.Hash) {
		return nil
	}
	block, err := n.body(tip.Hash)
	if err != nil {
		return fmt.Errorf("read block %s: %w", tip.Hash, err)
	}
	n.engine.Announce(now, block)
	return nil
}

// changeBetween lists the blocks that leave and join the active chain.
func changeBetween(from, to *consensus.BlockIndex) consensus.Change {
	change := consensus.Change{From: from, To: to}
	for from != to {
		if from.Height >= to.Height {
			change.Detached = append(change.Detached, from)
			from = from.Parent
		} else {
			change.Attached = append(change.Attached, to)
			to = to.Parent
		}
	}
	slices.Reverse(change.Attached)
	return change
}

// byHeight sorts a set of headers so that parents come first; the hash decides
// among equals, to keep the order the same on every run.
func byHeight(set map[*consensus.BlockIndex]struct{}) []*consensus.BlockIndex {
	return slices.SortedFunc(maps.Keys(set), func(a, b *consensus.BlockIndex) int {
		if c := cmp.Compare(a.Height, b.Height); c != 0 {
			return c
		}
		return bytes.Compare(a.Hash[:], b.Hash[:])
	})
}
