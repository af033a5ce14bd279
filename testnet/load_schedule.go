package testnet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// arrivals is when payments are due: a Poisson process, whose payments do not know of
// each other, or an even spacing; its rate may change with time. Both are the same walk
// along the integral of the rate, in steps that are exponentially distributed or 1
// (Çinlar 1975, section 4.7).
type arrivals struct {
	steps   []spec.CurveStep // by From; no payment before the first
	regular bool
	random  *rand.Rand

	at   float64 // seconds since the start: of the last payment
	step int     // of steps: that at is in
}

// maxSchedule bounds how far ahead a payment can be due, in seconds: a century, where
// durations still count nanoseconds.
const maxSchedule = 100 * 365 * 86_400

func newArrivals(p *spec.Payments, random *rand.Rand) *arrivals {
	a := &arrivals{steps: p.Curve, regular: p.Regular, random: random}
	if len(a.steps) == 0 {
		a.steps = []spec.CurveStep{{Rate: p.Rate}}
	}
	a.at = a.steps[0].From.Seconds()
	return a
}

// next returns when the next payment is due, since the start; false where the rate
// ends at zero and none is.
func (a *arrivals) next() (time.Duration, bool) {
	missing := 1.0 // of the integral
	if !a.regular {
		missing = a.random.ExpFloat64()
	}
	for ; ; a.step++ {
		end := math.Inf(1)
		if a.step+1 < len(a.steps) {
			end = a.steps[a.step+1].From.Seconds()
		}
		rate := a.steps[a.step].Rate
		if rate > 0 && a.at+missing/rate <= min(end, maxSchedule) {
			a.at += missing / rate
			return time.Duration(a.at * float64(time.Second)), true
		}
		if end > maxSchedule {
			a.steps = []spec.CurveStep{{}}
			a.step = 0
			return 0, false
		}
		missing -= rate * max(0, end-a.at)
		a.at = max(a.at, end)
	}
}

// drawFee draws a fee rate. What the wallet would refuse becomes the nearest rate that
// it takes.
func drawFee(f *spec.Fees, random *rand.Rand) wallet.FeeRate {
	var perVB float64
	switch f.Kind {
	case spec.Uniform:
		perVB = f.Min + (f.Max-f.Min)*random.Float64()
	case spec.LogNormal:
		perVB = max(f.Min, f.Median*math.Exp(f.Sigma*random.NormFloat64()))
		if f.Max > 0 {
			perVB = min(f.Max, perVB)
		}
	default:
		perVB = f.Median
	}
	perKVB := min(float64(wallet.MaxFeeRate), max(float64(wallet.MinFeeRate), math.Round(perVB*1000)))
	return wallet.FeeRate(perKVB)
}

// loadOf describes the payments of a run of so many seconds.
func loadOf(p *spec.Payments, seconds float64) record.Load {
	d := record.Load{RatePerS: p.Rate, Arrivals: "open loop, Poisson"}
	if length := time.Duration(seconds * float64(time.Second)); len(p.Curve) > 0 && length > 0 {
		d.RatePerS = p.Expected(length) / seconds
	}
	if p.Regular {
		d.Arrivals = "open loop, evenly spaced"
	}
	switch f := &p.Fees; f.Kind {
	case spec.Uniform:
		d.Fees = fmt.Sprintf("uniform from %g to %g units/vB", f.Min, f.Max)
	case spec.LogNormal:
		d.Fees = fmt.Sprintf("log-normal with median %g units/vB and σ %g", f.Median, f.Sigma)
	default:
		d.Fees = fmt.Sprintf("constant, %g units/vB", float64(drawFee(f, nil))/1000)
	}
	return d
}
