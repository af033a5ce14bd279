package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"time"
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

	Blocks       uint32  `json:"blocks"` // measured
	WarmUpBlocks uint32  `json:"warm_up_blocks"`
	MeasuredS    float64 `json:"measured_s"`
	SpacingS     float64 `json:"spacing_s"` // mean of the measured blocks
	TargetS      float64 `json:"target_spacing_s"`
	HashesPerS   float64 `json:"hashes_per_s"`
	StaleBlocks  int     `json:"stale_blocks"`

	Payments confirmPayments `json:"payments"`
	Delays   []confirmDelay  `json:"delays"`
	Energy   confirmEnergy   `json:"energy"`
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
	Unconfirmed  int    `json:"unconfirmed"` // in no block that every node has
	Refused      int    `json:"refused"`     // of these: by their node
	Unanswered   int    `json:"unanswered"`  // of these: not sent, or without an answer, when the measurement ended
	FirstRefusal string `json:"first_refusal,omitempty"`
}

// confirmDelay is how long payments took to get somewhere, from when they were
// due. Blocks are delays in units of the target spacing.
type confirmDelay struct {
	Stage     string  `json:"stage"`
	Payments  int     `json:"payments"` // that got there
	P50S      float64 `json:"p50_s"`
	P50LowS   float64 `json:"p50_low_s"` // 95 % interval of the median
	P50HighS  float64 `json:"p50_high_s"`
	P90S      float64 `json:"p90_s"`
	P99S      float64 `json:"p99_s"`
	P50Blocks float64 `json:"p50_blocks"`
	P90Blocks float64 `json:"p90_blocks"`
	P99Blocks float64 `json:"p99_blocks"`
}

// confirmEnergy is what the measured time cost, all nodes and the load together.
type confirmEnergy struct {
	energyMethod
	Joules           float64 `json:"joules"`
	JoulesPerPayment float64 `json:"joules_per_payment"` // confirmed
	JoulesPerBlock   float64 `json:"joules_per_block"`
	JoulesPerHash    float64 `json:"joules_per_hash"`
}

// confirmStages are what a payment goes through, in order.
var confirmStages = []struct {
	name  string // in JSON
	title string // for people
	at    func(*followed) time.Time
}{
	{"sent", "sent", func(f *followed) time.Time { return f.sent }},
	{"accepted", "accepted", func(f *followed) time.Time { return f.accepted }},
	{"in_every_mempool", "in every mempool", func(f *followed) time.Time { return f.everyPool }},
	{"in_block", "in a block", func(f *followed) time.Time { return f.inBlock }},
	{"confirmed_1", "1 confirmation", func(f *followed) time.Time { return f.confirmed[0] }},
	{"confirmed_3", "3 confirmations", func(f *followed) time.Time { return f.confirmed[1] }},
	{"confirmed_6", "6 confirmations", func(f *followed) time.Time { return f.confirmed[2] }},
}

// report makes sense of what was measured.
func (b *confirmBench) report(complete bool) *confirmReport {
	if b.load != nil { // what was answered while the measurement ended
		b.trace.payments = append(b.trace.payments, b.load.rest()...)
	}
	target := float64(b.plan.params.Spacing)
	r := &confirmReport{
		Version: version, Complete: complete, Machine: thisMachine(), Network: b.plan.params.Name, Nodes: b.nodes,
		ElapsedS: time.Since(b.began).Seconds(), WarmUpBlocks: b.warmUp, TargetS: target, Delays: []confirmDelay{},
		Method: confirmMethod{
			Load:     "open loop, Poisson; payments of one input and two outputs, to the nodes in turn, by RPC",
			RatePerS: b.rate, Seed: b.seed, From: "the scheduled time of the payment",
			Percentile: "nearest rank; confirmations count on the last node, in_block on the first",
			Interval:   fmt.Sprintf("95 %% bootstrap of the median, %d resamples of whole blocks with their payments", bootstrapRounds),
		},
	}
	r.Energy.Method, r.Energy.Measured = b.end.energy.Method, b.end.energy.Measured
	payments, window := b.trace.follow(b.from, b.from+b.blocks)
	if tip := b.trace.tips[0].Height; b.from > 0 && tip > b.from {
		r.Blocks = min(tip-b.from, b.blocks)
		r.StaleBlocks = b.trace.stale(b.from, b.from+b.blocks) + max(0, b.end.mining.Stale-b.start.mining.Stale)
		r.MeasuredS = window.to.Sub(window.from).Seconds()
		r.SpacingS = r.MeasuredS / float64(r.Blocks)
	}
	r.Payments = countPayments(payments)
	r.Delays = append(r.Delays, delaysOf(payments, target, mathrand.New(mathrand.NewPCG(b.seed, 1)))...)
	hashes := float64(b.end.mining.Hashes) - float64(b.start.mining.Hashes)
	if seconds := b.end.at.Sub(b.start.at).Seconds(); seconds > 0 {
		r.HashesPerS = hashes / seconds
	}
	r.Energy.share(b.end.energy.Joules-b.start.energy.Joules, r.Payments.Confirmed, int(r.Blocks), hashes)
	return r
}

// share divides joules; what there was none of costs 0.
func (e *confirmEnergy) share(joules float64, payments, blocks int, hashes float64) {
	per := func(n float64) float64 {
		if n <= 0 {
			return 0
		}
		return joules / n
	}
	e.Joules, e.JoulesPerPayment, e.JoulesPerBlock, e.JoulesPerHash = joules, per(float64(payments)), per(float64(blocks)), per(hashes)
}

func countPayments(payments []followed) (c confirmPayments) {
	c.Submitted = len(payments)
	for i := range payments {
		switch p := &payments[i]; {
		case !p.confirmed[0].IsZero():
			c.Confirmed++
		case errors.Is(p.err, errNotSent) || errors.Is(p.err, context.Canceled):
			c.Unanswered++
		case p.err != nil:
			if c.Refused == 0 {
				c.FirstRefusal = p.err.Error()
			}
			c.Refused++
		}
	}
	c.Unconfirmed = c.Submitted - c.Confirmed
	return c
}

// delaysOf summarises the stages that any payment got to. A payment's cluster is
// its block; those without one are a cluster of their own.
func delaysOf(payments []followed, targetS float64, random *mathrand.Rand) (delays []confirmDelay) {
	clusters := make(map[uint32]int)
	for i := range payments {
		if _, known := clusters[payments[i].block]; !known {
			clusters[payments[i].block] = len(clusters)
		}
	}
	for _, stage := range confirmStages {
		var values []observation
		var seconds []float64
		for i := range payments {
			p := &payments[i]
			if at := stage.at(p); !at.IsZero() {
				s := max(0, at.Sub(p.due).Seconds()) // events are stamped in whole microseconds
				values = append(values, observation{s, clusters[p.block]})
				seconds = append(seconds, s)
			}
		}
		if len(values) == 0 {
			continue
		}
		slices.Sort(seconds)
		d := confirmDelay{Stage: stage.name, Payments: len(seconds),
			P50S: percentile(seconds, 0.5), P90S: percentile(seconds, 0.9), P99S: percentile(seconds, 0.99)}
		d.P50LowS, d.P50HighS = medianInterval(values, len(clusters), random)
		d.P50Blocks, d.P90Blocks, d.P99Blocks = d.P50S/targetS, d.P90S/targetS, d.P99S/targetS
		delays = append(delays, d)
	}
	return delays
}

// print writes the report for people.
func (r *confirmReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\nnetwork %s, %d nodes in one process; %g payments/s (open loop) over %d blocks in %.1f s\n\n",
		r.Machine, r.Network, r.Nodes, r.Method.RatePerS, r.Blocks, r.MeasuredS)
	fmt.Fprintf(w, "%-17s %8s  %8s %-19s %8s %8s   %s\n", "seconds after due", "payments", "p50", "[95 %]", "p90", "p99", "p50/p90/p99 in blocks")
	for _, d := range r.Delays {
		fmt.Fprintf(w, "%-17s %8d  %8.3f [%.3f, %.3f]%*s %8.3f %8.3f   %.2f / %.2f / %.2f\n", stageTitle(d.Stage), d.Payments,
			d.P50S, d.P50LowS, d.P50HighS, max(0, 19-len(fmt.Sprintf("[%.3f, %.3f]", d.P50LowS, d.P50HighS))), "",
			d.P90S, d.P99S, d.P50Blocks, d.P90Blocks, d.P99Blocks)
	}
	p := &r.Payments
	fmt.Fprintf(w, "\npayments  %d submitted, %d confirmed, %d unconfirmed (%d refused, %d unanswered)\n", p.Submitted, p.Confirmed, p.Unconfirmed, p.Refused, p.Unanswered)
	if p.FirstRefusal != "" {
		fmt.Fprintf(w, "          first refusal: %s\n", p.FirstRefusal)
	}
	fmt.Fprintf(w, "blocks    %d, one every %.2f s (target %g s) at %s, %d stale\n", r.Blocks, r.SpacingS, r.TargetS, formatHashrate(r.HashesPerS), r.StaleBlocks)
	fmt.Fprintf(w, "energy    %.4g J: %.3g J per payment, %.3g J per block, %.3g J per hash\n          %s\n",
		r.Energy.Joules, r.Energy.JoulesPerPayment, r.Energy.JoulesPerBlock, r.Energy.JoulesPerHash, r.Energy.Method)
	fmt.Fprint(w, complaint(r.Complete))
}

func stageTitle(name string) string {
	for _, stage := range confirmStages {
		if stage.name == name {
			return stage.title
		}
	}
	return name
}
