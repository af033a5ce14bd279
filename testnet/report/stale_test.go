package report

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
)

// racedRuns are three runs that differ in the spacing alone.
func racedRuns(t testing.TB) (runs []*record.Run) {
	for i, spacing := range []float64{0.5, 1, 2} {
		run := made{nodes: 4, rates: []float64{400, 300, 200, 100}, spacing: spacing, warmUp: 10, measured: 1100 * spacing,
			delayMS: func(a, b int) float64 { return 90 }, seed: uint64(20 + i)}.make(t)
		run.Manifest.Name = []string{"half", "one", "two"}[i]
		run.Dir = "runs/" + run.Manifest.Name
		runs = append(runs, run)
	}
	return runs
}

func staleRates(runs []*record.Run, blocks int) *StaleReport {
	rng := rand.New(rand.NewPCG(1, 1))
	var judged []StaleRun
	for _, run := range runs {
		judged = append(judged, NewStaleRun(run, Summarize(run, rng)))
	}
	return StaleRates(judged, blocks)
}

// TestStaleRatesTogether judges runs that are what theory says, and makes each of the
// ways wrong in which they may not be.
func TestStaleRatesTogether(t *testing.T) {
	runs := racedRuns(t)
	r := staleRates(runs, 1000)
	var text strings.Builder
	r.Print(&text)
	if !r.OK || len(r.Problems) > 0 {
		t.Fatalf("runs that are what theory says are not OK:\n%s", text.String())
	}
	if math.Abs(r.Level-0.05/6) > 1e-12 || !strings.Contains(r.Method, "together by chance in about 10 %") {
		t.Errorf("six tests of three runs fail below %g each: %s", r.Level, r.Method)
	}
	for i, p := range r.Points {
		s := Summarize(runs[i], rand.New(rand.NewPCG(1, 1))).StaleRate
		if !(p.Share.Low < s.Compared.Low && p.Share.High > s.Compared.High) {
			t.Errorf("%s: a side of the joint region, %v, is not wider than an interval of its own, %v", p.Name, p.Share, s.Compared)
		}
		if p.Blocks < 1000 || p.StaleBlocks == 0 || p.Notices < p.Share.High || p.Spacing == nil || p.HashesPerFind == nil {
			t.Errorf("%s: %+v", p.Name, p)
		}
		for _, want := range []string{p.Name, percents(p.Share)} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the table has no %q:\n%s", want, text.String())
			}
		}
	}

	for name, c := range map[string]struct {
		blocks int
		change func(run *record.Run)
		want   string
	}{
		"too few blocks": {5000, func(*record.Run) {}, "runs/one: not enough data: "},
		"other delays": {1000, func(run *record.Run) {
			for i := range run.Blocks {
				for j := range run.Blocks[i].ArrivalS {
					b := &run.Blocks[i]
					b.ArrivalS[j] = b.FoundS + 3*(b.ArrivalS[j]-b.FoundS)
				}
			}
		}, "runs/one: the prediction of "},
		"a sleeping miner": {1000, func(run *record.Run) {
			for i := range run.Blocks { // half of each gap is as long as the others
				run.Blocks[i].FoundS = run.Blocks[i].FoundS/2 + run.Blocks[len(run.Blocks)-1].FoundS*float64(i)/float64(2*len(run.Blocks))
			}
		}, "runs/one: the times between finds are not exponentially distributed"},
		"a machine that is too slow": {1000, func(run *record.Run) {
			run.Manifest.End.WorstLag = 0.3
			for i := range run.Blocks {
				run.Blocks[i].FoundS = run.Blocks[i].FoundS/2 + run.Blocks[len(run.Blocks)-1].FoundS*float64(i)/float64(2*len(run.Blocks))
			}
		}, "the machine did not keep up"},
		"lucky nonces": {1000, func(run *record.Run) {
			for i := range run.Blocks {
				run.Blocks[i].Hashes = min(run.Blocks[i].Hashes, 1.5*run.Blocks[i].DifficultyHashes)
			}
		}, "runs/one: the hashes per find are not exponentially distributed"},
		"nothing known of arrivals": {1000, func(run *record.Run) {
			for i := range run.Blocks {
				for j := range run.Blocks[i].ArrivalS {
					run.Blocks[i].ArrivalS[j] = math.NaN()
				}
			}
		}, "runs/one: there is no prediction"},
		"no blocks": {1000, func(run *record.Run) { run.Blocks = nil }, "runs/one: the times between finds cannot be tested"},
	} {
		runs := racedRuns(t)
		c.change(runs[1])
		r := staleRates(runs, c.blocks)
		if r.OK || !strings.Contains(strings.Join(r.Problems, "\n"), c.want) {
			t.Errorf("%s: OK %v, problems:\n%s\nwant %q", name, r.OK, strings.Join(r.Problems, "\n"), c.want)
		}
		for _, p := range r.Problems {
			if strings.HasPrefix(p, "runs/two") && c.blocks == 1000 {
				t.Errorf("%s: %s", name, p)
			}
		}
	}
}
