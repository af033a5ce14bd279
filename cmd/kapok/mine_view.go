package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/wallet"
)

// mineReport is the view of `kapok mine`: a line a block, below them on a terminal
// a few lines that are written anew, and elsewhere one from time to time; figures at
// the end.
type mineReport struct {
	w      io.Writer
	live   bool
	asJSON bool
	params *consensus.Params
	miner  *miner.Miner
	meter  *energy.Meter
	began  time.Time

	mu       sync.Mutex
	drawn    int             // live lines that stand on the terminal
	work     *miner.Template // what is worked on
	blocks   []minedBlock
	payments int // in accepted blocks
}

// minedBlock is a block that was handed in.
type minedBlock struct {
	Height   uint32  `json:"height"`
	Hash     string  `json:"hash"`
	Payments int     `json:"payments"`
	AfterS   float64 `json:"after_s"` // since the start
	Answer   string  `json:"answer"`  // accepted, stale, or the rule that it broke
}

// accepted is the answer to a block that became the tip.
const accepted = "accepted"

func newMineReport(w io.Writer, params *consensus.Params, m *miner.Miner, meter *energy.Meter, asJSON bool) *mineReport {
	return &mineReport{w: w, live: isTerminal(w) && !asJSON, asJSON: asJSON, params: params, miner: m, meter: meter, began: time.Now(),
		blocks: []minedBlock{}} // [] in JSON where there are none, not null
}

// begin says for whom is mined.
func (r *mineReport) begin(to, where string) {
	if !r.asJSON {
		fmt.Fprintf(r.w, "mining to %s, %s\n", to, where)
	}
}

func (r *mineReport) working(t *miner.Template) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work = t
}

func (r *mineReport) found(height uint32, b *consensus.Block, err error) {
	mined := minedBlock{Height: height, Hash: b.Hash().String(), Payments: len(b.Txs) - 1, AfterS: time.Since(r.began).Seconds(), Answer: accepted}
	switch rule := consensus.AsRuleError(err); {
	case errors.Is(err, miner.ErrStale):
		mined.Answer = "stale"
	case rule != nil:
		mined.Answer = string(rule.Code)
	case err != nil:
		mined.Answer = "lost: " + err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks, mined)
	if mined.Answer == accepted {
		r.payments += mined.Payments
	}
	if r.asJSON {
		return
	}
	r.erase()
	fmt.Fprintf(r.w, "%8.1f s  block %d  %s  %s\n", mined.AfterS, mined.Height, mined.Hash, mined.Answer)
}

// How often the state is written: in place on a terminal, as a line elsewhere.
const (
	mineViewPeriod = 500 * time.Millisecond
	mineLinePeriod = 30 * time.Second
)

// watch writes the state until the context ends.
func (r *mineReport) watch(ctx context.Context) {
	ticker := time.NewTicker(mineViewPeriod)
	defer ticker.Stop()
	line := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := r.miner.Stats()
		r.mu.Lock()
		switch {
		case r.live:
			r.draw(mineLines(s, r.work, r.params, r.energy(s)))
		case !r.asJSON && time.Since(line) >= mineLinePeriod:
			line = time.Now()
			fmt.Fprintf(r.w, "%8.1f s  %s\n", time.Since(r.began).Seconds(), strings.Join(mineLines(s, r.work, r.params, r.energy(s)), "; "))
		}
		r.mu.Unlock()
	}
}

// energy is what was used so far.
func (r *mineReport) energy(s miner.Stats) energySummary {
	return energyOf(r.meter.Read(float64(s.Hashes)), s.Hashes, uint32(s.Found), uint32(r.payments))
}

// erase takes the live lines off the terminal.
func (r *mineReport) erase() {
	if r.drawn > 0 {
		fmt.Fprintf(r.w, "\x1b[%dA\r\x1b[J", r.drawn)
		r.drawn = 0
	}
}

func (r *mineReport) draw(lines []string) {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(fitted(r.w, "  "+line) + "\n")
	}
	r.erase()
	fmt.Fprint(r.w, b.String())
	r.drawn = len(lines)
}

// mineLines is the state of a miner, and of the work that it is at, for people.
func mineLines(s miner.Stats, t *miner.Template, p *consensus.Params, used energySummary) []string {
	threads := make([]string, len(s.ThreadRates))
	for i, rate := range s.ThreadRates {
		threads[i] = formatHashrate(rate)
	}
	lines := []string{fmt.Sprintf("%s by %s (%s)", formatHashrate(s.Rate), s.Kernel, strings.Join(threads, ", "))}
	if s.Waiting != "" {
		return append(lines, s.Waiting)
	}
	if t != nil && s.Height == t.Height {
		lines = append(lines,
			fmt.Sprintf("height %d with %d payments, worth %s, spendable from height %d; difficulty: %s", t.Height, len(t.Txs),
				wallet.FormatAmount(t.CoinbaseValue), t.Height+p.Maturity, nextDifficulty(p, t.Height)),
			fmt.Sprintf("target %d leading zero bits, best hash so far %d", 256-t.Target.Big().BitLen(), leadingZeros(s.Best)),
		)
	}
	expected := time.Duration(s.ExpectedSeconds * float64(time.Second)).Round(100 * time.Millisecond)
	return append(lines,
		fmt.Sprintf("a block every %s expected, luck %.2f; found %d, stale %d, refused %d", expected, s.Luck, s.Found, s.Stale, s.Refused),
		used.perUnit()+" ("+used.Method+")",
	)
}

// perUnit is what a hash, a block and a payment took, as far as there were any.
func (e energySummary) perUnit() string {
	text := fmt.Sprintf("%.3g J a hash", e.JoulesPerHash)
	if e.JoulesPerBlock > 0 {
		text += fmt.Sprintf(", %.3g J a block", e.JoulesPerBlock)
	}
	if e.KWhPerPayment > 0 {
		text += fmt.Sprintf(", %.3g kWh a payment", e.KWhPerPayment)
	}
	return text
}

// nextDifficulty says when it changes, seen from the block at a height.
func nextDifficulty(p *consensus.Params, height uint32) string {
	switch p.Rule {
	case consensus.RuleFixed:
		return "the same for ever"
	case consensus.RuleBitcoin:
		const epoch = 2016
		return fmt.Sprintf("changes at height %d", height-height%epoch+epoch)
	}
	return "changes with every block"
}

// leadingZeros counts the zero bits of a hash, the number that is compared with
// targets, from the top.
func leadingZeros(h consensus.Hash) int {
	zeros := 0
	for i := len(h) - 1; i >= 0; i-- {
		zeros += bits.LeadingZeros8(h[i])
		if h[i] != 0 {
			break
		}
	}
	return zeros
}

// mineSummary is the JSON document of `kapok mine --json`.
type mineSummary struct {
	Kernel     string        `json:"kernel"`
	Threads    int           `json:"threads"`
	ElapsedS   float64       `json:"elapsed_s"`
	Hashes     uint64        `json:"hashes"`
	HashesPerS float64       `json:"hashes_per_s"`
	BestHash   string        `json:"best_hash"`
	Found      int           `json:"found"`
	Stale      int           `json:"stale"`
	Refused    int           `json:"refused"`
	Luck       float64       `json:"luck"`
	Energy     energySummary `json:"energy"`
	Blocks     []minedBlock  `json:"blocks"`
}

func (r *mineReport) end() error {
	s := r.miner.Stats()
	elapsed := time.Since(r.began).Seconds()
	sum := mineSummary{
		Kernel: s.Kernel, Threads: len(s.ThreadRates), ElapsedS: elapsed, Hashes: s.Hashes, HashesPerS: float64(s.Hashes) / elapsed,
		BestHash: s.Best.String(), Found: s.Found, Stale: s.Stale, Refused: s.Refused, Luck: s.Luck, Blocks: r.blocks,
		Energy: r.energy(s),
	}
	if r.asJSON {
		return printJSON(r.w, sum)
	}
	r.erase()
	_, err := fmt.Fprintf(r.w, "%d blocks found, %d stale, in %.1f s at %s; %.3g J, %s\n  %s\n",
		sum.Found, sum.Stale, elapsed, formatHashrate(sum.HashesPerS), sum.Energy.TotalJoules, sum.Energy.perUnit(), sum.Energy.Method)
	return err
}
