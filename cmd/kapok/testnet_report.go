package main

import (
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
)

// remakeReport is the action of `kapok report DIR`: it writes a run's summary and report
// anew, from what the run recorded.
func remakeReport(c *cli.Context) error {
	if err := exactArgs(c, 1); err != nil {
		return err
	}
	dir := filepath.Clean(c.Args().First())
	run, err := record.Open(dir)
	if err != nil {
		return err
	}
	s := report.Summarize(run, mathrand.New(mathrand.NewPCG(run.Manifest.Seed, summaryStream)))
	view := &testnetSummary{Summary: s, name: run.Manifest.Name, dir: dir}
	if err := record.Replace(filepath.Join(dir, record.SummaryFile), func(w io.Writer) error { return printJSON(w, s) }); err != nil {
		return fmt.Errorf("the summary: %w", err)
	}
	if err := record.Replace(filepath.Join(dir, record.ReportFile), func(w io.Writer) error { return report.HTML(w, run, s) }); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return show(c, view)
}

// summaryStream is the stream of the run's seed that its summary draws from, so that it
// comes out as it did when the run ended.
const summaryStream = 2
