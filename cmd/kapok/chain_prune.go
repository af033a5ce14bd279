package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

func chainPruneCommand() *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove the oldest blocks of a stopped node",
		Description: "Removes the bodies and undo data of all but the last N blocks, and gives their space\n" +
			"back to the disk. Headers, coins and the index stay: the node goes on to judge and\n" +
			"to mine, and payments are found. What it can no longer do: serve the old blocks to\n" +
			"peers and over RPC, follow a reorganisation that goes deeper, make coins or index\n" +
			"anew (chain verify, reindex, export from genesis). It takes room for a copy of what\n" +
			"stays. To have the blocks again, delete the folder \"chain\" and start the node.\n\n" +
			"Examples:\n" +
			"   kapok chain prune --keep 1000\n" +
			"   kapok chain prune --keep 288 --network regtest --datadir ./n1 --json",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag,
			&cli.Uint64Flag{Name: "keep", Usage: fmt.Sprintf("keep the last `N` blocks, at least %d", storage.MinKeep)},
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return chainPrune(c)
		},
	}
}

// pruneReport is the JSON document of `kapok chain prune`.
type pruneReport struct {
	Network     string  `json:"network"`
	DataDir     string  `json:"data_dir"`
	PruneHeight uint32  `json:"prune_height"` // no bodies below, but genesis; 0: all are there
	Removed     int64   `json:"removed"`      // bodies
	BytesBefore int64   `json:"bytes_before"`
	BytesAfter  int64   `json:"bytes_after"`
	ElapsedS    float64 `json:"elapsed_s"`
}

func chainPrune(c *cli.Context) error {
	began := time.Now()
	keep, err := heightFlag(c, "keep")
	switch {
	case err != nil:
		return err
	case keep == nil:
		return usageError("say how many blocks to keep: --keep N")
	case *keep < storage.MinKeep:
		return usageError(fmt.Sprintf("--keep %d: at least %d blocks have to stay, so that the node can follow a reorganisation (two days of blocks, ten minutes each, as Bitcoin Core keeps)", *keep, storage.MinKeep))
	}
	params, dir, err := directoryOf(c)
	if err != nil {
		return err
	}
	bar := progressOf(c, -1, "copying", "what stays")
	r, err := node.PruneStopped(c.Context, params, dir, *keep, func(done, total int64) {
		bar.ChangeMax64(total)
		bar.Set64(done)
	})
	err = errors.Join(err, bar.Clear())
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: nothing was removed")
	}
	if err != nil {
		return unusable(dir, "prune", err)
	}
	report := pruneReport{params.Name, dir, r.Height, r.Bodies, r.Before, r.After, time.Since(began).Seconds()}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, report)
	}
	if r.Nothing {
		_, err = fmt.Fprintln(c.App.Writer, "there is nothing to remove")
		return err
	}
	return table(c.App.Writer,
		[2]string{"removed", fmt.Sprintf("%d blocks, those below height %d", r.Bodies, r.Height)},
		[2]string{"on disk", fmt.Sprintf("%s, before %s", formatBytes(r.After), formatBytes(r.Before))},
	)
}
