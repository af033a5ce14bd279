package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/kapok-chain/kapok/p2p"
)

// propagateReport is the JSON document of `kapok bench propagate --json`. Times are in
// milliseconds.
type propagateReport struct {
	Version  string  `json:"version"`
	Bench    string  `json:"bench"`
	Complete bool    `json:"complete"` // false: interrupted
	Machine  machine `json:"machine"`
	Load     float64 `json:"load"` // average of the minute before, of the whole machine; 0 where it is not known

	Nodes     int     `json:"nodes"`
	Links     int     `json:"links"` // connections between them
	LatencyMS float64 `json:"latency_ms"`
	Missing   float64 `json:"missing"` // share of payments that was asked for
	Txs       int     `json:"txs"`     // payments in a block
	Bytes     int     `json:"block_bytes"`
	Seed      uint64  `json:"seed"`

	Blocks   propagateBlocks   `json:"blocks"`
	Payments propagatePayments `json:"payments"`
	Sent     propagateSent     `json:"sent"`
	Bodies   propagateBodies   `json:"bodies"`
	Method   propagateMethod   `json:"method"`
}

// propagateBlocks are delays from the submission of a block.
type propagateBlocks struct {
	Blocks int            `json:"blocks"`
	Last   propagateTimes `json:"last_node"`   // over blocks
	Each   propagateTimes `json:"each_node"`   // over blocks and the nodes beside the miner's
	Miner  propagateTimes `json:"miner_node"`  // over blocks
	CPUP50 float64        `json:"cpu_p50_ms"`  // of all nodes until the last tip; 0 where it is not known
	GC     uint32         `json:"collections"` // of garbage while they were on their way
}

type propagateTimes struct {
	Min float64 `json:"min_ms"`
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	Max float64 `json:"max_ms"`
}

func propagateTimesOf(values []float64) propagateTimes {
	if len(values) == 0 {
		return propagateTimes{}
	}
	s := sortedCopy(values)
	return propagateTimes{s[0], percentile(s, 0.5), percentile(s, 0.95), s[len(s)-1]}
}

// propagatePayments are delays from when a payment was due.
type propagatePayments struct {
	Payments  int            `json:"payments"`
	Delivered float64        `json:"delivered"` // share that came to every mempool in time
	RatePerS  float64        `json:"rate_per_s"`
	Last      propagateTimes `json:"last_mempool"`
	Copies    float64        `json:"copies_per_message"` // by gossip, at a node; 1: none came twice
	Dropped   uint64         `json:"dropped"`            // messages that nobody looked at, for too many waited; reconciliation is there for them
	Unsent    uint64         `json:"unsent"`             // that found no room in a peer's queue
	Throttled uint64         `json:"throttled"`          // batches that the peer gater kept out
}

// propagateSent is what the nodes sent from the submission of a block on, means over
// nodes and blocks.
type propagateSent struct {
	Bytes        float64 `json:"bytes"`         // in all protocols
	MaxBytes     float64 `json:"max_bytes"`     // of the busiest node, mean over blocks
	OfBlock      float64 `json:"of_block"`      // bytes, as a share of the block's
	Announce     float64 `json:"announcements"` // bytes of these
	Transactions float64 `json:"transactions"`  // bytes that completed blocks, with the requests
	Whole        float64 `json:"whole_bodies"`  // bytes, with the requests
	Gossiped     float64 `json:"copies_by_gossip"`
	Streamed     float64 `json:"copies_by_stream"` // of the announcement, that came to a node
}

// propagateBodies is how the nodes beside the miner's came to the block: shares of
// nodes and blocks.
type propagateBodies struct {
	Lacking   float64 `json:"lacking"`   // share of the payments that a mempool did not have, at the submission
	Rebuilt   float64 `json:"rebuilt"`   // without a round trip
	Completed float64 `json:"completed"` // with transactions that were asked for
	Whole     float64 `json:"whole"`     // fetched
}

type propagateMethod struct {
	Topology string `json:"topology"`
	Latency  string `json:"latency"`
	Block    string `json:"block"`
	Payment  string `json:"payment"`
	Missing  string `json:"missing"`
	Sent     string `json:"sent"`
}

// report makes sense of what was measured.
func (b *propagateBench) report(complete bool, load float64) *propagateReport {
	r := &propagateReport{
		Version: version, Bench: "propagate", Complete: complete, Machine: thisMachine(), Load: load,
		Nodes: b.nodes, Links: len(b.net.edges), LatencyMS: ms(b.latency), Missing: b.missing, Txs: b.txs, Seed: b.seed,
		Method: propagateMethod{
			Topology: fmt.Sprintf("each node dials %d others at random, or all where there are no more; two that draw each other are connected once", outboundPeers),
			Latency:  "one way, of each direction of a connection, below its encryption (p2p/host.Shape)",
			Block:    "from the call of Runner.SubmitBlock at one node, in turn, until a subscriber of a node has the new tip; the first one is not counted; garbage is collected before each, and hardly meanwhile, so that it is not in the times",
			Payment:  "open loop, Poisson; from when it was due at a random node until a subscriber of the last node has it",
			Missing:  "twice as large a share of the payments, each by even chance from every mempool but that of the miner's node; what mempools had told each other of them until the submission is not counted as missing",
			Sent:     fmt.Sprintf("bytes before encryption, from the submission to %v and ten delays after the last tip", afterBlock),
		},
	}
	var last, each, miner, cpu, lacking []float64
	var garbage uint32
	for i := range b.samples {
		s := &b.samples[i]
		slowest := 0.0
		for n, d := range s.delays {
			slowest = max(slowest, ms(d))
			if n == s.miner {
				miner = append(miner, ms(d))
				continue
			}
			each, lacking = append(each, ms(d)), append(lacking, float64(s.lacking[n])/float64(b.txs))
			r.Bodies.add(&s.nodes[n])
		}
		last, cpu = append(last, slowest), append(cpu, ms(s.cpu))
		garbage += s.garbage
		r.Bytes = s.bytes
		r.Sent.add(s)
	}
	r.Blocks = propagateBlocks{
		Blocks: len(b.samples), Last: propagateTimesOf(last), Each: propagateTimesOf(each), Miner: propagateTimesOf(miner),
		CPUP50: percentile(sortedCopy(cpu), 0.5), GC: garbage,
	}
	r.Bodies.share(len(each), mean(lacking))
	r.Sent.share(len(b.samples), b.nodes, float64(r.Bytes))
	r.Payments = propagatePayments{Payments: b.paid.payments, RatePerS: b.rate, Last: propagateTimesOf(b.paid.delays), Dropped: b.paid.dropped, Unsent: b.paid.unsent, Throttled: b.paid.throttled}
	if b.paid.payments > 0 {
		r.Payments.Delivered = float64(len(b.paid.delays)) / float64(b.paid.payments)
	}
	if b.paid.distinct > 0 {
		r.Payments.Copies = 1 + float64(b.paid.copies)/float64(b.paid.distinct)
	}
	return r
}

// add counts how a node came to a block, by the slowest of the ways that it went.
func (p *propagateBodies) add(ways *p2p.BlockRelay) {
	switch {
	case ways.Whole > 0:
		p.Whole++
	case ways.Completed > 0:
		p.Completed++
	case ways.Rebuilt > 0:
		p.Rebuilt++
	}
}

// share makes shares of counts.
func (p *propagateBodies) share(of int, lacking float64) {
	n := max(float64(of), 1)
	*p = propagateBodies{Lacking: lacking, Rebuilt: p.Rebuilt / n, Completed: p.Completed / n, Whole: p.Whole / n}
}

// add sums what the nodes sent for a block.
func (p *propagateSent) add(s *propagateSample) {
	most := uint64(0)
	for _, bytes := range s.sent {
		p.Bytes += float64(bytes)
		most = max(most, bytes)
	}
	p.MaxBytes += float64(most)
	w := &s.words
	p.Announce, p.Transactions, p.Whole = p.Announce+float64(w.announce), p.Transactions+float64(w.txs), p.Whole+float64(w.bodies)
	p.Gossiped, p.Streamed = p.Gossiped+float64(w.gossiped), p.Streamed+float64(w.streamed)
}

// share makes means of sums.
func (p *propagateSent) share(blocks, nodes int, blockBytes float64) {
	all := max(float64(blocks*nodes), 1)
	others := max(float64(blocks*(nodes-1)), 1) // those that were told
	*p = propagateSent{
		Bytes: p.Bytes / all, MaxBytes: p.MaxBytes / max(float64(blocks), 1), OfBlock: p.Bytes / all / max(blockBytes, 1),
		Announce: p.Announce / all, Transactions: p.Transactions / all, Whole: p.Whole / all,
		Gossiped: p.Gossiped / others, Streamed: p.Streamed / others,
	}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / max(float64(len(values)), 1)
}

// loadAverage is the machine's, of the last minute, where the system tells it.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64) // 0 of a text that is no number
	return load
}

// print writes the report for people.
func (r *propagateReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s; load before %s\n", r.Machine, known("%.2f", r.Load))
	fmt.Fprintf(w, "%d nodes, %d connections, delay %g ms; blocks of %d payments, %d bytes; %.1f %% of the payments missing in a mempool\n\n",
		r.Nodes, r.Links, r.LatencyMS, r.Txs, r.Bytes, 100*r.Bodies.Lacking)
	fmt.Fprintf(w, "%-34s %6s %9s %9s %9s %9s\n", "ms until …", "of", "min", "p50", "p95", "max")
	for _, row := range []struct {
		name string
		of   int
		t    propagateTimes
	}{
		{"a block is the last node's tip", r.Blocks.Blocks, r.Blocks.Last},
		{"a block is another node's tip", r.Blocks.Blocks * (r.Nodes - 1), r.Blocks.Each},
		{"a block is its miner's node's tip", r.Blocks.Blocks, r.Blocks.Miner},
		{"a payment is in the last mempool", r.Payments.Payments, r.Payments.Last},
	} {
		fmt.Fprintf(w, "%-34s %6d %9.1f %9.1f %9.1f %9.1f\n", row.name, row.of, row.t.Min, row.t.P50, row.t.P95, row.t.Max)
	}
	fmt.Fprintf(w, "\nbodies    %.1f %% rebuilt without a round trip, %.1f %% completed with one, %.1f %% fetched whole\n",
		100*r.Bodies.Rebuilt, 100*r.Bodies.Completed, 100*r.Bodies.Whole)
	fmt.Fprintf(w, "sent      %.0f bytes a node and block, %.3f of the block; the busiest node %.0f; announcements %.0f, transactions %.0f, bodies %.0f\n",
		r.Sent.Bytes, r.Sent.OfBlock, r.Sent.MaxBytes, r.Sent.Announce, r.Sent.Transactions, r.Sent.Whole)
	fmt.Fprintf(w, "copies    of an announcement %.2f by gossip and %.2f by stream at a node; of a payment %.2f\n",
		r.Sent.Gossiped, r.Sent.Streamed, r.Payments.Copies)
	fmt.Fprintf(w, "payments  %.2f %% delivered within %v, %g a second, %d messages dropped, %d unsent, %d batches throttled; CPU of all nodes for a block %s ms, %d collections of garbage meanwhile\n",
		100*r.Payments.Delivered, deliverTime, r.Payments.RatePerS, r.Payments.Dropped, r.Payments.Unsent, r.Payments.Throttled, known("%.0f", r.Blocks.CPUP50), r.Blocks.GC)
	fmt.Fprintf(w, "\nblock: %s;\npayment: %s;\ndelay: %s;\nmissing: %s;\nsent: %s;\nconnections: %s.\n",
		r.Method.Block, r.Method.Payment, r.Method.Latency, r.Method.Missing, r.Method.Sent, r.Method.Topology)
	fmt.Fprint(w, complaint(r.Complete))
}
