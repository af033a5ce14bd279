package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// Reindex walks over the bodies of a store that was opened with Options.Reindex, from
// its tip as far as they lead, by all rules. A body that cannot be read any more is
// removed, so that the next start asks peers for it, and the walk ends below it. Call
// Step until there is nothing left.
type Reindex struct {
	params  *consensus.Params
	store   *storage.Badger
	node    offline
	from    uint32
	txs     int
	dropped []*consensus.BlockIndex
	refused []Finding
}

// NewReindex prepares the walk.
func NewReindex(p *consensus.Params, store *storage.Badger, verifier consensus.Verifier) (*Reindex, error) {
	n, err := newOffline(p, store, verifier)
	if err != nil {
		return nil, err
	}
	return &Reindex{params: p, store: store, node: n, from: n.Tip().Height}, nil
}

// Step connects one block. It reports whether there is more to do. The error is a
// fault of ours, or that of ctx.
func (r *Reindex) Step(ctx context.Context, now time.Time) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	job, err := r.node.step(now)
	switch {
	case errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrNotFound):
		return true, r.drop(err)
	case err != nil:
		return false, err
	case job == nil:
		if err := r.node.Sync(); err != nil {
			return false, err
		}
		return false, r.store.EndReindex()
	case job.rule != nil:
		b := job.step.Block
		r.refused = append(r.refused, Finding{Height: b.Height, Hash: b.Hash, Code: job.rule.Code, Detail: job.rule.Detail})
	default:
		r.txs += len(job.block.Txs)
	}
	return true, nil
}

// drop takes the body of the next step out, if it is what cannot be read.
func (r *Reindex) drop(fault error) error {
	step, ok := r.node.tree.Next()
	if !ok || step.Detach {
		return fault
	}
	_, err := r.store.Block(step.Block.Hash)
	if !errors.Is(err, storage.ErrDamaged) && !errors.Is(err, storage.ErrNotFound) {
		return errors.Join(fault, err)
	}
	rec := r.node.tree.Record(step.Block)
	rec.Flags, rec.Seq, rec.TxCount = rec.Flags&^consensus.RecordHasBody, 0, 0
	err = r.store.PutHeaders([]consensus.Record{rec}) // first: what it promises is there
	if err == nil {
		err = r.store.Forget(rec.Hash)
	}
	if err != nil {
		return fmt.Errorf("remove the damaged body of block %s: %w", rec.Hash, err)
	}
	r.dropped = append(r.dropped, step.Block)
	r.node, err = newOffline(r.params, r.store, r.node.verifier) // by the records as they are now
	return err
}

// Progress is the height reached, and the one that the bodies lead to.
func (r *Reindex) Progress() (height, best uint32) {
	return r.node.Tip().Height, max(r.node.Tip().Height, r.node.tree.Best().Height)
}

// From is the height that the walk began at: not 0 where it went on.
func (r *Reindex) From() uint32 { return r.from }

// Txs counts the transactions that were connected.
func (r *Reindex) Txs() int { return r.txs }

// Tip is the last block connected.
func (r *Reindex) Tip() *consensus.BlockIndex { return r.node.Tip() }

// BestHeader is the block that peers may have more bodies up to.
func (r *Reindex) BestHeader() *consensus.BlockIndex { return r.node.tree.BestHeader() }

// Dropped are the blocks whose bodies could not be read.
func (r *Reindex) Dropped() []*consensus.BlockIndex { return r.dropped }

// Refused are the blocks that break a rule.
func (r *Reindex) Refused() []Finding { return r.refused }
