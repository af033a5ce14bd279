package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s: %g, want %g ± %g", what, got, want, within)
	}
}

// TestStaleRatePredicted holds the prediction against a race that another program ran: the
// mean of many made runs, and each run's interval.
func TestStaleRatePredicted(t *testing.T) {
	stale, blocks, inside := 0, 0, 0
	predicted := 0.0
	const runs = 8
	for seed := range uint64(runs) {
		run := fastRun(t, seed)
		s := Summarize(run, seeded())
		r := s.StaleRate
		if r == nil || r.Method == "" {
			t.Fatalf("no prediction: %q", s.Missing)
		}
		stale, blocks, predicted = stale+s.StaleBlocks, blocks+r.Blocks, predicted+r.Predicted/runs
		if r.Inside {
			inside++
		}
		if one := StaleRates([]StaleRun{NewStaleRun(run, s)}, 1).Points[0]; one.Inside != r.Inside || math.Abs(one.Share.Low-r.Compared.Low) > 1e-9 || math.Abs(one.Share.High-r.Compared.High) > 1e-9 {
			t.Errorf("one run alone is held against %v, in its summary against %v", one.Share, r.Compared)
		}
		if r.Compared.Value != r.Share.Value || r.Compared.Low >= r.Share.Low || r.Compared.High <= r.Share.High || r.ComparedBlocks != r.Blocks || r.Blocks != s.Blocks+s.StaleBlocks {
			t.Errorf("nothing disturbed the run, and %+v", r)
		}
		if len(s.Missing) > 0 {
			t.Errorf("missing: %q", s.Missing)
		}
	}
	low, high := stats.Wilson(stale, blocks)
	if predicted < low || predicted > high || predicted < 0.1 || inside < runs-1 {
		t.Errorf("predicted %g, %d of %d blocks stale (%g to %g); inside in %d of %d runs", predicted, stale, blocks, low, high, inside, runs)
	}
}

// TestPredictionMayFail: with delays that are not those of the race, it is outside.
func TestPredictionMayFail(t *testing.T) {
	for _, factor := range []float64{0.3, 3} {
		run := fastRun(t, 1)
		for _, b := range run.Blocks {
			for i := range b.ArrivalS {
				b.ArrivalS[i] = b.FoundS + factor*(b.ArrivalS[i]-b.FoundS)
			}
		}
		r := Summarize(run, seeded()).StaleRate
		if r.Inside || (r.Predicted < r.Compared.Low) != (factor < 1) {
			t.Errorf("delays times %g: %+v", factor, r)
		}
	}
}

// TestHashing adds up work between samples that follow each other in a span of time.
func TestHashing(t *testing.T) {
	run := &record.Run{Manifest: record.Manifest{Nodes: make([]record.Node, 2)}}
	for i, hashes := range []float64{0, 10, 30, 60, 5, 25, math.NaN(), 100} { // begins anew after 60
		run.Samples = append(run.Samples, record.Sample{TimeS: float64(i), Node: 1, Hashes: hashes, HashesDue: 20 * float64(i)}, record.Sample{TimeS: float64(i), Node: 2})
	}
	for _, c := range []struct {
		when spans
		want work
	}{
		{spans{{0, 10}}, work{80, 80, 4}}, // without 3 to 4 and what is not known
		{spans{{1, 3}}, work{50, 40, 2}},
		{spans{{0.5, 2.5}}, work{20, 20, 1}},
		{spans{{0, 1}, {4, 5}}, work{30, 40, 2}},
		{nil, work{}},
	} {
		if got := hashing(run, c.when); got[0] != c.want || got[1].hashes != 0 {
			t.Errorf("in %v: %v, want %v", c.when, got, c.want)
		}
	}
}

// TestPredictionIgnoresDisturbedTimes cuts a network in two: blocks that were found then
// count for the stale rate, and not for what the prediction is held against.
func TestPredictionIgnoresDisturbedTimes(t *testing.T) {
	run := bigRun(t)
	s := Summarize(run, seeded())
	r := s.StaleRate
	during, before := 0, 0.0
	for _, b := range run.Blocks {
		if b.FoundS > 260 && b.FoundS <= 341 {
			during++
		} else if b.FoundS <= 260 {
			before = max(before, b.FoundS)
		}
	}
	if during == 0 || r.Blocks-r.ComparedBlocks != during || s.Propagation.Blocks != r.ComparedBlocks {
		t.Errorf("%d blocks in the partition; %d of %d compared, %d for the propagation", during, r.ComparedBlocks, r.Blocks, s.Propagation.Blocks)
	}
	if !math.IsNaN(r.Share.Low) || !math.IsNaN(r.Share.High) || r.Compared.Value >= r.Share.Value {
		t.Errorf("the partition's blocks have an interval, or are not most of the stale ones: %+v", r)
	}
	if s.Propagation.LastP95S > 1 {
		t.Errorf("blocks took %g s: those of the partition are among them", s.Propagation.LastP95S)
	}
	// A cut just after a block, which most nodes have, and not all: what became of that one is
	// the partition's doing.
	cut := slices.IndexFunc(run.Events, func(e record.Event) bool { return e.Kind == "partition" })
	run.Events[cut].TimeS = before + (s.Propagation.P95S+s.Propagation.LastP95S)/2
	if just := Summarize(run, seeded()); just.StaleRate.ComparedBlocks != r.ComparedBlocks-1 || just.Propagation.Blocks != s.Propagation.Blocks {
		t.Errorf("%d of %d blocks compared, and one was found just before the partition", just.StaleRate.ComparedBlocks, r.ComparedBlocks)
	}
	// The same run without events: the prediction then takes the partition's delays for
	// those of links.
	run.Events = nil
	if all := Summarize(run, seeded()); all.StaleRate.Predicted < 2*r.Predicted || all.Propagation.LastP95S < 10 {
		t.Errorf("with the partition: predicted %g, 95th percentile %g s", all.StaleRate.Predicted, all.Propagation.LastP95S)
	}
}

// TestNeverArrived counts the miners that a block never came to. Its own miner, of which
// nobody may have seen that it has it, is none of them.
func TestNeverArrived(t *testing.T) {
	run := fastRun(t, 1)
	a := analyse(run, nil)
	if _, never, _ := a.pairDelays([]int{0, 1, 2}); never != 0 {
		t.Fatalf("%d blocks never arrived, and all did", never)
	}
	a.quiet[0].Miner, a.quiet[0].ArrivalS = 1, []float64{math.NaN(), math.NaN(), a.quiet[0].FoundS + 0.1, math.NaN(), math.NaN()}
	if _, never, _ := a.pairDelays([]int{0, 1, 2}); never != 1 {
		t.Errorf("never arrived at %d miners, want node 2 alone", never)
	}
}

// TestBlockDelays: a block that was on its way when its node went down is no measure of
// the way, and one that came after the measured time is.
func TestBlockDelays(t *testing.T) {
	never := math.NaN()
	run := &record.Run{
		Manifest: record.Manifest{MeasuredFromS: 10, MeasuredToS: 100, Nodes: make([]record.Node, 3)},
		Events:   []record.Event{{TimeS: 30, Kind: "stop", Nodes: []int{2}}, {TimeS: 40, Kind: "restart", Nodes: []int{2}}},
		Samples:  []record.Sample{{TimeS: 42, Node: 1, Tip: "a"}},
		Blocks: []record.Block{
			{Hash: "a", Miner: 1, FoundS: 9, ArrivalS: []float64{9, 11, 12}}, // before the measured time
			{Hash: "b", Miner: 1, FoundS: 29, ArrivalS: []float64{29, 41, 29.5}},
			{Hash: "c", Miner: 3, FoundS: 35, ArrivalS: []float64{36, 41, 35}}, // while node 2 was down
			{Hash: "d", Miner: 1, FoundS: 50, ArrivalS: []float64{50, 51.25, never}},
			{Hash: "e", Miner: 0, FoundS: 60, ArrivalS: []float64{60, 59.9, 62}, Status: record.Stale},
			{Hash: "f", Miner: 1, FoundS: 70, ArrivalS: []float64{70, 75, 75}, Status: record.Withheld},
			{Hash: "g", Miner: 2, FoundS: 99, ArrivalS: []float64{101, 99, 102}},
		},
	}
	all, last, byNode := (&view{run: run}).blockDelays()
	if got, want := fmt.Sprint(all, last, byNode), "[0.5 1.25 0 0 2 2 3] [0.5 1.25 2 3] [[0 2] [1.25 0] [0.5 2 3]]"; got != want {
		t.Errorf("delays %s, want %s", got, want)
	}
	a := analyse(run, nil)
	delays, missing, borrowed := a.pairDelays([]int{0, 1, 2})
	if got, want := fmt.Sprint(delays, missing, borrowed), "[[[] [1.25] [0.5]] [[2] [] [3]] [[2] [1.25] []]] 1 2"; got != want {
		t.Errorf("delays of pairs %s, want %s", got, want)
	}
}

// TestDelays computes by hand what Summarize must say.
func TestDelays(t *testing.T) {
	never := math.NaN()
	run := &record.Run{Manifest: record.Manifest{Status: record.Complete, MeasuredFromS: 10, MeasuredToS: 100, Nodes: make([]record.Node, 1),
		Network: record.Network{SpacingS: 10}, Load: record.Load{RatePerS: 1}, End: &record.End{Joules: 90, Hashes: 4500, Nodes: []record.NodeEnd{{Node: 1, Tip: "x"}}}}}
	for h, at := range []float64{20, 30, 40, 50} {
		run.Blocks = append(run.Blocks, record.Block{Hash: fmt.Sprint("b", h+1), Parent: fmt.Sprint("b", h), Height: uint32(h + 1), FoundS: at, Status: record.Active, Miner: 1, ArrivalS: []float64{at}})
	}
	run.Payments = []record.Payment{
		{ID: 1, DueS: 5, Status: record.Confirmed, Block: "b1", Height: 1, SubmittedS: 5, AcceptedS: 5, EveryPoolS: 6, InBlockS: 20, Confirmed1S: 20, Confirmed3S: 40, Confirmed6S: never},        // before the measured time
		{ID: 2, DueS: 12, Status: record.Confirmed, Block: "b1", Height: 1, SubmittedS: 12.5, AcceptedS: 13, EveryPoolS: 14, InBlockS: 20, Confirmed1S: 21, Confirmed3S: 41, Confirmed6S: never},  // straight
		{ID: 3, DueS: 15, Status: record.Confirmed, Block: "b3", Height: 3, SubmittedS: 15, AcceptedS: 16, EveryPoolS: 17, InBlockS: 40, Confirmed1S: 41, Confirmed3S: never, Confirmed6S: never}, // two blocks went by
		{ID: 4, DueS: 28, Status: record.Confirmed, Block: "b2", Height: 2, SubmittedS: 28, AcceptedS: 29, EveryPoolS: 33, InBlockS: 30, Confirmed1S: 31, Confirmed3S: 51, Confirmed6S: never},    // in a block before it was everywhere
		{ID: 5, DueS: 50, Status: record.Refused, SubmittedS: 50, AcceptedS: never, EveryPoolS: never, InBlockS: never, Confirmed1S: never, Confirmed3S: never, Confirmed6S: never},
		{ID: 6, DueS: 100, Status: record.Pending, SubmittedS: 100, AcceptedS: 100, EveryPoolS: never, InBlockS: never, Confirmed1S: never, Confirmed3S: never, Confirmed6S: never}, // behind the measured time
		{ID: 7, Role: record.DoubleSpend, DueS: 12, Status: record.Confirmed, Block: "b1", Height: 1, SubmittedS: 12, AcceptedS: 12, EveryPoolS: 12, InBlockS: 20, Confirmed1S: 20, Confirmed3S: 40, Confirmed6S: never},
	}
	s := Summarize(run, seeded())
	if got := fmt.Sprint(s.Payments); got != "map[confirmed:3 refused:1]" {
		t.Errorf("payments %s", got)
	}
	got := make(map[string]record.Delay)
	for _, d := range s.Delays {
		got[d.Stage] = d
	}
	for stage, want := range map[string]record.Delay{
		"submitted":     {Payments: 4, Blocks: 3, P50S: record.Interval{Value: 0}, P90S: 0.5},
		"accepted":      {Payments: 3, Blocks: 3, P50S: record.Interval{Value: 1}, P90S: 1},
		"every_mempool": {Payments: 3, Blocks: 3, P50S: record.Interval{Value: 2}, P90S: 5},
		"in_block":      {Payments: 3, Blocks: 3, P50S: record.Interval{Value: 8}, P90S: 25},
		"confirmed_1":   {Payments: 3, Blocks: 3, P50S: record.Interval{Value: 9}, P90S: 26},
		"confirmed_3":   {Payments: 2, Never: 1, Blocks: 2, P50S: record.Interval{Value: 29}, P90S: record.Figure(never)}, // which counts as the longest
	} {
		d := got[stage]
		if d.Payments != want.Payments || d.Blocks != want.Blocks || d.Never != want.Never || d.P50S.Value != want.P50S.Value || fmt.Sprint(d.P90S) != fmt.Sprint(want.P90S) || d.P50.Value != want.P50S.Value/10 || !math.IsNaN(d.P50S.Low) {
			t.Errorf("%s: %+v, want %+v", stage, d, want)
		}
	}
	if _, there := got["confirmed_6"]; there || len(got) != 6 {
		t.Errorf("stages %v", got)
	}
	// accepting, gossip, queue, block wait, propagation of payments 2, 3 and 4
	want := [5][]float64{{1, 1, 1}, {1, 1, 1}, {0, 13, 0}, {6, 10, 0}, {1, 1, 1}}
	if values := splits(run, paid(run, span{10, 100})); fmt.Sprint(values) != fmt.Sprint(want) {
		t.Errorf("parts %v, want %v", values, want)
	}
	total := 0.0
	for _, p := range s.Parts {
		total += p.MeanS
	}
	near(t, "sum of the parts", total, (9.0+26+3)/3, 1e-9)
	// Four were confirmed in the measured time, of which one was due before.
	if e := s.Energy; e.JoulesPerBlock != 22.5 || e.Payments != 4 || e.JoulesPerPayment != 22.5 || e.JoulesPerHash != 0.02 || s.HashesPerS != 50 {
		t.Errorf("energy %+v, %g hashes a second", e, s.HashesPerS)
	}
	for _, part := range []string{"4 blocks, and at least 30 are needed for the stale rate", "4 block intervals, and at least 30 are needed for the block spacing", "Some payments never came that far: 3 confirmations (1 of 3), 6 confirmations (3 of 3). They count as the longest", "for an interval of the median delay: in a block (3 blocks of 15), 1 confirmation (3 blocks of 15), 3 confirmations (2 blocks of 45)."} {
		if !slices.ContainsFunc(s.Missing, func(m string) bool { return strings.Contains(m, part) }) {
			t.Errorf("no %q in %q", part, s.Missing)
		}
	}
}

func TestAttacks(t *testing.T) {
	run := fastRun(t, 1)
	run.Events = append(run.Events,
		record.Event{TimeS: 900, Kind: "selfish", Attack: &record.Attack{Kind: record.Selfish, Node: 1, Share: 0.4, FromS: 500, ToS: 900, Blocks: 300, Own: 145, Ties: 60, TiesOwn: 20, TiesWon: 20}},
		record.Event{TimeS: 1000, Kind: "double-spend", Attack: &record.Attack{Kind: record.DoubleSpend, Node: 2, Share: 0.3, FromS: 900, ToS: 1000, Confirmations: 2, Tries: 12, Won: 3, GivenUp: 7, GiveUpBehind: 6}},
		record.Event{TimeS: 1100, Kind: "double-spend", Attack: &record.Attack{Kind: record.DoubleSpend, Node: 2, Share: 0.1, FromS: 1000, ToS: 1100, Confirmations: 6, Tries: 1}})
	s := Summarize(run, seeded())
	if len(s.Attacks) != 3 {
		t.Fatalf("%d attacks", len(s.Attacks))
	}
	selfish, double, hopeless := s.Attacks[0], s.Attacks[1], s.Attacks[2]
	near(t, "selfish share", selfish.Measured.Value, 145.0/300, 1e-12)
	near(t, "predicted", selfish.Predicted, stats.SelfishShare(0.4, 0.5), 1e-12)
	low, high := stats.Wilson(145, 300)
	if selfish.Inside == nil || !*selfish.Inside || selfish.Measured.Low > low-0.03 || selfish.Measured.High < high+0.03 || !strings.Contains(selfish.Theory, "γ = 0.5 from 40 ties that honest miners decided (between γ = 0.35 and 0.65 it is 0.513 to 0.538)") {
		t.Errorf("%+v", selfish)
	}
	if selfish.Needed < stats.SampleSize(0.4, selfish.Predicted) {
		t.Errorf("needs %d blocks", selfish.Needed)
	}
	near(t, "double spends won", double.Measured.Value, 0.25, 1e-12) // two were published and overtaken: lost, too
	near(t, "predicted", double.Predicted, stats.DoubleSpendGivingUp(0.3, 2, 6), 1e-12)
	if double.Inside == nil || !*double.Inside || double.Needed != stats.SampleSize(0, double.Predicted) {
		t.Errorf("%+v", double)
	}
	if hopeless.Needed < 100 || !slices.ContainsFunc(s.Missing, func(m string) bool {
		return strings.Contains(m, "1 try of a double spend by node 2, and at least "+whole(hopeless.Needed))
	}) {
		t.Errorf("needs %d, missing %q", hopeless.Needed, s.Missing)
	}
	if r := (&analysis{run: run, rng: seeded(), s: s}).doubleSpend(record.Attack{Kind: record.DoubleSpend, Share: 0.3, Confirmations: 1}); r.Inside != nil {
		t.Errorf("no try at all is inside: %v", *r.Inside)
	}
	if r := (&analysis{run: run, rng: seeded(), s: s}).selfish(record.Attack{Kind: record.Selfish, Share: 0.3, Blocks: 10, Own: 3}); r.Inside != nil {
		t.Errorf("with γ unknown it is inside: %v", *r.Inside)
	}
	for share, done := range map[float64]float64{0.4: 0.38, 0.38: 0} { // what was done is held against theory, or else what was asked for
		for _, k := range []record.Attack{{Kind: record.Selfish, Share: share, ShareDone: done, Blocks: 300, Own: 145, Ties: 60, TiesOwn: 20, TiesWon: 20}, {Kind: record.DoubleSpend, Share: share, ShareDone: done, Confirmations: 2, Tries: 12}} {
			a := &analysis{run: run, rng: seeded(), s: s}
			if k.Kind == record.Selfish {
				near(t, "selfish, predicted", a.selfish(k).Predicted, stats.SelfishShare(0.38, 0.5), 1e-12)
			} else {
				near(t, "double spend, predicted", a.doubleSpend(k).Predicted, stats.DoubleSpendGivingUp(0.38, 2, 0), 1e-12)
			}
		}
	}
	for early, said := range map[float64]bool{0: false, 1: true} {
		run := fastRun(t, 1)
		run.Events = append(run.Events, record.Event{TimeS: 1000, Kind: "double-spend", Values: map[string]any{"blocks_without_payment": early},
			Attack: &record.Attack{Kind: record.DoubleSpend, Node: 2, Share: 0.3, FromS: 900, ToS: 1000, Confirmations: 2, Tries: 12}})
		if slices.ContainsFunc(Summarize(run, seeded()).Missing, func(m string) bool {
			return strings.Contains(m, "harder than in theory: in 12 tries, 1 public block came before the payment's")
		}) != said {
			t.Errorf("%g blocks without the payment are not told", early)
		}
	}
	// What was mined while they attacked is not held against the prediction.
	if r := s.StaleRate; r.ComparedBlocks >= r.Blocks*3/4 || r.ComparedBlocks < r.Blocks/3 {
		t.Errorf("%d of %d blocks compared", r.ComparedBlocks, r.Blocks)
	}
	for i := range 100 {
		run.Events = append(run.Events, record.Event{TimeS: 1100 + float64(i), Kind: "selfish", Attack: run.Events[len(run.Events)-1].Attack})
	}
	if s := Summarize(run, seeded()); len(s.Attacks) != mostAttacks {
		t.Errorf("%d attacks, want %d", len(s.Attacks), mostAttacks)
	}
}

// TestIncomplete: what a run that was cut short has is summarised, and the rest is missing.
func TestIncomplete(t *testing.T) {
	run := bigRun(t)
	m := &run.Manifest
	m.Status, m.End, m.MeasuredToS = record.Running, nil, 0
	run.Notes = []string{"samples.csv ends in half a line."}
	run.Samples = slices.DeleteFunc(run.Samples, func(s record.Sample) bool { return s.TimeS > 500 })
	run.Blocks = slices.DeleteFunc(run.Blocks, func(b record.Block) bool { return b.FoundS > 500 })
	run.Payments = slices.DeleteFunc(run.Payments, func(p record.Payment) bool { return p.DueS > 500 })
	run.Events = slices.DeleteFunc(run.Events, func(e record.Event) bool { return e.TimeS > 500 })
	s := Summarize(run, seeded())
	near(t, "measured", s.MeasuredS, 440, 1)
	near(t, "hash rate", s.HashesPerS, 0.985*271785, 300)
	near(t, "lag", s.LagShare, 0.015, 1e-9)
	text := strings.Join(s.Missing, "\n")
	for _, want := range []string{"The run has not ended, or its process was killed: what is here ends after 500 s.", "How the nodes ended is not known", "samples.csv ends in half a line."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if s.Complete || s.StaleRate == nil || s.Tips != 0 || s.Energy.Joules != 0 {
		t.Errorf("%+v", s)
	}
	m.Status, m.Reason = record.Failed, "no space left"
	if s := Summarize(run, seeded()); !slices.Contains(s.Missing, "The run was ended by an error: no space left.") {
		t.Errorf("missing: %q", s.Missing)
	}
	nothing := Summarize(&record.Run{Manifest: record.Manifest{Status: record.Running, Nodes: make([]record.Node, 3)}}, seeded())
	if nothing.MeasuredS != 0 || nothing.Blocks != 0 || len(nothing.Missing) < 4 {
		t.Errorf("of nothing: %+v", nothing)
	}
}

func TestDisturbances(t *testing.T) {
	run := &record.Run{Events: []record.Event{
		{TimeS: 10, Kind: "partition"}, {TimeS: 15, Kind: "partition"}, {TimeS: 20, Kind: "heal"},
		{TimeS: 30, Kind: "kill", Nodes: []int{2, 3}}, {TimeS: 35, Kind: "restart", Nodes: []int{2}},
		{TimeS: 50, Kind: "clock", Nodes: []int{1}, Values: map[string]any{"offset_s": 60.0}}, {TimeS: 60, Kind: "clock", Nodes: []int{1}, Values: map[string]any{"offset_s": 0.0}},
		{TimeS: 70, Kind: "churn"}, {TimeS: 80, Kind: "churn"}, {TimeS: 81, Kind: "heal"}, {TimeS: 81, Kind: "measuring"},
		{TimeS: 90, Kind: "selfish", Nodes: []int{1}}, {TimeS: 99, Kind: "selfish", Nodes: []int{1}, Attack: &record.Attack{Kind: record.Selfish, FromS: 90, ToS: 98}},
	}}
	for at := 0.0; at < 100; at += 4 {
		other := "a"
		if at > 15 && at < 26 {
			other = "b"
		}
		run.Samples = append(run.Samples, record.Sample{TimeS: at, Node: 1, Tip: "a"}, record.Sample{TimeS: at, Node: 2, Tip: other}, record.Sample{TimeS: at, Node: 3, Tip: "a"})
	}
	list := disturbances(run)
	var got []string
	for _, d := range list {
		got = append(got, fmt.Sprintf("%s %g-%g %v", d.label, d.from, d.to, d.stops))
	}
	want := "partition 10-28 false; node 2 down 30-36 true; node 3 down 30-+Inf true; clock 1 wrong 50-60 false; churn 70-80 true; selfish 90-+Inf false"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	calm := without(span{5, 40}, list[:2])
	if fmt.Sprint(calm) != "[{5 10} {28 30} {36 40}]" || calm.length() != 11 {
		t.Errorf("calm %v", calm)
	}
	for at, place := range map[float64]int{5: -1, 5.1: 0, 10: 0, 10.1: -1, 28: -1, 29: 1, 33: -1, 40: 2, 41: -1} {
		if calm.find(at) != place {
			t.Errorf("%g is in span %d, want %d", at, calm.find(at), place)
		}
	}
	if !calm.hold(5, 10) || !calm.hold(6, 7) || calm.hold(9, 11) || calm.hold(4, 9) || calm.hold(29, 37) || calm.hold(39, 41) {
		t.Error("hold is wrong")
	}
}

// TestDelaysUnderOverload: where most payments never come into a block, the median delay is
// not that of the few that do, in a run as in a sweep.
func TestDelaysUnderOverload(t *testing.T) {
	run := made{nodes: 3, rates: equalRates(3, 100), spacing: 2, warmUp: 10, measured: 200, paying: 5, perBlock: 3, delayMS: func(a, b int) float64 { return 90 }, seed: 9}.make(t)
	run.Payments[len(run.Payments)-1].Status = record.Unanswered
	s := Summarize(run, seeded())
	for _, d := range s.Delays {
		if waits := confirmed(1).name == d.Stage; waits && (d.Never <= d.Payments || !math.IsNaN(d.P50S.Value) || !math.IsNaN(d.P50S.Low) || !math.IsNaN(float64(d.P99S))) {
			t.Errorf("%+v", d)
		}
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"p99_s":null`) {
		t.Errorf("%v in %s", err, text)
	}
	var back record.Summary
	if err := json.Unmarshal(text, &back); err != nil || !math.IsNaN(float64(back.Delays[len(back.Delays)-1].P99S)) {
		t.Errorf("it is not read back as it was written: %v", err)
	}
	if !slices.ContainsFunc(s.Missing, func(m string) bool {
		return strings.Contains(m, "never came that far: in a block (") && strings.Contains(m, ", 1 confirmation (") && strings.Contains(m, ". They count as the longest")
	}) {
		t.Errorf("missing: %q", s.Missing)
	}
	o := (&Tradeoffs{}).delay(&Tradeoff{IntervalS: 2}, []*record.Run{run}, 1, seeded())
	for _, d := range s.Delays {
		if d.Stage == "confirmed_1" && (o.Never != d.Never || o.Payments != d.Payments+d.Never || o.Blocks != d.Blocks || !math.IsNaN(o.P50S.Value)) {
			t.Errorf("the sweep has %+v, the run %+v", o, d)
		}
	}
	for i := range run.Payments {
		run.Payments[i].Status, run.Payments[i].Block = record.Pending, ""
	}
	if free := Summarize(run, seeded()); !math.IsNaN(float64(free.Energy.JoulesPerPayment)) || free.Energy.Joules == 0 {
		t.Errorf("nobody was paid, and that cost %g J each", free.Energy.JoulesPerPayment)
	}
}
