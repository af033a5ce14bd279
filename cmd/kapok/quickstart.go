package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"
)

// The quickstart's defaults. Two million hashes a second leave most of a laptop
// to its owner and find a block of network dev about every two seconds.
const (
	quickstartNodes    = 3
	quickstartHashrate = "2M"
	quickstartConfirms = 3
	quickstartAmount   = "12.5"
)

func quickstartCommand() *cli.Command {
	return &cli.Command{
		Name:  "quickstart",
		Usage: "three nodes, a miner, two wallets and a payment, now",
		Description: "Starts three full nodes of network dev in one process, sharing nothing: each has\n" +
			"its own data directory, mempool and libp2p host. Node 1 mines; once coins mature,\n" +
			"wallet A on node 1 pays wallet B on node 3, and the screen follows the payment.\n\n" +
			"Examples:\n" +
			"   kapok quickstart                      runs until Ctrl-C\n" +
			"   kapok quickstart --exit               stops after the payment; exit status 0 if it confirmed\n" +
			"   kapok quickstart --exit --json        the same for programs\n" +
			"   kapok quickstart --listen 0.0.0.0:29420   lets a second laptop join",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "exit", Usage: "stop after the payment: status 0 if it confirmed on all nodes with equal coin sums"},
			&cli.BoolFlag{Name: "processes", Usage: "run the three nodes as three processes"},
			&cli.StringFlag{Name: "max-hashrate", Value: quickstartHashrate, Usage: "mine no faster than `RATE` (0: no limit)"},
			&cli.StringFlag{Name: "datadir", Usage: "keep the nodes' data under `DIR` (default: a temporary one, removed at the end)"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Usage: "node 1 listens for peers on `IP:PORT`"},
			jsonFlag, logFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return runQuickstart(c)
		},
	}
}

// runQuickstart is the main job from one end to the other.
func runQuickstart(c *cli.Context) (err error) {
	began := started
	rate, err := parseHashrate(c.String("max-hashrate"))
	if err != nil {
		return err
	}
	dir := c.String("datadir")
	if dir == "" {
		if dir, err = os.MkdirTemp("", "kapok-quickstart-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	log, err := loggerOf(c)
	if err != nil {
		return err
	}
	plan, err := newPlan(quickstartNodes, dir, c.String("listen"), rate, log)
	if err != nil {
		return err
	}
	plan.serve, plan.text = true, "/kapok quickstart/"
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	start := startInProcess
	if c.Bool("processes") {
		start = startProcesses
	}
	fleet, err := start(ctx, plan)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		if stopped := fleet.wait(); err == nil {
			err = stopped
		}
	}()
	screen := newScreen(c.App.Writer, c.Bool(jsonFlag.Name))
	follower := newFollower(plan, fleet, screen)
	defer screen.show("") // the shell's prompt gets a line of its own
	summary, err := follower.story(ctx, began)
	if err != nil {
		switch wanted := c.Bool("exit") || c.Bool(jsonFlag.Name); {
		case c.Context.Err() == nil:
			return err
		case wanted:
			return errors.New("interrupted before the payment was confirmed")
		}
		return nil // Ctrl-C is a way to leave
	}
	if c.Bool(jsonFlag.Name) {
		if err := printJSON(c.App.Writer, summary); err != nil {
			return err
		}
	} else {
		screen.summary(summary)
	}
	if c.Bool("exit") {
		return summary.verdict()
	}
	screen.goOn()
	if err := follower.until(ctx, func() (bool, error) { return false, nil }); c.Context.Err() == nil {
		return err
	}
	return nil // Ctrl-C
}

// started is when this process began: package initialisation is within a few
// milliseconds of it. The banner's delay is measured from there.
var started = time.Now()

// verdict is nil only where the payment is confirmed on all nodes and all hold
// the same coins.
func (s *quickstartSummary) verdict() error {
	for _, n := range s.Nodes {
		if n.Confirmations < 1 {
			return fmt.Errorf("the payment is not confirmed on node %d", n.Node)
		}
		if n.CoinSum != s.Nodes[0].CoinSum {
			return fmt.Errorf("nodes 1 and %d hold different coins: %s and %s", n.Node, s.Nodes[0].CoinSum, n.CoinSum)
		}
	}
	return nil
}
