package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

func mineCommand() *cli.Command {
	return &cli.Command{
		Name:      "mine",
		Usage:     "mine blocks",
		ArgsUsage: "[ADDRESS]",
		Description: "Mines to an address, or to the wallet's own. Where a node runs on the data directory\n" +
			"it is asked for work; else the command runs a node of its own meanwhile.\n\n" +
			"Examples:\n" +
			"   kapok mine --blocks 5 kpkl1…\n" +
			"   kapok mine --threads 1 --max-hashrate 500k",
		Flags: append([]cli.Flag{
			networkFlag, dataDirFlag, walletFlag, passphraseFlag, cookieFlag, jsonFlag, logFlag,
			&cli.IntFlag{Name: "blocks", Usage: "stop after `N` blocks (0: never)"},
		}, slices.DeleteFunc(serviceFlags(), func(f cli.Flag) bool { return f.Names()[0] == "mine" })...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return exactArgs(c, 1)
			}
			return runMine(c)
		},
	}
}

func runMine(c *cli.Context) error {
	cfg, err := serviceConfigOf(c)
	if err != nil {
		return err
	}
	to := c.Args().First()
	if to == "" {
		if to, err = defaultAddress(c, cfg.Params); err != nil {
			return fmt.Errorf("no address to mine to: %w", err)
		}
	}
	mining, err := minerConfigOf(c, cfg.Params, to)
	if err != nil {
		return err
	}
	if mining.Blocks < 0 {
		return usageError("--blocks: 0 or more")
	}
	cfg.Miner = nil // this command mines, with a view of its own
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	source, finish, err := workSource(ctx, cancel, c, cfg)
	if err != nil {
		return err
	}
	m := miner.New(*mining, source)
	report := newMineReport(c.App.Writer, cfg.Params, m, restedMeter(ctx), c.Bool(jsonFlag.Name))
	source.working, source.found = report.working, report.found
	report.begin(to, source.where)

	var view sync.WaitGroup
	looking, stopLooking := context.WithCancel(ctx)
	view.Go(func() { report.watch(looking) })
	err = m.Run(ctx)
	stopLooking()
	view.Wait()
	if c.Context.Err() != nil {
		err = nil // Ctrl-C is a way to end
	}
	cancel()
	return errors.Join(err, finish(), report.end())
}

// workSource finds out whom to mine for: the node that holds the data directory,
// or one of our own. The latter lasts as long as ctx, which is cancelled where it
// ends before; finish waits for it and says why it ended.
func workSource(ctx context.Context, cancel context.CancelFunc, c *cli.Context, cfg node.ServiceConfig) (*countedSource, func() error, error) {
	service, err := node.Open(cfg)
	if errors.Is(err, storage.ErrLocked) {
		client, err := clientOf(c, cfg.Params)
		if err != nil {
			return nil, nil, err
		}
		if _, err := (walletChain{client, cfg.Params}).Tip(ctx); err != nil { // of another network, perhaps
			client.Close()
			return nil, nil, err
		}
		source := &countedSource{Source: &rpcSource{client: client, life: ctx}, where: "for the node that runs on " + cfg.DataDir}
		return source, func() error { client.Close(); return nil }, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx)
		cancel()
	}()
	source := &countedSource{Source: service.Source(), where: "with a node of its own on " + cfg.DataDir}
	return source, func() error { return <-ended }, nil
}

// countedSource tells a view what is worked on, and of every block that is handed in.
type countedSource struct {
	miner.Source
	where   string // whom it is mined for
	height  uint32 // of the last template, which every block handed in was made of
	working func(*miner.Template)
	found   func(height uint32, b *consensus.Block, err error)
}

func (s *countedSource) Template() (*miner.Template, error) {
	t, err := s.Source.Template()
	if err == nil {
		s.height = t.Height
		s.working(t)
	}
	return t, err
}

func (s *countedSource) Submit(b *consensus.Block) error {
	err := s.Source.Submit(b)
	s.found(s.height, b, err)
	return err
}

// rpcSource is the chain of a running node, by getblocktemplate and submitblock.
type rpcSource struct {
	client *rpc.Client
	life   context.Context

	mu   sync.Mutex
	next *rpc.Template // that a wait has brought already
	poll string        // id of the work that is being done
}

// Template returns the node's work, the one that Wait brought where there is one.
func (s *rpcSource) Template() (*miner.Template, error) {
	s.mu.Lock()
	next := s.next
	s.next = nil
	s.mu.Unlock()
	if next == nil {
		var id string
		var err error
		if next, id, err = s.client.BlockTemplate(s.life, ""); err != nil {
			return nil, rpcFailure("getblocktemplate", err)
		}
		s.mu.Lock()
		s.poll = id
		s.mu.Unlock()
	}
	return miner.Template{
		Height: next.Height, Parent: next.Parent, Version: next.Version, Bits: next.Bits, Time: next.Time,
		MinTime: next.MinTime, CoinbaseValue: next.CoinbaseValue, Txs: next.Txs, TxFees: next.Fees,
	}.Complete(), nil
}

// Stale is what only Wait can tell.
func (s *rpcSource) Stale(consensus.Hash) <-chan struct{} { return nil }

// Wait asks for better work than the current one, which the node holds back
// until there is any.
func (s *rpcSource) Wait(ctx context.Context, _ consensus.Hash) {
	s.mu.Lock()
	id := s.poll
	s.mu.Unlock()
	next, id, err := s.client.BlockTemplate(ctx, id)
	if err != nil {
		return // Template will say what is wrong
	}
	s.mu.Lock()
	s.next, s.poll = next, id
	s.mu.Unlock()
}

func (s *rpcSource) Submit(b *consensus.Block) error {
	reason, err := s.client.SubmitBlock(s.life, b)
	switch {
	case err != nil:
		return rpcFailure("submitblock", err)
	case reason == "":
		return nil
	case reason == "inconclusive" || reason == string(consensus.ErrPrevNotFound):
		return miner.ErrStale
	}
	return &consensus.RuleError{Code: consensus.Code(reason), Kind: consensus.Invalid}
}
