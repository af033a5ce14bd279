package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// confirmShape is the JSON document of `kapok bench confirm --json`.
const confirmShape = `blocks number
complete bool
delays[].blocks number
delays[].p50_block_intervals.high number
delays[].p50_block_intervals.low number
delays[].p50_block_intervals.value number
delays[].p50_s.high number
delays[].p50_s.low number
delays[].p50_s.value number
delays[].p90_s number
delays[].p99_s number
delays[].payments number
delays[].payments_that_never_got_there number
delays[].stage string
elapsed_s number
energy.joules number
energy.joules_per_block number
energy.joules_per_hash number
energy.joules_per_payment number
energy.measured bool
energy.method string
energy.payments number
hashes_per_s number
lag_share number
machine.arch string
machine.cores number
machine.cpu string
machine.go string
machine.os string
measured_s number
method.delays_from string
method.interval string
method.load string
method.percentile string
method.rate_per_s number
method.seed number
network string
nodes number
not_enough_data[] string
payments.confirmed number
payments.first_refusal string
payments.lost number
payments.refused number
payments.submitted number
payments.unanswered number
payments.unconfirmed number
spacing_s number
stale_blocks number
target_spacing_s number
version string
warm_up_blocks number`

// shapeOf lists the fields of a JSON document with their types, sorted.
func shapeOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]bool)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				walk(strings.TrimPrefix(path+"."+name, "."), value)
			}
		case []any:
			for _, value := range v {
				walk(path+"[]", value)
			}
		case bool:
			fields[path+" bool"] = true
		case float64:
			fields[path+" number"] = true
		case string:
			fields[path+" string"] = true
		}
	}
	walk("", doc)
	return strings.Join(slices.Sorted(maps.Keys(fields)), "\n")
}

// confirmDefaults are the options without flags.
func confirmDefaults() confirmOptions {
	return confirmOptions{
		nodes: benchConfirmNodes, rate: benchConfirmRate, blocks: benchConfirmBlocks, warmUp: benchConfirmWarmUp,
		hashrate: 2e6, spacing: benchConfirmSpacing, latency: -1, seed: 1,
	}
}

// The testnet is the one that the options describe.
func TestConfirmFile(t *testing.T) {
	now := time.Now()
	parse := func(change func(*confirmOptions)) *spec.Spec {
		o := confirmDefaults()
		change(&o)
		s, err := spec.Parse(o.file(), "", now)
		if err != nil {
			t.Fatalf("%v in\n%s", err, o.file())
		}
		return s
	}
	s := parse(func(*confirmOptions) {})
	if len(s.Nodes) != 3 || s.Blocks != 110 || s.WarmUp != 8*time.Second || s.SpacingS != 2 || s.Payments.Rate != 10 || s.Payments.Wallets != 4 || s.Seed != 1 {
		t.Errorf("%+v", s)
	}
	if share := s.Nodes[2].HashesPerS; math.Abs(share-2e6/3) > 1 {
		t.Errorf("node 3 does %g hashes a second", share)
	}
	s = parse(func(o *confirmOptions) {
		o.nodes, o.latency, o.spacing, o.rate, o.warmUp, o.seed = 20, 100*time.Millisecond, 500*time.Millisecond, 0.25, 0, 9
	})
	if len(s.Nodes) != 20 || s.Links[0][19].Delay != 100*time.Millisecond || s.SpacingS != 0.5 || s.Payments.Rate != 0.25 || s.Payments.Wallets != 20 || s.WarmUp != 0 || s.Seed != 9 {
		t.Errorf("%+v", s)
	}
	for _, extreme := range []func(*confirmOptions){
		func(o *confirmOptions) { o.rate = maxConfirmRate },
		func(o *confirmOptions) { o.rate = 1e-9 },
		func(o *confirmOptions) { o.nodes = 1 },
		func(o *confirmOptions) { o.nodes, o.latency = maxConfirmNodes, 0 },
		func(o *confirmOptions) { o.hashrate = 123456.789 },
	} {
		parse(extreme)
	}
}

func TestConfirmFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--nodes 51":                  "--nodes 51: choose 1 to 50",
		"--rate 0":                    "--rate 0: choose more than 0 and up to 200",
		"--rate NaN":                  "--rate NaN: choose more than 0",
		"--blocks 0":                  "--blocks 0 --warm-up 4: choose 1 to",
		"--max-hashrate 0":            "choose one above 0",
		"--latency -1s":               "--latency -1s: choose a time that is not negative",
		"--spacing 1ms":               "spacing",
		"--blocks 100000 --rate 200":  "coins",
		"--spacing 1500s --rate 0.01": "these flags describe no testnet that can be run",
	} {
		app := newApp()
		app.Writer, app.ErrWriter = io.Discard, io.Discard
		err := app.RunContext(t.Context(), append([]string{"kapok", "bench", "confirm"}, strings.Fields(args)...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// confirmRun is a run of two blocks with three payments, of which one was refused.
func confirmRun() (*record.Run, *record.Summary) {
	run := &record.Run{
		Manifest: record.Manifest{MeasuredFromS: 10, Network: record.Network{Name: "testnet", SpacingS: 2}, Load: record.Load{Arrivals: "open loop, Poisson", Fees: "constant"}},
		Payments: []record.Payment{
			{DueS: 9, Status: record.Refused, Detail: "before"}, {DueS: 12, Status: record.Confirmed},
			{DueS: 13, Status: record.Refused, Detail: "full"}, {DueS: 13, Status: record.Died},
		},
	}
	s := &record.Summary{
		Complete: true, MeasuredS: 5, Nodes: 2, HashesPerS: 200_000, Blocks: 2, StaleBlocks: 1, LagShare: 0.02,
		Payments: map[record.PaymentStatus]int{record.Confirmed: 1, record.Refused: 1, record.Died: 1},
		Delays: []record.Delay{
			{Stage: "in_block", Payments: 1, Blocks: 1, P50S: record.Interval{Value: 1.5, Low: 1, High: 2}, P90S: 3, P99S: 4, P50: record.Interval{Value: 0.75, Low: 0.5, High: 1}},
			{Stage: "confirmed_6", Payments: 1, Blocks: 1, P50S: record.Interval{Value: 12, Low: math.NaN(), High: math.NaN()}, P90S: 13, P99S: 14, P50: record.Interval{Value: 6, Low: math.NaN(), High: math.NaN()}},
		},
		Missing: []string{"Not enough data: payments in 1 block."},
		Energy:  record.Energy{Method: "model", Joules: 8, JoulesPerBlock: 4, Payments: 7},
	}
	return run, s
}

func TestConfirmReport(t *testing.T) {
	o := confirmDefaults()
	run, s := confirmRun()
	r := newConfirmReport(&o, run, s, 7*time.Second)
	if r.SpacingS != 2.5 || r.TargetS != 2 || r.ElapsedS != 7 || r.StaleBlocks != 1 {
		t.Errorf("%+v", r)
	}
	if want := (confirmPayments{Submitted: 3, Confirmed: 1, Unconfirmed: 2, Refused: 1, Lost: 1, FirstRefusal: "full"}); r.Payments != want {
		t.Errorf("%+v", r.Payments)
	}
	if got := shapeOf(t, r); got != confirmShape {
		t.Errorf("the JSON document is\n%s", got)
	}
	var text bytes.Buffer
	r.print(&text)
	for _, want := range []string{
		"in a block               1  1.500 [1.000, 2.000]           3.000    4.000   0.75 [0.50, 1.00]\n",
		"6 confirmations          1  12.000 [not enough data]      13.000   14.000   6.00 [not enough data]\n",
		"3 submitted, 1 confirmed, 2 unconfirmed (1 refused, 0 unanswered, 1 lost)", "first refusal: full",
		" per hash\n          payments confirmed in that time, whenever due: 7\n          model\n", "[not enough data]: an interval takes payments in 15 blocks or more, 45 for 3 confirmations and 90 for 6, and more where payments queue\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "INTERRUPTED") {
		t.Error("it was not interrupted")
	}
}

// Interrupted before anything was measured, it must still be JSON.
func TestConfirmReportOfNothing(t *testing.T) {
	o := confirmDefaults()
	r := newConfirmReport(&o, &record.Run{}, &record.Summary{}, 0)
	shapeOf(t, r)
	if r.Complete || r.Blocks != 0 || r.Delays == nil {
		t.Errorf("%+v", r)
	}
}

// A few blocks of real nodes: each payment is followed to its sixth confirmation, and the
// run directory is there.
func TestBenchConfirm(t *testing.T) {
	o := confirmDefaults()
	o.nodes, o.blocks, o.warmUp, o.hashrate, o.spacing, o.rate, o.out = 2, 6, 1, 40_000, 250*time.Millisecond, 40, filepath.Join(t.TempDir(), "run")
	r, err := benchConfirm(t.Context(), o, slog.New(slog.DiscardHandler), newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	p := &r.Payments
	// The first of them may have been found as the measurement began, and be a tip only then.
	if !r.Complete || r.Blocks < 5 || p.Submitted == 0 || p.Lost+p.Refused+p.Unanswered > 0 || p.Confirmed != p.Submitted {
		t.Errorf("%+v", r)
	}
	last := r.Delays[len(r.Delays)-1]
	if len(r.Delays) != len(confirmStages) || last.Stage != "confirmed_6" || last.Payments == 0 || last.P50S.Value < r.Delays[0].P50S.Value {
		t.Errorf("%+v", r.Delays)
	}
	if len(r.Missing) == 0 || !math.IsNaN(last.P50S.Low) {
		t.Errorf("an interval from %d blocks: %+v, %v", last.Blocks, last.P50S, r.Missing)
	}
	if _, err := os.Stat(filepath.Join(o.out, "report.html")); err != nil {
		t.Error(err)
	}
	if _, err := benchConfirm(t.Context(), o, slog.New(slog.DiscardHandler), newProgress(io.Discard)); err == nil {
		t.Error("a second run in the same directory")
	}
}
