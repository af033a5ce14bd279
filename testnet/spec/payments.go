package spec

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
)

// Limits of a load.
const (
	maxRate        = 200     // payments a second; a node judges some thousand of them, fifty share two cores
	maxCoins       = 200_000 // that are prepared; 100 blocks of them
	maxWallets     = 50
	defaultWallets = 4
	maxSteps       = 1000 // of a curve
	maxPrelude     = 2000 // blocks, 1,000 of them until coins mature
	// minFeeRate is what nodes relay at least (mempool.Config.MinRelayFee).
	minFeeRate = 1.0    // units per virtual byte
	maxFeeRate = 1000.0 // of which a payment takes a tenth of its coin
	// minCoin is the least that a prepared coin may be worth: the dearest payment
	// takes a quarter of it.
	minCoin = 1_000_000 // units

	spareCoins  = 10   // of each wallet, beyond what it is expected to spend
	spareSigmas = 4    // of chance, for the number of payments and for the time that blocks take
	slowChain   = 1.25 // how much longer than they should blocks may take, all in all

	minMaxWeight = 8000 // weight units: room for a fan-out of some coins
)

// How the prelude makes coins: each block, once the first reward has matured, splits a
// reward into CoinsPerFan of them at most, by as many fan-outs as it takes. The coins are
// worth a two-thousandth of 50 KPK then, which pays for any fee.
const (
	CoinsPerFan = 2000
	maxFanOut   = 800 // coins of one fan-out: what a wallet makes at most

	// Weight units of a fan-out, rounded up: an output, and the rest.
	fanOutputWeight = 43 * consensus.WitnessScale
	fanBaseWeight   = 1000
)

// FanOut is how many coins one fan-out makes at most, so that a block has room for it.
func FanOut(p *consensus.Params) int {
	return min(maxFanOut, max(1, (miner.Room(p)-fanBaseWeight)/fanOutputWeight))
}

// preludeOf is how many blocks it takes until so many coins are made: fan-outs go into
// blocks in order, as many as fit.
func preludeOf(p *consensus.Params, coins int) uint32 {
	blocks, waiting := p.Maturity, []int(nil)
	for coins > 0 || len(waiting) > 0 {
		blocks++
		split := min(CoinsPerFan, coins)
		for coins -= split; split > 0; {
			n := min(FanOut(p), split)
			waiting, split = append(waiting, n), split-n
		}
		for room := miner.Room(p); len(waiting) > 0; waiting = waiting[1:] {
			if room -= fanBaseWeight + waiting[0]*fanOutputWeight; room < 0 {
				break
			}
		}
	}
	return blocks
}

// paymentsTable is the load.
type paymentsTable struct {
	t     *table
	there bool
	load  Payments
	file  string // of the curve
}

func readPayments(t *table, there bool) paymentsTable {
	p := paymentsTable{t: t, there: there}
	p.load = Payments{
		Rate:    t.number("rate", 0, 0, maxRate, "payments a second"),
		Regular: t.flag("regular"),
		Wallets: int(t.whole("wallets", defaultWallets, 1, maxWallets)),
	}
	if _, ok := t.values["curve"].(string); ok {
		p.file = t.text("curve", "", maxPath)
	} else {
		p.load.Curve = readCurve(t)
	}
	p.load.Fees = readFees(t.table("fees", "[payments] fees"))
	t.done()
	switch {
	case t.has("curve") && t.has("rate"):
		t.wrong("curve", t.values["curve"], "either curve or rate")
	case there && !t.has("curve") && !t.has("rate"):
		t.missing("rate", "payments a second, or a curve of them")
	}
	return p
}

// readCurve reads steps such as { from = "1m", rate = 5.0 }.
func readCurve(t *table) []CurveStep {
	var steps []CurveStep
	for _, step := range t.tables("curve", "[payments] curve", maxSteps) {
		s := CurveStep{From: step.duration("from", 0, 0, maxDuration), Rate: step.number("rate", 0, 0, maxRate, "payments a second")}
		for _, key := range []string{"from", "rate"} {
			if !step.has(key) {
				step.missing(key, `steps such as { from = "1m", rate = 5.0 }`)
			}
		}
		step.done()
		if problem := follows(steps, s); problem != "" {
			step.wrong("from", short(s.From), "%s", problem)
			return nil
		}
		steps = append(steps, s)
	}
	if v, ok := t.values["curve"]; ok && steps == nil && len(t.doc.errors) == 0 {
		t.wrong("curve", v, "at least one step")
	}
	return steps
}

// follows says what is wrong with the place of a step.
func follows(steps []CurveStep, s CurveStep) string {
	switch {
	case len(steps) == 0 && s.From != 0:
		return "the first step to begin at 0s"
	case len(steps) > 0 && s.From <= steps[len(steps)-1].From:
		return "steps in the order of time"
	}
	return ""
}

func readFees(t *table) Fees {
	f := Fees{Kind: FeeKind(t.choice("kind", string(Constant), string(Constant), string(Uniform), string(LogNormal)))}
	rate := func(key string, fallback float64) float64 {
		return t.number(key, fallback, minFeeRate, maxFeeRate, "units per virtual byte")
	}
	constant, least, most, median := rate("rate", minFeeRate), rate("min", minFeeRate), rate("max", maxFeeRate), rate("median", 0)
	sigma := t.number("sigma", 0, 0, 5, "a standard deviation of the logarithm")
	t.done()
	why := fmt.Sprintf("with kind = %q", f.Kind)
	t.only(f.Kind == Constant, why, "rate")
	t.only(f.Kind != Constant, why, "min", "max")
	t.only(f.Kind == LogNormal, why, "median", "sigma")
	need := func(keys ...string) {
		for _, key := range keys {
			if !t.has(key) {
				t.missing(key, "a number %s", why)
			}
		}
	}
	switch f.Kind {
	case Constant:
		f.Median = constant
		return f
	case Uniform:
		need("min", "max")
	case LogNormal:
		need("median", "sigma")
		f.Median, f.Sigma = median, sigma
	}
	if f.Min, f.Max = least, most; f.Min > f.Max {
		t.wrong("max", f.Max, "at least min, which is %s", plain(f.Min))
	} else if f.Kind == LogNormal && (f.Median < f.Min || f.Median > f.Max) && t.has("median") {
		t.wrong("median", f.Median, "a median within min %s and max %s", plain(f.Min), plain(f.Max))
	}
	return f
}

// resolve reads the curve's file.
func (p *paymentsTable) resolve(s *Spec) {
	s.Payments = p.load
	if !p.there {
		s.Payments = Payments{}
		return
	}
	if p.file == "" {
		return
	}
	text, err := readBeside(p.t.doc.dir, p.file)
	if err == nil {
		s.Payments.Curve, err = parseCurve(text)
	}
	if err != nil {
		p.t.wrong("curve", p.file, "%v", err)
	}
}

// parseCurve reads rows of seconds and payments a second.
func parseCurve(text []byte) ([]CurveStep, error) {
	rows, err := readCSV(text)
	if err != nil {
		return nil, err
	}
	var steps []CurveStep
	for _, row := range withoutHeader(rows, "from_s", "rate_per_s") {
		at, rate := -1.0, -1.0
		if len(row.fields) == 2 {
			at, rate = parseWithin(row.fields[0], maxDuration.Seconds()), parseWithin(row.fields[1], maxRate)
		}
		if at < 0 || rate < 0 {
			return nil, fmt.Errorf("seconds of 0 to %d and payments a second of 0 to %d in each row, and line %d is %q", int(maxDuration.Seconds()), maxRate, row.line, row.fields)
		}
		step := CurveStep{From: time.Duration(math.Round(at * float64(time.Second))), Rate: rate}
		if problem := follows(steps, step); problem != "" {
			return nil, fmt.Errorf("%s, and line %d is not", problem, row.line)
		}
		if len(steps) == maxSteps {
			return nil, fmt.Errorf("at most %d steps", maxSteps)
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		return nil, errors.New("at least one step")
	}
	return steps, nil
}

// parseWithin is a number of 0 to most, or -1.
func parseWithin(s string, most float64) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n <= most) {
		return -1
	}
	return n
}

// RateAt is how many payments are due in a second, so long after the first.
func (p *Payments) RateAt(since time.Duration) float64 {
	rate := p.Rate
	for _, step := range p.Curve {
		if step.From > since {
			break
		}
		rate = step.Rate
	}
	return rate
}

// Expected is how many payments are due in the first so many seconds, on average.
func (p *Payments) Expected(length time.Duration) float64 {
	if len(p.Curve) == 0 {
		return p.Rate * length.Seconds()
	}
	sum := 0.0
	for i, step := range p.Curve {
		end := length
		if i+1 < len(p.Curve) {
			end = min(end, p.Curve[i+1].From)
		}
		sum += step.Rate * max(0, (end-step.From).Seconds())
	}
	return sum
}

// prepare counts the coins that the load and the double spends need, and the blocks
// before the run in which they are made and mature.
func (p *paymentsTable) prepare(s *Spec, network *table) {
	length := s.longest()
	coins := 0.0
	if expected := s.Payments.Expected(length); expected > 0 {
		wallets := float64(s.Payments.Wallets)
		coins = math.Ceil(expected + spareSigmas*math.Sqrt(expected*wallets) + spareCoins*wallets)
	}
	for i := range s.Events {
		coins += s.Events[i].coins(length, s.SpacingS)
	}
	if coins == 0 {
		s.Payments = Payments{}
		return
	}
	if coins > maxCoins {
		p.t.doc.fail(p.t.line(given(p.t, "curve", "rate")), "[payments] and double spends take up to %.0f coins in %s, each of which is prepared: expected at most %d; lower the rate, or shorten the run",
			coins, short(length.Round(time.Second)), maxCoins)
		return
	}
	if s.Payments.Wallets == 0 { // the attackers' coins are somebody's, too
		s.Payments = Payments{Wallets: 1, Fees: Fees{Kind: Constant, Median: minFeeRate}}
	}
	s.Coins = int(coins)
	s.Prelude = preludeOf(s.Network, s.Coins)
	if s.Prelude > maxPrelude {
		network.wrong("max_weight", s.Network.MaxWeight, "blocks in which %d coins can be made within %d of them: raise it, or lower [payments] rate", s.Coins, maxPrelude)
		return
	}
	if worth := s.Network.Subsidy(s.Prelude) / CoinsPerFan; worth < minCoin {
		network.wrong("halving_interval", s.Network.HalvingInterval, "coins of at least %d units after the %d blocks in which they are made and mature, and each would be worth %d", minCoin, s.Prelude, worth)
	}
}

// longest is how long payments are made for at most: a run of so many blocks takes as
// long as chance wants.
func (s *Spec) longest() time.Duration {
	length := s.Duration.Seconds()
	if s.Blocks > 0 {
		length = (float64(s.Blocks) + spareSigmas*math.Sqrt(float64(s.Blocks))) * s.SpacingS * slowChain
	}
	return s.WarmUp + time.Duration(length*float64(time.Second))
}

// coins is how many coins an event takes: one for each try of a double spend, which
// lasts for as many blocks at least as it takes to win or to give up.
func (e *Event) coins(length time.Duration, spacing float64) float64 {
	if e.Kind != DoubleSpend {
		return 0
	}
	if e.For > 0 {
		length = min(length, e.For)
	}
	fit := math.Ceil(slowChain*length.Seconds()/spacing/min(float64(e.Confirmations+1), float64(e.GiveUp))) + spareCoins
	if e.Tries > 0 {
		return min(fit, float64(e.Tries))
	}
	return fit
}

// CoinsOf is how many of the prepared coins an event takes: those of a double spend.
func (s *Spec) CoinsOf(e *Event) int { return int(e.coins(s.longest(), s.SpacingS)) }
