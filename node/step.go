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

// Job is one step of the chain, from Gather to Commit: everything that is needed to
// judge one block. Whoever holds a lock for Node lets go of it meanwhile: the coins that it
// reads are moved by Commit, and thrown away by RebuildCoins, after which its step is
// another one.
type Job struct {
	step   consensus.Step
	params *consensus.Params
	store  storage.Store
	judged bool             // before: a replay, or a branch come back
	block  *consensus.Block // nil until it is read
	delta  *consensus.Delta
	checks []poolCheck          // signatures that are left to check
	rule   *consensus.RuleError // what the block broke, if anything
	err    error                // what kept it from being judged: a fault of ours
}

// poolCheck is a check of signatures, and what the mempool had of the same txid: its
// signatures were good for its coins. Both are nil where it had nothing.
type poolCheck struct {
	consensus.SigCheck
	txid  consensus.Hash
	tx    *consensus.Tx
	coins []consensus.Coin
}

// Advance walks to the best branch, making the calls of each step in a row, and
// has it all on disk at the end. The simulator and the tests use it; Runner lets go of
// its lock between the calls instead.
func (n *Node) Advance(now time.Time, v consensus.Verifier) error {
	for more := true; more; {
		var err error
		if more, err = n.Rebuild(now); err != nil {
			return err
		}
	}
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
	job, err := n.begin()
	if job == nil || err != nil {
		return nil, err
	}
	job.read()
	n.recall(job)
	return job, job.err
}

// begin names the next step.
func (n *Node) begin() (*Job, error) {
	step, ok := n.next()
	if !ok {
		return nil, nil
	}
	if err := n.checkPruned(step); err != nil {
		return nil, err
	}
	job := &Job{step: step, params: n.params, store: n.store, judged: step.Block.Connected()}
	if n.newest != nil && n.newest.Hash() == step.Block.Hash {
		job.block = n.newest
	}
	return job, nil
}

// read reads, and judges all but signatures, without Node.
func (j *Job) read() {
	index := j.step.Block
	if j.block == nil {
		block, err := j.store.Block(index.Hash)
		if err != nil {
			j.err = fmt.Errorf("read block %s: %w", index.Hash, err)
			return
		}
		j.block = block.Identified()
	}
	if j.step.Detach {
		undo, err := j.store.Undo(index.Hash)
		if err != nil {
			j.err = fmt.Errorf("read undo data of %s: %w", index.Hash, err)
			return
		}
		j.delta, j.err = consensus.RevertBlock(j.block, index.Height, undo)
		return
	}
	prevouts := consensus.Prevouts(j.block)
	coins := make(map[consensus.OutPoint]consensus.Coin, len(prevouts))
	for some := range slices.Chunk(prevouts, coinsAtOnce) {
		found, err := j.store.Coins(some)
		if err != nil {
			j.err = fmt.Errorf("read the coins that block %s spends: %w", index.Hash, err)
			return
		}
		maps.Copy(coins, found)
	}
	var err error
	j.delta, err = consensus.ApplyBlock(j.params, index.Parent, j.block, coins)
	if j.rule = consensus.AsRuleError(err); err != nil {
		if j.rule == nil {
			j.err = err
		}
		return
	}
	j.delta.Sum() // once, here
	if !j.judged {
		txids := j.block.TxIDs()[1:]
		for i, check := range j.delta.Checks {
			j.checks = append(j.checks, poolCheck{SigCheck: check, txid: txids[i]})
		}
	}
}

// coinsAtOnce bounds what a step reads of the store in one go, half a millisecond: a
// body that has come waits for that.
const coinsAtOnce = 500

// recall looks up what the mempool has of the block.
func (n *Node) recall(job *Job) {
	if n.pool.Len() == 0 {
		return
	}
	for i := range job.checks {
		if entry := n.pool.Get(job.checks[i].txid); entry != nil {
			job.checks[i].tx, job.checks[i].coins = entry.Tx, entry.Coins
		}
	}
}

// Verify checks the signatures that are left to check.
func (j *Job) Verify(v consensus.Verifier) {
	var checks []consensus.SigCheck
	for i := range j.checks {
		if !j.checks[i].verified() {
			checks = append(checks, j.checks[i].SigCheck)
		}
	}
	if len(checks) == 0 {
		return
	}
	if err := v.Verify(checks); err != nil {
		if j.rule = consensus.AsRuleError(err); j.rule == nil {
			j.err = err
		}
	}
}

// verified reports whether the mempool checked these very signatures against these
// very coins.
func (c *poolCheck) verified() bool {
	return c.tx != nil && slices.Equal(c.coins, c.Coins) && sameWitness(c.tx, c.Tx)
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

// Commit moves the tip by one judged block, or marks the block as failed, which
// changes the best branch. A job that was overtaken (the tip has moved, the
// block was invalidated) is dropped: the next Gather starts anew.
func (n *Node) Commit(now time.Time, job *Job) error {
	news, err := n.move(now, job)
	if err == nil && news {
		err = n.Sync()
	}
	if err != nil {
		return err
	}
	return n.observe(now)
}

// move is Commit but for what follows: observers are told by observe. Where the tip is
// news for peers it has to be on disk before.
func (n *Node) move(now time.Time, job *Job) (news bool, err error) {
	if step, ok := n.next(); !ok || step != job.step {
		return false, nil
	}
	index := job.step.Block
	if job.err != nil {
		return false, fmt.Errorf("verify block %s: %w", index.Hash, job.err)
	}
	if job.rule != nil {
		return false, n.fail(now, index, job.rule)
	}
	if job.step.Detach {
		if err := n.store.Disconnect(n.tree.Record(index.Parent), index.Height, job.block, job.delta); err != nil {
			return false, fmt.Errorf("disconnect block %s: %w", index.Hash, err)
		}
		n.taken++
		n.tree.SetTip(index.Parent)
		n.totals.detach()
		return false, nil
	}
	n.tree.SetConnected(index)
	if err := n.store.Connect(n.tree.Record(index), index.Height, job.block, job.delta); err != nil {
		return false, fmt.Errorf("connect block %s: %w", index.Hash, err)
	}
	n.taken++
	n.tree.SetTip(index)
	n.attached = job.block
	n.totals.attach(len(job.block.Txs))
	delete(n.origin, index.Hash)
	n.engine.Fetch(now)         // peers may wait for the body
	n.untold = n.worthTelling() // and about to be announced
	return n.untold, nil
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

// settled reports whether observers, and the mempool, were told of the tip.
func (n *Node) settled() bool { return !n.untold && !n.Reorganising() }

// observe tells observers of the new tip once it is worth telling: it has more
// work than the one they know, or there is no step left. So they see one Change
// per reorganisation, and never the tips in between.
func (n *Node) observe(now time.Time) error {
	tip := n.tree.Tip()
	n.untold = false
	if tip == n.known { // perhaps after a reorganisation that led back
		return n.addDeferred(now)
	}
	if n.Reorganising() && n.Advancing() {
		return nil
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
		for _, txid := range block.TxIDs() {
			n.resolve = append(n.resolve, n.pool.Children(txid)...)
		}
	}
	return nil
}

// announceTip tells peers of the tip, but not of the many tips of a first sync.
func (n *Node) announceTip(now time.Time) error {
	tip := n.tree.Tip()
	if n.isPruned(tip) || tip.Lost() { // all that are here were taken off
		return nil
	}
	if !n.worthTelling() || !n.engine.WantsAnnounce(tip.Hash) {
		return nil
	}
	block, err := n.body(tip.Hash)
	if err != nil {
		return fmt.Errorf("read block %s: %w", tip.Hash, err)
	}
	n.engine.Announce(now, block)
	return nil
}

// worthTelling reports whether peers should hear of the tip: no better one is here, and it
// is none of the many of a first sync. That there is a better header does not matter: its
// body may be withheld.
func (n *Node) worthTelling() bool {
	return !n.Advancing() && n.tree.BestHeader().Height <= n.tree.Tip().Height+unsolicitedDepth
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
