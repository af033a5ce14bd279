package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/node"
)

func chainReindexCommand() *cli.Command {
	return &cli.Command{
		Name: "reindex", Usage: "make all anew that follows from a stopped node's blocks",
		Description: "Believes nothing but the stored blocks: what is kept with the headers, coins, undo\n" +
			"data, coin sum and index are made anew, and each block is judged by all rules, from\n" +
			"genesis on. A block that cannot be read any more is removed, and the node gets it\n" +
			"from its peers at the next start. After Ctrl-C or a kill the same command goes on,\n" +
			"and so does the node. Not for a pruned directory.\n\n" +
			"Examples:\n" +
			"   kapok chain reindex\n" +
			"   kapok chain reindex --network regtest --datadir ./n1 --json",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag, noIndexFlag(),
			&cli.BoolFlag{Name: "restart", Usage: "begin at genesis even where an earlier one can be gone on with"},
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return chainReindex(c)
		},
	}
}

// reindexReport is the JSON document of `kapok chain reindex`.
type reindexReport struct {
	Network    string           `json:"network"`
	DataDir    string           `json:"data_dir"`
	Complete   bool             `json:"complete"` // up to the best header
	Resumed    bool             `json:"resumed"`
	From       uint32           `json:"from"`
	Height     uint32           `json:"height"`
	Tip        string           `json:"tip"`
	Headers    uint32           `json:"headers"` // height of the best one
	Blocks     uint32           `json:"blocks"`
	Txs        int              `json:"txs"`
	Coins      uint64           `json:"coins"`
	CoinSum    string           `json:"coin_sum"`
	ElapsedS   float64          `json:"elapsed_s"`
	BlocksPerS float64          `json:"blocks_per_s"`
	Removed    []reindexRemoved `json:"removed"`
	Refused    []string         `json:"refused"`
	Next       string           `json:"next,omitempty"`
}

type reindexRemoved struct {
	Height uint32 `json:"height"`
	Hash   string `json:"hash"`
}

func chainReindex(c *cli.Context) (err error) {
	began := time.Now()
	params, dir, err := directoryOf(c)
	if err != nil {
		return err
	}
	store, err := node.OpenStopped(params, dir, node.StoppedOptions{NoIndex: c.Bool("no-index"), Reindex: true, Restart: c.Bool("restart")})
	if err != nil {
		return unusable(dir, "reindex", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	x, err := node.NewReindex(params, store, newVerifier())
	if err != nil {
		return unusable(dir, "reindex", err)
	}
	if err := reindexAll(c, x); err != nil {
		return unusable(dir, "reindex", err)
	}
	tip, best, sum, took := x.Tip(), x.BestHeader(), store.Sum(), time.Since(began)
	r := reindexReport{
		Network: params.Name, DataDir: dir, Complete: tip == best, Resumed: store.Resumed(), From: x.From(),
		Height: tip.Height, Tip: tip.Hash.String(), Headers: best.Height, Blocks: tip.Height - min(x.From(), tip.Height), Txs: x.Txs(),
		Coins: sum.Count, CoinSum: fmt.Sprintf("%x", sum.Hash()), ElapsedS: took.Seconds(),
		Removed: []reindexRemoved{}, Refused: []string{},
	}
	r.BlocksPerS = float64(r.Blocks) / r.ElapsedS
	for _, b := range x.Dropped() {
		r.Removed = append(r.Removed, reindexRemoved{b.Height, b.Hash.String()})
	}
	for _, f := range x.Refused() {
		r.Refused = append(r.Refused, f.String())
	}
	if !r.Complete {
		r.Next = fmt.Sprintf("start the node, which gets the blocks after height %d from its peers", r.Height)
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, r)
	}
	return r.print(c.App.Writer)
}

func reindexAll(c *cli.Context, x *node.Reindex) (err error) {
	_, best := x.Progress()
	bar := progressOf(c, int64(best), "reindexing", "blocks")
	defer func() { err = errors.Join(err, bar.Clear()) }()
	for more := true; more; {
		more, err = x.Step(c.Context, time.Now())
		height, best := x.Progress()
		if c.Context.Err() != nil {
			return fmt.Errorf("interrupted at height %d of %d: the same command goes on", height, best)
		}
		if err != nil {
			return err
		}
		bar.ChangeMax64(int64(best))
		if err := bar.Set64(int64(height)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reindexReport) print(w io.Writer) error {
	for _, b := range r.Removed {
		fmt.Fprintf(w, "block %d (%s) could not be read and was removed\n", b.Height, b.Hash)
	}
	for _, text := range r.Refused {
		fmt.Fprintln(w, text)
	}
	state := "complete"
	if !r.Complete {
		state = fmt.Sprintf("headers lead to height %d: %s", r.Headers, r.Next)
	}
	began := "from genesis on"
	if r.Resumed {
		began = fmt.Sprintf("from height %d on, where the last one ended", r.From)
	}
	return table(w,
		[2]string{"state", state},
		[2]string{"tip", fmt.Sprintf("%d  %s", r.Height, r.Tip)},
		[2]string{"coins", fmt.Sprint(r.Coins)},
		[2]string{"coin sum", r.CoinSum},
		[2]string{"reindexed", fmt.Sprintf("%d blocks, %d transactions in %.1f s, %s (%.0f blocks/s)", r.Blocks, r.Txs, r.ElapsedS, began, r.BlocksPerS)},
	)
}
