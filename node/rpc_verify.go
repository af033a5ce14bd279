package node

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// VerifyChain judges the last blocks once more. The lock is held only to see
// where the tip is; everything after that reads what stays. One call at a time:
// what each holds in memory grows with the coins of its blocks.
func (b rpcBackend) VerifyChain(ctx context.Context, level int, depth uint32) (bool, error) {
	if !b.verifying.TryLock() {
		return false, rpc.ErrVerifying
	}
	defer b.verifying.Unlock()
	for {
		ok, err := b.verifyTip(ctx, level, depth)
		if errors.Is(err, storage.ErrReset) { // they are rebuilt: look again when they stand
			continue
		}
		if err != nil && ctx.Err() == nil {
			err = b.failed(err)
		}
		return ok, err
	}
}

func (b rpcBackend) verifyTip(ctx context.Context, level int, depth uint32) (bool, error) {
	var v *Verification
	var coins storage.Snapshot
	var fault error
	err := b.Runner.DoSettled(ctx, func(n *Node, now time.Time) error {
		if coins, fault = n.store.Snapshot(); fault == nil {
			v = n.VerifyTip(now, level, depth, coins, b.Runner.verifier)
		}
		return nil
	})
	if err := errors.Join(err, fault); err != nil {
		return false, err
	}
	defer coins.Close()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if more, err = v.Step(ctx); err != nil {
			return false, err
		}
		if found, _ := v.Findings(); len(found) > 0 {
			b.log.Error("verifychain found that not all is well", "level", level, "finding", found[0].String())
			return false, nil
		}
	}
	return true, nil
}
