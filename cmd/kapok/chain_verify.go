package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/wallet"
)

func chainVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "judge the whole chain of a stopped node once more",
		Description: "Reads every block in a data directory, from genesis to the tip, and judges it by\n" +
			"all rules as if it came now: header and proof of work, transactions, amounts and\n" +
			"signatures. The coins are made anew on the way, and at the end coins, coin sum and\n" +
			"undo data must be what the directory says. Nothing is written. Status 0 means that\n" +
			"all is well. Memory: about 500 bytes a block and 200 a coin.\n\n" +
			"A running node verifies itself: kapok rpc verifychain 4 0\n\n" +
			"Examples:\n" +
			"   kapok chain verify\n" +
			"   kapok chain verify --network regtest --datadir ./n1 --json",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			return chainVerify(c)
		},
	}
}

// verifyReport is the JSON document of `kapok chain verify`. Coins are those that
// the blocks up to judged_height lead to.
type verifyReport struct {
	Network      string          `json:"network"`
	DataDir      string          `json:"data_dir"`
	OK           bool            `json:"ok"`
	Height       uint32          `json:"height"`
	Tip          string          `json:"tip"`
	JudgedHeight uint32          `json:"judged_height"`
	Blocks       int             `json:"blocks"`
	Txs          int             `json:"txs"`
	ElapsedS     float64         `json:"elapsed_s"`
	BlocksPerS   float64         `json:"blocks_per_s"`
	TxsPerS      float64         `json:"txs_per_s"`
	Coins        uint64          `json:"coins"`
	SupplyUnits  int64           `json:"supply_units"`
	CoinSum      string          `json:"coin_sum"`
	Findings     []verifyFinding `json:"findings"`
	More         int             `json:"more_findings"`
	Next         string          `json:"next,omitempty"` // what to do about them
}

type verifyFinding struct {
	Height   uint32 `json:"height"`
	Hash     string `json:"hash"`
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	text     string
}

func chainVerify(c *cli.Context) (err error) {
	began := time.Now()
	params, err := paramsOf(c)
	if err != nil {
		return err
	}
	dir, err := dataDirOf(c, params)
	if err != nil {
		return err
	}
	store, err := node.OpenStored(params, dir)
	if err != nil {
		return unusable(dir, "verify", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	verifier := consensus.Verifier{Workers: runtime.GOMAXPROCS(0)}
	rand.Read(verifier.Secret[:]) // never fails (Go 1.24)
	v, err := node.VerifyStore(params, store, verifier, time.Now())
	if err != nil {
		return unusable(dir, "verify", err)
	}
	_, total := v.Progress()
	if err := verifyAll(c.Context, v, progressOf(c, int64(total), "verifying", "blocks")); err != nil {
		return err
	}
	r := verifyReportOf(params, dir, v, time.Since(began))
	if c.Bool(jsonFlag.Name) {
		err = printJSON(c.App.Writer, r)
	} else {
		err = r.print(c.App.Writer)
	}
	if err == nil && !r.OK {
		err = fmt.Errorf("not all is well in %s (findings: %d): %s", dir, len(r.Findings)+r.More, r.Next)
	}
	return err
}

// verifyAll takes all steps of a verification, until the context ends.
func verifyAll(ctx context.Context, v *node.Verification, bar *progressbar.ProgressBar) (err error) {
	defer func() { err = errors.Join(err, bar.Clear()) }()
	for more := true; more; {
		done, total := v.Progress()
		if ctx.Err() == nil {
			more, err = v.Step(ctx)
		}
		if ctx.Err() != nil {
			list, rest := v.Findings()
			return fmt.Errorf("interrupted after %d of %d blocks; findings so far: %d", done, total, len(list)+rest)
		}
		if err != nil {
			return err
		}
		if err := bar.Set(done); err != nil {
			return err
		}
	}
	return nil
}

func verifyReportOf(p *consensus.Params, dir string, v *node.Verification, took time.Duration) verifyReport {
	tip, sum := v.Tip(), v.CoinSum()
	blocks, _ := v.Progress()
	list, more := v.Findings()
	r := verifyReport{
		Network: p.Name, DataDir: dir, OK: len(list) == 0, Height: tip.Height, Tip: tip.Hash.String(), JudgedHeight: v.Judged(),
		Blocks: blocks, Txs: v.Txs(), ElapsedS: took.Seconds(),
		BlocksPerS: float64(blocks) / took.Seconds(), TxsPerS: float64(v.Txs()) / took.Seconds(),
		Coins: sum.Count, SupplyUnits: sum.Value, CoinSum: fmt.Sprintf("%x", sum.Hash()),
		Findings: make([]verifyFinding, len(list)), More: more,
	}
	if !r.OK {
		r.Next = verifyAdvice(dir, v.InCoins())
	}
	for i, f := range list {
		r.Findings[i] = verifyFinding{f.Height, f.Hash.String(), string(f.Code), f.Detail, f.Expected, f.Found, f.String()}
	}
	return r
}

// verifyAdvice says what helps against everything that was found.
func verifyAdvice(dir string, inCoins bool) string {
	if inCoins {
		return reindexAdvice(dir) + ", which makes coins and undo data anew from the blocks"
	}
	return downloadAgain(dir)
}

// maxPrinted is how many findings are shown to people: a screen full.
const maxPrinted = 20

func (r *verifyReport) print(w io.Writer) error {
	shown := r.Findings[:min(len(r.Findings), maxPrinted)]
	for _, f := range shown {
		fmt.Fprintln(w, f.text)
	}
	total := len(r.Findings) + r.More
	if total > len(shown) {
		fmt.Fprintf(w, "… and %d more (--json lists %d)\n", total-len(shown), len(r.Findings))
	}
	state := "all is well"
	if !r.OK {
		state = fmt.Sprintf("findings: %d; all rules applied up to height %d", total, r.JudgedHeight)
	}
	return table(w,
		[2]string{"network", r.Network},
		[2]string{"directory", r.DataDir},
		[2]string{"state", state},
		[2]string{"tip", fmt.Sprintf("%d  %s", r.Height, r.Tip)},
		[2]string{"coins", fmt.Sprintf("%d, worth %s", r.Coins, wallet.FormatAmount(r.SupplyUnits))},
		[2]string{"coin sum", r.CoinSum},
		[2]string{"verified", fmt.Sprintf("%d blocks, %d transactions in %.1f s (%.0f blocks/s, %.0f transactions/s)", r.Blocks, r.Txs, r.ElapsedS, r.BlocksPerS, r.TxsPerS)},
	)
}
