package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// How thorough VerifyTip is: the levels of Bitcoin Core's verifychain. Each
// includes those before it.
const (
	VerifyRead  = iota // bodies are there, and are those of their hashes
	VerifyBody         // they are valid by themselves
	VerifyUndo         // undo data is there, and fits
	VerifyCoins        // taken off in memory, the blocks leave and find the coins that they must
	VerifyAnew         // put on again, they are valid by all rules
)

// verifyBatch is after how many transactions their signatures are checked, on
// all threads at once: enough to keep them busy where blocks are small.
const verifyBatch = 1024

// Stored is where a Verification reads bodies and undo data.
type Stored interface {
	Block(consensus.Hash) (*consensus.Block, error)
	Undo(consensus.Hash) (*consensus.Undo, error)
}

// Verification judges blocks that are stored already once more, by the rules for
// new ones, and finds what is not as it should be. It reads, and changes nothing
// but its own view of the coins.
//
//	tip-2 <- tip-1 <- tip    VerifyTip: down, taking off; at level 4 up again
//	genesis -> … -> tip      VerifyStore: up, from no coins at all
//
// Call Step until there is nothing left. Findings do not end it: what can still
// be judged is. A block that is invalid or cannot be read, though, leaves no coins
// to judge others by: those after it are judged by themselves.
type Verification struct {
	params   *consensus.Params
	stored   Stored
	verifier consensus.Verifier
	now      time.Time
	level    int
	tip      *consensus.BlockIndex
	blocks   []*consensus.BlockIndex // of one chain, upwards to the tip
	down, up []*consensus.BlockIndex // of blocks, still to do
	finish   func(context.Context) error

	view    *coinView
	sum     consensus.CoinSum // of the view, where it has no base
	lost    bool              // the view is no chain's any more
	judged  uint32            // height up to which coins and signatures were judged
	pending []pendingChecks
	waiting int // transactions in pending, coinbases too
	txs     int
	found   findings
}

// pendingChecks are signatures of a block that are still to be checked.
type pendingChecks struct {
	block  *consensus.BlockIndex
	checks []consensus.SigCheck
}

// VerifyTip prepares a look at the last blocks of the active chain, all but
// genesis, and those that were pruned, where depth is 0 or too high. The coins are those of this moment; the
// node may go on meanwhile.
func (n *Node) VerifyTip(now time.Time, level int, depth uint32, coins storage.Snapshot, verifier consensus.Verifier) *Verification {
	tip := n.tree.Tip()
	if bodies := tip.Height + 1 - max(n.pruned, 1); depth == 0 || depth > bodies {
		depth = bodies
	}
	v := &Verification{
		params: n.params, stored: n.store, verifier: verifier, now: notBefore(tip, n.clock(now)), level: level,
		tip: tip, blocks: make([]*consensus.BlockIndex, depth), view: newCoinView(coins.Coins),
	}
	for b := tip; depth > 0; b = b.Parent {
		depth--
		v.blocks[depth] = b
	}
	v.down = v.blocks
	if level >= VerifyAnew {
		v.up = v.blocks
	}
	return v
}

// VerifyStore prepares the verification of all that a store holds of its active
// chain, from genesis on. The coins are made anew in memory and compared at the
// end: storage.ErrPruned where that cannot be. Memory: about 500 bytes a header and 200 a coin.
func VerifyStore(p *consensus.Params, store storage.Store, verifier consensus.Verifier, now time.Time) (*Verification, error) {
	state, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("load the chain: %w", err)
	}
	if state.Pruned > 0 {
		return nil, fmt.Errorf("the blocks below height %d were pruned: %w", state.Pruned, storage.ErrPruned)
	}
	v := &Verification{params: p, stored: store, verifier: verifier, level: VerifyAnew, view: newCoinView(nil)}
	if err := v.restore(state); err != nil {
		return nil, err
	}
	v.now, v.up = notBefore(v.tip, now), v.blocks
	if v.tip.Hash == state.Tip {
		sum := state.Sum // alone: the records are not to stay in memory
		v.finish = func(ctx context.Context) error { return v.compareCoins(ctx, sum, store.ForEachCoin) }
	}
	return v, nil
}

// notBefore is now, or the highest time of the chain where that is later. That a
// block was too far in the future once is for nobody to judge now that it is in
// the chain, least of all by a clock that was set back.
func notBefore(tip *consensus.BlockIndex, now time.Time) time.Time {
	if latest := time.Unix(int64(tip.MaxTime), 0); now.Before(latest) {
		return latest
	}
	return now
}

// restore puts the records from genesis to the tip into their places, unjudged. It
// ends below a header that is not the one of its hash.
func (v *Verification) restore(state *storage.State) error {
	const onChain = consensus.RecordHasBody | consensus.RecordConnected
	records := make(map[consensus.Hash]*consensus.Record, len(state.Records))
	for i := range state.Records {
		records[state.Records[i].Hash] = &state.Records[i]
	}
	genesis := consensus.NewTree(v.params).Genesis()
	var path []*consensus.Record
	for hash := state.Tip; hash != genesis.Hash; {
		record := records[hash]
		if record == nil || len(path) == len(records) {
			return fmt.Errorf("the headers from the tip %s do not lead to genesis: %w", state.Tip, storage.ErrDamaged)
		}
		path = append(path, record)
		hash = record.Header.Prev
	}
	v.tip, v.blocks = genesis, []*consensus.BlockIndex{genesis}
	for _, record := range slices.Backward(path) {
		b := v.tip.Child(&record.Header)
		if b.TxCount = record.TxCount; b.Hash != record.Hash {
			v.found.add(b, DamagedRecord, "the header is kept under another hash", record.Hash.String(), b.Hash.String())
			return nil
		}
		// A node that believed other flags would leave the block, or ask for it again.
		if record.Flags != onChain {
			v.found.add(b, DamagedRecord, "the header is kept with other marks than a block of the active chain has", flagsText(onChain), flagsText(record.Flags))
		}
		v.tip, v.blocks = b, append(v.blocks, b)
	}
	return nil
}

// Step judges one block, or does what comes after the last one. It reports
// whether there is more to do. The error is a fault of ours, or that of ctx, by
// which a long step ends.
func (v *Verification) Step(ctx context.Context) (more bool, err error) {
	switch {
	case len(v.down) > 0:
		b := v.down[len(v.down)-1]
		v.down = v.down[:len(v.down)-1]
		return true, v.takeOff(b)
	case len(v.up) > 0:
		b := v.up[0]
		v.up = v.up[1:]
		return true, v.putOn(b)
	}
	if err := v.checkSignatures(); err != nil {
		return false, err
	}
	if v.finish != nil && !v.lost {
		return false, v.finish(ctx)
	}
	return false, nil
}

// Progress is how many of its steps with blocks are done.
func (v *Verification) Progress() (done, total int) {
	total = len(v.blocks)
	if v.level >= VerifyAnew && v.view.base != nil {
		total *= 2
	}
	return total - len(v.down) - len(v.up), total
}

// Tip is the last block whose header is intact; genesis, too, which VerifyTip does
// not look at.
func (v *Verification) Tip() *consensus.BlockIndex { return v.tip }

// Findings lists what is wrong, lowest block first, and counts what there was no
// room for.
func (v *Verification) Findings() (list []Finding, more int) {
	list = slices.Clone(v.found.list)
	slices.SortStableFunc(list, func(a, b Finding) int { return int(a.Height) - int(b.Height) })
	return list, v.found.more
}

// InCoins reports whether all findings, listed or not, are Finding.InCoins.
func (v *Verification) InCoins() bool { return !v.found.outside }

// Txs counts the transactions that were put on, coinbases among them.
func (v *Verification) Txs() int { return v.txs }

// Judged is the height up to which all rules were applied.
func (v *Verification) Judged() uint32 { return v.judged }

// CoinSum is that of the coins made anew by VerifyStore.
func (v *Verification) CoinSum() consensus.CoinSum { return v.sum }
