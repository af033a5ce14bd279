package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/energy"
)

// raceReport is the JSON document of `kapok bench hash --json` and of the other
// races. Rates are of all threads together, per second of a thread's time.
type raceReport struct {
	Version    string       `json:"version"`
	Bench      string       `json:"bench"`
	Unit       string       `json:"unit"`     // what is counted
	Complete   bool         `json:"complete"` // false: interrupted
	Machine    machine      `json:"machine"`
	Method     raceMethod   `json:"method"`
	Threads    int          `json:"threads"`
	Rounds     int          `json:"rounds"` // slices of each contender
	ElapsedS   float64      `json:"elapsed_s"`
	ClockHz    float64      `json:"clock_hz"`       // the CPU's, inferred; 0 where it is not known
	SHAPerS    float64      `json:"sha_unit_per_s"` // SHA256RNDS2 that do not wait; 0 where there are none
	Energy     energyMethod `json:"energy"`
	Contenders []raced      `json:"contenders"`
}

// raceMethod says how the figures came about.
type raceMethod struct {
	Clock    string  `json:"clock"`
	SliceS   float64 `json:"slice_s"`
	Order    string  `json:"order"`
	Spread   string  `json:"spread"`
	Interval string  `json:"interval"`
	Baseline string  `json:"baseline"`
	Ratio    string  `json:"ratio"`
	Cycles   string  `json:"cycles"`
	Limit    string  `json:"limit"`
}

// energyMethod says how joules came about.
type energyMethod struct {
	Method   string `json:"method"`
	Measured bool   `json:"measured"` // false: a model
}

// raced is what became of one contender.
type raced struct {
	Name         string  `json:"name"`
	Kind         string  `json:"kind"` // kernel or baseline
	Versions     int     `json:"versions"`
	Samples      int     `json:"samples"`
	Count        float64 `json:"count"`
	MinPerS      float64 `json:"min_per_s"`
	P10PerS      float64 `json:"p10_per_s"`
	MedianPerS   float64 `json:"median_per_s"`
	MedianLowPS  float64 `json:"median_low_per_s"`  // 95 % interval
	MedianHighPS float64 `json:"median_high_per_s"` //
	P90PerS      float64 `json:"p90_per_s"`
	MaxPerS      float64 `json:"max_per_s"`
	Spread       float64 `json:"spread"`
	Ratio        float64 `json:"ratio_to_baseline"`
	SecondsEach  float64 `json:"cpu_s_each"`        // of a thread's CPU time, median
	Cycles       float64 `json:"cycles_each"`       // 0 where the clock is not known
	OfLimit      float64 `json:"fraction_of_limit"` // 0 for what has no SHA unit to wait for
	Joules       float64 `json:"joules_each"`
}

// label is the contender's name with how many versions share a nonce.
func (c *raced) label() string {
	if c.Versions <= 1 {
		return c.Name
	}
	return fmt.Sprintf("%s, %d versions", c.Name, c.Versions)
}

// tally gathers the slices of one contender.
type tally struct {
	rates, ratios []float64 // by round
	count, joules float64
}

// add takes a slice, and the baseline's one of the same round.
func (t *tally) add(s, baseline sample) {
	t.rates = append(t.rates, s.rate)
	t.ratios = append(t.ratios, s.rate/baseline.rate)
	t.count += s.count
	t.joules += s.joules
}

// report summarises the rounds; there is at least one.
func (r *race) report(tallies []tally, probes *probeRates, used energy.Reading, threads int, elapsed time.Duration, complete bool) *raceReport {
	clock, unit := percentile(sortedCopy(probes.clock), 0.5), percentile(sortedCopy(probes.unit), 0.5)
	out := &raceReport{
		Version: version, Bench: r.bench, Unit: r.unit, Complete: complete, Machine: thisMachine(), Threads: threads,
		Rounds: len(tallies[0].rates), ElapsedS: elapsed.Seconds(), ClockHz: clock, SHAPerS: unit,
		Energy: energyMethod{used.Method, used.Measured},
		Method: raceMethod{
			Clock: clockMethod, SliceS: raceSlice.Seconds(),
			Order:    "rounds of one slice for each contender, in a new random order each round",
			Spread:   "(p90 - p10) / p50 of the slices",
			Interval: "95 % bootstrap interval of the median",
			Baseline: r.contenders[r.baseline].name,
			Ratio:    "median over the rounds of the rate by the baseline's in the same round",
			Cycles:   "clock / median rate of a thread; the clock is how many additions, each of which waits for the one before, a second has",
			Limit:    "instructions SHA256RNDS2 that the work cannot do without, per second, by those of a loop of nothing else",
		},
	}
	for i, c := range r.contenders {
		t := &tallies[i]
		rates := sortedCopy(t.rates)
		p10, p50, p90 := percentile(rates, 0.1), percentile(rates, 0.5), percentile(rates, 0.9)
		low, high := medianInterval(alone(t.rates), len(t.rates), rand.New(rand.NewPCG(1, 2)))
		row := raced{
			Name: c.name, Kind: c.kind, Versions: c.versions, Samples: len(rates), Count: t.count,
			MinPerS: rates[0], P10PerS: p10, MedianPerS: p50, MedianLowPS: low, MedianHighPS: high, P90PerS: p90, MaxPerS: rates[len(rates)-1],
			Spread: (p90 - p10) / p50, Ratio: percentile(sortedCopy(t.ratios), 0.5),
			SecondsEach: float64(threads) / p50, Cycles: clock * float64(threads) / p50, Joules: t.joules / max(t.count, 1),
		}
		if c.sha && unit > 0 {
			row.OfLimit = p50 / float64(threads) * float64(r.rounds) / unit
		}
		out.Contenders = append(out.Contenders, row)
	}
	return out
}

// alone makes each value a cluster of its own.
func alone(values []float64) []observation {
	out := make([]observation, len(values))
	for i, v := range values {
		out[i] = observation{v, i}
	}
	return out
}

// print writes the report for people.
func (r *raceReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d thread(s), %d rounds in %.1f s, by %s\n", r.Machine, r.Threads, r.Rounds, r.ElapsedS, r.Method.Clock)
	if r.ClockHz > 0 {
		fmt.Fprintf(w, "clock %.2f GHz", r.ClockHz/1e9)
		if r.SHAPerS > 0 {
			fmt.Fprintf(w, ", %.2f SHA256RNDS2 a cycle", r.SHAPerS/r.ClockHz)
		}
		fmt.Fprintln(w)
	}
	each, scale := "M/s", 1e6
	switch r.Unit {
	case "hashes":
		each = "MH/s"
	case "signatures":
		each, scale = "k/s", 1e3
	}
	fmt.Fprintf(w, "\n%-34s %8s %8s %7s %9s %9s %9s %8s %10s\n", "contender", each+" p50", each+" p90", "spread", "x base", "µs each", "cycles", "of limit", "J each")
	for _, c := range r.Contenders {
		fmt.Fprintf(w, "%-34s %8.3f %8.3f %6.1f%% %9.3f %9.4g %9s %8s %10.3g\n", c.label(), c.MedianPerS/scale, c.P90PerS/scale,
			100*c.Spread, c.Ratio, c.SecondsEach*1e6, known("%.1f", c.Cycles), known("%.2f", c.OfLimit), c.Joules)
	}
	fmt.Fprintf(w, "\nspread: %s; base: %s; x base: %s.\n", r.Method.Spread, r.Method.Baseline, r.Method.Ratio)
	fmt.Fprintf(w, "µs each: of a thread's CPU time, median; cycles: %s.\n", r.Method.Cycles)
	if r.usesSHA() {
		fmt.Fprintf(w, "limit: %s.\n", r.Method.Limit)
	}
	fmt.Fprintf(w, "energy: %s.\n", r.Energy.Method)
	if r.Unit == "hashes" {
		for _, other := range []energy.Model{energy.ASICFleet(), energy.ASIC()} {
			fmt.Fprintf(w, "   for comparison: %.3g J a hash, %s (%s)\n", other.JoulesPerHash, other.Name, other.Source)
		}
	}
	if r.Threads > runtime.NumCPU() {
		fmt.Fprintf(w, "More threads than this machine has cores (%d): the rate is per CPU time, not per second.\n", runtime.NumCPU())
	}
	fmt.Fprint(w, complaint(r.Complete))
}

// usesSHA reports whether a contender has the limit of the SHA unit.
func (r *raceReport) usesSHA() bool {
	return slices.ContainsFunc(r.Contenders, func(c raced) bool { return c.OfLimit > 0 })
}

// known is a figure, or a dash where it is 0.
func known(format string, value float64) string {
	if value == 0 {
		return "-"
	}
	return strings.TrimSpace(fmt.Sprintf(format, value))
}
