package stats

import (
	"math"
	"math/rand/v2"
)

// Nakamoto is the chance that an attacker with share q of the hash rate, who began when
// the payment was made, ever catches up with a chain that has put z blocks on it, as the
// paper computes it (Nakamoto 2008, "Bitcoin: A Peer-to-Peer Electronic Cash System",
// section 11): the attacker's progress is taken to be Poisson with mean z·q/p, as if z
// blocks always took z times their mean. NaN for what is no share or no count.
func Nakamoto(q float64, z int) float64 {
	if !(q >= 0 && q <= 1) || z < 0 {
		return math.NaN()
	}
	p := 1 - q
	if q >= p || z == 0 {
		return 1
	}
	if q == 0 {
		return 0
	}
	mean, ratio := float64(z)*q/p, math.Log(q/p)
	total := 0.0
	for k := 0; ; k++ {
		weight := float64(k)*math.Log(mean) - mean - logGamma(float64(k)+1)
		behind := max(z-k, 0)
		term := math.Exp(weight + float64(behind)*ratio)
		total += term
		if k > z && float64(k) > mean && term <= total*1e-17 {
			return min(total, 1)
		}
	}
}

// maxNakamotoZ ends the search of NakamotoZ: as many confirmations as no one waits for.
const maxNakamotoZ = 1_000_000

// NakamotoZ is the least number of confirmations that puts Nakamoto's chance below risk
// (section 11, the second table); -1 where none up to a million does.
func NakamotoZ(q, risk float64) int { return leastZ(q, risk, Nakamoto) }

// DoubleSpendRaceZ is the least number of confirmations that puts DoubleSpendRace below
// risk; -1 where none up to a million does.
func DoubleSpendRaceZ(q, risk float64) int { return leastZ(q, risk, DoubleSpendRace) }

// leastZ searches a chance that falls with z.
func leastZ(q, risk float64, chance func(float64, int) float64) int {
	if !(q >= 0 && q < 0.5) || !(risk > 0) {
		return -1
	}
	low, high := -1, 1 // chance(low) >= risk
	for ; chance(q, high) >= risk; high *= 2 {
		if low = high; high > maxNakamotoZ {
			return -1
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; chance(q, middle) < risk {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// DoubleSpendRace is the same chance as Nakamoto's, exactly: the attacker's progress is
// negative binomial, which gives I_{4pq}(z, 1/2) (Grunspan and Pérez-Marco 2018, "Double
// spend races", theorem 4.3). It equals the sum of Rosenfeld 2014 ("Analysis of
// hashrate-based double spending", section 5), where the attacker has one block more and
// needs a longer branch. NaN for what is no share or no count.
func DoubleSpendRace(q float64, z int) float64 {
	if !(q >= 0 && q <= 1) || z < 0 {
		return math.NaN()
	}
	if q >= 0.5 || z == 0 {
		return 1
	}
	return incompleteBeta(4*q*(1-q), float64(z), 0.5)
}

// EffectiveAttacker is the share of the blocks of the race that an attacker finds who has
// share q of the hash rate and loses none of its blocks, where the others lose the share
// stale of theirs to delays: q/(q + (1−q)(1−stale)). Not the honest hash rate is in the
// race but the rate at which the honest chain grows (Sompolinsky and Zohar 2015, "Secure
// high-rate transaction processing in Bitcoin", whose β is (1−q)(1−stale) of all finds).
// The stale share is that of the others alone at their full rate: the attacker comes on top
// of the network that it was measured in. NaN for what are no shares.
func EffectiveAttacker(q, stale float64) float64 {
	if !(q >= 0 && q <= 1 && stale >= 0 && stale < 1) {
		return math.NaN()
	}
	return q / (q + (1-q)*(1-stale))
}

// DoubleSpendGivingUp is the chance that a double spend succeeds against nodes that keep
// to the branch they saw first: the attacker begins a secret branch where the payment is
// made, publishes it once the payment has z confirmations and the branch is longer than
// the public one, and stops where it falls behind blocks back. See Race.Chance. With ever
// more patience this comes near ρ·DoubleSpendRace(q, z) + (1−ρ)·I_q(z+1, z), ρ = q/p: a
// little less than the race, in which a tie is a success.
func DoubleSpendGivingUp(q float64, z, behind int) float64 {
	return Race{Share: q, Confirmations: z, Lead: 1, GiveUp: behind}.Chance()
}

// Race is a double spend as two walks: the honest chain up to the payment's last
// confirmation, then the difference of both until one side has won.
type Race struct {
	Share         float64 // q, of the hash rate, the attacker's
	Confirmations int     // z, that the merchant waits for
	Lead          int     // blocks that the attacker's branch must be ahead at the end: 0 is a tie, 1 a longer branch
	GiveUp        int     // blocks behind at which the attacker stops, at any time; 0: never
}

// maxRaceBlocks bounds the walk that Chance looks at: it takes time with the square of it.
const maxRaceBlocks = 4096

// valid reports whether the race can be run.
func (a Race) valid() bool {
	return a.Share >= 0 && a.Share <= 1 && a.Confirmations >= 0 && a.Confirmations <= maxRaceBlocks &&
		a.Lead >= 0 && a.Lead <= maxRaceBlocks && a.GiveUp >= 0
}

// Chance is the exact probability that the attacker wins. Until the z-th confirmation,
// each block is the attacker's with probability q, and the states (honest blocks, the
// attacker's) are summed up one by one: negative binomial, less the paths that were given
// up on the way. Then it is the gambler's ruin between lead and give-up (Feller 1968, An
// Introduction to Probability Theory, XIV.2). NaN for a race that cannot be, or one of
// more than 4096 confirmations.
func (a Race) Chance() float64 {
	if !a.valid() {
		return math.NaN()
	}
	q, z := a.Share, a.Confirmations
	enough := z + a.Lead // with so many blocks the attacker has won, whatever follows
	// at[m] is the chance to have m blocks when the honest chain has h, and no try given up.
	at := make([]float64, enough+1)
	at[0] = 1
	for h := 0; ; h++ {
		if h == z {
			break
		}
		next := make([]float64, enough+1)
		for m, chance := range at[:enough] {
			at[m+1] += chance * q
			if ahead := h + 1 - m; a.GiveUp == 0 || ahead < a.GiveUp {
				next[m] = chance * (1 - q)
			}
		}
		next[enough] = at[enough]
		at = next
	}
	total := at[enough]
	for m, chance := range at[:enough] {
		total += chance * a.ruin(m-z)
	}
	return min(total, 1)
}

// ruin is the chance to get from a lead, which may be negative, to the one that wins.
func (a Race) ruin(lead int) float64 {
	up := float64(a.Lead - lead)
	ratio := a.Share / (1 - a.Share)
	switch {
	case up <= 0 || ratio >= 1 && a.GiveUp == 0:
		return 1
	case a.GiveUp == 0:
		return math.Pow(ratio, up)
	case lead+a.GiveUp <= 0 || ratio == 0:
		return 0
	}
	down := float64(lead + a.GiveUp)
	switch {
	case ratio == 1:
		return down / (up + down)
	case ratio > 1: // the same, seen from the other side, so that no power overflows
		back := 1 / ratio
		return (1 - math.Pow(back, down)) / (1 - math.Pow(back, up+down))
	}
	return math.Pow(ratio, up) * (1 - math.Pow(ratio, down)) / (1 - math.Pow(ratio, up+down))
}

// hopeless is the chance of still winning below which SimulateRace calls a race lost that
// no one gives up.
const hopeless = 1e-9

// SimulateRace runs a race so many times, block by block, and tells how many were won. A
// race without an end is called lost where the chance is below 1e-9; with half of the hash
// rate or more, where there is no such point, it is called won. -1 for a race that cannot be.
func SimulateRace(a Race, tries int, random *rand.Rand) (won int) {
	if !a.valid() {
		return -1
	}
	lost := a.GiveUp
	if lost == 0 {
		if ratio := a.Share / (1 - a.Share); ratio >= 1 {
			return tries
		} else if ratio > 0 {
			lost = a.Confirmations + int(math.Ceil(math.Log(hopeless)/math.Log(ratio)))
		} else {
			lost = a.Confirmations + 1
		}
	}
	for range tries {
		honest, own := 0, 0
		for honest-own < lost && (honest < a.Confirmations || own-honest < a.Lead) {
			if random.Float64() < a.Share {
				own++
			} else {
				honest++
			}
			if own >= a.Confirmations+a.Lead && honest < a.Confirmations {
				honest, own = a.Confirmations, a.Confirmations+a.Lead // nothing can take it away
			}
		}
		if honest-own < lost {
			won++
		}
	}
	return won
}
