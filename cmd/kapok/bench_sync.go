package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
)

func benchSyncCommand() *cli.Command {
	return &cli.Command{
		Name:  "sync",
		Usage: "how fast a new node gets a chain from a peer",
		Description: "Two chains are made, of empty blocks and of blocks with payments (1 input, 2 outputs).\n" +
			"For each, one process serves it and another one, on an empty directory, fetches it over\n" +
			"loopback and judges everything.\n\n" +
			"Examples:\n" +
			"   kapok bench sync\n" +
			"   kapok bench sync --blocks 20000 --paid-blocks 100 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "blocks", Value: 4000, Usage: "`N` empty blocks"},
			&cli.IntFlag{Name: "paid-blocks", Value: 20, Usage: "`N` blocks of payments"},
			&cli.IntFlag{Name: "payments", Value: 6480, Usage: "`N` payments in each: 6480 fill a block"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			for _, flag := range []struct {
				name     string
				min, max int
			}{{"blocks", 1, maxSyncBlocks}, {"paid-blocks", 1, maxSyncBlocks}, {"payments", 1, maxConnectPayments}} {
				if n := c.Int(flag.name); n < flag.min || n > flag.max {
					return usageError(fmt.Sprintf("--%s %d: choose %d to %d", flag.name, n, flag.min, flag.max))
				}
			}
			report, err := benchSync(c.Context, c.Int("blocks"), c.Int("paid-blocks"), c.Int("payments"), newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			if c.Bool(jsonFlag.Name) {
				return printJSON(c.App.Writer, report)
			}
			report.print(c.App.Writer)
			return nil
		},
	}
}

// maxSyncBlocks bounds what is kept in memory while a chain is made.
const maxSyncBlocks = 100_000

// syncReport is the JSON document of `kapok bench sync --json`.
type syncReport struct {
	Version string   `json:"version"`
	Bench   string   `json:"bench"`
	Machine machine  `json:"machine"`
	Method  string   `json:"method"`
	Empty   syncTime `json:"empty"`
	Paid    syncTime `json:"paid"`
}

// syncTime is one chain.
type syncTime struct {
	Blocks    uint32  `json:"blocks"`
	Inputs    int     `json:"inputs"` // with a signature
	Bytes     int64   `json:"bytes"`  // of all blocks
	ElapsedS  float64 `json:"elapsed_s"`
	BlocksPS  float64 `json:"blocks_per_s"`
	InputsPS  float64 `json:"inputs_per_s"`
	MBPS      float64 `json:"mb_per_s"`
	CPUS      float64 `json:"cpu_s"`          // of the process that syncs, start and end included
	PeakBytes int64   `json:"peak_rss_bytes"` // of the same; 0 where it is not known
	ServeCPUS float64 `json:"serving_cpu_s"`  // of the other one, likewise
	ServePeak int64   `json:"serving_peak_rss_bytes"`
}

func benchSync(ctx context.Context, empty, paid, payments int, p progress) (*syncReport, error) {
	r := &syncReport{
		Version: version, Bench: "sync", Machine: thisMachine(),
		Method: "from when the node that syncs is ready until its tip is the chain's; both nodes on this machine",
	}
	for _, chain := range []struct {
		blocks, payments int
		to               *syncTime
	}{{empty, 0, &r.Empty}, {paid, payments, &r.Paid}} {
		got, err := syncOnce(ctx, chain.blocks, chain.payments, p)
		if err != nil {
			return nil, err
		}
		*chain.to = *got
	}
	return r, nil
}

// syncOnce makes a chain and lets a process get it from another one.
func syncOnce(ctx context.Context, blocks, payments int, p progress) (_ *syncTime, err error) {
	dir, err := os.MkdirTemp("", "kapok-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	full, fresh := filepath.Join(dir, "full"), filepath.Join(dir, "new")
	t, err := makeChain(ctx, full, blocks, payments, p)
	if err != nil {
		return nil, err
	}
	p.show("  syncing %d blocks", t.Blocks)
	defer p.clear()
	server, err := startChild(ctx, full, "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer server.end()
	client, err := startChild(ctx, fresh, "--listen", "none", "--peer", server.ready.Ready.Addresses[0])
	if err != nil {
		return nil, err
	}
	defer client.end()
	took, err := client.until(t.Blocks)
	if err != nil {
		return nil, err
	}
	t.ElapsedS = took.Seconds()
	t.BlocksPS, t.InputsPS, t.MBPS = float64(t.Blocks)/t.ElapsedS, float64(t.Inputs)/t.ElapsedS, float64(t.Bytes)/1e6/t.ElapsedS
	t.CPUS, t.PeakBytes = client.end()
	t.ServeCPUS, t.ServePeak = server.end()
	return t, nil
}

// makeChain puts a chain into a directory.
func makeChain(ctx context.Context, dir string, blocks, payments int, p progress) (_ *syncTime, err error) {
	params := consensus.Regtest()
	p.show("  making a chain of %d blocks", blocks)
	chain, err := newPaidChain(params, payments)
	for i := 0; i < blocks && err == nil && ctx.Err() == nil; i++ {
		if err = chain.pay(); i%10 == 0 {
			p.show("  making block %d of %d", i, blocks)
		}
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	service, err := node.Open(node.ServiceConfig{Params: params, DataDir: dir, Agent: "/bench/", Version: version, DisableQUIC: true})
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(life) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	t := &syncTime{Blocks: chain.tip.Height}
	for i, block := range chain.blocks {
		if i%100 == 0 {
			p.show("  storing block %d of %d", i, len(chain.blocks))
		}
		if active, err := service.Runner.SubmitBlock(life, block); err != nil || !active {
			return nil, fmt.Errorf("block %d is not the tip: %w", i+1, err)
		}
		t.Bytes += int64(block.Size())
		for _, tx := range block.Txs[1:] {
			t.Inputs += len(tx.Inputs)
		}
	}
	return t, nil
}

// child is a node in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	ready *nodeEvent
	cpu   time.Duration
	peak  int64
	ended bool
}

// startChild starts one and waits until it is ready.
func startChild(ctx context.Context, dir string, args ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, program, append([]string{"node", "--json", "--no-quic", "--network", "regtest",
		"--datadir", dir, "--rpc", "127.0.0.1:0"}, args...)...)}
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(os.Interrupt) }
	c.cmd.WaitDelay = stopGrace
	var complaint strings.Builder
	c.cmd.Stderr = &complaint
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.lines = bufio.NewReader(out)
	if c.ready, err = readEvent(c.lines); err == nil && c.ready.Ready != nil {
		return c, nil
	}
	c.end()
	return nil, fmt.Errorf("a node did not get ready: %s", strings.TrimSpace(complaint.String()))
}

// until reads what a child says until its tip has a height, and returns how long that
// took from when it was ready.
func (c *child) until(height uint32) (time.Duration, error) {
	for {
		e, err := readEvent(c.lines)
		if err != nil {
			return 0, fmt.Errorf("the node that syncs has ended: %w", err)
		}
		if e.Tip != nil && e.Tip.Height >= height {
			return e.Time().Sub(c.ready.Time()), nil
		}
	}
}

// end stops a child and returns what it used. A second call returns the same.
func (c *child) end() (cpuSeconds float64, peakBytes int64) {
	if !c.ended {
		c.ended = true
		c.cmd.Process.Signal(os.Interrupt)
		io.Copy(io.Discard, c.lines)
		c.cmd.Wait() // by an interrupt, which is no error of ours
		c.cpu, c.peak = c.cmd.ProcessState.UserTime()+c.cmd.ProcessState.SystemTime(), peakRSS(c.cmd.ProcessState)
	}
	return c.cpu.Seconds(), c.peak
}

// print writes the report for people.
func (r *syncReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%-8s %7s %8s %7s %9s %10s %10s %7s %7s %8s\n", r.Machine, "", "blocks", "inputs", "MB", "s", "blocks/s", "inputs/s", "MB/s", "CPU s", "RSS, MB")
	for _, row := range []struct {
		name string
		t    syncTime
	}{{"empty", r.Empty}, {"paid", r.Paid}} {
		t := row.t
		fmt.Fprintf(w, "%-8s %7d %8d %7.1f %9.2f %10.0f %10.0f %7.2f %7.2f %8s\n", row.name, t.Blocks, t.Inputs, float64(t.Bytes)/1e6, t.ElapsedS,
			t.BlocksPS, t.InputsPS, t.MBPS, t.CPUS, known("%.0f", float64(t.PeakBytes)/1e6))
	}
	fmt.Fprintf(w, "\n%s. CPU and peak memory are of the process that syncs.\n", r.Method)
}
