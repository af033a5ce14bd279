package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/wallet"
)

// Flags that several commands share.
var (
	networkFlag = &cli.StringFlag{Name: "network", Value: "local", EnvVars: []string{"KAPOK_NETWORK"},
		Usage: "main, local, dev, regtest, or a network `FILE`.toml"}
	dataDirFlag = &cli.StringFlag{Name: "datadir", EnvVars: []string{"KAPOK_DATADIR"},
		Usage: "data `DIR`ectory (default: ~/.kapok/<network>)"}
	jsonFlag   = &cli.BoolFlag{Name: "json", Usage: "print JSON for programs"}
	rpcURLFlag = &cli.StringFlag{Name: "rpc", Usage: "`HOST:PORT` of the node's RPC server (default: 127.0.0.1 and the network's port)"}
	cookieFlag = &cli.StringFlag{Name: "cookie", Usage: "the node's cookie `FILE` (default: .cookie in its data directory)"}
	userFlag   = &cli.StringFlag{Name: "rpc-user", Usage: "RPC `USER`, with --rpc-password instead of a cookie", EnvVars: []string{"KAPOK_RPC_USER"}}
	passFlag   = &cli.StringFlag{Name: "rpc-password", Usage: "RPC `PASSWORD`", EnvVars: []string{"KAPOK_RPC_PASSWORD"}}
	logFlag    = &cli.StringFlag{Name: "log", Value: "warn", Usage: "log `LEVEL`: debug, info, warn or error"}
)

// clientFlags are those of a command that talks to a node.
func clientFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{networkFlag, dataDirFlag, rpcURLFlag, cookieFlag, userFlag, passFlag, jsonFlag}, more...)
}

// paramsOf returns the network that the flags name.
func paramsOf(c *cli.Context) (*consensus.Params, error) {
	return node.Network(c.String(networkFlag.Name))
}

// dataDirOf returns the data directory of a network: the flag, or ~/.kapok/<name>.
func dataDirOf(c *cli.Context, params *consensus.Params) (string, error) {
	if dir := c.String(dataDirFlag.Name); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory (give one with --datadir): %w", err)
	}
	return filepath.Join(home, ".kapok", params.Name), nil
}

// clientOf returns a client of the node that the flags name, or else the config
// file in the data directory. It does not connect: the first call does.
func clientOf(c *cli.Context, params *consensus.Params) (*rpc.Client, error) {
	dir, err := dataDirOf(c, params)
	if err != nil {
		return nil, err
	}
	addr := c.String(rpcURLFlag.Name)
	if addr == "" {
		settings, err := readConfigFile(filepath.Join(dir, configName))
		if err != nil {
			return nil, err
		}
		if addr, _ = settings["rpc"].(string); addr == "" || addr == "none" {
			addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(params.RPCPort))
		}
	}
	dial := rpc.Dial{URL: "http://" + clientAddr(strings.TrimPrefix(addr, "http://"))}
	if dial.User = c.String(userFlag.Name); dial.User != "" {
		dial.Password = c.String(passFlag.Name)
		return rpc.NewClient(dial), nil
	}
	if dial.CookieFile = c.String(cookieFlag.Name); dial.CookieFile == "" {
		dial.CookieFile = filepath.Join(dir, ".cookie")
	}
	return rpc.NewClient(dial), nil
}

// networkAndClient returns the network that the flags name and a client of its node.
func networkAndClient(c *cli.Context) (*consensus.Params, *rpc.Client, error) {
	params, err := paramsOf(c)
	if err != nil {
		return nil, nil, err
	}
	client, err := clientOf(c, params)
	return params, client, err
}

// loggerOf returns a logger to stderr at the level that the flags name. What
// libp2p would print for the whole process goes there too.
func loggerOf(c *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String(logFlag.Name))); err != nil {
		return nil, usageError(fmt.Sprintf("--log %q: use debug, info, warn or error", c.String(logFlag.Name)))
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
	return log, host.RedirectLibraryLog(log)
}

// printJSON writes one indented JSON document.
// show prints a report for people, or for programs where --json asks for that.
func show(c *cli.Context, report interface{ print(io.Writer) }) error {
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, report)
	}
	report.print(c.App.Writer)
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// isTerminal reports whether a person is looking at w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// exactArgs makes sure of the number of arguments, so that a forgotten one is
// no surprise later.
func exactArgs(c *cli.Context, n int) error {
	if c.NArg() == n {
		return nil
	}
	for _, arg := range c.Args().Slice() {
		if strings.HasPrefix(arg, "-") {
			return usageError(fmt.Sprintf("%s: flags go before the arguments (found %s after one)", c.Command.HelpName, arg))
		}
	}
	if n == 0 {
		return usageError(fmt.Sprintf("%s takes no arguments: what is %q?", c.Command.HelpName, c.Args().First()))
	}
	return usageError(fmt.Sprintf("usage: %s %s (%d given)", c.Command.HelpName, c.Command.ArgsUsage, c.NArg()))
}

// maxHashrate is more hashes per second than any miner here is told to do.
const maxHashrate = 1e18

// parseHashrate reads hashes per second: "2000000", "2M", "1.5 MH/s", "0" for no limit.
func parseHashrate(s string) (float64, error) { return hashrateUpTo(s, maxHashrate) }

// hashrateUpTo is parseHashrate with another limit.
func hashrateUpTo(s string, most float64) (float64, error) {
	text := strings.TrimSuffix(strings.TrimSpace(strings.ToLower(s)), "h/s")
	text = strings.TrimSpace(text)
	factor := 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, factor = strings.TrimSpace(rest), f
			break
		}
	}
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= 0) || rate*factor > most {
		return 0, usageError(fmt.Sprintf("hash rate %q: want hashes per second, such as 500k or 2M", s))
	}
	return rate * factor, nil
}

// formatHashrate writes hashes per second for people.
func formatHashrate(rate float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "TH/s"}, {1e9, "GH/s"}, {1e6, "MH/s"}, {1e3, "kH/s"}} {
		if rate >= unit.size {
			return fmt.Sprintf("%.2f %s", rate/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f H/s", rate)
}

// coins writes an amount of an RPC answer.
func coins(a rpc.Amount) string { return wallet.FormatAmount(int64(a)) }
