package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/testnet"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// Files that a sweep leaves in its directory, beside the runs.
const (
	sweepFile      = "sweep.json"     // what was asked for
	sweepLockFile  = "sweep.lock"     // locked while a process is at work there
	tradeoffsFile  = "tradeoffs.json" // what it shows
	sweepPage      = "report.html"
	sweepRunsDir   = "runs"
	sweepDirectory = "kapok-tradeoffs"
)

// maxAttackers bounds the curves of a plot.
const maxAttackers = 5

// maxAssumedHashrate is that of all of Bitcoin's miners in 2025, about.
const maxAssumedHashrate = 1e21

// energyModels are the models that a flag may name.
var energyModels = map[string]func() energy.Model{
	"cpu": energy.ServerCPU, "desktop-cpu": energy.DesktopCPU, "laptop-cpu": energy.LaptopCPU,
	"asic": energy.ASIC, "asic-fleet": energy.ASICFleet,
}

func reportTradeoffsCommand() *cli.Command {
	return &cli.Command{
		Name:      "tradeoffs",
		Usage:     "what a shorter block interval, or another block size, buys and costs",
		ArgsUsage: "[DIR]",
		Description: "Runs testnets of real nodes that differ in block interval and size alone, each more\n" +
			"than once, and holds them against each other: delay to 1 and 6 confirmations, stale\n" +
			"rate and its prediction, the chance of a double spend by theory, energy a payment.\n" +
			"Leaves the runs, tradeoffs.json and report.html in DIR (default: " + sweepDirectory + ").\n\n" +
			"It takes about as long as --budget says, 13 minutes unless told otherwise. After an\n" +
			"interruption, the same command goes on with the runs that are missing.\n\n" +
			"Examples:\n" +
			"   kapok report tradeoffs\n" +
			"   kapok report tradeoffs --intervals 1,2,4 --sizes 12000,400000 --budget 40m sizes\n" +
			"   kapok report tradeoffs --attacker-share 0.2 --hashrate-assumed 600E --json",
		Flags: append(sweepFlags(),
			&cli.StringFlag{Name: "attacker-share", Value: "0.1,0.3", Usage: "work the risk out for attackers with these `SHARES` of the hash rate"},
			&cli.StringFlag{Name: "hashrate-assumed", Value: "1T", Usage: "work the energy of a payment out for a network of this `RATE`, too"},
			&cli.StringFlag{Name: "energy-model", Value: "asic-fleet", Usage: "hardware of that network: " + energyModelNames()},
			jsonFlag, logFlag),
		Action: reportTradeoffs,
	}
}

// sweepFlags say what is run.
func sweepFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "intervals", Value: "0.5,1,2", Usage: "seconds between blocks, `LIST`ed"},
		&cli.StringFlag{Name: "sizes", Value: "400000", Usage: "most weight units of a block, `LIST`ed"},
		&cli.IntFlag{Name: "replicas", Value: 2, Usage: "run each point `N` times"},
		&cli.DurationFlag{Name: "budget", Value: 13 * time.Minute, Usage: "choose the runs' lengths so that all take `TIME`"},
		&cli.IntFlag{Name: "nodes", Value: 8, Usage: "run `N` nodes, which all mine"},
		&cli.StringFlag{Name: "hashrate", Value: "100k", Usage: "all miners together do `RATE`"},
		&cli.DurationFlag{Name: "latency", Value: 100 * time.Millisecond, Usage: "one-way `DELAY` of all links"},
		&cli.Float64Flag{Name: "rate", Value: 5, Usage: "pay `R` times a second, on average"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the random `SEED` of all runs"},
	}
}

func energyModelNames() string { return strings.Join(slices.Sorted(maps.Keys(energyModels)), ", ") }

func reportTradeoffs(c *cli.Context) error {
	dir := sweepDirectory
	switch c.NArg() {
	case 0:
	case 1:
		dir = filepath.Clean(c.Args().First())
	default:
		return exactArgs(c, 1)
	}
	settings, err := sweepSettingsOf(c)
	if err != nil {
		return err
	}
	shown := report.Sweep{Version: version}
	if err := tellSweep(c, &shown); err != nil {
		return err
	}
	log, err := loggerOf(c)
	if err != nil {
		return err
	}
	p := newProgress(c.App.ErrWriter)
	s := &sweep{sweepSettings: settings, dir: dir, now: time.Now, say: func(text string) { p.show("  %s", text) },
		note: func(text string) { p.clear(); fmt.Fprintln(c.App.ErrWriter, text) }, run: realTestnet(log)}
	swept, err := s.sweep(c.Context)
	p.clear()
	if swept == nil {
		return err
	}
	shown.Points, shown.Incomplete = swept.points, swept.incomplete
	t := report.TradeoffsOf(shown, mathrand.New(mathrand.NewPCG(settings.Seed, 0)))
	if err == nil && swept.incomplete != "" {
		err = errors.New("the sweep is not complete (see above)")
	}
	err = errors.Join(err, writeTradeoffs(dir, t))
	if c.Bool(jsonFlag.Name) {
		return errors.Join(err, printJSON(c.App.Writer, t))
	}
	t.Print(c.App.Writer)
	fmt.Fprintf(c.App.Writer, "\nreport: %s\n", filepath.Join(dir, sweepPage))
	return err
}

// tellSweep reads the flags that say what is made of the runs.
func tellSweep(c *cli.Context, s *report.Sweep) (err error) {
	if s.Attackers, err = numbers(c, "attacker-share", 1e-6, 0.999, maxAttackers); err != nil {
		return err
	}
	if s.HashesPerS, err = hashrateUpTo(c.String("hashrate-assumed"), maxAssumedHashrate); err != nil {
		return err
	}
	model, known := energyModels[c.String("energy-model")]
	if !known {
		return usageError(fmt.Sprintf("--energy-model %q: there are %s", c.String("energy-model"), energyModelNames()))
	}
	s.Model = model()
	return nil
}

// numbers reads a list of numbers, all different, in ascending order.
func numbers(c *cli.Context, flag string, low, high float64, most int) (list []float64, err error) {
	for _, text := range strings.Split(c.String(flag), ",") {
		text = strings.TrimSpace(text)
		v, err := strconv.ParseFloat(text, 64)
		if d, asTime := time.ParseDuration(text); err != nil && asTime == nil {
			v, err = d.Seconds(), nil
		}
		if err != nil || !(v >= low && v <= high) {
			return nil, usageError(fmt.Sprintf("--%s %q: want numbers from %s to %s with commas between them, such as %s", flag, c.String(flag), plainNumber(low), plainNumber(high), flagDefault(c, flag)))
		}
		list = append(list, v)
	}
	slices.Sort(list)
	for i := range list {
		if i > 0 && list[i] == list[i-1] {
			return nil, usageError(fmt.Sprintf("--%s %q: %s stands there twice", flag, c.String(flag), plainNumber(list[i])))
		}
	}
	if len(list) > most {
		return nil, usageError(fmt.Sprintf("--%s: %d values: choose at most %d", flag, len(list), most))
	}
	return list, nil
}

func plainNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// flagDefault is what a flag is if nobody says otherwise.
func flagDefault(c *cli.Context, name string) string {
	for _, f := range c.Command.Flags {
		if s, ok := f.(*cli.StringFlag); ok && s.Name == name {
			return s.GetDefaultText()
		}
	}
	return ""
}

// writeTradeoffs leaves the results in the directory.
func writeTradeoffs(dir string, t *report.Tradeoffs) error {
	return errors.Join(
		record.Replace(filepath.Join(dir, tradeoffsFile), func(w io.Writer) error { return printJSON(w, t) }),
		record.Replace(filepath.Join(dir, sweepPage), func(w io.Writer) error { return report.TradeoffsHTML(w, t) }),
	)
}

// realTestnet runs testnets of real nodes.
func realTestnet(log *slog.Logger) func(context.Context, *spec.Spec, string, func(string)) error {
	return func(ctx context.Context, s *spec.Spec, dir string, progress func(string)) error {
		_, err := testnet.Run(ctx, testnet.Options{Spec: s, Dir: dir, Version: version, Log: log, Progress: progress})
		return err
	}
}
