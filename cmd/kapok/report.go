package main

import (
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "make sense of testnets that ran",
		ArgsUsage: "DIR",
		Description: "With a directory, writes summary.json and report.html of the run in it anew, of what\n" +
			"the run recorded: after an interruption that nothing could be written after, or with a\n" +
			"newer version of this program. The commands look at several runs together.\n\n" +
			"Examples:\n" +
			"   kapok report runs/7\n" +
			"   kapok report --json runs/7 | jq .stale_rate\n" +
			"   kapok report stale runs/7 runs/8\n" +
			"   kapok report tradeoffs",
		Flags:       []cli.Flag{jsonFlag},
		Action:      remakeReport,
		Subcommands: []*cli.Command{reportStaleCommand(), reportTradeoffsCommand()},
	}
}

// Bounds of `kapok report stale`.
const (
	maxStaleRuns = 100     // a joint region of more has intervals too wide to say much
	staleBlocks  = 1000    // a rate of 10 % is known within two percentage points then
	maxStaleNeed = 100_000 // as many as a run may have
)

func reportStaleCommand() *cli.Command {
	return &cli.Command{
		Name:      "stale",
		Usage:     "hold the stale rates of runs against what delays and hash rates predict",
		ArgsUsage: "DIR...",
		Description: "Each DIR is the directory of a run, made with \"kapok testnet run\". The measured\n" +
			"shares of stale blocks form a joint 95 % region, which must hold the predictions:\n" +
			"they are made from the delays between miners and the hash rates that were measured.\n" +
			"Times between finds and hashes per find are held against the exponential\n" +
			"distribution.\n\n" +
			"Exit status 1: a prediction is outside, a test fails, or there are too few blocks.\n\n" +
			"Examples:\n" +
			"   kapok report stale runs/stale-500ms runs/stale-1s runs/stale-2s\n" +
			"   kapok report stale --blocks 300 --json runs/*",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "blocks", Value: staleBlocks, Usage: "want `N` undisturbed blocks of each run"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the random `SEED` of the simulated prediction"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if n := c.NArg(); n < 1 || n > maxStaleRuns {
				return usageError(fmt.Sprintf("usage: %s %s: name 1 to %d directories of runs (%d given)", c.Command.HelpName, c.Command.ArgsUsage, maxStaleRuns, n))
			}
			if err := checkRanges(c, []flagRange{{"blocks", 1, maxStaleNeed}}); err != nil {
				return err
			}
			runs, err := staleRuns(c.Args().Slice(), mathrand.New(mathrand.NewPCG(c.Uint64("seed"), 0)))
			if err != nil {
				return err
			}
			r := report.StaleRates(runs, c.Int("blocks"))
			if c.Bool(jsonFlag.Name) {
				if err := printJSON(c.App.Writer, r); err != nil {
					return err
				}
			} else {
				r.Print(c.App.Writer)
			}
			if !r.OK {
				return fmt.Errorf("%d of what was looked at is not as it should be (see above)", len(r.Problems))
			}
			return nil
		},
	}
}

// staleRuns reads run directories, each of a run of its own. One run is in memory at a time.
func staleRuns(dirs []string, rng *mathrand.Rand) (runs []report.StaleRun, err error) {
	names := make(map[string]string)
	for _, dir := range dirs {
		run, err := record.Open(filepath.Clean(dir))
		if err != nil {
			return nil, err
		}
		m := &run.Manifest
		key := fmt.Sprint(m.StartedAt.UnixNano(), m.Seed, m.Network.GenesisHash)
		if other, twice := names[key]; twice {
			return nil, usageError(fmt.Sprintf("%s and %s are the same run: each counts once", other, dir))
		}
		names[key] = dir
		runs = append(runs, report.NewStaleRun(run, report.Summarize(run, rng)))
	}
	return runs, nil
}
