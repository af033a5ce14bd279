package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
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
	report := newMineReport(c.App.Writer, m, energy.NewMeter(), c.Bool(jsonFlag.Name))
	source.found = report.found
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

// countedSource tells a view of every block that is handed in.
type countedSource struct {
	miner.Source
	where  string // whom it is mined for
	height uint32 // of the last template, which every block handed in was made of
	found  func(height uint32, b *consensus.Block, err error)
}

func (s *countedSource) Template() (*miner.Template, error) {
	t, err := s.Source.Template()
	if err == nil {
		s.height = t.Height
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

// mineReport is the view of `kapok mine`: a line a block, on a terminal a live
// line below them, and figures at the end.
type mineReport struct {
	w      io.Writer
	live   bool
	asJSON bool
	miner  *miner.Miner
	meter  *energy.Meter
	began  time.Time

	mu     sync.Mutex
	blocks []minedBlock
}

// minedBlock is a block that was handed in.
type minedBlock struct {
	Height uint32  `json:"height"`
	Hash   string  `json:"hash"`
	AfterS float64 `json:"after_s"` // since the start
	Answer string  `json:"answer"`  // accepted, stale, or the rule that it broke
}

func newMineReport(w io.Writer, m *miner.Miner, meter *energy.Meter, asJSON bool) *mineReport {
	return &mineReport{w: w, live: isTerminal(w) && !asJSON, asJSON: asJSON, miner: m, meter: meter, began: time.Now(),
		blocks: []minedBlock{}} // [] in JSON where there are none, not null
}

// begin says for whom is mined.
func (r *mineReport) begin(to, where string) {
	if !r.asJSON {
		fmt.Fprintf(r.w, "mining to %s, %s\n", to, where)
	}
}

func (r *mineReport) found(height uint32, b *consensus.Block, err error) {
	mined := minedBlock{Height: height, Hash: b.Hash().String(), AfterS: time.Since(r.began).Seconds(), Answer: "accepted"}
	switch rule := consensus.AsRuleError(err); {
	case errors.Is(err, miner.ErrStale):
		mined.Answer = "stale"
	case rule != nil:
		mined.Answer = string(rule.Code)
	case err != nil:
		mined.Answer = "lost: " + err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks, mined)
	if r.asJSON {
		return
	}
	if r.live {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
	fmt.Fprintf(r.w, "%8.1f s  block %d  %s  %s\n", mined.AfterS, mined.Height, mined.Hash, mined.Answer)
}

// mineViewPeriod is how often the live line is written anew.
const mineViewPeriod = 500 * time.Millisecond

// watch writes the live line until the context ends.
func (r *mineReport) watch(ctx context.Context) {
	ticker := time.NewTicker(mineViewPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := r.miner.Stats()
		r.mu.Lock()
		used := r.meter.Read(float64(s.Hashes))
		if r.live {
			fmt.Fprint(r.w, "\r\x1b[K"+fitted(r.w, mineLine(s, used)))
		}
		r.mu.Unlock()
	}
}

func mineLine(s miner.Stats, used energy.Reading) string {
	if s.Waiting != "" {
		return "  " + s.Waiting
	}
	return fmt.Sprintf("  %s (%d threads, %s) · height %d · a block every %s expected · found %d, stale %d, luck %.2f · %.3g J/hash",
		formatHashrate(s.Rate), len(s.ThreadRates), s.Kernel, s.Height,
		(time.Duration(s.ExpectedSeconds * float64(time.Second))).Round(100*time.Millisecond), s.Found, s.Stale, s.Luck, used.PerHash())
}

// mineSummary is the JSON document of `kapok mine --json`.
type mineSummary struct {
	Kernel     string        `json:"kernel"`
	Threads    int           `json:"threads"`
	ElapsedS   float64       `json:"elapsed_s"`
	Hashes     uint64        `json:"hashes"`
	HashesPerS float64       `json:"hashes_per_s"`
	Found      int           `json:"found"`
	Stale      int           `json:"stale"`
	Refused    int           `json:"refused"`
	Luck       float64       `json:"luck"`
	Energy     energySummary `json:"energy"`
	Blocks     []minedBlock  `json:"blocks"`
}

func (r *mineReport) end() error {
	s := r.miner.Stats()
	elapsed := time.Since(r.began).Seconds()
	used := r.meter.Read(float64(s.Hashes))
	sum := mineSummary{
		Kernel: s.Kernel, Threads: len(s.ThreadRates), ElapsedS: elapsed, Hashes: s.Hashes, HashesPerS: float64(s.Hashes) / elapsed,
		Found: s.Found, Stale: s.Stale, Refused: s.Refused, Luck: s.Luck, Blocks: r.blocks,
		Energy: energyOf(used, s.Hashes, uint32(s.Found), 0),
	}
	if r.asJSON {
		return printJSON(r.w, sum)
	}
	if r.live {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
	_, err := fmt.Fprintf(r.w, "%d blocks found, %d stale, in %.1f s at %s; %.3g J, %.3g J per hash\n  %s\n",
		sum.Found, sum.Stale, elapsed, formatHashrate(sum.HashesPerS), used.Joules, used.PerHash(), used.Method)
	return err
}
