package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet"
	"github.com/kapok-chain/kapok/testnet/spec"
)

func testnetCommand() *cli.Command {
	return &cli.Command{
		Name:  "testnet",
		Usage: "run a network of real nodes from one file, and measure it",
		Description: "The file says how many nodes there are, who mines, what lies between them, who pays,\n" +
			"and what goes wrong when (docs/testnet.md; examples in testdata/testnets).",
		Subcommands: []*cli.Command{testnetRunCommand(), testnetUpCommand(), testnetStatusCommand(), testnetStopCommand(), testnetNodeCommand()},
	}
}

// testnetFlags are those of a command that starts a testnet.
func testnetFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "out", Usage: "write what happens to `DIR`ectory (default: the testnet's name and the time)"},
		&cli.StringFlag{Name: "data", Usage: "keep the nodes' chains under `DIR`ectory (default: a temporary one, removed at the end)"},
		&cli.BoolFlag{Name: "processes", Usage: "run each node in a process of its own"},
		&cli.Uint64Flag{Name: "seed", Usage: "draw by `SEED`, and not the file's"},
		// Nodes warn of much that a testnet does on purpose.
		&cli.StringFlag{Name: logFlag.Name, Value: "error", Usage: logFlag.Usage},
	}, more...)
}

// testnetOptionsOf reads the file and the flags.
func testnetOptionsOf(c *cli.Context) (o testnet.Options, err error) {
	if err := exactArgs(c, 1); err != nil {
		return o, err
	}
	if o.Log, err = loggerOf(c); err != nil {
		return o, err
	}
	var choices []spec.Option
	if c.IsSet("seed") {
		choices = append(choices, spec.WithSeed(c.Uint64("seed")))
	}
	now := time.Now()
	if o.Spec, err = spec.Read(c.Args().First(), now, choices...); err != nil {
		if errs := spec.Errors(nil); errors.As(err, &errs) {
			return o, fmt.Errorf("%s cannot be run\n%w", c.Args().First(), err)
		}
		return o, err
	}
	program, err := os.Executable()
	if err != nil {
		return o, err
	}
	if o.Dir = c.String("out"); o.Dir == "" {
		o.Dir = o.Spec.Name + now.Format("-20060102-150405")
	}
	o.Data, o.Processes, o.Version = c.String("data"), c.Bool("processes"), version
	o.Command = []string{program, "testnet", "node"}
	return o, nil
}

// testnetNodeCommand is what a testnet starts where a node has a process of its own.
func testnetNodeCommand() *cli.Command {
	return &cli.Command{
		Name: "node", Hidden: true,
		Usage: "one node of a testnet, steered by JSON lines on standard input",
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return testnet.Child(c.Context, os.Stdin, c.App.Writer, c.App.ErrWriter)
		},
	}
}
