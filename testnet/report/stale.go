package report

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// StaleReport holds the stale rates of several runs against their predictions, together.
type StaleReport struct {
	Schema int  `json:"schema"`
	OK     bool `json:"ok"` // enough blocks, all predictions inside, no test failed

	JointConfidence float64      `json:"joint_confidence"`   // that all shares are in their intervals
	Each            float64      `json:"confidence_of_each"` // of one of them
	Level           float64      `json:"level_of_each_test"` // below which p a Kolmogorov–Smirnov test fails
	BlocksNeeded    int          `json:"blocks_needed"`      // of each run
	Method          string       `json:"method"`             // of the intervals and tests
	Points          []StalePoint `json:"points"`             // in the order in which they were given
	Problems        []string     `json:"problems,omitempty"` // why it is not OK, a sentence each
	Notes           []string     `json:"notes,omitempty"`    // on the runs, a sentence each
}

// StalePoint is one run of it. Blocks are those that nothing disturbed.
type StalePoint struct {
	Dir       string        `json:"dir"`
	Name      string        `json:"name"`
	Status    record.Status `json:"status"`
	IntervalS float64       `json:"interval_s"`

	Blocks         int             `json:"blocks"`
	StaleBlocks    int             `json:"stale_blocks"`
	Share          record.Interval `json:"share"` // a side of the joint region
	Predicted      float64         `json:"predicted"`
	PredictedError float64         `json:"predicted_standard_error"`
	Prediction     string          `json:"prediction,omitempty"` // its method; "": there is none
	Inside         bool            `json:"predicted_inside"`     // of Share
	// Notices is the share that so many blocks would have told from the predicted one, in
	// 80 % of cases.
	Notices float64 `json:"would_notice"`

	effective float64 // blocks, less what the error of the prediction takes

	Spacing       *record.Fit `json:"spacing,omitempty"`
	HashesPerFind *record.Fit `json:"hashes_per_find,omitempty"`
	LagShare      float64     `json:"lag_share"`
}

// StaleRun is what StaleRates looks at of a run. The run itself, up to gigabytes of
// payments and samples, need not stay in memory for it.
type StaleRun struct {
	Dir       string
	Name      string
	Status    record.Status
	IntervalS float64
	Summary   *record.Summary // Summarize's
}

// NewStaleRun takes it from a run and its summary.
func NewStaleRun(run *record.Run, s *record.Summary) StaleRun {
	m := &run.Manifest
	return StaleRun{Dir: run.Dir, Name: m.Name, Status: m.Status, IntervalS: m.Network.SpacingS, Summary: s}
}

// StaleRates judges runs together: their intervals form a joint region of about 95 %, and all
// their tests together fail by chance in about 5 % of cases at most. So a set of runs that is as
// theory says is not OK by chance in about 10 % of cases. The region does not hold strictly:
// blocks that hang together make the variance of a share up to 1.1 times that of its interval,
// and the prediction is a little low, since its miners go over to a block at once. Each run needs so many blocks that nothing disturbed. The runs must be independent of each other; tests of one run are not, for its
// times and its hashes are of the same finds, so that theirs is Bonferroni's level.
func StaleRates(runs []StaleRun, blocks int) *StaleReport {
	r := &StaleReport{
		Schema: record.Schema, JointConfidence: stats.Confidence, Each: stats.Sidak(stats.Confidence, len(runs)),
		BlocksNeeded: blocks, OK: true,
	}
	tests := 0
	for i := range runs {
		run := &runs[i]
		p := r.point(run)
		for _, fit := range []*record.Fit{p.Spacing, p.HashesPerFind} {
			if fit != nil {
				tests++
			}
		}
		r.Points = append(r.Points, p)
		if run.Status != record.Complete {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: the run is %s; figures are of what there is.", run.Dir, run.Status))
		}
	}
	const chance = 1 - stats.Confidence
	r.Level = chance / float64(max(tests, 1))
	r.Method = fmt.Sprintf("Wilson intervals at %.4g %% each, a joint region of about %.4g %% for %s (Šidák), with the error of the prediction's simulation, not of the delays it is made from, nor its bias: it is a little low, for its miners go over to a block at once; Kolmogorov–Smirnov tests fail below p = %.2g each, by chance in about %.2g %% of all %d together at most (Bonferroni); region and tests together by chance in about %.2g %%",
		100*r.Each, 100*r.JointConfidence, count(len(runs), "point"), r.Level, 100*chance, tests, 100*2*chance)
	for i := range r.Points {
		r.judge(&r.Points[i])
	}
	return r
}

// point is a run's figures.
func (r *StaleReport) point(run *StaleRun) StalePoint {
	s := run.Summary
	p := StalePoint{Dir: run.Dir, Name: run.Name, Status: run.Status, IntervalS: run.IntervalS, LagShare: s.LagShare, HashesPerFind: s.Nonces}
	p.Share = record.Interval{Value: math.NaN(), Low: 0, High: 1}
	if s.Spacing != nil {
		p.Spacing = &s.Spacing.Fit
	}
	if rate := s.StaleRate; rate != nil {
		p.take(rate, r.Each)
	}
	return p
}

// take holds a stale rate against its prediction, at another confidence than its own.
func (p *StalePoint) take(rate *record.StaleRate, confidence float64) {
	p.Blocks = rate.ComparedBlocks
	if p.Blocks == 0 {
		return
	}
	p.StaleBlocks = int(math.Round(rate.Compared.Value * float64(p.Blocks)))
	p.Predicted, p.PredictedError, p.Prediction = rate.Predicted, rate.PredictedError, rate.Method
	p.Share, p.effective = against(rate, confidence)
	p.Inside = inside(&record.StaleRate{Method: rate.Method, Predicted: rate.Predicted, Compared: p.Share})
	p.Notices = noticed(p.Predicted, p.effective)
}

// against is the measured share with an interval that a prediction is held against, and how
// many blocks that know nothing of each other would have one as wide. The prediction is an
// estimate, too: the error of its simulation is taken in.
func against(rate *record.StaleRate, confidence float64) (share record.Interval, n float64) {
	n = float64(rate.ComparedBlocks)
	if variance := rate.Predicted * (1 - rate.Predicted); variance > 0 {
		n = variance / (variance/n + rate.PredictedError*rate.PredictedError)
	}
	share.Value = rate.Compared.Value
	share.Low, share.High = stats.WilsonAt(share.Value*n, n, confidence)
	return share, n
}

// inside is whether there is a prediction, and it is in the interval of against.
func inside(r *record.StaleRate) bool {
	return r.Method != "" && r.Predicted >= r.Compared.Low && r.Predicted <= r.Compared.High
}

// noticed is the least share above p that n observations tell from it in 80 % of cases.
func noticed(p, n float64) float64 {
	low, high := p, 1.0
	for range 50 {
		if middle := (low + high) / 2; float64(stats.SampleSize(p, middle)) > n || middle == p {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// judge says what is wrong with a point.
func (r *StaleReport) judge(p *StalePoint) {
	problem := func(format string, args ...any) {
		r.OK = false
		r.Problems = append(r.Problems, fmt.Sprintf("%s: ", p.Dir)+fmt.Sprintf(format, args...))
	}
	if lack := r.BlocksNeeded - p.Blocks; lack > 0 {
		problem("not enough data: %s that nothing disturbed, and it takes %d: another %s at a block every %.3g s.",
			count(p.Blocks, "block"), r.BlocksNeeded, time.Duration(float64(lack)*p.IntervalS*float64(time.Second)).Round(time.Second), p.IntervalS)
	}
	switch {
	case p.Prediction == "":
		problem("there is no prediction to hold the stale rate against.")
	case !p.Inside:
		problem("the prediction of %s is outside of the measured %s.", percent(p.Predicted), percents(p.Share))
	}
	for _, test := range []struct {
		of  string
		fit *record.Fit
	}{{"times between finds", p.Spacing}, {"hashes per find", p.HashesPerFind}} {
		switch {
		case test.fit == nil:
			problem("the %s cannot be tested: there are too few, or they are not known.", test.of)
		case test.fit.P < r.Level:
			why := ""
			if p.LagShare > mostLag {
				why = fmt.Sprintf("; the machine did not keep up, so that its hash rate was not steady: %s of the worst miner's hashes were not done", percent(p.LagShare))
			}
			problem("the %s are not exponentially distributed: D = %.3f over %d, p = %.2g, which is below %.2g%s.", test.of, test.fit.D, test.fit.Count, test.fit.P, r.Level, why)
		}
	}
}

// Print writes it for people.
func (r *StaleReport) Print(w io.Writer) {
	fmt.Fprintf(w, "%-22s %9s %7s %6s  %-24s %-17s %-7s %-12s %-12s %6s\n",
		"run", "interval", "blocks", "stale", "share [joint 95 %]", "predicted", "inside", "spacing p", "hashes p", "lag")
	for _, p := range r.Points {
		inside := "yes"
		if !p.Inside {
			inside = "NO"
		}
		predicted := "none"
		if p.Prediction != "" {
			predicted = fmt.Sprintf("%.2f ± %.2f %%", 100*p.Predicted, 100*p.PredictedError)
		}
		fmt.Fprintf(w, "%-22s %7.3g s %7d %6d  %-24s %-17s %-7s %-12s %-12s %4.1f %%\n", p.Name, p.IntervalS, p.Blocks, p.StaleBlocks,
			percents(p.Share), predicted, inside, chance(p.Spacing), chance(p.HashesPerFind), 100*p.LagShare)
	}
	fmt.Fprintln(w)
	for _, p := range r.Points {
		if p.Prediction != "" {
			fmt.Fprintf(w, "%s: so many blocks would have told a share of %s from the predicted %s.\n", p.Name, percent(p.Notices), percent(p.Predicted))
		}
	}
	fmt.Fprintf(w, "%s.\n", r.Method)
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.OK {
		fmt.Fprintln(w, "All points are inside of their joint region, and all tests pass.")
	}
}

func percents(i record.Interval) string {
	if math.IsNaN(i.Value) {
		return "–"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f] %%", 100*i.Value, 100*i.Low, 100*i.High)
}

// chance is the p of a test.
func chance(f *record.Fit) string {
	if f == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", f.P)
}
