package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
)

func TestParseShare(t *testing.T) {
	for text, want := range map[string]float64{"0%": 0, "10%": 0.1, "0.1": 0.1, " 100% ": 1, "1": 1, "0.5%": 0.005} {
		if got, err := parseShare(text); err != nil || got != want {
			t.Errorf("%q is %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "%", "ten", "-1%", "101%", "1.5", "NaN", "10%%"} {
		if got, err := parseShare(text); err == nil {
			t.Errorf("%q is %g", text, got)
		}
	}
}

// TestDials: each node dials as many others as it may, none of them itself or twice,
// and two that draw each other have one connection.
func TestDials(t *testing.T) {
	for _, nodes := range []int{2, 8, 9, 20} {
		edges := dials(nodes, rand.New(rand.NewPCG(1, 1)))
		degree := make([]int, nodes)
		for i, e := range edges {
			degree[e[0]]++
			degree[e[1]]++
			if e[0] == e[1] || slices.Contains(edges[:i], e) || slices.Contains(edges[:i], [2]int{e[1], e[0]}) {
				t.Errorf("%d nodes: connection %v is there twice, or leads nowhere", nodes, e)
			}
		}
		if least := min(nodes-1, outboundPeers); slices.Min(degree) < least {
			t.Errorf("%d nodes: %d connections of one, expected %d or more", nodes, slices.Min(degree), least)
		}
		if all := nodes * (nodes - 1) / 2; nodes <= outboundPeers+1 && len(edges) != all {
			t.Errorf("%d nodes: %d connections, expected %d", nodes, len(edges), all)
		}
	}
}

// TestWithhold: each mempool but the miner's lacks the share that was asked for, and as
// few payments as that takes are touched.
func TestWithhold(t *testing.T) {
	const nodes, txs, miner = 20, 2000, 3
	for share, want := range map[float64]int{0: 0, 0.1: 400, 0.5: 2000, 0.75: 2000, 1: 2000} {
		some, chance := missingOf(share, txs)
		if some != want {
			t.Errorf("share %g: %d payments, expected %d", share, some, want)
		}
		gets := withhold(nodes, some, miner, chance, rand.New(rand.NewPCG(1, 1)))
		lacking := 0
		for i := range nodes {
			for j := range some {
				if !gets(i, j) {
					lacking++
					if i == miner {
						t.Fatalf("share %g: the miner lacks a payment", share)
					}
				}
			}
		}
		if got := float64(lacking) / (txs * (nodes - 1)); math.Abs(got-share) > 0.01 {
			t.Errorf("share %g: %g are missing", share, got)
		}
	}
}

// sentBy is what one node of a sample sent and got.
func sentBy(all, announced uint64, ways p2p.BlockRelay) *sent {
	s := &sent{all: all, blocks: ways}
	s.messages.GossipOut[p2p.TypeAnnounce].Bytes = announced / 2
	s.messages.StreamOut[p2p.TypeAnnounce].Bytes = announced - announced/2
	s.messages.StreamOut[p2p.TypeBlockTxs].Bytes = 7
	s.messages.StreamOut[p2p.TypeBlock].Bytes = 9
	s.messages.GossipIn[p2p.TypeAnnounce].Messages = 4
	s.messages.StreamIn[p2p.TypeAnnounce].Messages = 2
	return s
}

// propagateOf is a bench that measured two blocks on three nodes.
func propagateOf() *propagateBench {
	b := &propagateBench{propagateOptions: propagateOptions{nodes: 3, txs: 10, blocks: 2, rate: 20, seed: 1, latency: 50 * time.Millisecond, missing: 0.1}}
	b.net = &propagateNet{edges: [][2]int{{0, 1}, {1, 2}, {2, 0}}}
	for i, delays := range [][]time.Duration{{10 * time.Millisecond, 30 * time.Millisecond, 20 * time.Millisecond}, {40 * time.Millisecond, 5 * time.Millisecond, 60 * time.Millisecond}} {
		s := propagateSample{lacking: []int{0, 2, 1}, delays: delays, miner: i, cpu: 8 * time.Millisecond, garbage: uint32(i), bytes: 1000}
		if i == 1 {
			s.lacking = []int{1, 0, 4}
		}
		before := sentBy(100, 10, p2p.BlockRelay{Rebuilt: 5, Completed: 5, Whole: 5})
		before.messages = host.Messages{}
		for n := range 3 {
			ways := before.blocks
			switch {
			case n == i: // the miner's has it
			case n == 2 && i == 0:
				ways.Completed++
			case n == 2:
				ways.Rebuilt++
				ways.Whole++
			default:
				ways.Rebuilt++
			}
			s.add(before, sentBy(300+uint64(n)*30, 100, ways))
		}
		b.samples = append(b.samples, s)
	}
	b.paid = propagatePaid{payments: 4, delays: []float64{3, 1, 2}, distinct: 8, copies: 4, dropped: 1, unsent: 2, throttled: 3}
	return b
}

func TestPropagateReport(t *testing.T) {
	r := propagateOf().report(true, 0.5)
	if want := (propagateBlocks{Blocks: 2, Last: propagateTimes{30, 30, 60, 60}, Each: propagateTimes{20, 30, 60, 60}, Miner: propagateTimes{5, 5, 10, 10}, CPUP50: 8, GC: 1}); r.Blocks != want {
		t.Errorf("blocks %+v, expected %+v", r.Blocks, want)
	}
	if want := (propagatePayments{Payments: 4, Delivered: 0.75, RatePerS: 20, Last: propagateTimes{1, 2, 3, 3}, Copies: 1.5, Dropped: 1, Unsent: 2, Throttled: 3}); r.Payments != want {
		t.Errorf("payments %+v, expected %+v", r.Payments, want)
	}
	if want := (propagateSent{Bytes: 230, MaxBytes: 260, OfBlock: 0.23, Announce: 100, Transactions: 7, Whole: 9, Gossiped: 6, Streamed: 3}); r.Sent != want {
		t.Errorf("sent %+v, expected %+v", r.Sent, want)
	}
	if want := (propagateBodies{Lacking: 0.2, Rebuilt: 0.5, Completed: 0.25, Whole: 0.25}); r.Bodies != want {
		t.Errorf("bodies %+v, expected %+v", r.Bodies, want)
	}
	if r.Links != 3 || r.LatencyMS != 50 || r.Bytes != 1000 || r.Load != 0.5 || !r.Complete {
		t.Errorf("%+v", r)
	}
	shapeOf(t, r)
	var text bytes.Buffer
	r.print(&text)
	for _, say := range []string{"3 nodes, 3 connections, delay 50 ms", "last node's tip", "0.230 of the block", "75.00 % delivered", "1 collections of garbage"} {
		if !strings.Contains(text.String(), say) {
			t.Errorf("the table lacks %q:\n%s", say, &text)
		}
	}
}

// Interrupted after one block it is still JSON, and says so.
func TestPropagateReportOfLittle(t *testing.T) {
	b := propagateOf()
	b.samples, b.paid = b.samples[:1], propagatePaid{}
	r := b.report(false, 0)
	shapeOf(t, r)
	var text bytes.Buffer
	r.print(&text)
	if r.Complete || !strings.Contains(text.String(), "INTERRUPTED") {
		t.Errorf("%+v", r)
	}
}
