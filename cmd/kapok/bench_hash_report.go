package main

import (
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/energy"
)

// hashReport is the JSON document of `kapok bench hash --json`.
type hashReport struct {
	Version    string          `json:"version"`
	Complete   bool            `json:"complete"` // false: interrupted
	Machine    machine         `json:"machine"`
	Method     hashMethod      `json:"method"`
	Threads    int             `json:"threads"`
	Rounds     int             `json:"rounds"` // slices of each contender
	ElapsedS   float64         `json:"elapsed_s"`
	Energy     energyMethod    `json:"energy"`
	Contenders []hashContended `json:"contenders"`
}

// hashMethod says how the figures came about.
type hashMethod struct {
	Clock  string  `json:"clock"`
	SliceS float64 `json:"slice_s"`
	Order  string  `json:"order"`
	Spread string  `json:"spread"`
	Ratio  string  `json:"ratio"`
}

// energyMethod says how joules came about.
type energyMethod struct {
	Method   string `json:"method"`
	Measured bool   `json:"measured"` // false: a model
}

// hashContended is what became of one contender. Rates are of all threads
// together, in hashes per second of a thread's time.
type hashContended struct {
	Name             string  `json:"name"`
	Kind             string  `json:"kind"` // kernel or baseline
	Versions         int     `json:"versions"`
	Samples          int     `json:"samples"`
	Hashes           float64 `json:"hashes"`
	MinHashesPerS    float64 `json:"min_hashes_per_s"`
	P10HashesPerS    float64 `json:"p10_hashes_per_s"`
	MedianHashesPerS float64 `json:"median_hashes_per_s"`
	P90HashesPerS    float64 `json:"p90_hashes_per_s"`
	MaxHashesPerS    float64 `json:"max_hashes_per_s"`
	Spread           float64 `json:"spread"`
	RatioToMidstate  float64 `json:"ratio_to_midstate"`
	JoulesPerHash    float64 `json:"joules_per_hash"`
}

// label is the contender's name with how many versions share a nonce.
func (c *hashContended) label() string {
	if c.Versions == 1 {
		return c.Name
	}
	return fmt.Sprintf("%s, %d versions", c.Name, c.Versions)
}

// hashTally gathers the slices of one contender.
type hashTally struct {
	rates, ratios  []float64 // by round
	hashes, joules float64
}

// add takes a slice, and the midstate baseline's one of the same round.
func (t *hashTally) add(s, midstate hashSample) {
	t.rates = append(t.rates, s.rate)
	t.ratios = append(t.ratios, s.rate/midstate.rate)
	t.hashes += s.hashes
	t.joules += s.joules
}

// newHashReport summarises the rounds; there is at least one.
func newHashReport(contenders []hashContender, tallies []hashTally, used energy.Reading, threads int, elapsed time.Duration, complete bool) *hashReport {
	r := &hashReport{
		Version: version, Complete: complete, Machine: thisMachine(), Threads: threads,
		Rounds: len(tallies[0].rates), ElapsedS: elapsed.Seconds(),
		Energy: energyMethod{used.Method, used.Measured},
		Method: hashMethod{
			Clock: clockMethod, SliceS: hashSlice.Seconds(),
			Order:  "rounds of one slice for each contender, in a new random order each round",
			Spread: "(p90 - p10) / p50 of the slices",
			Ratio:  "median over the rounds of the rate by the midstate baseline's in the same round",
		},
	}
	for i, c := range contenders {
		t := &tallies[i]
		rates := sortedCopy(t.rates)
		p10, p50, p90 := percentile(rates, 0.1), percentile(rates, 0.5), percentile(rates, 0.9)
		r.Contenders = append(r.Contenders, hashContended{
			Name: c.name, Kind: c.kind, Versions: c.versions, Samples: len(rates), Hashes: t.hashes,
			MinHashesPerS: rates[0], P10HashesPerS: p10, MedianHashesPerS: p50, P90HashesPerS: p90, MaxHashesPerS: rates[len(rates)-1],
			Spread: (p90 - p10) / p50, RatioToMidstate: percentile(sortedCopy(t.ratios), 0.5),
			JoulesPerHash: t.joules / max(t.hashes, 1),
		})
	}
	return r
}
