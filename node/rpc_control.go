package node

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

func (b rpcBackend) Now() time.Time { return b.Runner.timer() }

func (b rpcBackend) SetMockTime(t time.Time) { b.Runner.SetMockTime(t) }

func (b rpcBackend) Started() time.Time { return b.started }

func (b rpcBackend) Stop() { b.stop() }

func (b rpcBackend) WaitTip(ctx context.Context, known consensus.Hash) error {
	return b.Runner.WaitTip(ctx, known)
}
