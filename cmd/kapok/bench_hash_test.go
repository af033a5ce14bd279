package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// hashShape is the JSON document of `kapok bench hash --json`.
const hashShape = `complete bool
contenders[].hashes number
contenders[].joules_per_hash number
contenders[].kind string
contenders[].max_hashes_per_s number
contenders[].median_hashes_per_s number
contenders[].min_hashes_per_s number
contenders[].name string
contenders[].p10_hashes_per_s number
contenders[].p90_hashes_per_s number
contenders[].ratio_to_midstate number
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
method.clock string
method.order string
method.ratio string
method.slice_s number
method.spread string
rounds number
threads number
version string`

func TestBenchHash(t *testing.T) {
	report, err := benchHash(t.Context(), 0.1, 2, newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(sha256d.Kernels()) + 2; len(report.Contenders) != want {
		t.Errorf("%d contenders, expected %d", len(report.Contenders), want)
	}
	for _, c := range report.Contenders {
		if c.Samples != report.Rounds || c.Hashes <= 0 || c.MinHashesPerS <= 0 || c.MedianHashesPerS > c.MaxHashesPerS {
			t.Errorf("%s: %+v", c.label(), c)
		}
		if c.Name == midstateName && c.RatioToMidstate != 1 {
			t.Errorf("the midstate baseline is %g times itself", c.RatioToMidstate)
		}
	}
	if !report.Complete {
		t.Error("the report is not complete")
	}
	if got := shapeOf(t, report); got != hashShape {
		t.Errorf("the JSON document is\n%s", got)
	}
	var text bytes.Buffer
	report.print(&text)
	if !strings.Contains(text.String(), twiceName) || strings.Contains(text.String(), "INTERRUPTED") {
		t.Errorf("the table is\n%s", &text)
	}
}

func TestBenchHashInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report, err := benchHash(ctx, 1, 1, newProgress(io.Discard)); err == nil {
		t.Errorf("a report of nothing: %+v", report)
	}
	contenders, err := hashContenders(devGenesis())
	if err != nil {
		t.Fatal(err)
	}
	tallies := make([]hashTally, len(contenders))
	for i := range tallies {
		tallies[i].add(hashSample{rate: 2, hashes: 4, joules: 8}, hashSample{rate: 4})
	}
	report := newHashReport(contenders, tallies, noEnergy, 1, 1, false)
	var text bytes.Buffer
	report.print(&text)
	if report.Complete || !strings.Contains(text.String(), "INTERRUPTED") {
		t.Error("nothing says that the results are partial")
	}
	if c := report.Contenders[0]; c.RatioToMidstate != 0.5 || c.JoulesPerHash != 2 || c.Spread != 0 {
		t.Errorf("%+v", c)
	}
}

// blindKernel is fast and finds nothing.
type blindKernel struct{ sha256d.Portable }

func (blindKernel) Search(_ *sha256d.Work, _, n uint32, _ []sha256d.Hit) (int, uint32) { return 0, n }

func TestBlindKernelIsRefused(t *testing.T) {
	if err := proveKernel(blindKernel{}, devGenesis()); err == nil {
		t.Error("a kernel that finds nothing is measured")
	}
}

func devGenesis() [sha256d.HeaderSize]byte {
	header := consensus.Dev().Genesis().Header
	return [sha256d.HeaderSize]byte(header.Append(nil))
}

func TestCPUName(t *testing.T) {
	if got := cpuNameOf("processor\t: 0\nmodel name\t: A 1\nmodel name\t: B 2\n"); got != "A 1" {
		t.Errorf("%q", got)
	}
	if got := cpuNameOf("nothing"); !strings.HasPrefix(got, "unknown ") {
		t.Errorf("%q", got)
	}
}
