package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

func benchStartCommand() *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "how long a node takes to start on a long chain",
		Description: "A directory with a long chain and many coins is made, once. A node is started on a copy\n" +
			"of it again and again: after a clean stop, and after kill -9 with blocks whose coins were\n" +
			"not on disk yet. Measured is the time until it answers over RPC.\n\n" +
			"Examples:\n" +
			"   kapok bench start                                100,000 blocks, 1,000,000 coins\n" +
			"   kapok bench start --blocks 5000 --coins 20000 --starts 9 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "blocks", Value: 100_000, Usage: "`N` blocks in the chain"},
			&cli.IntFlag{Name: "coins", Value: 1_000_000, Usage: "`N` coins of payments, besides those of the blocks"},
			&cli.IntFlag{Name: "starts", Value: 5, Usage: "start `N` times after each kind of end"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			blocks, coins, starts := c.Int("blocks"), c.Int("coins"), c.Int("starts")
			if err := checkRanges(c, []flagRange{{"blocks", 1, maxStartBlocks}, {"coins", 1, maxStartCoins}, {"starts", 1, maxStarts}}); err != nil {
				return err
			}
			if least := startBlocks(coins); blocks < least {
				return usageError(fmt.Sprintf("--blocks %d: %d coins take %d blocks", blocks, coins, least))
			}
			report, err := benchStart(c.Context, blocks, coins, starts, newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			return show(c, report)
		},
	}
}

// Bounds: the chain is made in memory, at some 500 bytes a block and 50 a coin.
const (
	maxStartBlocks = 1_000_000
	maxStartCoins  = 10_000_000
	maxStarts      = 1000
	// unflushed is how many blocks are mined before a kill: nearly as many as a node
	// ever lets pass before their coins are on disk.
	unflushed = 450
)

// startBlocks is how many blocks it takes to make coins.
func startBlocks(coins int) int {
	fans := (coins + loadFanTx - 1) / loadFanTx
	return int(consensus.Regtest().Maturity) + 2*fans + 1
}

// startReport is the JSON document of `kapok bench start --json`.
type startReport struct {
	Version  string     `json:"version"`
	Bench    string     `json:"bench"`
	Complete bool       `json:"complete"` // false: interrupted
	Machine  machine    `json:"machine"`
	Blocks   int        `json:"blocks"`
	Coins    int        `json:"coins"` // of payments
	Clean    startTimes `json:"clean"`
	Killed   startTimes `json:"killed"`
	Method   string     `json:"method"`
}

// startTimes are of starts after one kind of end. Times are from when the process is
// started.
type startTimes struct {
	Starts     int     `json:"starts"`
	AnswerP50  float64 `json:"answer_p50_ms"` // until the first answer over RPC
	AnswerLow  float64 `json:"answer_low_ms"`
	AnswerHigh float64 `json:"answer_high_ms"`
	CPUP50     float64 `json:"cpu_p50_ms"`       // of the node until then; 0 where it is not known
	TipP50     float64 `json:"tip_p50_ms"`       // until the tip is the one before the end
	DoneP50    float64 `json:"recounted_p50_ms"` // until the coins are recounted as well, where that is due
}

// startSample is one start, in milliseconds.
type startSample struct{ answer, cpu, tip, done float64 }

func benchStart(ctx context.Context, blocks, coins, starts int, p progress) (_ *startReport, err error) {
	made, err := cached(fmt.Sprintf("start-%d-%d", blocks, coins), func(dir string) error {
		return makeStartChain(ctx, filepath.Join(dir, "node"), blocks, coins, p)
	})
	if err != nil {
		return nil, err
	}
	p.show("  copying the chain")
	dir, remove, err := copied(made)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	run := startRun{dir: filepath.Join(dir, "node"), height: blocks}
	var clean, killed []startSample
	for _, kind := range []struct {
		kill bool
		to   *[]startSample
	}{{false, &clean}, {true, &killed}} {
		for i := 0; i < starts && ctx.Err() == nil; i++ {
			p.show("  start %d of %d, after a kill: %v", i+1, starts, kind.kill)
			s, err := run.start(ctx, kind.kill)
			if err != nil && ctx.Err() == nil {
				return nil, err
			}
			if err == nil {
				*kind.to = append(*kind.to, s)
			}
		}
	}
	p.clear()
	if len(killed) == 0 {
		return nil, ctx.Err()
	}
	return &startReport{
		Version: version, Bench: "start", Complete: ctx.Err() == nil, Machine: thisMachine(), Blocks: blocks, Coins: coins,
		Clean: startTimesOf(clean), Killed: startTimesOf(killed),
		Method: fmt.Sprintf("from the start of the process until getblockchaininfo is answered; what the node reads is in the system's cache; before a kill %d blocks are mined", unflushed),
	}, nil
}

// makeStartChain makes a directory with a chain of so many blocks, the first of which
// make coins.
func makeStartChain(ctx context.Context, dir string, blocks, coins int, p progress) error {
	params := consensus.Regtest()
	p.show("  making %d coins", coins)
	chain, err := newPaidChain(params, coins)
	for err == nil && len(chain.blocks) < blocks && ctx.Err() == nil {
		if err = chain.mine(nil); len(chain.blocks)%1000 == 0 {
			p.show("  making block %d of %d", len(chain.blocks), blocks)
		}
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if err := storeChain(ctx, params, dir, chain.blocks, p); err != nil {
		return err
	}
	p.show("  letting the database come to rest")
	return settle(ctx, dir)
}

// Of a database at rest: how often it is looked at, how much CPU time it may use between
// two looks, and how often at most.
const (
	settleEvery = time.Second
	settleUses  = 50 * time.Millisecond
	settleLooks = 120
)

// settle runs a node until its database has sorted what was written in a hurry, which no
// node that has run for a while has left to do.
func settle(ctx context.Context, dir string) error {
	c, err := startChild(ctx, benchNode(dir, "--listen", "none")...)
	if err != nil {
		return err
	}
	defer c.end()
	for range settleLooks {
		before := c.usedCPU()
		select {
		case <-time.After(settleEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.usedCPU()-before < settleUses {
			break
		}
	}
	return nil
}

// startRun starts nodes on a directory, one after the other.
type startRun struct {
	dir    string
	height int // of the tip
}

// start measures one start: after a clean stop, or after a kill that it deals first.
func (r *startRun) start(ctx context.Context, kill bool) (s startSample, err error) {
	if kill {
		if err := r.mineAndKill(ctx); err != nil {
			return s, err
		}
	}
	c, err := startChild(ctx, benchNode(r.dir, "--listen", "none")...)
	if err != nil {
		return s, err
	}
	defer c.end()
	client := clientOfChild(c)
	defer client.Close()
	for {
		info, err := chainInfo(ctx, client)
		if err != nil {
			return s, err
		}
		at := ms(time.Since(c.began))
		if s.answer == 0 {
			s.answer, s.cpu = at, ms(c.usedCPU())
		}
		if s.tip == 0 && info.Blocks == r.height {
			s.tip = at
		}
		if s.tip != 0 && len(info.Warnings) == 0 {
			s.done = at
			return s, nil
		}
		select {
		case <-time.After(startPoll):
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// startPoll is how often a node is asked how far it is.
const startPoll = 5 * time.Millisecond

// mineAndKill leaves a directory as a loss of power would, a while after the coins were
// written last.
func (r *startRun) mineAndKill(ctx context.Context) error {
	c, err := startChild(ctx, benchNode(r.dir, "--listen", "none")...)
	if err != nil {
		return err
	}
	defer c.end()
	client := clientOfChild(c)
	defer client.Close()
	to := address.Encode(consensus.Regtest().HRP, [32]byte{31: 1})
	if err := client.Call(ctx, "generatetoaddress", nil, unflushed, to); err != nil {
		return err
	}
	r.height += unflushed
	c.kill()
	return nil
}

func clientOfChild(c *child) *rpc.Client {
	return rpc.NewClient(rpc.Dial{URL: "http://" + c.ready.Ready.RPC, CookieFile: c.ready.Ready.Cookie})
}

// startInfo is what getblockchaininfo says of a start.
type startInfo struct {
	Blocks   int      `json:"blocks"`
	Warnings []string `json:"warnings"`
}

func chainInfo(ctx context.Context, client *rpc.Client) (info startInfo, err error) {
	return info, client.Call(ctx, "getblockchaininfo", &info)
}

func startTimesOf(samples []startSample) startTimes {
	var answer, cpu, tip, done []float64
	for _, s := range samples {
		answer, cpu, tip, done = append(answer, s.answer), append(cpu, s.cpu), append(tip, s.tip), append(done, s.done)
	}
	answer, cpu, tip, done = sortedCopy(answer), sortedCopy(cpu), sortedCopy(tip), sortedCopy(done)
	return startTimes{
		Starts: len(samples), AnswerP50: percentile(answer, 0.5), AnswerLow: answer[0], AnswerHigh: answer[len(answer)-1],
		CPUP50: percentile(cpu, 0.5), TipP50: percentile(tip, 0.5), DoneP50: percentile(done, 0.5),
	}
}

// print writes the report for people.
func (r *startReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d blocks, %d coins of payments\n\n", r.Machine, r.Blocks, r.Coins)
	fmt.Fprintf(w, "%-12s %6s %14s %16s %11s %12s %18s\n", "", "starts", "answer, ms p50", "low to high", "CPU, ms p50", "tip, ms p50", "recounted, ms p50")
	for _, row := range []struct {
		name string
		t    startTimes
	}{{"clean stop", r.Clean}, {"kill -9", r.Killed}} {
		fmt.Fprintf(w, "%-12s %6d %14.0f %16s %11s %12.0f %18.0f\n", row.name, row.t.Starts, row.t.AnswerP50, fmt.Sprintf("%.0f to %.0f", row.t.AnswerLow, row.t.AnswerHigh),
			known("%.0f", row.t.CPUP50), row.t.TipP50, row.t.DoneP50)
	}
	fmt.Fprintf(w, "\n%s.\n%s", r.Method, complaint(r.Complete))
}
