package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// Bounds and defaults of `kapok bench confirm`. The defaults take about four minutes: the
// warm-up, the blocks that are measured, and some more for the last confirmations. An
// interval of the delay to six confirmations takes 90 blocks that hold payments, and one in
// twenty holds none at ten payments a second.
const (
	benchConfirmNodes   = 3
	maxConfirmNodes     = 50
	benchConfirmBlocks  = 110
	maxConfirmBlocks    = 100_000
	benchConfirmWarmUp  = 4
	benchConfirmRate    = 10.0
	maxConfirmRate      = 200.0
	benchConfirmSpacing = 2 * time.Second // as on network dev
	leastWallets        = 4
)

// confirmOptions is what to measure.
type confirmOptions struct {
	nodes    int
	rate     float64 // payments per second
	blocks   uint    // that are measured
	warmUp   uint    // block intervals before them, with payments
	hashrate float64 // hashes per second of all nodes together
	spacing  time.Duration
	latency  time.Duration // one way, of all links; negative: a local network's
	seed     uint64        // of wallets and schedule
	out      string        // where the record stays; "": nowhere
}

func benchConfirmCommand() *cli.Command {
	return &cli.Command{
		Name:  "confirm",
		Usage: "how long a payment takes to be confirmed",
		Description: "Runs a testnet of full nodes that all mine, in one process, and pays through them at\n" +
			"random times (a Poisson process) that wait for no answer. Every payment is followed\n" +
			"from the moment it was due to its sixth confirmation on the last node. Intervals come\n" +
			"from a bootstrap of whole blocks; where there are too few of them, there is none.\n" +
			"After an interruption the results are partial, and the exit status is 1.\n\n" +
			"Examples:\n" +
			"   kapok bench confirm                       110 blocks, 10 payments a second: four minutes\n" +
			"   kapok bench confirm --blocks 5 --rate 2   a quick look\n" +
			"   kapok bench confirm --nodes 20 --latency 100ms --out runs/wide\n" +
			"   kapok bench confirm --blocks 300 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Value: benchConfirmNodes, Usage: "run `N` nodes"},
			&cli.Float64Flag{Name: "rate", Value: benchConfirmRate, Usage: "pay `R` times a second, on average"},
			&cli.UintFlag{Name: "blocks", Value: benchConfirmBlocks, Usage: "measure over `N` blocks"},
			&cli.UintFlag{Name: "warm-up", Value: benchConfirmWarmUp, Usage: "begin to measure `N` block intervals after the first payment"},
			&cli.DurationFlag{Name: "spacing", Value: benchConfirmSpacing, Usage: "a block every `TIME`; parts of a second with a fixed difficulty"},
			&cli.StringFlag{Name: "max-hashrate", Value: quickstartHashrate, Usage: "mine at `RATE`, all nodes together"},
			&cli.DurationFlag{Name: "latency", Value: -1, DefaultText: "a local network's", Usage: "one-way delay `TIME` of every link"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the random `SEED` of wallets and schedule"},
			&cli.StringFlag{Name: "out", Usage: "keep the run directory, with its report.html, as `DIR`"},
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
			if report == nil {
				return err
			}
			return errors.Join(err, show(c, report))
		},
	}
}

// confirmOptionsOf reads and checks the flags.
func confirmOptionsOf(c *cli.Context) (o confirmOptions, err error) {
	o = confirmOptions{
		nodes: c.Int("nodes"), rate: c.Float64("rate"), blocks: c.Uint("blocks"), warmUp: c.Uint("warm-up"),
		spacing: c.Duration("spacing"), latency: c.Duration("latency"), seed: c.Uint64("seed"), out: c.String("out"),
	}
	switch {
	case o.nodes < 1 || o.nodes > maxConfirmNodes:
		return o, usageError(fmt.Sprintf("--nodes %d: choose 1 to %d", o.nodes, maxConfirmNodes))
	case !(o.rate > 0 && o.rate <= maxConfirmRate):
		return o, usageError(fmt.Sprintf("--rate %g: choose more than 0 and up to %g payments a second", o.rate, maxConfirmRate))
	case o.blocks < 1 || o.blocks > maxConfirmBlocks || o.warmUp > maxConfirmBlocks:
		return o, usageError(fmt.Sprintf("--blocks %d --warm-up %d: choose 1 to %d blocks", o.blocks, o.warmUp, maxConfirmBlocks))
	case o.latency < 0 && c.IsSet("latency"):
		return o, usageError(fmt.Sprintf("--latency %v: choose a time that is not negative", o.latency))
	}
	if o.hashrate, err = parseHashrate(c.String("max-hashrate")); err == nil && o.hashrate == 0 {
		err = usageError("--max-hashrate 0: the difficulty follows from the rate, so choose one above 0")
	}
	return o, err
}

// file is the testnet that is measured, as anybody could run it.
func (o *confirmOptions) file() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "name = \"bench-confirm\"\nseed = %d\nblocks = %d\nwarm_up = %q\n", o.seed, o.blocks, time.Duration(o.warmUp)*o.spacing)
	fmt.Fprintf(&b, "\n[network]\nname = \"bench\"\npreset = \"dev\"\nspacing = %q\n", o.spacing)
	if o.spacing%time.Second != 0 {
		fmt.Fprintf(&b, "difficulty = \"fixed\"\n")
	}
	fmt.Fprintf(&b, "\n[nodes]\ncount = %d\nhashrate = \"%.0f H/s\"\n", o.nodes, o.hashrate)
	if o.latency >= 0 {
		fmt.Fprintf(&b, "\n[links]\npreset = \"constant\"\nlatency = %q\n", o.latency)
	}
	fmt.Fprintf(&b, "\n[payments]\nrate = %g\nwallets = %d\n", o.rate, max(leastWallets, o.nodes))
	return []byte(b.String())
}

// benchConfirm runs the testnet. Where it ends early, the report is of what was measured
// until then, and the error says why.
func benchConfirm(ctx context.Context, o confirmOptions, log *slog.Logger, p progress) (_ *confirmReport, err error) {
	began := time.Now()
	s, err := spec.Parse(o.file(), "", began)
	if err != nil {
		return nil, usageError(fmt.Sprintf("these flags describe no testnet that can be run: %v", err))
	}
	dir := o.out
	if dir == "" {
		temporary, err := os.MkdirTemp("", "kapok-bench-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
		dir = filepath.Join(temporary, "run")
	}
	defer p.clear()
	summary, err := testnet.Run(ctx, testnet.Options{
		Spec: s, Dir: dir, Version: version, Log: log,
		Progress: func(stage string) { p.show("  %s · %.0f s", stage, time.Since(began).Seconds()) },
	})
	if summary == nil {
		return nil, err
	}
	run, unread := record.Open(dir)
	if unread != nil {
		return nil, errors.Join(err, unread)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted: the results are of what was measured until then")
	}
	return newConfirmReport(&o, run, summary, time.Since(began)), err
}
