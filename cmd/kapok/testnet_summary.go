package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
)

// testnetSummary is a run's summary as the command line shows it.
type testnetSummary struct {
	*record.Summary
	name, dir string
}

// MarshalJSON is the summary with the run's directory.
func (s *testnetSummary) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string `json:"name"`
		Dir  string `json:"dir"`
		*record.Summary
	}{s.name, s.dir, s.Summary})
}

// print writes the figures that one looks at first; the report has all.
func (s *testnetSummary) print(w io.Writer) {
	verdict := "complete"
	if !s.Complete {
		verdict = "NOT COMPLETE: the figures are partial"
	}
	fmt.Fprintf(w, "%s: %s\n\n", s.name, verdict)
	for _, row := range s.rows() {
		fmt.Fprintf(w, "  %-14s%s\n", row[0], row[1])
	}
	if len(s.Missing) > 0 {
		fmt.Fprintln(w)
	}
	for _, sentence := range s.Missing {
		fmt.Fprintf(w, "  %s\n", sentence)
	}
	fmt.Fprintf(w, "\n  %s\n", filepath.Join(s.dir, record.ReportFile))
}

func (s *testnetSummary) rows() [][2]string {
	rows := [][2]string{
		{"measured", fmt.Sprintf("%.0f s; %d of %d nodes ran at the end, on %s with %s", s.MeasuredS, s.NodesAtEnd, s.Nodes,
			counted(s.Tips, "tip", "different tips"), counted(s.CoinSums, "coin sum", "different coin sums"))},
		{"blocks", s.blocks()},
	}
	if p := s.Propagation; p != nil {
		rows = append(rows, [2]string{"propagation", fmt.Sprintf("p50 %s, p95 %s; to the last node p50 %s, p95 %s",
			briefly(p.P50S), briefly(p.P95S), briefly(p.LastP50S), briefly(p.LastP95S))})
	}
	if text := s.payments(); text != "" {
		rows = append(rows, [2]string{"payments", text})
	}
	for _, d := range s.Delays {
		if depth, ok := strings.CutPrefix(d.Stage, "confirmed_"); ok && d.Payments > 0 {
			rows = append(rows, [2]string{"confirmed " + depth, fmt.Sprintf("p50 %s, p99 %s", within(d.P50S, briefly), briefly(float64(d.P99S)))})
		}
	}
	for _, a := range s.Attacks {
		rows = append(rows, [2]string{string(a.Kind), fmt.Sprintf("node %d: %s, theory %s", a.Node, within(a.Measured, percent), percent(a.Predicted))})
	}
	rows = append(rows,
		[2]string{"energy", fmt.Sprintf("%.3g J, %s a payment, %s a block (%s)", s.Energy.Joules, joules(s.Energy.JoulesPerPayment), joules(s.Energy.JoulesPerBlock), s.Energy.Method)},
		[2]string{"machine", fmt.Sprintf("%s hashed, %s of the worst miner's hashes not done; started in %s; %s of memory at most",
			formatHashrate(s.HashesPerS), percent(s.LagShare), briefly(s.StartedInS), formatBytes(int64(s.PeakRSSBytes)))})
	return rows
}

func (s *testnetSummary) blocks() string {
	text := fmt.Sprintf("%d on the best chain, %d stale", s.Blocks, s.StaleBlocks)
	if s.Withheld > 0 {
		text += fmt.Sprintf(", %d withheld", s.Withheld)
	}
	if r := s.StaleRate; r != nil {
		text += " (" + within(r.Share, percent)
		switch {
		case r.MostlyDisturbed():
			text += ", nearly all found while something disturbed the network or just before"
		case r.Disturbed():
			text += "; undisturbed " + within(r.Compared, percent)
		}
		if r.Method != "" {
			text += "; predicted " + percent(r.Predicted)
		}
		text += ")"
	}
	if p := s.Spacing; p != nil {
		text += fmt.Sprintf("; a find every %s, asked for %gs", within(p.MeanS, briefly), p.TargetS)
	}
	return text
}

// payments lists what became of them, those in the chain first.
func (s *testnetSummary) payments() string {
	var parts []string
	for _, status := range []record.PaymentStatus{record.Confirmed, record.Pending, record.Refused, record.Unanswered, record.Conflicted, record.Died, record.Lost} {
		if n := s.Payments[status]; n > 0 || status == record.Lost && len(parts) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	return strings.Join(parts, ", ")
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// within is a figure with its 95 % interval, where it has one.
func within(i record.Interval, format func(float64) string) string {
	if math.IsNaN(i.Value) {
		return "unknown"
	}
	if math.IsNaN(i.Low) || math.IsNaN(i.High) {
		return format(i.Value)
	}
	return fmt.Sprintf("%s (95 %% %s to %s)", format(i.Value), format(i.Low), format(i.High))
}

// joules is an energy with three digits.
func joules(f record.Figure) string {
	if math.IsNaN(float64(f)) {
		return "unknown"
	}
	return fmt.Sprintf("%.3g J", float64(f))
}

// briefly is a time in seconds with three digits.
func briefly(s float64) string {
	switch {
	case math.IsNaN(s):
		return "unknown"
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1000)
	}
	return fmt.Sprintf("%.3g s", s)
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
