package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/testnet/record"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure what this machine can do",
		Description: "Every measurement says what it was made on and how. Ctrl-C ends one early:\n" +
			"what was measured until then is printed, with \"complete\": false (sync and start: nothing).",
		Subcommands: []*cli.Command{benchHashCommand(), benchMerkleCommand(), benchVerifyCommand(), benchConnectCommand(), benchSyncCommand(), benchSubmitCommand(), benchStartCommand(), benchCompareCommand(), benchConfirmCommand(), benchPropagateCommand()},
	}
}

// machine is what a measurement was made on.
type machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"` // that Go may use
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

func thisMachine() machine {
	m := record.ThisMachine()
	return machine{CPU: m.CPU, Cores: m.Cores, OS: m.OS, Arch: m.Arch, Go: m.Go}
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", m.CPU, m.Cores, m.OS, m.Arch, m.Go)
}

// progress shows how far a measurement is, on a terminal only.
type progress struct{ screen *screen }

func newProgress(w io.Writer) progress { return progress{newScreen(w, !isTerminal(w))} }

func (p progress) show(format string, args ...any) { p.screen.show(fmt.Sprintf(format, args...)) }

// clear takes the line away, so that results stand alone.
func (p progress) clear() { p.screen.show("") }

// complaint is a word about a measurement that did not come to its end.
func complaint(complete bool) string {
	if complete {
		return ""
	}
	return "INTERRUPTED: the results are partial.\n"
}

// restFor is how long a machine is watched at rest before work on it is measured.
const restFor = time.Second

// restedMeter is an energy meter that knows what the machine draws at rest, where it
// has counters to ask: then this takes a second.
func restedMeter(ctx context.Context) *energy.Meter {
	meter := energy.NewMeter()
	if !meter.Measures() {
		return meter
	}
	select {
	case <-time.After(restFor):
		meter.Idle()
	case <-ctx.Done():
	}
	return meter
}

// flagRange is what a flag that holds a number may hold.
type flagRange struct {
	name     string
	min, max int
}

// checkRanges refuses numbers that are outside of what their flags may hold.
func checkRanges(c *cli.Context, ranges []flagRange) error {
	for _, r := range ranges {
		if n := c.Int(r.name); n < r.min || n > r.max {
			return usageError(fmt.Sprintf("--%s %d: choose %d to %d", r.name, n, r.min, r.max))
		}
	}
	return nil
}
