package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
)

// propagatePaid is the followed payments.
type propagatePaid struct {
	payments  int
	delays    []float64 // ms, from when it was due to the last mempool; those that came to all
	distinct  uint64    // payments that gossip brought to nodes
	copies    uint64    // beside them
	dropped   uint64    // messages that nobody looked at, for too many waited
	unsent    uint64    // that found no room in a peer's queue
	throttled uint64    // batches that the peer gater kept out
}

// pay hands payments to random nodes by a schedule that waits for no answer, and
// follows each to the last mempool.
func (b *propagateBench) pay(ctx context.Context, txs []*consensus.Tx) error {
	before, err := b.net.sent()
	if err != nil {
		return err
	}
	schedule := &poisson{rate: b.rate, random: b.random}
	start := time.Now()
	due := make([]time.Time, len(txs))
	faults := make([]error, len(txs))
	var calls sync.WaitGroup
	for i, tx := range txs {
		b.net.follow(tx.TxID())
		due[i] = start.Add(schedule.next())
		at := b.net.nodes[b.random.IntN(b.nodes)]
		select {
		case <-time.After(time.Until(due[i])):
		case <-ctx.Done():
			calls.Wait()
			return ctx.Err()
		}
		calls.Go(func() { _, faults[i] = at.Runner.SubmitTx(ctx, tx) })
	}
	calls.Wait()
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("handing in a payment: %w", err)
	}
	patience, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	for i, tx := range txs {
		at, err := b.net.everywhere(patience, tx.TxID())
		b.net.forget(tx.TxID())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.paid.payments++
		if err == nil {
			b.paid.delays = append(b.paid.delays, ms(slices.MaxFunc(at, time.Time.Compare).Sub(due[i])))
		}
	}
	after, err := b.net.sent()
	if err != nil {
		return err
	}
	for i := range after {
		is, was := &after[i].messages, &before[i].messages
		copies := is.Duplicates[p2p.TypeTx].Messages - was.Duplicates[p2p.TypeTx].Messages
		b.paid.copies += copies
		b.paid.distinct += is.GossipIn[p2p.TypeTx].Messages - was.GossipIn[p2p.TypeTx].Messages - copies
		b.paid.dropped += is.Dropped[p2p.TypeTx].Messages - was.Dropped[p2p.TypeTx].Messages
		b.paid.unsent += is.Unsent[p2p.TypeTx].Messages - was.Unsent[p2p.TypeTx].Messages
		b.paid.throttled += is.Throttled - was.Throttled
	}
	return nil
}

// fill puts what the mempools lack of the payments into them, as gossip does that is
// not passed on, but for what is missing in some: the last of the payments, put there
// when all others are everywhere, so that few mempools are compared in between. Garbage is
// collected before that: processes of their own would do it each at its time, and nodes of
// one process do it at once, which is 100 ms of a core if a block meets it.
func (b *propagateBench) fill(ctx context.Context, txs []*consensus.Tx, miner int) error {
	some, chance := missingOf(b.missing, len(txs))
	everywhere, last := txs[:len(txs)-some], txs[len(txs)-some:]
	if err := b.put(ctx, everywhere, func(int, int) bool { return true }); err != nil {
		return err
	}
	runtime.GC()
	return b.put(ctx, last, withhold(b.nodes, some, miner, chance, b.random))
}

// missingOf is how many of the payments are left out of some mempools, and with which
// chance of each, where each mempool is to lack so large a share of all of them. The
// fewer the sooner they are in their places; the chance is even at least.
func missingOf(share float64, txs int) (some int, chance float64) {
	some = min(txs, int(math.Ceil(2*share*float64(txs))))
	return some, share * float64(txs) / max(float64(some), 1)
}

// withhold draws which node gets which of some payments; the miner's gets all.
func withhold(nodes, some, miner int, chance float64, r *rand.Rand) func(node, tx int) bool {
	gets := make([][]bool, nodes)
	for i := range gets {
		gets[i] = make([]bool, some)
		for j := range gets[i] {
			gets[i][j] = r.Float64() >= chance || i == miner
		}
	}
	return func(node, tx int) bool { return gets[node][tx] }
}

// put puts payments into the mempools of the nodes that get them.
func (b *propagateBench) put(ctx context.Context, txs []*consensus.Tx, gets func(node, tx int) bool) error {
	raw := make([][]byte, len(txs)) // each node makes its own of it, as from the wire
	for j, tx := range txs {
		raw[j] = p2p.Encode(&p2p.Tx{Tx: tx})
	}
	var work sync.WaitGroup
	var refused atomic.Int64
	for i, s := range b.net.nodes {
		work.Go(func() {
			for j := range txs {
				if !gets(i, j) || ctx.Err() != nil {
					continue
				}
				m, err := p2p.Decode(raw[j])
				if err != nil || s.Runner.Receive("bench", m, true) == p2p.Reject {
					refused.Add(1)
				}
			}
		})
	}
	work.Wait()
	if n := refused.Load(); n > 0 {
		return fmt.Errorf("%d payments were refused", n)
	}
	return ctx.Err()
}

// propagateSample is one block.
type propagateSample struct {
	lacking []int           // payments of it that each node did not have
	delays  []time.Duration // of each node, the miner's too
	miner   int
	cpu     time.Duration    // of all nodes, until the last tip
	garbage uint32           // collections until then
	bytes   int              // of the block
	sent    []uint64         // by each node, in all protocols
	words   blockWords       // of all nodes
	nodes   []p2p.BlockRelay // of each node
}

// blockWords are the messages about a block.
type blockWords struct {
	announce uint64 // bytes of announcements
	txs      uint64 // bytes of transactions that were asked for, and of the requests
	bodies   uint64 // bytes of whole bodies
	gossiped uint64 // announcements that came by gossip
	streamed uint64 // that came by stream
}

// submit hands a block to its miner's node, and follows it to the last tip.
func (b *propagateBench) submit(ctx context.Context, block *consensus.Block, miner int) (s propagateSample, err error) {
	s = propagateSample{miner: miner, bytes: block.Size(), delays: make([]time.Duration, b.nodes)}
	if s.lacking, err = b.lacking(block); err != nil {
		return s, err
	}
	before, err := b.net.sent()
	if err != nil {
		return s, err
	}
	hash := block.Hash()
	b.net.follow(hash)
	defer b.net.forget(hash)
	patience, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	answer := make(chan error, 1)
	garbage, cpu, began := collections(), processCPU(), time.Now()
	go func() {
		active, err := b.net.nodes[miner].Runner.SubmitBlock(patience, block)
		if err == nil && !active {
			err = errors.New("it is not the tip")
		}
		answer <- err
	}()
	at, err := b.net.everywhere(patience, hash)
	s.cpu, s.garbage = processCPU()-cpu, collections()-garbage
	if err = errors.Join(<-answer, err); err != nil {
		return s, fmt.Errorf("block %s: %w", hash, err)
	}
	for i := range at {
		s.delays[i] = at[i].Sub(began)
	}
	select {
	case <-time.After(afterBlock + 10*b.latency):
	case <-ctx.Done():
		return s, ctx.Err()
	}
	after, err := b.net.sent()
	if err != nil {
		return s, err
	}
	for i := range after {
		s.add(&before[i], &after[i])
	}
	return s, nil
}

// collections is how often garbage was collected.
func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// add takes in what one node sent and got.
func (s *propagateSample) add(before, after *sent) {
	is, was := &after.messages, &before.messages
	out := func(kinds ...p2p.Type) (bytes uint64) {
		for _, k := range kinds {
			bytes += is.StreamOut[k].Bytes - was.StreamOut[k].Bytes + is.GossipOut[k].Bytes - was.GossipOut[k].Bytes
		}
		return bytes
	}
	s.sent = append(s.sent, after.all-before.all)
	s.words.announce += out(p2p.TypeAnnounce)
	s.words.txs += out(p2p.TypeGetBlockTxs, p2p.TypeBlockTxs)
	s.words.bodies += out(p2p.TypeGetBlocks, p2p.TypeBlock)
	s.words.gossiped += is.GossipIn[p2p.TypeAnnounce].Messages - was.GossipIn[p2p.TypeAnnounce].Messages
	s.words.streamed += is.StreamIn[p2p.TypeAnnounce].Messages - was.StreamIn[p2p.TypeAnnounce].Messages
	s.nodes = append(s.nodes, p2p.BlockRelay{
		Rebuilt:   after.blocks.Rebuilt - before.blocks.Rebuilt,
		Completed: after.blocks.Completed - before.blocks.Completed,
		Whole:     after.blocks.Whole - before.blocks.Whole,
	})
}

// lacking counts the payments of a block that each node does not have.
func (b *propagateBench) lacking(block *consensus.Block) ([]int, error) {
	counts := make([]int, b.nodes)
	for i, s := range b.net.nodes {
		err := s.Runner.Do(func(n *node.Node, _ time.Time) error {
			for _, tx := range block.Txs[1:] {
				if !n.InMempool(tx.TxID()) {
					counts[i]++
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}
