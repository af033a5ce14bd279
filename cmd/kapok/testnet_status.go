package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet"
	"github.com/kapok-chain/kapok/testnet/record"
)

const (
	// maxUpFile bounds up.json, in bytes: 50 nodes take 20 KB.
	maxUpFile = 1 << 20
	// answerTime is how long a node has to say how it is.
	answerTime = 5 * time.Second
	// stopTime is how long a testnet has to end, with its report, after it was asked to.
	stopTime = 2 * time.Minute
)

func testnetStatusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "how the nodes of a testnet that is up are",
		ArgsUsage:   "[DIR]",
		Description: "DIR is what \"kapok testnet up\" has said; without it, the one that is up in a\ndirectory of this one.",
		Flags:       []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			up, err := upOf(c)
			if err != nil {
				return err
			}
			return show(c, up.status(c.Context))
		},
	}
}

func testnetStopCommand() *cli.Command {
	return &cli.Command{
		Name:        "stop",
		Usage:       "end a testnet that is up, with its report",
		ArgsUsage:   "[DIR]",
		Description: "DIR is what \"kapok testnet up\" has said; without it, the one that is up in a\ndirectory of this one.",
		Action: func(c *cli.Context) error {
			up, err := upOf(c)
			if err != nil {
				return err
			}
			return up.stop(c.Context, c.App.Writer)
		},
	}
}

// upOf finds the testnet that is up in the directory that the arguments name, or else
// in one below this.
func upOf(c *cli.Context) (*upState, error) {
	if c.NArg() > 1 {
		return nil, exactArgs(c, 1)
	}
	if dir := c.Args().First(); dir != "" {
		up, err := readUp(dir)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("no testnet is up in %s: there is no %s", dir, filepath.Join(dir, upFile))
		}
		return up, err
	}
	found, err := filepath.Glob(filepath.Join("*", upFile))
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no testnet is up in a directory of this one: start one with \"kapok testnet up FILE.toml\", or name its directory")
	case 1:
		return readUp(filepath.Dir(found[0]))
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return nil, usageError("several testnets are up here: name one of " + strings.Join(found, ", "))
}

// readUp reads the state of the testnet that is up in a directory.
func readUp(dir string) (*upState, error) {
	file, err := os.Open(filepath.Join(dir, upFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var up upState
	if err := json.NewDecoder(io.LimitReader(file, maxUpFile)).Decode(&up); err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	if len(up.Nodes) == 0 {
		return nil, fmt.Errorf("%s: it names no nodes; it is not from kapok testnet up", file.Name())
	}
	up.Dir = dir // which may have been moved
	return &up, nil
}

// nodeStatus is how one node is.
type nodeStatus struct {
	testnet.NodeInfo
	Height     uint32 `json:"height"`
	Tip        string `json:"tip,omitempty"`
	MempoolTxs int    `json:"mempool_txs"`
	Peers      int    `json:"peers"`
	Error      string `json:"error,omitempty"` // why it did not answer
}

// testnetStatus is how all of them are.
type testnetStatus struct {
	Name  string       `json:"name"`
	Dir   string       `json:"dir"`
	UpS   float64      `json:"up_s"`
	Nodes []nodeStatus `json:"nodes"`
}

// status asks all nodes at once.
func (up *upState) status(ctx context.Context) *testnetStatus {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s := &testnetStatus{Name: up.Name, Dir: up.Dir, UpS: time.Since(up.StartedAt).Seconds(), Nodes: make([]nodeStatus, len(up.Nodes))}
	var asked sync.WaitGroup
	for i, n := range up.Nodes {
		asked.Go(func() {
			s.Nodes[i].NodeInfo = n
			if err := s.Nodes[i].ask(ctx); err != nil {
				s.Nodes[i].Error = err.Error()
			}
		})
	}
	asked.Wait()
	return s
}

// ask calls the node.
func (n *nodeStatus) ask(ctx context.Context) error {
	client := rpc.NewClient(rpc.Dial{URL: n.RPC, CookieFile: n.Cookie})
	defer client.Close()
	var chain struct {
		Blocks uint32 `json:"blocks"`
		Best   string `json:"bestblockhash"`
	}
	var pool struct {
		Size int `json:"size"`
	}
	if err := client.Call(ctx, "getblockchaininfo", &chain); err != nil {
		return err
	}
	if err := client.Call(ctx, "getmempoolinfo", &pool); err != nil {
		return err
	}
	n.Height, n.Tip, n.MempoolTxs = chain.Blocks, chain.Best, pool.Size
	return client.Call(ctx, "getconnectioncount", &n.Peers)
}

// answers is how many nodes have answered.
func (s *testnetStatus) answers() (n int) {
	for _, node := range s.Nodes {
		if node.Error == "" {
			n++
		}
	}
	return n
}

func (s *testnetStatus) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d of %d nodes answer, up for %s\n\n", s.Name, s.answers(), len(s.Nodes), time.Duration(s.UpS*float64(time.Second)).Round(time.Second))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  node\tname\theight\ttip\tmempool\tpeers\tRPC")
	for _, n := range s.Nodes {
		if n.Error != "" {
			fmt.Fprintf(table, "  %d\t%s\tdoes not answer\t\t\t\t%s\n", n.Node, n.Name, n.RPC)
			continue
		}
		fmt.Fprintf(table, "  %d\t%s\t%d\t%s…\t%d\t%d\t%s\n", n.Node, n.Name, n.Height, n.Tip[:min(16, len(n.Tip))], n.MempoolTxs, n.Peers, n.RPC)
	}
	table.Flush()
}

// stop asks a testnet to end, and waits until it has. One whose nodes are too busy to
// answer is asked like any other; only where there is no process of its number either does it
// count as dead, and what it left is taken away. One that is up in another container may look
// dead from here: the error says how that was found.
func (up *upState) stop(ctx context.Context, w io.Writer) error {
	if !processRuns(up.PID) && up.status(ctx).answers() == 0 {
		if err := context.Cause(ctx); err != nil {
			return err // so that nobody had the time to answer
		}
		err := up.remove(up.Dir)
		return errors.Join(fmt.Errorf("%s in %s is not up: none of its nodes answers, and no process %d is here; %s is taken away. If it runs in another container, end it there",
			up.Name, up.Dir, up.PID, upFile), err)
	}
	file, err := os.OpenFile(filepath.Join(up.Dir, stopFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("asking %s to stop: %w", up.Name, err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, errSlowStop)
	defer cancel()
	tick := time.NewTicker(stopInterval)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(up.Dir, upFile)); errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(w, "%s has stopped; what happened is in %s\n", up.Name, filepath.Join(up.Dir, record.ReportFile))
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, errSlowStop) {
				return cause
			}
			return fmt.Errorf("%s was asked to stop %s ago and has not: its process is %d; if that is another program by now, remove %s and %s",
				up.Name, stopTime, up.PID, filepath.Join(up.Dir, upFile), filepath.Join(up.Dir, stopFile))
		}
	}
}

var errSlowStop = errors.New("the testnet does not stop")
