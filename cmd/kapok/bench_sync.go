package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
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
			if err := checkRanges(c, []flagRange{{"blocks", 1, maxSyncBlocks}, {"paid-blocks", 1, maxSyncBlocks}, {"payments", 1, maxConnectPayments}}); err != nil {
				return err
			}
			report, err := benchSync(c.Context, c.Int("blocks"), c.Int("paid-blocks"), c.Int("payments"), newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			return show(c, report)
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

// syncOnce lets a process get a chain from another one.
func syncOnce(ctx context.Context, blocks, payments int, p progress) (_ *syncTime, err error) {
	made, err := cached(fmt.Sprintf("sync-%d-%d", blocks, payments), func(dir string) error {
		return makeSyncChain(ctx, dir, blocks, payments, p)
	})
	if err != nil {
		return nil, err
	}
	dir, remove, err := copied(made)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t := new(syncTime)
	if err := readJSON(filepath.Join(dir, syncAbout), t); err != nil {
		return nil, err
	}
	p.show("  syncing %d blocks", t.Blocks)
	defer p.clear()
	server, err := startChild(ctx, benchNode(filepath.Join(dir, "full"), "--listen", "127.0.0.1:0")...)
	if err != nil {
		return nil, err
	}
	defer server.end()
	client, err := startChild(ctx, benchNode(filepath.Join(dir, "new"), "--listen", "none", "--peer", server.ready.Ready.Addresses[0])...)
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

// syncAbout is the file beside a chain that says what is in it.
const syncAbout = "about.json"

// makeSyncChain makes a chain in the folder full of a directory.
func makeSyncChain(ctx context.Context, dir string, blocks, payments int, p progress) error {
	params := consensus.Regtest()
	p.show("  making a chain of %d blocks", blocks)
	chain, err := newPaidChain(params, payments)
	for i := 0; i < blocks && err == nil && ctx.Err() == nil; i++ {
		if err = chain.pay(); i%10 == 0 {
			p.show("  making block %d of %d", i, blocks)
		}
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	t := syncTime{Blocks: chain.tip.Height}
	for _, block := range chain.blocks {
		t.Bytes += int64(block.Size())
		for _, tx := range block.Txs[1:] {
			t.Inputs += len(tx.Inputs)
		}
	}
	if err := writeJSON(filepath.Join(dir, syncAbout), t); err != nil {
		return err
	}
	return storeChain(ctx, params, filepath.Join(dir, "full"), chain.blocks, p)
}

// until reads what a child says until its tip has a height, and returns how long that
// took from when it was ready.
func (c *child) until(height uint32) (time.Duration, error) {
	for {
		e, err := c.next()
		if err != nil {
			return 0, fmt.Errorf("the node that syncs has ended: %w", err)
		}
		if e.Tip != nil && e.Tip.Height >= height {
			return e.Time().Sub(c.ready.Time()), nil
		}
	}
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
