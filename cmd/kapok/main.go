// Command kapok is a proof-of-work public chain in one binary: a full node, a
// miner, a wallet and the measurements of what they cost.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/rpc"
)

// version is the release that the next tag will carry.
const version = "0.1.0"

// agent is what peers and RPC clients are told. Tools that look for Bitcoin
// Core's version find the one whose RPC is spoken.
const agent = "/kapok:" + version + "/Satoshi:29.0.0/"

// Exit statuses. Scripts may rely on them.
const (
	exitFailed = 1 // it did not work; the sentence on stderr says why
	exitUsage  = 2 // the command line is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args)
	stop()
	os.Exit(code)
}

// run is main without the process: the script tests call it.
func run(ctx context.Context, args []string) int {
	err := newApp().RunContext(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "kapok: %v\n", err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "kapok: interrupted")
	case errors.Is(err, rpc.ErrNoServer):
		fmt.Fprintf(os.Stderr, "kapok: %v; start one with \"kapok node\" and the same --network, or say where it is with --rpc and --datadir\n", err)
	default:
		fmt.Fprintf(os.Stderr, "kapok: %v\n", err)
	}
	return exitFailed
}

// usageError says that the command line, not the world, is wrong.
type usageError string

func (e usageError) Error() string { return string(e) }

func newApp() *cli.App {
	app := &cli.App{
		Name:                 "kapok",
		Usage:                "a proof-of-work chain to run, to mine and to measure",
		Version:              version,
		EnableBashCompletion: true,
		HideVersion:          false,
		Description: "Start with the whole thing on one machine:\n\n" +
			"   kapok quickstart\n\n" +
			"Every command has --help with examples, and --json for programs.",
		Commands: []*cli.Command{
			quickstartCommand(),
			nodeCommand(),
			mineCommand(),
			walletCommand(),
			chainCommand(),
			rpcCommand(),
			benchCommand(),
			testnetCommand(),
			reportCommand(),
		},
		ExitErrHandler: func(*cli.Context, error) {}, // run decides
		Action:         wantCommand,
		OnUsageError:   wrongFlag,
	}
	for _, command := range app.Commands {
		strict(command)
	}
	return app
}

// strict makes a command answer a wrong command line with one sentence and
// status 2. A command without subcommands has no subcommand help either: it
// would stand in the way of an argument of that name (kapok rpc help).
func strict(command *cli.Command) {
	command.OnUsageError = wrongFlag
	if len(command.Subcommands) == 0 {
		command.HideHelpCommand = true
		return
	}
	if command.Action == nil {
		command.Action = wantCommand
	}
	for _, sub := range command.Subcommands {
		strict(sub)
	}
}

// wrongFlag is the answer to flags that cannot be parsed.
func wrongFlag(c *cli.Context, err error, _ bool) error {
	return usageError(fmt.Sprintf("%v (see %s --help)", err, helpName(c)))
}

// wantCommand is the action of what only holds commands: help, or a word about
// the one that does not exist.
func wantCommand(c *cli.Context) error {
	if c.NArg() > 0 {
		return usageError(fmt.Sprintf("there is no command %q (see %s --help)", c.Args().First(), helpName(c)))
	}
	if c.Command.HelpName == "" || c.Command.Name == c.App.Name {
		return cli.ShowAppHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}

// helpName is what to type before --help.
func helpName(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return c.App.Name
}
