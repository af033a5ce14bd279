package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
	"github.com/kapok-chain/kapok/wallet"
)

func chainStatsCommand() *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "what the chain of a stopped node takes on disk",
		Description: "Counts blocks, undo data, headers, coins and index entries in a data directory, and\n" +
			"their bytes: keys and values, before what the database adds to them. Nothing is\n" +
			"written. A running node tells its size itself: kapok chain status\n\n" +
			"Examples:\n" +
			"   kapok chain stats\n" +
			"   kapok chain stats --network regtest --datadir ./n1 --json",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return chainStats(c)
		},
	}
}

// statsReport is the JSON document of `kapok chain stats`.
type statsReport struct {
	Network     string     `json:"network"`
	DataDir     string     `json:"data_dir"`
	Schema      int        `json:"schema"`
	Height      uint32     `json:"height"`
	Tip         string     `json:"tip"`
	Coins       uint64     `json:"coins"`
	SupplyUnits int64      `json:"supply_units"`
	CoinSum     string     `json:"coin_sum"`
	PruneHeight uint32     `json:"prune_height"` // no bodies below, but genesis; 0: all are there
	Bodies      usageStats `json:"bodies"`
	Undo        usageStats `json:"undo"`
	Headers     usageStats `json:"headers"`
	CoinUsage   usageStats `json:"coin_entries"`
	Index       usageStats `json:"index"`
	PerBlock    float64    `json:"bytes_per_block"` // a body, its undo data and its header
	PerCoin     float64    `json:"bytes_per_coin"`
	Apparent    int64      `json:"apparent_bytes"`
	Allocated   int64      `json:"allocated_bytes"`
}

type usageStats struct {
	Count int64   `json:"count"`
	Bytes int64   `json:"bytes"`
	Each  float64 `json:"bytes_each"`
}

func usageOf(u storage.Usage) usageStats {
	return usageStats{u.Count, u.Bytes, per(u.Bytes, u.Count)}
}

func per(bytes, count int64) float64 {
	if count == 0 {
		return 0
	}
	return float64(bytes) / float64(count)
}

func chainStats(c *cli.Context) (err error) {
	params, dir, err := directoryOf(c)
	if err != nil {
		return err
	}
	store, err := node.OpenStored(params, dir)
	if err != nil {
		return unusable(dir, "measure", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	state, err := store.Load()
	if err != nil {
		return unusable(dir, "measure", err)
	}
	u, err := store.DiskUsage(c.Context)
	if err != nil {
		return unusable(dir, "measure", err)
	}
	r := statsReport{
		Network: params.Name, DataDir: dir, Schema: storage.Schema, Height: state.Height, Tip: state.Tip.String(),
		Coins: state.Sum.Count, SupplyUnits: state.Sum.Value, CoinSum: fmt.Sprintf("%x", state.Sum.Hash()), PruneHeight: state.Pruned,
		Bodies: usageOf(u.Bodies), Undo: usageOf(u.Undo), Headers: usageOf(u.Headers), CoinUsage: usageOf(u.Coins), Index: usageOf(u.Index),
		PerBlock: per(u.Bodies.Bytes, u.Bodies.Count) + per(u.Undo.Bytes, u.Undo.Count) + per(u.Headers.Bytes, u.Headers.Count), PerCoin: per(u.Coins.Bytes, u.Coins.Count),
		Apparent: u.Apparent, Allocated: u.Allocated,
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, r)
	}
	return r.print(c.App.Writer)
}

func (r *statsReport) print(w io.Writer) error {
	pruned := "all blocks are here"
	if r.PruneHeight > 0 {
		pruned = fmt.Sprintf("blocks from height %d on are here", r.PruneHeight)
	}
	err := table(w,
		[2]string{"network", r.Network},
		[2]string{"directory", fmt.Sprintf("%s (schema %d)", r.DataDir, r.Schema)},
		[2]string{"tip", fmt.Sprintf("%d  %s", r.Height, r.Tip)},
		[2]string{"pruned", pruned},
		[2]string{"coins", fmt.Sprintf("%d, worth %s", r.Coins, wallet.FormatAmount(r.SupplyUnits))},
		[2]string{"coin sum", r.CoinSum},
		[2]string{"on disk", fmt.Sprintf("%s (files of %s)", formatBytes(r.Allocated), formatBytes(r.Apparent))},
		[2]string{"a block", fmt.Sprintf("%.0f bytes of body, undo data and header", r.PerBlock)},
		[2]string{"a coin", fmt.Sprintf("%.0f bytes", r.PerCoin)},
	)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tnumber\tbytes\teach\t")
	for _, row := range []struct {
		name string
		use  usageStats
	}{{"bodies", r.Bodies}, {"undo data", r.Undo}, {"headers", r.Headers}, {"coins", r.CoinUsage}, {"index", r.Index}} {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\t\n", row.name, row.use.Count, row.use.Bytes, row.use.Each)
	}
	return t.Flush()
}

// formatBytes writes a size for people.
func formatBytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
