package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/testnet/record"
)

// maxReport bounds the file of a report, in bytes; one has about 6,000.
const maxReport = 1 << 20

func benchCompareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "two results of \"kapok bench hash\" or \"bench merkle\", side by side",
		ArgsUsage: "A.json B.json",
		Description: "Reads what --json printed and says how much faster B is than A, contender by\n" +
			"contender. An interval that does not contain 1 is a difference; of runs at\n" +
			"different times it may still be the machine's.\n\n" +
			"Example:\n" +
			"   kapok bench hash --json > before.json\n" +
			"   kapok bench compare before.json after.json",
		Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 2); err != nil {
				return err
			}
			a, err := readReport(c.Args().Get(0))
			if err != nil {
				return err
			}
			b, err := readReport(c.Args().Get(1))
			if err != nil {
				return err
			}
			list, err := compareReports(a, b)
			if err != nil {
				return err
			}
			if c.Bool(jsonFlag.Name) {
				return printJSON(c.App.Writer, list)
			}
			printComparison(c.App.Writer, list)
			return nil
		},
	}
}

func readReport(name string) (*raceReport, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(io.LimitReader(file, maxReport))
	var r raceReport
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("%s is no result of a benchmark: %w", name, err)
	}
	if r.Bench == "" || len(r.Contenders) == 0 {
		return nil, fmt.Errorf("%s is no result of \"kapok bench hash --json\" or \"bench merkle --json\"", name)
	}
	return &r, nil
}

// comparison is how much faster a contender was in B than in A.
type comparison struct {
	Name  string  `json:"name"`
	A     float64 `json:"a_per_s"` // medians
	B     float64 `json:"b_per_s"`
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"ratio_low"` // of an interval of 95 % or more: from the ends of the medians' intervals
	High  float64 `json:"ratio_high"`
}

// compareReports refuses what cannot be compared.
func compareReports(a, b *raceReport) ([]comparison, error) {
	switch {
	case a.Bench != b.Bench:
		return nil, fmt.Errorf("one is of bench %s, the other of bench %s", a.Bench, b.Bench)
	case a.Machine.CPU != b.Machine.CPU || a.Machine.Cores != b.Machine.Cores || a.Machine.OS != b.Machine.OS || a.Machine.Arch != b.Machine.Arch:
		return nil, fmt.Errorf("they were made on different machines: %s; and %s", a.Machine, b.Machine)
	case strings.HasPrefix(b.Machine.CPU, record.UnknownCPU):
		return nil, fmt.Errorf("it is not known what processors they were made on, only: %s", b.Machine.CPU)
	case !a.Complete || !b.Complete:
		return nil, errors.New("one of them was interrupted")
	case a.Threads != b.Threads:
		return nil, fmt.Errorf("one has %d threads, the other %d", a.Threads, b.Threads)
	}
	var list []comparison
	for _, before := range a.Contenders {
		for _, after := range b.Contenders {
			if after.label() == before.label() && before.MedianLowPS > 0 && before.MedianHighPS > 0 {
				list = append(list, comparison{
					Name: before.label(), A: before.MedianPerS, B: after.MedianPerS, Ratio: after.MedianPerS / before.MedianPerS,
					Low: after.MedianLowPS / before.MedianHighPS, High: after.MedianHighPS / before.MedianLowPS,
				})
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("they have no contender in common")
	}
	return list, nil
}

func printComparison(w io.Writer, list []comparison) {
	fmt.Fprintf(w, "%-34s %10s %10s %8s   %s\n", "contender", "A, M/s", "B, M/s", "B / A", "interval, 95 % or more")
	for _, c := range list {
		fmt.Fprintf(w, "%-34s %10.3f %10.3f %8.3f   %.3f to %.3f\n", c.Name, c.A/1e6, c.B/1e6, c.Ratio, c.Low, c.High)
	}
}
