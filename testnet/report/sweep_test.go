package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// sweptRuns is a sweep over three intervals, two replicas each.
func sweptRuns(t testing.TB) Sweep {
	s := Sweep{Version: "0.1.0", Attackers: []float64{0.1, 0.3}, HashesPerS: 6e20, Model: energy.ASICFleet()}
	for i, spacing := range []float64{0.5, 1, 2} {
		p := SweepPoint{IntervalS: spacing, MaxWeight: 400_000, Replicas: 2}
		for replica := range 2 {
			run := made{nodes: 4, rates: []float64{400, 300, 200, 100}, spacing: spacing, warmUp: 10, measured: 100 * spacing,
				paying: 5, perBlock: 600, delayMS: func(a, b int) float64 { return 90 }, seed: uint64(20 + 10*i + replica)}.make(t)
			run.Dir = fmt.Sprintf("sweep/%gs-%d", spacing, replica+1)
			p.Runs = append(p.Runs, run)
		}
		s.Points = append(s.Points, p)
	}
	return s
}

func tradeoffsOf(s Sweep) *Tradeoffs { return TradeoffsOf(s, rand.New(rand.NewPCG(1, 1))) }

// TestTradeoffs holds the figures of a sweep against what the runs were made of.
func TestTradeoffs(t *testing.T) {
	s := sweptRuns(t)
	r := tradeoffsOf(s)
	if !r.Complete || len(r.Points) != 3 || r.Nodes != 4 {
		t.Fatalf("%+v", r)
	}
	for i, p := range r.Points {
		name := seconds(p.IntervalS)
		if p.Replicas != 2 || p.Wanted != 2 || len(p.Runs) != 2 || p.MeasuredS != 200*p.IntervalS {
			t.Errorf("%s: %+v", name, p)
		}
		// The median wait for an exponential time is ln 2 of its mean, on a chain that loses
		// its stale blocks; then the block has to come to the last node.
		if d := p.Confirmed1; d == nil || !(d.P50S.Low <= math.Ln2*p.ChainIntervalS+0.15 && math.Ln2*p.ChainIntervalS+0.15 <= d.P50S.High) {
			t.Errorf("%s: 1 confirmation after %+v, and a block takes %g s", name, d, p.ChainIntervalS)
		}
		blocks := map[string]bool{}
		for _, run := range s.Points[i].Runs {
			for _, payment := range paid(run, measured(run)) {
				blocks[payment.Block] = true
			}
		}
		if p.Confirmed1.Blocks != len(blocks) || len(blocks) < 100 {
			t.Errorf("%s: payments in %d blocks, want %d", name, p.Confirmed1.Blocks, len(blocks))
		}
		// That of six is 5.67 means.
		if d := p.Confirmed6; d == nil || !(d.P50S.Low <= 5.67*p.ChainIntervalS+0.15 && 5.67*p.ChainIntervalS+0.15 <= d.P50S.High) {
			t.Errorf("%s: 6 confirmations after %+v, and a block takes %g s", name, d, p.ChainIntervalS)
		}
		if d := p.Stale; d == nil || !d.Inside || len(d.ByReplica) != 2 || d.Blocks < 150 || !(d.Share.Low < d.Share.Value && d.Share.Value < d.Share.High) {
			t.Errorf("%s: stale %+v", name, d)
		}
		if i > 0 && !(p.Stale.Predicted < r.Points[i-1].Stale.Predicted) {
			t.Errorf("%s: %g stale are predicted, not less than with a shorter interval", name, p.Stale.Predicted)
		}
		// 4.4 W over 5 payments a second.
		if e := p.Energy; e.Joules == nil || math.Abs(*e.Joules-0.9) > 0.1 || len(e.ByReplica) != 2 {
			t.Errorf("%s: energy %+v", name, e)
		}
		last := p.Energy.Elsewhere[len(p.Energy.Elsewhere)-1]
		if want := 28.2e-12 * 6e20 / p.PaymentsPerS; !last.Assumed || math.Abs(last.Joules/want-1) > 1e-9 {
			t.Errorf("%s: %+v, want %g J", name, last, want)
		}
		for _, risk := range p.Risks {
			if risk.Race != stats.DoubleSpendRace(risk.Attacker, risk.Confirmations) || risk.Nakamoto != stats.Nakamoto(risk.Attacker, risk.Confirmations) || !(*risk.RaceStale > risk.Race) {
				t.Errorf("%s: %+v", name, risk)
			}
		}
		for _, safe := range p.Safe {
			if safe.RaceStale < safe.Race || safe.Race <= safe.Nakamoto || safe.WaitS != float64(safe.RaceStale)*p.ChainIntervalS {
				t.Errorf("%s: %+v", name, safe)
			}
		}
	}
	for _, want := range []string{"From a block every 2\u00a0s to one every 500\u00a0ms", "15.6\u00a0%", "33.3\u00a0%", "GJ"} {
		if !strings.Contains(r.Meaning, want) {
			t.Errorf("the paragraph does not say %q: %s", want, r.Meaning)
		}
	}
	again, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Tradeoffs
	if err := json.Unmarshal(again, &back); err != nil || back.Meaning != r.Meaning || len(back.Points) != 3 {
		t.Errorf("it is not read back as it was written: %v", err)
	}
}

// TestTradeoffsWithLittle is about sweeps that were interrupted, are short, or in which
// blocks have no room for the payments.
func TestTradeoffsWithLittle(t *testing.T) {
	s := sweptRuns(t)
	s.Incomplete = "The sweep did not come to its end."
	s.Points[0].Runs = nil
	s.Points[1].Runs = s.Points[1].Runs[:1]
	full := made{nodes: 4, rates: []float64{400, 300, 200, 100}, spacing: 2, warmUp: 10, measured: 200, paying: 5, perBlock: 3, delayMS: func(a, b int) float64 { return 90 }, seed: 9}.make(t)
	full.Dir = "sweep/full"
	full.Manifest.End.WorstLag = 0.3
	short := made{nodes: 4, rates: []float64{400, 300, 200, 100}, spacing: 0.5, warmUp: 10, measured: 5, delayMS: func(a, b int) float64 { return 90 }, seed: 9}.make(t)
	s.Points[2].Runs = []*record.Run{full, full}
	s.Points = append(s.Points, SweepPoint{IntervalS: 0.25, MaxWeight: 400_000, Replicas: 1, Runs: []*record.Run{short}})
	r := tradeoffsOf(s)
	missing := strings.Join(r.Missing, "\n")
	for _, want := range []string{
		"The sweep did not come to its end.",
		"Blocks every 500\u00a0ms of 400,000 weight units: 0 of 2 replicas are there.",
		"Blocks every 1\u00a0s of 400,000 weight units: 1 of 2 replicas are there.",
		"Blocks every 1\u00a0s of 400,000 weight units: payments are in too few blocks, or in such as hang together, for an interval of the median delay to 6 confirmations: 70 blocks of 90.",
		"Blocks every 2\u00a0s of 400,000 weight units: half of the payments or more never had 6 confirmations",
		"Blocks every 250\u00a0ms of 400,000 weight units: no payment was due",
		"Blocks every 250\u00a0ms of 400,000 weight units: there are too few blocks",
		"Blocks every 2\u00a0s of 400,000 weight units: the machine did not keep up: 30\u00a0%",
	} {
		if !strings.Contains(missing, want) {
			t.Errorf("what is missing does not say %q:\n%s", want, missing)
		}
	}
	if n := strings.Count(missing, "Blocks every 500\u00a0ms"); n != 1 {
		t.Errorf("%d sentences on a point of which nothing is there, want one:\n%s", n, missing)
	}
	if r.Complete || r.Points[0].Stale != nil || r.Points[0].Energy.Joules != nil || !math.IsNaN(r.Points[1].Confirmed6.P50S.Low) {
		t.Errorf("figures of nothing: %+v", r.Points[:2])
	}
	var text, html strings.Builder
	r.Print(&text)
	if err := TradeoffsHTML(&html, r); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(text.String(), bad) || strings.Contains(html.String(), bad) {
			t.Errorf("there is a %q in\n%s\n%s", bad, text.String(), html.String())
		}
	}
	if r = tradeoffsOf(Sweep{Points: []SweepPoint{{IntervalS: 1, MaxWeight: 8000, Replicas: 1}}}); !strings.Contains(r.Meaning, "No point") {
		t.Errorf("a sweep of nothing means %q", r.Meaning)
	}
}

// TestEnergyOfUnpaid: a replica in which no payment was confirmed took energy all the same.
func TestEnergyOfUnpaid(t *testing.T) {
	o := Tradeoff{PaymentsPerS: 1}
	o.energy(Sweep{Model: energy.ASICFleet()}, []*record.Summary{
		{Energy: record.Energy{Method: "a model", Joules: 300}},
		{Energy: record.Energy{Method: "a model", Joules: 500, Payments: 100}},
	})
	if e := o.Energy; e.Joules == nil || *e.Joules != 8 || len(e.ByReplica) != 2 || e.ByReplica[0] != nil || e.ByReplica[1] == nil || *e.ByReplica[1] != 5 {
		t.Errorf("%+v", e)
	}
}

// TestStaleRateOfLittle says what so few stale blocks tell: none where none is predicted, and
// fewer than there are blocks where the prediction is not exact.
func TestStaleRateOfLittle(t *testing.T) {
	some := func(blocks int, share, predicted, err float64) string {
		var r Tradeoffs
		o := Tradeoff{IntervalS: 1, MaxWeight: 8000}
		s := &record.Summary{StaleRate: &record.StaleRate{Method: "simulated", ComparedBlocks: blocks, Compared: record.Interval{Value: share}, Predicted: predicted, PredictedError: err}}
		if d := r.stale(&o, []*record.Summary{s}, 0.95); d == nil || d.Blocks != blocks {
			t.Errorf("%+v", d)
		}
		return strings.Join(r.Missing, "\n")
	}
	rate := func(blocks int, predicted, err float64) string { return some(blocks, predicted, predicted, err) }
	if got := rate(200, 0, 0); !strings.Contains(got, "no block is predicted to go stale, and of 200 blocks 0 did: that says of the stale rate only that it is below 1.8") {
		t.Error(got)
	}
	if got := some(200, 0.05, 0, 0); !strings.Contains(got, "of 200 blocks 10 did: that says of the stale rate only that it is between 2.74\u00a0% and 8.96\u00a0%.") {
		t.Error(got)
	}
	if got := rate(200, 0.1, 0.001); got != "" { // it takes 139
		t.Error(got)
	}
	if got := rate(200, 0.1, 0.02); !strings.Contains(got, "200 blocks, worth 106 with the error of the prediction, and about 139 are needed") {
		t.Error(got)
	}
}

// TestTradeoffsPage looks that the page has its parts, and writes it to where -pages says.
func TestTradeoffsPage(t *testing.T) {
	s := sweptRuns(t)
	smaller := s.Points[1]
	smaller.MaxWeight = 12_000
	for name, points := range map[string][]SweepPoint{"sweep": s.Points, "sweep-sizes": append([]SweepPoint{smaller}, s.Points...), "sweep-one": s.Points[:1]} {
		s.Points = points
		r := tradeoffsOf(s)
		var b bytes.Buffer
		if err := TradeoffsHTML(&b, r); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, id := range []string{"plot-delay-1", "plot-delay-6", "plot-stale", "plot-risk", "plot-wait", "plot-energy"} {
			if strings.Count(text, fmt.Sprintf(`id="%s-t"`, id)) != 1 {
				t.Errorf("%s: not one plot %s", name, id)
			}
		}
		if !strings.Contains(text, template.HTMLEscapeString(r.Meaning)) {
			t.Errorf("%s: the page does not say what it means", name)
		}
		for _, outside := range []string{"http://", "https://", "<script", "src="} {
			if strings.Contains(text, outside) {
				t.Errorf("%s: the page has a %s", name, outside)
			}
		}
		if *pages != "" {
			if err := os.WriteFile(filepath.Join(*pages, name+".html"), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
