package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/wallet"
)

// noEnergy is a reading of nothing.
var noEnergy = energy.Reading{Method: "none"}

// confirmShape is the JSON document of `kapok bench confirm --json`.
const confirmShape = `blocks number
complete bool
delays[].p50_blocks number
delays[].p50_high_s number
delays[].p50_low_s number
delays[].p50_s number
delays[].p90_blocks number
delays[].p90_s number
delays[].p99_blocks number
delays[].p99_s number
delays[].payments number
delays[].stage string
elapsed_s number
energy.joules number
energy.joules_per_block number
energy.joules_per_hash number
energy.joules_per_payment number
energy.measured bool
energy.method string
hashes_per_s number
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
payments.confirmed number
payments.first_refusal string
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

// epoch is second 0 of the traces below.
var epoch = time.Unix(1_800_000_000, 0)

func second(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

// script is a trace of two nodes that blocks and payments are put into.
type script struct{ *confirmTrace }

// block puts a block with payments onto a parent ("" under height 1); the nodes
// have it at these seconds, a negative one never.
func (s script) block(hash, parent string, height uint32, first, last float64, txids ...string) {
	b := s.confirmTrace.block(hash, height)
	b.parent, b.txids = parent, txids
	for i, at := range []float64{first, last} {
		if at >= 0 {
			b.seen[i] = second(at)
			s.tips[i] = tipEvent{Height: height, Hash: hash}
		}
	}
}

// pay has a payment be due, and in the two mempools at once and a second later.
func (s script) pay(txid string, node int, due float64) {
	s.payments = append(s.payments, outcome{txid: txid, node: node, due: second(due), sent: second(due + 0.5)})
	s.inPool[txid] = []time.Time{second(due + 1), second(due + 2)}
}

// tenBlocks is a chain of ten blocks, ten seconds apart, each a second later on
// node 2. Payment x is due before block 4 and in it, y is in none, z is refused.
func tenBlocks() script {
	s := script{newConfirmTrace(2)}
	for h := uint32(1); h <= 10; h++ {
		var txids []string
		if h == 4 {
			txids = []string{"x"}
		}
		s.block(fmt.Sprint("b", h), fmt.Sprint("b", h-1), h, float64(10*h), float64(10*h+1), txids...)
	}
	s.pay("x", 0, 33)
	s.pay("y", 1, 34)
	s.payments = append(s.payments, outcome{txid: "z", due: second(35), sent: second(35), err: errors.New("full")})
	return s
}

func TestFollow(t *testing.T) {
	s := tenBlocks()
	s.pay("early", 0, 29)
	s.pay("late", 0, 50)
	list, window := s.follow(3, 5)
	if !window.from.Equal(second(30)) || !window.to.Equal(second(50)) || len(list) != 3 {
		t.Fatalf("%d payments in %v", len(list), window)
	}
	x, y, z := list[0], list[1], list[2]
	if x.block != 4 || !x.accepted.Equal(second(34)) || !x.everyPool.Equal(second(35)) || !x.inBlock.Equal(second(40)) {
		t.Errorf("x: %+v", x)
	}
	for i, want := range []float64{41, 61, 91} { // blocks 4, 6 and 9 on node 2
		if !x.confirmed[i].Equal(second(want)) {
			t.Errorf("x has %d confirmations at %v", confirmDepths[i], x.confirmed[i].Sub(epoch))
		}
	}
	if y.block != 0 || !y.accepted.Equal(second(36)) || !y.inBlock.IsZero() || !y.confirmed[0].IsZero() {
		t.Errorf("y: %+v", y)
	}
	if !z.accepted.IsZero() || z.err == nil {
		t.Errorf("z: %+v", z)
	}
}

// Blocks that a reorganisation took off confirm nothing and are stale; a node
// that connects two blocks at once has the lower one when it has the upper one.
func TestFollowThroughReorganisation(t *testing.T) {
	s := script{newConfirmTrace(2)}
	s.block("a1", "", 1, 10, 10)
	s.block("b2", "a1", 2, 20, 21, "x")
	s.block("a2", "a1", 2, -1, -1)
	s.block("a3", "a2", 3, 30, 33, "x")
	s.block("a4", "a3", 4, 40, 41)
	s.pay("x", 1, 12)
	list, _ := s.follow(1, 4)
	if len(list) != 1 || list[0].block != 3 || !list[0].inBlock.Equal(second(30)) || !list[0].confirmed[0].Equal(second(33)) {
		t.Fatalf("%+v", list)
	}
	if n := s.stale(1, 4); n != 1 {
		t.Errorf("%d stale blocks", n)
	}
	reached := s.reached(s.chain())
	if !reached[0][2].Equal(second(30)) || !reached[1][2].Equal(second(33)) {
		t.Errorf("a2 is reached at %v and %v", reached[0][2], reached[1][2])
	}
}

func TestFollowNothing(t *testing.T) {
	s := script{newConfirmTrace(2)}
	if list, _ := s.follow(3, 5); list != nil {
		t.Errorf("%v", list)
	}
	if list, _ := tenBlocks().follow(11, 20); list != nil {
		t.Errorf("%v", list)
	}
}

func confirmBenchOf(s script, from, blocks uint32) *confirmBench {
	return &confirmBench{
		confirmOptions: confirmOptions{nodes: 2, rate: 5, blocks: blocks, warmUp: 1, seed: 1},
		plan:           &plan{params: consensus.Dev()}, trace: s.confirmTrace, from: from, began: time.Now(),
		start: measurement{at: second(30), energy: noEnergy},
		end:   measurement{mining: miningEvent{Hashes: 4_000_000, Stale: 2}, at: second(50), energy: energy.Reading{Joules: 8, Method: "none"}},
	}
}

func TestConfirmReport(t *testing.T) {
	r := confirmBenchOf(tenBlocks(), 3, 2).report(true)
	if r.Blocks != 2 || r.SpacingS != 10 || r.HashesPerS != 200_000 || r.StaleBlocks != 2 {
		t.Errorf("%+v", r)
	}
	if want := (confirmPayments{Submitted: 3, Refused: 1, Confirmed: 1, Unconfirmed: 2, FirstRefusal: "full"}); r.Payments != want {
		t.Errorf("%+v", r.Payments)
	}
	if e := r.Energy; e.Joules != 8 || e.JoulesPerPayment != 8 || e.JoulesPerBlock != 4 || e.JoulesPerHash != 2e-6 {
		t.Errorf("%+v", e)
	}
	if len(r.Delays) != len(confirmStages) {
		t.Fatalf("%d stages", len(r.Delays))
	}
	for i, want := range []float64{0.5, 2, 2, 7, 8, 28, 58} {
		if d := r.Delays[i]; d.P99S != want || d.P99Blocks != want/2 {
			t.Errorf("%s: %g s, expected %g", d.Stage, d.P99S, want)
		}
	}
	if got := shapeOf(t, r); got != confirmShape {
		t.Errorf("the JSON document is\n%s", got)
	}
	var text bytes.Buffer
	r.print(&text)
	if !strings.Contains(text.String(), "6 confirmations") || strings.Contains(text.String(), "INTERRUPTED") {
		t.Errorf("the table is\n%s", &text)
	}
}

// Interrupted before anything was measured, it must still be JSON.
func TestConfirmReportOfNothing(t *testing.T) {
	r := confirmBenchOf(script{newConfirmTrace(2)}, 0, 2).report(false)
	shapeOf(t, r)
	if r.Complete || r.Blocks != 0 || len(r.Delays) != 0 {
		t.Errorf("%+v", r)
	}
}

// A purse signs payments that consensus takes, each with a coin of its own.
func TestPurseSigns(t *testing.T) {
	params := consensus.Dev()
	owner, err := newDevWallet(params, wallet.DevWordsA)
	if err != nil {
		t.Fatal(err)
	}
	to, err := newDevWallet(params, wallet.DevWordsB)
	if err != nil {
		t.Fatal(err)
	}
	key, err := owner.wallet.Address(wallet.Receive, 0)
	if err != nil || key != owner.address {
		t.Fatal(key, err)
	}
	script := scriptOf(t, params, owner.address)
	from := &consensus.Tx{Version: 2, Outputs: []consensus.TxOut{{Value: preparedValue, Script: script}, {Value: 77, Script: script}, {Value: preparedValue, Script: script}}}
	p := newPurse(owner, from, wallet.Tip{Height: 9})
	if len(p.coins) != 2 {
		t.Fatalf("%d coins", len(p.coins))
	}
	spent := make(map[consensus.OutPoint]bool)
	for _, coin := range p.coins {
		tx, err := p.sign(t.Context(), coin, to.address, wallet.MinFeeRate)
		if err != nil {
			t.Fatal(err)
		}
		if len(tx.Inputs) != 1 || len(tx.Outputs) != 2 || spent[tx.Inputs[0].PrevOut] {
			t.Errorf("%d inputs, %d outputs", len(tx.Inputs), len(tx.Outputs))
		}
		spent[tx.Inputs[0].PrevOut] = true
		prev := consensus.Coin{Value: preparedValue, Key: [32]byte(script[2:]), Height: 9}
		if err := consensus.CheckSignatures(tx, []consensus.Coin{prev}); err != nil {
			t.Error(err)
		}
	}
}

func scriptOf(t *testing.T, params *consensus.Params, text string) []byte {
	t.Helper()
	key, err := address.Decode(params.HRP, text)
	if err != nil {
		t.Fatal(err)
	}
	return consensus.PayToKey(key)
}

// A sender that is stopped while it is late accounts for every payment that was due.
func TestLateSenderHidesNothing(t *testing.T) {
	l := &load{done: make(chan outcome, 1000), stop: make(chan struct{})}
	l.stopAfter(time.Now())
	start := l.last.Add(-10 * time.Second)
	schedule := &poisson{rate: 50, random: rand.New(rand.NewPCG(1, 0))}
	l.giveUp(start, start.Add(schedule.next()), schedule, cap(l.done))
	again := &poisson{rate: 50, random: rand.New(rand.NewPCG(1, 0))}
	want := 0
	for again.next() <= 10*time.Second {
		want++
	}
	got := l.rest()
	if len(got) != want || want < 400 {
		t.Fatalf("%d payments, %d were due", len(got), want)
	}
	c := countPayments([]followed{{outcome: got[0]}, {outcome: outcome{err: context.Canceled}}})
	if c.Unanswered != 2 || c.Unconfirmed != 2 || c.Refused != 0 {
		t.Errorf("%+v", c)
	}
}

func TestConfirmCoins(t *testing.T) {
	o := confirmOptions{rate: 5, blocks: 30, warmUp: 4}
	if n := o.coins(2); n != 800 {
		t.Errorf("%d coins", n)
	}
	if o.rate = 1e300; o.coins(2) <= maxPrepared {
		t.Error("no rate is too high")
	}
}
