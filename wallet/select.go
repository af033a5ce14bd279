package wallet

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// Weights of the parts of a transaction that spends and pays P2TR key paths, in
// weight units; the witness of an input is a count, a length and 64 bytes.
const (
	inputWeight   = 41*consensus.WitnessScale + 66
	outputWeight  = 43 * consensus.WitnessScale
	changeSpendVB = (inputWeight + consensus.WitnessScale - 1) / consensus.WitnessScale
)

// Policy, as in Bitcoin Core.
const (
	// Dust is the least output worth making, in units: what it costs to make and
	// spend a P2TR output at 3 units/vB.
	Dust = (43 + 67) * 3
	// MaxTxWeight bounds a transaction that nodes relay, in weight units.
	MaxTxWeight = 400_000
	// MaxFee bounds what one payment may cost, in units: a tenth of a coin.
	MaxFee = consensus.UnitsPerCoin / 10

	// discardRate prices the later spending of change.
	discardRate FeeRate = 3000
	// longTermRate is what spending a coin costs on an ordinary day: below it
	// inputs are cheap, and a payment may as well use more of them.
	longTermRate FeeRate = 10_000
	// changeTarget is the change that a random draw aims at, in units: large
	// enough to be of use.
	changeTarget = 50_000
	// searchSteps bounds branch and bound.
	searchSteps = 100_000
	// maxPool bounds the coins that are looked at, the largest first: many times
	// what fits into one transaction.
	maxPool = 10_000
)

// txWeight is the exact weight of a signed transaction, in weight units.
func txWeight(inputs, outputs int) int {
	const fixed = (4+4)*consensus.WitnessScale + 2 // version, lock time; marker and flag
	counts := countSize(inputs) + countSize(outputs)
	return fixed + counts*consensus.WitnessScale + inputs*inputWeight + outputs*outputWeight
}

// txVSize is the exact size of a signed transaction in virtual bytes.
func txVSize(inputs, outputs int) int {
	return (txWeight(inputs, outputs) + consensus.WitnessScale - 1) / consensus.WitnessScale
}

func countSize(n int) int {
	if n < 0xfd {
		return 1
	}
	return 3
}

// candidate is a coin as selection sees it.
type candidate struct {
	coin      OwnCoin
	effective int64 // value less the fee for spending it
}

// choice is what selection came to: the coins, and what comes back (0: nothing,
// and whatever is over is fee).
type choice struct {
	coins  []OwnCoin
	change int64
}

// selection is the problem: pay amount with outputs outputs, at a rate.
type selection struct {
	rate    FeeRate
	amount  int64 // units of all payments
	outputs int   // without change
	random  *rand.Rand
}

// pool returns the coins that are worth their own fee, the largest first.
func (s *selection) pool(coins []OwnCoin) (pool []candidate, total int64) {
	for _, c := range coins {
		if e := c.Value - s.rate.feeOfWeight(inputWeight); e > 0 {
			pool = append(pool, candidate{c, e})
			total += e
		}
	}
	slices.SortStableFunc(pool, func(a, b candidate) int { return cmp.Compare(b.effective, a.effective) })
	return pool[:min(len(pool), maxPool)], total
}

// maxInputs is how many coins fit beside the outputs and change.
func (s *selection) maxInputs() int {
	const longCount = 2 * consensus.WitnessScale // of more than 252 inputs
	return (MaxTxWeight - txWeight(0, s.outputs+1) - longCount) / inputWeight
}

// choose tries branch and bound, which needs no change, and else a single
// random draw (Bitcoin Core's coinselection.cpp). Nil where the coins do not
// suffice, or not within the weight limit.
func (s *selection) choose(coins []OwnCoin) *choice {
	pool, total := s.pool(coins)
	target := s.target(len(pool))
	if total < target {
		return nil
	}
	if picked := s.branchAndBound(pool, target); picked != nil {
		return s.finish(picked)
	}
	// First a draw whose change is worth having; where there is not enough for
	// that, one that merely pays.
	comfortable := target + s.changeFee() + changeTarget
	for _, t := range []int64{comfortable, target} {
		if picked := s.randomDraw(pool, t); picked != nil {
			return s.finish(picked)
		}
	}
	return nil
}

// target is what the effective values must add up to: the payments, and the fee
// of a transaction before its inputs. A pool that needs a longer count of inputs
// is charged for it.
func (s *selection) target(pool int) int64 {
	base := txWeight(0, s.outputs) + (countSize(pool)-1)*consensus.WitnessScale
	// One unit more than the parts rounded up is the most that rounding the whole
	// up to virtual bytes can cost at 1 unit/vB; at r units/vB it is r.
	return s.amount + s.rate.feeOfWeight(base+consensus.WitnessScale-1)
}

func (s *selection) changeFee() int64 { return s.rate.feeOfWeight(outputWeight) }

// costOfChange is what making and later spending change costs. A selection that
// exceeds the target by no more than this needs no change.
func (s *selection) costOfChange() int64 { return s.changeFee() + discardRate.Fee(changeSpendVB) }

// leastChange is the smallest change worth making.
func leastChange() int64 { return max(Dust, discardRate.Fee(changeSpendVB)+1) }

// finish settles the change of coins that pay the target. With change, the fee
// is exactly the rate's; without, what is over goes to the fee.
func (s *selection) finish(picked []candidate) *choice {
	c := &choice{}
	var in int64
	for _, p := range picked {
		c.coins = append(c.coins, p.coin)
		in += p.coin.Value
	}
	change := in - s.amount - s.rate.Fee(txVSize(len(picked), s.outputs+1))
	if change >= leastChange() && in-s.amount-s.rate.Fee(txVSize(len(picked), s.outputs)) > s.costOfChange() {
		c.change = change
	}
	return c
}

// branchAndBound looks for the set with the least waste among those that exceed
// the target by no more than the cost of change, depth first, larger coins
// first, in at most searchSteps steps (Murch 2016; Core's SelectCoinsBnB).
func (s *selection) branchAndBound(sorted []candidate, target int64) []candidate {
	var (
		upper      = target + s.costOfChange()
		perInput   = s.rate.feeOfWeight(inputWeight) - longTermRate.feeOfWeight(inputWeight) // waste of each input
		maxInputs  = s.maxInputs()
		rest       int64 // effective value of the coins not yet decided on
		sum        int64
		picked     []int // indexes of the coins taken, rising
		best       []int
		leastWaste = int64(math.MaxInt64)
	)
	for _, c := range sorted {
		rest += c.effective
	}
	next := 0
	for range searchSteps {
		waste := int64(len(picked)) * perInput
		back := false
		switch {
		case sum+rest < target, sum > upper, len(picked) > maxInputs:
			back = true
		case perInput > 0 && waste > leastWaste:
			back = true
		case sum >= target:
			if w := waste + sum - target; w <= leastWaste {
				best, leastWaste = slices.Clone(picked), w
			}
			back = true
		}
		if back {
			if len(picked) == 0 {
				break
			}
			last := picked[len(picked)-1]
			for next--; next > last; next-- {
				rest += sorted[next].effective
			}
			// The branch without the last coin taken comes next.
			sum -= sorted[last].effective
			picked = picked[:len(picked)-1]
			next = last + 1
			continue
		}
		c := sorted[next]
		rest -= c.effective
		// A coin like the one just left out gives nothing new.
		taken := len(picked) > 0 && picked[len(picked)-1] == next-1
		if next == 0 || taken || c.effective != sorted[next-1].effective {
			picked = append(picked, next)
			sum += c.effective
		}
		next++
	}
	if best == nil {
		return nil
	}
	out := make([]candidate, len(best))
	for i, n := range best {
		out[i] = sorted[n]
	}
	return out
}

// randomDraw takes coins in random order until they reach the target; nil where
// they cannot within the weight limit, for which the smallest coins drawn give
// way (Core's SelectCoinsSRD).
func (s *selection) randomDraw(pool []candidate, target int64) []candidate {
	maxInputs := s.maxInputs()
	var drawn []candidate
	var sum int64
	for _, i := range s.random.Perm(len(pool)) {
		drawn = append(drawn, pool[i])
		sum += pool[i].effective
		if len(drawn) > maxInputs {
			least := 0
			for k := range drawn {
				if drawn[k].effective < drawn[least].effective {
					least = k
				}
			}
			sum -= drawn[least].effective
			drawn = slices.Delete(drawn, least, least+1)
		}
		if sum >= target {
			return drawn
		}
	}
	return nil
}
