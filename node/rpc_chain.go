package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// rpcBackend answers the RPC server from a running node. Each file of its
// methods is one part of rpc.Backend.
type rpcBackend struct {
	*Service
}

var _ rpc.Backend = rpcBackend{}

// look reads from the node; what it reads cannot fail.
func (s *Service) look(f func(n *Node)) { s.Runner.look(f) }

func (b rpcBackend) Params() *consensus.Params { return b.params }

// syncingAge is how many spacings old a tip may be before the node says that it
// is catching up; networks without a spacing never do.
const syncingAge = 144

func (b rpcBackend) Chain() (state rpc.ChainState) {
	now := b.Runner.timer()
	b.look(func(n *Node) {
		tip, best := n.tree.Tip(), n.tree.BestHeader()
		state.Pruned = n.pruned
		state.Tip, state.BestHeader = blockInfo(n, tip), blockInfo(n, best)
		if long := n.Quiet(now); long > 0 {
			state.Warnings = append(state.Warnings, fmt.Sprintf("no block has come for %s: peers may keep blocks from this node, or nobody mines", long.Round(time.Second)))
		}
		if off := n.ClockOff(); off != 0 {
			state.Warnings = append(state.Warnings, clockWarning(off))
		}
		old := n.params.Spacing > 0 && n.clock(now).Unix()-int64(tip.Header.Time) > syncingAge*n.params.Spacing
		state.Syncing = best.Height > tip.Height+1 || old && tip.Height == 0 && best.Height > 0
	})
	state.SizeOnDisk = b.store.SizeOnDisk()
	if b.recounting.Load() {
		state.Warnings = append(state.Warnings, "the coins are being recounted after an unclean stop")
	}
	return state
}

// blockInfo copies what the tree knows of a block.
func blockInfo(n *Node, index *consensus.BlockIndex) rpc.BlockInfo {
	info := rpc.BlockInfo{
		Hash:       index.Hash,
		Header:     index.Header,
		Height:     index.Height,
		Work:       index.Work,
		MedianTime: index.MTP(),
		TxCount:    index.TxCount,
		ChainTxs:   n.totals.upTo(index.Height),
		Active:     n.tree.InActiveChain(index),
		HasBody:    index.HasBody(),
		Complete:   index.Complete(),
		Connected:  index.Connected(),
		Failed:     index.Failed(),
	}
	if !info.Active {
		info.ChainTxs = 0 // counted along the active chain only
	} else if next := n.tree.At(index.Height + 1); next != nil {
		info.Next = next.Hash
	}
	return info
}

func (b rpcBackend) BlockByHash(hash consensus.Hash) (info rpc.BlockInfo, ok bool) {
	b.look(func(n *Node) {
		if index := n.tree.Lookup(hash); index != nil {
			info, ok = blockInfo(n, index), true
		}
	})
	return info, ok
}

func (b rpcBackend) BlockAt(height uint32) (info rpc.BlockInfo, ok bool) {
	b.look(func(n *Node) {
		if index := n.tree.At(height); index != nil {
			info, ok = blockInfo(n, index), true
		}
	})
	return info, ok
}

func (b rpcBackend) Leaves() (leaves []rpc.Leaf) {
	b.look(func(n *Node) {
		tip, ends := n.tree.Tip(), n.tree.Leaves()
		if !slices.Contains(ends, tip) { // it has invalid or unconnected children
			ends = append(ends, tip)
		}
		for _, index := range ends {
			fork := consensus.LastCommon(tip, index)
			leaves = append(leaves, rpc.Leaf{Block: blockInfo(n, index), Length: index.Height - fork.Height})
		}
	})
	return leaves
}

// Body and the reads below need no lock: what is stored under a hash stays.
func (b rpcBackend) Body(hash consensus.Hash) (*consensus.Block, error) {
	block, err := b.store.Block(hash)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, b.absent(hash)
	}
	return block, b.failed(err)
}

// absent says why there is no body.
func (s *Service) absent(hash consensus.Hash) (reason error) {
	s.look(func(n *Node) {
		switch index := n.tree.Lookup(hash); {
		case index == nil:
			reason = rpc.ErrNotFound
		case n.isPruned(index):
			reason = rpc.ErrPruned
		default:
			reason = rpc.ErrNoBody
		}
	})
	return reason
}

func (b rpcBackend) Spent(hash consensus.Hash) ([]consensus.Coin, error) {
	undo, err := b.store.Undo(hash)
	if err != nil {
		return nil, b.missing(err)
	}
	return undo.Spent, nil
}

// missing translates the store's answers. Any other error is ours, and a node
// that cannot read its own disk does not go on.
func (b rpcBackend) missing(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return rpc.ErrNotFound
	case errors.Is(err, storage.ErrNoIndex):
		return rpc.ErrNoIndex
	}
	return b.failed(err)
}

func (b rpcBackend) NextBits() (bits uint32) {
	b.look(func(n *Node) { bits = consensus.NextBits(n.params, n.tree.Tip()) })
	return bits
}

func (b rpcBackend) InvalidateBlock(hash consensus.Hash) error {
	return b.steer(hash, func(n *Node, now time.Time, index *consensus.BlockIndex) error {
		return n.Invalidate(now, index)
	})
}

func (b rpcBackend) ReconsiderBlock(hash consensus.Hash) error {
	return b.steer(hash, func(n *Node, _ time.Time, index *consensus.BlockIndex) error {
		return n.Reconsider(index)
	})
}

func (b rpcBackend) PreciousBlock(hash consensus.Hash) error {
	return b.steer(hash, func(n *Node, _ time.Time, index *consensus.BlockIndex) error {
		n.Precious(index)
		return nil
	})
}

// steer changes the tree by hand and waits until the tip has followed.
func (b rpcBackend) steer(hash consensus.Hash, f func(*Node, time.Time, *consensus.BlockIndex) error) error {
	found := true
	err := b.Runner.Do(func(n *Node, now time.Time) error {
		index := n.tree.Lookup(hash)
		if found = index != nil; !found {
			return nil
		}
		return f(n, now, index)
	})
	if err != nil {
		return err
	}
	if !found {
		return rpc.ErrNotFound
	}
	return b.Runner.Settle(b.life)
}

func (b rpcBackend) Coin(op consensus.OutPoint) (coin consensus.Coin, ok bool, err error) {
	coins, err := b.store.Coins([]consensus.OutPoint{op})
	coin, ok = coins[op]
	return coin, ok, b.failed(err)
}

func (b rpcBackend) CoinSum() (sum consensus.CoinSum, tip rpc.BlockInfo) {
	b.look(func(n *Node) { sum, tip = n.store.Sum(), blockInfo(n, n.tree.Tip()) })
	return sum, tip
}

func (b rpcBackend) EachCoin(visit func(consensus.OutPoint, consensus.Coin) error) error {
	return b.store.ForEachCoin(visit)
}

func (b rpcBackend) Index() (info rpc.IndexInfo) {
	b.look(func(n *Node) { info.Height = n.tree.Tip().Height })
	info.Enabled, info.Synced = b.index, b.index
	return info
}

func (b rpcBackend) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	hash, pos, err := b.store.TxLocation(txid)
	return hash, pos, b.missing(err)
}

func (b rpcBackend) History(key [consensus.KeySize]byte, after rpc.Cursor, limit int) ([]rpc.HistoryEntry, error) {
	entries, err := b.store.History(key, storage.Cursor(after), limit)
	if err != nil {
		return nil, b.missing(err)
	}
	out := make([]rpc.HistoryEntry, len(entries))
	for i, e := range entries {
		out[i] = rpc.HistoryEntry(e)
	}
	return out, nil
}
