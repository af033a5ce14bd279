package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
)

func benchConnectCommand() *cli.Command {
	return &cli.Command{
		Name:  "connect",
		Usage: "how long a node takes to connect a block",
		Description: "Blocks of payments, 1 input and 2 outputs each, are submitted to a node on an empty\n" +
			"directory: every other one after its payments (seen), so that their signatures were\n" +
			"checked before, the others without (unseen).\n\n" +
			"Examples:\n" +
			"   kapok bench connect                   20 blocks of 2,000 payments\n" +
			"   kapok bench connect --payments 6480   of the greatest weight",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "payments", Value: 2000, Usage: "`N` payments in a block"},
			&cli.IntFlag{Name: "blocks", Value: 20, Usage: "submit `N` blocks"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			payments, blocks := c.Int("payments"), c.Int("blocks")
			if err := checkRanges(c, []flagRange{{"payments", 1, maxConnectPayments}, {"blocks", 2, maxConnectBlocks}}); err != nil {
				return err
			}
			report, err := benchConnect(c.Context, payments, blocks, newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			return show(c, report)
		},
	}
}

// Bounds: a block has room for some 6,490 payments, and each block takes a second to make.
const (
	maxConnectPayments = 6480
	maxConnectBlocks   = 1000
)

// connectReport is the JSON document of `kapok bench connect --json`.
type connectReport struct {
	Version  string        `json:"version"`
	Bench    string        `json:"bench"`
	Complete bool          `json:"complete"` // false: interrupted
	Machine  machine       `json:"machine"`
	Payments int           `json:"payments"` // in a block
	Bytes    int           `json:"block_bytes"`
	Unseen   connectTimes  `json:"unseen"`
	Seen     connectTimes  `json:"seen"`
	Method   connectMethod `json:"method"`
}

// connectTimes are of the submitting call, in milliseconds.
type connectTimes struct {
	Blocks    int     `json:"blocks"`
	TipP50    float64 `json:"tip_p50_ms"` // until the tip is the new block, as its subscribers learn
	TipP90    float64 `json:"tip_p90_ms"`
	AnswerP50 float64 `json:"answer_p50_ms"` // until the call returns: the block is on disk
	AnswerP90 float64 `json:"answer_p90_ms"`
	CPUP50    float64 `json:"cpu_p50_ms"` // of the whole process until then; 0 where it is not known
	// What comes after the answer, when the index follows.
	IndexP50    float64 `json:"index_p50_ms"`
	IndexCPUP50 float64 `json:"index_cpu_p50_ms"`
}

type connectMethod struct {
	Tip    string `json:"tip"`
	Answer string `json:"answer"`
	Index  string `json:"index"`
}

// connectSample is one block.
type connectSample struct{ tip, answer, cpu, index, indexCPU float64 }

func benchConnect(ctx context.Context, payments, blocks int, p progress) (_ *connectReport, err error) {
	params := consensus.Regtest()
	made, err := cached(fmt.Sprintf("connect-%d-%d", payments, blocks), func(dir string) error {
		return makePaidBlocks(ctx, filepath.Join(dir, blocksFile), payments, blocks, p)
	})
	if err != nil {
		return nil, err
	}
	chain, err := readBlocks(filepath.Join(made, blocksFile))
	if err != nil {
		return nil, err
	}
	first := len(chain) - blocks // that is measured
	if first < 0 {
		return nil, fmt.Errorf("%s holds %d blocks, not %d: remove it", made, len(chain), blocks)
	}
	dir, err := os.MkdirTemp("", "kapok-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
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
	for _, block := range chain[:first] {
		if _, err := service.Runner.SubmitBlock(life, block); err != nil {
			return nil, err
		}
	}
	var seen, unseen []connectSample
	for i := 0; i < blocks && ctx.Err() == nil; i++ {
		p.show("  block %d of %d", i+1, blocks)
		block := chain[first+i]
		if i%2 == 1 {
			for _, tx := range block.Txs[1:] {
				if _, err := service.Runner.SubmitTx(life, tx); err != nil {
					return nil, err
				}
			}
		}
		s, err := connectOne(life, service.Runner, block)
		if err != nil {
			return nil, err
		}
		if i%2 == 1 {
			seen = append(seen, s)
		} else {
			unseen = append(unseen, s)
		}
	}
	p.clear()
	if len(seen) == 0 {
		return nil, ctx.Err()
	}
	return &connectReport{
		Version: version, Bench: "connect", Complete: ctx.Err() == nil, Machine: thisMachine(), Payments: payments,
		Bytes: chain[len(chain)-1].Size(), Unseen: timesOf(unseen), Seen: timesOf(seen),
		Method: connectMethod{
			Tip:    "from the call of Runner.SubmitBlock until a subscriber has the new tip",
			Answer: "from the same call until it returns, when block, undo data and records are synced",
			Index:  "then, until the index of transactions and keys is at the tip, which otherwise follows within a second",
		},
	}, nil
}

// makePaidBlocks writes a chain whose last blocks hold so many payments each.
func makePaidBlocks(ctx context.Context, path string, payments, blocks int, p progress) error {
	p.show("  making coins")
	chain, err := newPaidChain(consensus.Regtest(), payments)
	for i := 0; i < blocks && err == nil; i++ {
		p.show("  making block %d of %d", i+1, blocks)
		err = errors.Join(chain.pay(), ctx.Err())
	}
	if err != nil {
		return err
	}
	return writeBlocks(path, chain.blocks)
}

// connectOne submits a block and waits for both.
func connectOne(ctx context.Context, r *node.Runner, block *consensus.Block) (connectSample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, tip := r.Events(ctx), make(chan time.Time, 1)
	go func() {
		for e := range events {
			if e.Change != nil {
				tip <- time.Now()
				return
			}
		}
	}()
	cpu, began := processCPU(), time.Now()
	if active, err := r.SubmitBlock(ctx, block); err != nil || !active {
		return connectSample{}, fmt.Errorf("block %s is not the tip: %w", block.Hash(), err)
	}
	answered := time.Now()
	used := processCPU()
	s := connectSample{tip: ms((<-tip).Sub(began)), answer: ms(answered.Sub(began)), cpu: ms(used - cpu)}
	r.SyncIndex()
	s.index, s.indexCPU = ms(time.Since(answered)), ms(processCPU()-used)
	return s, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func timesOf(samples []connectSample) connectTimes {
	at := func(p float64, of func(connectSample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = of(s)
		}
		return percentile(sortedCopy(values), p)
	}
	tip := func(s connectSample) float64 { return s.tip }
	answer := func(s connectSample) float64 { return s.answer }
	return connectTimes{
		Blocks: len(samples), TipP50: at(0.5, tip), TipP90: at(0.9, tip), AnswerP50: at(0.5, answer), AnswerP90: at(0.9, answer),
		CPUP50:      at(0.5, func(s connectSample) float64 { return s.cpu }),
		IndexP50:    at(0.5, func(s connectSample) float64 { return s.index }),
		IndexCPUP50: at(0.5, func(s connectSample) float64 { return s.indexCPU }),
	}
}

// print writes the report for people.
func (r *connectReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\nblocks of %d payments, 1 input and 2 outputs each, %d bytes\n\n", r.Machine, r.Payments, r.Bytes)
	fmt.Fprintf(w, "%-8s %7s %12s %9s %12s %9s %9s %11s %9s\n", "", "blocks", "tip, ms p50", "p90", "answer p50", "p90", "CPU p50", "index p50", "CPU p50")
	for _, row := range []struct {
		name string
		t    connectTimes
	}{{"unseen", r.Unseen}, {"seen", r.Seen}} {
		fmt.Fprintf(w, "%-8s %7d %12.1f %9.1f %12.1f %9.1f %9s %11.1f %9s\n", row.name, row.t.Blocks, row.t.TipP50, row.t.TipP90,
			row.t.AnswerP50, row.t.AnswerP90, known("%.1f", row.t.CPUP50), row.t.IndexP50, known("%.1f", row.t.IndexCPUP50))
	}
	fmt.Fprintf(w, "\ntip: %s;\nanswer: %s;\nindex: %s.\n", r.Method.Tip, r.Method.Answer, r.Method.Index)
	fmt.Fprint(w, complaint(r.Complete))
}
