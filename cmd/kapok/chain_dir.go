package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// What the commands share that work on the data directory of a stopped node.

// directoryOf returns the network and the data directory that the flags name.
func directoryOf(c *cli.Context) (*consensus.Params, string, error) {
	params, err := paramsOf(c)
	if err != nil {
		return nil, "", err
	}
	dir, err := dataDirOf(c, params)
	return params, dir, err
}

// unusable says why a directory cannot be used to do something, and what to do.
func unusable(dir, verb string, err error) error {
	switch {
	case errors.Is(err, storage.ErrLocked):
		hint := ""
		if verb == "verify" {
			hint = ", or let it verify itself with \"kapok rpc verifychain 4 0\""
		}
		return fmt.Errorf("a node is at work in %s: stop it first%s", dir, hint)
	case errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("there is no chain in %s to %s: name a node's directory with --datadir, or its network with --network", dir, verb)
	case errors.Is(err, storage.ErrUnclean):
		return fmt.Errorf("the node in %s was killed, or misses blocks: start it once, with peers, and stop it, so that it finishes what it had begun; then %s (where that does not help, %s)", dir, verb, reindexAdvice(dir))
	case errors.Is(err, storage.ErrPruned):
		return fmt.Errorf("%w; to have all blocks again, %s", err, downloadAgain(dir))
	}
	return err
}

func downloadAgain(dir string) string {
	return fmt.Sprintf("delete %s and start the node, which gets the blocks from its peers again (wallet and keys stay)", filepath.Join(dir, "chain"))
}

func reindexAdvice(dir string) string {
	return fmt.Sprintf("run \"kapok chain reindex --datadir %s\"", dir)
}

// progressOf returns a bar over so many units, which shows on a terminal alone.
func progressOf(c *cli.Context, total int64, doing, unit string) *progressbar.ProgressBar {
	options := []progressbar.Option{
		progressbar.OptionSetWriter(c.App.Writer),
		progressbar.OptionSetVisibility(isTerminal(c.App.Writer) && !c.Bool(jsonFlag.Name)),
		progressbar.OptionSetDescription(doing + " " + unit),
		progressbar.OptionSetItsString(unit),
		progressbar.OptionFullWidth(),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	}
	if unit == "bytes" {
		options = append(options, progressbar.OptionShowBytes(true))
	}
	return progressbar.NewOptions64(total, options...)
}
