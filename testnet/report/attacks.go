package report

import (
	"fmt"
	"math"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// mostAttacks is how many attacks are held against theory: a simulation goes with each.
const mostAttacks = 50

// mostEarly is how many public blocks for each try may come before the payment's, of which
// theory has none.
const mostEarly = 0.05

// attacks holds each attack that ended against its theory.
func (a *analysis) attacks() {
	for _, e := range a.run.Events {
		if e.Attack == nil {
			continue
		}
		if len(a.s.Attacks) == mostAttacks {
			a.missing("Only the first %d attacks are held against theory.", mostAttacks)
			return
		}
		var r record.AttackResult
		switch e.Attack.Kind {
		case record.Selfish:
			r = a.selfish(*e.Attack)
		case record.DoubleSpend:
			r = a.doubleSpend(*e.Attack)
			if early, _ := e.Values["blocks_without_payment"].(float64); early > mostEarly*float64(e.Attack.Tries) {
				a.missing("Node %d's double spends are harder than in theory: in %[3]s, %[2]s came before the payment's. Blocks were full, or the payment took longer than it was given.",
					e.Attack.Node, count(int(early), "public block"), tries(e.Attack.Tries))
			}
		}
		a.s.Attacks = append(a.s.Attacks, r)
	}
}

// power is the attacker's share of the hashes that were done while it attacked, or where
// that is not known of the rates that the file gives.
func power(k record.Attack) float64 {
	if k.ShareDone > 0 {
		return k.ShareDone
	}
	return k.Share
}

// simulatedBlocks is how many blocks tell how much the blocks of a selfish miner hang
// together.
const simulatedBlocks = 100_000

// selfish holds the attacker's share of the best chain against Eyal and Sirer's equation 8.
// Gamma, the share of honest miners on the attacker's branch in a tie, is taken from the
// ties that honest miners decided; the prediction is inside where some gamma of its
// interval puts it there.
func (a *analysis) selfish(k record.Attack) record.AttackResult {
	r := record.AttackResult{Attack: k, Measured: share(k.Own, k.Blocks)}
	alpha := power(k)
	decided := k.Ties - k.TiesOwn
	gamma, low, high := 0.5, 0.0, 1.0
	from := "no tie was decided by an honest miner, so that γ is not known: 0.5 is taken"
	if decided > 0 {
		gamma = float64(k.TiesWon) / float64(decided)
		low, high = stats.Wilson(k.TiesWon, decided)
		from = fmt.Sprintf("γ = %.3g from %s that honest miners decided", gamma, count(decided, "tie"))
	}
	r.Predicted = stats.SelfishShare(alpha, gamma)
	least, most := stats.SelfishShare(alpha, low), stats.SelfishShare(alpha, high)
	perBlock := 1.0
	if sim := stats.SimulateSelfish(alpha, gamma, simulatedBlocks, a.rng); k.Blocks > 0 && sim.StdErr > 0 {
		n := float64(k.Blocks)
		if effective := stats.EffectiveCount(sim.Share, sim.StdErr*sim.StdErr*float64(sim.Own+sim.Honest)/n); effective > 0 && effective < n {
			perBlock = n / effective
			r.Measured.Low, r.Measured.High = stats.WilsonAt(r.Measured.Value*effective, effective, stats.Confidence)
		}
	}
	r.Inside = verdict(k.Blocks > 0 && decided > 0, least <= r.Measured.High && most >= r.Measured.Low)
	r.Theory = fmt.Sprintf("Eyal and Sirer 2014, equation 8, with α = %.3g; %s (between γ = %.2g and %.2g it is %.3g to %.3g)", alpha, from, low, high, least, most)
	r.Needed = int(min(math.Ceil(float64(stats.SampleSize(alpha, r.Predicted))*perBlock), math.MaxInt32))
	if k.Blocks < r.Needed {
		a.missing("Not enough data: %s while node %d mined selfishly, and at least %s are needed to tell its share of the chain from that of an honest miner.",
			count(k.Blocks, "block"), k.Node, whole(r.Needed))
	}
	return r
}

// verdict is whether a prediction is inside, or nil where there are no data to tell.
func verdict(known, inside bool) *bool {
	if !known {
		return nil
	}
	return &inside
}

// doubleSpend holds the share of tries won against the exact race. All tries count that came
// to an end: a branch that was published, and that the others' blocks then overtook, was
// neither won nor given up, and is a failure of the attacker like any other.
func (a *analysis) doubleSpend(k record.Attack) record.AttackResult {
	r := record.AttackResult{Attack: k, Measured: record.Interval{Value: math.NaN()}}
	if k.Tries > 0 {
		r.Measured.Value = float64(k.Won) / float64(k.Tries)
	}
	r.Measured.Low, r.Measured.High = stats.ClopperPearson(k.Won, k.Tries)
	r.Predicted = orZero(stats.DoubleSpendGivingUp(power(k), k.Confirmations, k.GiveUpBehind))
	r.Inside = verdict(k.Tries > 0, r.Predicted >= r.Measured.Low && r.Predicted <= r.Measured.High)
	patience := "an attacker that never gives up"
	if k.GiveUpBehind > 0 {
		patience = fmt.Sprintf("an attacker that gives up %s behind", count(k.GiveUpBehind, "block"))
	}
	r.Theory = fmt.Sprintf("exact race (Rosenfeld 2014; Grunspan and Pérez-Marco 2018) with q = %.3g, %s and %s, whose branch must be the longer one",
		power(k), count(k.Confirmations, "confirmation"), patience)
	r.Needed = stats.SampleSize(0, r.Predicted)
	if k.Tries < r.Needed {
		a.missing("Not enough data: %s of a double spend by node %d, and at least %s are needed to tell its chance from none.",
			tries(k.Tries), k.Node, whole(r.Needed))
	}
	return r
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return whole(n) + " tries"
}
