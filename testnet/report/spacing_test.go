package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
)

// TestFinds: of many miners that find a block or two each, the hashes per find are
// exponential with mean 1, though long searches are cut off by the end of the run.
func TestFinds(t *testing.T) {
	const runs = 40
	mean, naive, rejected := 0.0, 0.0, 0
	for seed := range uint64(runs) {
		run := made{nodes: 40, rates: equalRates(40, 100), spacing: 1, warmUp: 1, measured: 80, delayMS: func(a, b int) float64 { return 1 }, seed: seed}.make(t)
		for i := range run.Samples { // the miners do what is due, so that all hashes are known
			run.Samples[i].Hashes = run.Samples[i].HashesDue
		}
		a := analyse(run, nil)
		if a.hashesPerFind(); a.s.Nonces == nil {
			t.Fatalf("missing: %q", a.s.Missing)
		}
		s := a.s
		mean += s.Nonces.Mean / runs
		for _, b := range run.Blocks {
			naive += b.Hashes / b.DifficultyHashes / float64(len(run.Blocks)) / runs
		}
		if s.Nonces.P < 0.05 {
			rejected++
		}
	}
	near(t, "mean hashes per find", mean, 1, 0.06)
	if rejected > 6 { // of 40 at 5 %: more has a chance of 0.3 %
		t.Errorf("rejected in %d of %d runs", rejected, runs)
	}
	if naive > 0.8 {
		t.Errorf("finds alone have a mean of %g: then this test says nothing", naive)
	}
}

// TestFindsLeavesOut miners whose work is not known.
func TestFindsLeavesOut(t *testing.T) {
	run := fastRun(t, 2)
	found := func(node int) (n int) {
		for _, b := range run.Blocks {
			if b.Miner == node {
				n++
			}
		}
		return n
	}
	all := len(run.Blocks)
	count := func() int { return len(analyse(run, nil).finds()) }
	if n := count(); n != all {
		t.Fatalf("%d finds, want %d", n, all)
	}
	run.Events = append(run.Events, record.Event{TimeS: 500, Kind: "kill", Nodes: []int{2}})
	if n := count(); n != all-found(2) {
		t.Errorf("%d finds without the miner that was killed, want %d", n, all-found(2))
	}
	for i := range run.Blocks {
		if run.Blocks[i].Miner == 3 {
			run.Blocks[i].Hashes = math.NaN()
			break
		}
	}
	if n := count(); n != all-found(2)-found(3) {
		t.Errorf("%d finds without the one that is not known, want %d", n, all-found(2)-found(3))
	}
}

// TestSpacing: the mean is what difficulty and hash rate give, and another one is rejected.
func TestSpacing(t *testing.T) {
	run := fastRun(t, 3)
	spacing := func() *record.Spacing {
		a := analyse(run, nil)
		a.spacing()
		return a.s.Spacing
	}
	s := spacing()
	near(t, "mean", s.Mean, 1/0.985, 0.07)
	if s.P < 0.05 || s.MeanS.Low > s.Mean || s.MeanS.High < s.Mean || s.TargetS != 1 || s.Count < 1000 {
		t.Errorf("%+v", s)
	}
	// Every second block goes: now the mean is not what it must be.
	kept := run.Blocks[:0]
	for i, b := range run.Blocks {
		if i%2 == 0 {
			kept = append(kept, b)
		}
	}
	run.Blocks = kept
	if s := spacing(); s.P > 1e-6 {
		t.Errorf("half as many blocks: p = %g", s.P)
	}
}

// TestSpacingOfMovingDifficulty: times between finds are exponential, each with the mean of
// its own difficulty, and not where the difficulty says another one.
func TestSpacingOfMovingDifficulty(t *testing.T) {
	const factor = 6.0
	run := fastRun(t, 3)
	m := &run.Manifest
	m.Network.Difficulty = "asert"
	middle := m.MeasuredFromS + (m.MeasuredToS-m.MeasuredFromS)/2
	later := func(at float64) float64 { return max(at, middle+factor*(at-middle)) }
	m.MeasuredToS = later(m.MeasuredToS)
	for i := range run.Blocks {
		b := &run.Blocks[i]
		b.FoundS = later(b.FoundS)
	}
	spacing := func() *record.Spacing {
		a := analyse(run, nil)
		a.spacing()
		return a.s.Spacing
	}
	if s := spacing(); s.P > 1e-6 || !(s.MeanS.Low < s.Mean && s.Mean < s.MeanS.High) {
		t.Errorf("with one difficulty and two rates of finds: p = %g", s.P)
	}
	for i := range run.Blocks {
		if b := &run.Blocks[i]; b.FoundS > middle {
			b.DifficultyHashes *= factor
		}
	}
	if s := spacing(); s.P < 0.05 || s.Count < 1000 || !math.IsNaN(s.MeanS.Low) || !math.IsNaN(s.MeanS.High) {
		t.Errorf("with the difficulties of both: %+v", s)
	}
	page := func() string {
		var b strings.Builder
		if err := HTML(&b, run, Summarize(run, seeded())); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if strings.Contains(page(), "too little data for an interval") {
		t.Error("the page says that there is too little data, and the difficulty moved")
	}
	for i := range run.Blocks {
		run.Blocks[i].DifficultyHashes = math.NaN()
	}
	if _, expected := analyse(run, nil).gaps(); expected != nil {
		t.Error("an expected time of a difficulty that is not known")
	}
}

// TestGapsOfTwoBranches: the halves of a partition have a difficulty each where it moves, so
// that what is found then is of no rate that is known. Fixed difficulties are the same.
func TestGapsOfTwoBranches(t *testing.T) {
	run := fastRun(t, 3)
	run.Manifest.Network.Difficulty = "asert"
	a := analyse(run, nil)
	whole, _ := a.gaps()
	run.Events = append(run.Events, record.Event{TimeS: 300, Kind: "partition"}, record.Event{TimeS: 900, Kind: "heal"})
	apart := 0
	for i := range run.Blocks {
		if b := &run.Blocks[i]; b.FoundS > 300 && b.FoundS <= 900 {
			b.DifficultyHashes *= []float64{0.2, 5}[i%2]
			apart++
		}
	}
	a = analyse(run, nil)
	if gaps, _ := a.gaps(); len(gaps) > len(whole)-apart || len(gaps) < len(whole)-apart-10 {
		t.Errorf("%d times, want %d without the %d of the partition", len(gaps), len(whole)-apart, apart)
	}
	if a.spacing(); a.s.Spacing.P < 0.05 {
		t.Errorf("with a partition: %+v", a.s.Spacing)
	}
	run.Manifest.Network.Difficulty = fixedRule
	if gaps, _ := analyse(run, nil).gaps(); len(gaps) != len(whole) {
		t.Errorf("%d times with a fixed difficulty, want all %d", len(gaps), len(whole))
	}
}

func TestGapsAcrossDownTimes(t *testing.T) {
	run := &record.Run{Manifest: record.Manifest{MeasuredFromS: 10, MeasuredToS: 100, Nodes: make([]record.Node, 1), Network: record.Network{Difficulty: "fixed", DifficultyHashes: 50}}}
	run.Manifest.Nodes[0].HashesPerS = 5
	for _, at := range []float64{5, 12, 20, 35, 45, 60, 99, 101} {
		run.Blocks = append(run.Blocks, record.Block{Hash: fmt.Sprint(at), FoundS: at, Status: record.Active, ArrivalS: []float64{at}})
	}
	run.Events = []record.Event{{TimeS: 30, Kind: "stop", Nodes: []int{1}}, {TimeS: 40, Kind: "restart", Nodes: []int{1}}}
	run.Samples = []record.Sample{{TimeS: 9, Node: 1, Tip: "a"}, {TimeS: 42, Node: 1, Tip: "a"}}
	gaps, expected := analyse(run, nil).gaps()
	// 12-10, 20-12, then 30-20 and 45-42, 60-45, 99-60; 35 is while not all run.
	if want := []float64{2, 8, 13, 15, 39}; !slices.Equal(gaps, want) || !slices.Equal(expected, []float64{10, 10, 10, 10, 10}) {
		t.Errorf("gaps %v, want %v; expected %g, want 10", gaps, want, expected)
	}
}
