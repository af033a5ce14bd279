package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet"
)

func testnetRunCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a testnet from its file to its report",
		ArgsUsage: "FILE.toml",
		Description: "Starts the nodes, mines the coins that payments need, runs what the file says, and\n" +
			"writes a run directory: the blocks and payments as CSV, what happened as JSON, and a\n" +
			"report to look at. Ctrl-C ends it early and keeps what was measured.\n" +
			"Exit status 0 is for a run that came to its end.\n\n" +
			"Examples:\n" +
			"   kapok testnet run testdata/testnets/quick.toml\n" +
			"   kapok testnet run --out runs/7 --seed 7 testdata/testnets/wide-area.toml\n" +
			"   kapok testnet run --json FILE.toml > summary.json",
		Flags: testnetFlags(jsonFlag),
		Action: func(c *cli.Context) error {
			o, err := testnetOptionsOf(c)
			if err != nil {
				return err
			}
			return runTestnet(c, o)
		},
	}
}

// runTestnet runs a testnet, shows how far it is where somebody is looking, and prints
// what came of it.
func runTestnet(c *cli.Context, o testnet.Options) error {
	stages := newStages(newProgress(c.App.ErrWriter))
	o.Progress = stages.enter
	summary, err := testnet.Run(c.Context, o)
	stages.end()
	if summary != nil {
		view := &testnetSummary{Summary: summary, name: o.Spec.Name, dir: o.Dir}
		if shown := show(c, view); shown != nil {
			err = errors.Join(err, shown)
		}
	}
	switch {
	case err == nil:
		return nil
	case c.Context.Err() != nil && summary != nil:
		return fmt.Errorf("interrupted: what was measured until then is in %s, marked as interrupted", o.Dir)
	case summary != nil:
		return fmt.Errorf("%w; what was measured until then is in %s, marked as failed", err, o.Dir)
	}
	return err
}

// stages shows what a testnet is at, and for how long.
type stages struct {
	progress progress
	told     chan string
	print    chan func()
	done     chan struct{}
}

func newStages(p progress) *stages {
	s := &stages{progress: p, told: make(chan string), print: make(chan func()), done: make(chan struct{})}
	go s.run(time.Now())
	return s
}

// run rewrites the line every second, until told is closed.
func (s *stages) run(began time.Time) {
	defer close(s.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	stage := "starting"
	for {
		s.progress.show("%4.0f s  %s", time.Since(began).Seconds(), stage)
		select {
		case next, more := <-s.told:
			if !more {
				s.progress.clear()
				return
			}
			stage = next
		case show := <-s.print:
			s.progress.clear()
			show()
		case <-tick.C:
		}
	}
}

func (s *stages) enter(stage string) { s.told <- stage }

// pause takes the line away while something else is printed.
func (s *stages) pause(show func()) {
	printed := make(chan struct{})
	s.print <- func() {
		defer close(printed)
		show()
	}
	<-printed
}

// end takes the line away; no stage may be entered after it.
func (s *stages) end() {
	close(s.told)
	<-s.done
}
