package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// confirmReport is the JSON document of `kapok bench confirm --json`.
type confirmReport struct {
	Version  string        `json:"version"`
	Complete bool          `json:"complete"` // false: interrupted
	Machine  machine       `json:"machine"`
	Method   confirmMethod `json:"method"`
	Network  string        `json:"network"`
	Nodes    int           `json:"nodes"`
	ElapsedS float64       `json:"elapsed_s"` // of the whole command

	Blocks       int     `json:"blocks"` // measured
	WarmUpBlocks uint    `json:"warm_up_blocks"`
	MeasuredS    float64 `json:"measured_s"`
	SpacingS     float64 `json:"spacing_s"` // mean of the measured blocks
	TargetS      float64 `json:"target_spacing_s"`
	HashesPerS   float64 `json:"hashes_per_s"`
	LagShare     float64 `json:"lag_share"` // of the hashes that were due, those not done
	StaleBlocks  int     `json:"stale_blocks"`

	Payments confirmPayments `json:"payments"`
	Delays   []record.Delay  `json:"delays"`
	Missing  []string        `json:"not_enough_data,omitempty"` // a sentence each
	Energy   record.Energy   `json:"energy"`
}

// confirmMethod says how the figures came about.
type confirmMethod struct {
	Load       string  `json:"load"`
	RatePerS   float64 `json:"rate_per_s"`
	Seed       uint64  `json:"seed"`
	From       string  `json:"delays_from"`
	Percentile string  `json:"percentile"`
	Interval   string  `json:"interval"`
}

// confirmPayments counts the payments that were due in the measured time.
type confirmPayments struct {
	Submitted    int    `json:"submitted"`
	Confirmed    int    `json:"confirmed"`
	Unconfirmed  int    `json:"unconfirmed"`
	Refused      int    `json:"refused"`    // of these: by their node
	Unanswered   int    `json:"unanswered"` // of these: not sent, or without an answer, when the measurement ended
	Lost         int    `json:"lost"`       // of these: a node took them, and none has them any more
	FirstRefusal string `json:"first_refusal,omitempty"`
}

// newConfirmReport puts together what a run was and what it gave.
func newConfirmReport(o *confirmOptions, run *record.Run, s *record.Summary, elapsed time.Duration) *confirmReport {
	m := &run.Manifest
	r := &confirmReport{
		Version: version, Complete: s.Complete, Machine: thisMachine(), Network: m.Network.Name, Nodes: s.Nodes, ElapsedS: elapsed.Seconds(),
		Method: confirmMethod{
			Load:     m.Load.Arrivals + "; payments of one input and two outputs, by RPC to the nodes of the wallets, fees " + m.Load.Fees,
			RatePerS: o.rate, Seed: o.seed, From: "the scheduled time of the payment",
			Percentile: "nearest rank; confirmations count on the last node, in_block on the first",
			Interval:   "bootstrap of the median, 95 % by its method and by simulation at least 90 % with few blocks that have room, by whole blocks with their payments, in runs of as many as confirmations share; full blocks in a row count as one with the block behind them",
		},
		Blocks: s.Blocks, WarmUpBlocks: o.warmUp, MeasuredS: s.MeasuredS, TargetS: m.Network.SpacingS,
		HashesPerS: s.HashesPerS, LagShare: s.LagShare, StaleBlocks: s.StaleBlocks,
		Payments: countPayments(run, s), Delays: append([]record.Delay{}, s.Delays...), Missing: s.Missing, Energy: s.Energy,
	}
	if s.Blocks > 0 {
		r.SpacingS = s.MeasuredS / float64(s.Blocks)
	}
	return r
}

func countPayments(run *record.Run, s *record.Summary) (c confirmPayments) {
	for _, n := range s.Payments {
		c.Submitted += n
	}
	c.Confirmed = s.Payments[record.Confirmed]
	c.Refused, c.Unanswered, c.Lost = s.Payments[record.Refused], s.Payments[record.Unanswered], s.Payments[record.Lost]+s.Payments[record.Died]
	c.Unconfirmed = c.Submitted - c.Confirmed
	for i := range run.Payments {
		p := &run.Payments[i]
		if c.Refused > 0 && p.Status == record.Refused && p.DueS >= run.Manifest.MeasuredFromS {
			c.FirstRefusal = p.Detail
			break
		}
	}
	return c
}

// confirmStages are what a payment goes through, for people.
var confirmStages = map[string]string{
	"submitted": "sent", "accepted": "accepted", "every_mempool": "in every mempool", "in_block": "in a block",
	"confirmed_1": "1 confirmation", "confirmed_3": "3 confirmations", "confirmed_6": "6 confirmations",
}

// print writes the report for people.
func (r *confirmReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\nnetwork %s, %d nodes in one process; %g payments/s (open loop) over %d blocks in %.1f s\n\n",
		r.Machine, r.Network, r.Nodes, r.Method.RatePerS, r.Blocks, r.MeasuredS)
	fmt.Fprintf(w, "%-17s %8s  %-27s %8s %8s   %s\n", "seconds after due", "payments", "median [95 %]", "p90", "p99", "median in block intervals [95 %]")
	for _, d := range r.Delays {
		fmt.Fprintf(w, "%-17s %8d  %-27s %8s %8s   %s\n", confirmStages[d.Stage], d.Payments, interval(d.P50S, 3), figure(d.P90S, 3), figure(d.P99S, 3), interval(d.P50, 2))
	}
	if slices.ContainsFunc(r.Delays, func(d record.Delay) bool { return math.IsNaN(d.P50S.Low) }) {
		n := stats.ClustersNeeded(0.5)
		fmt.Fprintf(w, "\n[not enough data]: an interval takes payments in %d blocks or more, %d for 3 confirmations and %d for 6, and more where payments queue\n", n, 3*n, 6*n)
	}
	p := &r.Payments
	fmt.Fprintf(w, "\npayments  %d submitted, %d confirmed, %d unconfirmed (%d refused, %d unanswered, %d lost)\n", p.Submitted, p.Confirmed, p.Unconfirmed, p.Refused, p.Unanswered, p.Lost)
	if p.FirstRefusal != "" {
		fmt.Fprintf(w, "          first refusal: %s\n", p.FirstRefusal)
	}
	fmt.Fprintf(w, "blocks    %d, one every %.2f s (target %g s) at %s, %.1f %% of the hashes missing, %d stale\n",
		r.Blocks, r.SpacingS, r.TargetS, formatHashrate(r.HashesPerS), 100*r.LagShare, r.StaleBlocks)
	fmt.Fprintf(w, "energy    %.4g J: %s per payment, %s per block, %s per hash\n          payments confirmed in that time, whenever due: %d\n          %s\n",
		r.Energy.Joules, joules(r.Energy.JoulesPerPayment), joules(r.Energy.JoulesPerBlock), joules(r.Energy.JoulesPerHash), r.Energy.Payments, r.Energy.Method)
	fmt.Fprint(w, complaint(r.Complete))
}

// figure writes a delay; so many payments may never have got there that there is none.
func figure(f record.Figure, decimals int) string {
	if math.IsNaN(float64(f)) {
		return "never"
	}
	return fmt.Sprintf("%.*f", decimals, float64(f))
}

// interval writes a figure with its interval, if it has one.
func interval(i record.Interval, decimals int) string {
	if math.IsNaN(i.Value) {
		return "never"
	}
	if math.IsNaN(i.Low) || math.IsNaN(i.High) {
		return fmt.Sprintf("%.*f [not enough data]", decimals, i.Value)
	}
	return fmt.Sprintf("%.*f [%.*f, %.*f]", decimals, i.Value, decimals, i.Low, decimals, i.High)
}
