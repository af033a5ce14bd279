package main

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/energy"
)

// Bounds and defaults of `kapok bench confirm`. The defaults take about a minute
// and a half: a few blocks until coins mature, the warm-up, the blocks that are
// measured, and six more for the last confirmations.
const (
	benchConfirmNodes  = 3
	maxConfirmNodes    = 32
	benchConfirmBlocks = 30
	maxConfirmBlocks   = 100_000
	benchConfirmWarmUp = 4
	benchConfirmRate   = 5.0

	// drainBlocks is how many blocks after the measured ones the last payments
	// have to get their confirmations in; one that has not is unconfirmed.
	drainBlocks = 12
)

// confirmOptions is what to measure.
type confirmOptions struct {
	nodes    int
	rate     float64 // payments per second
	blocks   uint32  // that are measured
	warmUp   uint32  // blocks before them, with payments
	hashrate float64 // hashes per second at most, 0: no limit
	seed     uint64  // of the schedule
}

func benchConfirmCommand() *cli.Command {
	return &cli.Command{
		Name:  "confirm",
		Usage: "how long a payment takes to be confirmed",
		Description: "Starts full nodes of network dev in one process, as quickstart does, and pays\n" +
			"through them at random times (a Poisson process) that wait for no answer. Every\n" +
			"payment is followed from the moment it was due to its sixth confirmation on the\n" +
			"last node.\n\n" +
			"Examples:\n" +
			"   kapok bench confirm                       30 blocks, 5 payments a second\n" +
			"   kapok bench confirm --blocks 5 --rate 2   a quick look\n" +
			"   kapok bench confirm --blocks 300 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Value: benchConfirmNodes, Usage: "run `N` nodes"},
			&cli.Float64Flag{Name: "rate", Value: benchConfirmRate, Usage: "pay `R` times a second, on average"},
			&cli.UintFlag{Name: "blocks", Value: benchConfirmBlocks, Usage: "measure over `N` blocks"},
			&cli.UintFlag{Name: "warm-up", Value: benchConfirmWarmUp, Usage: "begin to measure `N` blocks after the first payment"},
			&cli.StringFlag{Name: "max-hashrate", Value: quickstartHashrate, Usage: "mine no faster than `RATE` (0: no limit)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the schedule's random `SEED`"},
			jsonFlag, logFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			o, err := confirmOptionsOf(c)
			if err != nil {
				return err
			}
			log, err := loggerOf(c)
			if err != nil {
				return err
			}
			report, err := benchConfirm(c.Context, o, log, newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			return show(c, report)
		},
	}
}

// confirmOptionsOf reads and checks the flags.
func confirmOptionsOf(c *cli.Context) (o confirmOptions, err error) {
	o = confirmOptions{nodes: c.Int("nodes"), rate: c.Float64("rate"), seed: c.Uint64("seed")}
	blocks, warmUp := c.Uint("blocks"), c.Uint("warm-up")
	switch {
	case o.nodes < 1 || o.nodes > maxConfirmNodes:
		return o, usageError(fmt.Sprintf("--nodes %d: choose 1 to %d", o.nodes, maxConfirmNodes))
	case !(o.rate > 0):
		return o, usageError(fmt.Sprintf("--rate %g: choose more than 0 payments a second", o.rate))
	case blocks < 1 || blocks > maxConfirmBlocks || warmUp > maxConfirmBlocks:
		return o, usageError(fmt.Sprintf("--blocks %d --warm-up %d: choose 1 to %d blocks", blocks, warmUp, maxConfirmBlocks))
	}
	o.blocks, o.warmUp = uint32(blocks), uint32(warmUp)
	o.hashrate, err = parseHashrate(c.String("max-hashrate"))
	return o, err
}

// benchConfirm runs a fleet for as long as the measurement takes. Where the
// context ends early, the report is of what was measured until then.
func benchConfirm(parent context.Context, o confirmOptions, log *slog.Logger, p progress) (_ *confirmReport, err error) {
	dir, err := os.MkdirTemp("", "kapok-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	plan, err := newPlan(o.nodes, dir, "127.0.0.1:0", o.hashrate, log)
	if err != nil {
		return nil, err
	}
	plan.text = "/kapok bench/"
	if coins := o.coins(float64(plan.params.Spacing)); coins > maxPrepared {
		return nil, usageError(fmt.Sprintf("--rate %g over so many blocks takes about %d prepared coins, more than %d: lower --rate or --blocks", o.rate, coins, maxPrepared))
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	fleet, err := startInProcess(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer func() {
		cancel()
		if stopped := fleet.wait(); err == nil {
			err = stopped
		}
	}()
	b := &confirmBench{confirmOptions: o, plan: plan, fleet: fleet, trace: newConfirmTrace(o.nodes), progress: p, began: time.Now(), meter: energy.NewMeter()}
	defer p.clear()
	err = b.run(ctx)
	if err != nil && parent.Err() == nil {
		return nil, err
	}
	p.clear()
	return b.report(err == nil), nil
}

// confirmBench is a measurement in progress. One goroutine runs it.
type confirmBench struct {
	confirmOptions
	plan     *plan
	fleet    *fleet
	trace    *confirmTrace
	progress progress
	began    time.Time
	meter    *energy.Meter

	load       *load       // nil until the first payment is due
	from       uint32      // the measured blocks come after this height
	start, end measurement // of the measured blocks
	stage      string      // for the progress line
}

// measurement is the state of the mining and of the energy meter at one moment.
type measurement struct {
	mining miningEvent
	at     time.Time // of the mining event
	energy energy.Reading
}

// run goes through the stages of a measurement.
func (b *confirmBench) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if b.load != nil {
			b.load.wait()
		}
	}()
	b.stage = "waiting for coins to mature"
	if err := b.until(ctx, func() bool { return b.trace.lowestTip() >= b.plan.params.Maturity }); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	b.from = b.trace.tips[0].Height + b.warmUp
	b.stage = "warming up"
	if err := b.until(ctx, func() bool { return b.trace.tips[0].Height >= b.from }); err != nil {
		return err
	}
	b.start = b.measure()
	b.end = b.start
	b.stage = "measuring"
	if err := b.until(ctx, func() bool { return b.trace.tips[0].Height >= b.from+b.blocks }); err != nil {
		b.end = b.measure()
		return err
	}
	b.end = b.measure()
	b.load.stopAfter(time.Now())
	b.stage = "waiting for the last confirmations"
	if err := b.until(ctx, b.drained); err != nil {
		return err
	}
	cancel() // a sender that is still behind gives up now
	return b.load.wait()
}

// measure reads the meters.
func (b *confirmBench) measure() measurement {
	mining := b.trace.mining
	return measurement{mining: mining, at: b.trace.miningAt, energy: b.meter.Read(float64(mining.Hashes))}
}

// prepare makes the coins that the payments spend, and starts the payments once
// all nodes have them in a block.
func (b *confirmBench) prepare(ctx context.Context) error {
	coins := b.coins(b.expectedSpacing())
	if coins > maxPrepared {
		return fmt.Errorf("at %s a block takes %.1f s here, so that --rate %g needs %d prepared coins, more than %d: lower --rate or --blocks",
			formatHashrate(b.trace.mining.HashesPerS), b.expectedSpacing(), b.rate, coins, maxPrepared)
	}
	fans := uint32((coins + coinsPerFan - 1) / coinsPerFan)
	b.stage = "waiting for more coins to mature"
	if err := b.until(ctx, func() bool { return b.trace.lowestTip() >= b.plan.params.Maturity+fans-1 }); err != nil {
		return err
	}
	b.stage = "preparing coins"
	purses, err := fanOut(ctx, b.plan, b.fleet.nodes[0].client, int(fans))
	if err != nil {
		return err
	}
	if err := b.until(ctx, func() bool { return b.trace.confirmedEverywhere(purses) }); err != nil {
		return err
	}
	schedule := &poisson{rate: b.rate, random: mathrand.New(mathrand.NewPCG(b.seed, 0))}
	b.load = startLoad(ctx, b.plan, b.fleet, purses, schedule)
	return nil
}

// expectedSpacing is how many seconds a block takes at the rate and the
// difficulty of this moment, but at least the target.
func (b *confirmBench) expectedSpacing() float64 {
	target := float64(b.plan.params.Spacing)
	if rate := b.trace.mining.HashesPerS; rate > 0 {
		return max(target, b.trace.tips[0].Difficulty/rate)
	}
	return target
}

// coins is how many payments will be due while blocks take so many seconds, with
// room for a run of bad luck.
func (o *confirmOptions) coins(spacing float64) int {
	const luck, spare = 2, 100
	n := o.rate*spacing*(float64(o.warmUp)+float64(o.blocks)+1)*luck + spare
	return int(min(n, 1e9))
}

// until takes in what happens until the condition, looked at after each event,
// holds.
func (b *confirmBench) until(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-b.fleet.seen:
			if s.event == nil {
				return fmt.Errorf("node %d: %w", s.node, s.err)
			}
			if err := b.trace.take(ctx, b.fleet.nodes[0].client, s); err != nil {
				return err
			}
			b.show()
		case o := <-b.load.outcomes():
			b.trace.payments = append(b.trace.payments, o)
		}
	}
	return nil
}

// show says how far it is.
func (b *confirmBench) show() {
	b.progress.show("  %s · height %d%s · %d payments sent · %s · %.0f s", b.stage, b.trace.tips[0].Height, b.goal(),
		len(b.trace.payments), formatHashrate(b.trace.mining.HashesPerS), time.Since(b.began).Seconds())
}

// goal is the height at which the measured blocks end, once it is known.
func (b *confirmBench) goal() string {
	if b.from == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d", b.from+b.blocks)
}

// drained reports whether no measured payment can get more confirmations that
// matter, or none will in time.
func (b *confirmBench) drained() bool {
	tip := b.trace.lowestTip()
	if tip >= b.from+b.blocks+drainBlocks {
		return true
	}
	if tip < b.from+b.blocks || !b.load.ended() {
		return false
	}
	followed, _ := b.trace.follow(b.from, b.from+b.blocks)
	for i := range followed {
		if followed[i].confirmed[len(confirmDepths)-1].IsZero() && followed[i].err == nil {
			return false
		}
	}
	return true
}
