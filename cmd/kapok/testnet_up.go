package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet"
	"github.com/kapok-chain/kapok/testnet/record"
)

// Files in the directory of a testnet that is up.
const (
	upFile      = "up.json"      // upState; there as long as it is up
	stopFile    = "stop"         // made by `kapok testnet stop`, and taken away in the end
	networkFile = "network.toml" // the network, for other commands
)

// stopInterval is how often a testnet that is up looks for stopFile.
const stopInterval = 250 * time.Millisecond

// upState is what other commands have to know of a testnet that is up.
type upState struct {
	Version   string    `json:"kapok_version"`
	Name      string    `json:"name"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Network   string    `json:"network"` // file
	testnet.Info
}

func testnetUpCommand() *cli.Command {
	return &cli.Command{
		Name:      "up",
		Usage:     "run a testnet until it is stopped, to play with",
		ArgsUsage: "FILE.toml",
		Description: "Starts the testnet of a file with its payments and events, says where the nodes are,\n" +
			"and goes on until Ctrl-C or \"kapok testnet stop\". The file's duration has no meaning.\n" +
			"What happened is recorded as with \"kapok testnet run\".\n\n" +
			"Examples:\n" +
			"   kapok testnet up testdata/testnets/quick.toml\n" +
			"   kapok testnet up --processes --out here FILE.toml &  kapok testnet status here",
		Flags: testnetFlags(jsonFlag),
		Action: func(c *cli.Context) error {
			o, err := testnetOptionsOf(c)
			if err != nil {
				return err
			}
			return upTestnet(c, o)
		},
	}
}

// upTestnet runs a testnet until the context ends or somebody asks for its end.
func upTestnet(c *cli.Context, o testnet.Options) error {
	ctx, cancel := context.WithCancelCause(c.Context)
	defer cancel(nil)
	stages := newStages(newProgress(c.App.ErrWriter))
	o.Progress = stages.enter
	o.Interactive = true
	up := &upState{Version: version, Name: o.Spec.Name, PID: os.Getpid(), StartedAt: time.Now()}
	var watching sync.WaitGroup
	written := false
	o.Ready = func(info testnet.Info) {
		up.Info = info
		if err := up.write(o.Dir, o.Spec.Network); err != nil {
			cancel(err)
			return
		}
		written = true
		stages.pause(func() {
			if err := show(c, &upView{upState: up}); err != nil {
				cancel(err)
			}
		})
		watching.Go(func() { watchStop(ctx, filepath.Join(o.Dir, stopFile), cancel) })
	}
	summary, err := testnet.Run(ctx, o)
	stages.end()
	cancel(nil)
	watching.Wait()
	if written {
		err = errors.Join(err, up.remove(o.Dir))
	}
	if cause := context.Cause(ctx); err == nil && c.Context.Err() == nil && !errors.Is(cause, errStopped) && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err != nil {
		return err
	}
	if summary != nil && !c.Bool(jsonFlag.Name) {
		fmt.Fprintf(c.App.Writer, "\nstopped; what happened is in %s\n", filepath.Join(o.Dir, record.ReportFile))
	}
	return nil
}

var errStopped = errors.New("stopped by kapok testnet stop")

// watchStop ends a testnet when its stopFile appears.
func watchStop(ctx context.Context, file string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(stopInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := os.Stat(file); err == nil {
				cancel(errStopped)
				return
			}
		}
	}
}

// write says where the testnet is, in its directory.
func (up *upState) write(dir string, params *consensus.Params) error {
	var err error
	if up.Dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	up.Network = filepath.Join(up.Dir, networkFile)
	text, err := node.EncodeNetwork(params)
	if err != nil {
		return err
	}
	if err := os.WriteFile(up.Network, text, 0o600); err != nil {
		return err
	}
	return record.Replace(filepath.Join(up.Dir, upFile), func(w io.Writer) error { return printJSON(w, up) })
}

// remove says that the testnet is no longer up, unless somebody has said so already.
func (up *upState) remove(dir string) (err error) {
	for _, name := range []string{stopFile, upFile} {
		if gone := os.Remove(filepath.Join(dir, name)); !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// upView is what `kapok testnet up` says when all nodes run.
type upView struct{ *upState }

func (v *upView) print(w io.Writer) {
	fmt.Fprintf(w, "%s is up: %d nodes, as %s\n\n", v.Name, len(v.Nodes), v.Dir)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, n := range v.Nodes {
		fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\n", n.Node, n.Name, n.RPC, n.Pages, n.Metrics)
	}
	table.Flush()
	first := v.Nodes[0]
	fmt.Fprintf(w, "\nFrom another terminal:\n\n"+
		"  %[1]s rpc --network %[2]s --rpc %[3]s --cookie %[4]s getblockchaininfo\n"+
		"  %[1]s wallet create --network %[2]s\n"+
		"  %[1]s node --network %[2]s --datadir \"$(mktemp -d)\" --rpc 127.0.0.1:0 --peer %[5]s\n"+
		"  %[1]s testnet status %[6]s\n"+
		"  %[1]s testnet stop %[6]s\n\n",
		programName(), v.Network, first.RPC, first.Cookie, first.Address, v.Dir)
}
