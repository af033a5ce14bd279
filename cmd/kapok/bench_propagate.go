package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
)

func benchPropagateCommand() *cli.Command {
	return &cli.Command{
		Name:  "propagate",
		Usage: "how fast blocks and payments reach every node, and what that sends",
		Description: "Full nodes of network regtest in one process, which share nothing but it: each has its\n" +
			"store, its mempool and its libp2p host on loopback, and dials up to eight others. For\n" +
			"each block, some payments are handed to random nodes at random times (a Poisson\n" +
			"process) and followed to the last mempool; the rest is put into the mempools without\n" +
			"being told to anybody; then one node, each in its turn, gets the block from its miner,\n" +
			"and it is followed to the last node's tip. The first block is not counted.\n\n" +
			"Examples:\n" +
			"   kapok bench propagate                                  8 nodes, 2,000 payments\n" +
			"   kapok bench propagate --nodes 20 --latency 50ms        links of 50 ms each way\n" +
			"   kapok bench propagate --nodes 20 --latency 50ms --missing 10% --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Value: 8, Usage: "run `N` nodes"},
			&cli.IntFlag{Name: "txs", Value: 2000, Usage: "`N` payments in a block"},
			&cli.IntFlag{Name: "blocks", Value: 20, Usage: "measure over `N` blocks"},
			&cli.DurationFlag{Name: "latency", Usage: "delay what a node sends by `TIME` on its way (0: the loopback as it is)"},
			&cli.StringFlag{Name: "missing", Value: "0%", Usage: "leave this `SHARE` of the payments out of each mempool, such as 10%"},
			&cli.Float64Flag{Name: "rate", Value: 20, Usage: "hand in followed payments `R` times a second, on average"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the random `SEED` of who dials whom, of the schedule, and of what is missing"},
			jsonFlag, logFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			o, err := propagateOptionsOf(c)
			if err != nil {
				return err
			}
			log, err := loggerOf(c)
			if err != nil {
				return err
			}
			b := &propagateBench{propagateOptions: o, log: log, progress: newProgress(c.App.ErrWriter)}
			report, err := b.measure(c.Context)
			if err != nil {
				return err
			}
			return show(c, report)
		},
	}
}

// Bounds of `kapok bench propagate`.
const (
	maxPropagateNodes  = 64 // some 40 MB each
	maxPropagateBlocks = 1000
	maxLatency         = 2 * time.Second
	maxPropagateRate   = 1000
)

// propagateOptions is what to measure.
type propagateOptions struct {
	nodes, txs, blocks int
	latency            time.Duration
	missing            float64 // share of payments, for each node
	rate               float64 // followed payments a second
	seed               uint64
}

func propagateOptionsOf(c *cli.Context) (o propagateOptions, err error) {
	o = propagateOptions{
		nodes: c.Int("nodes"), txs: c.Int("txs"), blocks: c.Int("blocks"), latency: c.Duration("latency"),
		rate: c.Float64("rate"), seed: c.Uint64("seed"),
	}
	err = checkRanges(c, []flagRange{{"nodes", 2, maxPropagateNodes}, {"txs", 1, maxConnectPayments}, {"blocks", 1, maxPropagateBlocks}})
	if err != nil {
		return o, err
	}
	if o.latency < 0 || o.latency > maxLatency {
		return o, usageError(fmt.Sprintf("--latency %v: choose 0 to %v", o.latency, maxLatency))
	}
	if !(o.rate > 0 && o.rate <= maxPropagateRate) {
		return o, usageError(fmt.Sprintf("--rate %g: choose more than 0, and at most %d", o.rate, maxPropagateRate))
	}
	o.missing, err = parseShare(c.String("missing"))
	if err != nil {
		return o, usageError("--missing " + err.Error())
	}
	return o, nil
}

// parseShare reads a share of 1, as "10%" or "0.1".
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, fmt.Errorf("%q: choose 0%% to 100%%", text)
	}
	return share, nil
}

// warmUp is how many blocks come before those that are measured: the first one meets cold
// caches and a heap that has to grow, and takes up to twice as long.
const warmUp = 1

// Times of a measurement.
const (
	// meshTime is from the last connection to the first measurement: gossip forms
	// its meshes at heartbeats of a second, and treats peers of the first three as new.
	meshTime = 6 * time.Second
	// followedTxs is how many payments of a block are followed, at most; half of the
	// block's are not, so that few payments make no difference to the mempools.
	followedTxs = 50
	// deliverTime is how long the last followed payment may take.
	deliverTime = 10 * time.Second
	// blockTime is how long a block may take; a node that has none then ends the bench.
	blockTime = time.Minute
	// afterBlock is how long what a block caused is counted after the last tip, beside
	// ten times the links' delay: copies that come late.
	afterBlock = 500 * time.Millisecond
)

// propagateBench is a measurement in progress. One goroutine runs it.
type propagateBench struct {
	propagateOptions
	log      logger
	progress progress
	random   *rand.Rand

	chain   []*consensus.Block // those that pay are the last, from the one that warms up
	known   int                // how many of the first ones all nodes have from the start
	net     *propagateNet
	samples []propagateSample
	paid    propagatePaid
}

// measure makes what is needed, and measures. Where the context ends early, the
// report is of what was measured until then.
func (b *propagateBench) measure(parent context.Context) (_ *propagateReport, err error) {
	count := warmUp + b.blocks
	made, err := cached(fmt.Sprintf("connect-%d-%d", b.txs, count), func(dir string) error {
		return makePaidBlocks(parent, filepath.Join(dir, blocksFile), b.txs, count, b.progress)
	})
	if err != nil {
		return nil, err
	}
	if b.chain, err = readBlocks(filepath.Join(made, blocksFile)); err != nil {
		return nil, err
	}
	if len(b.chain) <= count {
		return nil, fmt.Errorf("%s holds %d blocks, not more than %d: remove it", made, len(b.chain), count)
	}
	b.known = len(b.chain) - count
	b.random = rand.New(rand.NewPCG(b.seed, 0))
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	b.net, err = startPropagateNet(ctx, cancel, b)
	if err != nil {
		return nil, err
	}
	defer func() {
		cancel()
		err = errors.Join(err, b.net.close())
	}()
	load := loadAverage()
	began := time.Now()
	for i, block := range b.chain[b.known:] {
		if i == warmUp {
			b.samples, b.paid = nil, propagatePaid{}
		}
		b.progress.show("  block %d of %d · %.0f s", i+1, count, time.Since(began).Seconds())
		if err = b.one(ctx, block, i%b.nodes); err != nil {
			break
		}
	}
	b.progress.clear()
	if err != nil && (parent.Err() == nil || len(b.samples) == 0) {
		return nil, errors.Join(err, b.net.fault())
	}
	return b.report(err == nil, load), nil
}

// one measures one block, and some of its payments before it.
func (b *propagateBench) one(ctx context.Context, block *consensus.Block, miner int) error {
	txs := block.Txs[1:]
	followed := min(followedTxs, len(txs)/2)
	if err := b.pay(ctx, txs[:followed]); err != nil {
		return err
	}
	if err := b.fill(ctx, txs, miner); err != nil {
		return err
	}
	select { // at no particular moment of ticks and heartbeats
	case <-time.After(time.Duration(b.random.Int64N(int64(200 * time.Millisecond)))):
	case <-ctx.Done():
		return ctx.Err()
	}
	s, err := b.submit(ctx, block, miner)
	if err == nil {
		b.samples = append(b.samples, s)
	}
	return err
}
