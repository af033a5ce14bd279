package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/testnet/record"
)

// raceShape is the JSON document of `kapok bench hash --json`.
const raceShape = `bench string
clock_hz number
complete bool
contenders[].count number
contenders[].cpu_s_each number
contenders[].cycles_each number
contenders[].fraction_of_limit number
contenders[].joules_each number
contenders[].kind string
contenders[].max_per_s number
contenders[].median_high_per_s number
contenders[].median_low_per_s number
contenders[].median_per_s number
contenders[].min_per_s number
contenders[].name string
contenders[].p10_per_s number
contenders[].p90_per_s number
contenders[].ratio_to_baseline number
contenders[].samples number
contenders[].spread number
contenders[].versions number
elapsed_s number
energy.measured bool
energy.method string
machine.arch string
machine.cores number
machine.cpu string
machine.go string
machine.os string
method.baseline string
method.clock string
method.cycles string
method.interval string
method.limit string
method.order string
method.ratio string
method.slice_s number
method.spread string
rounds number
sha_unit_per_s number
threads number
unit string
version string`

func hashes(t *testing.T) *race {
	t.Helper()
	r, err := hashRace(devHeader())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBenchHash(t *testing.T) {
	report, err := hashes(t).run(t.Context(), 0.1, 2, newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(sha256d.Kernels()) + 2; len(report.Contenders) != want {
		t.Errorf("%d contenders, expected %d", len(report.Contenders), want)
	}
	for _, c := range report.Contenders {
		if c.Samples != report.Rounds || c.Count <= 0 || c.MinPerS <= 0 || c.MedianPerS > c.MaxPerS || c.MedianLowPS > c.MedianPerS || c.MedianHighPS < c.MedianPerS {
			t.Errorf("%s: %+v", c.label(), c)
		}
		if c.Name == midstateName && c.Ratio != 1 {
			t.Errorf("the midstate baseline is %g times itself", c.Ratio)
		}
		if known := sha256d.ClockProbe() != nil; known != (c.Cycles > 0) {
			t.Errorf("%s: %g cycles a hash", c.label(), c.Cycles)
		}
		if sha := strings.HasPrefix(c.Name, "sha-ni"); sha != (c.OfLimit > 0) {
			t.Errorf("%s: %g of its limit", c.label(), c.OfLimit)
		}
	}
	if !report.Complete {
		t.Error("the report is not complete")
	}
	if got := shapeOf(t, report); got != raceShape {
		t.Errorf("the JSON document is\n%s", got)
	}
	var text bytes.Buffer
	report.print(&text)
	if !strings.Contains(text.String(), twiceName) || strings.Contains(text.String(), "INTERRUPTED") {
		t.Errorf("the table is\n%s", &text)
	}
}

func TestBenchMerkle(t *testing.T) {
	r, err := merkleRace()
	if err != nil {
		t.Fatal(err)
	}
	report, err := r.run(t.Context(), 0.05, 1, newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Contenders; report.Unit != "nodes" || len(c) == 0 || c[len(c)-1].Ratio != 1 || c[0].Count <= 0 || (len(c) == 2) != (sha256d.NodeKernel() != "") {
		t.Errorf("%+v", report)
	}
}

func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report, err := hashes(t).run(ctx, 1, 1, newProgress(io.Discard)); err == nil {
		t.Errorf("a report of nothing: %+v", report)
	}
	r := hashes(t)
	tallies := make([]tally, len(r.contenders))
	for i := range tallies {
		tallies[i].add(sample{rate: 2, count: 4, joules: 8}, sample{rate: 4})
	}
	report := r.report(tallies, &probeRates{clock: []float64{6}, unit: []float64{244}}, energy.Reading{Method: "none"}, 1, 1, false)
	var text bytes.Buffer
	report.print(&text)
	if report.Complete || !strings.Contains(text.String(), "INTERRUPTED") {
		t.Error("nothing says that the results are partial")
	}
	if c := report.Contenders[0]; c.Ratio != 0.5 || c.Joules != 2 || c.Spread != 0 || c.Cycles != 3 || r.contenders[0].sha && c.OfLimit != 0.5 {
		t.Errorf("%+v", c)
	}
}

// blindKernel is fast and finds nothing.
type blindKernel struct{ sha256d.Portable }

func (blindKernel) Search(_ *sha256d.Work, _, n uint32, _ []sha256d.Hit) (int, uint32) { return 0, n }

func TestBlindKernelIsRefused(t *testing.T) {
	if err := proveKernel(blindKernel{}, devHeader()); err == nil {
		t.Error("a kernel that finds nothing is measured")
	}
}

func reportOf(cpu string, threads int, rates ...float64) *raceReport {
	r := &raceReport{Bench: "hash", Unit: "hashes", Complete: true, Threads: threads, Machine: machine{CPU: cpu}}
	for i, rate := range rates {
		r.Contenders = append(r.Contenders, raced{
			Name: "<kernel> " + string(rune('a'+i)), Kind: "kernel", MedianPerS: rate, MedianLowPS: rate * 0.9, MedianHighPS: rate * 1.1, P10PerS: rate / 2, P90PerS: rate * 2,
		})
	}
	return r
}

func TestCompareReports(t *testing.T) {
	list, err := compareReports(reportOf("one", 1, 100, 7), reportOf("one", 1, 300))
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if c := list[0]; c.Ratio != 3 || c.Low < 2.45 || c.Low > 2.46 || c.High < 3.66 || c.High > 3.67 {
		t.Errorf("%+v", c)
	}
	merkle := reportOf("one", 1, 1)
	merkle.Bench = "merkle"
	partial := reportOf("one", 1, 1)
	partial.Complete = false
	for want, b := range map[string]*raceReport{
		"was interrupted":    partial,
		"different machines": reportOf("other", 1, 1), "the other 2": reportOf("one", 2, 1), "bench merkle": merkle, "in common": reportOf("one", 1),
	} {
		if _, err := compareReports(reportOf("one", 1, 1), b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Two machines that do not say what they are may be unlike.
func TestCompareRefusesUnknownProcessors(t *testing.T) {
	a, b := reportOf(record.CPUName("nothing"), 1, 1), reportOf(record.CPUName("nothing"), 1, 1)
	if _, err := compareReports(a, b); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("got %v", err)
	}
}

func TestReadReport(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.json")
	for text, want := range map[string]string{"": "no result", "{}": "no result of", `{"bench":7}`: "no result", "[": "no result"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readReport(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	raw, err := json.Marshal(reportOf("one", 1, 5))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := readReport(name); err != nil || r.Contenders[0].MedianPerS != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := readReport(name + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A chart is well-formed XML with a bar for each contender.
func TestChart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.svg")
	if err := writeChart(name, reportOf("A & B", 1, 100, 50, 25)); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bars, text := 0, ""
	for d := xml.NewDecoder(file); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "line" {
				bars++
			}
		case xml.CharData:
			text += string(token)
		}
	}
	if bars != 3 || !strings.Contains(text, "A & B") || !strings.Contains(text, "<kernel> a") {
		t.Errorf("%d bars, %q", bars, text)
	}
	if err := writeChart(name, reportOf("one", 1, 0)); err == nil {
		t.Error("a chart of nothing")
	}
}
