package stats

import (
	"math"
	"math/rand/v2"
)

// SelfishShare is the share of the best chain's blocks that a selfish pool with share
// alpha of the hash rate earns, where gamma is the part of the honest hash rate that mines
// on the pool's branch while two compete (Eyal and Sirer 2014, "Majority is not enough:
// Bitcoin mining is vulnerable", equation 8). With half of the hash rate or more it is all.
// NaN for what are no shares.
func SelfishShare(alpha, gamma float64) float64 {
	if !(alpha >= 0 && alpha <= 1 && gamma >= 0 && gamma <= 1) {
		return math.NaN()
	}
	if alpha >= 0.5 {
		return 1
	}
	beta := 1 - alpha
	return (alpha*beta*beta*(4*alpha+gamma*(1-2*alpha)) - alpha*alpha*alpha) / (1 - alpha*(1+(2-alpha)*alpha))
}

// SelfishThreshold is the share of the hash rate from which on selfish mining pays more
// than honest mining: (1−γ)/(3−2γ) (Eyal and Sirer 2014, observation 1).
func SelfishThreshold(gamma float64) float64 {
	if !(gamma >= 0 && gamma <= 1) {
		return math.NaN()
	}
	return (1 - gamma) / (3 - 2*gamma)
}

// SelfishRun is what became of the blocks of a simulated selfish pool.
type SelfishRun struct {
	Own, Honest int     // on the best chain
	Share       float64 // Own / (Own + Honest)
	StdErr      float64 // of Share, by batches
	Ties        int     // races of two branches of equal length
	TiesOwn     int     // of these: decided by the pool's next block
	TiesWon     int     // of these: decided by an honest block on the pool's branch
}

// SimulateSelfish mines so many blocks as algorithm 1 of Eyal and Sirer 2014 has it, with
// links that take no time. A pool with half of the hash rate or more may never publish
// what it holds; its secret blocks count as its own at the end. NaN in Share where no
// block was mined, or for what are no shares.
func SimulateSelfish(alpha, gamma float64, blocks int, random *rand.Rand) (run SelfishRun) {
	run.Share, run.StdErr = math.NaN(), math.NaN()
	if !(alpha >= 0 && alpha <= 1 && gamma >= 0 && gamma <= 1) {
		return run
	}
	var own, honest []float64 // by batch
	lead := 0                 // of the secret branch
	tie := false              // two public branches of length 1
	var ownNow, honestNow int
	for i := range blocks {
		mine := random.Float64() < alpha
		switch {
		case tie && mine: // the pool's second block decides
			run.Ties, run.TiesOwn = run.Ties+1, run.TiesOwn+1
			ownNow, tie = ownNow+2, false
		case tie && random.Float64() < gamma: // an honest block on the pool's
			run.Ties, run.TiesWon = run.Ties+1, run.TiesWon+1
			ownNow, honestNow, tie = ownNow+1, honestNow+1, false
		case tie:
			run.Ties++
			honestNow, tie = honestNow+2, false
		case mine:
			lead++
		case lead == 0:
			honestNow++
		case lead == 1: // the pool publishes its block against the honest one
			lead, tie = 0, true
		case lead == 2: // the pool publishes both, and all go over
			ownNow, lead = ownNow+2, 0
		default: // its first secret block comes out, and its branch stays ahead
			ownNow, lead = ownNow+1, lead-1
		}
		if i == blocks-1 {
			ownNow += lead
		}
		if (i+1)*batches/blocks > i*batches/blocks {
			own, honest = append(own, float64(ownNow)), append(honest, float64(honestNow))
			run.Own, run.Honest = run.Own+ownNow, run.Honest+honestNow
			ownNow, honestNow = 0, 0
		}
	}
	run.Share, run.StdErr = batchRatio(own, honest)
	return run
}
