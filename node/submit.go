package node

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
)

// TxJob is a payment of this machine on its way into the mempool, as Job is a block on
// its way onto the chain: GatherTx and CommitTx under the caller's lock, VerifyTxs, which
// looks at nothing but the jobs, without it.
type TxJob struct {
	tx    *consensus.Tx
	entry *mempool.Entry       // judged in all but its signatures
	rule  *consensus.RuleError // what it broke, if anything
	early bool                 // it spends what is not here, but perhaps on its way here
}

// Entry is the payment as the mempool would have it, nil where it is refused.
func (j *TxJob) Entry() *mempool.Entry {
	if j.rule != nil {
		return nil
	}
	return j.entry
}

// GatherTx judges a payment in all but its signatures, and reads the coins that they are
// checked against. The error is ours.
func (n *Node) GatherTx(now time.Time, tx *consensus.Tx) (*TxJob, error) {
	entry, err := n.pool.Judge(now, n.chain(), tx)
	job := &TxJob{tx: tx, entry: entry}
	if err := job.refused(n.whyRefused(tx, err)); err != nil {
		return nil, err
	}
	return job, nil
}

// refused keeps a rule that was broken, and returns any other error.
func (j *TxJob) refused(err error) error {
	if err == nil {
		return nil
	}
	if j.rule = consensus.AsRuleError(err); j.rule == nil {
		return err
	}
	j.early = errors.Is(err, mempool.ErrMissing)
	return nil
}

// VerifyTxs checks the signatures of payments together: that costs a fraction of one by
// one. Where not all are good each half is looked at by itself.
func VerifyTxs(v consensus.Verifier, jobs []*TxJob) error {
	checks := make([]consensus.SigCheck, 0, len(jobs))
	open := make([]*TxJob, 0, len(jobs))
	for _, job := range jobs {
		if job != nil && job.rule == nil {
			open, checks = append(open, job), append(checks, consensus.SigCheck{Tx: job.tx, Coins: job.entry.Coins})
		}
	}
	return verifyTxs(v, open, checks)
}

func verifyTxs(v consensus.Verifier, jobs []*TxJob, checks []consensus.SigCheck) error {
	if len(jobs) == 0 {
		return nil
	}
	err := v.Verify(checks)
	if err == nil {
		return nil
	}
	if len(jobs) == 1 {
		return jobs[0].refused(err)
	}
	half := len(jobs) / 2
	return errors.Join(verifyTxs(v, jobs[:half], checks[:half]), verifyTxs(v, jobs[half:], checks[half:]))
}

// CommitTx takes a payment that was verified into the mempool, and offers it to the
// peers.
func (n *Node) CommitTx(now time.Time, job *TxJob) (*mempool.Entry, error) {
	if job.rule != nil {
		return nil, job.rule
	}
	if err := n.pool.Admit(now, n.chain(), job.entry); err != nil {
		return nil, n.whyRefused(job.tx, err)
	}
	n.entered(job.entry)
	n.engine.AnnounceTx(now, job.tx, "")
	return job.entry, n.resolveOrphans(now)
}

// SubmitTx takes a payment from this machine.
func (r *Runner) SubmitTx(ctx context.Context, tx *consensus.Tx) (*mempool.Entry, error) {
	entries, errs := r.SubmitTxs(ctx, []*consensus.Tx{tx}, nil)
	return entries[0], errs[0]
}

// SubmitTxs takes payments from this machine, in order: each may spend what those before
// it made. For each there is an entry or an error. What allow, if there is one, returns a
// rule for is refused for that; it is asked of payments that nothing else was wrong with
// when they were judged by themselves.
//
// The lock is held for one payment at a time, and not while signatures are checked.
func (r *Runner) SubmitTxs(ctx context.Context, txs []*consensus.Tx, allow func(i int, e *mempool.Entry) *consensus.RuleError) ([]*mempool.Entry, []error) {
	jobs, entries, errs := make([]*TxJob, len(txs)), make([]*mempool.Entry, len(txs)), make([]error, len(txs))
	for i, tx := range txs {
		errs[i] = r.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
			jobs[i], err = n.GatherTx(now, tx)
			return err
		})
	}
	verified := VerifyTxs(r.verifier, jobs)
	for i := range txs {
		if errs[i] != nil {
			continue
		}
		if jobs[i].early { // its parent may have come since, before it in txs
			errs[i] = r.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
				jobs[i], err = n.GatherTx(now, txs[i])
				return err
			})
			if errs[i] != nil {
				continue
			}
			verified = errors.Join(verified, VerifyTxs(r.verifier, jobs[i:i+1]))
		}
		errs[i] = r.DoSettled(ctx, func(n *Node, now time.Time) (err error) {
			if verified != nil {
				return verified
			}
			if e := jobs[i].Entry(); e != nil && allow != nil {
				if rule := allow(i, e); rule != nil {
					return rule
				}
			}
			entries[i], err = n.CommitTx(now, jobs[i])
			return err
		})
	}
	return entries, errs
}
