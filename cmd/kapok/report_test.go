package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/storage"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// writeRun writes the directory of a run that never ran: a chain without forks, whose
// blocks take 50 ms to every other node, and payments that the next block takes.
func writeRun(t *testing.T, dir string, s *spec.Spec, status record.Status, lag float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(s.Seed, 1))
	const from = 10.0
	to := from + s.Duration.Seconds()
	m := record.Manifest{Schema: record.Schema, KapokVersion: version, Name: s.Name, StartedAt: time.Unix(1_790_000_000, int64(s.Seed)), Seed: s.Seed,
		MeasuredFromS: from, MeasuredToS: to,
		Network: record.Network{Name: "testnet", GenesisHash: "00", Difficulty: "fixed", SpacingS: s.SpacingS, MaxWeight: s.Network.MaxWeight},
		Load:    record.Load{RatePerS: s.Payments.Rate}}
	rate := 0.0
	for i, n := range s.Nodes {
		m.Nodes = append(m.Nodes, record.Node{Node: i + 1, Name: n.Name, HashesPerS: n.HashesPerS, Dials: []int{}})
		m.LinkDelaysMS = append(m.LinkDelaysMS, make([]float64, len(s.Nodes)))
		rate += n.HashesPerS
	}
	m.Network.DifficultyHashes = rate * s.SpacingS
	w, err := record.Create(dir, m, s.Text)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var blocks []record.Block
	parent := "genesis"
	for at := from; at < to+20*s.SpacingS; {
		at += rng.ExpFloat64()*s.SpacingS + 0.05
		b := record.Block{Hash: fmt.Sprintf("%064x", rng.Uint64()), Parent: parent, Height: uint32(len(blocks) + 1), Miner: len(blocks)%len(s.Nodes) + 1, Status: record.Active,
			FoundS: at, HeaderTime: 1, DifficultyHashes: m.Network.DifficultyHashes, Hashes: m.Network.DifficultyHashes * rng.ExpFloat64(), Transactions: 1, SizeBytes: 300, WeightUnits: 1000}
		for i := range s.Nodes {
			delay := 0.05
			if i == b.Miner-1 {
				delay = 0
			}
			b.ArrivalS = append(b.ArrivalS, at+delay)
		}
		blocks, parent = append(blocks, b), b.Hash
	}
	var payments []record.Payment
	next := 0
	for at := from; at < to; at += rng.ExpFloat64() / s.Payments.Rate {
		for blocks[next].FoundS < at {
			next++
		}
		b := blocks[next]
		confirmed := func(k int) float64 { return slices.Max(blocks[next+k-1].ArrivalS) }
		payments = append(payments, record.Payment{ID: len(payments) + 1, TxID: fmt.Sprintf("%064x", rng.Uint64()), Node: 1, DueS: at, SubmittedS: at, AnsweredS: at, FeeRate: 1, VSizeBytes: 140,
			AcceptedS: at, EveryPoolS: at, Block: b.Hash, Height: b.Height, InBlockS: b.FoundS, Confirmed1S: confirmed(1), Confirmed3S: confirmed(3), Confirmed6S: confirmed(6), Status: record.Confirmed})
	}
	m.Status = status
	m.End = &record.End{Joules: 5 * (to - from), EnergyMethod: "model", Hashes: rate * (to - from), HashesDue: rate * (to - from), WorstLag: lag}
	for i := range s.Nodes {
		m.End.Nodes = append(m.End.Nodes, record.NodeEnd{Node: i + 1, Height: blocks[len(blocks)-1].Height, Tip: parent, CoinSum: "00"})
	}
	var samples []record.Sample
	for at := 0.0; at <= to; at += 5 {
		for i, n := range s.Nodes {
			samples = append(samples, record.Sample{TimeS: at, Node: i + 1, Tip: parent, Hashes: n.HashesPerS * at, HashesDue: n.HashesPerS * at})
		}
	}
	if err := errors.Join(w.Tables(blocks, payments), w.Samples(samples), w.Manifest(m), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// fakeSweep is a sweep whose clock and testnets are made up.
type fakeSweep struct {
	sweep
	t     *testing.T
	clock time.Time
	slow  time.Duration // that each run takes besides what is expected of it
	ran   []string      // with the length of its measured part
	end   func(n int) (record.Status, error)
	lag   func(n int) float64
	notes []string
}

func newFakeSweep(t *testing.T, dir string, settings sweepSettings) *fakeSweep {
	f := &fakeSweep{t: t, clock: time.Unix(1_790_000_000, 0), lag: func(int) float64 { return 0.01 },
		end: func(int) (record.Status, error) { return record.Complete, nil }}
	f.sweep = sweep{sweepSettings: settings, dir: dir, now: func() time.Time { return f.clock },
		say: func(string) {}, note: func(text string) { f.notes = append(f.notes, text) },
		run: func(ctx context.Context, s *spec.Spec, dir string, progress func(string)) error {
			progress("measuring")
			status, err := f.end(len(f.ran))
			writeRun(t, dir, s, status, f.lag(len(f.ran)))
			f.ran = append(f.ran, s.Name)
			f.clock = f.clock.Add(f.slow + startTime + s.WarmUp + s.Duration + time.Duration(drainIntervals*s.SpacingS*float64(time.Second)))
			return err
		}}
	return f
}

func smallSweep() sweepSettings {
	return sweepSettings{Schema: record.Schema, KapokVersion: version, IntervalsS: []float64{0.5, 2}, Sizes: []int{400_000}, Replicas: 2,
		BudgetS: 480, Nodes: 3, HashesPerS: 2000, LatencyS: 0.05, PaymentsPerS: 4, Seed: 1}
}

func TestSweep(t *testing.T) {
	for _, slow := range []time.Duration{0, 15 * time.Second, -8 * time.Second} {
		f := newFakeSweep(t, filepath.Join(t.TempDir(), "new", "sweep"), smallSweep())
		f.slow = slow
		began := f.clock
		done, err := f.sweep.sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took := f.clock.Sub(began).Seconds(); took > 480+15 || took < 480-30 {
			t.Errorf("with runs that take %s more than expected, a budget of 480 s takes %.0f s", slow, took)
		}
		if want := []string{"500ms-400000-1", "2s-400000-1", "500ms-400000-2", "2s-400000-2"}; !slices.Equal(f.ran, want) {
			t.Errorf("ran %v, want %v", f.ran, want)
		}
		if len(done.points) != 2 || done.incomplete != "" || len(done.points[0].Runs) != 2 || len(done.points[1].Runs) != 2 {
			t.Fatalf("%+v", done)
		}
		seeds := map[uint64]bool{}
		for _, p := range done.points {
			for _, run := range p.Runs {
				seeds[run.Manifest.Seed] = true
				m := &run.Manifest
				if blocks := (m.MeasuredToS - m.MeasuredFromS) / p.IntervalS; slow == 0 && math.Abs(blocks-70) > 5 {
					t.Errorf("%s is long enough for %.0f blocks, and the budget for 70 of each run", m.Name, blocks)
				}
			}
		}
		if len(seeds) != 4 {
			t.Errorf("four runs have %d seeds", len(seeds))
		}
	}
}

// TestSweepGoesOn interrupts a sweep, lets a run of it fail, and goes on in the same
// directory.
func TestSweepGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	ctx, cancel := context.WithCancel(t.Context())
	f := newFakeSweep(t, dir, smallSweep())
	f.end = func(n int) (record.Status, error) {
		if n == 1 {
			cancel()
			return record.Interrupted, context.Canceled
		}
		return record.Complete, nil
	}
	done, err := f.sweep.sweep(ctx)
	if !errors.Is(err, context.Canceled) || done == nil || len(done.points[0].Runs) != 1 || len(done.points[1].Runs) != 0 || !strings.Contains(done.incomplete, "1 of 4 runs") {
		t.Fatalf("interrupted: %v, %+v", err, done)
	}
	if r := report.TradeoffsOf(report.Sweep{Points: done.points, Incomplete: done.incomplete}, rand.New(rand.NewPCG(1, 1))); r.Complete || r.Missing[0] != done.incomplete || writeTradeoffs(dir, r) != nil {
		t.Errorf("what there is of an interrupted sweep is not reported: %+v", r.Missing)
	}

	f = newFakeSweep(t, dir, smallSweep())
	broken := errors.New("the disk is full")
	f.end = func(n int) (record.Status, error) {
		if n > 0 {
			return record.Failed, broken
		}
		return record.Complete, nil
	}
	done, err = f.sweep.sweep(t.Context())
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "500ms-400000-2: ") || !strings.Contains(err.Error(), "2s-400000-2: ") || !strings.Contains(done.incomplete, "2 of 4 runs") {
		t.Fatalf("failed: %v, %+v", err, done)
	}
	if want := []string{"2s-400000-1", "500ms-400000-2", "2s-400000-2"}; !slices.Equal(f.ran, want) || !strings.Contains(strings.Join(f.notes, " "), "1 of 4 runs") {
		t.Errorf("went on with %v, want %v; notes %q", f.ran, want, f.notes)
	}

	f = newFakeSweep(t, dir, smallSweep())
	began := f.clock
	done, err = f.sweep.sweep(t.Context())
	if err != nil || done.incomplete != "" || !slices.Equal(f.ran, []string{"500ms-400000-2", "2s-400000-2"}) {
		t.Fatalf("%v, ran %v, %+v", err, f.ran, done)
	}
	if took := f.clock.Sub(began).Seconds(); math.Abs(took-240) > 20 {
		t.Errorf("half of the runs take %.0f s of a budget of 480", took)
	}
	for _, name := range []string{"2s-400000-1.partial-1", "500ms-400000-2.partial-1", "2s-400000-2.partial-1"} {
		if _, err := record.Open(filepath.Join(dir, sweepRunsDir, name)); err != nil {
			t.Errorf("what there was of a run is not kept: %v", err)
		}
	}

	f = newFakeSweep(t, dir, smallSweep())
	if done, err = f.sweep.sweep(t.Context()); err != nil || len(f.ran) != 0 || len(done.points[1].Runs) != 2 {
		t.Errorf("a complete sweep ran %v: %v", f.ran, err)
	}
}

// TestSweepWithFailures: a run that fails is one that is missing, and two in a row end the
// sweep.
func TestSweepWithFailures(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct{ fails, ran, there int }{{0b0001, 4, 3}, {0b0101, 4, 2}, {0b0011, 2, 0}, {0b0110, 3, 1}} {
		f := newFakeSweep(t, filepath.Join(t.TempDir(), "sweep"), smallSweep())
		f.end = func(n int) (record.Status, error) {
			if c.fails>>n&1 == 1 {
				return record.Failed, broken
			}
			return record.Complete, nil
		}
		done, err := f.sweep.sweep(t.Context())
		if !errors.Is(err, broken) || len(f.ran) != c.ran || !strings.Contains(done.incomplete, fmt.Sprintf("%d of 4 runs count", c.there)) {
			t.Errorf("failures %04b: %v, ran %v, %+v", c.fails, err, f.ran, done)
		}
	}
}

// TestSweepWasKilled: what a killed process was at is put aside, and run again.
func TestSweepWasKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	f := newFakeSweep(t, dir, smallSweep())
	if _, err := f.sweep.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	killed := f.runs()[1]
	if err := os.RemoveAll(f.runDir(killed)); err != nil {
		t.Fatal(err)
	}
	file, err := spec.Parse([]byte(f.file(killed, time.Minute)), ".", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	writeRun(t, f.runDir(killed), file, record.Running, 0)
	f = newFakeSweep(t, dir, smallSweep())
	if _, err := f.sweep.sweep(t.Context()); err != nil || !slices.Equal(f.ran, []string{killed.name()}) {
		t.Errorf("%v; ran %v, want %s", err, f.ran, killed.name())
	}
	if run, err := record.Open(f.runDir(killed) + ".partial-1"); err != nil || run.Manifest.Status != record.Running {
		t.Errorf("what there was of the run is not kept: %v", err)
	}
}

// TestSweepsOfOneDirectory: one sweep at a time is at work in a directory, from before it
// writes anything there. A lock without a process holds nobody up.
func TestSweepsOfOneDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	first, second := newFakeSweep(t, dir, smallSweep()), newFakeSweep(t, dir, smallSweep())
	run := first.sweep.run
	first.sweep.run = func(ctx context.Context, s *spec.Spec, dir string, progress func(string)) error {
		if _, err := second.sweep.sweep(ctx); err == nil || !strings.Contains(err.Error(), "another process is at work in "+second.dir) {
			t.Errorf("a second sweep beside the first: %v", err)
		}
		return run(ctx, s, dir, progress)
	}
	if _, err := first.sweep.sweep(t.Context()); err != nil || len(first.ran) != 4 || len(second.ran) != 0 {
		t.Fatalf("%v; ran %v and %v", err, first.ran, second.ran)
	}
	if _, err := second.sweep.sweep(t.Context()); err != nil || len(second.ran) != 0 {
		t.Errorf("after the first: %v; ran %v", err, second.ran)
	}

	begun := t.TempDir() // by a process that has the lock, and has written nothing yet
	lock, err := storage.LockFile(filepath.Join(begun, sweepLockFile))
	if err != nil {
		t.Fatal(err)
	}
	third := newFakeSweep(t, begun, smallSweep())
	if _, err := third.sweep.sweep(t.Context()); err == nil || !strings.Contains(err.Error(), "another process is at work") {
		t.Errorf("beside one that begins: %v", err)
	}
	if _, err := os.Stat(filepath.Join(begun, sweepFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has begun: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := third.sweep.sweep(t.Context()); err != nil || len(third.ran) != 4 {
		t.Errorf("when that one has ended: %v; ran %v", err, third.ran)
	}
}

// TestSweepOnABusyMachine has a run that the machine had no time for: it does not count,
// and is run again.
func TestSweepOnABusyMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	f := newFakeSweep(t, dir, smallSweep())
	f.lag = func(n int) float64 { return []float64{0.19, 0.01, 0.99, 0.01}[n] }
	done, err := f.sweep.sweep(t.Context())
	if err != nil || len(done.points[0].Runs) != 1 || len(done.points[1].Runs) != 2 || !strings.Contains(done.incomplete, "3 of 4 runs count. The machine did not keep up with 500ms-400000-2") {
		t.Fatalf("%v, %+v", err, done)
	}
	f = newFakeSweep(t, dir, smallSweep())
	if done, err = f.sweep.sweep(t.Context()); err != nil || done.incomplete != "" || !slices.Equal(f.ran, []string{"500ms-400000-2"}) {
		t.Errorf("%v, ran %v, %+v", err, f.ran, done)
	}
}

// TestSweepRefuses is about directories that hold something else.
func TestSweepRefuses(t *testing.T) {
	dir := t.TempDir()
	f := newFakeSweep(t, dir, smallSweep())
	f.Replicas = 1
	if _, err := f.sweep.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := func(what, dir, want string, change func(*fakeSweep)) {
		t.Helper()
		f := newFakeSweep(t, dir, smallSweep())
		f.Replicas = 1
		change(f)
		if done, err := f.sweep.sweep(t.Context()); err == nil || !strings.Contains(err.Error(), want) || done != nil || len(f.ran) > 0 {
			t.Errorf("%s: %v, want %q; ran %v", what, err, want, f.ran)
		}
	}
	refused("other intervals", dir, "holds a sweep with intervals [0.5 2], not [0.5 1]", func(f *fakeSweep) { f.IntervalsS = []float64{0.5, 1} })
	refused("another seed", dir, "holds a sweep with seed 1, not 2", func(f *fakeSweep) { f.Seed = 2 })
	refused("another release", dir, "holds a sweep with kapok version", func(f *fakeSweep) { f.KapokVersion = "9" })
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.tex"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("somebody's directory", other, "is not empty and holds no sweep", func(*fakeSweep) {})
	if err := os.WriteFile(filepath.Join(other, sweepFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a torn file", other, "does not say what was swept", func(*fakeSweep) {})

	if err := os.Remove(filepath.Join(f.runDir(f.runs()[1]), record.BlocksFile)); err != nil {
		t.Fatal(err)
	}
	refused("a run without its blocks", dir, "to run it again", func(*fakeSweep) {})
}

// kapok runs the command line, and returns what it prints and the error.
func kapok(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := newApp()
	app.Writer, app.ErrWriter = &out, &out
	err := app.RunContext(t.Context(), append([]string{"kapok"}, args...))
	return out.String(), err
}

// TestReportTradeoffsCommand gives the command a sweep that is complete, and flags that
// cannot be.
func TestReportTradeoffsCommand(t *testing.T) {
	dir := t.TempDir()
	f := newFakeSweep(t, dir, smallSweep())
	if _, err := f.sweep.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	flags := []string{"report", "tradeoffs", "--intervals", "500ms,2", "--replicas", "2", "--budget", "480s", "--nodes", "3", "--hashrate", "2k", "--latency", "50ms", "--rate", "4",
		"--attacker-share", "0.2", "--hashrate-assumed", "600E"}
	out, err := kapok(t, append(flags, dir)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 of 4 runs are in " + dir, "6 conf. [95 %]", "against 20", "From a block every", "GJ"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	out, err = kapok(t, append(flags, "--json", "--energy-model", "asic", dir)...)
	var r report.Tradeoffs
	if _, text, found := strings.Cut(out, "\n{"); err != nil || !found || json.Unmarshal([]byte("{"+text), &r) != nil || !r.Complete || len(r.Points) != 2 {
		t.Errorf("%v, %s", err, out)
	}
	for _, name := range []string{tradeoffsFile, sweepPage} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, args := range map[string][]string{
		"--intervals \"1,x\": want numbers":        {"--intervals", "1,x"},
		"--intervals \"0.1\": want numbers":        {"--intervals", "0.1"},
		"1 stands there twice":                     {"--intervals", "1,1s"},
		"at most 8":                                {"--intervals", "1,2,3,4,5,6,7,8,9"},
		"want whole weight units":                  {"--sizes", "8000.5"},
		"--replicas 0":                             {"--replicas", "0"},
		"--rate 0":                                 {"--rate", "0"},
		"--budget 1m0s: 6 runs of 30 blocks":       {"--budget", "1m"},
		"--attacker-share \"2\"":                   {"--attacker-share", "2"},
		"--energy-model \"steam\": there are asic": {"--energy-model", "steam"},
		"hash rate \"fast\"":                       {"--hashrate-assumed", "fast"},
		"such a testnet cannot run":                {"--hashrate", "10"},
	} {
		var usage usageError
		if _, err := kapok(t, append([]string{"report", "tradeoffs"}, append(args, t.TempDir())...)...); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// TestReportStaleCommand looks at runs that are too short to be judged, unless less is asked.
func TestReportStaleCommand(t *testing.T) {
	dir := t.TempDir()
	f := newFakeSweep(t, dir, smallSweep())
	if _, err := f.sweep.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := f.runDir(f.runs()[0]), f.runDir(f.runs()[1])
	out, err := kapok(t, "report", "stale", first, second)
	if err == nil || !strings.Contains(out, "not enough data: ") || !strings.Contains(out, "another ") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = kapok(t, "report", "stale", "--blocks", "40", "--json", first)
	var r report.StaleReport
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || !r.OK || len(r.Points) != 1 || !r.Points[0].Inside {
		t.Errorf("%v\n%s", err, out)
	}
	for want, args := range map[string][]string{
		"name 1 to 100 directories": {},
		"are the same run":          {first, second, first},
		"choose 1 to 100000":        {"--blocks", "0", first},
		"is not a run directory":    {dir},
	} {
		if _, err := kapok(t, append([]string{"report", "stale"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
