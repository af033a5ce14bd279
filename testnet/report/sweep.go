package report

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// Sweep is runs that differ in block interval and size alone.
type Sweep struct {
	Version    string // of Kapok
	Points     []SweepPoint
	Attackers  []float64 // shares of the hash rate that attackers have
	HashesPerS float64   // that the energy of a larger network is worked out for
	Model      energy.Model
	Incomplete string // why some of what was asked for is not there; "" where all is
}

// SweepPoint is the runs of one interval and size.
type SweepPoint struct {
	IntervalS float64
	MaxWeight int
	Replicas  int           // that were asked for
	Runs      []*record.Run // that are complete
}

// sweepConfirmations are the confirmations that risks are worked out for.
var sweepConfirmations = []int{1, 2, 3, 6}

// acceptedRisk is the chance of a double spend that Nakamoto's second table asks for.
const acceptedRisk = 0.001

// Tradeoffs is what a sweep shows, and tradeoffs.json.
type Tradeoffs struct {
	Schema       int      `json:"schema"`
	KapokVersion string   `json:"kapok_version"`
	Complete     bool     `json:"complete"`
	Missing      []string `json:"not_enough_data,omitempty"` // a sentence each
	Meaning      string   `json:"meaning"`

	Machine record.Machine    `json:"machine"`
	Nodes   int               `json:"nodes"`
	Method  map[string]string `json:"method"` // by figure
	Points  []Tradeoff        `json:"points"` // by size, then interval
}

// Tradeoff is one point: all of its replicas together.
type Tradeoff struct {
	IntervalS float64  `json:"interval_s"`
	MaxWeight int      `json:"max_weight_units"`
	Replicas  int      `json:"replicas"` // that are complete
	Wanted    int      `json:"replicas_wanted"`
	Runs      []string `json:"runs"` // directories

	MeasuredS      float64 `json:"measured_s"`
	Blocks         int     `json:"blocks"`           // of the best chains
	ChainIntervalS float64 `json:"chain_interval_s"` // measured, between blocks of the best chain
	HashesPerS     float64 `json:"hashes_per_s"`
	LagShare       float64 `json:"lag_share"` // of the worst miner in the worst replica
	PaymentsPerS   float64 `json:"confirmed_payments_per_s"`

	Confirmed1 *SweepDelay `json:"confirmed_1,omitempty"`
	Confirmed6 *SweepDelay `json:"confirmed_6,omitempty"`
	Stale      *SweepStale `json:"stale,omitempty"`
	Risks      []SweepRisk `json:"double_spend"`
	Safe       []SweepSafe `json:"below_one_in_a_thousand"`
	Energy     SweepEnergy `json:"energy"`
}

// SweepDelay is the median delay of payments, from when they were due until the last node
// had so many confirmations. Payments that never got there count as the longest.
type SweepDelay struct {
	Payments  int             `json:"payments"`
	Never     int             `json:"payments_that_never_got_there"`
	Blocks    int             `json:"blocks"` // that these were in: what the interval rests on
	P50S      record.Interval `json:"p50_s"`
	P50       record.Interval `json:"p50_block_intervals"`
	ByReplica []*float64      `json:"p50_s_by_replica"` // nil: most never got there
}

// SweepStale is the share of stale blocks, and its prediction.
type SweepStale struct {
	Blocks         int             `json:"blocks"`
	StaleBlocks    int             `json:"stale_blocks"`
	Share          record.Interval `json:"share"` // a side of the joint 95 % region of all points
	Predicted      float64         `json:"predicted"`
	PredictedError float64         `json:"predicted_standard_error"`
	Inside         bool            `json:"predicted_inside"`
	ByReplica      []float64       `json:"share_by_replica"`
}

// SweepRisk is the chance of a double spend of an attacker with a share of the hash rate.
type SweepRisk struct {
	Attacker      float64 `json:"attacker_share"`
	Confirmations int     `json:"confirmations"`
	Race          float64 `json:"exact_race"`
	Nakamoto      float64 `json:"nakamoto_2008"`
	// RaceStale is the exact race where the honest miners' stale blocks are lost to them,
	// and the attacker loses none; nil where the stale rate is not known.
	RaceStale *float64 `json:"exact_race_with_stale_blocks,omitempty"`
}

// SweepSafe is how long to wait until the chance is below 0.1 %.
type SweepSafe struct {
	Attacker  float64 `json:"attacker_share"`
	Nakamoto  int     `json:"nakamoto_2008"`
	Race      int     `json:"exact_race"`
	RaceStale int     `json:"exact_race_with_stale_blocks,omitempty"` // -1: no number is enough
	WaitS     float64 `json:"wait_s"`                                 // on the measured chain, by RaceStale if it is there
}

// SweepEnergy is joules for a payment that was confirmed.
type SweepEnergy struct {
	Method    string       `json:"method"`
	Measured  bool         `json:"measured"` // else modelled
	Joules    *float64     `json:"joules_per_payment,omitempty"`
	ByReplica []*float64   `json:"joules_per_payment_by_replica,omitempty"` // nil: none was confirmed
	Elsewhere []EnergyCost `json:"on_other_hardware,omitempty"`             // what the same payments would cost
}

// EnergyCost is the energy of mining at some hash rate, shared by as many payments a
// second as were confirmed.
type EnergyCost struct {
	HashesPerS float64 `json:"hashes_per_s"`
	Assumed    bool    `json:"assumed"` // not the measured hash rate
	Model      string  `json:"model"`
	Source     string  `json:"source"`
	Joules     float64 `json:"joules_per_payment"`
}

// best is the stale share to go on with: the predicted one, which is the more exact, as
// long as what was measured does not speak against it.
func (s *SweepStale) best() float64 {
	if s.Inside {
		return s.Predicted
	}
	return s.Share.Value
}

// TradeoffsOf makes sense of a sweep.
func TradeoffsOf(s Sweep, rng *rand.Rand) *Tradeoffs {
	t := &Tradeoffs{Schema: record.Schema, KapokVersion: s.Version, Complete: s.Incomplete == "", Method: sweepMethods(s)}
	if s.Incomplete != "" {
		t.Missing = append(t.Missing, s.Incomplete)
	}
	confidence := stats.Sidak(stats.Confidence, len(s.Points))
	for _, p := range s.Points {
		t.Points = append(t.Points, t.point(s, p, confidence, rng))
		for _, run := range p.Runs {
			t.Machine, t.Nodes = run.Manifest.Machine, len(run.Manifest.Nodes)
		}
	}
	t.Meaning = t.meaning(s)
	return t
}

// point is one point of the sweep.
func (t *Tradeoffs) point(s Sweep, p SweepPoint, confidence float64, rng *rand.Rand) Tradeoff {
	o := Tradeoff{IntervalS: p.IntervalS, MaxWeight: p.MaxWeight, Replicas: len(p.Runs), Wanted: p.Replicas, Runs: []string{}}
	if o.Replicas < o.Wanted {
		t.missing(&o, "%d of %d replicas are there.", o.Replicas, o.Wanted)
	}
	if o.Replicas == 0 {
		o.ChainIntervalS = p.IntervalS
		o.risks(s.Attackers)
		return o
	}
	var summaries []*record.Summary
	hashes, confirmed := 0.0, 0
	for _, run := range p.Runs {
		r := Summarize(run, rng)
		summaries = append(summaries, r)
		o.Runs = append(o.Runs, run.Dir)
		o.MeasuredS += r.MeasuredS
		o.Blocks += r.Blocks
		o.LagShare = max(o.LagShare, r.LagShare)
		hashes += r.HashesPerS * r.MeasuredS
		confirmed += r.Energy.Payments
	}
	if o.LagShare > mostLag {
		t.missing(&o, "the machine did not keep up: %s of the worst miner's hashes were not done, so that figures are of a slower network.", percent(o.LagShare))
	}
	if o.MeasuredS > 0 {
		o.HashesPerS, o.PaymentsPerS = hashes/o.MeasuredS, float64(confirmed)/o.MeasuredS
	}
	o.ChainIntervalS = p.IntervalS
	if o.Blocks > 0 {
		o.ChainIntervalS = o.MeasuredS / float64(o.Blocks)
	}
	o.Confirmed1 = t.delay(&o, p.Runs, 1, rng)
	o.Confirmed6 = t.delay(&o, p.Runs, 6, rng)
	o.Stale = t.stale(&o, summaries, confidence)
	o.risks(s.Attackers)
	o.energy(s, summaries)
	return o
}

// delay is the median delay over all replicas. Their blocks are clusters that follow each
// other, as many in a row hanging together as there are confirmations.
func (t *Tradeoffs) delay(o *Tradeoff, runs []*record.Run, confirmations int, rng *rand.Rand) *SweepDelay {
	sample := delaySample{stage: confirmed(confirmations)}
	d := &SweepDelay{ByReplica: []*float64{}}
	for _, run := range runs {
		var median *float64
		if m := finiteOrNaN(stats.Quantile(sample.add(run, paid(run, measured(run))), 0.5)); !math.IsNaN(m) {
			median = &m
		}
		d.ByReplica = append(d.ByReplica, median)
	}
	if len(sample.values) == 0 {
		t.missing(o, "no payment was due in the measured time, so that there is no delay to %s.", count(confirmations, "confirmation"))
		return nil
	}
	d.Payments, d.Never, d.Blocks, d.P50S = len(sample.values), sample.never, sample.blocks, sample.median(rng)
	if math.IsNaN(d.P50S.Value) {
		t.missing(o, "half of the payments or more never had %s: they come faster than blocks of this size take them.", count(confirmations, "confirmation"))
	} else if math.IsNaN(d.P50S.Low) {
		t.missing(o, "payments are in too few blocks, or in such as hang together, for an interval of the median delay to %s: %s.",
			count(confirmations, "confirmation"), sample.stage.tooFew(d.Blocks))
	}
	d.P50 = inIntervals(d.P50S, o.IntervalS)
	return d
}

// stale is the stale rate over all replicas, and the mean of their predictions.
func (t *Tradeoffs) stale(o *Tradeoff, summaries []*record.Summary, confidence float64) *SweepStale {
	pooled := &record.StaleRate{}
	d := &SweepStale{ByReplica: []float64{}}
	variance := 0.0
	for _, s := range summaries {
		r := s.StaleRate
		if r == nil || r.Method == "" {
			continue
		}
		n := float64(r.ComparedBlocks)
		pooled.Method = r.Method
		pooled.ComparedBlocks += r.ComparedBlocks
		pooled.Compared.Value += n * r.Compared.Value
		pooled.Predicted += n * r.Predicted
		variance += n * n * r.PredictedError * r.PredictedError
		d.ByReplica = append(d.ByReplica, r.Compared.Value)
	}
	n := float64(pooled.ComparedBlocks)
	if n == 0 {
		t.missing(o, "there are too few blocks, or no delays between miners, for a stale rate and its prediction.")
		return nil
	}
	pooled.Compared.Value /= n
	pooled.Predicted /= n
	pooled.PredictedError = math.Sqrt(variance) / n
	var p StalePoint
	p.take(pooled, confidence)
	d.Blocks, d.StaleBlocks, d.Share = p.Blocks, p.StaleBlocks, p.Share
	d.Predicted, d.PredictedError, d.Inside = p.Predicted, p.PredictedError, p.Inside
	where := "below " + percent(d.Share.High)
	if d.StaleBlocks > 0 {
		where = fmt.Sprintf("between %s and %s", percent(d.Share.Low), percent(d.Share.High))
	}
	switch need := stats.SampleSizeWithin(d.Predicted, d.Predicted/2); {
	case d.Predicted == 0:
		t.missing(o, "no block is predicted to go stale, and of %s %d did: that says of the stale rate only that it is %s.", count(p.Blocks, "block"), d.StaleBlocks, where)
	case p.effective < float64(need):
		t.missing(o, "%s, worth %.0f with the error of the prediction, and about %d are needed until the stale rate is known within half of itself.", count(p.Blocks, "block"), p.effective, need)
	}
	return d
}

// risks are what an attacker's chances are, by theory.
func (o *Tradeoff) risks(attackers []float64) {
	for _, q := range attackers {
		faster := math.NaN()
		if o.Stale != nil {
			faster = stats.EffectiveAttacker(q, o.Stale.best())
		}
		for _, z := range sweepConfirmations {
			r := SweepRisk{Attacker: q, Confirmations: z, Race: stats.DoubleSpendRace(q, z), Nakamoto: stats.Nakamoto(q, z)}
			if o.Stale != nil {
				chance := stats.DoubleSpendRace(faster, z)
				r.RaceStale = &chance
			}
			o.Risks = append(o.Risks, r)
		}
		safe := SweepSafe{Attacker: q, Nakamoto: stats.NakamotoZ(q, acceptedRisk), Race: stats.DoubleSpendRaceZ(q, acceptedRisk)}
		wait := safe.Race
		if o.Stale != nil {
			safe.RaceStale = stats.DoubleSpendRaceZ(faster, acceptedRisk)
			wait = safe.RaceStale
		}
		if wait > 0 {
			safe.WaitS = float64(wait) * o.ChainIntervalS
		}
		o.Safe = append(o.Safe, safe)
	}
}

// energy is what a payment costs, here and elsewhere. A replica in which none was confirmed
// took its energy, too.
func (o *Tradeoff) energy(s Sweep, summaries []*record.Summary) {
	joules, confirmed := 0.0, 0
	for _, r := range summaries {
		var each *float64
		if r.Energy.Method != "" {
			joules, confirmed = joules+r.Energy.Joules, confirmed+r.Energy.Payments
			o.Energy.Method, o.Energy.Measured = r.Energy.Method, r.Energy.Measured
			if n := r.Energy.Payments; n > 0 {
				x := r.Energy.Joules / float64(n)
				each = &x
			}
		}
		o.Energy.ByReplica = append(o.Energy.ByReplica, each)
	}
	if confirmed > 0 {
		each := joules / float64(confirmed)
		o.Energy.Joules = &each
	}
	if !(o.PaymentsPerS > 0) {
		return
	}
	cost := func(hashes float64, assumed bool, m energy.Model) {
		o.Energy.Elsewhere = append(o.Energy.Elsewhere, EnergyCost{HashesPerS: hashes, Assumed: assumed, Model: m.Name, Source: m.Source, Joules: m.ByHashes(hashes) / o.PaymentsPerS})
	}
	for _, m := range []energy.Model{energy.ServerCPU(), energy.ASICFleet()} {
		cost(o.HashesPerS, false, m)
	}
	cost(s.HashesPerS, true, s.Model)
}

func finiteOrNaN(x float64) float64 {
	if math.IsInf(x, 0) {
		return math.NaN()
	}
	return x
}
